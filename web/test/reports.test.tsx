import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AudienceRow, Figures, Report, ReportRow, Timeline, TimelinePin } from "../src/api/reports";
import { switchLanguage } from "../src/i18n/language";
import { asked, questionOf } from "../src/reports/filters";
import { along, changeOf, conversionOf, shareOf } from "../src/reports/figures";
import { HeadFigures } from "../src/reports/HeadFigures";
import { LeaderBoard } from "../src/reports/LeaderBoard";
import { addDays, boundsOf, dayOf, daysOf, DAYS_MAX, isDay, previousOf, rangeOf } from "../src/reports/range";
import { drillQuestion } from "../src/reports/ReportView";
import { nextSorting, sorted } from "../src/reports/sorting";
import { bandsOf, bestMinute, clickersOf, everyMinute, lanesOf, MINUTE_MS, pinsIn } from "../src/reports/timeline";
import { shown } from "../src/reports/words-of";
import { matchPage } from "../src/ui/pages";
import { setQuery } from "../src/ui/router";

const FIGURES: Figures = {
  orders: 4, units: 6, gross_minor: 20_000, cancelled_minor: -5_000, net_minor: 15_000, commission_minor: 1_500, aov_minor: 3_750,
  buyers: 12, new_buyers: null, returning_buyers: null, refund_rate_bp: 2_500,
};
const row = (key: string, figures: Partial<Figures> = {}): ReportRow => ({ key, label: `名 ${key}`, label_sub: "", figures: { ...FIGURES, ...figures } });
const report = (rows: ReportRow[], previous: Figures | null = null): Report => ({
  brand_id: "brand_1", by: "live", currency: "JPY", from_ms: 0, to_ms: 1, as_of_ms: 1, totals: FIGURES, previous, rows,
  definitions: [{ name: "net_minor", ja: "サーバーの定義", en: "The server's definition" }],
});
const tokyo = (year: number, month: number, day: number): number => Date.UTC(year, month - 1, day) - 9 * 3_600_000;

beforeEach(() => switchLanguage("ja"));

describe("ranges", () => {
  // 2026-03-01 00:30 in Tokyo is still February in UTC.
  const now = Date.UTC(2026, 1, 28, 15, 30);

  it("begin and end at Japanese midnights", () => {
    expect(boundsOf(rangeOf("today", now))).toEqual({ fromMs: tokyo(2026, 3, 1), toMs: tokyo(2026, 3, 2) });
    expect(boundsOf(rangeOf("yesterday", now))).toEqual({ fromMs: tokyo(2026, 2, 28), toMs: tokyo(2026, 3, 1) });
    expect(boundsOf(rangeOf("7d", now))).toEqual({ fromMs: tokyo(2026, 2, 23), toMs: tokyo(2026, 3, 2) });
    expect(boundsOf(rangeOf("28d", now))).toEqual({ fromMs: tokyo(2026, 2, 2), toMs: tokyo(2026, 3, 2) });
    expect(boundsOf(rangeOf("month", now))).toEqual({ fromMs: tokyo(2026, 3, 1), toMs: tokyo(2026, 3, 2) });
    expect(boundsOf(rangeOf("last_month", now))).toEqual({ fromMs: tokyo(2026, 2, 1), toMs: tokyo(2026, 3, 1) });
  });

  it("that are chosen stand either way round, and are bounded", () => {
    expect(rangeOf("custom", now, { from: "2026-02-10", to: "2026-02-01" })).toMatchObject({ from: "2026-02-01", to: "2026-02-10" });
    expect(rangeOf("custom", now, { from: "nonsense", to: null })).toMatchObject({ from: "2026-02-23", to: "2026-03-01" });
    expect(daysOf(rangeOf("custom", now, { from: "2020-01-01", to: "2026-03-01" }))).toHaveLength(DAYS_MAX);
    expect([isDay("2026-02-29"), isDay("2028-02-29"), isDay("2026-2-1"), isDay(null)]).toEqual([false, true, false, false]);
  });

  it("are compared with as long a time right before", () => {
    const range = rangeOf("7d", now);
    const before = previousOf(boundsOf(range));
    expect(before.toMs).toBe(boundsOf(range).fromMs);
    expect(daysOf({ from: dayOf(before.fromMs), to: dayOf(before.toMs - 1) })).toEqual(["2026-02-16", "2026-02-17", "2026-02-18", "2026-02-19", "2026-02-20", "2026-02-21", "2026-02-22"]);
    expect(addDays("2026-12-31", 1)).toBe("2027-01-01");
  });
});

