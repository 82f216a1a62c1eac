/**
 * Value: the hub's messages as plain values: what codec.ts makes of the wire and what room.ts decides about. Numbers are
 * numbers (milliseconds, yen and versions are far below 2^53), so nothing beyond the codec meets a bigint.
 */

export type LiveState = "scheduled" | "live" | "ended";
export type MediaState = "none" | "up" | "away";
export type QuestionState = "open" | "answering" | "answered" | "hidden" | "merged";
/** A later contract may know more of them. */
export type Role = "viewer" | "moderator" | "liver";

export interface RoomLive {
  id: string;
  title: string;
  state: LiveState;
  liverId: string;
  liverName: string;
  /** Empty without a tie-up. */
  tieUpBrandId: string;
  tieUpBrandName: string;
  prLabel: string;
  media: MediaState;
  scheduledAtMs: number;
  startedAtMs: number;
  endedAtMs: number;
  version: number;
  demo: boolean;
}

export interface RoomOffer {
  id: string;
  skuId: string;
  variant: string;
  priceMinor: number;
  regularPriceMinor: number;
  currency: string;
  taxRateBp: number;
  /** 0 = no limit. */
  limitPerCustomer: number;
  /** 0 = until the pin or the live ends. */
  endsAtMs: number;
  /** Before this moment nothing can be bought; 0 = it has begun. */
  startsAtMs: number;
  /** Units that this offer may sell in all; 0 = all of the stock. */
  quota: number;
  version: number;
}

export interface RoomPin {
  id: string;
  product: { id: string; brandId: string; brandName: string; title: string; description: string; imagePath: string };
  offers: RoomOffer[];
  pinnedAtMs: number;
  version: number;
}

export interface Stock {
  skuId: string;
  available: number;
  version: number;
}

/** What an offer with a quota may still sell; buyers can have the smaller of this and the stock. */
export interface OfferLeft {
  offerId: string;
  left: number;
  version: number;
}

export interface Question {
  id: string;
  authorName: string;
  text: string;
  votes: number;
  state: QuestionState;
  askedAtMs: number;
  answeringAtMs: number;
  answeredAtMs: number;
  /** Since the live went on air: where its answer begins in the replay; 0 = it was not put on air. */
  chapterAtMs: number;
  /** The product that it is about; empty = none. */
  productId: string;
  /** When merged: the question that carries its votes; empty otherwise. */
  mergedInto: string;
  version: number;
  demo: boolean;
}

/** What holds for the viewers' chat; liver and moderators are free of it. */
export interface ChatRules {
  /** Seconds between two lines of one person; 0 = no slow mode. */
  slowModeS: number;
  followersOnly: boolean;
  version: number;
}

/** The line that stays on top of the chat; null = none does. */
export interface ChatPinned {
  message: ChatMessage | null;
  version: number;
}

/** What this person may do in this live. */
export interface Standing {
  role: string;
  /** 0 = may talk; -1 = not any more in this live. */
  mutedUntilMs: number;
  following: boolean;
}

/** Short-lived proof of who the person is, for coming back without a look-up. */
export interface Pass {
  token: string;
  expiresAtMs: number;
}

export interface ChatMessage {
  id: string;
  authorName: string;
  authorRole: string;
  text: string;
  atMs: number;
  demo: boolean;
}

export interface PurchaseStatus {
  id: string;
  state: string;
  orderId: string;
  reason: string;
  totalMinor: number;
  currency: string;
  holdExpiresAtMs: number;
  lines: PurchaseLine[];
  /** The place on a waitlist that this hold was given for; empty otherwise. */
  waitId: string;
  /** Units of a paid purchase that cannot be delivered at the moment. */
  shortUnits: number;
  /** The provider's code behind a decline, where it may be told; empty otherwise. */
  declineCode: string;
  /** While it waits for its turn with the payment provider: how many are before it, and about how long; 0 otherwise. */
  paymentsBefore: number;
  paymentEstimateMs: number;
  version: number;
}

export interface PurchaseLine {
  offerId: string;
  skuId: string;
  qty: number;
  unitPriceMinor: number;
}

/** A place on a waitlist: released units are offered in order of arrival. */
export interface Wait {
  id: string;
  offerId: string;
  skuId: string;
  qty: number;
  /** waiting, offered (see purchaseId), left or lapsed (see reason); a later contract may say more. */
  state: string;
  reason: string;
  purchaseId: string;
  joinedAtMs: number;
  version: number;
}

