import type { JSX } from "preact";
import { api, withQuery } from "../../api/client";
import type { Page, Purchase } from "../../api/types";
import { dateTime, money } from "../../i18n/format";
import { phrases } from "../../i18n/phrases";
import { SandboxTag } from "../../payment/SandboxTag";
import { isDelayed, isStockShort } from "../../purchase/status";
import { tagOf, TAG_LOOK } from "../orders/order-state";
import { text as order } from "../orders/texts";
import { buy } from "./buy-texts";
import { OrderDetail } from "./OrderDetail";
import { Sheet } from "../../ui/Sheet";
import { Empty, Failed, Loading } from "../../ui/states";
import { useLoad } from "../../ui/useLoad";
import { text } from "./texts";
import "../orders/orders.css";

const own = phrases({
  all: ["注文履歴のページを開く", "Open the page of my orders"],
});

export function OrdersSheet({ onClose }: { onClose: () => void }): JSX.Element {
  const { value, problem, reload } = useLoad(() => api.get<Page<Purchase>>(withQuery("/v1/purchases", { limit: 50 })), [], 4_000);
  return (
    <Sheet title={text.orders} onClose={onClose} testId="orders-sheet">
      {problem !== null && <Failed problem={problem} onRetry={reload} />}
      {value === null && problem === null && <Loading />}
      {value !== null && value.items.length === 0 && <Empty icon="bag">{order.none}</Empty>}
      <ul class="orders">
        {value?.items.map((purchase) => {
          const tag = tagOf(purchase.state, purchase.refunded_minor);
          const href = purchase.order_id === null ? `/purchases/${purchase.id}` : `/orders/${purchase.order_id}`;
          return (
            <li key={purchase.id} data-testid="my-order" data-state={purchase.state} data-tag={tag}>
              <div class="row spread">
                <span class={TAG_LOOK[tag]}>{order[`tag_${tag}`]}</span>
                <span class="small muted num">{dateTime(purchase.placed_at_ms)}</span>
              </div>
              {purchase.order_id !== null
                ? <OrderDetail orderId={purchase.order_id} />
                : <p class="row spread"><span>× {purchase.qty}</span><strong class="num">{money(purchase.total_minor, purchase.currency)}</strong></p>}
              {(purchase.refunded_minor ?? 0) > 0 && (
                <p class="row spread refunded"><span>{order.refunded}</span><strong class="num">{money(-(purchase.refunded_minor ?? 0), purchase.currency)}</strong></p>
              )}
              {isDelayed(purchase.state, purchase.short_units) && <p class="notice" data-testid="order-delayed">{buy.delayed}</p>}
              {isStockShort(purchase.state, purchase.reason) && <p class="notice" data-testid="order-short">{buy.lost_short}</p>}
              {/* Beside the live, which goes on. */}
              {(purchase.order_id !== null || tag === "action") && (
                <p><a class="small" href={href} target="_blank" rel="noopener" data-testid="order-link">{tag === "action" ? order.go_on : order.open} ↗</a></p>
              )}
            </li>
          );
        })}
      </ul>
      <p class="row wrap spread foot"><a class="btn small" href="/orders" target="_blank" rel="noopener" data-testid="orders-page-link">{own.all} ↗</a><SandboxTag /></p>
    </Sheet>
  );
}
