import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { OrderLine, PaymentOptions, Purchase, SavedCard, TestMethod } from "../src/api/types";
import { language } from "../src/i18n/language";
import { merged } from "../src/pages/orders/OrdersPage";
import { tagOf } from "../src/pages/orders/order-state";
import { amountOf, canRefund, canShip, everything, leftOf, refundRequest, totalOf } from "../src/pages/brand/refund";
import { pendingOf } from "../src/pages/watch/PendingBanner";
import { brandName, digits, expiry, grouped, isExpired, testCard } from "../src/payment/cards";
import { firstChoice, firstNumber, methodOf, waysOf } from "../src/payment/choice";
import { withReturn } from "../src/payment/leading";
import { lossText } from "../src/payment/PurchaseProgress";
import { CHECKING_AFTER_MS, isAboutCard, isPartlyRefunded, lossOf, phaseOf, type Loss } from "../src/purchase/status";
import { safeReturn } from "../src/ui/router";
import { matchPage } from "../src/ui/pages";
import type { PurchaseStatus } from "../src/hub/model";

const method = (name: string, number: string, saves = number !== ""): TestMethod => ({ method: name, number, label_ja: name, label_en: name, saves });
const METHODS = [
  method("sandbox_card", "4242424242424242"), method("sandbox_declined", "4000000000000002", false), method("sandbox_paypay", ""), method("sandbox_konbini", ""),
];
const sandbox = (methods: PaymentOptions["methods"] = ["card", "paypay", "konbini"]): PaymentOptions =>
  ({ provider: "sandbox", sandbox: true, publishable_key: null, methods, test_methods: METHODS });
const STRIPE: PaymentOptions = { provider: "stripe", sandbox: false, publishable_key: "pk_test_1", methods: ["card", "paypay"], test_methods: [] };
const card = (id: string, exp_year = 2031, exp_month = 9): SavedCard => ({ id, brand: "visa", last4: "4242", exp_month, exp_year, created_at_ms: 0 });
const NOW = Date.UTC(2026, 10, 28);

describe("a card that is typed", () => {
  it("is read however it is written, and shown in groups", () => {
    expect([digits("４２４２ 4242-4242 4242"), grouped("42424242424242"), grouped("")]).toEqual(["4242424242424242", "4242 4242 4242 42", ""]);
    expect(testCard(METHODS, "4242 4242 4242 4242")?.method).toBe("sandbox_card");
    expect([testCard(METHODS, "4111111111111111"), testCard(METHODS, ""), testCard(METHODS, "4242")]).toEqual([null, null, null]);
  });

  it("is sent as the name of a test method, never as its number", () => {
    fc.assert(fc.property(fc.stringMatching(/^[0-9 ]{0,24}$/), (typed) => {
      const sent = methodOf({ kind: "new" }, sandbox(), typed);
      expect(sent === null || METHODS.some(({ method: name }) => name === sent)).toBe(true);
    }));
    expect(methodOf({ kind: "new" }, sandbox(), "4000 0000 0000 0002")).toBe("sandbox_declined");
    expect(methodOf({ kind: "new" }, STRIPE, "4242424242424242"), "Stripe's form answers by itself").toBeNull();
  });
});

describe("a saved card", () => {
  it("is shown as it is printed", () => {
    expect([brandName("visa"), brandName("JCB"), brandName("nanaco"), brandName(""), expiry({ exp_month: 9, exp_year: 2031 })])
      .toEqual(["Visa", "JCB", "nanaco", "Card", "09/31"]);
  });

  it("is good to the last moment of its month in Japan", () => {
    const end = { exp_month: 11, exp_year: 2026 };
    expect(isExpired(end, Date.UTC(2026, 10, 30, 14, 59))).toBe(false);
    expect(isExpired(end, Date.UTC(2026, 10, 30, 15, 0))).toBe(true);
  });
});

