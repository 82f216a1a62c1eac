/** What brands and livers agree on, and what is owed and paid by it: every path, and the shapes that come back. */
import { api, call, seg, withQuery, type Query } from "./client";
import type { CreditLine, CreditState } from "./reports";
import type { Page } from "./types";

export interface Terms {
  rate_bp: number;
  product_rates: { product_id: string; rate_bp: number }[];
  from_ms: number;
  /** Exclusive; null: open. */
  to_ms: number | null;
  /** null: as the brand's rule says. */
  click_days: number | null;
  replay_days: number | null;
  pr_label: string;
  /** From the day of the stream, that day counted. */
  pay_within_days: number;
  refund_rule: "reverse";
  note: string;
}

export type Side = "brand" | "liver";

export interface Version extends Terms {
  version: number;
  proposed_by: Side;
  proposed_at_ms: number;
  brand_accepted_at_ms: number | null;
  liver_accepted_at_ms: number | null;
  ended_at_ms: number | null;
  state: "proposed" | "agreed" | "ended";
}

export interface Contract {
  contract_id: string;
  brand_id: string;
  brand_name: string;
  liver_id: string;
  liver_name: string;
  current: Version | null;
  proposed: Version | null;
  versions: Version[];
}

export type StatementState = "payable" | "paid" | "carried";

export interface Statement {
  statement_id: string;
  brand_id: string;
  brand_name: string;
  brand_registration: string | null;
  liver_id: string;
  liver_name: string;
  /** A month: "2026-11". */
  period: string;
  state: StatementState;
  earned_minor: number;
  /** Zero or negative. */
  reversed_minor: number;
  carried_in_minor: number;
  payable_minor: number;
  carried_out_minor: number;
  tax_minor: number;
  tax_rate_bp: number;
  registration: string | null;
  /** Of the tax, what the brand may deduct from its own. */
  deductible_bp: number;
  currency: string;
  lines: number;
  closed_at_ms: number;
  /** null: nothing is paid. */
  pay_by_ms: number | null;
  paid_at_ms: number | null;
  payment_reference: string | null;
}

/** What a month would come to for a liver. */
export type Draft = Pick<Statement, "liver_id" | "liver_name" | "state" | "lines" | "earned_minor" | "reversed_minor" | "carried_in_minor" | "payable_minor"
  | "carried_out_minor" | "tax_minor" | "tax_rate_bp" | "registration" | "deductible_bp" | "pay_by_ms">;

/** What somebody should look at. */
export interface Warning {
  kind: string;
  statement_id: string | null;
  liver_id: string;
  liver_name: string;
  ja: string;
  en: string;
}

export interface Preview {
  period: string;
  as_of_ms: number;
  /** The month is over. */
  closable: boolean;
  items: Draft[];
  warnings: Warning[];
}

export interface ClosedMonth {
  period: string;
  closed_at_ms: number;
  items: Statement[];
  warnings: Warning[];
}

export type StatementLine = Pick<CreditLine, "credit_id" | "at_ms" | "kind" | "order_number" | "order_line_id" | "product_title" | "variant" | "qty" | "base_minor"
  | "share_bp" | "commission_bp" | "commission_minor">;

export type EarningsLine = Pick<CreditLine, "credit_id" | "at_ms" | "kind" | "product_title" | "variant" | "qty" | "base_minor" | "commission_bp" | "commission_minor" | "state"> & {
  live_id: string;
  live_title: string;
  brand_id: string;
  brand_name: string;
  statement_id: string | null;
};

/** Money by how far it has come. */
export type ByState = Record<`${CreditState}_minor`, number>;

export interface EarningsRow extends Partial<ByState> {
  units: number;
  gross_minor: number;
  net_minor: number;
  commission_minor: number;
  brand_name?: string;
  title: string;
}

export interface Earnings extends ByState {
  by_live: (EarningsRow & { live_id: string | null })[];
  by_product: (EarningsRow & { product_id: string })[];
  as_of_ms: number;
}

const contract = (id: string): string => `/v1/contracts/${seg(id)}`;
const brand = (id: string): string => `/v1/brands/${seg(id)}`;
const statement = (id: string): string => `/v1/statements/${seg(id)}`;

