import type { JSX } from "preact";
import { api, seg } from "../../api/client";
import type { Order } from "../../api/types";
import { money } from "../../i18n/format";
import { useLoad } from "../../ui/useLoad";

export function OrderDetail({ orderId }: { orderId: string }): JSX.Element {
  const { value } = useLoad(() => api.get<Order>(`/v1/orders/${seg(orderId)}`), [orderId]);
  if (value === null) return <div class="skeleton" style={{ height: "46px" }} />;
  return (
    <div>
      {value.lines.map((line) => (
        <p key={line.id} class="row spread">
          <span class="clip">{line.product_title}{line.variant !== null && line.variant !== "" && ` / ${line.variant}`} × {line.qty}</span>
          <strong class="num">{money(line.amount_minor, value.currency)}</strong>
        </p>
      ))}
      <p class="small muted num">{value.number}</p>
    </div>
  );
}
