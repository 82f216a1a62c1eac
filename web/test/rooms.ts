/** Builders that show only what a test is about. */
import type {
  Batch, ChatMessage, Frame, OfferLeft, OrderedEvent, PurchaseStatus, Question, RoomLive, RoomOffer, RoomPin, Snapshot, Stock, Wait,
} from "../src/hub/model";

export const aLive = (over: Partial<RoomLive> = {}): RoomLive => ({
  id: "live_1", title: "春のうつわ", state: "live", liverId: "lvr_1", liverName: "花子", tieUpBrandId: "", tieUpBrandName: "", prLabel: "", media: "up",
  scheduledAtMs: 1, startedAtMs: 2, endedAtMs: 0, version: 1, demo: false, ...over,
});

export const anOffer = (over: Partial<RoomOffer> = {}): RoomOffer => ({
  id: "ofr_1", skuId: "sku_1", variant: "", priceMinor: 800, regularPriceMinor: 1000, currency: "JPY", taxRateBp: 1000,
  limitPerCustomer: 0, endsAtMs: 0, startsAtMs: 0, quota: 0, version: 1, ...over,
});

export const aPin = (over: Partial<RoomPin> = {}): RoomPin => ({
  id: "pin_1", product: { id: "prd_1", brandId: "brand_1", brandName: "窯元", title: "湯呑み", description: "", imagePath: "" },
  offers: [anOffer()], pinnedAtMs: 10, version: 1, ...over,
});

export const aQuestion = (over: Partial<Question> = {}): Question => ({
  id: "qst_1", authorName: "ゆき", text: "?", votes: 0, state: "open", askedAtMs: 1, answeringAtMs: 0, answeredAtMs: 0, chapterAtMs: 0,
  productId: "", mergedInto: "", version: 1, demo: false, ...over,
});

export const aChat = (id: string): ChatMessage => ({ id, authorName: "ゆき", authorRole: "viewer", text: id, atMs: 1, demo: false });

export const aStock = (available: number, version: number, skuId = "sku_1"): Stock => ({ skuId, available, version });

export const anOfferLeft = (left: number, version: number, offerId = "ofr_1"): OfferLeft => ({ offerId, left, version });

export const aPurchase = (over: Partial<PurchaseStatus> = {}): PurchaseStatus => ({
  id: "pur_1", state: "held", orderId: "", reason: "", totalMinor: 800, currency: "JPY", holdExpiresAtMs: 1_000,
  lines: [{ offerId: "ofr_1", skuId: "sku_1", qty: 1, unitPriceMinor: 800 }], waitId: "", shortUnits: 0, declineCode: "", paymentsBefore: 0, paymentEstimateMs: 0, version: 1, ...over,
});

export const aWait = (over: Partial<Wait> = {}): Wait => ({
  id: "wait_1", offerId: "ofr_1", skuId: "sku_1", qty: 1, state: "waiting", reason: "", purchaseId: "", joinedAtMs: 5, version: 1, ...over,
});

export const aSnapshot = (over: Partial<Snapshot> = {}): Frame => ({
  kind: "snapshot",
  snapshot: {
    epoch: "e1", seq: 0, serverAtMs: 1_000, live: aLive(), pins: [], questions: [], stock: [], offersLeft: [], viewers: 0, chat: [],
    chatOmitted: false, deletedChatIds: [], chatRules: null, chatPinned: null, reactions: [], upvotedQuestionIds: [], ...over,
  },
});

export const aBatch = (over: Partial<Batch> = {}): Frame => ({ kind: "batch", batch: { epoch: "e1", ordered: [], state: [], chat: [], ...over } });

export const ordered = (seq: number, event: OrderedEvent): Frame => aBatch({ ordered: [{ seq, event }] });
