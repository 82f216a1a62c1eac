/** Pure: periods by Japanese dates. Japan keeps one offset all year, so its days are plain arithmetic. */

export type PeriodName = "today" | "week" | "month" | "all";
export const PERIODS: readonly PeriodName[] = ["today", "week", "month", "all"];

export interface Period {
  fromMs: number | null;
  /** Exclusive. */
  toMs: number | null;
}

const DAY_MS = 86_400_000;
const TOKYO_OFFSET_MS = 9 * 3_600_000;

export function period(name: PeriodName, nowMs: number): Period {
  const local = nowMs + TOKYO_OFFSET_MS;
  const midnight = local - (((local % DAY_MS) + DAY_MS) % DAY_MS);
  const tomorrow = midnight + DAY_MS - TOKYO_OFFSET_MS;
  switch (name) {
    case "today":
      return { fromMs: midnight - TOKYO_OFFSET_MS, toMs: tomorrow };
    case "week":
      return { fromMs: midnight - 6 * DAY_MS - TOKYO_OFFSET_MS, toMs: tomorrow };
    case "month": {
      const date = new Date(local);
      return { fromMs: Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1) - TOKYO_OFFSET_MS, toMs: tomorrow };
    }
    case "all":
      return { fromMs: null, toMs: null };
  }
}
