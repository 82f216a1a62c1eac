/** Pure: what a report is asked for, as it stands in the address of its page. */
import { DIMENSIONS, type Dimension } from "../api/reports";
import { boundsOf, FIRST_PRESET, PRESETS, rangeOf, type Preset, type Range } from "./range";

/** What figures can be narrowed to: its name in the address, and as the server calls it. */
export const FILTERS = {
  live: "live_id", liver: "liver_id", product: "product_id", sku: "sku_id", store: "location_id", channel: "channel", campaign: "campaign",
  staff: "staff_id",
} as const;
export type FilterName = keyof typeof FILTERS;
export const FILTER_NAMES = Object.keys(FILTERS) as FilterName[];

export type Filters = Partial<Record<FilterName, string>>;

export interface Asked {
  range: Range;
  by: Dimension;
  filters: Filters;
}

export function isFilter(name: string): name is FilterName {
  return name in FILTERS;
}

/** Anything that makes no sense in an address is as if it were not there. */
export function asked(search: string, nowMs: number, all = false): Asked {
  const query = new URLSearchParams(search);
  const named = query.get("period");
  const preset = PRESETS.find((candidate): candidate is Preset => candidate === named) ?? FIRST_PRESET;
  const by = query.get("by");
  const dimensions: readonly Dimension[] = all ? ["brand", ...DIMENSIONS] : DIMENSIONS;
  const filters: Filters = {};
  for (const name of FILTER_NAMES) {
    const value = query.get(name);
    if (value !== null && value !== "") filters[name] = value.slice(0, 200);
  }
  return {
    range: rangeOf(preset, nowMs, { from: query.get("from"), to: query.get("to") }),
    by: dimensions.find((candidate) => candidate === by) ?? (all ? "brand" : "live"),
    filters,
  };
}

/** The same for the server. */
export function questionOf({ range, filters }: Pick<Asked, "range" | "filters">): Record<string, string | number> {
  const { fromMs, toMs } = boundsOf(range);
  return { from_ms: fromMs, to_ms: toMs, ...filterQuery(filters) };
}

export function filterQuery(filters: Filters): Record<string, string> {
  return Object.fromEntries(FILTER_NAMES.flatMap((name) => {
    const value = filters[name];
    return value === undefined ? [] : [[FILTERS[name], value]];
  }));
}
