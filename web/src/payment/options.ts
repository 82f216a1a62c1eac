/** Edge: how this shop is paid, and the person's saved cards. */
import { signal } from "@preact/signals";
import { api, seg } from "../api/client";
import { me } from "../api/session";
import type { CardSetup, Page, PaymentOptions, SavedCard } from "../api/types";

/** What the server has said; null until then. */
export const known = signal<PaymentOptions | null>(null);
let loading: Promise<PaymentOptions> | null = null;

/** Asked once: it changes only with the server's configuration. A failure is asked again. */
export function paymentOptions(): Promise<PaymentOptions> {
  loading ??= api.get<PaymentOptions>("/v1/payment-options").then(
    (options) => (known.value = options),
    (thrown: unknown) => {
      loading = null;
      throw thrown;
    },
  );
  return loading;
}

export async function savedCards(): Promise<SavedCard[]> {
  return (await api.get<Pick<Page<SavedCard>, "items">>("/v1/payment-methods")).items;
}

export interface Wallet {
  options: PaymentOptions;
  cards: SavedCard[];
}

/** What a sheet needs to offer ways to pay. */
export async function wallet(): Promise<Wallet> {
  const [options, cards] = await Promise.all([paymentOptions(), me.value === null ? [] : savedCards()]);
  return { options, cards };
}

export function removeCard(id: string): Promise<void> {
  return api.remove(`/v1/payment-methods/${seg(id)}`);
}

/** `testMethod`: of the sandbox; Stripe is told the card by its own form. */
export function beginSetup(testMethod: string | null): Promise<CardSetup> {
  return api.post<CardSetup>("/v1/payment-methods/setup", testMethod === null ? {} : { test_method: testMethod });
}

export function readSetup(id: string): Promise<CardSetup> {
  return api.get<CardSetup>(`/v1/payment-methods/setup/${seg(id)}`);
}

const LAST = "hanamichi.paid-with";

/** The saved card that this browser paid with last: a name of ours, which tells nothing to who reads it. */
export function lastCard(): string | null {
  try {
    return localStorage.getItem(LAST);
  } catch {
    return null;
  }
}

export function rememberCard(id: string): void {
  try {
    localStorage.setItem(LAST, id);
  } catch {
    // Not remembered; the newest card is offered first.
  }
}

const VOUCHERS = "hanamichi.vouchers";
const VOUCHERS_MAX = 10;

function vouchers(): string[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(VOUCHERS) ?? "[]");
    return Array.isArray(kept) ? kept.filter((id) => typeof id === "string") : [];
  } catch {
    return [];
  }
}

/** This purchase is paid at a store, within days: the page says so in other words than for a bank that waits now. */
export function rememberVoucher(purchaseId: string): void {
  try {
    localStorage.setItem(VOUCHERS, JSON.stringify([purchaseId, ...vouchers()].slice(0, VOUCHERS_MAX)));
  } catch {
    // Not remembered; the words are then those for any payment that waits for its buyer.
  }
}

export function isVoucher(purchaseId: string): boolean {
  return vouchers().includes(purchaseId);
}
