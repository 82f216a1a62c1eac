import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Dimension, Report, ReportRow, Scope } from "../api/reports";
import { fill } from "../i18n/phrases";
import { Icon } from "../ui/icons";
import { setQuery } from "../ui/router";
import { shareOf, valueOf, type FigureName } from "./figures";
import { isFilter } from "./filters";
import { remember } from "./known-labels";
import { firstSorting, nextSorting, sorted, type Sorting } from "./sorting";
import { text } from "./texts";
import { rowLabel, shown } from "./words-of";

const COLUMNS: readonly FigureName[] = ["net", "gross", "cancelled", "orders", "aov", "units", "buyers", "new_buyers", "commission"];
const FIRST_ROWS = 25;

interface LeaderBoardProps {
  scope: Scope;
  by: Dimension;
  report: Report;
  /** Opens a row's lines, where they can be asked for. */
  onLines: ((row: ReportRow) => (() => void) | null) | null;
}

export function LeaderBoard({ scope, by, report, onLines }: LeaderBoardProps): JSX.Element {
  const [sorting, setSorting] = useState<Sorting>(() => firstSorting(by));
  const [all, setAll] = useState(false);
  const rows = sorted(report.rows, sorting, (row) => rowLabel(by, row));
  const shownRows = all ? rows : rows.slice(0, FIRST_ROWS);
  const highest = Math.max(1, ...report.rows.map((row) => row.figures.net_minor));
  const ranked = sorting.by !== "key" && !sorting.up;
  const title = fill(text.board_of, { by: text[`by_${by}`] });
  const heading = (column: Sorting["by"], label: string): JSX.Element => (
    <th key={column} scope="col" aria-sort={sorting.by === column ? (sorting.up ? "ascending" : "descending") : "none"}>
      <button type="button" class="sort" aria-label={fill(text.sort_by, { figure: label })} data-testid={`sort-${column}`} onClick={() => setSorting(nextSorting(sorting, column))}>
        {label}<span aria-hidden="true">{sorting.by === column ? (sorting.up ? " ▲" : " ▼") : ""}</span>
      </button>
    </th>
  );
  const cells = (figures: ReportRow["figures"], bar: boolean): JSX.Element[] => COLUMNS.map((name) => {
    const value = valueOf(figures, name);
    return (
      <td key={name} data-label={text[name]} class={`${name}${value === null ? " few" : ""}`}>
        {name === "net" && bar && <span class="meter" aria-hidden="true"><span style={{ width: `${shareOf(figures.net_minor, highest)}%` }} /></span>}
        <span class="said">{shown(name, value, report.currency)}</span>
      </td>
    );
  });
  return (
    <section class="card table-card board" data-testid="board" data-by={by}>
      <h2>{title}</h2>
      {by === "staff" && <p class="notice">{text.staff_apart}</p>}
      <div class="scroller" tabIndex={0} role="region" aria-label={title}>
        <table class="num figures-table">
          <thead><tr>{heading("key", text[`by_${by}`])}{COLUMNS.map((name) => heading(name, text[name]))}</tr></thead>
          <tbody>{shownRows.map((row, index) => (
            <tr key={row.key} data-testid="report-row" data-key={row.key} data-live={by === "live" ? row.key : undefined} data-net={row.figures.net_minor}>
              <th scope="row"><Name scope={scope} by={by} row={row} rank={ranked ? index + 1 : null} onLines={onLines === null ? null : onLines(row)} /></th>
              {cells(row.figures, true)}
            </tr>
          ))}</tbody>
          <tfoot><tr><th scope="row">{text.total}</th>{cells(report.totals, false)}</tr></tfoot>
        </table>
      </div>
      {rows.length > shownRows.length && <p class="more"><button type="button" class="btn small" data-testid="show-all" onClick={() => setAll(true)}>{fill(text.show_all, { n: rows.length })}</button></p>}
    </section>
  );
}

interface NameProps {
  scope: Scope;
  by: Dimension;
  row: ReportRow;
  rank: number | null;
  onLines: (() => void) | null;
}

/** Whose row it is, its lines, and the ways further down. */
function Name({ scope, by, row, rank, onLines }: NameProps): JSX.Element {
  const label = rowLabel(by, row);
  const narrow = (): void => {
    remember(by, row.key, label);
    setQuery({ [by]: row.key, by: by === "live" ? "product" : "live" });
  };
  return (
    <span class="named">
      {rank !== null && <span class={rank <= 3 ? `rank top-${rank}` : "rank"}><span class="sr">{text.rank} </span>{rank}</span>}
      <span class="grow">
        {onLines === null
          ? by === "brand"
            ? <a class="drill" href={`/brand/${row.key}`} aria-label={fill(text.open_brand, { label })} data-testid="open-brand">{label}</a>
            : <span class="drill-less">{label}</span>
          : <button type="button" class="drill" aria-label={fill(text.show_lines, { label })} data-testid="drill" onClick={onLines}>{label}</button>}
        {row.label_sub !== "" && <span class="small muted sub">{row.label_sub}</span>}
        {by === "live" && scope !== "all" && row.key !== "" && <a class="small sub" href={`/brand/${scope.brandId}/lives/${row.key}`} data-testid="to-timeline">{text.minutes}</a>}
      </span>
      {isFilter(by) && row.key !== "" && <button type="button" class="icon-btn narrow" title={fill(text.narrow, { label })} aria-label={fill(text.narrow, { label })} data-testid="narrow" onClick={narrow}><Icon name="funnel" /></button>}
    </span>
  );
}
