import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Problem } from "../src/api/problem";
import type { Delivery, Endpoint } from "../src/api/webhooks";
import { switchLanguage } from "../src/i18n/language";
import { DeliveryRow } from "../src/webhooks/DeliveryRow";
import { EndpointCard, type Act } from "../src/webhooks/EndpointCard";
import { changesOf, fieldsOf, isOnItsWay, merged, pretty, refusalOf, typedOf } from "../src/webhooks/endpoints";
import { SecretSheet } from "../src/webhooks/SecretSheet";
import { courseWords } from "../src/webhooks/words-of";

const NOW = Date.UTC(2026, 10, 28, 3);
const endpoint = (more: Partial<Endpoint> = {}): Endpoint => ({
  endpoint_id: "whk_1", brand_id: "brand_1", url: "https://shop.example/hooks", description: "基幹システム", events: ["credit.created", "statement.closed"], state: "active",
  disabled_because: null, failing_since_ms: null, waiting: 0, failed: 0, delivered_at_ms: null, old_secret_until_ms: null, created_at_ms: 0, ...more,
});
const delivery = (more: Partial<Delivery> = {}): Delivery => ({
  message_id: "msg_5", endpoint_id: "whk_1", event: "credit.created", subject_id: "crd_1", state: "waiting", tries: 0, next_at_ms: NOW, status: null, fault: null,
  created_at_ms: NOW, last_at_ms: null, ...more,
});

beforeEach(() => switchLanguage("ja"));

describe("what is typed of an endpoint", () => {
  it("is an address and at least one event", () => {
    const fields = { url: " https://shop.example/hooks ", description: " 基幹 ", events: ["statement.closed", "credit.created"] as const };
    expect(typedOf({ ...fields, events: [...fields.events] })).toEqual({ fields: { url: "https://shop.example/hooks", description: "基幹", events: ["credit.created", "statement.closed"] } });
    for (const url of ["", "shop.example", "ftp://shop.example", `https://shop.example/${"x".repeat(500)}`]) expect(typedOf({ ...fields, events: [...fields.events], url })).toEqual({ wrong: "url" });
    expect(typedOf({ ...fields, events: [] })).toEqual({ wrong: "events" });
    expect(fieldsOf(null).events, "a new one is told of all").toEqual(["credit.created", "statement.closed"]);
  });

  it("is sent only where it is different", () => {
    const before = fieldsOf(endpoint());
    expect(changesOf(before, { ...before, events: ["statement.closed", "credit.created"] })).toEqual({});
    expect(changesOf(before, { ...before, description: "", events: ["credit.created"] })).toEqual({ description: "", events: ["credit.created"] });
    expect(changesOf(before, { ...before, url: "https://other.example/" })).toEqual({ url: "https://other.example/" });
  });

  it("is refused with a reason that can be acted on", () => {
    const refused = (detail: string, kind: "invalid-input" | "conflict" = "invalid-input") => refusalOf(new Problem(kind, 400, detail, 0));
    expect([
      refused("url must begin with https://"), refused("url must lead to a public address"), refused("url must not hold a user or password; messages are signed"),
      refused("url must not have a part after #"), refused("url: at most 500 characters"), refused("url must be an address such as https://shop.example/webhooks"),
      refused("a brand has at most 5 webhook endpoints", "conflict"), refused("this endpoint is told nothing now; make it active first", "conflict"), refused("something else"),
    ]).toEqual(["no_https", "not_public", "has_user", "has_part", "no_address", "no_address", "too_many", "not_active", null]);
  });
});

