/** Pure: what files are asked for, how far they are, and why one is refused. */
import type { Export, FileRequest } from "../api/exports";
import type { Problem } from "../api/problem";
import { FILTER_NAMES, FILTERS, type Filters } from "./filters";
import { dayOf, type Range } from "./range";

/** The server's own limit of what a worksheet has, its heading left out. */
export const SHEET_ROWS_MAX = 1_048_575;
/** Requests that are remembered, so that a failed one can be asked for again as it was. */
const REMEMBERED_MAX = 50;
const KEY = "hanamichi.files";

export function isUnderWay({ state }: Pick<Export, "state">): boolean {
  return state === "queued" || state === "running";
}

/** Kept until a moment: afterwards it is gone, whether or not the server has said so yet. */
export function isKept({ state, expires_at_ms: until }: Pick<Export, "state" | "expires_at_ms">, nowMs: number): boolean {
  return state === "done" && (until === null || until > nowMs);
}

/** Of a hundred; null while nobody has counted the rows. What is written and not yet stored is not done. */
export function percentDone({ rows_done: done, rows_total: total }: Pick<Export, "rows_done" | "rows_total">): number | null {
  if (total === null) return null;
  return total === 0 ? 0 : Math.min(100, Math.floor((Math.max(0, done) * 100) / total));
}

/** A screen reader is told at each quarter: a word for every row would never end. */
export function quarterDone(file: Pick<Export, "rows_done" | "rows_total">): number {
  return Math.floor((percentDone(file) ?? 0) / 25) * 25;
}

export function sizeWords(bytes: number): string {
  const units = ["B", "KB", "MB", "GB"] as const;
  let [size, unit] = [Math.max(0, bytes), 0];
  while (size >= 1_000 && unit < units.length - 1) [size, unit] = [size / 1_000, unit + 1];
  return `${unit === 0 || size >= 100 ? Math.round(size) : Math.round(size * 10) / 10} ${units[unit]}`;
}

/** Refusals that people can do something about, by the server's words; null: its words must do. */
export function refusalOf({ kind, detail }: Pick<Problem, "kind" | "detail">): { why: "too_many"; n: number } | { why: "no_parquet" } | null {
  if (kind !== "invalid-input") return null;
  const many = /^(\d+) files are being made/.exec(detail);
  if (many !== null) return { why: "too_many", n: Number(many[1]) };
  return detail.includes("without Parquet") ? { why: "no_parquet" } : null;
}

export type Failure = { why: "too_many_rows"; rows: number } | { why: "table_too_long"; max: number } | { why: "given_up" } | { why: "other"; words: string };

export function failureOf(failure: string | null): Failure {
  const rows = /^(\d+) rows do not fit a worksheet/.exec(failure ?? "");
  if (rows !== null) return { why: "too_many_rows", rows: Number(rows[1]) };
  const long = /more than (\d+) rows/.exec(failure ?? "");
  if (long !== null) return { why: "table_too_long", max: Number(long[1]) };
  return failure === null || failure === "" || failure.startsWith("it was tried several times") ? { why: "given_up" } : { why: "other", words: failure };
}

/** The days and filters of a request, as a page has them. */
export function chosenIn(filter: FileRequest["filter"]): { days: Pick<Range, "from" | "to"> | null; filters: Filters } {
  const { from_ms: from, to_ms: to } = filter;
  const filters: Filters = {};
  for (const name of FILTER_NAMES) {
    const value = filter[FILTERS[name]];
    if (value !== undefined) filters[name] = String(value);
  }
  return { days: typeof from === "number" && typeof to === "number" ? { from: dayOf(from), to: dayOf(to - 1) } : null, filters };
}

type Book = Record<string, FileRequest>;

function book(): Book {
  try {
    const read: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return typeof read === "object" && read !== null ? (read as Book) : {};
  } catch {
    return {};
  }
}

/** What this browser asked for: a file says how far it is, and not what of. */
export function requestOf(exportId: string): FileRequest | null {
  return book()[exportId] ?? null;
}

export function rememberRequest(exportId: string, request: FileRequest): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(Object.fromEntries([...Object.entries(book()), [exportId, request] as const].slice(-REMEMBERED_MAX))));
  } catch {
    // Storage may be full or forbidden; the file is made all the same.
  }
}
