import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { api, seg, withQuery } from "../../api/client";
import { explain } from "../../api/problem-texts";
import type { BrandOrder, Page, Purchase, Refund } from "../../api/types";
import { dateTime, money } from "../../i18n/format";
import { SandboxTag } from "../../payment/SandboxTag";
import { Sheet } from "../../ui/Sheet";
import { Empty, Failed, Loading } from "../../ui/states";
import { useLoad } from "../../ui/useLoad";
import { toast } from "../../ui/toast";
import { words } from "../../ui/words";
import { tagOf, TAG_LOOK } from "../orders/order-state";
import { RefundLine } from "../orders/RefundLine";
import { text as order } from "../orders/texts";
import { canRefund, canShip } from "./refund";
import { orders } from "./orders-texts";
import { RefundSheet } from "./RefundSheet";
import "../orders/orders.css";

const PAGE = 20;
const REFRESH_MS = 5_000;

/** A brand's orders, with what can be done about them. */
export function OrdersView({ brandId }: { brandId: string }): JSX.Element {
  const [items, setItems] = useState<readonly BrandOrder[] | null>(null);
  const [cursor, setCursor] = useState<string | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  const [open, setOpen] = useState<{ what: "ship" | "refund"; order: BrandOrder } | null>(null);
  const page = (from: string | null): Promise<Page<BrandOrder>> => api.get<Page<BrandOrder>>(withQuery(`/v1/brands/${seg(brandId)}/orders`, { cursor: from, limit: PAGE }));
  const load = (from: string | null): void => {
    setProblem(null);
    page(from).then((next) => {
      setItems((known) => [...(from === null ? [] : (known ?? [])), ...next.items]);
      setCursor(next.next_cursor);
    }, setProblem);
  };
  const refresh = (): void => {
    page(null).then((next) => setItems((known) => {
      const fresh = new Set(next.items.map(({ id }) => id));
      return [...next.items, ...(known ?? []).filter(({ id }) => !fresh.has(id))];
    }), () => undefined);
  };
  useEffect(() => {
    load(null);
    const timer = setInterval(() => { if (!document.hidden) refresh(); }, REFRESH_MS);
    return () => clearInterval(timer);
  }, [brandId]);

  return (
    <section class="stack brand-orders" aria-labelledby="orders-title" data-testid="brand-orders">
      <div class="row"><h1 id="orders-title">{orders.title}</h1><SandboxTag /></div>
      {problem !== null && <Failed problem={problem} onRetry={() => load(cursor)} />}
      {items === null && problem === null && <Loading />}
      {items !== null && items.length === 0 && <div class="card"><Empty icon="bag">{orders.none}</Empty></div>}
      {items !== null && items.length > 0 && (
        <ul class="stack">{items.map((item) => (
          <li key={item.id}><Row order={item} onShip={() => setOpen({ what: "ship", order: item })} onRefund={() => setOpen({ what: "refund", order: item })} /></li>
        ))}</ul>
      )}
      {cursor !== null && <button type="button" class="btn" data-testid="more-brand-orders" onClick={() => load(cursor)}>{words.more}</button>}
      {open?.what === "ship" && <ShipSheet order={open.order} onClose={() => setOpen(null)} onDone={() => { setOpen(null); refresh(); }} />}
      {open?.what === "refund" && <RefundSheet order={open.order} onClose={() => setOpen(null)} onDone={() => { setOpen(null); refresh(); }} />}
    </section>
  );
}

function Row({ order: of, onShip, onRefund }: { order: BrandOrder; onShip: () => void; onRefund: () => void }): JSX.Element {
  const tag = tagOf(of.state, of.refunded_minor);
  return (
    <article class="card panel stack" data-testid="brand-order" data-order={of.id} data-state={of.state} data-tag={tag}>
      <div class="row wrap spread">
        <h2 class="num">{of.number}</h2>
        <span class="row wrap"><span class={TAG_LOOK[tag]}>{order[`tag_${tag}`]}</span><span class="small muted num">{dateTime(of.placed_at_ms)}</span></span>
      </div>
      <table class="num goods">
        <caption class="sr">{orders.items}</caption>
        <tbody>{of.lines.map((line) => (
          <tr key={line.id}>
            <th scope="row">{line.product_title}{line.variant !== null && line.variant !== "" && ` / ${line.variant}`}</th>
            <td>× {line.qty}{line.returned_qty > 0 && <span class="returned"> −{line.returned_qty}</span>}</td>
            <td>{money(line.amount_minor, of.currency)}{line.refunded_minor > 0 && <span class="returned"> {money(-line.refunded_minor, of.currency)}</span>}</td>
          </tr>
        ))}</tbody>
      </table>
      {of.refunded_minor > 0 && <Refunds orderId={of.id} refundedMinor={of.refunded_minor} />}
      {(canShip(of) || canRefund(of)) && (
        <div class="row wrap">
          {canShip(of) && <button type="button" class="btn small ink" data-testid="ship" onClick={onShip}>{orders.ship}</button>}
          {canRefund(of) && <button type="button" class="btn small danger" data-testid="refund-open" onClick={onRefund}>{orders.refund}</button>}
        </div>
      )}
    </article>
  );
}

/** How each refund of an order stands; asked again when there is one more, and while one is on its way. */
function Refunds({ orderId, refundedMinor }: { orderId: string; refundedMinor: number }): JSX.Element {
  const { value, reload } = useLoad(() => api.get<Pick<Page<Refund>, "items">>(`/v1/orders/${seg(orderId)}/refunds`), [orderId, refundedMinor]);
  const pending = value?.items.some(({ state }) => state === "pending") === true;
  useEffect(() => {
    if (!pending) return undefined;
    const timer = setInterval(reload, REFRESH_MS);
    return () => clearInterval(timer);
  }, [pending]);
  return <>{value?.items.map((refund) => <RefundLine key={refund.id} refund={refund} seller />)}</>;
}

function ShipSheet({ order: of, onClose, onDone }: { order: BrandOrder; onClose: () => void; onDone: () => void }): JSX.Element {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const ship = (): void => {
    setBusy(true);
    setProblem(null);
    api.post<Purchase>(`/v1/orders/${seg(of.id)}/fulfilment`).then(() => {
      toast(orders.shipped);
      onDone();
    }, setProblem).finally(() => setBusy(false));
  };
  return (
    <Sheet title={orders.ship_title} onClose={onClose} testId="ship-sheet">
      <div class="stack">
        <p class="num">{of.number}</p>
        <p>{orders.ship_text}</p>
        {problem !== null && <p class="notice bad" role="alert">{explain(problem)}</p>}
        <button type="button" class="btn primary wide" disabled={busy} data-testid="ship-confirm" onClick={ship}>{orders.ship}</button>
        <button type="button" class="btn wide" onClick={onClose}>{words.cancel}</button>
      </div>
    </Sheet>
  );
}