describe("deliveries", () => {
  it("are refreshed in place, and what was loaded by hand stays", () => {
    const [a, b, c, d, e] = ["msg_9", "msg_8", "msg_7", "msg_6", "msg_5"].map((message_id) => delivery({ message_id }));
    if (a === undefined || b === undefined || c === undefined || d === undefined || e === undefined) throw new Error("five");
    const ids = (rows: readonly Delivery[]): string[] => rows.map(({ message_id }) => message_id);
    expect(ids(merged([b, c, d, e], { items: [a, b], next_cursor: "x" })), "a new one, and the older").toEqual(["msg_9", "msg_8", "msg_7", "msg_6", "msg_5"]);
    expect(ids(merged([a, b, c, d], { items: [b, d], next_cursor: "x" })), "those that left the list").toEqual(["msg_8", "msg_6"]);
    expect(ids(merged([a, b, c], { items: [b], next_cursor: null })), "there is no more than this").toEqual(["msg_8"]);
    expect(merged([a], { items: [], next_cursor: null })).toEqual([]);
  });

  it("that are due are on their way, those of tomorrow are not", () => {
    expect([isOnItsWay(delivery(), NOW), isOnItsWay(delivery({ next_at_ms: NOW + 86_400_000 }), NOW), isOnItsWay(delivery({ state: "delivered", next_at_ms: null }), NOW)]).toEqual([true, false, false]);
  });

  it("say in words how they fare", () => {
    const said = (more: Partial<Delivery>, active = true): string => courseWords(delivery(more), active, NOW);
    expect(said({})).toBe("送っています…");
    expect(said({}, false)).toBe("再開すると送ります");
    expect(said({ tries: 2, fault: "unreachable", next_at_ms: NOW + 300_000 })).toMatch(/^接続できませんでした ・ 2回試行 ・ 次は .*12:05/);
    expect(said({ state: "delivered", tries: 1, status: 204, next_at_ms: null })).toBe("HTTP 204 で受け取られました ・ 1回試行");
    expect(said({ state: "failed", tries: 10, status: 500, fault: "status", next_at_ms: null })).toBe("HTTP 500 が返りました ・ 10回試行 ・ 断念しました");
    const faults = (["status", "timeout", "unreachable", "address", "tls", "redirect"] as const).map((fault) => said({ state: "failed", fault, status: 301 }));
    expect(new Set(faults).size).toBe(6);
    switchLanguage("en");
    expect(said({ state: "failed", tries: 10, fault: "timeout", next_at_ms: null })).toBe("No answer within 15 seconds ・ tried 10 times ・ given up");
  });

  it("have a body that can be read, whatever it is", () => {
    expect(pretty('{"type":"endpoint.test","data":{"a":1}}')).toBe('{\n  "type": "endpoint.test",\n  "data": {\n    "a": 1\n  }\n}');
    expect(pretty("no JSON")).toBe("no JSON");
  });
});

describe("the page of webhooks", () => {
  const box = document.createElement("div");
  document.body.append(box);
  afterEach(() => render(null, box));
  const find = (testId: string): HTMLElement | null => box.querySelector(`[data-testid="${testId}"]`);
  const click = (testId: string): void => {
    act(() => find(testId)?.click());
  };
  const acts: Act[] = [];
  const card = (of: Endpoint): void => {
    act(() => render(<EndpointCard endpoint={of} busy={false} open={false} onOpen={() => undefined} onAct={(what) => void acts.push(what)}>–</EndpointCard>, box));
  };

  it("says why an endpoint is told nothing, and sends only to one that is", () => {
    card(endpoint());
    expect([find("endpoint-failing"), find("endpoint-disabled"), find("endpoint-old-secret"), find("endpoint-resume")]).toEqual([null, null, null, null]);
    click("endpoint-test");
    click("endpoint-pause");
    card(endpoint({ failing_since_ms: NOW, old_secret_until_ms: NOW }));
    expect(find("endpoint-failing")?.textContent).toContain("12:00");
    expect(find("endpoint-old-secret")?.textContent).toContain("12:00");
    card(endpoint({ state: "disabled", disabled_because: "gone", failing_since_ms: NOW }));
    expect(find("endpoint-disabled")?.textContent).toContain("410 Gone");
    expect(find("endpoint-failing"), "one reason is enough").toBeNull();
    expect(find("endpoint-test")?.hasAttribute("disabled")).toBe(true);
    click("endpoint-test");
    click("endpoint-resume");
    card(endpoint({ state: "disabled", disabled_because: "failing" }));
    expect(find("endpoint-disabled")?.textContent).toContain("5日間");
    expect(acts).toEqual(["test", "pause", "resume"]);
  });

  it("offers to send again what was tried, never what is on its first way", () => {
    const row = (of: Delivery, active = true): void => {
      act(() => render(<DeliveryRow delivery={of} active={active} onResend={() => undefined} />, box));
    };
    row(delivery());
    expect(find("resend")).toBeNull();
    row(delivery({ tries: 1, fault: "unreachable" }));
    expect(find("resend")?.textContent).toBe("今すぐ送る");
    row(delivery({ state: "failed", tries: 10, fault: "unreachable" }), false);
    expect([find("resend")?.textContent, find("resend")?.hasAttribute("disabled")]).toEqual(["もう一度送る", true]);
  });

  it("asks before a secret is closed that nobody has copied", async () => {
    let closed = 0;
    const show = (): void => {
      act(() => render(<SecretSheet of={{ endpoint: endpoint(), secret: "whsec_c2VjcmV0" }} onClose={() => { closed += 1; }} />, box));
    };
    show();
    expect(find("secret")).toMatchObject({ value: "whsec_c2VjcmV0" });
    click("sheet-close");
    expect([closed, find("secret-unkept") !== null]).toEqual([0, true]);
    click("secret-close");
    expect(closed).toBe(1);
    render(null, box);
    show();
    await act(async () => {
      find("secret-copy")?.click();
      await new Promise((resolve) => setTimeout(resolve, 0));
    });
    click("sheet-close");
    expect([closed, find("secret-unkept")]).toEqual([2, null]);
    render(null, box);
    show();
    click("secret-kept");
    expect(closed, "who says so is believed").toBe(3);
  });
});
