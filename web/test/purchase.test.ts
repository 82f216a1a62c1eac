import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Problem } from "../src/api/problem";
import type { Purchase, PurchaseRequest } from "../src/api/types";
import { PurchaseAttempt } from "../src/purchase/attempt";
import { isDelayed, isStockShort, later, outcome } from "../src/purchase/status";
import { uuid } from "../src/purchase/uuid";

const request: PurchaseRequest = { offer_id: "ofr_1", qty: 1, confirmation_hash: "h1", payment_method: "sandbox_card" };
const done = { id: "pur_1" } as Purchase;
const busy = new Problem("queue-full", 503, "", 0);
const lost = new Problem("network", 0, "", 0);
const refused = new Problem("sold-out", 409, "", 0);

function shop(answers: (Problem | Purchase)[]): { attempt: PurchaseAttempt; keys: string[]; waits: number[] } {
  const keys: string[] = [];
  const waits: number[] = [];
  let next = 0;
  const attempt = new PurchaseAttempt({
    post: (_, key) => {
      keys.push(key);
      const answer = answers.shift() ?? done;
      return answer instanceof Problem ? Promise.reject(answer) : Promise.resolve(answer);
    },
    newKey: () => `key${next++}`,
    sleep: (ms) => {
      waits.push(ms);
      return Promise.resolve();
    },
    random: () => 0,
  });
  return { attempt, keys, waits };
}

describe("a purchase attempt", () => {
  it("keeps its key over lost answers and full queues", async () => {
    const { attempt, keys } = shop([lost, busy, done]);
    await attempt.place(request);
    expect(keys).toEqual(["key0", "key0", "key0"]);
  });

  it("keeps its key for the next tap when nothing was heard", async () => {
    const { attempt, keys } = shop(Array.from({ length: 8 }, () => lost));
    await expect(attempt.place(request)).rejects.toMatchObject({ kind: "network" });
    await attempt.place(request);
    expect(new Set(keys)).toEqual(new Set(["key0"]));
  });

  it("takes a new key for another body, after a refusal, and after a success", async () => {
    const { attempt, keys } = shop([refused, done, done, done]);
    await expect(attempt.place(request)).rejects.toMatchObject({ kind: "sold-out" });
    await attempt.place(request);
    await attempt.place(request);
    await attempt.place({ ...request, qty: 2 });
    expect(keys).toEqual(["key0", "key1", "key2", "key3"]);
  });

  it("waits at least as long as the server asks", async () => {
    const { attempt, waits } = shop([new Problem("queue-full", 503, "", 2_500), done]);
    await attempt.place(request);
    expect(waits[0]).toBeGreaterThanOrEqual(2_500);
  });

  it("never lets one body go out under two keys before there is an answer", async () => {
    const answers = fc.array(fc.constantFrom(lost, busy), { maxLength: 20 });
    await fc.assert(fc.asyncProperty(answers, async (problems) => {
      const { attempt, keys } = shop([...problems]);
      for (let tap = 0; tap < 4; tap += 1) {
        if (await attempt.place(request).then(() => true, () => false)) break;
      }
      expect(new Set(keys).size).toBe(1);
    }));
  });
});

describe("a purchase's state", () => {
  it("is paid from authorized on", () => {
    expect(["authorized", "captured", "fulfilled"].map(outcome)).toEqual(["paid", "paid", "paid"]);
    expect(["held", "paying", "requires_action", "something-new"].map(outcome)).toEqual(["moving", "moving", "moving", "moving"]);
    expect(["refused", "expired", "failed", "cancelled", "refunded"].map(outcome)).toEqual(["lost", "lost", "lost", "lost", "lost"]);
  });

  it("is the later version, of the same purchase only", () => {
    const at = (version: number, id = "pur_1") => ({ id, state: "paying", reason: null, orderId: null, holdExpiresAtMs: 0, shortUnits: 0, version });
    expect(later(at(2), at(3)).version).toBe(3);
    expect(later(at(3), at(2)).version).toBe(3);
    expect(later(at(1), at(9, "pur_2")).id).toBe("pur_1");
    expect(later(at(1), null).version).toBe(1);
  });
});

describe("goods that are not there", () => {
  it("cancel an unpaid purchase, and nothing else cancels like that", () => {
    expect(isStockShort("cancelled", "stock-short")).toBe(true);
    expect(isStockShort("cancelled", "/problems/stock-short")).toBe(true);
    expect([isStockShort("cancelled", null), isStockShort("cancelled", ""), isStockShort("failed", "stock-short")]).toEqual([false, false, false]);
  });

  it("delay a paid one", () => {
    expect([isDelayed("authorized", 1), isDelayed("captured", 2), isDelayed("authorized", 0), isDelayed("held", 1), isDelayed("refunded", 1)])
      .toEqual([true, true, false, false, false]);
  });
});

describe("a key", () => {
  it("is a version 4 UUID and new each time", () => {
    const keys = new Set(Array.from({ length: 100 }, uuid));
    expect(keys.size).toBe(100);
    for (const key of keys) expect(key).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});
