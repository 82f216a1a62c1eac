/** Pure: what can be said of a pin's offers at this moment. */
import type { RoomOffer, RoomPin } from "../../hub/model";
import type { Room } from "../../hub/room";

/** soon: it is shown, and cannot be bought yet. */
export type OfferState = "soon" | "open" | "sold-out" | "over";

/** What the hub has told of units. */
export type Shelf = Pick<Room, "stock" | "offersLeft">;

/**
 * What a buyer can have of an offer: the stock, or what its quota leaves of it. A SKU the hub has not told of yet is
 * taken to be there (null): the server decides, and a card must not lie the other way.
 */
export function available({ stock, offersLeft }: Shelf, offer: RoomOffer): number | null {
  const units = stock.get(offer.skuId)?.available ?? null;
  if (offer.quota === 0) return units;
  const left = offersLeft.get(offer.id)?.left ?? offer.quota;
  return units === null ? (left === 0 ? 0 : null) : Math.min(units, left);
}

export function offerState(offer: RoomOffer, shelf: Shelf, nowMs: number): OfferState {
  if (offer.endsAtMs > 0 && nowMs >= offer.endsAtMs) return "over";
  if (nowMs < offer.startsAtMs) return "soon";
  return available(shelf, offer) === 0 ? "sold-out" : "open";
}

/** Until when what is shown of this pin depends on the time; 0 = it does not. */
export function timedUntil(pin: RoomPin): number {
  return Math.max(0, ...pin.offers.flatMap((offer) => [offer.startsAtMs, offer.endsAtMs]));
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
  /** When the first of them can be bought; 0 unless all are yet to come. */
  startsAtMs: number;
  endsAtMs: number;
  limit: number;
}

export function pinState(pin: RoomPin, shelf: Shelf, nowMs: number): PinState | null {
  const cheapest = [...pin.offers].sort((a, b) => a.priceMinor - b.priceMinor)[0];
  if (cheapest === undefined) return null;
  const states = pin.offers.map((offer) => offerState(offer, shelf, nowMs));
  const state = stateOf(states);
  const known = pin.offers.map((offer) => available(shelf, offer)).filter((units) => units !== null);
  const starts = pin.offers.map((offer) => offer.startsAtMs).filter((at) => at > nowMs);
  const ends = pin.offers.map((offer) => offer.endsAtMs).filter((at) => at > 0);
  return {
    state,
    priceMinor: cheapest.priceMinor,
    regularMinor: cheapest.regularPriceMinor,
    currency: cheapest.currency,
    from: pin.offers.some((offer) => offer.priceMinor !== cheapest.priceMinor),
    left: known.length === 0 ? null : known.reduce((sum, units) => sum + units, 0),
    startsAtMs: state === "soon" ? Math.min(...starts) : 0,
    endsAtMs: ends.length === 0 ? 0 : Math.min(...ends),
    limit: Math.max(0, ...pin.offers.map((offer) => offer.limitPerCustomer)),
  };
}

/** A pin is as good as the best of its variants. */
function stateOf(states: readonly OfferState[]): OfferState {
  if (states.includes("open")) return "open";
  if (states.includes("soon")) return "soon";
  return states.every((state) => state === "over") ? "over" : "sold-out";
}

/** How many can be chosen: the limit, what is left, and a number that fits a thumb. */
export const QTY_MAX = 10;

export function qtyMax(offer: RoomOffer, shelf: Shelf): number {
  const limit = offer.limitPerCustomer > 0 ? offer.limitPerCustomer : QTY_MAX;
  return Math.max(1, Math.min(QTY_MAX, limit, available(shelf, offer) ?? QTY_MAX));
}
