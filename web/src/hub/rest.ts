/** Edge: commands over REST, for whoever has no WebSocket. The answers are those of the hub. */
import type { ChatMessage, Command, PurchaseStatus, Question, QuestionState, ReplyResult } from "./model.js";
import { Problem, problemOf } from "./problem.js";

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface Place {
  /** Of the server; empty = the page's own. */
  origin: string;
  live: string;
  fetch: Fetch;
}

interface RestQuestion {
  id: string;
  author_name: string;
  text: string;
  votes: number;
  state: QuestionState;
  asked_at_ms: number;
  answering_at_ms: number | null;
  answered_at_ms: number | null;
  chapter_at_ms?: number | null;
  product_id?: string | null;
  merged_into?: string | null;
  version: number;
  demo: boolean;
}

interface RestChat {
  id: string;
  author_name: string;
  author_role: string;
  text: string;
  at_ms: number;
  demo: boolean;
}

/** The part of REST's purchase that the hub tells too. */
export interface RestPurchase {
  id: string;
  state: string;
  order_id: string | null;
  reason: string | null;
  total_minor: number;
  currency: string;
  hold_expires_at_ms: number;
  lines: { offer_id: string; sku_id: string; qty: number; unit_price_minor: number }[];
  wait_id: string | null;
  short_units: number;
  decline_code?: string | null;
  payments_before?: number;
  payment_estimate_ms?: number;
  version: number;
}

/** `no-socket` for what only the hub can do. `id` makes a repeated POST the same one. */
export async function sendByRest(place: Place, command: Command, id: string): Promise<ReplyResult> {
  const live = `/v1/lives/${encodeURIComponent(place.live)}`;
  switch (command.kind) {
    case "send-chat":
      return { kind: "chat", chat: chatOf(await post<RestChat>(place, `${live}/chat`, { text: command.text }, id)) };
    case "ask": {
      const about = command.productId ?? "";
      const body = { text: command.text, ...(about === "" ? {} : { product_id: about }) };
      return { kind: "question", question: questionOf(await post<RestQuestion>(place, `${live}/questions`, body, id)) };
    }
    case "upvote": {
      const path = `/v1/questions/${encodeURIComponent(command.questionId)}/upvote`;
      return { kind: "question", question: questionOf(await post<RestQuestion>(place, path, {}, id)) };
    }
    case "buy": {
      const { key, offerId, qty, confirmationHash, paymentMethod } = command;
      const body = {
        offer_id: offerId, qty,
        ...(confirmationHash === "" ? {} : { confirmation_hash: confirmationHash }),
        ...(paymentMethod === "" ? {} : { payment_method: paymentMethod }),
      };
      return { kind: "purchase", purchase: purchaseOfRest(await post<RestPurchase>(place, "/v1/purchases", body, key)) };
    }
    default:
      throw new Problem("no-socket", 0, `${command.kind} has no route over REST`, 0);
  }
}

async function post<T>(place: Place, path: string, body: unknown, key: string): Promise<T> {
  let response: Response;
  try {
    response = await place.fetch(place.origin + path, {
      method: "POST",
      credentials: place.origin === "" ? "same-origin" : "include",
      headers: { "accept": "application/json", "content-type": "application/json", "idempotency-key": key },
      body: JSON.stringify(body),
    });
  } catch (thrown) {
    throw new Problem("network", 0, thrown instanceof Error ? thrown.message : "", 0);
  }
  if (!response.ok) throw await problemOf(response);
  try {
    return (await response.json()) as T;
  } catch {
    // Cut short: whether the request worked is unknown, as with no answer.
    throw new Problem("network", 0, "the answer was cut short", 0);
  }
}

function chatOf(told: RestChat): ChatMessage {
  return { id: told.id, authorName: told.author_name, authorRole: told.author_role, text: told.text, atMs: told.at_ms, demo: told.demo };
}

function questionOf(told: RestQuestion): Question {
  return {
    id: told.id, authorName: told.author_name, text: told.text, votes: told.votes, state: told.state, askedAtMs: told.asked_at_ms,
    answeringAtMs: told.answering_at_ms ?? 0, answeredAtMs: told.answered_at_ms ?? 0, chapterAtMs: told.chapter_at_ms ?? 0,
    productId: told.product_id ?? "", mergedInto: told.merged_into ?? "", version: told.version, demo: told.demo,
  };
}

export function purchaseOfRest(told: RestPurchase): PurchaseStatus {
  return {
    id: told.id, state: told.state, orderId: told.order_id ?? "", reason: told.reason ?? "", totalMinor: told.total_minor,
    currency: told.currency, holdExpiresAtMs: told.hold_expires_at_ms,
    lines: told.lines.map((line) => ({ offerId: line.offer_id, skuId: line.sku_id, qty: line.qty, unitPriceMinor: line.unit_price_minor })),
    waitId: told.wait_id ?? "", shortUnits: told.short_units, declineCode: told.decline_code ?? "",
    paymentsBefore: told.payments_before ?? 0, paymentEstimateMs: told.payment_estimate_ms ?? 0, version: told.version,
  };
}
