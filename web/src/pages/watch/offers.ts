/** Pure: what can be said of a pin's offers at this moment. */
import type { RoomOffer, RoomPin, Stock } from "../../hub/model";

export type OfferState = "open" | "sold-out" | "over";

/** A SKU the hub has not told of yet is taken to be there: the server decides, and a card must not lie the other way. */
export function available(stock: ReadonlyMap<string, Stock>, skuId: string): number | null {
  return stock.get(skuId)?.available ?? null;
}

export function offerState(offer: RoomOffer, stock: ReadonlyMap<string, Stock>, nowMs: number): OfferState {
  if (offer.endsAtMs > 0 && nowMs >= offer.endsAtMs) return "over";
  return available(stock, offer.skuId) === 0 ? "sold-out" : "open";
}

export interface PinState {
  state: OfferState;
  /** The lowest live price, and its regular price. */
  priceMinor: number;
  regularMinor: number;
  currency: string;
  /** More than one price among the variants. */
  from: boolean;
  /** Over all variants; null when nothing is known. */
  left: number | null;
  endsAtMs: number;
  limit: number;
}

export function pinState(pin: RoomPin, stock: ReadonlyMap<string, Stock>, nowMs: number): PinState | null {
  const cheapest = [...pin.offers].sort((a, b) => a.priceMinor - b.priceMinor)[0];
  if (cheapest === undefined) return null;
  const states = pin.offers.map((offer) => offerState(offer, stock, nowMs));
  const known = pin.offers.map((offer) => available(stock, offer.skuId)).filter((units) => units !== null);
  const ends = pin.offers.map((offer) => offer.endsAtMs).filter((at) => at > 0);
  return {
    state: states.includes("open") ? "open" : states.every((state) => state === "over") ? "over" : "sold-out",
    priceMinor: cheapest.priceMinor,
    regularMinor: cheapest.regularPriceMinor,
    currency: cheapest.currency,
    from: pin.offers.some((offer) => offer.priceMinor !== cheapest.priceMinor),
    left: known.length === 0 ? null : known.reduce((sum, units) => sum + units, 0),
    endsAtMs: ends.length === 0 ? 0 : Math.min(...ends),
    limit: Math.max(0, ...pin.offers.map((offer) => offer.limitPerCustomer)),
  };
}

/** How many can be chosen: the limit, what is left, and a number that fits a thumb. */
export const QTY_MAX = 10;

export function qtyMax(offer: RoomOffer, stock: ReadonlyMap<string, Stock>): number {
  const limit = offer.limitPerCustomer > 0 ? offer.limitPerCustomer : QTY_MAX;
  return Math.max(1, Math.min(QTY_MAX, limit, available(stock, offer.skuId) ?? QTY_MAX));
}
