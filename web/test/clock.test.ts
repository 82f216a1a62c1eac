import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Backoff } from "../src/hub/backoff";
import { ServerClock } from "../src/hub/clock";

describe("the server's clock", () => {
  it("is right to half the best round trip, however wrong the device is", () => {
    const trips = fc.array(fc.record({ up: fc.integer({ min: 1, max: 900 }), down: fc.integer({ min: 1, max: 900 }) }), { minLength: 1, maxLength: 20 });
    fc.assert(fc.property(trips, fc.integer({ min: -1e9, max: 1e9 }), (samples, wrongBy) => {
      let server = 1_700_000_000_000;
      const clock = new ServerClock(() => server + wrongBy);
      for (const { up, down } of samples) {
        const sentAt = server + wrongBy;
        server += up;
        const stamped = server;
        server += down;
        clock.sample(stamped, sentAt);
      }
      const best = Math.min(...samples.map(({ up, down }) => up + down));
      expect(Math.abs(clock.nowMs() - server)).toBeLessThanOrEqual(best / 2 + 1);
    }));
  });

  it("trusts a measured trip more than a one-way message", () => {
    const clock = new ServerClock(() => 1_000);
    clock.sample(5_000, 900);
    clock.sample(9_000, null);
    expect(clock.nowMs()).toBe(5_050);
  });
});

describe("back-off", () => {
  it("grows to its cap, keeps what was asked for, and starts over", () => {
    const backoff = new Backoff(100, 1_000, () => 1);
    expect([1, 2, 3, 4, 5, 6].map(() => backoff.next())).toEqual([100, 200, 400, 800, 1_000, 1_000]);
    expect(backoff.next(5_000)).toBe(6_000);
    backoff.reset();
    expect(backoff.next()).toBe(100);
  });

  it("waits anywhere below its ceiling, and never less than was asked for", () => {
    fc.assert(fc.property(
      fc.array(fc.record({ at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), asked: fc.nat(30_000) }), { minLength: 1, maxLength: 40 }),
      (tries) => {
        let at = 0;
        const backoff = new Backoff(800, 10_000, () => at);
        for (const [index, { at: drawn, asked }] of tries.entries()) {
          at = drawn;
          const ceiling = Math.min(10_000, 800 * 2 ** index);
          const wait = backoff.next(asked);
          expect(wait).toBeGreaterThanOrEqual(asked);
          expect(wait - asked).toBeLessThanOrEqual(ceiling);
          expect(wait - asked).toBeCloseTo(ceiling * drawn, 3);
        }
      },
    ));
  });
});
