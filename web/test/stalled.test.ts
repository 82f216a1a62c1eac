import { describe, expect, it } from "vitest";
import { isStalled, LOST_MS, STALLED_MS } from "../src/pages/watch/stalled";

describe("a picture that stands still", () => {
  it("is waited for while the server answers", () => {
    expect(isStalled({ stillMs: STALLED_MS - 1, lineLostMs: null })).toBe(false);
    expect(isStalled({ stillMs: STALLED_MS, lineLostMs: null })).toBe(true);
  });

  it("is made anew soon when the hub's line is lost too", () => {
    expect(isStalled({ stillMs: LOST_MS - 1, lineLostMs: 10 })).toBe(false);
    expect(isStalled({ stillMs: LOST_MS, lineLostMs: 10 })).toBe(true);
    expect(isStalled({ stillMs: LOST_MS, lineLostMs: 60_000 })).toBe(false);
  });
});
