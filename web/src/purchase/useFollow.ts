import { useEffect, useState } from "preact/hooks";
import { api, seg } from "../api/client";
import type { Order, Purchase } from "../api/types";
import type { PurchaseStatus } from "../hub/model";
import { later, outcome, type PurchaseView } from "./status";

const POLL_MS = 1_500;
const WORTH_SAYING_MS = 1_000;

export function viewOf(purchase: Purchase): PurchaseView {
  return {
    id: purchase.id, state: purchase.state, reason: purchase.reason, orderId: purchase.order_id,
    holdExpiresAtMs: purchase.hold_expires_at_ms, shortUnits: purchase.short_units, refundedMinor: purchase.refunded_minor,
    declineCode: purchase.decline_code, version: purchase.version,
    paymentWait: waitOf(purchase.payments_before ?? 0, purchase.payment_estimate_ms ?? 0),
  };
}

function viewOfStatus(status: PurchaseStatus): PurchaseView {
  return {
    id: status.id, state: status.state, holdExpiresAtMs: status.holdExpiresAtMs, shortUnits: status.shortUnits, version: status.version,
    declineCode: status.declineCode === "" ? null : status.declineCode, paymentWait: waitOf(status.paymentsBefore, status.paymentEstimateMs),
    reason: status.reason === "" ? null : status.reason, orderId: status.orderId === "" ? null : status.orderId,
  };
}

/** Worth a word only where somebody notices it. */
function waitOf(position: number, estimateMs: number): PurchaseView["paymentWait"] {
  return position > 0 && estimateMs >= WORTH_SAYING_MS ? { position, estimateMs } : null;
}

export interface Followed {
  view: PurchaseView | null;
  order: Order | null;
  /** Something else asked, and this is what it was told. */
  learn: (purchase: Purchase) => void;
}

/** Follows a purchase to its end: by the hub as soon as it tells, and by asking, should the hub be away. */
export function useFollow(placed: Purchase | null, told: PurchaseStatus | undefined): Followed {
  const [polled, setPolled] = useState<PurchaseView | null>(null);
  const [order, setOrder] = useState<Order | null>(null);
  const view = placed === null ? null : fuller(later(latest(viewOf(placed), polled), told === undefined ? null : viewOfStatus(told)), polled);
  const moving = view !== null && outcome(view.state) === "moving";
  const id = view?.id ?? null;
  const orderId = view?.orderId ?? null;
  // The latest word about this purchase; the place in a queue moves without a new version.
  const learn = (purchase: Purchase): void => {
    const next = viewOf(purchase);
    setPolled((known) => (known === null || known.id !== next.id || known.version <= next.version ? next : known));
  };

  useEffect(() => {
    if (id === null || !moving) return undefined;
    const timer = setInterval(() => {
      // Asked again at the next tick.
      api.get<Purchase>(`/v1/purchases/${seg(id)}`).then(learn, () => undefined);
    }, POLL_MS);
    return () => clearInterval(timer);
  }, [id, moving]);

  useEffect(() => {
    setOrder(null);
    if (orderId === null) return undefined;
    let wanted = true;
    const ask = (triesLeft: number): void => {
      api.get<Order>(`/v1/orders/${seg(orderId)}`).then(
        (found) => { if (wanted) setOrder(found); },
        () => { if (wanted && triesLeft > 0) setTimeout(() => ask(triesLeft - 1), POLL_MS); },
      );
    };
    ask(10);
    return () => { wanted = false; };
  }, [orderId]);

  return { view, order, learn };
}

/** What was asked for is as good as what was known, and newer. */
function latest(placed: PurchaseView, polled: PurchaseView | null): PurchaseView {
  return polled !== null && polled.id === placed.id && polled.version >= placed.version ? polled : placed;
}

/** The hub says less of a payment than the interface: what it leaves out stays as it was last told. */
function fuller(view: PurchaseView, polled: PurchaseView | null): PurchaseView {
  if (polled === null || polled.id !== view.id || polled === view) return view;
  return {
    ...view,
    refundedMinor: view.refundedMinor ?? polled.refundedMinor, declineCode: view.declineCode ?? polled.declineCode,
  };
}
