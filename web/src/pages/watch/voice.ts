/** Pure: whether this person may talk just now, and if not, why and until when. */
import type { Room } from "../../hub/room";
import { keepsOrder } from "../../moderation/order";

export type Voice =
  | { kind: "free" }
  /** untilMs -1: for the rest of this live. */
  | { kind: "muted"; untilMs: number }
  | { kind: "followers-only" }
  | { kind: "cooling"; untilMs: number };

export type Talk = "chat" | "ask";

const FREE: Voice = { kind: "free" };

/** `saidAtMs`: this person's last line, by the server's clock; `refusedUntilMs`: what the server itself named. 0 = none. */
export function voiceOf(room: Room, talk: Talk, saidAtMs: number, refusedUntilMs: number, nowMs: number): Voice {
  const { standing, chatRules } = room;
  const mutedUntilMs = standing?.mutedUntilMs ?? 0;
  if (mutedUntilMs === -1 || mutedUntilMs > nowMs) return { kind: "muted", untilMs: mutedUntilMs };
  // The rules are for the viewers' chat: who keeps order is free of them, and questions are too.
  if (talk === "ask" || keepsOrder(room)) return FREE;
  // Whose standing is not known yet may try; the server decides.
  if (chatRules.followersOnly && standing?.following === false) return { kind: "followers-only" };
  if (chatRules.slowModeS === 0) return FREE;
  const untilMs = Math.max(refusedUntilMs, saidAtMs === 0 ? 0 : saidAtMs + chatRules.slowModeS * 1000);
  return untilMs > nowMs ? { kind: "cooling", untilMs } : FREE;
}

/** The next moment at which the answer may change by itself; 0 = none. */
export function voiceUntil(room: Room, saidAtMs: number, refusedUntilMs: number): number {
  const cooled = room.chatRules.slowModeS === 0 ? 0 : Math.max(refusedUntilMs, saidAtMs === 0 ? 0 : saidAtMs + room.chatRules.slowModeS * 1000);
  return Math.max(room.standing?.mutedUntilMs ?? 0, cooled, 0);
}
