/** Pure: which figures there are, how each is shown, and how two periods compare. */
import type { AudienceRow, Figures, Report } from "../api/reports";

export type FigureName = "net" | "gross" | "cancelled" | "orders" | "aov" | "units" | "refund_rate" | "buyers" | "new_buyers" | "returning_buyers" | "commission";

export type FigureKind = "money" | "count" | "rate" | "people";

interface Figure {
  field: keyof Figures;
  kind: FigureKind;
  /** Whether more of it is good news. */
  better: "more" | "less" | "neither";
}

export const FIGURES: Record<FigureName, Figure> = {
  gross: { field: "gross_minor", kind: "money", better: "more" },
  net: { field: "net_minor", kind: "money", better: "more" },
  cancelled: { field: "cancelled_minor", kind: "money", better: "neither" },
  orders: { field: "orders", kind: "count", better: "more" },
  aov: { field: "aov_minor", kind: "money", better: "more" },
  units: { field: "units", kind: "count", better: "more" },
  refund_rate: { field: "refund_rate_bp", kind: "rate", better: "less" },
  buyers: { field: "buyers", kind: "people", better: "more" },
  new_buyers: { field: "new_buyers", kind: "people", better: "more" },
  returning_buyers: { field: "returning_buyers", kind: "people", better: "more" },
  commission: { field: "commission_minor", kind: "money", better: "neither" },
};

export function valueOf(figures: Figures, name: FigureName): number | null {
  return figures[FIGURES[name].field];
}

export type Trend = "good" | "bad" | "flat";

export interface Change {
  /** In ten thousandths of what was before; null: nothing to compare with. */
  changeBp: number | null;
  trend: Trend;
}

export function changeOf(name: FigureName, now: Figures, before: Figures | null): Change | null {
  const value = valueOf(now, name);
  const old = before === null ? null : valueOf(before, name);
  if (value === null || old === null) return null;
  if (old === 0) return value === 0 ? { changeBp: 0, trend: "flat" } : { changeBp: null, trend: "flat" };
  const changeBp = Math.round(((value - old) * 10_000) / Math.abs(old));
  const { better } = FIGURES[name];
  const trend = changeBp === 0 || better === "neither" ? "flat" : changeBp > 0 === (better === "more") ? "good" : "bad";
  return { changeBp, trend };
}

/** A share in percent, of what may be nothing. */
export function shareOf(part: number, whole: number): number {
  return whole <= 0 ? 0 : Math.max(0, Math.min(100, (part / whole) * 100));
}

/** One value a place of the axis: what had no sales is zero, not missing. */
export function along(places: readonly string[], report: Report | null, name: FigureName): number[] {
  const found = new Map(report?.rows.map((row) => [row.key, valueOf(row.figures, name) ?? 0]));
  return places.map((place) => found.get(place) ?? 0);
}

/** Both sides of it, of the lives that have both. */
export function conversionSums(rows: readonly AudienceRow[]): { buyers: number; viewers: number } {
  const known = rows.filter((row) => row.buyers !== null && row.watchers > 0);
  return {
    buyers: known.reduce((sum, row) => sum + (row.buyers ?? 0), 0),
    viewers: known.reduce((sum, row) => sum + row.watchers, 0),
  };
}

/**
 * Buyers over several lives by those who watched for three seconds or more. Somebody who watched two of them counts twice, as a visit to a shop does; lives
 * with so few people that nobody is told how many are left out of both sides.
 */
export function conversionOf(rows: readonly AudienceRow[]): number | null {
  const { buyers, viewers } = conversionSums(rows);
  return viewers === 0 ? null : Math.round((buyers * 10_000) / viewers);
}