export const contracts = {
  ofBrand: (brandId: string, cursor: string | null) => api.get<Page<Contract>>(withQuery(`${brand(brandId)}/contracts`, { cursor, limit: 50 })),
  mine: (cursor: string | null) => api.get<Page<Contract>>(withQuery("/v1/me/contracts", { cursor, limit: 50 })),
  load: (id: string) => api.get<Contract>(contract(id)),
  offer: (brandId: string, liverId: string, terms: Terms, idempotencyKey: string) =>
    api.post<Contract>(`${brand(brandId)}/contracts`, { liver_id: liverId, terms }, { idempotencyKey }),
  counter: (id: string, terms: Terms, idempotencyKey: string) => api.post<Contract>(`${contract(id)}/versions`, { terms }, { idempotencyKey }),
  accept: (id: string, version: number) => api.post<Contract>(`${contract(id)}/versions/${version}/accept`),
  decline: (id: string, version: number) => api.post<Contract>(`${contract(id)}/versions/${version}/decline`),
};

export const statements = {
  ofBrand: (brandId: string, period: string) => api.get<{ items: Statement[] }>(withQuery(`${brand(brandId)}/statements`, { period, limit: 200 })),
  preview: (brandId: string, period: string) => api.get<Preview>(withQuery(`${brand(brandId)}/statements/preview`, { period })),
  close: (brandId: string, period: string, idempotencyKey: string) => api.post<ClosedMonth>(`${brand(brandId)}/statements`, { period }, { idempotencyKey }),
  mine: (cursor: string | null) => api.get<Page<Statement>>(withQuery("/v1/me/statements", { cursor, limit: 50 })),
  load: (id: string) => api.get<Statement>(statement(id)),
  lines: (id: string, cursor: string | null) => api.get<Page<StatementLine>>(withQuery(`${statement(id)}/lines`, { cursor, limit: 200 })),
  paid: (id: string, reference: string, idempotencyKey: string) => api.post<Statement>(`${statement(id)}/paid`, { reference }, { idempotencyKey }),
  csvPath: (id: string) => `${statement(id)}/lines.csv`,
  payoutPath: (brandId: string, period: string, kind: "txt" | "csv") => `${brand(brandId)}/payouts/${seg(period)}.${kind}`,
};

export const earnings = {
  mine: (query: Query) => api.get<Earnings>(withQuery("/v1/me/earnings", query)),
  lines: (query: Query) => api.get<Page<EarningsLine>>(withQuery("/v1/me/earnings/lines", query)),
};

export const put = <T>(path: string, body: unknown): Promise<T> => call<T>("PUT", path, { body });

export type AccountType = "ordinary" | "current" | "savings";

/** Where a liver's money goes. */
export interface Payee {
  name_kana: string;
  /** Four digits. */
  bank_code: string;
  /** Three digits. */
  branch_code: string;
  account_type: AccountType;
  /** Seven digits. */
  account_number: string;
  holder_kana: string;
  /** T and 13 digits; null: not registered. */
  registration: string | null;
}

/** From where a brand pays. */
export interface Payer {
  /** What its bank calls the brand (委託者コード), up to ten digits. */
  consignor_code: string;
  name_kana: string;
  bank_code: string;
  branch_code: string;
  account_type: "ordinary" | "current";
  account_number: string;
}

export const payers = {
  of: (brandId: string) => api.get<Payer | null>(`${brand(brandId)}/payer`),
  save: (brandId: string, payer: Payer) => put<Payer>(`${brand(brandId)}/payer`, payer),
};

/** A brand's rule of whose a sale is. */
export interface Rule {
  version: number;
  click_days: number;
  replay_days: number;
  staff_days: number;
  staff_commission_bp: number;
  note: string;
  /** null: the house's, which always was. */
  from_ms: number | null;
}

export const rules = {
  of: (brandId: string) => api.get<Rule & { history: Rule[] }>(`${brand(brandId)}/rule`),
  save: (brandId: string, rule: Pick<Rule, "click_days" | "replay_days" | "staff_days" | "staff_commission_bp" | "note">) =>
    put<Rule & { history: Rule[] }>(`${brand(brandId)}/rule`, rule),
};

export const payees = {
  /** null: nothing is known yet. */
  mine: () => api.get<Payee | null>("/v1/me/payee"),
  save: (payee: Payee) => put<Payee>("/v1/me/payee", payee),
};
