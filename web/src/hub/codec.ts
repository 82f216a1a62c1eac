/** Edge: between the wire and the model, in both of its codecs. Parsed once here, never checked again inside. */
import { create, fromBinary, fromJsonString, toBinary, toJsonString, type MessageInitShape } from "@bufbuild/protobuf";
import {
  ClientFrameSchema, ServerFrameSchema,
  type Batch as WireBatch, type ChatMessage as WireChat, type ChatPinned as WireChatPinned, type ChatRules as WireChatRules,
  type Live as WireLive, type Ordered as WireOrdered, type OfferLeft as WireOfferLeft, type Personal as WirePersonal, type Pickup as WirePickup, type Pin as WirePin,
  type PurchaseStatus as WirePurchase, type Question as WireQuestion, type Reply as WireReply, type Sales as WireSales,
  type ServerFrame as WireServerFrame, type Snapshot as WireSnapshot, type State as WireState, type Stock as WireStock, type Wait as WireWait,
} from "./gen/hanamichi/v1/hub_pb.js";
import type {
  Batch, ChatMessage, ChatPinned, ChatRules, Command, Frame, LiveState, MediaState, OfferLeft, OrderedEvent, Pickup, PurchaseStatus, Question,
  QuestionState, ReplyResult, RoomLive, RoomPin, Sales, Snapshot, StateChange, Stock, Wait,
} from "./model.js";

/** proto: binary frames, the default; json: text frames in canonical proto JSON, to be read by people. */
export type Protocol = "proto" | "json";

export interface Codec {
  readonly subprotocol: string;
  encode: (id: number, command: Command) => string | Uint8Array<ArrayBuffer>;
  /** null: a frame of a later contract, to be skipped. Throws on what is no frame at all. */
  decode: (data: unknown) => Frame | null;
}

export const CODECS: Readonly<Record<Protocol, Codec>> = {
  proto: {
    subprotocol: "hanamichi.v1.proto",
    encode: (id, command) => new Uint8Array(toBinary(ClientFrameSchema, frameOf(id, command))),
    decode: (data) => {
      if (!(data instanceof ArrayBuffer)) throw new TypeError("a binary frame was expected");
      return read(fromBinary(ServerFrameSchema, new Uint8Array(data)));
    },
  },
  json: {
    subprotocol: "hanamichi.v1.json",
    encode: (id, command) => toJsonString(ClientFrameSchema, frameOf(id, command)),
    decode: (data) => {
      if (typeof data !== "string") throw new TypeError("a text frame was expected");
      return read(fromJsonString(ServerFrameSchema, data, { ignoreUnknownFields: true }));
    },
  },
};

function read({ body }: WireServerFrame): Frame | null {
  switch (body.case) {
    case "snapshot":
      return { kind: "snapshot", snapshot: snapshotOf(body.value) };
    case "resumed":
      return { kind: "resumed", epoch: body.value.epoch, seq: Number(body.value.seq), serverAtMs: Number(body.value.serverAtMs) };
    case "batch":
      return { kind: "batch", batch: batchOf(body.value) };
    case "reply":
      return { kind: "reply", id: Number(body.value.id), result: resultOf(body.value) };
    case "pong":
      return { kind: "pong", clientAtMs: Number(body.value.clientAtMs), serverAtMs: Number(body.value.serverAtMs) };
    case "goodbye":
      return { kind: "goodbye", reason: body.value.reason, reconnectAfterMs: Number(body.value.reconnectAfterMs) };
    case "personal":
      return personalOf(body.value);
    default:
      return null;
  }
}

function personalOf({ body }: WirePersonal): Frame | null {
  switch (body.case) {
    case "purchase": return { kind: "purchase", purchase: purchaseOf(body.value) };
    case "wait": return { kind: "wait", wait: waitOf(body.value) };
    case "pickup": return { kind: "pickup", pickup: pickupOf(body.value) };
    case "sales": return { kind: "sales", sales: salesOf(body.value) };
    case "standing": {
      const { role, mutedUntilMs, following } = body.value;
      return { kind: "standing", standing: { role, mutedUntilMs: Number(mutedUntilMs), following } };
    }
    case "pass": return { kind: "pass", pass: { token: body.value.token, expiresAtMs: Number(body.value.expiresAtMs) } };
    default: return null;
  }
}

function frameOf(id: number, command: Command) {
  return create(ClientFrameSchema, { id: BigInt(id), body: bodyOf(command) });
}

type Body = NonNullable<MessageInitShape<typeof ClientFrameSchema>["body"]>;