describe("the ways to pay", () => {
  it("begin with a saved card, the one used last before others, and never an expired one", () => {
    const ways = waysOf(sandbox(), [card("card_a"), card("card_old", 2025), card("card_b")], false, NOW);
    expect(ways.cards.map(({ id }) => id)).toEqual(["card_a", "card_b"]);
    expect(firstChoice(ways, null)).toEqual({ kind: "saved", id: "card_a" });
    expect(firstChoice(ways, "card_b")).toEqual({ kind: "saved", id: "card_b" });
    expect(firstChoice(ways, "card_old")).toEqual({ kind: "saved", id: "card_a" });
    expect(firstChoice(waysOf(sandbox(), [], false, NOW), "card_b")).toEqual({ kind: "new" });
  });

  it("are those that the server allows", () => {
    const names = (options: PaymentOptions, ends = false): string[] => waysOf(options, [], ends, NOW).others.map(({ method: name }) => name);
    expect(names(sandbox())).toEqual(["sandbox_paypay", "sandbox_konbini"]);
    expect(names(sandbox(), true), "nobody waits days for what ends in a minute").toEqual(["sandbox_paypay"]);
    expect(waysOf({ ...STRIPE, methods: ["card", "konbini"] }, [], true, NOW).kinds).toEqual(["card"]);
    expect(names(sandbox(["card"]))).toEqual([]);
    expect(names(STRIPE)).toEqual([]);
    expect(waysOf(STRIPE, [], false, NOW).typed).toBe(true);
  });

  it("make trying it out two taps, in the sandbox alone", () => {
    expect([firstNumber(sandbox()), firstNumber(STRIPE)]).toEqual(["4242424242424242", ""]);
  });
});

describe("a payment on its way", () => {
  const of = (state: string, more: object = {}): Parameters<typeof phaseOf>[0] => ({ state, ...more });
  it("is told apart by what the buyer can do", () => {
    expect(phaseOf(of("held"), 0)).toBe("held");
    expect(phaseOf(of("paying"), 0)).toBe("paying");
    expect(phaseOf(of("paying"), CHECKING_AFTER_MS)).toBe("checking");
    expect(phaseOf(of("paying", { paymentWait: { position: 3, estimateMs: 900 } }), 60_000)).toBe("queued");
    expect(phaseOf(of("requires_action"), 0)).toBe("action");
    expect(phaseOf(of("requires_action"), 0, true)).toBe("voucher");
    expect(phaseOf(of("authorized"), 0, true)).toBe("paid");
    expect(["authorized", "captured", "fulfilled"].map((state) => phaseOf(of(state), 99_000))).toEqual(["paid", "paid", "paid"]);
    expect(["failed", "refunded", "expired"].map((state) => phaseOf(of(state), 0))).toEqual(["lost", "lost", "lost"]);
  });

  it("that came to nothing says why, and whether another card would help", () => {
    const loss = (state: string, reason: string | null, declineCode: string | null = null): Loss => lossOf({ state, reason, declineCode });
    expect(loss("failed", "payment-declined")).toBe("declined");
    expect(loss("failed", "/problems/payment-declined", "insufficient_funds")).toBe("insufficient");
    expect(loss("failed", "payment-declined", "expired_card")).toBe("expired-card");
    expect(loss("failed", "payment-declined", "payment_intent_authentication_failure")).toBe("authentication");
    expect(loss("failed", "payment-declined", "stolen_card"), "thieves are told no more than others").toBe("declined");
    expect(loss("failed", null)).toBe("declined");
    expect(loss("expired", "action-timed-out")).toBe("timed-out");
    expect(loss("cancelled", "late-payment-returned")).toBe("late");
    expect(loss("cancelled", "payment-cancelled")).toBe("payment-cancelled");
    expect(loss("cancelled", "stock-short")).toBe("stock-short");
    expect(loss("cancelled", null)).toBe("cancelled");
    expect(loss("refunded", null)).toBe("refunded");
    expect(loss("refused", "sold-out")).toBe("other");
    expect(["declined", "late", "stock-short", "timed-out"].map((name) => isAboutCard(name as Loss))).toEqual([true, false, false, true]);
  });

  it("has words of its own for each of them, in both languages", () => {
    const losses: Loss[] = ["declined", "insufficient", "expired-card", "authentication", "timed-out", "late", "payment-cancelled", "refunded", "stock-short", "hold-expired", "cancelled"];
    for (const tongue of ["ja", "en"] as const) {
      language.value = tongue;
      const words = losses.map((loss) => lossText(loss, null));
      expect(new Set(words).size).toBe(losses.length);
    }
    expect(lossText("other", "sold-out")).toContain("Sold out");
    language.value = "ja";
  });

  it("is partly refunded only while something of it stays paid", () => {
    expect([isPartlyRefunded("captured", 100), isPartlyRefunded("captured", 0), isPartlyRefunded("captured", undefined), isPartlyRefunded("refunded", 100)])
      .toEqual([true, false, false, false]);
  });

  it("that waits for its buyer is offered again, the most urgent first", () => {
    const purchase = (id: string, state: string, holdExpiresAtMs: number): PurchaseStatus => ({ id, state, holdExpiresAtMs } as PurchaseStatus);
    const all = [purchase("a", "paying", 1), purchase("b", "requires_action", 9), purchase("c", "requires_action", 5)];
    expect(pendingOf(all)?.id).toBe("c");
    expect(pendingOf(all.slice(0, 1))).toBeUndefined();
  });
});

