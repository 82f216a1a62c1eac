/**
 * Pure: what a viewer knows about a room, and what each frame makes of it.
 *
 * Invariant: ordered events are applied once each and in order; a hole is never jumped over, it asks for a resync.
 * Invariant: a versioned value (live, pin, offer, question, stock, quota left, chat rules, purchase, wait, pickup) never goes backwards, whichever way it comes.
 * Invariant: a chat message is shown once, and not at all once it is deleted.
 */
import type {
  Batch, ChatMessage, ChatPinned, ChatRules, Frame, OfferLeft, OrderedEvent, Pickup, Position, PurchaseStatus, Question, RoomLive, RoomPin,
  Sales, Snapshot, Standing, StateChange, Stock, Wait,
} from "./model.js";

/** Lines of chat that are kept; older ones are in the archive. */
export const CHAT_KEPT = 200;
/** Deleted lines that are remembered, the newest; one may come again only while it is among the kept ones. */
export const DELETED_KEPT = 1_000;

export interface Room {
  /** null until the first snapshot. */
  readonly position: Position | null;
  readonly live: RoomLive | null;
  /** Newest pin first. */
  readonly pins: readonly RoomPin[];
  readonly stock: ReadonlyMap<string, Stock>;
  /** By offer; only of those that have a quota. */
  readonly offersLeft: ReadonlyMap<string, OfferLeft>;
  readonly questions: ReadonlyMap<string, Question>;
  readonly upvoted: ReadonlySet<string>;
  readonly chat: readonly ChatMessage[];
  readonly deletedChat: ReadonlySet<string>;
  readonly chatRules: ChatRules;
  readonly chatPinned: ChatPinned;
  readonly viewers: number;
  readonly viewersVersion: number;
  readonly reactions: ReadonlyMap<string, number>;
  readonly purchases: ReadonlyMap<string, PurchaseStatus>;
  /** The person's places on waitlists, by place. */
  readonly waits: ReadonlyMap<string, Wait>;
  /** What the person picks up, by order; of which there was news. */
  readonly pickups: ReadonlyMap<string, Pickup>;
  readonly sales: Sales | null;
  /** null: a guest, or not told yet. */
  readonly standing: Standing | null;
}

export const EMPTY_ROOM: Room = {
  position: null, live: null, pins: [], stock: new Map(), offersLeft: new Map(), questions: new Map(), upvoted: new Set(), chat: [],
  deletedChat: new Set(), chatRules: { slowModeS: 0, followersOnly: false, version: -1 }, chatPinned: { message: null, version: -1 },
  viewers: 0, viewersVersion: -1, reactions: new Map(), purchases: new Map(), waits: new Map(), pickups: new Map(), sales: null, standing: null,
};

/** `resync`: the log and this room do not meet; only a resume or a snapshot helps. */
export interface Step {
  readonly room: Room;
  readonly resync: boolean;
}

export function applyFrame(room: Room, frame: Frame): Step {
  switch (frame.kind) {
    case "snapshot":
      return fine(applySnapshot(room, frame.snapshot));
    case "resumed":
      // Same log: it goes on from here, and a hole would show at the next ordered event.
      return { room, resync: room.position?.epoch !== frame.epoch };
    case "batch":
      return applyBatch(room, frame.batch);
    case "purchase":
      return fine(withPurchase(room, frame.purchase));
    case "wait":
      return fine(withWait(room, frame.wait));
    case "pickup":
      return fine(withPickup(room, frame.pickup));
    case "sales":
      return fine({ ...room, sales: frame.sales });
    case "standing":
      return fine({ ...room, standing: frame.standing });
    case "reply":
      if (frame.result.kind === "purchase") return fine(withPurchase(room, frame.result.purchase));
      if (frame.result.kind === "chat") return fine(withChat(room, [frame.result.chat]));
      if (frame.result.kind === "question") return fine(withQuestion(room, frame.result.question));
      return fine(room);
    case "pass":
    case "pong":
    case "goodbye":
      return fine(room);
  }
}

export function withUpvote(room: Room, questionId: string): Room {
  return room.upvoted.has(questionId) ? room : { ...room, upvoted: new Set(room.upvoted).add(questionId) };
}

/** What was one person's does not become the next one's. */
export function withoutPerson(room: Room): Room {
  return { ...room, upvoted: new Set(), purchases: new Map(), waits: new Map(), sales: null, standing: null };
}

