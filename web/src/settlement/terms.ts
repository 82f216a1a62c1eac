/** Pure: terms as they are typed, as they are kept, and what changes between two of them. */
import type { Contract, Side, Terms, Version } from "../api/settlement";
import type { Me } from "../api/types";
import { addDays, dayOf, isDay, startOf } from "../reports/range";

export interface Fields {
  rate: string;
  products: { productId: string; rate: string }[];
  from: string;
  /** Its last day; empty: open. */
  to: string;
  /** Empty: as the brand's rule says. */
  clickDays: string;
  replayDays: string;
  prLabel: string;
  payDays: string;
  note: string;
}

export type FieldName = keyof Fields;

/** Freelance Act, Article 4. */
export const PAY_DAYS_MAX = 60;
export const CLICK_DAYS_MAX = 30;
export const REPLAY_DAYS_MAX = 90;

/** "12.5" or "１２．５％" as basis points; null where it is none between 0 and 100 with at most two decimals. */
export function basisPoints(text: string): number | null {
  const plain = text.normalize("NFKC").replace(/%$/, "").trim();
  const found = /^(\d{1,3})(?:\.(\d{1,2}))?$/.exec(plain);
  if (found === null) return null;
  const value = Number(found[1]) * 100 + Number((found[2] ?? "").padEnd(2, "0"));
  return value <= 10_000 ? value : null;
}

function whole(text: string, min: number, max: number): number | null {
  const plain = text.normalize("NFKC").trim();
  const value = Number(plain);
  return /^\d{1,3}$/.test(plain) && value >= min && value <= max ? value : null;
}

export function percentText(bp: number): string {
  return String(bp / 100);
}

export function firstFields(nowMs: number): Fields {
  return { rate: "10", products: [], from: dayOf(nowMs), to: "", clickDays: "", replayDays: "", prLabel: "PR", payDays: String(PAY_DAYS_MAX), note: "" };
}

/** A proposal begins with what was agreed or proposed last, from today on. */
export function fieldsOf(terms: Terms, nowMs: number): Fields {
  const days = (value: number | null): string => (value === null ? "" : String(value));
  return {
    rate: percentText(terms.rate_bp),
    products: terms.product_rates.map(({ product_id, rate_bp }) => ({ productId: product_id, rate: percentText(rate_bp) })),
    from: dayOf(Math.max(terms.from_ms, nowMs)), to: terms.to_ms === null ? "" : dayOf(terms.to_ms - 1),
    clickDays: days(terms.click_days), replayDays: days(terms.replay_days), prLabel: terms.pr_label, payDays: String(terms.pay_within_days), note: terms.note,
  };
}

/** The terms, or the first field that is wrong. */
export function termsOf(fields: Fields): { terms: Terms } | { wrong: FieldName } {
  const rate = basisPoints(fields.rate);
  if (rate === null) return { wrong: "rate" };
  const products = fields.products.filter(({ productId }) => productId !== "").map(({ productId, rate: text }) => ({ product_id: productId, rate_bp: basisPoints(text) }));
  if (products.some(({ rate_bp }) => rate_bp === null) || new Set(products.map(({ product_id }) => product_id)).size !== products.length) return { wrong: "products" };
  if (!isDay(fields.from)) return { wrong: "from" };
  if (fields.to !== "" && (!isDay(fields.to) || fields.to < fields.from)) return { wrong: "to" };
  const click = fields.clickDays === "" ? null : whole(fields.clickDays, 0, CLICK_DAYS_MAX);
  if (click === null && fields.clickDays !== "") return { wrong: "clickDays" };
  const replay = fields.replayDays === "" ? null : whole(fields.replayDays, 0, REPLAY_DAYS_MAX);
  if (replay === null && fields.replayDays !== "") return { wrong: "replayDays" };
  if (fields.prLabel.trim() === "") return { wrong: "prLabel" };
  const pay = whole(fields.payDays, 1, PAY_DAYS_MAX);
  if (pay === null) return { wrong: "payDays" };
  return {
    terms: {
      rate_bp: rate, product_rates: products.map(({ product_id, rate_bp }) => ({ product_id, rate_bp: rate_bp ?? 0 })),
      from_ms: startOf(fields.from), to_ms: fields.to === "" ? null : startOf(addDays(fields.to, 1)),
      click_days: click, replay_days: replay, pr_label: fields.prLabel.trim(), pay_within_days: pay, refund_rule: "reverse", note: fields.note.trim(),
    },
  };
}

export const TERM_NAMES = ["rate_bp", "product_rates", "period", "click_days", "replay_days", "pr_label", "pay_within_days", "refund_rule", "note"] as const;
export type TermName = (typeof TERM_NAMES)[number];

/** Whether this term is another one than before; nothing is, where there was nothing. */
export function differs(name: TermName, now: Terms, before: Terms | null): boolean {
  if (before === null) return false;
  if (name === "period") return now.from_ms !== before.from_ms || now.to_ms !== before.to_ms;
  if (name === "product_rates") return rates(now) !== rates(before);
  return now[name] !== before[name];
}

function rates(terms: Terms): string {
  return terms.product_rates.map(({ product_id, rate_bp }) => `${product_id} ${rate_bp}`).sort().join("\n");
}

/** Whose side somebody is on. Who is on both (a demo, or a brand that streams itself) speaks for the brand. */
export function sideOf(person: Me | null | undefined, contract: Pick<Contract, "brand_id" | "liver_id">): Side | null {
  if (person === null || person === undefined) return null;
  if (person.brands.some(({ id }) => id === contract.brand_id)) return "brand";
  return person.liver_id === contract.liver_id ? "liver" : null;
}

/** What this side can do with a version: answer the other's proposal, or take its own back. */
export function turnOf(version: Version, side: Side | null): "answer" | "withdraw" | null {
  if (side === null || version.state !== "proposed") return null;
  const accepted = side === "brand" ? version.brand_accepted_at_ms : version.liver_accepted_at_ms;
  return accepted === null ? "answer" : "withdraw";
}

/** The version that a proposal is compared with: what counts, or else what was agreed before it. */
export function before(contract: Contract, version: Version): Version | null {
  if (contract.current !== null && contract.current.version !== version.version) return contract.current;
  return contract.versions.filter((one) => one.version < version.version && one.state === "agreed").sort((a, b) => b.version - a.version)[0] ?? null;
}
