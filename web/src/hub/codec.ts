/** The edge between the wire (protobuf) and the model: parsed once here, never checked again inside. */
import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import {
  ClientFrameSchema, ServerFrameSchema,
  type Batch as WireBatch, type ChatMessage as WireChat, type Live as WireLive, type Ordered as WireOrdered,
  type OfferLeft as WireOfferLeft, type Pin as WirePin, type PurchaseStatus as WirePurchase, type Question as WireQuestion, type Reply as WireReply, type Snapshot as WireSnapshot,
  type State as WireState, type Stock as WireStock, type Wait as WireWait,
} from "../gen/hanamichi/v1/hub_pb";
import type {
  Batch, ChatMessage, Command, Frame, LiveState, MediaState, OfferLeft, OrderedEvent, PurchaseStatus, Question, QuestionState,
  ReplyResult, RoomLive, RoomPin, Snapshot, StateChange, Stock, Wait,
} from "./model";

export const SUBPROTOCOL = "hanamichi.v1.proto";

export function encodeCommand(id: number, command: Command): Uint8Array<ArrayBuffer> {
  return new Uint8Array(toBinary(ClientFrameSchema, create(ClientFrameSchema, { id: BigInt(id), body: bodyOf(command) })));
}

/** null: a frame of a later contract, to be skipped. */
export function decodeFrame(bytes: Uint8Array): Frame | null {
  const { body } = fromBinary(ServerFrameSchema, bytes);
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
    case "personal": {
      const personal = body.value.body;
      if (personal.case === "purchase") return { kind: "purchase", purchase: purchaseOf(personal.value) };
      if (personal.case === "wait") return { kind: "wait", wait: waitOf(personal.value) };
      if (personal.case === "sales") {
        const { orders, units, grossMinor, currency, viewers, peakViewers } = personal.value;
        return {
          kind: "sales",
          sales: { orders: Number(orders), units: Number(units), grossMinor: Number(grossMinor), currency, viewers, peakViewers },
        };
      }
      return null;
    }
    default:
      return null;
  }
}

type Body = NonNullable<MessageInitShape<typeof ClientFrameSchema>["body"]>;

function bodyOf(command: Command): Body {
  switch (command.kind) {
    case "resume": return { case: "resume", value: { epoch: command.epoch, seq: BigInt(command.seq) } };
    case "send-chat": return { case: "sendChat", value: { text: command.text } };
    case "ask": return { case: "ask", value: { text: command.text } };
    case "upvote": return { case: "upvote", value: { questionId: command.questionId } };
    case "react": return { case: "react", value: { kind: command.reaction } };
    case "click": return { case: "click", value: { pinId: command.pinId } };
    case "ping": return { case: "ping", value: { clientAtMs: BigInt(Math.round(command.clientAtMs)) } };
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
    default: return { kind: "done" };
  }
}

function liveOf(wire: WireLive): RoomLive {
  return {
    id: wire.id, title: wire.title, state: wire.state as LiveState, liverId: wire.liverId, liverName: wire.liverName,
    tieUpBrandName: wire.tieUpBrandName, prLabel: wire.prLabel, media: wire.media as MediaState,
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
    holdExpiresAtMs: Number(wire.holdExpiresAtMs),
    lines: wire.lines.map((line) => ({
      offerId: line.offerId, skuId: line.skuId, qty: line.qty, unitPriceMinor: Number(line.unitPriceMinor),
    })),
    waitId: wire.waitId, shortUnits: wire.shortUnits, version: Number(wire.version),
  };
}

function waitOf(wire: WireWait): Wait {
  return {
    id: wire.id, offerId: wire.offerId, skuId: wire.skuId, qty: wire.qty, state: wire.state, reason: wire.reason,
    purchaseId: wire.purchaseId, joinedAtMs: Number(wire.joinedAtMs), version: Number(wire.version),
  };
}

function questionOf(wire: WireQuestion): Question {
  return {
    id: wire.id, authorName: wire.authorName, text: wire.text, votes: wire.votes, state: wire.state as QuestionState,
    askedAtMs: Number(wire.askedAtMs), answeringAtMs: Number(wire.answeringAtMs), answeredAtMs: Number(wire.answeredAtMs),
    version: Number(wire.version), demo: wire.demo,
  };
}

function chatOf(wire: WireChat): ChatMessage {
  return { id: wire.id, authorName: wire.authorName, authorRole: wire.authorRole, text: wire.text, atMs: Number(wire.atMs), demo: wire.demo };
}
