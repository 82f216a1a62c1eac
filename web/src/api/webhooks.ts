/** What a brand's own systems are told, and where: its endpoints, their secrets, and what became of each delivery. */
import { api, seg, withQuery } from "./client";
import type { Page } from "./types";

/** What can be listened to. */
export const EVENTS = ["credit.created", "statement.closed"] as const;
export type WebhookEvent = (typeof EVENTS)[number];

export interface Endpoint {
  endpoint_id: string;
  brand_id: string;
  url: string;
  description: string;
  events: WebhookEvent[];
  state: "active" | "paused" | "disabled";
  /** gone: it answered 410. failing: nothing came through for five days. */
  disabled_because: "gone" | "failing" | null;
  failing_since_ms: number | null;
  /** Deliveries on their way. */
  waiting: number;
  /** Deliveries that were given up. */
  failed: number;
  delivered_at_ms: number | null;
  /** The secret before signs until then, too. */
  old_secret_until_ms: number | null;
  created_at_ms: number;
}

export interface NewSecret {
  endpoint: Endpoint;
  /** Told once. */
  secret: string;
}

export const DELIVERY_STATES = ["waiting", "delivered", "failed"] as const;
export type DeliveryState = (typeof DELIVERY_STATES)[number];
export type Fault = "status" | "timeout" | "unreachable" | "address" | "tls" | "redirect";

export interface Delivery {
  message_id: string;
  endpoint_id: string;
  event: WebhookEvent | "endpoint.test";
  subject_id: string;
  state: DeliveryState;
  tries: number;
  next_at_ms: number | null;
  /** Of the last answer. */
  status: number | null;
  fault: Fault | null;
  created_at_ms: number;
  last_at_ms: number | null;
}

export interface DeliveryWithBody extends Delivery {
  /** What is signed, byte for byte. */
  body: string;
}

export interface EndpointFields {
  url: string;
  description: string;
  events: WebhookEvent[];
}

const ofBrand = (brandId: string): string => `/v1/brands/${seg(brandId)}/webhook-endpoints`;
const one = (id: string): string => `/v1/webhook-endpoints/${seg(id)}`;
const delivery = (id: string, message: string): string => `${one(id)}/deliveries/${seg(message)}`;

export const webhooks = {
  list: async (brandId: string) => (await api.get<{ items: Endpoint[] }>(ofBrand(brandId))).items,
  add: (brandId: string, fields: EndpointFields, idempotencyKey: string) => api.post<NewSecret>(ofBrand(brandId), fields, { idempotencyKey }),
  change: (id: string, changes: Partial<EndpointFields> & { state?: "active" | "paused" }) => api.patch<Endpoint>(one(id), changes),
  remove: (id: string) => api.remove(one(id)),
  renew: (id: string, idempotencyKey: string) => api.post<NewSecret>(`${one(id)}/secret`, {}, { idempotencyKey }),
  test: (id: string, idempotencyKey: string) => api.post<Delivery>(`${one(id)}/test`, {}, { idempotencyKey }),
  deliveries: (id: string, state: DeliveryState | null, cursor: string | null, limit: number) =>
    api.get<Page<Delivery>>(withQuery(`${one(id)}/deliveries`, { state, cursor, limit })),
  delivery: (id: string, message: string) => api.get<DeliveryWithBody>(delivery(id, message)),
  resend: (id: string, message: string) => api.post<Delivery>(`${delivery(id, message)}/resend`),
  resendFailed: (id: string) => api.post<{ resent: number }>(`${one(id)}/resend`),
};
