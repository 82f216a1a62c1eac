/** Pure: ranges of Japanese days. Japan keeps one offset all year, so its days are plain arithmetic. */

export const PRESETS = ["today", "yesterday", "7d", "28d", "month", "last_month", "custom"] as const;
export type Preset = (typeof PRESETS)[number];
export const FIRST_PRESET: Preset = "7d";

/** A day as "2026-11-28". */
export type Day = string;

/** Both days belong to it. */
export interface Range {
  preset: Preset;
  from: Day;
  to: Day;
}

export interface Bounds {
  fromMs: number;
  /** Exclusive. */
  toMs: number;
}

export const DAY_MS = 86_400_000;
export const HOUR_MS = 3_600_000;
const TOKYO_OFFSET_MS = 9 * HOUR_MS;
/** More days than a chart of days can show. */
export const DAYS_MAX = 400;

export function dayOf(atMs: number): Day {
  return new Date(atMs + TOKYO_OFFSET_MS).toISOString().slice(0, 10);
}

export function startOf(day: Day): number {
  return Date.parse(`${day}T00:00:00Z`) - TOKYO_OFFSET_MS;
}

export function addDays(day: Day, days: number): Day {
  return dayOf(startOf(day) + days * DAY_MS);
}

export function isDay(text: string | null): text is Day {
  return text !== null && /^20\d\d-\d\d-\d\d$/.test(text) && !Number.isNaN(startOf(text)) && dayOf(startOf(text)) === text;
}

/** The range of a preset as of now. `custom` is the days that were chosen; wrong ones are put right. */
export function rangeOf(preset: Preset, nowMs: number, custom?: { from: string | null; to: string | null }): Range {
  const today = dayOf(nowMs);
  const first = `${today.slice(0, 8)}01`;
  switch (preset) {
    case "today": return { preset, from: today, to: today };
    case "yesterday": return { preset, from: addDays(today, -1), to: addDays(today, -1) };
    case "7d": return { preset, from: addDays(today, -6), to: today };
    case "28d": return { preset, from: addDays(today, -27), to: today };
    case "month": return { preset, from: first, to: today };
    case "last_month": {
      const last = addDays(first, -1);
      return { preset, from: `${last.slice(0, 8)}01`, to: last };
    }
    case "custom": {
      const chosen = [custom?.from ?? null, custom?.to ?? null].map((day) => (isDay(day) ? day : null));
      const [from, to] = [chosen[0] ?? chosen[1] ?? addDays(today, -6), chosen[1] ?? chosen[0] ?? today].sort() as [Day, Day];
      return { preset, from: addDays(to, 1 - DAYS_MAX) > from ? addDays(to, 1 - DAYS_MAX) : from, to };
    }
  }
}

export function boundsOf({ from, to }: Pick<Range, "from" | "to">): Bounds {
  return { fromMs: startOf(from), toMs: startOf(addDays(to, 1)) };
}

/** As long, right before. */
export function previousOf({ fromMs, toMs }: Bounds): Bounds {
  return { fromMs: fromMs - (toMs - fromMs), toMs: fromMs };
}

export function daysOf({ from, to }: Pick<Range, "from" | "to">): Day[] {
  const days: Day[] = [];
  for (let day = from; day <= to && days.length < DAYS_MAX; day = addDays(day, 1)) days.push(day);
  return days;
}

export const HOURS: readonly string[] = Array.from({ length: 24 }, (_, hour) => String(hour).padStart(2, "0"));
