import { describe, expect, it } from "vitest";
import { encodings, preferred } from "../src/media/whip";
import { EMPTY_FIELDS, pinRequest } from "../src/pages/studio/pin-request";
import { available, offerState, pinState, qtyMax, QTY_MAX, timedUntil, type Shelf } from "../src/pages/watch/offers";
import { inOrder } from "../src/pages/watch/question-order";
import { matchPage } from "../src/ui/pages";
import { anOffer, anOfferLeft, aPin, aQuestion, aStock } from "./rooms";

const shelf = (stock: Record<string, number> = {}, left: Record<string, number> = {}): Shelf => ({
  stock: new Map(Object.entries(stock).map(([skuId, units]) => [skuId, aStock(units, 1, skuId)])),
  offersLeft: new Map(Object.entries(left).map(([offerId, units]) => [offerId, anOfferLeft(units, 1, offerId)])),
});
const stockOf = (units: number): Shelf => shelf({ sku_1: units });

describe("an offer", () => {
  it("is sold out the moment the stock says so, and over when its time is up", () => {
    expect(offerState(anOffer(), stockOf(1), 0)).toBe("open");
    expect(offerState(anOffer(), stockOf(0), 0)).toBe("sold-out");
    expect(offerState(anOffer({ endsAtMs: 100 }), stockOf(1), 99)).toBe("open");
    expect(offerState(anOffer({ endsAtMs: 100 }), stockOf(1), 100)).toBe("over");
  });

  it("cannot be bought before it begins, and then by itself", () => {
    const offer = anOffer({ startsAtMs: 50, endsAtMs: 100 });
    expect([0, 49, 50, 99, 100].map((now) => offerState(offer, stockOf(1), now))).toEqual(["soon", "soon", "open", "open", "over"]);
    expect(offerState(offer, stockOf(0), 50)).toBe("sold-out");
  });

  it("has what the stock has, or what its quota leaves of it", () => {
    const limited = anOffer({ quota: 5 });
    expect(available(shelf({ sku_1: 9 }, { ofr_1: 2 }), limited)).toBe(2);
    expect(available(shelf({ sku_1: 1 }, { ofr_1: 2 }), limited)).toBe(1);
    expect(available(shelf({ sku_1: 9 }), limited)).toBe(5);
    expect(available(shelf({ sku_1: 9 }, { ofr_1: 2 }), anOffer())).toBe(9);
    expect(available(shelf({}, { ofr_1: 0 }), limited)).toBe(0);
    expect(available(shelf({}, { ofr_1: 2 }), limited)).toBeNull();
    expect(offerState(limited, shelf({ sku_1: 9 }, { ofr_1: 0 }), 0)).toBe("sold-out");
    expect(qtyMax(limited, shelf({ sku_1: 9 }, { ofr_1: 2 }))).toBe(2);
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
    const state = pinState(pin, shelf({ s1: 0, s2: 4 }), 0);
    expect(state).toMatchObject({ state: "open", priceMinor: 700, from: true, left: 4 });
    expect(pinState(pin, shelf({ s1: 0, s2: 0 }), 0)?.state).toBe("sold-out");
    expect(pinState(aPin({ offers: [] }), shelf(), 0)).toBeNull();
  });

  it("counts down to the first of its variants, unless one can be bought", () => {
    const later = anOffer({ id: "a", skuId: "s1", startsAtMs: 90 });
    const sooner = anOffer({ id: "b", skuId: "s2", startsAtMs: 60 });
    const both = shelf({ s1: 1, s2: 1 });
    expect(pinState(aPin({ offers: [later, sooner] }), both, 10)).toMatchObject({ state: "soon", startsAtMs: 60 });
    expect(pinState(aPin({ offers: [later, sooner] }), both, 60)).toMatchObject({ state: "open", startsAtMs: 0 });
    expect(pinState(aPin({ offers: [later, sooner] }), shelf({ s1: 1, s2: 0 }), 60)).toMatchObject({ state: "soon", startsAtMs: 90 });
    expect(timedUntil(aPin({ offers: [later, sooner] }))).toBe(90);
    expect(timedUntil(aPin())).toBe(0);
  });

  it("sums what its variants can sell, each by its own quota", () => {
    const pin = aPin({ offers: [anOffer({ id: "a", skuId: "s1", quota: 3 }), anOffer({ id: "b", skuId: "s2" })] });
    expect(pinState(pin, shelf({ s1: 10, s2: 4 }, { a: 2 }), 0)?.left).toBe(6);
  });

  it("does not call a SKU sold out that it has not heard of", () => {
    expect(pinState(aPin(), shelf(), 0)).toMatchObject({ state: "open", left: null });
  });
});

describe("the pin form", () => {
  it("asks for what was filled in, and for nothing else", () => {
    expect(pinRequest("prd_1", EMPTY_FIELDS)).toEqual({ product_id: "prd_1" });
    expect(pinRequest("prd_1", { price: "4980", limit: "2", minutes: "30", quota: "100", startsInS: "60" })).toEqual({
      product_id: "prd_1", live_price_minor: 4980, limit_per_customer: 2, ends_in_s: 1800, quota: 100, starts_in_s: 60,
    });
  });

  it("takes whole numbers only, and a start of zero", () => {
    expect(pinRequest("p", { ...EMPTY_FIELDS, price: "1.5", limit: "-1", quota: "0", startsInS: "0" })).toEqual({ product_id: "p", starts_in_s: 0 });
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

describe("sizes of a picture", () => {
  it("are three, two or one, each with a name when there are several", () => {
    const names = (width: number, height: number) => encodings({ width, height }).map(({ rid }) => rid ?? null);
    expect(names(720, 1_280)).toEqual(["q", "h", "f"]);
    expect(names(640, 480)).toEqual(["h", "f"]);
    expect(names(640, 360)).toEqual([null]);
    expect(encodings({})).toHaveLength(1);
    const bits = encodings({ width: 1_920, height: 1_080 }).map(({ maxBitrate }) => maxBitrate ?? 0);
    expect(bits).toEqual([...bits].sort((a, b) => a - b));
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
