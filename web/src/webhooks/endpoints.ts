/** Pure: what is typed of an endpoint, why it is refused, and how its deliveries are listed. */
import type { Problem } from "../api/problem";
import { EVENTS, type Delivery, type Endpoint, type EndpointFields, type WebhookEvent } from "../api/webhooks";

export const ENDPOINTS_MAX = 5;
export const URL_MAX = 500;
export const DESCRIPTION_MAX = 200;
/** A try may take so long; one that is due is on its way. */
const SOON_MS = 15_000;

export function fieldsOf(endpoint: Endpoint | null): EndpointFields {
  return endpoint === null ? { url: "", description: "", events: [...EVENTS] } : { url: endpoint.url, description: endpoint.description, events: endpoint.events };
}

export type FieldName = "url" | "events";

/** What is sent, or which field is wrong. Whether an address may be told is the server's to say. */
export function typedOf({ url, description, events }: EndpointFields): { fields: EndpointFields } | { wrong: FieldName } {
  const trimmed = url.trim();
  if (!isAddress(trimmed)) return { wrong: "url" };
  if (events.length === 0) return { wrong: "events" };
  return { fields: { url: trimmed, description: description.trim(), events: EVENTS.filter((event) => events.includes(event)) } };
}

function isAddress(text: string): boolean {
  try {
    return text.length <= URL_MAX && /^https?:$/.test(new URL(text).protocol);
  } catch {
    return false;
  }
}

/** Only what is different: another member may have changed the rest meanwhile. */
export function changesOf(before: EndpointFields, after: EndpointFields): Partial<EndpointFields> {
  const same = (a: readonly WebhookEvent[], b: readonly WebhookEvent[]): boolean => EVENTS.every((event) => a.includes(event) === b.includes(event));
  return {
    ...(before.url === after.url ? {} : { url: after.url }),
    ...(before.description === after.description ? {} : { description: after.description }),
    ...(same(before.events, after.events) ? {} : { events: after.events }),
  };
}

export type Refusal = "too_many" | "not_active" | "no_https" | "not_public" | "has_user" | "has_part" | "no_address";

const REFUSALS: readonly [Problem["kind"], RegExp, Refusal][] = [
  ["conflict", /at most \d+ webhook endpoints/, "too_many"],
  ["conflict", /told nothing now/, "not_active"],
  ["invalid-input", /begin with https/, "no_https"],
  ["invalid-input", /public address/, "not_public"],
  ["invalid-input", /user or password/, "has_user"],
  ["invalid-input", /part after #/, "has_part"],
  ["invalid-input", /^url(:| must be)/, "no_address"],
];

/** Refusals that people can do something about, by the server's words; null: its words must do. */
export function refusalOf({ kind, detail }: Pick<Problem, "kind" | "detail">): Refusal | null {
  return REFUSALS.find(([of, words]) => of === kind && words.test(detail))?.[2] ?? null;
}

/** Something is about to happen to it. */
export function isOnItsWay({ state, next_at_ms: next }: Pick<Delivery, "state" | "next_at_ms">, nowMs: number): boolean {
  return state === "waiting" && (next === null || next <= nowMs + SOON_MS);
}

/**
 * The newest page in place of what was known of it. What is older stays: it was loaded by hand. What should be on the page
 * and is not has left the list.
 */
export function merged(known: readonly Delivery[], page: { items: readonly Delivery[]; next_cursor: string | null }): Delivery[] {
  const last = page.items.at(-1);
  if (page.next_cursor === null || last === undefined) return [...page.items];
  return [...page.items, ...known.filter(({ message_id: id }) => id < last.message_id)];
}

/** For reading only: what is signed is the text as it came. */
export function pretty(body: string): string {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}
