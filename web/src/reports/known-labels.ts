/** What ids are called that figures are narrowed to: learned from the rows that were tapped, or asked for. */
import { signal } from "@preact/signals";
import { reports, type Scope } from "../api/reports";
import { filterQuery, type FilterName } from "./filters";
import type { Dimension } from "../api/reports";
import { rowLabel } from "./words-of";

const LABELS_MAX = 200;
export const labels = signal<ReadonlyMap<string, string>>(new Map());
const asking = new Set<string>();

const place = (name: Dimension, key: string): string => `${name} ${key}`;

export function remember(name: Dimension, key: string, label: string): void {
  labels.value = new Map([...labels.value, [place(name, key), label] as const].slice(-LABELS_MAX));
}

/** The id itself until its name is known. */
export function labelOf(scope: Scope, name: FilterName, key: string): string {
  const known = labels.value.get(place(name, key));
  if (known === undefined && !asking.has(place(name, key))) {
    asking.add(place(name, key));
    reports.by(scope, name, filterQuery({ [name]: key })).then((report) => {
      const row = report.rows.find((candidate) => candidate.key === key);
      if (row !== undefined) remember(name, key, rowLabel(name, row));
    }, () => undefined);
  }
  return known ?? key;
}
