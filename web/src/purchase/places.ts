/** Pure: where a person stands on the waitlists of a live, from what the hub and REST have told. */
import type { Wait as RestWait } from "../api/types";
import type { PurchaseStatus, Wait } from "../hub/model";
import type { Room } from "../hub/room";

/** What is known of the person. */
export type Affairs = Pick<Room, "waits" | "purchases">;

export { purchaseOfRest as statusOf } from "../hub/rest";

/**
 * none: not on the list, or no longer by own choice, or it ended in a purchase. turn: units are held for the person;
 * `purchase` is null until it is known. missed: they were, and the time ran out. lapsed: the list ended for a reason.
 */
export type Place =
  | { kind: "none" }
  | { kind: "waiting"; wait: Wait }
  | { kind: "turn"; purchaseId: string; purchase: PurchaseStatus | null }
  | { kind: "missed" }
  | { kind: "lapsed"; reason: string };

const NONE: Place = { kind: "none" };

export function placeOf(known: Affairs, offerId: string, nowMs: number): Place {
  const turn = openTurns(known, nowMs).find((purchase) => offerOf(purchase) === offerId);
  if (turn !== undefined) return { kind: "turn", purchaseId: turn.id, purchase: turn };
  const wait = newestWait(known, offerId);
  if (wait === null) return NONE;
  const purchase = purchaseFor(known, wait);
  switch (wait.state) {
    case "waiting":
      return purchase === null ? { kind: "waiting", wait } : after(purchase, nowMs);
    case "offered":
      if (purchase !== null) return after(purchase, nowMs);
      return wait.purchaseId === "" ? { kind: "waiting", wait } : { kind: "turn", purchaseId: wait.purchaseId, purchase: null };
    case "lapsed":
      return bare(wait.reason) === "hold-expired" ? { kind: "missed" } : { kind: "lapsed", reason: bare(wait.reason) };
    default:
      return NONE;
  }
}

/** Holds that wait for the person to pay, the most urgent first. */
export function openTurns(known: Affairs, nowMs: number): PurchaseStatus[] {
  return [...known.purchases.values()]
    .filter((purchase) => purchase.waitId !== "" && purchase.state === "held" && purchase.holdExpiresAtMs > nowMs)
    .sort((a, b) => a.holdExpiresAtMs - b.holdExpiresAtMs);
}

/** Until when what is shown of turns depends on the time; 0 = there is none. */
export function turnsUntil(known: Affairs): number {
  const held = [...known.purchases.values()].filter((purchase) => purchase.waitId !== "" && purchase.state === "held");
  return Math.max(0, ...held.map((purchase) => purchase.holdExpiresAtMs));
}

/** Purchases that an offered place names and nobody has told of yet: to be asked for. One per offer, the newest. */
export function unknownTurns(known: Affairs): string[] {
  const offers = new Set([...known.waits.values()].map((wait) => wait.offerId));
  return [...offers].flatMap((offerId) => {
    const wait = newestWait(known, offerId);
    return wait?.state === "offered" && wait.purchaseId !== "" && !known.purchases.has(wait.purchaseId) ? [wait.purchaseId] : [];
  });
}

export function offerOf(purchase: PurchaseStatus): string | null {
  return purchase.lines[0]?.offerId ?? null;
}

/** A place given back counts at once; the server's own word has the same version or a later one. */
export function leftBy(wait: Wait): Wait {
  return { ...wait, state: "left", version: wait.version + 1 };
}

export function waitOf(rest: RestWait): Wait {
  return {
    id: rest.id, offerId: rest.offer_id, skuId: rest.sku_id, qty: rest.qty, state: rest.state, reason: rest.reason ?? "",
    purchaseId: rest.purchase_id ?? "", joinedAtMs: rest.joined_at_ms, version: rest.version,
  };
}

function newestWait(known: Affairs, offerId: string): Wait | null {
  const waits = [...known.waits.values()].filter((wait) => wait.offerId === offerId);
  return waits.sort((a, b) => b.joinedAtMs - a.joinedAtMs || (a.id < b.id ? 1 : -1))[0] ?? null;
}

/** The hold may be told before the place that it was given for, or after it. */
function purchaseFor(known: Affairs, wait: Wait): PurchaseStatus | null {
  const named = known.purchases.get(wait.purchaseId);
  return named ?? [...known.purchases.values()].find((purchase) => purchase.waitId === wait.id) ?? null;
}

function after(purchase: PurchaseStatus, nowMs: number): Place {
  if (purchase.state === "expired") return { kind: "missed" };
  if (purchase.state !== "held") return NONE;
  return purchase.holdExpiresAtMs > nowMs ? { kind: "turn", purchaseId: purchase.id, purchase } : { kind: "missed" };
}

function bare(reason: string): string {
  return reason.replace(/^\/problems\//, "");
}
