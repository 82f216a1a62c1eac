import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { api, seg } from "../../api/client";
import type { LiveSales } from "../../api/types";
import { count, money } from "../../i18n/format";
import { useLoad } from "../../ui/useLoad";
import { Failed } from "../../ui/states";
import type { Desk } from "./store";
import { text } from "./texts";

export function SalesPanel({ at }: { at: Desk }): JSX.Element {
  const told = at.room.value.sales;
  const { value, problem, reload } = useLoad(() => api.get<LiveSales>(`/v1/lives/${seg(at.liveId)}/sales`), [at.liveId], 5_000);
  // Each order that the hub tells of asks for the split by product anew.
  useEffect(reload, [told?.orders, told?.grossMinor]);
  const currency = value?.currency ?? told?.currency ?? "JPY";
  return (
    <section class="panel sales" aria-label={text.sales}>
      <h2>{text.sales}</h2>
      <div class="figures wide">
        <div class="figure"><span class="small muted">{text.gross}</span><strong class="num big" data-testid="sales-gross">{money(told?.grossMinor ?? value?.gross_minor ?? 0, currency)}</strong></div>
        <div class="figure"><span class="small muted">{text.orders}</span><strong class="num" data-testid="sales-orders">{count(told?.orders ?? value?.orders ?? 0)}</strong></div>
        <div class="figure"><span class="small muted">{text.units}</span><strong class="num" data-testid="sales-units">{count(told?.units ?? value?.units ?? 0)}</strong></div>
      </div>
      {problem !== null && value === null && <Failed problem={problem} onRetry={reload} />}
      {value !== null && value.products.length === 0 && <p class="small muted">{text.no_sales}</p>}
      {value !== null && value.products.length > 0 && (
        <table class="num by-product"><caption class="sr">{text.by_product}</caption>
          <tbody>{value.products.map((product) => (
            <tr key={product.product_id} data-testid="product-sales"><th scope="row">{product.title}</th><td>{count(product.units)}</td><td>{money(product.gross_minor, currency)}</td></tr>
          ))}</tbody>
        </table>
      )}
    </section>
  );
}
