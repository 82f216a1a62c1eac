import { useEffect, useState } from "preact/hooks";
import { api, seg } from "../api/client";
import type { Order, Purchase } from "../api/types";
import type { PurchaseStatus } from "../hub/model";
import { later, outcome, type PurchaseView } from "./status";

const POLL_MS = 1_500;

export function viewOf(purchase: Purchase): PurchaseView {
  return {
    id: purchase.id, state: purchase.state, reason: purchase.reason, orderId: purchase.order_id,
    holdExpiresAtMs: purchase.hold_expires_at_ms, shortUnits: purchase.short_units, version: purchase.version,
  };
}

function viewOfStatus(status: PurchaseStatus): PurchaseView {
  return {
    id: status.id, state: status.state, holdExpiresAtMs: status.holdExpiresAtMs, shortUnits: status.shortUnits, version: status.version,
    reason: status.reason === "" ? null : status.reason, orderId: status.orderId === "" ? null : status.orderId,
  };
}

export interface Followed {
  view: PurchaseView | null;
  order: Order | null;
}

/** Follows a purchase to its end: by the hub as soon as it tells, and by asking, should the hub be away. */
export function useFollow(placed: Purchase | null, told: PurchaseStatus | undefined): Followed {
  const [polled, setPolled] = useState<PurchaseView | null>(null);
  const [order, setOrder] = useState<Order | null>(null);
  const view = placed === null ? null : later(later(viewOf(placed), polled), told === undefined ? null : viewOfStatus(told));
  const moving = view !== null && outcome(view.state) === "moving";
  const id = view?.id ?? null;
  const orderId = view?.orderId ?? null;

  useEffect(() => {
    if (id === null || !moving) return undefined;
    const timer = setInterval(() => {
      api.get<Purchase>(`/v1/purchases/${seg(id)}`).then(
        (purchase) => setPolled((known) => (known === null ? viewOf(purchase) : later(known, viewOf(purchase)))),
        () => undefined, // Asked again at the next tick.
      );
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

  return { view, order };
}
