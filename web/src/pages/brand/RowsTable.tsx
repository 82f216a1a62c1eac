import type { JSX } from "preact";
import type { Report, ReportFigures, ReportRow } from "../../api/types";
import { count, money } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { words } from "../../ui/words";
import { text } from "./texts";

interface RowsTableProps {
  report: Report;
  onOpen: (row: ReportRow) => void;
}

export function RowsTable({ report, onOpen }: RowsTableProps): JSX.Element {
  const cells = (figures: ReportFigures): JSX.Element => (
    <>
      <td data-label={text.orders}>{count(figures.orders)}</td>
      <td data-label={text.units}>{count(figures.units)}</td>
      <td data-label={text.gross}>{money(figures.gross_minor, report.currency)}</td>
      <td data-label={text.cancelled}>{money(figures.cancelled_minor, report.currency)}</td>
      <td data-label={text.net}><strong>{money(figures.net_minor, report.currency)}</strong></td>
      <td data-label={text.commission}>{money(figures.commission_minor, report.currency)}</td>
    </>
  );
  return (
    <section class="card table-card" aria-label={text.by_live}>
      <h2>{text.by_live}</h2>
      <table class="num figures-table">
        <thead><tr>
          <th scope="col">{text.live}</th><th scope="col">{text.orders}</th><th scope="col">{text.units}</th><th scope="col">{text.gross}</th>
          <th scope="col">{text.cancelled}</th><th scope="col">{text.net}</th><th scope="col">{text.commission}</th>
        </tr></thead>
        <tbody>
          {report.rows.map((row) => (
            <tr key={`${row.live_id} ${row.liver_id}`} data-testid="report-row" data-live={row.live_id} data-net={row.net_minor}>
              <th scope="row">
                <button type="button" class="drill" aria-label={fill(text.show_lines, { live: row.live_title })} data-testid="drill" onClick={() => onOpen(row)}>{row.live_title}</button>
                <span class="small muted row wrap">{row.liver_name}{row.live_demo && <span class="tag demo">{words.demo}</span>}</span>
              </th>
              {cells(row)}
            </tr>
          ))}
        </tbody>
        <tfoot><tr><th scope="row">{text.total}</th>{cells(report.totals)}</tr></tfoot>
      </table>
    </section>
  );
}