function bodyOf(command: Command): Body {
  switch (command.kind) {
    case "resume": return { case: "resume", value: { epoch: command.epoch, seq: BigInt(command.seq) } };
    case "send-chat": return { case: "sendChat", value: { text: command.text } };
    case "ask": return { case: "ask", value: { text: command.text, productId: command.productId ?? "" } };
    case "upvote": return { case: "upvote", value: { questionId: command.questionId } };
    case "react": return { case: "react", value: { kind: command.reaction } };
    case "click": return { case: "click", value: { pinId: command.pinId } };
    case "ping": return { case: "ping", value: { clientAtMs: BigInt(Math.round(command.clientAtMs)) } };
    case "refresh": return { case: "refresh", value: { pass: command.pass } };
    case "buy": {
      const { key, offerId, qty, confirmationHash, paymentMethod } = command;
      return { case: "buy", value: { key, offerId, qty, confirmationHash, paymentMethod } };
    }
  }
}

function snapshotOf(wire: WireSnapshot): Snapshot {
  return {
    epoch: wire.epoch,
    seq: Number(wire.seq),
    serverAtMs: Number(wire.serverAtMs),
    live: wire.live === undefined ? null : liveOf(wire.live),
    pins: wire.pins.flatMap(pinsOf),
    questions: wire.questions.map(questionOf),
    stock: wire.stock.map(stockOf),
    offersLeft: wire.offersLeft.map(offerLeftOf),
    viewers: wire.viewers,
    chat: wire.chat.map(chatOf),
    chatOmitted: wire.chatOmitted,
    deletedChatIds: wire.deletedChatIds,
    chatRules: wire.chatRules === undefined ? null : chatRulesOf(wire.chatRules),
    chatPinned: wire.chatPinned === undefined ? null : chatPinnedOf(wire.chatPinned),
    reactions: wire.reactions.map((reaction) => ({ kind: reaction.kind, total: Number(reaction.total) })),
    upvotedQuestionIds: wire.upvotedQuestionIds,
  };
}

function batchOf(wire: WireBatch): Batch {
  return {
    epoch: wire.epoch,
    ordered: wire.ordered.map((ordered) => ({ seq: Number(ordered.seq), event: eventOf(ordered) })),
    state: wire.state.flatMap(changesOf),
    chat: wire.chat.map(chatOf),
  };
}

function eventOf({ event }: WireOrdered): OrderedEvent {
  switch (event.case) {
    case "liveChanged": return { kind: "live", live: liveOf(event.value) };
    case "pinned": {
      const pin = pinsOf(event.value)[0];
      return pin === undefined ? { kind: "unheard-of" } : { kind: "pinned", pin };
    }
    case "unpinned": return { kind: "unpinned", pinId: event.value.pinId, version: Number(event.value.version) };
    case "questionChanged": return { kind: "question", question: questionOf(event.value) };
    case "soldOut": return { kind: "stock", stock: stockOf(event.value) };
    case "restocked": return { kind: "stock", stock: stockOf(event.value) };
    case "chatDeleted": return { kind: "chat-deleted", chatId: event.value.chatId };
    case "chatRulesChanged": return { kind: "chat-rules", chatRules: chatRulesOf(event.value) };
    case "chatPinned": return { kind: "chat-pinned", chatPinned: chatPinnedOf(event.value) };
    default: return { kind: "unheard-of" };
  }
}

function changesOf({ value }: WireState): StateChange[] {
  switch (value.case) {
    case "stock": return [{ kind: "stock", stock: stockOf(value.value) }];
    case "offerLeft": return [{ kind: "offer-left", offerLeft: offerLeftOf(value.value) }];
    case "question": return [{ kind: "question", question: questionOf(value.value) }];
    case "viewers": return [{ kind: "viewers", viewers: value.value.viewers, version: Number(value.value.version) }];
    case "reactions": return [{ kind: "reaction", reaction: { kind: value.value.kind, total: Number(value.value.total) } }];
    default: return [];
  }
}

function resultOf({ result }: WireReply): ReplyResult {
  switch (result.case) {
    case "problem": {
      const { type, status, detail, retryAfterMs } = result.value;
      return { kind: "problem", problem: { type, status, detail, retryAfterMs: Number(retryAfterMs) } };
    }
    case "chat": return { kind: "chat", chat: chatOf(result.value) };
    case "question": return { kind: "question", question: questionOf(result.value) };
    case "purchase": return { kind: "purchase", purchase: purchaseOf(result.value) };
    default: return { kind: "done" };
  }
}

