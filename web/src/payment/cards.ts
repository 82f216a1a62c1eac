/** Pure: cards as people read and type them. */
import type { SavedCard, TestMethod } from "../api/types";

/** A card number as it is typed: digits alone. */
export function digits(typed: string): string {
  return typed.normalize("NFKC").replace(/\D/g, "");
}

const DIGITS_MAX = 19;

/** In groups of four, as it stands on a card. */
export function grouped(typed: string): string {
  return digits(typed).slice(0, DIGITS_MAX).replace(/(.{4})(?=.)/g, "$1 ");
}

/**
 * What a typed number stands for in the sandbox. The number stays in the page: the method's name is what is sent, so a
 * real number that somebody types by mistake goes nowhere.
 */
export function testCard(methods: readonly TestMethod[], typed: string): TestMethod | null {
  const number = digits(typed);
  return number === "" ? null : (methods.find((method) => method.number === number) ?? null);
}

const BRANDS: Record<string, string> = {
  visa: "Visa", mastercard: "Mastercard", amex: "American Express", jcb: "JCB", diners: "Diners Club", discover: "Discover", unionpay: "UnionPay",
};

/** The provider's word for a brand, as it stands on the card. */
export function brandName(brand: string): string {
  return BRANDS[brand.toLowerCase()] ?? (brand === "" ? "Card" : brand);
}

/** 09/31, as it stands on the card. */
export function expiry({ exp_month, exp_year }: Pick<SavedCard, "exp_month" | "exp_year">): string {
  return `${String(exp_month).padStart(2, "0")}/${String(exp_year % 100).padStart(2, "0")}`;
}

/** A card is good to the end of its month, in Japan's time. */
export function isExpired({ exp_month, exp_year }: Pick<SavedCard, "exp_month" | "exp_year">, nowMs: number): boolean {
  const tokyo = new Date(nowMs + 9 * 3_600_000);
  return exp_year * 12 + exp_month - 1 < tokyo.getUTCFullYear() * 12 + tokyo.getUTCMonth();
}
