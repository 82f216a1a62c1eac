import { describe, expect, it } from "vitest";
import { preferred } from "../src/media/whip";
import { period } from "../src/pages/brand/period";
import { offerState, pinState, qtyMax, QTY_MAX } from "../src/pages/watch/offers";
import { inOrder } from "../src/pages/watch/question-order";
import { matchPage } from "../src/ui/pages";
import { anOffer, aPin, aQuestion, aStock } from "./rooms";

const stockOf = (available: number, skuId = "sku_1") => new Map([[skuId, aStock(available, 1, skuId)]]);

describe("an offer", () => {
  it("is sold out the moment the stock says so, and over when its time is up", () => {
    expect(offerState(anOffer(), stockOf(1), 0)).toBe("open");
    expect(offerState(anOffer(), stockOf(0), 0)).toBe("sold-out");
    expect(offerState(anOffer({ endsAtMs: 100 }), stockOf(1), 99)).toBe("open");
    expect(offerState(anOffer({ endsAtMs: 100 }), stockOf(1), 100)).toBe("over");
  });

  it("lets as many be chosen as limit and stock allow", () => {
    expect(qtyMax(anOffer({ limitPerCustomer: 2 }), stockOf(9))).toBe(2);
    expect(qtyMax(anOffer(), stockOf(3))).toBe(3);
    expect(qtyMax(anOffer(), stockOf(500))).toBe(QTY_MAX);
    expect(qtyMax(anOffer(), stockOf(0))).toBe(1);
  });
});

describe("a pin", () => {
  it("is open while one variant is, and shows the lowest price and the sum of what is left", () => {
    const pin = aPin({ offers: [anOffer({ id: "a", skuId: "s1", priceMinor: 900 }), anOffer({ id: "b", skuId: "s2", priceMinor: 700 })] });
    const state = pinState(pin, new Map([...stockOf(0, "s1"), ...stockOf(4, "s2")]), 0);
    expect(state).toMatchObject({ state: "open", priceMinor: 700, from: true, left: 4 });
    expect(pinState(pin, new Map([...stockOf(0, "s1"), ...stockOf(0, "s2")]), 0)?.state).toBe("sold-out");
    expect(pinState(aPin({ offers: [] }), new Map(), 0)).toBeNull();
  });

  it("does not call a SKU sold out that it has not heard of", () => {
    expect(pinState(aPin(), new Map(), 0)).toMatchObject({ state: "open", left: null });
  });
});

describe("questions", () => {
  it("stand in the order in which they will be answered", () => {
    const ids = inOrder([
      aQuestion({ id: "late", votes: 3, askedAtMs: 9 }), aQuestion({ id: "early", votes: 3, askedAtMs: 1 }), aQuestion({ id: "top", votes: 8 }),
      aQuestion({ id: "done", state: "answered", votes: 99 }), aQuestion({ id: "now", state: "answering" }), aQuestion({ id: "gone", state: "hidden" }),
    ]).map((question) => question.id);
    expect(ids).toEqual(["now", "top", "early", "late", "done"]);
  });
});

describe("periods", () => {
  // 2026-03-01 00:30 in Tokyo is still February in UTC.
  const now = Date.UTC(2026, 1, 28, 15, 30);
  const tokyo = (month: number, day: number) => Date.UTC(2026, month - 1, day) - 9 * 3_600_000;

  it("begin and end at Japanese midnights", () => {
    expect(period("today", now)).toEqual({ fromMs: tokyo(3, 1), toMs: tokyo(3, 2) });
    expect(period("week", now)).toEqual({ fromMs: tokyo(2, 23), toMs: tokyo(3, 2) });
    expect(period("month", now)).toEqual({ fromMs: tokyo(3, 1), toMs: tokyo(3, 2) });
    expect(period("all", now)).toEqual({ fromMs: null, toMs: null });
  });
});

describe("codecs", () => {
  it("offer constrained baseline H.264 first and lose none", () => {
    const codecs = [
      { mimeType: "video/VP8" }, { mimeType: "video/rtx" },
      { mimeType: "video/H264", sdpFmtpLine: "packetization-mode=0;profile-level-id=42e01f" },
      { mimeType: "video/H264", sdpFmtpLine: "packetization-mode=1;profile-level-id=4d001f" },
      { mimeType: "video/H264", sdpFmtpLine: "packetization-mode=1;profile-level-id=42E01F" },
    ];
    const sorted = preferred("video", codecs);
    expect(sorted.map((codec) => codecs.indexOf(codec))).toEqual([4, 3, 2, 0, 1]);
    expect(preferred("audio", [{ mimeType: "audio/PCMU" }, { mimeType: "audio/opus" }])[0]?.mimeType).toBe("audio/opus");
  });
});

describe("paths", () => {
  it("name their page", () => {
    const names = ["/", "/watch/live_1", "/studio", "/studio/live_1", "/brand", "/brand/b1", "/sign-in", "/docs"].map((path) => matchPage(path)?.name);
    expect(names).toEqual(["lives", "watch", "studio", "studio-live", "brand", "brand", "sign-in", "docs"]);
    expect(matchPage("/watch/live_1")?.id).toBe("live_1");
    expect(matchPage("/nowhere")).toBeNull();
    expect(matchPage("/watch/%E0%A4%A")).toBeNull();
  });
});
