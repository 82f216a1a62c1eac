import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { api, withQuery } from "../../api/client";
import type { Page, Purchase } from "../../api/types";
import { dateTime, money } from "../../i18n/format";
import { SandboxTag } from "../../payment/SandboxTag";
import { isDelayed, isStockShort } from "../../purchase/status";
import { MemberGate } from "../../ui/MemberGate";
import { query } from "../../ui/router";
import { Empty, Failed, Loading } from "../../ui/states";
import { words } from "../../ui/words";
import { buy } from "../watch/buy-texts";
import { OrderDetail } from "../watch/OrderDetail";
import { tagOf, TAG_LOOK } from "./order-state";
import { PurchasePage } from "./PurchasePage";
import { text } from "./texts";
import "./orders.css";

const PAGE = 20;
const REFRESH_MS = 5_000;

export function OrdersPage(): JSX.Element {
  // Where a bank or a wallet leads back to: first what became of that payment.
  const returned = new URLSearchParams(query.value).get("purchase");
  if (returned !== null) return <PurchasePage id={returned} />;
  return <MemberGate title={text.title} lead={text.gate_lead}><Orders /></MemberGate>;
}

function Orders(): JSX.Element {
  const [items, setItems] = useState<readonly Purchase[] | null>(null);
  const [cursor, setCursor] = useState<string | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  const page = (from: string | null): Promise<Page<Purchase>> => api.get<Page<Purchase>>(withQuery("/v1/purchases", { cursor: from, limit: PAGE }));
  const load = (from: string | null): void => {
    setProblem(null);
    page(from).then((next) => {
      setItems((known) => [...(from === null ? [] : (known ?? [])), ...next.items]);
      setCursor(next.next_cursor);
    }, setProblem);
  };
  useEffect(() => {
    load(null);
    // What moves is among the newest; older pages stay as they were read.
    const timer = setInterval(() => {
      if (document.hidden) return;
      page(null).then((next) => setItems((known) => merged(known, next.items)), () => undefined);
    }, REFRESH_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <main id="main" class="page orders-page" data-testid="orders-page">
      <div class="row wrap spread">
        <h1>{text.title}</h1>
        <div class="row wrap"><SandboxTag /><a class="btn small" href="/cards" data-testid="to-cards">{text.cards}</a></div>
      </div>
      {problem !== null && <Failed problem={problem} onRetry={() => load(cursor)} />}
      {items === null && problem === null && <Loading />}
      {items !== null && items.length === 0 && <div class="card"><Empty icon="bag">{text.none}</Empty></div>}
      {items !== null && items.length > 0 && <ul class="stack">{items.map((purchase) => <li key={purchase.id}><Row purchase={purchase} /></li>)}</ul>}
      {cursor !== null && <button type="button" class="btn" data-testid="more-orders" onClick={() => load(cursor)}>{words.more}</button>}
      <p><a class="small muted" href="/consents" data-testid="to-consents">{text.consents}</a></p>
    </main>
  );
}

function Row({ purchase }: { purchase: Purchase }): JSX.Element {
  const tag = tagOf(purchase.state, purchase.refunded_minor);
  const href = purchase.order_id === null ? `/purchases/${purchase.id}` : `/orders/${purchase.order_id}`;
  return (
    <article class="card panel stack" data-testid="order-row" data-state={purchase.state} data-tag={tag} data-refunded={purchase.refunded_minor ?? 0}>
      <div class="row wrap spread">
        <span class={TAG_LOOK[tag]}>{text[`tag_${tag}`]}</span>
        <span class="small muted num">{dateTime(purchase.placed_at_ms)}</span>
      </div>
      {purchase.order_id !== null ? <OrderDetail orderId={purchase.order_id} /> : (
        <p class="row spread"><span>{`× ${purchase.qty}`}</span><strong class="num">{money(purchase.total_minor, purchase.currency)}</strong></p>
      )}
      {(purchase.refunded_minor ?? 0) > 0 && (
        <p class="row spread refunded"><span>{text.refunded}</span><strong class="num">{money(-(purchase.refunded_minor ?? 0), purchase.currency)}</strong></p>
      )}
      {isDelayed(purchase.state, purchase.short_units) && <p class="notice">{buy.delayed}</p>}
      {isStockShort(purchase.state, purchase.reason) && <p class="notice">{buy.lost_short}</p>}
      <p><a class={tag === "action" ? "btn small primary" : "btn small"} href={href} data-testid="open-order">{tag === "action" ? text.go_on : text.open}</a></p>
    </article>
  );
}

/** The first page anew, over what is known of it; an order that is new comes on top. */
export function merged(known: readonly Purchase[] | null, first: readonly Purchase[]): readonly Purchase[] {
  const fresh = new Set(first.map(({ id }) => id));
  return [...first, ...(known ?? []).filter(({ id }) => !fresh.has(id))];
}
