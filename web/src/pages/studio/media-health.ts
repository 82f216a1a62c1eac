/**
 * Pure: how good the picture is, in one word and one reason. What hurts most is named first.
 */
import type { LiveMedia, PublisherMedia, ViewersMedia } from "../../api/types";

export type Level = "waiting" | "good" | "shaky" | "bad";
export type Reason =
  | "waiting" | "measuring" | "away" | "no_keyframe" | "no_frames" | "loss" | "keyframes" | "frames" | "resent" | "delay" | "jitter" | "bitrate"
  | "viewers_loss" | "good";

export interface Judgement {
  level: Level;
  reason: Reason;
}

/** What a picture needs; losses in ten thousandths. */
const LIMITS = {
  keyframeMs: 4_000, badKeyframeMs: 10_000,
  lossBp: 50, badLossBp: 300,
  resentBp: 300,
  frames: 15, badFrames: 5,
  roundTripMs: 400,
  jitterMs: 80,
  bitsPerS: 200_000,
  viewersLossBp: 300,
  noKeyframeMs: 5_000,
} as const;

/** Who makes keyframes when asked (a browser) need not make them in between; OBS makes them by the clock alone. */
export type Source = "this-page" | "elsewhere";

export function judge(media: LiveMedia, source: Source): Judgement {
  const { state, publisher, viewers } = media;
  if (state === "away") return { level: "bad", reason: "away" };
  if (publisher === null) return { level: "waiting", reason: "waiting" };
  // Rates are told after a second.
  if (publisher.frames_per_s === 0 && publisher.keyframes <= 1 && publisher.packets < 500) return { level: "waiting", reason: "measuring" };
  if (state === "none") return { level: "bad", reason: "no_keyframe" };
  return ofPublisher(publisher, source) ?? ofViewers(viewers) ?? { level: "good", reason: "good" };
}

function ofPublisher(publisher: PublisherMedia, source: Source): Judgement | null {
  const apart = Math.max(publisher.keyframe_interval_ms ?? 0, publisher.since_keyframe_ms ?? 0);
  const byTheClock = source === "elsewhere";
  if (publisher.frames_per_s === 0) return { level: "bad", reason: "no_frames" };
  if (publisher.loss_bp >= LIMITS.badLossBp) return { level: "bad", reason: "loss" };
  if (publisher.frames_per_s < LIMITS.badFrames) return { level: "bad", reason: "frames" };
  if (byTheClock && apart > LIMITS.badKeyframeMs) return { level: "bad", reason: "keyframes" };
  if (publisher.loss_bp >= LIMITS.lossBp) return { level: "shaky", reason: "loss" };
  if (byTheClock && apart > LIMITS.keyframeMs) return { level: "shaky", reason: "keyframes" };
  if (publisher.frames_per_s < LIMITS.frames) return { level: "shaky", reason: "frames" };
  if (publisher.late_bp >= LIMITS.resentBp) return { level: "shaky", reason: "resent" };
  if ((publisher.round_trip_ms ?? 0) >= LIMITS.roundTripMs) return { level: "shaky", reason: "delay" };
  if (publisher.jitter_ms >= LIMITS.jitterMs) return { level: "shaky", reason: "jitter" };
  if (publisher.video_bits_per_s < LIMITS.bitsPerS) return { level: "shaky", reason: "bitrate" };
  return null;
}

/** Half of the viewers: one with a bad network says nothing about the live. */
function ofViewers(viewers: ViewersMedia): Judgement | null {
  return (viewers.loss_p50_bp ?? 0) >= LIMITS.viewersLossBp ? { level: "shaky", reason: "viewers_loss" } : null;
}

export interface Steady {
  /** What is shown, and read out when it changes. */
  shown: Judgement;
  /** What the newest look said, when it was something else. */
  next: Judgement | null;
}

/** A word is changed when two looks in a row say the same: one bad second is no news. That the picture came or went is. */
export function steady(before: Steady | null, now: Judgement): Steady {
  const same = (one: Judgement | null): boolean => one !== null && one.level === now.level && one.reason === now.reason;
  const atOnce = before === null || before.shown.level === "waiting" || now.reason === "away" || now.level === "waiting" || before.shown.reason === "away";
  if (atOnce || same(before.shown) || same(before.next)) return { shown: now, next: null };
  return { shown: before.shown, next: now };
}
