import type { JSX } from "preact";
import type { AudienceRow } from "../../api/reports";
import { ChartBox } from "../../charts/ChartBox";
import { count, dateTime, duration, money } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { shareOf } from "../../reports/figures";
import { lives } from "../../reports/lives-texts";
import { Meaning } from "../../reports/Meaning";
import { text } from "../../reports/texts";
import { percent } from "../../reports/words-of";

const CHART_LIVES = 10;

interface AudienceBoardProps {
  brandId: string;
  rows: readonly AudienceRow[];
  /** The live that the others are compared with. */
  current?: string;
}

const COLUMNS = ["net", "gross", "unique", "peak", "average", "watched", "buyers", "conversion"] as const;
type Column = (typeof COLUMNS)[number];
const EXPLAINED: Partial<Record<Column, "means_peak" | "means_average" | "means_unique" | "means_watched" | "means_conversion">> = {
  peak: "means_peak", average: "means_average", unique: "means_unique", watched: "means_watched", conversion: "means_conversion",
};

/** Lives by their beginning, newest first, with what each had: people, and what they bought. */
export function AudienceBoard({ brandId, rows, current }: AudienceBoardProps): JSX.Element {
  const newest = [...rows].sort((a, b) => (b.started_at_ms ?? 0) - (a.started_at_ms ?? 0));
  const highest = Math.max(1, ...rows.map((row) => row.net_minor));
  const drawn = newest.slice(0, CHART_LIVES).reverse();
  return (
    <>
      {drawn.length > 1 && (
        <section class="card panel" aria-label={lives.chart}>
          <h2>{lives.chart}</h2>
          <ChartBox heightPx={240} testId="audience-chart" plot={{
            labels: drawn.map((row) => row.title),
            picked: current === undefined ? null : drawn.findIndex((row) => row.live_id === current),
            labelsMax: CHART_LIVES, shortLabels: true,
            series: [
              { label: lives.net, values: drawn.map((row) => row.net_minor), look: "bar", ink: "indigo", format: (value) => money(value) },
              { label: lives.unique, values: drawn.map((row) => row.unique_viewers), look: "line", ink: "shu", side: "right", format: count },
            ],
          }} />
        </section>
      )}
      <section class="card table-card">
        <h2>{lives.title}</h2>
        <div class="scroller" tabIndex={0} role="region" aria-label={lives.title}>
          <table class="num figures-table">
            <thead><tr><th scope="col">{lives.live}</th>{COLUMNS.map((column) => {
              const means = EXPLAINED[column];
              return <th key={column} scope="col">{lives[column]}{means !== undefined && <Meaning figure={lives[column]} means={lives[means]} />}</th>;
            })}</tr></thead>
            <tbody>{newest.map((row) => (
              <tr key={row.live_id} class={row.live_id === current ? "current" : ""} data-testid="audience-row" data-live={row.live_id} data-net={row.net_minor} data-peak={row.peak_viewers}>
                <th scope="row">
                  <a class="drill" href={`/brand/${brandId}/lives/${row.live_id}`} aria-label={fill(lives.open, { live: row.title })} data-testid="open-timeline">{row.title}</a>
                  <span class="small muted sub">{row.started_at_ms === null ? "" : dateTime(row.started_at_ms)}{lengthOf(row)}</span>
                </th>
                {COLUMNS.map((column) => <td key={column} data-label={lives[column]} class={column}>
                  {column === "net" && <span class="meter" aria-hidden="true"><span style={{ width: `${shareOf(row.net_minor, highest)}%` }} /></span>}
                  <span class="said">{cell(row, column)}</span>
                </td>)}
              </tr>
            ))}</tbody>
          </table>
        </div>
      </section>
    </>
  );
}

function lengthOf({ started_at_ms: from, ended_at_ms: to }: AudienceRow): string {
  return from === null || to === null ? "" : ` ・ ${duration((to - from) / 1000)}`;
}

function cell(row: AudienceRow, column: Column): string {
  switch (column) {
    case "peak": return count(row.peak_viewers);
    case "average": return count(Math.round(row.average_viewers_milli / 100) / 10);
    case "unique": return row.unique_viewers === null ? text.suppressed : count(row.unique_viewers);
    case "watched": return row.unique_viewers === null || row.unique_viewers === 0 ? "–" : duration(row.watched_ms / row.unique_viewers / 1000);
    case "buyers": return row.buyers === null ? text.suppressed : count(row.buyers);
    case "conversion": return row.conversion_bp === null ? "–" : percent(row.conversion_bp);
    case "gross": return money(row.gross_minor);
    case "net": return money(row.net_minor);
  }
}
