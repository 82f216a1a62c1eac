import type { JSX } from "preact";
import { api, seg } from "../../api/client";
import type { Order } from "../../api/types";
import { dateTime, money, rate } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { SandboxTag } from "../../payment/SandboxTag";
import { MemberGate } from "../../ui/MemberGate";
import type { PageProps } from "../../ui/pages";
import { Failed, Loading } from "../../ui/states";
import { useLoad } from "../../ui/useLoad";
import { tagOf, TAG_LOOK } from "./order-state";
import { RefundLine } from "./RefundLine";
import { text } from "./texts";
import "./orders.css";

const REFRESH_MS = 5_000;

export function OrderPage({ id }: PageProps): JSX.Element {
  return <MemberGate title={text.order} lead={text.gate_lead}><Detail id={id} /></MemberGate>;
}

function Detail({ id }: { id: string }): JSX.Element {
  const { value, problem, reload } = useLoad(() => api.get<Order>(`/v1/orders/${seg(id)}`), [id], REFRESH_MS);
  return (
    <main id="main" class="page orders-page" data-testid="order-page">
      <p><a class="small" href="/orders" data-testid="back-to-orders">← {text.back}</a></p>
      {problem !== null && <Failed problem={problem} onRetry={reload} />}
      {value === null && problem === null && <Loading />}
      {value !== null && <Found order={value} />}
    </main>
  );
}

function Found({ order }: { order: Order }): JSX.Element {
  const back = order.refunded_minor + order.voided_minor;
  const tag = tagOf(order.state, back);
  const yen = (minor: number): string => money(minor, order.currency);
  return (
    <>
      <div class="row wrap spread">
        <h1>{text.order}</h1>
        <div class="row wrap"><span class={TAG_LOOK[tag]} data-testid="order-tag" data-tag={tag}>{text[`tag_${tag}`]}</span><SandboxTag /></div>
      </div>
      <section class="card panel stack">
        <dl class="facts">
          <div><dt>{text.number}</dt><dd class="num" data-testid="number">{order.number}</dd></div>
          <div><dt>{text.placed}</dt><dd class="num">{dateTime(order.placed_at_ms)}</dd></div>
        </dl>
        <table class="num goods">
          <caption class="sr">{text.items}</caption>
          <tbody>{order.lines.map((line) => (
            <tr key={line.id} data-testid="order-line" data-returned={line.returned_qty}>
              <th scope="row">
                {line.product_title}{line.variant !== null && line.variant !== "" && ` / ${line.variant}`}
                {line.returned_qty > 0 && (
                  <span class="small returned">{line.returned_qty >= line.qty ? text.returned_all : fill(text.returned, { n: line.returned_qty })}</span>
                )}
              </th>
              <td>× {line.qty}</td>
              <td>{yen(line.amount_minor)}</td>
            </tr>
          ))}</tbody>
          <tfoot>
            <tr class="sum"><th scope="row" colSpan={2}>{text.total}</th><td data-testid="order-total" data-minor={order.total_minor}>{yen(order.total_minor)}</td></tr>
            {order.tax.map((line) => (
              <tr key={line.rate_bp} class="fine"><th scope="row" colSpan={2}>{fill(text.tax, { rate: rate(line.rate_bp), base: yen(line.base_minor) })}</th><td>{yen(line.tax_minor)}</td></tr>
            ))}
            {back > 0 && (
              <>
                <tr class="refunded"><th scope="row" colSpan={2}>{text.refunded}</th><td data-testid="order-refunded" data-minor={back}>{yen(-back)}</td></tr>
                <tr class="sum"><th scope="row" colSpan={2}>{text.after_refund}</th><td>{yen(order.total_minor - back)}</td></tr>
              </>
            )}
          </tfoot>
        </table>
        {order.state === "authorized" && <p class="small muted">{text.not_captured}</p>}
        <div class="row wrap">
          <a class="btn" href={`/orders/${order.id}/invoice`} data-testid="to-invoice">{text.invoice}</a>
          <a class="btn quiet" href={`/watch/${order.live_id}`}>{text.to_live}</a>
        </div>
      </section>
      {order.refunds.length > 0 && (
        <section class="card panel stack" aria-labelledby="refunds-title" data-testid="refunds">
          <h2 id="refunds-title">{text.refunds}</h2>
          <ul class="stack">{order.refunds.map((refund) => <li key={refund.id}><RefundLine refund={refund} /></li>)}</ul>
          <p class="small muted">{text.refund_note}</p>
        </section>
      )}
    </>
  );
}