/** An order that is picked up in a store; its code is told over REST alone. */
export interface Pickup {
  orderId: string;
  locationId: string;
  /** waiting, preparing, ready, handed_over or returned; a later contract may say more. */
  state: string;
  readyByMs: number;
  /** 0 until it is ready. */
  readyAtMs: number;
  collectByMs: number;
  /** Whether the person was told that it is kept for a day more. */
  reminded: boolean;
  version: number;
}

export interface Sales {
  orders: number;
  units: number;
  grossMinor: number;
  currency: string;
  viewers: number;
  peakViewers: number;
  /** Different people over the whole live, to about 2 %. */
  uniqueViewers: number;
  /** Seconds watched, over all viewers. */
  watchS: number;
}

export interface HubProblem {
  type: string;
  status: number;
  detail: string;
  retryAfterMs: number;
}

export interface Position {
  epoch: string;
  seq: number;
}

export interface Snapshot extends Position {
  serverAtMs: number;
  live: RoomLive | null;
  pins: RoomPin[];
  questions: Question[];
  stock: Stock[];
  offersLeft: OfferLeft[];
  viewers: number;
  chat: ChatMessage[];
  /** `chat` was left out, because this connection is slow: the lines one has stay. */
  chatOmitted: boolean;
  /** With `chatOmitted`: lines that were taken away lately, also while one was jumping. */
  deletedChatIds: string[];
  chatRules: ChatRules | null;
  chatPinned: ChatPinned | null;
  reactions: Reaction[];
  upvotedQuestionIds: string[];
}

export interface Reaction {
  kind: string;
  total: number;
}

export type OrderedEvent =
  | { kind: "live"; live: RoomLive }
  | { kind: "pinned"; pin: RoomPin }
  | { kind: "unpinned"; pinId: string; version: number }
  | { kind: "question"; question: Question }
  | { kind: "stock"; stock: Stock }
  | { kind: "chat-deleted"; chatId: string }
  | { kind: "chat-rules"; chatRules: ChatRules }
  | { kind: "chat-pinned"; chatPinned: ChatPinned }
  /** Of a later contract: its place in the order counts, its content is skipped. */
  | { kind: "unheard-of" };

export type StateChange =
  | { kind: "stock"; stock: Stock }
  | { kind: "offer-left"; offerLeft: OfferLeft }
  | { kind: "question"; question: Question }
  | { kind: "viewers"; viewers: number; version: number }
  | { kind: "reaction"; reaction: Reaction };

export interface Batch {
  epoch: string;
  ordered: { seq: number; event: OrderedEvent }[];
  state: StateChange[];
  chat: ChatMessage[];
}

export type ReplyResult =
  | { kind: "problem"; problem: HubProblem }
  | { kind: "chat"; chat: ChatMessage }
  | { kind: "question"; question: Question }
  | { kind: "purchase"; purchase: PurchaseStatus }
  | { kind: "done" };

/** About the person's own affairs; REST answers tell of the same. */
export type Personal =
  | { kind: "purchase"; purchase: PurchaseStatus }
  | { kind: "wait"; wait: Wait }
  | { kind: "pickup"; pickup: Pickup }
  | { kind: "standing"; standing: Standing };

export type Frame =
  | { kind: "snapshot"; snapshot: Snapshot }
  | ({ kind: "resumed"; serverAtMs: number } & Position)
  | { kind: "batch"; batch: Batch }
  | { kind: "reply"; id: number; result: ReplyResult }
  | Personal
  | { kind: "sales"; sales: Sales }
  | { kind: "pass"; pass: Pass }
  | { kind: "pong"; clientAtMs: number; serverAtMs: number }
  | { kind: "goodbye"; reason: string; reconnectAfterMs: number };

export type Command =
  | ({ kind: "resume" } & Position)
  | { kind: "send-chat"; text: string }
  | { kind: "ask"; text: string; productId?: string }
  | { kind: "upvote"; questionId: string }
  | { kind: "react"; reaction: string }
  | { kind: "click"; pinId: string }
  | { kind: "ping"; clientAtMs: number }
  | { kind: "refresh"; pass: string }
  | ({ kind: "buy" } & Buy);

/** The buy tap: the same `key` has the same purchase, over REST too. */
export interface Buy {
  key: string;
  offerId: string;
  qty: number;
  /** Of the sheet that was shown; empty = none was. */
  confirmationHash: string;
  /** Pays at once; empty = the units are held for a while. */
  paymentMethod: string;
}
