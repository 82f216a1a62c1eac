/** Pure: the ways to pay that a sheet offers, and which of them is chosen. */
import type { PaymentKind, PaymentOptions, SavedCard, TestMethod } from "../api/types";
import { isExpired, testCard } from "./cards";

/** How a buyer wants to pay. `new`: with what is typed on the page: a test number, or Stripe's form. */
export type Choice =
  | { kind: "saved"; id: string }
  | { kind: "new" }
  | { kind: "test"; method: string };

/** What an option is known by among its siblings. */
export function nameOf(choice: Choice): string {
  switch (choice.kind) {
    case "saved": return choice.id;
    case "new": return "new";
    case "test": return choice.method;
  }
}

export interface Ways {
  cards: SavedCard[];
  /** A card that is typed, or whatever Stripe's form offers. */
  typed: boolean;
  /** What Stripe's form may offer; the server asks for the same. */
  kinds: PaymentKind[];
  /** Test methods that are no cards. */
  others: TestMethod[];
}

/** `ends`: the offer does, and what takes days cannot be had for it. */
export function waysOf(options: PaymentOptions, cards: readonly SavedCard[], ends: boolean, nowMs: number): Ways {
  const kinds = options.methods.filter((kind) => !ends || kind !== "konbini");
  return {
    kinds,
    cards: cards.filter((card) => !isExpired(card, nowMs)),
    typed: options.provider === "stripe" || kinds.includes("card"),
    others: options.test_methods.filter((method) => method.number === "" && kinds.includes(kindOf(method.method) ?? "card")),
  };
}

/** What a test method stands for; null = a card's, or one of a later contract. */
export function kindOf(method: string): PaymentKind | null {
  if (method === "sandbox_paypay") return "paypay";
  return method === "sandbox_konbini" ? "konbini" : null;
}

/** A card that is there makes it two taps; `last` is what this browser paid with before. */
export function firstChoice(ways: Ways, last: string | null): Choice {
  const card = ways.cards.find(({ id }) => id === last) ?? ways.cards[0];
  return card === undefined ? { kind: "new" } : { kind: "saved", id: card.id };
}

/** The number that a sandbox's form begins with: that of the card that works, so that trying it out is two taps too. */
export function firstNumber(options: PaymentOptions): string {
  return options.test_methods.find((method) => method.method === "sandbox_card")?.number ?? "";
}

/**
 * What goes to the server as `payment_method`. Stripe's form answers by itself (a ConfirmationToken); null = it, or
 * something that cannot be paid with.
 */
export function methodOf(choice: Choice, options: PaymentOptions, typed: string): string | null {
  switch (choice.kind) {
    case "saved": return choice.id;
    case "test": return choice.method;
    case "new": return options.provider === "sandbox" ? (testCard(options.test_methods, typed)?.method ?? null) : null;
  }
}
