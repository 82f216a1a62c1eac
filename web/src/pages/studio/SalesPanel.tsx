import type { JSX } from "preact";
import { count, duration, money } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { Failed } from "../../ui/states";
import { text } from "./texts";
import type { SalesView } from "./useSales";

export function SalesPanel({ sales }: { sales: SalesView }): JSX.Element {
  return (
    <section class="panel sales" aria-label={text.sales}>
      <h2>{text.sales}</h2>
      <div class="figures wide">
        <div class="figure"><span class="small muted">{text.gross}</span><strong class="num big" data-testid="sales-gross">{money(sales.gross_minor, sales.currency)}</strong></div>
        <div class="figure"><span class="small muted">{text.orders}</span><strong class="num" data-testid="sales-orders">{count(sales.orders)}</strong></div>
        <div class="figure"><span class="small muted">{text.units}</span><strong class="num" data-testid="sales-units">{count(sales.units)}</strong></div>
      </div>
      {/* Said in words: a figure that falls without a reason looks like a fault. */}
      <div role="status">
        {sales.refunded_minor > 0 && (
          <p class="notice small" data-testid="sales-refunded" data-minor={sales.refunded_minor}>{fill(text.refunded, { amount: money(sales.refunded_minor, sales.currency) })}</p>
        )}
      </div>
      <div class="figures wide">
        <div class="figure"><span class="small muted">{text.unique}</span><strong class="num" data-testid="sales-unique">{count(sales.unique_viewers)}</strong></div>
        <div class="figure"><span class="small muted">{text.watch_time}</span><strong class="num" data-testid="sales-watched" data-seconds={sales.watch_s}>{duration(sales.watch_s)}</strong>
          {sales.unique_viewers > 0 && <span class="small muted num">{fill(text.watch_each, { time: duration(sales.watch_s / sales.unique_viewers) })}</span>}</div>
      </div>
      {sales.unique_viewers > 0 && <p class="small muted">{text.unique_note}</p>}
      {sales.problem !== null && <Failed problem={sales.problem} onRetry={sales.reload} />}
      {sales.problem === null && sales.products.length === 0 && <p class="small muted">{text.no_sales}</p>}
      {sales.products.length > 0 && (
        <table class="num by-product"><caption class="sr">{text.by_product}</caption>
          <tbody>{sales.products.map((product) => (
            <tr key={product.product_id} data-testid="product-sales">
              <th scope="row">{product.title}</th><td>{count(product.units)}</td><td>{money(product.gross_minor, sales.currency)}</td>
            </tr>
          ))}</tbody>
        </table>
      )}
    </section>
  );
}
