import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { api, seg, withQuery } from "../../api/client";
import type { CreditLine, Page, ReportRow } from "../../api/types";
import { fullDateTime, money, rate } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { Sheet } from "../../ui/Sheet";
import { Empty, Failed, Loading } from "../../ui/states";
import { words } from "../../ui/words";
import { text } from "./texts";

const PAGE_LINES = 50;

interface LinesSheetProps {
  brandId: string;
  row: ReportRow;
  /** The report's period, so that the lines add up to the row. */
  range: Record<string, number | null>;
  onClose: () => void;
}

/** The ledger lines that a row of the report is the sum of. */
export function LinesSheet({ brandId, row, range, onClose }: LinesSheetProps): JSX.Element {
  const [lines, setLines] = useState<readonly CreditLine[] | null>(null);
  const [cursor, setCursor] = useState<string | null>(null);
  const [problem, setProblem] = useState<unknown>(null);

  const load = (from: string | null): void => {
    setProblem(null);
    api.get<Page<CreditLine>>(withQuery(`/v1/brands/${seg(brandId)}/report/lines`, {
      ...range, live_id: row.live_id, liver_id: row.liver_id, cursor: from, limit: PAGE_LINES,
    })).then((page) => {
      setLines((known) => [...(from === null ? [] : (known ?? [])), ...page.items]);
      setCursor(page.next_cursor);
    }, setProblem);
  };
  useEffect(() => load(null), []);

  return (
    <Sheet title={text.lines} onClose={onClose} testId="lines-sheet">
      <div class="stack lines">
        <p class="muted small">{fill(text.lines_of, { live: row.live_title, liver: row.liver_name })}</p>
        {problem !== null && <Failed problem={problem} onRetry={() => load(cursor)} />}
        {lines === null && problem === null && <Loading />}
        {lines !== null && lines.length === 0 && <Empty icon="chart">{text.no_lines}</Empty>}
        {lines !== null && lines.length > 0 && (
          <div class="scroller" tabIndex={0} role="region" aria-label={text.lines}>
            <table class="num">
              <thead><tr>{[text.at, text.kind, text.order, text.product, text.qty, text.base, text.share, text.rate, text.commission, text.state]
                .map((heading) => <th key={heading} scope="col">{heading}</th>)}</tr></thead>
              <tbody>{lines.map((line) => (
                <tr key={line.credit_id} class={line.kind} data-testid="credit-line" data-kind={line.kind} data-base={line.base_minor}>
                  <td>{fullDateTime(line.at_ms)}</td>
                  <td><span class={line.kind === "sale" ? "tag ok" : "tag live plain"}>{text[line.kind]}</span></td>
                  <td>{line.order_number}</td>
                  <td>{line.product_title}{line.variant !== null && line.variant !== "" && ` / ${line.variant}`}</td>
                  <td>{line.qty}</td>
                  <td>{money(line.base_minor)}</td>
                  <td>{rate(line.share_bp)}</td>
                  <td>{rate(line.commission_bp)}</td>
                  <td>{money(line.commission_minor)}</td>
                  <td>{text[line.state]}</td>
                </tr>
              ))}</tbody>
            </table>
          </div>
        )}
        {cursor !== null && <button type="button" class="btn" data-testid="more-lines" onClick={() => load(cursor)}>{words.more}</button>}
      </div>
    </Sheet>
  );
}