describe("what is asked", () => {
  const now = tokyo(2026, 3, 5) + 1;

  it("stands in the address, and is sent in the server's words", () => {
    const found = asked("?period=yesterday&by=product&live=live_1&store=loc_1&channel=replay", now);
    expect(found.by).toBe("product");
    expect(questionOf(found)).toEqual({ from_ms: tokyo(2026, 3, 4), to_ms: tokyo(2026, 3, 5), live_id: "live_1", location_id: "loc_1", channel: "replay" });
  });

  it("is as if it were not there when it makes no sense", () => {
    expect(asked("?period=never&by=brand&live=", now)).toMatchObject({ range: { preset: "7d" }, by: "live", filters: {} });
    expect(asked("?by=brand", now, true).by).toBe("brand");
    expect(asked("", now, true).by).toBe("brand");
  });

  it("changes without leaving the page, and can be gone back from", () => {
    history.replaceState(null, "", "/brand/b1?view=lives&live=l1");
    setQuery({ live: null, period: "28d" });
    expect(location.pathname + location.search).toBe("/brand/b1?view=lives&period=28d");
    history.replaceState(null, "", "/");
  });

  it("is asked for the lines of each row", () => {
    const question = { from_ms: tokyo(2026, 3, 1), to_ms: tokyo(2026, 3, 2), live_id: "l1" };
    expect(drillQuestion(question, "product", { key: "p1" })).toEqual({ ...question, product_id: "p1" });
    expect(drillQuestion(question, "day", { key: "2026-03-01" })).toEqual(question);
    expect(drillQuestion(question, "hour", { key: "02" })).toEqual({ ...question, hour: 2 });
    expect(drillQuestion(question, "staff", { key: "acc" })).toEqual({ ...question, staff_id: "acc" });
    expect(drillQuestion(question, "campaign", { key: "" }), "no campaign has no name").toBeNull();
  });
});

describe("figures", () => {
  it("compare with before, and say whether that is good", () => {
    const before = { ...FIGURES, net_minor: 10_000, refund_rate_bp: 5_000, orders: 0, buyers: null, units: 6 };
    expect(changeOf("net", FIGURES, before)).toEqual({ changeBp: 5_000, trend: "good" });
    expect(changeOf("refund_rate", FIGURES, before)).toEqual({ changeBp: -5_000, trend: "good" });
    expect(changeOf("commission", FIGURES, { ...before, commission_minor: 3_000 })).toEqual({ changeBp: -5_000, trend: "flat" });
    expect(changeOf("orders", FIGURES, before)).toEqual({ changeBp: null, trend: "flat" });
    expect(changeOf("units", FIGURES, before)).toEqual({ changeBp: 0, trend: "flat" });
    expect(changeOf("buyers", FIGURES, before), "nobody is told how few").toBeNull();
    expect(changeOf("net", FIGURES, null)).toBeNull();
  });

  it("that are too few are not told", () => {
    expect(shown("buyers", null)).toBe("10人未満");
    expect(shown("buyers", 0)).toBe("0");
    expect(shown("refund_rate", 1_234)).toBe("12.3%");
    expect(shown("net", -1_200)).toContain("1,200");
  });

  it("along an axis are zero where nothing was sold", () => {
    expect(along(["00", "01", "02"], report([row("01", { net_minor: 7 })]), "net")).toEqual([0, 7, 0]);
    expect(along(["00"], null, "net")).toEqual([0]);
    expect([shareOf(1, 4), shareOf(-1, 4), shareOf(9, 4), shareOf(1, 0)]).toEqual([25, 0, 100, 0]);
  });

  it("of conversion leave out lives of too few people on both sides", () => {
    const live = (watchers: number, buyers: number | null): AudienceRow => ({
      live_id: "l", title: "", started_at_ms: 0, ended_at_ms: null, peak_viewers: 0, average_viewers_milli: 0, unique_viewers: 1_000, watchers,
      watched_ms: 0, buyers, conversion_bp: null, gross_minor: 0, net_minor: 0,
    });
    expect(conversionOf([live(100, 10), live(100, null), live(300, 30)])).toBe(1_000);
    expect(conversionOf([live(100, null)])).toBeNull();
    expect(conversionOf([live(0, 10), live(100, 10)]), "of one nobody counted who watched").toBe(1_000);
    expect(conversionOf([])).toBeNull();
  });
});

