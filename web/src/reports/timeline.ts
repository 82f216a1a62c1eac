/** Pure: the minutes of a live, and what stood on stage in them. */
import type { Timeline, TimelineMinute, TimelinePin } from "../api/reports";
import type { Band, Ink } from "../charts/plot";

export const MINUTE_MS = 60_000;
/** A live of a day; nobody reads more of it in one picture. */
export const MINUTES_MAX = 1_440;

const INKS: readonly Ink[] = ["indigo", "gold", "moss", "shu"];

export function minuteOf(atMs: number): number {
  return atMs - (atMs % MINUTE_MS);
}

/** Every minute from the beginning to the end (or now): what nothing is known of is zero. */
export function everyMinute(timeline: Timeline, nowMs: number): TimelineMinute[] {
  const known = new Map(timeline.minutes.map((minute) => [minuteOf(minute.at_ms), minute]));
  const marks = [...known.keys()];
  const first = Math.min(...marks, ...(timeline.started_at_ms === null ? [] : [minuteOf(timeline.started_at_ms)]));
  const end = timeline.ended_at_ms ?? (timeline.started_at_ms === null ? first : nowMs);
  const last = Math.max(...marks, minuteOf(Math.max(end - 1, first)));
  if (!Number.isFinite(first) || !Number.isFinite(last)) return [];
  const count = Math.min(MINUTES_MAX, Math.floor((last - first) / MINUTE_MS) + 1);
  return Array.from({ length: count }, (_, index) => known.get(first + index * MINUTE_MS) ?? {
    at_ms: first + index * MINUTE_MS, viewers_peak: 0, viewers_average_milli: 0, orders: 0, units: 0, gross_minor: 0, cancelled_minor: 0, chat: 0, questions: 0,
  });
}

/** The place of the minute that sold most; null when none sold. The earlier one of equals. */
export function bestMinute(minutes: readonly TimelineMinute[]): number | null {
  let best: number | null = null;
  minutes.forEach((minute, index) => {
    if (minute.gross_minor > (best === null ? 0 : (minutes[best]?.gross_minor ?? 0))) best = index;
  });
  return best;
}

/** What stood on stage for some of this minute. */
export function pinsIn(pins: readonly TimelinePin[], minuteMs: number, nowMs: number): TimelinePin[] {
  return pins.filter((pin) => pin.from_ms < minuteMs + MINUTE_MS && (pin.to_ms ?? nowMs) > minuteMs);
}

/**
 * Different people who tapped any product: known of each time on stage alone, so of several together no fewer than the
 * most of one of them. null: nobody is told.
 */
export function clickersOf(pins: readonly Pick<TimelinePin, "clickers">[]): { people: number | null; atLeast: boolean } | null {
  if (pins.length === 0) return null;
  const known = pins.flatMap(({ clickers }) => (clickers === null ? [] : [clickers]));
  return { people: known.length === 0 ? null : Math.max(...known), atLeast: pins.length > 1 && known.length > 0 };
}

export interface Lane {
  productId: string;
  title: string;
  ink: Ink;
  /** In percent of the whole. */
  stretches: { pin: TimelinePin; left: number; width: number }[];
}

/** A lane a product, in the order in which they came on stage. */
export function lanesOf(pins: readonly TimelinePin[], minutes: readonly TimelineMinute[], nowMs: number): Lane[] {
  const from = minutes[0]?.at_ms ?? 0;
  const span = Math.max(1, minutes.length) * MINUTE_MS;
  const lanes = new Map<string, Lane>();
  for (const pin of [...pins].sort((a, b) => a.from_ms - b.from_ms)) {
    const left = Math.max(0, Math.min(100, ((pin.from_ms - from) / span) * 100));
    const right = Math.max(left, Math.min(100, (((pin.to_ms ?? nowMs) - from) / span) * 100));
    const lane = lanes.get(pin.product_id) ?? { productId: pin.product_id, title: pin.title, ink: INKS[lanes.size % INKS.length] ?? "indigo", stretches: [] };
    lane.stretches.push({ pin, left, width: right - left });
    lanes.set(pin.product_id, lane);
  }
  return [...lanes.values()];
}

/** The same behind the bars, in places of the axis. */
export function bandsOf(lanes: readonly Lane[], places: number): Band[] {
  return lanes.flatMap((lane) => lane.stretches.map(({ left, width }) => ({ from: (left / 100) * places, to: ((left + width) / 100) * places, ink: lane.ink })));
}
