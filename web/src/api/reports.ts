/** What was sold, by whom and through what: every path of the reports, and the shapes that come back. */
import { api, seg, withQuery, type Query } from "./client";
import type { Page } from "./types";

/** null: fewer than ten people, which nobody is told. */
export type People = number | null;

export interface Figures {
  orders: number;
  units: number;
  gross_minor: number;
  /** Zero or negative. */
  cancelled_minor: number;
  net_minor: number;
  commission_minor: number;
  /** Net sales by order. */
  aov_minor: number;
  buyers: People;
  new_buyers: People;
  returning_buyers: People;
  refund_rate_bp: number;
}

export const DIMENSIONS = ["live", "liver", "product", "sku", "day", "hour", "store", "channel", "campaign", "staff"] as const;
export type Dimension = (typeof DIMENSIONS)[number] | "brand";

export interface ReportRow {
  /** An id, a Japanese day ("2026-11-28"), an hour of the day ("00" to "23"), a channel or a campaign. */
  key: string;
  label: string;
  /** Below it; empty where there is nothing more to say. */
  label_sub: string;
  figures: Figures;
}

export interface Definition {
  name: string;
  ja: string;
  en: string;
}

export interface Report {
  /** null: of all brands. */
  brand_id?: string | null;
  by: Dimension;
  currency: string;
  from_ms: number | null;
  to_ms: number | null;
  as_of_ms: number;
  totals: Figures;
  previous: Figures | null;
  rows: ReportRow[];
  definitions: Definition[];
}

export interface AudienceRow {
  live_id: string;
  title: string;
  started_at_ms: number | null;
  ended_at_ms: number | null;
  peak_viewers: number;
  average_viewers_milli: number;
  /** To about 2 %. */
  unique_viewers: People;
  /** Of them, for three seconds or more; 0: nobody counted. */
  watchers: number;
  watched_ms: number;
  buyers: People;
  conversion_bp: number | null;
  gross_minor: number;
  net_minor: number;
}

export interface TimelineMinute {
  at_ms: number;
  viewers_peak: number;
  viewers_average_milli: number;
  orders: number;
  units: number;
  gross_minor: number;
  cancelled_minor: number;
  chat: number;
  questions: number;
}

export interface TimelinePin {
  pin_id: string;
  product_id: string;
  title: string;
  from_ms: number;
  to_ms: number | null;
  /** Different people who had it before them for a second. */
  shown_to: People;
  clickers: People;
  ctr_bp: number | null;
  orders: number;
  gross_minor: number;
}

export interface Timeline {
  live_id: string;
  title: string;
  started_at_ms: number | null;
  ended_at_ms: number | null;
  minutes: TimelineMinute[];
  pins: TimelinePin[];
  totals: Figures;
}

export interface Cohort {
  live_id: string;
  title: string;
  customers: People;
  ltv_90_minor: number | null;
  ltv_180_minor: number | null;
  ltv_365_minor: number | null;
  /** Whether so many days have passed for everybody. */
  complete_90: boolean;
  complete_180: boolean;
  complete_365: boolean;
}

export interface Assist {
  live_id: string;
  title: string;
  influenced_orders: number;
  influenced_minor: number;
}

export type CreditState = "estimated" | "confirmed" | "payable" | "paid";

/** A line of the ledger. */
export interface CreditLine {
  credit_id: string;
  at_ms: number;
  kind: "sale" | "reversal";
  order_id: string;
  order_number: string;
  order_line_id: string;
  live_id: string | null;
  /** null: `staff_id` is credited. */
  liver_id: string | null;
  staff_id: string | null;
  /** Of who is credited. */
  liver_name: string;
  product_title: string;
  variant: string | null;
  sku_id: string;
  qty: number;
  base_minor: number;
  share_bp: number;
  commission_bp: number;
  commission_minor: number;
  rule?: string;
  rule_version: number | string;
  state: CreditState;
}

export interface Step {
  rule: string;
  /** Fits, and is the one that decides. */
  decided?: boolean;
  matched: boolean;
  ja: string;
  en: string;
  touches: { touch_id: string; kind: string; live_title: string | null; at_ms: number }[];
}

/** A row of the ledger, as an explanation shows it. */
export interface ExplainedCredit {
  credit_id: string;
  kind: "sale" | "reversal";
  pool: "liver" | "staff";
  qty: number;
  base_minor: number;
  commission_bp: number;
  commission_minor: number;
  at_ms: number;
}

/** Why a sale is whose. */
export interface Attribution {
  order_number: string;
  order_line_id: string;
  product_title: string;
  variant: string | null;
  qty: number;
  amount_minor: number;
  sold_at_ms: number;
  owner: { liver_id: string; liver_name: string; live_id: string | null; live_title: string | null } | null;
  staff: { name: string; location: string | null } | null;
  /** Which step decided. */
  rule: string | null;
  rule_version: number;
  commission_bp: number;
  /** Deciding again gives what is stored. */
  recomputed: boolean;
  contract: { contract_id: string; version: number; rate_bp: number } | null;
  steps: Step[];
  assists: { live_id: string; title: string; kind: string; at_ms: number }[];
  credits: ExplainedCredit[];
  ja: string;
  en: string;
}

/** Whose figures: one brand's, or all of them for operators. */
export type Scope = { brandId: string } | "all";

const root = (scope: Scope): string => (scope === "all" ? "/v1/admin/reports" : `/v1/brands/${seg(scope.brandId)}/reports`);

const rowsOf = async <T>(brandId: string, name: string, query: Query): Promise<T[]> =>
  (await api.get<{ rows: T[] }>(withQuery(`${root({ brandId })}/${name}`, query))).rows;

export const reports = {
  by: (scope: Scope, by: Dimension, query: Query) => api.get<Report>(withQuery(`${root(scope)}/${by}`, query)),
  audience: (brandId: string, query: Query) => rowsOf<AudienceRow>(brandId, "audience", query),
  ltv: (brandId: string, query: Query) => rowsOf<Cohort>(brandId, "ltv", query),
  assists: (brandId: string, query: Query) => rowsOf<Assist>(brandId, "assists", query),
  timeline: (brandId: string, liveId: string) => api.get<Timeline>(`/v1/brands/${seg(brandId)}/lives/${seg(liveId)}/timeline`),
  lines: (brandId: string, query: Query) => api.get<Page<CreditLine>>(withQuery(`/v1/brands/${seg(brandId)}/report/lines`, query)),
  csvPath: (brandId: string, query: Query) => withQuery(`/v1/brands/${seg(brandId)}/report.csv`, query),
  attribution: (brandId: string, lineId: string) => api.get<Attribution>(`/v1/brands/${seg(brandId)}/order-lines/${seg(lineId)}/attribution`),
};