describe("the way to a bank and back", () => {
  it("is the server's; the sandbox's page is ours and is told where to come back to", () => {
    const origin = "https://shop.test";
    expect(withReturn("/sandbox/action?intent=pi%3Apur_1%3A1", "/purchases/pur_1", origin)).toBe("/sandbox/action?intent=pi%3Apur_1%3A1&return=%2Fpurchases%2Fpur_1");
    expect(withReturn("/sandbox/action?intent=x&return=%2Forders", "/purchases/pur_1", origin)).toBe("/sandbox/action?intent=x&return=%2Forders");
    expect(withReturn("https://pay.test/sandbox/action?x=1", "/purchases/pur_1", origin)).toBe("https://pay.test/sandbox/action?x=1");
  });

  it("never leads off this site", () => {
    expect(safeReturn(`${location.origin}/orders?purchase=pur_1`)).toBe("/orders?purchase=pur_1");
    for (const bad of ["https://evil.test/x", "javascript:alert(1)", "//evil.test", null, "http://"]) expect(safeReturn(bad)).toBe("/");
  });

  it("has its pages", () => {
    const names = ["/orders", "/orders/ord_1", "/orders/ord_1/invoice", "/purchases/pur_1", "/cards", "/sandbox/action", "/admin/money"].map((path) => matchPage(path)?.name);
    expect(names).toEqual(["orders", "order", "invoice", "purchase", "cards", "sandbox-action", "admin-money"]);
  });
});

describe("a list of orders", () => {
  it("has one word for each", () => {
    expect(["paying", "requires_action", "failed", "refunded", "authorized", "fulfilled"].map((state) => tagOf(state, 0)))
      .toEqual(["moving", "action", "lost", "refunded", "paid", "fulfilled"]);
    expect(tagOf("fulfilled", 1)).toBe("part_refunded");
  });

  it("keeps older pages while the first is read anew", () => {
    const purchase = (id: string, state = "captured"): Purchase => ({ id, state } as Purchase);
    const known = [purchase("b"), purchase("c"), purchase("d")];
    expect(merged(known, [purchase("a"), purchase("b", "refunded")]).map(({ id, state }) => `${id} ${state}`))
      .toEqual(["a captured", "b refunded", "c captured", "d captured"]);
    expect(merged(null, [purchase("a")])).toHaveLength(1);
  });
});

