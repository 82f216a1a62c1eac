import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { me } from "../src/api/session";
import type { Contract, Terms, Version } from "../src/api/settlement";
import type { Me } from "../src/api/types";
import { switchLanguage } from "../src/i18n/language";
import { isMonth, lastMonth, monthBefore, monthsUntil } from "../src/settlement/months";
import { EMPTY_PAYEE, kana, payeeOf } from "../src/settlement/payee";
import { basisPoints, before, differs, fieldsOf, firstFields, sideOf, termsOf, turnOf } from "../src/settlement/terms";
import { TermsTable } from "../src/settlement/TermsTable";
import { arrivalsOf, isDue } from "../src/touches/arrivals";
import { consent } from "../src/touches/consent";
import { ConsentBanner } from "../src/touches/ConsentBanner";
import { qrOf } from "../src/touches/qr";

const tokyo = (year: number, month: number, day: number): number => Date.UTC(year, month - 1, day) - 9 * 3_600_000;
const NOW = tokyo(2026, 11, 28) + 1;
const TERMS: Terms = {
  rate_bp: 1_250, product_rates: [{ product_id: "p2", rate_bp: 500 }, { product_id: "p1", rate_bp: 2_000 }], from_ms: tokyo(2026, 12, 1), to_ms: tokyo(2027, 1, 1),
  click_days: 7, replay_days: null, pr_label: "PR", pay_within_days: 45, refund_rule: "reverse", note: "",
};
const version = (number: number, more: Partial<Version> = {}): Version => ({
  ...TERMS, version: number, proposed_by: "brand", proposed_at_ms: 1, brand_accepted_at_ms: 1, liver_accepted_at_ms: null, ended_at_ms: null, state: "proposed", ...more,
});
const person = (more: Partial<Me>): Me => ({
  account_id: "acc", display_name: "人", email: "a@b", customer_id: "cus", liver_id: null, brands: [], staff_location_ids: [], operator: false, demo: false, ...more,
});

beforeEach(() => switchLanguage("ja"));

describe("a rate", () => {
  it("is read as people write it, to a hundredth of a percent", () => {
    expect(["10", "12.5", "１２．５％", "0", "100", "0.05", " 7 "].map(basisPoints)).toEqual([1_000, 1_250, 1_250, 0, 10_000, 5, 700]);
    expect(["", "-1", "100.01", "1.234", "ten", "1e2", "1,5"].map(basisPoints)).toEqual([null, null, null, null, null, null, null]);
  });
});

describe("terms", () => {
  it("are the same after they were typed", () => {
    const fields = fieldsOf(TERMS, NOW);
    expect(fields).toMatchObject({ rate: "12.5", from: "2026-12-01", to: "2026-12-31", clickDays: "7", replayDays: "", payDays: "45" });
    expect(termsOf(fields)).toEqual({ terms: TERMS });
    expect(fieldsOf({ ...TERMS, from_ms: 0 }, NOW).from, "a proposal is for what is to come").toBe("2026-11-28");
  });

  it("name the field that is wrong", () => {
    const good = firstFields(NOW);
    expect("terms" in termsOf(good)).toBe(true);
    const wrong = (changes: Partial<typeof good>): unknown => {
      const read = termsOf({ ...good, ...changes });
      return "wrong" in read ? read.wrong : null;
    };
    expect([
      wrong({ rate: "101" }), wrong({ payDays: "61" }), wrong({ payDays: "0" }), wrong({ to: "2020-01-01" }), wrong({ from: "" }), wrong({ clickDays: "31" }),
      wrong({ replayDays: "x" }), wrong({ prLabel: " " }), wrong({ products: [{ productId: "p", rate: "" }] }), wrong({ products: [{ productId: "p", rate: "1" }, { productId: "p", rate: "2" }] }),
    ]).toEqual(["rate", "payDays", "payDays", "to", "from", "clickDays", "replayDays", "prLabel", "products", "products"]);
    expect(wrong({ products: [{ productId: "", rate: "" }] }), "an empty row is none").toBeNull();
  });

  it("differ by what they say, not by the order in which they say it", () => {
    expect(differs("product_rates", TERMS, { ...TERMS, product_rates: [...TERMS.product_rates].reverse() })).toBe(false);
    expect(differs("product_rates", TERMS, { ...TERMS, product_rates: [] })).toBe(true);
    expect(differs("period", TERMS, { ...TERMS, to_ms: null })).toBe(true);
    expect(differs("rate_bp", TERMS, null)).toBe(false);
  });

  it("are compared with those in force, or else those before", () => {
    const first = version(1, { state: "agreed" });
    const second = version(2);
    const contract: Contract = { contract_id: "c", brand_id: "b", brand_name: "B", liver_id: "l", liver_name: "L", current: first, proposed: second, versions: [first, second] };
    expect(before(contract, second)?.version).toBe(1);
    expect(before({ ...contract, current: second, versions: [first, { ...second, state: "agreed" }] }, second)?.version).toBe(1);
    expect(before({ ...contract, current: null, versions: [second] }, second)).toBeNull();
  });

  it("are answered by the side that has not accepted yet", () => {
    const contract = { brand_id: "b", liver_id: "l" };
    const brand = sideOf(person({ brands: [{ id: "b", name: "B" }] }), contract);
    const liver = sideOf(person({ liver_id: "l" }), contract);
    expect([brand, liver, sideOf(person({}), contract), sideOf(null, contract)]).toEqual(["brand", "liver", null, null]);
    expect([turnOf(version(1), "liver"), turnOf(version(1), "brand"), turnOf(version(1), null), turnOf(version(1, { state: "ended" }), "liver")]).toEqual(["answer", "withdraw", null, null]);
  });

  it("show what changes, beside what was", () => {
    const box = document.createElement("div");
    act(() => render(<TermsTable terms={{ ...TERMS, product_rates: [], rate_bp: 1_500 }} before={{ ...TERMS, product_rates: [] }} />, box));
    const changed = [...box.querySelectorAll<HTMLElement>('[data-changed="true"]')];
    expect(changed.map((one) => one.dataset["testid"])).toEqual(["term-rate_bp"]);
    expect(changed[0]?.textContent).toContain("15%");
    expect(changed[0]?.textContent).toContain("これまで：12.5%");
    render(null, box);
  });
});

