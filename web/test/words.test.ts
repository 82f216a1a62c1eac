import { beforeEach, describe, expect, it } from "vitest";
import { asProblem, Problem, problemName, problemOf, PROBLEM_NAMES } from "../src/api/problem";
import { explain, explainFully, problemText } from "../src/api/problem-texts";
import { countdown, duration, money, percentOff } from "../src/i18n/format";
import { language, preferred, switchLanguage } from "../src/i18n/language";
import { fill, phrases } from "../src/i18n/phrases";
import listed from "../../proto/problems.md?raw";
import { safeNext } from "../src/ui/router";

beforeEach(() => switchLanguage("ja"));

describe("languages", () => {
  it("follow a switch and are remembered", () => {
    const text = phrases({ hello: ["こんにちは", "Hello"] });
    expect(text.hello).toBe("こんにちは");
    switchLanguage("en");
    expect(text.hello).toBe("Hello");
    expect(document.documentElement.lang).toBe("en");
    expect(localStorage.getItem("hanamichi.language")).toBe("en");
  });

  it("begin with Japanese for who reads it", () => {
    expect([preferred(["ja"]), preferred(["ja-JP"]), preferred(["en-US"]), preferred(["fr"])]).toEqual(["ja", "ja", "en", "en"]);
  });

  it("fill in values and leave unknown places alone", () => {
    expect(fill("残り {n} / {x}", { n: 12 })).toBe("残り 12 / {x}");
  });
});

describe("problems", () => {
  it("all have a text of their own in both languages", () => {
    for (const tongue of ["ja", "en"] as const) {
      language.value = tongue;
      const texts = PROBLEM_NAMES.map(problemText);
      for (const text of texts) expect(text.length).toBeGreaterThan(8);
      expect(new Set(texts).size).toBe(PROBLEM_NAMES.length);
    }
  });

  it("are those that the contract lists", () => {
    const names = [...listed.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, name]) => name);
    expect(names.length).toBeGreaterThan(30);
    expect(names.filter((name) => problemName(`/problems/${name}`) === "unknown")).toEqual([]);
  });

  it("are read from problem+json, with the wait from the body or the header", async () => {
    const body = { type: "/problems/sold-out", title: "Sold out", status: 409, detail: "gone", retry_after_ms: 1500 };
    const problem = await problemOf(new Response(JSON.stringify(body), { status: 409 }));
    expect(problem).toMatchObject({ kind: "sold-out", status: 409, retryAfterMs: 1500, retryable: false });
    const queued = await problemOf(new Response(JSON.stringify({ type: "/problems/queue-full" }), { status: 503, headers: { "retry-after": "2" } }));
    expect(queued).toMatchObject({ kind: "queue-full", retryAfterMs: 2000, retryable: true });
  });

  it("say one's place in the queue where it is known", async () => {
    const body = { type: "/problems/queue-full", retry_after_ms: 900, position: 1_234 };
    const queued = await problemOf(new Response(JSON.stringify(body), { status: 503 }));
    expect(queued).toMatchObject({ position: 1_234, retryAfterMs: 900 });
    expect(explain(queued)).toContain("1,234");
    language.value = "en";
    expect(explain(queued)).toContain("1,234 before you");
    expect(explain(new Problem("queue-full", 503, "", 900))).toBe(problemText("queue-full"));
  });

  it("say how long, where the server says so", () => {
    expect(explain(new Problem("slow-mode", 429, "", 8_200))).toContain("あと9秒");
    expect(explain(new Problem("muted", 403, "", 125_000))).toContain("あと2分5秒");
    expect(explain(new Problem("muted", 403, "", 0))).toBe(problemText("muted"));
    language.value = "en";
    expect(explain(new Problem("slow-mode", 429, "", 8_200))).toContain("another 9 s");
  });

  it("can say the server's own words, once", () => {
    expect(explainFully(new Problem("too-large", 413, "at most 10 MB", 0))).toBe(`${problemText("too-large")} (at most 10 MB)`);
    expect(explainFully(new Problem("invalid-input", 400, "no heading", 0)).match(/no heading/g)).toHaveLength(1);
    expect(explainFully(new Problem("forbidden", 403, "", 0))).toBe(problemText("forbidden"));
  });

  it("are understood without a body", async () => {
    expect((await problemOf(new Response("<html>", { status: 502 }))).kind).toBe("unavailable");
    expect((await problemOf(new Response("", { status: 401 }))).kind).toBe("not-signed-in");
  });

  it("of a later contract, and of any throw, still say something", () => {
    expect(problemName("/problems/brand-new")).toBe("unknown");
    expect(problemName("https://example.test/problems/sold-out")).toBe("sold-out");
    expect(explain(new Error("x"))).toBe(problemText("unknown"));
    expect(asProblem("x")).toBeInstanceOf(Problem);
    expect(explain(new Problem("invalid-input", 400, "title", 0))).toContain("title");
  });
});

describe("figures", () => {
  it("show yen without decimals", () => {
    expect(money(12_800)).toBe("￥12,800");
    expect(money(-980)).toContain("980");
    expect(money(0)).toBe("￥0");
  });

  it("round a discount down, so that it never promises more than it is", () => {
    expect(percentOff(4_980, 6_800)).toBe(26);
    expect(percentOff(1_000, 1_000)).toBe(0);
    expect(percentOff(1_200, 1_000)).toBe(0);
    expect(percentOff(1, 0)).toBe(0);
  });

  it("count down to zero and not below", () => {
    expect([countdown(3_723_000), countdown(723_000), countdown(6_001), countdown(-5)]).toEqual(["1:02:03", "12:03", "0:07", "0:00"]);
  });
});

describe("lengths of time", () => {
  it("are said in their two largest units", () => {
    expect([0, 59, 240, 3_600, 7_505, 90_000].map(duration)).toEqual(["0秒", "59秒", "4分", "1時間", "2時間5分", "25時間"]);
    switchLanguage("en");
    expect([59, 65, 7_505].map(duration)).toEqual(["59 s", "1 min 5 s", "2 h 5 min"]);
  });
});

describe("the way back after signing in", () => {
  it("never leaves this site", () => {
    expect(safeNext("/watch/live_1?x=1")).toBe("/watch/live_1?x=1");
    for (const bad of [null, "", "https://evil.test", "//evil.test", "/\\evil.test", "javascript:alert(1)"]) expect(safeNext(bad)).toBe("/");
  });
});