describe("a refund", () => {
  const line = (more: Partial<OrderLine> = {}): OrderLine => ({
    id: "oln_1", product_title: "湯呑み", variant: null, sku_id: "sku_1", qty: 3, unit_price_minor: 333, tax_rate_bp: 1000, amount_minor: 1_000,
    returned_qty: 0, refunded_minor: 0, ...more,
  });

  it("gives back what is left and no yen more, in whichever steps", () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 0, max: 100_000 }), fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 12 }), (qty, amount, steps) => {
      const at = line({ qty, amount_minor: amount });
      let given = 0;
      for (const wanted of [...steps, qty]) {
        const units = Math.min(wanted, leftOf(at));
        const minor = amountOf(at, units);
        expect(minor).toBeGreaterThanOrEqual(0);
        at.returned_qty += units;
        given += minor;
      }
      expect(given).toBe(amount);
      expect(amountOf(at, 1)).toBe(0);
    }));
  });

  it("has the larger shares first, as the server gives them", () => {
    const at = line({ qty: 3, amount_minor: 1_001 });
    expect([amountOf(at, 1), amountOf(at, 2), amountOf(at, 3)]).toEqual([334, 668, 1_001]);
    expect(amountOf({ ...at, returned_qty: 2 }, 1)).toBe(333);
    expect(amountOf({ ...at, returned_qty: 2 }, 5), "never more than is left").toBe(333);
  });

  it("names the units that are chosen", () => {
    const lines = [line(), line({ id: "oln_2", qty: 1, amount_minor: 500, returned_qty: 1, refunded_minor: 500 })];
    expect(everything(lines)).toEqual({ oln_1: 3, oln_2: 0 });
    expect(totalOf(lines, everything(lines))).toBe(1_000);
    expect(refundRequest(lines, { oln_1: 2, oln_2: 0 }, true, " 割れ ")).toEqual({ lines: [{ order_line_id: "oln_1", qty: 2 }], restock: true, reason: "割れ" });
  });

  it("and sending are offered only where they can be", () => {
    const states = ["authorized", "captured", "fulfilled", "refunded", "paying"];
    expect(states.map((state) => canShip({ state }))).toEqual([true, true, false, false, false]);
    expect(states.map((state) => canRefund({ state, lines: [line()] }))).toEqual([true, true, true, false, false]);
    expect(canRefund({ state: "fulfilled", lines: [line({ returned_qty: 3 })] })).toBe(false);
  });
});

describe("Stripe's script", () => {
  afterEach(() => {
    vi.resetModules();
    delete (globalThis as { Stripe?: unknown }).Stripe;
  });
  it("is asked for when it is wanted, from Stripe alone, and again after it failed", async () => {
    // Kept out of the document: this one would answer by itself that it loads no scripts.
    const asked: HTMLScriptElement[] = [];
    const append = vi.spyOn(document.head, "append").mockImplementation((script) => { asked.push(script as HTMLScriptElement); });
    const { stripe } = await import("../src/payment/stripe");
    expect(asked).toHaveLength(0);
    const first = stripe("pk_1", "ja");
    expect(asked.map(({ src }) => src)).toEqual(["https://js.stripe.com/v3/"]);
    asked[0]?.onerror?.(new Event("error"));
    await expect(first).rejects.toThrow("could not be loaded");
    const second = stripe("pk_1", "ja");
    const third = stripe("pk_2", "en");
    expect(asked, "once more, for both").toHaveLength(2);
    (globalThis as { Stripe?: unknown }).Stripe = (key: string, options: object) => ({ key, ...options });
    asked[1]?.onload?.(new Event("load"));
    expect(await second).toEqual({ key: "pk_1", locale: "ja" });
    expect(await third).toEqual({ key: "pk_2", locale: "en" });
    append.mockRestore();
  });
});