describe("months", () => {
  it("are Japan's", () => {
    expect(monthBefore("2026-01")).toBe("2025-12");
    // 2026-12-01 00:30 in Tokyo is still November in UTC.
    expect(lastMonth(Date.UTC(2026, 10, 30, 15, 30))).toBe("2026-11");
    expect(monthsUntil(NOW).slice(0, 2)).toEqual(["2026-11", "2026-10"]);
    expect([isMonth("2026-11"), isMonth("2026-13"), isMonth(null), isMonth("2026-1")]).toEqual([true, false, false, false]);
  });
});

describe("a bank account", () => {
  const good = { ...EMPTY_PAYEE, name_kana: "やまだ　はなこ", bank_code: "０００１", branch_code: "123", account_number: "12345", holder_kana: "ﾔﾏﾀﾞ ﾊﾅｺ" };

  it("is read as people write it", () => {
    expect(payeeOf(good)).toEqual({ payee: { ...good, name_kana: "ヤマダ ハナコ", bank_code: "0001", account_number: "0012345", holder_kana: "ヤマダ ハナコ", registration: null } });
    expect(payeeOf({ ...good, registration: "t1234567890123" })).toMatchObject({ payee: { registration: "T1234567890123" } });
    expect(kana("はなこ")).toBe("ハナコ");
  });

  it("names the field that is wrong", () => {
    const wrong = (changes: Partial<typeof good>): unknown => {
      const read = payeeOf({ ...good, ...changes });
      return "wrong" in read ? read.wrong : null;
    };
    expect([wrong({ name_kana: "山田" }), wrong({ bank_code: "1" }), wrong({ branch_code: "12a" }), wrong({ account_number: "12345678" }), wrong({ holder_kana: "" }), wrong({ registration: "T1" as never })])
      .toEqual(["name_kana", "bank_code", "branch_code", "account_number", "holder_kana", "registration"]);
  });
});

describe("how somebody came", () => {
  it("stands in the address", () => {
    expect(arrivalsOf("/watch/live_1", "?via=abc&staff=S1")).toEqual([{ kind: "link", code: "abc", liveId: "live_1" }, { kind: "staff_code", code: "S1", liveId: "live_1" }]);
    expect(arrivalsOf("/", "?staff=S1")).toEqual([{ kind: "staff_code", code: "S1", liveId: null }]);
    expect(arrivalsOf("/", `?via=&staff=${"x".repeat(200)}`)).toEqual([]);
  });

  it("is told of a link with consent only, of a staff code once signed in", () => {
    const [link, code] = arrivalsOf("/watch/l", "?via=a&staff=b");
    if (link === undefined || code === undefined) throw new Error("no arrivals");
    expect([isDue(link, true, null), isDue(link, true, false), isDue(link, true, true), isDue(link, false, true)]).toEqual([false, false, true, false]);
    expect([isDue(code, true, null), isDue(code, false, null)]).toEqual([true, false]);
  });

  it("makes a code that has its quiet zone", () => {
    const { size, path } = qrOf("https://hanamichi.test/?staff=ABC123");
    expect(size).toBeGreaterThan(24);
    expect(path).toContain("M2 2h1v1h-1z");
    expect(path).not.toMatch(/M[01] /);
  });
});

describe("the question of consent", () => {
  const box = document.createElement("div");
  afterEach(() => {
    render(null, box);
    consent.value = undefined;
    me.value = undefined;
  });

  it("is asked of who has not answered, and of nobody else", () => {
    const asked = (): boolean => box.querySelector('[data-testid="consent"]') !== null;
    act(() => render(<ConsentBanner covered={false} />, box));
    expect(asked(), "not known").toBe(false);
    act(() => { consent.value = { given: null, at_ms: null }; });
    expect(asked()).toBe(true);
    const [yes, no] = ["consent-yes", "consent-no"].map((id) => box.querySelector(`[data-testid="${id}"]`));
    expect(yes?.className, "the two are equals").toBe(no?.className);
    act(() => render(<ConsentBanner covered />, box));
    expect(asked(), "under a sheet").toBe(false);
    act(() => render(<ConsentBanner covered={false} />, box));
    act(() => { consent.value = { given: false, at_ms: 1 }; });
    expect(asked(), "answered").toBe(false);
    act(() => { consent.value = null; });
    expect(asked(), "a guest").toBe(false);
  });
});
