import type { JSX } from "preact";
import type { Assist } from "../../api/reports";
import { count, money } from "../../i18n/format";
import { shareOf } from "../../reports/figures";
import { lives } from "../../reports/lives-texts";

/** What a live helped to sell elsewhere: shown, never credited. */
export function AssistsBoard({ rows }: { rows: readonly Assist[] }): JSX.Element {
  const highest = Math.max(1, ...rows.map((row) => row.influenced_minor));
  const ordered = [...rows].sort((a, b) => b.influenced_minor - a.influenced_minor);
  return (
    <section class="card table-card" aria-labelledby="assists-title" data-testid="assists">
      <h2 id="assists-title">{lives.assists}</h2>
      <p class="small muted">{lives.assists_lead}</p>
      {rows.length === 0 ? <p class="small">{lives.no_assists}</p> : (
        <table class="num figures-table">
          <thead><tr><th scope="col">{lives.live}</th><th scope="col">{lives.influenced_orders}</th><th scope="col">{lives.influenced}</th></tr></thead>
          <tbody>{ordered.map((row) => (
            <tr key={row.live_id} data-testid="assist-row" data-live={row.live_id}>
              <th scope="row">{row.title}</th>
              <td data-label={lives.influenced_orders}>{count(row.influenced_orders)}</td>
              <td data-label={lives.influenced} class="net"><span class="meter" aria-hidden="true"><span style={{ width: `${shareOf(row.influenced_minor, highest)}%` }} /></span><span class="said">{money(row.influenced_minor)}</span></td>
            </tr>
          ))}</tbody>
        </table>
      )}
    </section>
  );
}
