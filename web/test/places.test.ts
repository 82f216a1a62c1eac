import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Purchase, Wait as RestWait } from "../src/api/types";
import type { PurchaseStatus, Wait } from "../src/hub/model";
import { leftBy, openTurns, placeOf, statusOf, turnsUntil, unknownTurns, waitOf, type Affairs } from "../src/purchase/places";
import { aPurchase, aWait } from "./rooms";

const known = (waits: Wait[] = [], purchases: PurchaseStatus[] = []): Affairs => ({
  waits: new Map(waits.map((wait) => [wait.id, wait])), purchases: new Map(purchases.map((purchase) => [purchase.id, purchase])),
});
const offered = aWait({ state: "offered", purchaseId: "pur_1", version: 2 });
const hold = aPurchase({ waitId: "wait_1", holdExpiresAtMs: 1_000 });

describe("a place on a waitlist", () => {
  it("is of its own offer", () => {
    expect(placeOf(known([aWait()]), "ofr_1", 0)).toEqual({ kind: "waiting", wait: aWait() });
    expect(placeOf(known([aWait()]), "ofr_2", 0).kind).toBe("none");
    expect(placeOf(known(), "ofr_1", 0).kind).toBe("none");
  });

  it("becomes a turn, whichever of place and hold is told first, until the hold is over", () => {
    for (const affairs of [known([offered], [hold]), known([aWait()], [hold]), known([], [hold])]) {
      expect(placeOf(affairs, "ofr_1", 999)).toEqual({ kind: "turn", purchaseId: "pur_1", purchase: hold });
    }
    expect(placeOf(known([offered], [hold]), "ofr_1", 1_000).kind).toBe("missed");
    expect(placeOf(known([aWait()], [hold]), "ofr_1", 1_000).kind).toBe("missed");
    expect(placeOf(known([offered]), "ofr_1", 0)).toEqual({ kind: "turn", purchaseId: "pur_1", purchase: null });
  });

  it("is over once it was paid or given back, and missed when time ran out", () => {
    for (const state of ["paying", "authorized", "cancelled", "failed"]) {
      expect(placeOf(known([offered], [{ ...hold, state, version: 2 }]), "ofr_1", 0).kind).toBe("none");
    }
    expect(placeOf(known([offered], [{ ...hold, state: "expired", version: 2 }]), "ofr_1", 0).kind).toBe("missed");
    expect(placeOf(known([aWait({ state: "lapsed", reason: "hold-expired" })]), "ofr_1", 0).kind).toBe("missed");
  });

  it("says why it lapsed", () => {
    expect(placeOf(known([aWait({ state: "lapsed", reason: "/problems/price-changed" })]), "ofr_1", 0)).toEqual({ kind: "lapsed", reason: "price-changed" });
  });

  it("that is newer counts instead of an older one", () => {
    const again = aWait({ id: "wait_2", joinedAtMs: 9 });
    expect(placeOf(known([again, offered], [{ ...hold, state: "expired" }]), "ofr_1", 0)).toEqual({ kind: "waiting", wait: again });
  });

  it("is left at once, by a word that the server's own does not contradict", () => {
    expect(placeOf(known([leftBy(aWait())]), "ofr_1", 0).kind).toBe("none");
    expect(leftBy(aWait({ version: 4 })).version).toBe(5);
  });

  it("is never both waited on and called, whatever has been told", () => {
    const waits = fc.record({ state: fc.constantFrom("waiting", "offered", "left", "lapsed", "new"), named: fc.boolean() });
    const holds = fc.record({ state: fc.constantFrom("held", "paying", "authorized", "expired", "cancelled"), until: fc.integer({ min: 0, max: 20 }) });
    fc.assert(fc.property(waits, holds, fc.integer({ min: 0, max: 20 }), (wait, purchase, now) => {
      const affairs = known(
        [aWait({ state: wait.state, purchaseId: wait.named ? "pur_1" : "" })],
        [aPurchase({ waitId: "wait_1", state: purchase.state, holdExpiresAtMs: purchase.until })],
      );
      const open = purchase.state === "held" && purchase.until > now;
      expect(placeOf(affairs, "ofr_1", now).kind === "turn").toBe(open);
      expect(openTurns(affairs, now).length === 1).toBe(open);
    }));
  });
});

describe("turns", () => {
  it("come in the order in which they run out, and only from waitlists", () => {
    const soon = { ...hold, id: "pur_2", holdExpiresAtMs: 500 };
    const bought = aPurchase({ id: "pur_3", holdExpiresAtMs: 100 });
    expect(openTurns(known([], [hold, soon, bought]), 0).map((purchase) => purchase.id)).toEqual(["pur_2", "pur_1"]);
    expect(turnsUntil(known([], [hold, soon, bought]))).toBe(1_000);
    expect(turnsUntil(known([], [bought]))).toBe(0);
  });

  it("are asked for while only their place is known", () => {
    expect(unknownTurns(known([offered]))).toEqual(["pur_1"]);
    expect(unknownTurns(known([offered], [hold]))).toEqual([]);
    expect(unknownTurns(known([offered, aWait({ id: "wait_2", joinedAtMs: 9 })]))).toEqual([]);
  });
});

describe("what REST tells", () => {
  it("is what the hub would have told", () => {
    const wait: RestWait = {
      id: "wait_1", offer_id: "ofr_1", product_id: "prd_1", sku_id: "sku_1", live_id: "live_1", qty: 1, state: "waiting", reason: null,
      purchase_id: null, joined_at_ms: 5, version: 1,
    };
    expect(waitOf(wait)).toEqual(aWait());
    const purchase: Purchase = {
      id: "pur_1", state: "held", reason: null, offer_id: "ofr_1", live_id: "live_1", sku_id: "sku_1", qty: 1, unit_price_minor: 800,
      total_minor: 800, currency: "JPY", hold_expires_at_ms: 1_000, order_id: null, placed_at_ms: 0, wait_id: "wait_1", short_units: 0, refunded_minor: 0, version: 1,
      lines: [{ offer_id: "ofr_1", product_id: "prd_1", sku_id: "sku_1", qty: 1, unit_price_minor: 800, tax_rate_bp: 1000 }],
    };
    expect(statusOf(purchase)).toEqual(hold);
  });
});
