/** Pure: what the pin form's fields ask for. */
import type { PinRequest } from "../../api/types";

export const QUOTA_MAX = 1_000_000;
export const STARTS_IN_S_MAX = 86_400;

/** As they were typed. */
export interface PinFields {
  price: string;
  limit: string;
  minutes: string;
  quota: string;
  startsInS: string;
}

export const EMPTY_FIELDS: PinFields = { price: "", limit: "", minutes: "", quota: "", startsInS: "" };

/** Whole numbers only; an empty field means "not set". What is too large is for the form, and the server, to refuse. */
export function whole(value: string, min: number): number | null {
  const number = Number(value);
  return value.trim() !== "" && Number.isInteger(number) && number >= min ? number : null;
}

export function pinRequest(productId: string, fields: PinFields): PinRequest {
  const request: PinRequest = { product_id: productId };
  const [price, limit, minutes, quota] = [whole(fields.price, 1), whole(fields.limit, 1), whole(fields.minutes, 1), whole(fields.quota, 1)];
  const startsInS = whole(fields.startsInS, 0);
  if (price !== null) request.live_price_minor = price;
  if (limit !== null) request.limit_per_customer = limit;
  if (minutes !== null) request.ends_in_s = minutes * 60;
  if (quota !== null) request.quota = quota;
  if (startsInS !== null) request.starts_in_s = startsInS;
  return request;
}
