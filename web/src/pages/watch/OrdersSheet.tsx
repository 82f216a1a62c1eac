import type { JSX } from "preact";
import { api, withQuery } from "../../api/client";
import type { Page, Purchase } from "../../api/types";
import { dateTime, money } from "../../i18n/format";
import { phrases } from "../../i18n/phrases";
import { isDelayed, isStockShort, outcome } from "../../purchase/status";
import { buy } from "./buy-texts";
import { OrderDetail } from "./OrderDetail";
import { Sheet } from "../../ui/Sheet";
import { Empty, Failed, Loading } from "../../ui/states";
import { useLoad } from "../../ui/useLoad";
import { text } from "./texts";

const own = phrases({
  none: ["ご注文はまだありません。", "You have not ordered anything yet."],
  paid: ["支払い完了", "Paid"],
  moving: ["手続き中", "In progress"],
  lost: ["不成立", "Not completed"],
});
const TAG = { paid: "tag ok", moving: "tag soon", lost: "tag" } as const;

export function OrdersSheet({ onClose }: { onClose: () => void }): JSX.Element {
  const { value, problem, reload } = useLoad(() => api.get<Page<Purchase>>(withQuery("/v1/purchases", { limit: 50 })), [], 4_000);
  return (
    <Sheet title={text.orders} onClose={onClose} testId="orders-sheet">
      {problem !== null && <Failed problem={problem} onRetry={reload} />}
      {value === null && problem === null && <Loading />}
      {value !== null && value.items.length === 0 && <Empty icon="bag">{own.none}</Empty>}
      <ul class="orders">
        {value?.items.map((purchase) => {
          const reached = outcome(purchase.state);
          return (
            <li key={purchase.id} data-testid="my-order" data-state={purchase.state}>
              <div class="row spread">
                <span class={TAG[reached]}>{own[reached]}</span>
                <span class="small muted num">{dateTime(purchase.placed_at_ms)}</span>
              </div>
              {purchase.order_id !== null
                ? <OrderDetail orderId={purchase.order_id} />
                : <p class="row spread"><span>× {purchase.qty}</span><strong class="num">{money(purchase.total_minor, purchase.currency)}</strong></p>}
              {isDelayed(purchase.state, purchase.short_units) && <p class="notice" data-testid="order-delayed">{buy.delayed}</p>}
              {isStockShort(purchase.state, purchase.reason) && <p class="notice" data-testid="order-short">{buy.lost_short}</p>}
            </li>
          );
        })}
      </ul>
    </Sheet>
  );
}
