/** Pure: the order of a leader board. */
import type { Dimension, ReportRow } from "../api/reports";
import { valueOf, type FigureName } from "./figures";

export interface Sorting {
  by: "key" | FigureName;
  up: boolean;
}

/** Time runs by itself; everything else is led by net sales. */
export function firstSorting(by: Dimension): Sorting {
  return by === "day" || by === "hour" ? { by: "key", up: true } : { by: "net", up: false };
}

/** A second click turns it round. */
export function nextSorting(sorting: Sorting, by: Sorting["by"]): Sorting {
  return sorting.by === by ? { by, up: !sorting.up } : { by, up: by === "key" };
}

/** What nobody is told stands last, whichever way it is sorted; equals stay as the server had them. */
export function sorted(rows: readonly ReportRow[], { by, up }: Sorting, labelOf: (row: ReportRow) => string): ReportRow[] {
  const sign = up ? 1 : -1;
  return [...rows].sort((a, b) => {
    if (by === "key") return sign * (a.key === b.key ? 0 : isTime(a.key) && isTime(b.key) ? (a.key < b.key ? -1 : 1) : labelOf(a).localeCompare(labelOf(b), "ja"));
    const [x, y] = [valueOf(a.figures, by), valueOf(b.figures, by)];
    if (x === null || y === null) return x === y ? 0 : x === null ? 1 : -1;
    return sign * (x - y);
  });
}

function isTime(key: string): boolean {
  return /^\d\d(\d\d-\d\d-\d\d)?$/.test(key);
}
