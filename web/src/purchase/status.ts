/** Pure: what a purchase's state means for the person who bought. */

export type Outcome = "moving" | "paid" | "lost";

export interface PurchaseView {
  id: string;
  state: string;
  reason: string | null;
  orderId: string | null;
  holdExpiresAtMs: number;
  shortUnits: number;
  /** Given back so far; undefined: who told did not say. */
  refundedMinor?: number | undefined;
  declineCode?: string | null | undefined;
  paymentWait?: { position: number; estimateMs: number } | null | undefined;
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

/**
 * What a sheet shows of a purchase. queued: many pay at this moment, and this one has a place. checking: the provider
 * has not answered for so long that the buyer must be told. action: the buyer must do something. voucher: pay at a store, as who has just chosen it knows.
 */
export type Phase = "held" | "queued" | "paying" | "checking" | "action" | "voucher" | "paid" | "lost";

/** Longer than a slow bank takes. */
export const CHECKING_AFTER_MS = 4_000;

export function phaseOf(view: Pick<PurchaseView, "state" | "paymentWait">, seenForMs: number, voucher = false): Phase {
  const reached = outcome(view.state);
  if (reached !== "moving") return reached;
  if (view.state === "held") return "held";
  if (view.state === "requires_action") return voucher ? "voucher" : "action";
  if ((view.paymentWait ?? null) !== null) return "queued";
  return seenForMs >= CHECKING_AFTER_MS ? "checking" : "paying";
}

/** Why there is no order, or no longer one, as far as the buyer can do something about it or must know. */
export type Loss =
  | "declined" | "insufficient" | "expired-card" | "authentication" | "timed-out" | "late" | "payment-cancelled" | "refunded"
  | "stock-short" | "hold-expired" | "cancelled" | "other";

export function lossOf(view: Pick<PurchaseView, "state" | "reason" | "declineCode">): Loss {
  const reason = (view.reason ?? "").replace(/^\/problems\//, "");
  switch (reason) {
    case "stock-short": return view.state === "cancelled" ? "stock-short" : "other";
    case "action-timed-out": return "timed-out";
    case "late-payment-returned": return "late";
    case "payment-cancelled": return "payment-cancelled";
    case "payment-declined": return declineOf(view.declineCode ?? "");
    case "hold-expired": return "hold-expired";
    default: break;
  }
  if (view.state === "refunded") return "refunded";
  if (view.state === "expired") return "hold-expired";
  // A purchase that was refused says why in its reason, which is a problem's name.
  if (reason !== "") return "other";
  return view.state === "cancelled" ? "cancelled" : "declined";
}

/** Of the provider's many codes those that a buyer can do something about; the rest is not told apart (it helps thieves). */
function declineOf(code: string): Loss {
  if (/insufficient_funds|withdrawal_count_limit_exceeded|card_velocity_exceeded/.test(code)) return "insufficient";
  if (/^expired_card/.test(code)) return "expired-card";
  return /authentication/.test(code) ? "authentication" : "declined";
}

/** Would another card help? */
export function isAboutCard(loss: Loss): boolean {
  return loss === "declined" || loss === "insufficient" || loss === "expired-card" || loss === "authentication" || loss === "timed-out" || loss === "payment-cancelled";
}

/** Cancelled because the goods were not there after all; nothing was charged. */
export function isStockShort(state: string, reason: string | null): boolean {
  return state === "cancelled" && /^(\/problems\/)?stock-short$/.test(reason ?? "");
}

/** Paid, and some of it cannot be delivered at the moment. */
export function isDelayed(state: string, shortUnits: number): boolean {
  return outcome(state) === "paid" && shortUnits > 0;
}

/** Paid, and part of the money was given back. */
export function isPartlyRefunded(state: string, refundedMinor: number | undefined): boolean {
  return outcome(state) === "paid" && (refundedMinor ?? 0) > 0;
}

/** The hub and the polling tell of one purchase in any order: the higher version is the later word. */
export function later<V extends PurchaseView>(a: V, b: V | null | undefined): V {
  return b !== null && b !== undefined && b.id === a.id && b.version > a.version ? b : a;
}
