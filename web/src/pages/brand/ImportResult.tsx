import type { JSX } from "preact";
import type { ImportReport } from "../../api/types";
import { count } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { COUNTS } from "./import-steps";
import { csv } from "./import-texts";

/** What an import did, or would do, and which rows it could not take. */
export function ImportResult({ report }: { report: ImportReport }): JSX.Element {
  return (
    <div class="stack" data-testid="import-report" data-dry-run={String(report.dry_run)}>
      <dl class="counts">
        {COUNTS.map((name) => (
          <div key={name}><dt class="small muted">{csv[name]}</dt><dd class="num" data-testid={`import-${name}`} data-value={report[name]}>{count(report[name])}</dd></div>
        ))}
      </dl>
      {report.errors.length === 0 && report.errors_left_off === 0 && <p class="notice good">{csv.no_errors}</p>}
      {report.errors.length > 0 && (
        <div class="lines">
          <div class="scroller" tabIndex={0} role="region" aria-label={csv.errors}>
            <table class="row-errors">
              <caption class="sr">{csv.errors}</caption>
              <thead><tr><th scope="col">{csv.row}</th><th scope="col">{csv.column}</th><th scope="col">{csv.message}</th></tr></thead>
              <tbody>{report.errors.map((error, index) => (
                <tr key={index} data-testid="import-error" data-row={error.row}>
                  <th scope="row" class="num">{error.row}</th><td>{error.column ?? ""}</td><td>{error.message}</td>
                </tr>
              ))}</tbody>
            </table>
          </div>
        </div>
      )}
      {report.errors_left_off > 0 && <p class="small muted">{fill(csv.left_off, { n: count(report.errors_left_off) })}</p>}
    </div>
  );
}