/** A vote for a question that was merged counts for the one that took it in. */
export function hasUpvoted(room: Room, questionId: string): boolean {
  return room.upvoted.has(questionId) || [...room.upvoted].some((id) => carrierOf(room, id) === questionId);
}

const MERGES_MAX = 8;

/** The question that carries this one's votes: itself, unless it was merged. */
function carrierOf(room: Room, questionId: string): string {
  let id = questionId;
  for (let step = 0; step < MERGES_MAX; step += 1) {
    const into = room.questions.get(id)?.mergedInto ?? "";
    if (into === "") return id;
    id = into;
  }
  return id;
}

function fine(room: Room): Step {
  return { room, resync: false };
}

function applySnapshot(room: Room, snapshot: Snapshot): Room {
  const sameLog = room.position?.epoch === snapshot.epoch;
  if (sameLog && room.position !== null && snapshot.seq < room.position.seq) return room;
  // The snapshot decides what exists; the versions decide which of two states of a thing is the later one.
  // A SKU or offer that was heard of between two snapshots keeps its number: a late pin may ask for it.
  const stock = new Map(room.stock);
  for (const next of snapshot.stock) stock.set(next.skuId, newer(room.stock.get(next.skuId), next));
  const offersLeft = new Map(room.offersLeft);
  for (const next of snapshot.offersLeft) offersLeft.set(next.offerId, newer(room.offersLeft.get(next.offerId), next));
  const questions = new Map(snapshot.questions.map((next) => [next.id, newer(room.questions.get(next.id), next)]));
  // Ids are never used again, so what was taken away stays away, whatever history comes next.
  const deletedChat = new Set([...room.deletedChat, ...snapshot.deletedChatIds]);
  return {
    ...room,
    position: { epoch: snapshot.epoch, seq: snapshot.seq },
    live: snapshot.live === null ? room.live : newer(room.live ?? undefined, snapshot.live),
    pins: sorted(snapshot.pins.map((next) => mergedPin(room.pins.find((pin) => pin.id === next.id), next))),
    stock,
    offersLeft,
    questions,
    upvoted: new Set(snapshot.upvotedQuestionIds),
    // Left out is not empty: whoever is slow keeps the lines that are there.
    chat: mergedChat([], snapshot.chatOmitted ? room.chat : snapshot.chat, deletedChat),
    deletedChat,
    chatRules: snapshot.chatRules === null ? room.chatRules : newer(room.chatRules, snapshot.chatRules),
    // None pinned has no version of its own: the next pin's is higher than the last one's.
    chatPinned: snapshot.chatPinned === null ? { message: null, version: room.chatPinned.version }
      : undeleted(newer(room.chatPinned, snapshot.chatPinned), deletedChat),
    viewers: snapshot.viewers,
    viewersVersion: -1,
    reactions: new Map(snapshot.reactions.map((reaction) => [reaction.kind, reaction.total])),
  };
}

function applyBatch(room: Room, batch: Batch): Step {
  if (room.position === null || batch.epoch !== room.position.epoch) return { room, resync: true };
  let next = room;
  for (const { seq, event } of batch.ordered) {
    const at: number = next.position?.seq ?? 0;
    if (seq <= at) continue;
    if (seq !== at + 1) return { room: next, resync: true };
    next = { ...applyEvent(next, event), position: { epoch: batch.epoch, seq } };
  }
  for (const change of batch.state) next = applyChange(next, change);
  return fine(withChat(next, batch.chat));
}

function applyEvent(room: Room, event: OrderedEvent): Room {
  switch (event.kind) {
    case "live":
      return { ...room, live: newer(room.live ?? undefined, event.live) };
    case "pinned": {
      const others = room.pins.filter((pin) => pin.id !== event.pin.id);
      const merged = mergedPin(room.pins.find((pin) => pin.id === event.pin.id), event.pin);
      return { ...room, pins: sorted([...others, merged]) };
    }
    case "unpinned":
      return { ...room, pins: room.pins.filter((pin) => pin.id !== event.pinId || pin.version > event.version) };
    case "question":
      return withQuestion(room, event.question);
    case "stock":
      return withStock(room, event.stock);
    case "chat-deleted": {
      const deletedChat = new Set([...room.deletedChat, event.chatId].slice(-DELETED_KEPT));
      const chat = room.chat.filter((line) => line.id !== event.chatId);
      return { ...room, chat, deletedChat, chatPinned: undeleted(room.chatPinned, deletedChat) };
    }
    case "chat-rules":
      return { ...room, chatRules: newer(room.chatRules, event.chatRules) };
    case "chat-pinned":
      return { ...room, chatPinned: undeleted(newer(room.chatPinned, event.chatPinned), room.deletedChat) };
    case "unheard-of":
      return room;
  }
}

