/** Pure: what a purchase's state means for the person who bought. */

export type Outcome = "moving" | "paid" | "lost";

export interface PurchaseView {
  id: string;
  state: string;
  reason: string | null;
  orderId: string | null;
  holdExpiresAtMs: number;
  shortUnits: number;
  version: number;
}

export function outcome(state: string): Outcome {
  switch (state) {
    case "authorized": case "captured": case "fulfilled":
      return "paid";
    case "refused": case "expired": case "failed": case "cancelled": case "refunded":
      return "lost";
    default:
      // A state of a later contract is on its way somewhere.
      return "moving";
  }
}

/** Cancelled because the goods were not there after all; nothing was charged. */
export function isStockShort(state: string, reason: string | null): boolean {
  return state === "cancelled" && /^(\/problems\/)?stock-short$/.test(reason ?? "");
}

/** Paid, and some of it cannot be delivered at the moment. */
export function isDelayed(state: string, shortUnits: number): boolean {
  return outcome(state) === "paid" && shortUnits > 0;
}

/** The hub and the polling tell of one purchase in any order: the higher version is the later word. */
export function later<V extends PurchaseView>(a: V, b: V | null | undefined): V {
  return b !== null && b !== undefined && b.id === a.id && b.version > a.version ? b : a;
}