function liveOf(wire: WireLive): RoomLive {
  return {
    id: wire.id, title: wire.title, state: wire.state as LiveState, liverId: wire.liverId, liverName: wire.liverName,
    tieUpBrandId: wire.tieUpBrandId, tieUpBrandName: wire.tieUpBrandName, prLabel: wire.prLabel, media: wire.media as MediaState,
    scheduledAtMs: Number(wire.scheduledAtMs), startedAtMs: Number(wire.startedAtMs), endedAtMs: Number(wire.endedAtMs),
    version: Number(wire.version), demo: wire.demo,
  };
}

/** A pin without its product cannot be shown, so it is none. */
function pinsOf(wire: WirePin): RoomPin[] {
  const product = wire.product;
  if (product === undefined) return [];
  return [{
    id: wire.id,
    product: {
      id: product.id, brandId: product.brandId, brandName: product.brandName, title: product.title,
      description: product.description, imagePath: product.imagePath,
    },
    offers: wire.offers.map((offer) => ({
      id: offer.id, skuId: offer.skuId, variant: offer.variant, priceMinor: Number(offer.priceMinor),
      regularPriceMinor: Number(offer.regularPriceMinor), currency: offer.currency, taxRateBp: offer.taxRateBp,
      limitPerCustomer: offer.limitPerCustomer, endsAtMs: Number(offer.endsAtMs),
      startsAtMs: Number(offer.startsAtMs), quota: Number(offer.quota), version: Number(offer.version),
    })),
    pinnedAtMs: Number(wire.pinnedAtMs),
    version: Number(wire.version),
  }];
}

function stockOf(wire: WireStock): Stock {
  return { skuId: wire.skuId, available: Number(wire.available), version: Number(wire.version) };
}

function offerLeftOf(wire: WireOfferLeft): OfferLeft {
  return { offerId: wire.offerId, left: Number(wire.left), version: Number(wire.version) };
}

function purchaseOf(wire: WirePurchase): PurchaseStatus {
  return {
    id: wire.id, state: wire.state, orderId: wire.orderId, reason: wire.reason, totalMinor: Number(wire.totalMinor),
    currency: wire.currency, holdExpiresAtMs: Number(wire.holdExpiresAtMs),
    lines: wire.lines.map((line) => ({
      offerId: line.offerId, skuId: line.skuId, qty: line.qty, unitPriceMinor: Number(line.unitPriceMinor),
    })),
    waitId: wire.waitId, shortUnits: wire.shortUnits, declineCode: wire.declineCode,
    paymentsBefore: Number(wire.paymentsBefore), paymentEstimateMs: Number(wire.paymentEstimateMs), version: Number(wire.version),
  };
}

function waitOf(wire: WireWait): Wait {
  return {
    id: wire.id, offerId: wire.offerId, skuId: wire.skuId, qty: wire.qty, state: wire.state, reason: wire.reason,
    purchaseId: wire.purchaseId, joinedAtMs: Number(wire.joinedAtMs), version: Number(wire.version),
  };
}

function pickupOf(wire: WirePickup): Pickup {
  return {
    orderId: wire.orderId, locationId: wire.locationId, state: wire.state, readyByMs: Number(wire.readyByMs),
    readyAtMs: Number(wire.readyAtMs), collectByMs: Number(wire.collectByMs), reminded: wire.reminded, version: Number(wire.version),
  };
}

function questionOf(wire: WireQuestion): Question {
  return {
    id: wire.id, authorName: wire.authorName, text: wire.text, votes: wire.votes, state: wire.state as QuestionState,
    askedAtMs: Number(wire.askedAtMs), answeringAtMs: Number(wire.answeringAtMs), answeredAtMs: Number(wire.answeredAtMs),
    chapterAtMs: Number(wire.chapterAtMs), productId: wire.productId, mergedInto: wire.mergedInto,
    version: Number(wire.version), demo: wire.demo,
  };
}

function chatRulesOf(wire: WireChatRules): ChatRules {
  return { slowModeS: wire.slowModeS, followersOnly: wire.followersOnly, version: Number(wire.version) };
}

function chatPinnedOf(wire: WireChatPinned): ChatPinned {
  return { message: wire.message === undefined ? null : chatOf(wire.message), version: Number(wire.version) };
}

function salesOf(wire: WireSales): Sales {
  return {
    orders: Number(wire.orders), units: Number(wire.units), grossMinor: Number(wire.grossMinor), currency: wire.currency,
    viewers: wire.viewers, peakViewers: wire.peakViewers, uniqueViewers: wire.uniqueViewers, watchS: Number(wire.watchS),
  };
}

function chatOf(wire: WireChat): ChatMessage {
  return { id: wire.id, authorName: wire.authorName, authorRole: wire.authorRole, text: wire.text, atMs: Number(wire.atMs), demo: wire.demo };
}
