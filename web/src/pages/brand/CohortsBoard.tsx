import type { JSX } from "preact";
import type { Cohort } from "../../api/reports";
import { count, money } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { lives } from "../../reports/lives-texts";
import { text } from "../../reports/texts";

const SPANS = [90, 180, 365] as const;

/** What a first purchase became: darker where it became more. */
export function CohortsBoard({ rows }: { rows: readonly Cohort[] }): JSX.Element {
  const highest = Math.max(1, ...rows.flatMap((row) => SPANS.map((days) => row[`ltv_${days}_minor`] ?? 0)));
  return (
    <section class="card table-card" aria-labelledby="ltv-title" data-testid="cohorts">
      <h2 id="ltv-title">{lives.ltv}</h2>
      <p class="small muted">{lives.ltv_lead}</p>
      {rows.length === 0 ? <p class="small">{lives.no_ltv}</p> : (
        <table class="num figures-table cohorts">
          <thead><tr><th scope="col">{lives.live}</th><th scope="col">{lives.customers}</th>{SPANS.map((days) => <th key={days} scope="col">{fill(lives.days, { n: days })}</th>)}</tr></thead>
          <tbody>{rows.map((row) => (
            <tr key={row.live_id} data-testid="cohort-row" data-live={row.live_id}>
              <th scope="row">{row.title}</th>
              <td data-label={lives.customers}>{row.customers === null ? <span class="few">{text.suppressed}</span> : count(row.customers)}</td>
              {SPANS.map((days) => {
                const minor = row[`ltv_${days}_minor`];
                const depth = minor === null ? 0 : Math.round((Math.max(0, minor) / highest) * 60);
                return (
                  <td key={days} data-label={fill(lives.days, { n: days })} style={{ background: `color-mix(in srgb, var(--indigo) ${Math.round(depth / 4)}%, transparent)` }}>
                    {minor === null ? <span class="few">{text.suppressed}</span> : money(minor)}
                    {minor !== null && !row[`complete_${days}`] && <span class="small"> {lives.so_far}</span>}
                  </td>
                );
              })}
            </tr>
          ))}</tbody>
        </table>
      )}
    </section>
  );
}
