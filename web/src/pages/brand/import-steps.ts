/** Pure: an import is checked before it is done, and what is done is what was checked. */
import type { ImportReport } from "../../api/types";

/** What was chosen: the bytes as they were read, so that a later change of the file is not imported unchecked. */
export interface Choice {
  content: ArrayBuffer;
  locationId: string;
}

export interface Checked {
  choice: Choice;
  report: ImportReport;
}

export function isSame(a: Choice, b: Choice): boolean {
  return a.content === b.content && a.locationId === b.locationId;
}

/** May this be imported now? */
export function isChecked(choice: Choice | null, last: Checked | null): boolean {
  return choice !== null && last !== null && last.report.dry_run && isSame(choice, last.choice);
}

export const COUNTS = ["rows", "products_created", "products_updated", "skus_created", "skus_updated", "stock_counted"] as const;