describe("the order of a leader board", () => {
  const rows = [row("a", { net_minor: 1, buyers: null }), row("b", { net_minor: 3, buyers: 20 }), row("c", { net_minor: 2, buyers: 10 })];
  const keys = (sorting: Parameters<typeof sorted>[1]): string => sorted(rows, sorting, ({ label }) => label).map(({ key }) => key).join("");

  it("puts who is not told last, either way", () => {
    expect([keys({ by: "net", up: false }), keys({ by: "net", up: true }), keys({ by: "buyers", up: false }), keys({ by: "buyers", up: true }), keys({ by: "key", up: false })])
      .toEqual(["bca", "acb", "bca", "cba", "cba"]);
  });

  it("turns round at the second click", () => {
    expect(nextSorting({ by: "net", up: false }, "net")).toEqual({ by: "net", up: true });
    expect(nextSorting({ by: "net", up: true }, "orders")).toEqual({ by: "orders", up: false });
    expect(nextSorting({ by: "net", up: true }, "key")).toEqual({ by: "key", up: true });
  });
});

describe("a timeline", () => {
  const at = tokyo(2026, 3, 1) + 20 * 3_600_000;
  const minute = (index: number, gross: number) => ({
    at_ms: at + index * MINUTE_MS, viewers_peak: 5, viewers_average_milli: 4_000, orders: 1, units: 1, gross_minor: gross, cancelled_minor: 0, chat: 0, questions: 0,
  });
  const pin = (id: string, product: string, from: number, to: number | null): TimelinePin => ({
    pin_id: id, product_id: product, title: product, from_ms: at + from, to_ms: to === null ? null : at + to, shown_to: 20, clickers: 10, ctr_bp: 5_000, orders: 1, gross_minor: 1,
  });
  const timeline: Timeline = {
    live_id: "l", title: "t", started_at_ms: at + 20_000, ended_at_ms: at + 10 * MINUTE_MS, minutes: [minute(2, 500), minute(5, 900), minute(7, 900)],
    pins: [pin("1", "p1", 0, 300_000), pin("2", "p2", 150_000, 450_000), pin("3", "p1", 450_000, null)], totals: FIGURES,
  };

  it("has every minute from the beginning to the end", () => {
    const minutes = everyMinute(timeline, at + 60 * MINUTE_MS);
    expect(minutes).toHaveLength(10);
    expect(minutes.map(({ gross_minor }) => gross_minor)).toEqual([0, 0, 500, 0, 0, 900, 0, 900, 0, 0]);
    expect(bestMinute(minutes)).toBe(5);
    expect(everyMinute({ ...timeline, ended_at_ms: null }, at + 12 * MINUTE_MS)).toHaveLength(12);
    expect(everyMinute({ ...timeline, minutes: [], started_at_ms: null, ended_at_ms: null }, at)).toEqual([]);
    expect(bestMinute(everyMinute({ ...timeline, minutes: [] }, at))).toBeNull();
  });

  it("knows what stood on stage in a minute", () => {
    const now = at + 20 * MINUTE_MS;
    expect(pinsIn(timeline.pins, at + 2 * MINUTE_MS, now).map(({ pin_id }) => pin_id)).toEqual(["1", "2"]);
    expect(pinsIn(timeline.pins, at + 5 * MINUTE_MS, now).map(({ pin_id }) => pin_id), "an end is not part of it").toEqual(["2"]);
    expect(pinsIn(timeline.pins, at + 9 * MINUTE_MS, now).map(({ pin_id }) => pin_id)).toEqual(["3"]);
  });

  it("knows of several times on stage only that there were no fewer than in one of them", () => {
    expect(clickersOf([{ clickers: 12 }])).toEqual({ people: 12, atLeast: false });
    expect(clickersOf([{ clickers: 12 }, { clickers: 30 }, { clickers: null }])).toEqual({ people: 30, atLeast: true });
    expect(clickersOf([{ clickers: null }, { clickers: null }])).toEqual({ people: null, atLeast: false });
    expect(clickersOf([])).toBeNull();
  });

  it("gives each product a lane of its own", () => {
    const minutes = everyMinute(timeline, at + 10 * MINUTE_MS);
    const lanes = lanesOf(timeline.pins, minutes, at + 10 * MINUTE_MS);
    expect(lanes.map(({ productId, stretches }) => [productId, stretches.map(({ left, width }) => [left, width])])).toEqual([["p1", [[0, 50], [75, 25]]], ["p2", [[25, 50]]]]);
    expect(bandsOf(lanes, 10)[2]).toMatchObject({ from: 2.5, to: 7.5 });
    expect(new Set(lanes.map(({ ink }) => ink)).size).toBe(2);
  });
});

