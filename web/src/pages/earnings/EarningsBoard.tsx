import type { JSX } from "preact";
import type { CreditState } from "../../api/reports";
import type { EarningsRow } from "../../api/settlement";
import { count, money } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { shareOf } from "../../reports/figures";
import { text } from "./texts";

const STATES: readonly CreditState[] = ["estimated", "confirmed", "payable", "paid"];

type Row = EarningsRow & { key: string };

interface EarningsBoardProps {
  title: string;
  heading: string;
  rows: readonly Row[];
  onLines: ((row: Row) => void) | null;
}

/** What brought how much, and how far that has come: the bar's colours are those of the steps above. */
export function EarningsBoard({ title, heading, rows, onLines }: EarningsBoardProps): JSX.Element {
  const highest = Math.max(1, ...rows.map((row) => row.commission_minor));
  const ordered = [...rows].sort((a, b) => b.commission_minor - a.commission_minor);
  return (
    <section class="card table-card" aria-label={title}>
      <h2>{title}</h2>
      <table class="num figures-table">
        <thead><tr>{[heading, text.commission, text.net, text.gross, text.units].map((label) => <th key={label} scope="col">{label}</th>)}</tr></thead>
        <tbody>{ordered.map((row) => (
          <tr key={row.key} data-testid="earnings-row" data-key={row.key} data-commission={row.commission_minor}>
            <th scope="row">
              {onLines === null ? <span class="drill-less">{row.title}</span> : <button type="button" class="drill" aria-label={fill(text.show_lines, { label: row.title })} data-testid="drill" onClick={() => onLines(row)}>{row.title}</button>}
              {row.brand_name !== undefined && <span class="small muted sub">{row.brand_name}</span>}
            </th>
            <td data-label={text.commission} class="net"><Bar row={row} highest={highest} /><span class="said">{money(row.commission_minor)}</span></td>
            <td data-label={text.net}>{money(row.net_minor)}</td>
            <td data-label={text.gross}>{money(row.gross_minor)}</td>
            <td data-label={text.units}>{count(row.units)}</td>
          </tr>
        ))}</tbody>
      </table>
    </section>
  );
}

function Bar({ row, highest }: { row: Row; highest: number }): JSX.Element {
  const parts = STATES.map((state) => ({ state, minor: row[`${state}_minor`] ?? 0 }));
  const known = parts.some(({ minor }) => minor > 0);
  return (
    <span class="meter states" aria-hidden="true" title={parts.filter(({ minor }) => minor !== 0).map(({ state, minor }) => `${text[state]} ${money(minor)}`).join(" ・ ")}>
      {known ? parts.map(({ state, minor }) => <span key={state} class={state} style={{ width: `${shareOf(minor, highest)}%` }} />) : <span style={{ width: `${shareOf(row.commission_minor, highest)}%` }} />}
    </span>
  );
}