function applyChange(room: Room, change: StateChange): Room {
  switch (change.kind) {
    case "stock":
      return withStock(room, change.stock);
    case "offer-left":
      return withOfferLeft(room, change.offerLeft);
    case "question":
      return withQuestion(room, change.question);
    case "viewers":
      if (change.version <= room.viewersVersion) return room;
      return { ...room, viewers: change.viewers, viewersVersion: change.version };
    case "reaction":
      // A total only grows within a live, so the larger one is the later one.
      if (change.reaction.total <= (room.reactions.get(change.reaction.kind) ?? -1)) return room;
      return { ...room, reactions: new Map(room.reactions).set(change.reaction.kind, change.reaction.total) };
  }
}

function withStock(room: Room, stock: Stock): Room {
  const known = room.stock.get(stock.skuId);
  if (known !== undefined && known.version >= stock.version) return room;
  return { ...room, stock: new Map(room.stock).set(stock.skuId, stock) };
}

function withOfferLeft(room: Room, offerLeft: OfferLeft): Room {
  const known = room.offersLeft.get(offerLeft.offerId);
  if (known !== undefined && known.version >= offerLeft.version) return room;
  return { ...room, offersLeft: new Map(room.offersLeft).set(offerLeft.offerId, offerLeft) };
}

function withQuestion(room: Room, question: Question): Room {
  const known = room.questions.get(question.id);
  if (known !== undefined && known.version >= question.version) return room;
  return { ...room, questions: new Map(room.questions).set(question.id, question) };
}

function withPurchase(room: Room, purchase: PurchaseStatus): Room {
  const known = room.purchases.get(purchase.id);
  if (known !== undefined && known.version >= purchase.version) return room;
  return { ...room, purchases: new Map(room.purchases).set(purchase.id, purchase) };
}

function withWait(room: Room, wait: Wait): Room {
  const known = room.waits.get(wait.id);
  if (known !== undefined && known.version >= wait.version) return room;
  return { ...room, waits: new Map(room.waits).set(wait.id, wait) };
}

function withPickup(room: Room, pickup: Pickup): Room {
  const known = room.pickups.get(pickup.orderId);
  if (known !== undefined && known.version >= pickup.version) return room;
  return { ...room, pickups: new Map(room.pickups).set(pickup.orderId, pickup) };
}

function withChat(room: Room, lines: readonly ChatMessage[]): Room {
  if (lines.length === 0) return room;
  const chat = mergedChat(room.chat, lines, room.deletedChat);
  return chat.length === room.chat.length && chat.at(-1) === room.chat.at(-1) ? room : { ...room, chat };
}

function undeleted(pinned: ChatPinned, deleted: ReadonlySet<string>): ChatPinned {
  return pinned.message !== null && deleted.has(pinned.message.id) ? { ...pinned, message: null } : pinned;
}

function mergedChat(known: readonly ChatMessage[], lines: readonly ChatMessage[], deleted: ReadonlySet<string>): readonly ChatMessage[] {
  const seen = new Set<string>();
  const merged: ChatMessage[] = [];
  for (const line of [...known, ...lines]) {
    if (seen.has(line.id) || deleted.has(line.id)) continue;
    seen.add(line.id);
    merged.push(line);
  }
  return merged.length > CHAT_KEPT ? merged.slice(-CHAT_KEPT) : merged;
}

function mergedPin(known: RoomPin | undefined, next: RoomPin): RoomPin {
  if (known === undefined) return next;
  const pin = newer(known, next);
  return { ...pin, offers: pin.offers.map((offer) => newer(known.offers.find((old) => old.id === offer.id), offer)) };
}

function newer<T extends { version: number }>(known: T | undefined, next: T): T {
  return known !== undefined && known.version > next.version ? known : next;
}

function sorted(pins: readonly RoomPin[]): readonly RoomPin[] {
  return [...pins].sort((a, b) => b.pinnedAtMs - a.pinnedAtMs || (a.id < b.id ? 1 : -1));
}