describe("the pages of reports", () => {
  const box = document.createElement("div");
  afterEach(() => render(null, box));
  const inside = (testId: string): HTMLElement => {
    const found = box.querySelector<HTMLElement>(`[data-testid="${testId}"]`);
    if (found === null) throw new Error(`no ${testId}`);
    return found;
  };

  it("show GMV beside net sales, the change, and the server's definition when asked", () => {
    act(() => render(<HeadFigures report={report([], { ...FIGURES, net_minor: 10_000 })} series={null} places={["00", "01"]} conversion={{ bp: null, buyers: 0, viewers: 0 }} />, box));
    expect(inside("total-gross").textContent).toContain("20,000");
    expect(inside("total-net").dataset["value"]).toBe("15000");
    expect(inside("delta-net").textContent).toContain("50% 増");
    const ask = inside("means-net");
    expect(ask.getAttribute("aria-expanded")).toBe("false");
    act(() => ask.click());
    expect(ask.getAttribute("aria-expanded")).toBe("true");
    const means = document.getElementById(ask.getAttribute("aria-controls") ?? "") ?? box.querySelector(`[id="${ask.getAttribute("aria-controls")}"]`);
    expect(means?.textContent).toBe("サーバーの定義");
    act(() => switchLanguage("en"));
    expect(inside("delta-net").textContent).toContain("up 50%");
    expect(inside("head-buyers").textContent).toContain("Under 10 people");
  });

  it("sort by a heading, lead to the lines, and keep all brands from asking for them", () => {
    const asked: string[] = [];
    const rows = [row("l1", { net_minor: 1, orders: 9 }), row("l2", { net_minor: 5, orders: 1 })];
    act(() => render(<LeaderBoard scope={{ brandId: "b" }} by="live" report={report(rows)} onLines={({ key }) => () => void asked.push(key)} />, box));
    const order = (): string[] => [...box.querySelectorAll<HTMLElement>('[data-testid="report-row"]')].map((one) => one.dataset["key"] ?? "");
    expect(order()).toEqual(["l2", "l1"]);
    act(() => inside("sort-orders").click());
    expect(order()).toEqual(["l1", "l2"]);
    expect(inside("sort-orders").closest("th")?.getAttribute("aria-sort")).toBe("descending");
    act(() => inside("drill").click());
    expect(asked).toEqual(["l1"]);
    expect(inside("report-row").dataset["live"]).toBe("l1");
    act(() => render(<LeaderBoard scope="all" by="brand" report={report(rows)} onLines={null} />, box));
    expect(box.querySelector('[data-testid="drill"]')).toBeNull();
    expect(inside("open-brand").getAttribute("href")).toBe("/brand/l1");
  });

  it("have addresses of their own", () => {
    expect(matchPage("/brand/b1/lives/l1")).toMatchObject({ name: "timeline", id: "b1", sub: "l1" });
    expect(matchPage("/brand/b1/lines/n%201")).toMatchObject({ name: "why", id: "b1", sub: "n 1" });
    expect(matchPage("/brand/b1")).toMatchObject({ name: "brand", id: "b1", sub: "" });
    expect(matchPage("/admin/reports")?.name).toBe("admin-reports");
  });
});
