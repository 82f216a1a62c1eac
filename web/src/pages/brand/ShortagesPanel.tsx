import type { JSX } from "preact";
import { api } from "../../api/client";
import type { Page, Shortage } from "../../api/types";
import { count } from "../../i18n/format";
import { Failed } from "../../ui/states";
import { useLoad } from "../../ui/useLoad";
import { short } from "./import-texts";

const REFRESH_MS = 15_000;

/** Paid orders that the shelves cannot serve; nothing at all while there are none. */
export function ShortagesPanel(): JSX.Element | null {
  const { value, problem, reload } = useLoad(() => api.get<Pick<Page<Shortage>, "items">>("/v1/stock/shortages"), [], REFRESH_MS);
  if (problem !== null && value === null) return <Failed problem={problem} onRetry={reload} />;
  if (value === null || value.items.length === 0) return null;
  return (
    <section class="card panel shortages" aria-labelledby="shortages-title" data-testid="shortages">
      <h2 id="shortages-title">{short.title} <span class="tag live plain num">{count(value.items.length)}</span></h2>
      <p class="small muted">{short.lead}</p>
      <div class="lines">
        <div class="scroller" tabIndex={0} role="region" aria-label={short.title}>
          <table class="num">
            <thead><tr><th scope="col">{short.order}</th><th scope="col">{short.units}</th><th scope="col">{short.lines}</th></tr></thead>
            <tbody>{value.items.map((item) => (
              <tr key={item.purchase_id} data-testid="shortage" data-purchase={item.purchase_id} data-units={item.short_units}>
                <th scope="row">{item.order_number}</th>
                <td><strong>{count(item.short_units)}</strong></td>
                <td>{item.lines.map((line) => `${nameOf(line)} × ${count(line.qty)}`).join("、")}</td>
              </tr>
            ))}</tbody>
          </table>
        </div>
      </div>
    </section>
  );
}

function nameOf({ sku_id, product_title, variant }: Shortage["lines"][number]): string {
  if (product_title === undefined || product_title === "") return sku_id;
  return variant === undefined || variant === null || variant === "" ? product_title : `${product_title} / ${variant}`;
}
