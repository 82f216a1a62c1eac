import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Export, FileFormat } from "../src/api/exports";
import { Problem } from "../src/api/problem";
import { switchLanguage } from "../src/i18n/language";
import { FileRow } from "../src/reports/FileRow";
import { chosenIn, failureOf, isKept, percentDone, quarterDone, refusalOf, rememberRequest, requestOf, sizeWords } from "../src/reports/files";

const DAY_MS = 86_400_000;
const file = (more: Partial<Export> = {}): Export => ({
  export_id: "exp_1", brand_id: "brand_1", format: "xlsx", table: "live", state: "running", rows_total: 2_000, rows_done: 500, units: 3, net_minor: 14_940,
  commission_minor: 1, bytes: 0, sha256: null, failure: null, created_at_ms: 0, done_at_ms: null, expires_at_ms: null, ...more,
});

beforeEach(() => {
  switchLanguage("ja");
  localStorage.removeItem("hanamichi.files");
});

describe("how far a file is", () => {
  it("is known once its rows are counted, and never more than whole", () => {
    const at = (rows_done: number, rows_total: number | null): number | null => percentDone({ rows_done, rows_total });
    expect([at(0, null), at(0, 0), at(1, 3), at(999, 1_000), at(3, 3), at(9, 3)]).toEqual([null, 0, 33, 99, 100, 100]);
    expect([24, 25, 74, 100].map((rows_done) => quarterDone({ rows_done, rows_total: 100 }))).toEqual([0, 25, 50, 100]);
    expect(quarterDone({ rows_done: 0, rows_total: null })).toBe(0);
  });

  it("ends with a file that is kept until a moment", () => {
    expect([isKept(file({ state: "done", expires_at_ms: 10 }), 9), isKept(file({ state: "done", expires_at_ms: 10 }), 10), isKept(file({ expires_at_ms: 10 }), 9)]).toEqual([true, false, false]);
  });

  it("has a size that people can read", () => {
    expect([0, 999, 1_000, 1_250, 123_456, 9_999_999, 2_500_000_000].map(sizeWords)).toEqual(["0 B", "999 B", "1 KB", "1.3 KB", "123 KB", "10 MB", "2.5 GB"]);
  });
});

describe("a file that cannot be had", () => {
  it("is refused with a reason that can be acted on", () => {
    const refused = (detail: string, kind: "invalid-input" | "conflict" = "invalid-input") => refusalOf(new Problem(kind, 400, detail, 0));
    expect(refused("5 files are being made for this brand; wait for one of them")).toEqual({ why: "too_many", n: 5 });
    expect(refused("this server was built without Parquet")).toEqual({ why: "no_parquet" });
    expect(refused("from_ms must not be after to_ms")).toBeNull();
    expect(refused("5 files are being made", "conflict")).toBeNull();
  });

  it("says why it failed", () => {
    expect(failureOf("1048576 rows do not fit a worksheet; choose a shorter period or csv")).toEqual({ why: "too_many_rows", rows: 1_048_576 });
    expect(failureOf("it was tried several times and never ended")).toEqual({ why: "given_up" });
    expect(failureOf("the report would have more than 100000 rows; choose a shorter period or a filter")).toEqual({ why: "table_too_long", max: 100_000 });
    expect(failureOf(null)).toEqual({ why: "given_up" });
    expect(failureOf("no space left")).toEqual({ why: "other", words: "no space left" });
  });
});

describe("what was asked for", () => {
  it("is remembered, the newest fifty of it", () => {
    const request = { format: "csv", table: "lines", filter: { live_id: "live_1" } } as const;
    for (let n = 0; n < 60; n += 1) rememberRequest(`exp_${n}`, request);
    expect(requestOf("exp_59")).toEqual(request);
    expect(requestOf("exp_10")).toEqual(request);
    expect(requestOf("exp_9")).toBeNull();
    localStorage.setItem("hanamichi.files", "no JSON");
    expect(requestOf("exp_59")).toBeNull();
  });

  it("is read back as days and filters", () => {
    const from = Date.UTC(2026, 10, 22) - 9 * 3_600_000;
    expect(chosenIn({ from_ms: from, to_ms: from + 7 * DAY_MS, location_id: "loc_1", channel: "live" }))
      .toEqual({ days: { from: "2026-11-22", to: "2026-11-28" }, filters: { store: "loc_1", channel: "live" } });
    expect(chosenIn({})).toEqual({ days: null, filters: {} });
  });
});

describe("the row of a file", () => {
  const box = document.createElement("div");
  afterEach(() => render(null, box));
  const asked: [string, FileFormat][] = [];
  const show = (of: Export): void => {
    act(() => render(<FileRow file={of} busy={false} onAgain={({ export_id: id }, as) => void asked.push([id, as])} />, box));
  };
  const find = (testId: string): HTMLElement | null => box.querySelector(`[data-testid="${testId}"]`);

  it("shows its progress, then the way to it", () => {
    show(file());
    expect(find("file-progress")?.getAttribute("value")).toBe("25");
    expect(box.textContent).toContain("500 / 2,000 行");
    expect(find("file-fetch")).toBeNull();
    show(file({ rows_total: null, rows_done: 0, state: "queued" }));
    expect(find("file-progress")?.hasAttribute("value"), "nobody knows yet").toBe(false);
    show(file({ state: "done", rows_done: 2_000, bytes: 12_345, expires_at_ms: Date.now() + DAY_MS }));
    expect(find("file-fetch")?.getAttribute("href")).toBe("/v1/exports/exp_1/file");
    expect(box.textContent).toContain("￥14,940");
    expect(box.textContent).toContain("12.3 KB");
    show(file({ state: "done", expires_at_ms: Date.now() - 1 }));
    expect([find("file-fetch"), find("file")?.dataset["state"]]).toEqual([null, "expired"]);
  });

  it("offers another try, and CSV for what a worksheet cannot hold", () => {
    show(file({ state: "failed", failure: "no space left" }));
    act(() => find("file-again")?.click());
    show(file({ state: "failed", failure: "1048576 rows do not fit a worksheet; choose a shorter period or csv" }));
    expect(find("file-failure")?.textContent).toContain("1,048,576行");
    expect(find("file-again")).toBeNull();
    act(() => find("file-as-csv")?.click());
    show(file({ state: "failed", failure: "the report would have more than 100000 rows; choose a shorter period or a filter" }));
    expect([find("file-again"), find("file-as-csv")], "it would fail again").toEqual([null, null]);
    expect(find("file-failure")?.textContent).toContain("100,000行");
    show(file({ state: "failed", failure: "1048576 rows do not fit a worksheet; choose a shorter period or csv" }));
    expect(asked).toEqual([["exp_1", "xlsx"], ["exp_1", "csv"]]);
    act(() => switchLanguage("en"));
    expect(find("file-failure")?.textContent).toContain("an Excel sheet holds 1,048,575");
  });
});
