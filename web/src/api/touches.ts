/** How people came to what they bought: their consent, and the codes they followed or named. */
import { api, call, seg } from "./client";

export interface Consent {
  /** null: not asked yet, which is no. */
  given: boolean | null;
  at_ms: number | null;
}

export type TouchKind = "link" | "staff_code";

export interface StaffCode {
  code: string;
  location_id: string;
  location_name: string;
  display_name: string;
}

export interface ShareLink {
  code: string;
  live_id: string;
  product_id: string | null;
  campaign: string | null;
  created_at_ms: number;
}

export const touches = {
  consent: () => api.get<Consent>("/v1/me/consents/touches"),
  answer: (given: boolean) => call<Consent>("PUT", "/v1/me/consents/touches", { body: { given } }),
  /** Answers whose staff code it was. */
  note: (kind: TouchKind, code: string, liveId: string | null) =>
    api.post<{ name: string | null }>("/v1/touches", { kind, code, ...(liveId === null ? {} : { live_id: liveId }) }),
  staffCodes: async () => (await api.get<{ items: StaffCode[] }>("/v1/staff/codes")).items,
  makeStaffCode: (locationId: string, idempotencyKey: string) => api.post<StaffCode>("/v1/staff/codes", { location_id: locationId }, { idempotencyKey }),
  links: async (liveId: string) => (await api.get<{ items: ShareLink[] }>(`/v1/lives/${seg(liveId)}/links`)).items,
  makeLink: (liveId: string, campaign: string, idempotencyKey: string) =>
    api.post<ShareLink>(`/v1/lives/${seg(liveId)}/links`, campaign === "" ? {} : { campaign }, { idempotencyKey }),
};
