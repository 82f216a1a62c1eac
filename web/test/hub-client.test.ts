import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { HubClient, type HubOptions, type HubStatus } from "../src/hub/client";
import type { Problem } from "../src/hub/problem";
import { FakeEvents, FakeSocket } from "./fakes";
import { aWait } from "./rooms";

let hubs: HubClient[] = [];
let statuses: HubStatus[] = [];
let sockets: FakeSocket[] = [];
let streams: FakeEvents[] = [];
let asked: { url: string; init: RequestInit }[] = [];
let answer: () => Response = () => new Response("{}", { status: 404 });

function connect(over: Partial<HubOptions> = {}): HubClient {
  const hub = new HubClient({
    live: "live_1",
    origin: "http://x",
    onChange: () => undefined,
    onStatus: (status) => statuses.push(status),
    open: (url, protocols) => {
      const socket = new FakeSocket(url, protocols);
      sockets.push(socket);
      return socket as unknown as WebSocket;
    },
    openEvents: (url) => {
      const stream = new FakeEvents(url);
      streams.push(stream);
      return stream as unknown as EventSource;
    },
    fetch: (url, init) => {
      asked.push({ url, init });
      return Promise.resolve(answer());
    },
    random: () => 0,
    ...over,
  });
  hubs.push(hub);
  hub.start();
  return hub;
}

function socket(index: number): FakeSocket {
  const found = sockets[index];
  if (found === undefined) throw new Error(`no connection ${index}`);
  return found;
}

beforeEach(() => {
  vi.useFakeTimers();
  sockets = [];
  streams = [];
  asked = [];
  answer = () => new Response("{}", { status: 404 });
  statuses = [];
});
afterEach(() => {
  for (const hub of hubs) hub.stop();
  hubs = [];
  vi.useRealTimers();
});

describe("the hub's connection", () => {
  it("speaks the binary subprotocol and begins with a resume that asks for a snapshot", () => {
    connect();
    expect(socket(0).protocols).toEqual(["hanamichi.v1.proto"]);
    expect(socket(0).url).toBe("ws://x/v1/lives/live_1/hub");
    socket(0).accept();
    expect(socket(0).resume).toEqual({ epoch: "", seq: 0 });
  });

  it("returns after a loss with the position it had", () => {
    const hub = connect();
    socket(0).accept();
    socket(0).snapshot("e1", 7);
    expect(hub.status).toBe("ready");
    socket(0).drop();
    expect(hub.status).toBe("connecting");
    vi.advanceTimersByTime(1);
    socket(1).accept();
    expect(socket(1).resume).toEqual({ epoch: "e1", seq: 7 });
  });

  it("waits longer after each failed try, and never forever", () => {
    connect({ random: () => 1, openEvents: null });
    const at: number[] = [];
    for (let index = 0; index < 12; index += 1) {
      at.push(Date.now());
      socket(index).drop();
      while (sockets.length === index + 1) vi.advanceTimersByTime(50);
    }
    const gaps = at.slice(1).map((time, index) => time - (at[index] ?? 0));
    expect(gaps[3]).toBeGreaterThan(gaps[0] ?? 0);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(10_050);
  });

  it("asks again from where it stands when there is a hole in the log", () => {
    connect();
    socket(0).accept();
    socket(0).snapshot("e1", 7);
    socket(0).say({ case: "batch", value: { epoch: "e1", ordered: [{ seq: 9n }] } });
    vi.advanceTimersByTime(1);
    socket(1).accept();
    expect(socket(1).resume).toEqual({ epoch: "e1", seq: 7 });
  });

  it("asks for a snapshot when the log is another one", () => {
    connect();
    socket(0).accept();
    socket(0).snapshot("e1", 7);
    socket(0).say({ case: "batch", value: { epoch: "e2" } });
    vi.advanceTimersByTime(1);
    socket(1).accept();
    expect(socket(1).resume).toEqual({ epoch: "", seq: 0 });
  });

  it("stays away when told so, and waits as long as it is told", () => {
    const hub = connect();
    socket(0).accept();
    socket(0).snapshot("e1", 1);
    socket(0).say({ case: "goodbye", value: { reconnectAfterMs: 5_000n } });
    vi.advanceTimersByTime(4_999);
    expect(sockets).toHaveLength(1);
    vi.advanceTimersByTime(2_000);
    socket(1).accept();
    socket(1).say({ case: "goodbye", value: { reconnectAfterMs: -1n } });
    vi.advanceTimersByTime(120_000);
    expect(sockets).toHaveLength(2);
    expect(hub.status).toBe("closed");
  });

  it("gives up a connection that has gone silent", () => {
    connect();
    socket(0).accept();
    socket(0).snapshot("e1", 1);
    vi.advanceTimersByTime(60_000);
    expect(sockets.length).toBeGreaterThan(1);
  });
});

describe("the other codec", () => {
  it("says the same in text", async () => {
    const hub = connect({ protocol: "json" });
    expect(socket(0).protocols).toEqual(["hanamichi.v1.json"]);
    socket(0).accept();
    expect(socket(0).resume).toEqual({ epoch: "", seq: 0 });
    socket(0).say({ case: "snapshot", value: { epoch: "e1", seq: 3n, viewers: 9 } });
    expect(hub.room).toMatchObject({ viewers: 9, position: { epoch: "e1", seq: 3 } });
    // Of a later contract: skipped, not stumbled over.
    socket(0).raw('{"brandNew":{"x":1}}');
    socket(0).raw('{"batch":{"epoch":"e1","ordered":[{"seq":"4","brandNew":{}}],"later":true}}');
    expect(hub.status).toBe("ready");
    expect(hub.room.position?.seq).toBe(4);
    const asking = hub.request({ kind: "ask", text: "色は？", productId: "prd_1" });
    const [sent] = socket(0).heardOf("ask");
    expect(sent?.body.value).toMatchObject({ text: "色は？", productId: "prd_1" });
    socket(0).say({ case: "reply", value: { id: sent?.id ?? 0n, result: { case: "done", value: {} } } });
    await expect(asking).resolves.toEqual({ kind: "done" });
  });

  it("does not take what is no frame for one", () => {
    const hub = connect({ protocol: "json" });
    socket(0).accept();
    socket(0).snapshot("e1", 3);
    socket(0).raw("<html>");
    expect(hub.status).toBe("connecting");
    vi.advanceTimersByTime(1);
    socket(1).accept();
    expect(socket(1).resume).toEqual({ epoch: "", seq: 0 });
  });
});

describe("the close codes", () => {
  it("bring the client back with its position, whether the server stopped, was lost or found a message too large", () => {
    for (const code of [1001, 1003, 1006, 1009, 1012, 4408]) {
      sockets = [];
      const hub = connect();
      socket(0).accept();
      socket(0).snapshot("e1", 7);
      socket(0).drop(code);
      expect(hub.status).toBe("connecting");
      vi.advanceTimersByTime(1);
      socket(1).accept();
      expect(socket(1).resume).toEqual({ epoch: "e1", seq: 7 });
      hub.stop();
    }
  });

  it("4403 keeps away for good and says why", async () => {
    const hub = connect();
    socket(0).accept();
    socket(0).snapshot("e1", 7);
    const sent = hub.request({ kind: "send-chat", text: "x" }).catch((problem: Problem) => problem);
    socket(0).drop(4403);
    expect(hub.status).toBe("closed");
    expect(hub.ending?.kind).toBe("banned");
    await expect(sent).resolves.toMatchObject({ kind: "network" });
    vi.advanceTimersByTime(600_000);
    window.dispatchEvent(new Event("online"));
    expect(sockets).toHaveLength(1);
  });

  it("after a goodbye the code says why, and without one its reason does", () => {
    const hub = connect();
    socket(0).accept();
    socket(0).say({ case: "goodbye", value: { reason: "moderation", reconnectAfterMs: -1n } });
    socket(0).drop(4403);
    expect([hub.status, hub.ending?.kind]).toEqual(["closed", "banned"]);
    const other = connect();
    socket(1).accept();
    socket(1).say({ case: "goodbye", value: { reason: "banned", reconnectAfterMs: -1n } });
    vi.advanceTimersByTime(1_001);
    expect([other.status, other.ending?.kind]).toEqual(["closed", "banned"]);
  });

  it("1009 tells whoever sent it that it was too large", async () => {
    const hub = connect();
    socket(0).accept();
    socket(0).snapshot("e1", 7);
    const sent = hub.request({ kind: "send-chat", text: "x" }).catch((problem: Problem) => problem);
    socket(0).drop(1009);
    await expect(sent).resolves.toMatchObject({ kind: "too-large" });
  });
});

describe("passes", () => {
  const pass = (token: string, lifeMs: number) => ({ case: "personal", value: { body: { case: "pass", value: { token, expiresAtMs: BigInt(Date.now() + lifeMs) } } } }) as const;
  const offered = (index: number): string | undefined => socket(index).protocols[1];

  function ready(index: number): void {
    socket(index).accept();
    socket(index).snapshot("e1", 1);
  }

  it("are offered when coming back, while they are good", () => {
    connect();
    expect(offered(0)).toBeUndefined();
    ready(0);
    socket(0).say(pass("aaa.bbb", 60_000));
    socket(0).drop();
    vi.advanceTimersByTime(1);
    expect(offered(1)).toBe("pass.aaa.bbb");
    vi.advanceTimersByTime(59_000);
    expect(sockets.length).toBeGreaterThan(2);
    expect(sockets.at(-1)?.protocols).toHaveLength(1);
  });

  it("are renewed before they expire", () => {
    connect();
    ready(0);
    socket(0).say(pass("a", 100_000));
    vi.advanceTimersByTime(20_000);
    expect(socket(0).heardOf("refresh")).toHaveLength(0);
    for (let step = 0; step < 5; step += 1) {
      socket(0).say({ case: "pong", value: { serverAtMs: BigInt(Date.now()), clientAtMs: BigInt(Date.now()) } });
      vi.advanceTimersByTime(11_000);
    }
    const [asked] = socket(0).heardOf("refresh");
    expect(asked?.body.value).toMatchObject({ pass: "" });
    socket(0).say(pass("b", 100_000));
    socket(0).drop();
    vi.advanceTimersByTime(1);
    expect(offered(1)).toBe("pass.b");
  });

  it("are asked for again when a refresh brought none, and not after the end", () => {
    connect();
    ready(0);
    socket(0).say(pass("a", 30_000));
    for (let step = 0; step < 6; step += 1) {
      socket(0).say({ case: "pong", value: { serverAtMs: BigInt(Date.now()), clientAtMs: BigInt(Date.now()) } });
      vi.advanceTimersByTime(10_000);
    }
    const asks = socket(0).heardOf("refresh").length;
    expect(asks).toBeGreaterThan(1);
    expect(asks).toBeLessThan(12);
  });

  it("that ran out are dropped: the next connection comes by cookie", () => {
    const hub = connect();
    ready(0);
    socket(0).say(pass("a", 60_000));
    hub.learnStanding({ role: "moderator" });
    socket(0).drop(4401);
    expect(hub.status).toBe("connecting");
    expect(hub.room.standing).toBeNull();
    vi.advanceTimersByTime(1);
    expect(offered(1)).toBeUndefined();
    socket(1).accept();
    expect(socket(1).resume).toEqual({ epoch: "e1", seq: 1 });
  });

  it("never become the next person's", () => {
    const hub = connect();
    ready(0);
    socket(0).say(pass("a", 60_000));
    hub.rejoin();
    vi.advanceTimersByTime(1);
    expect(offered(1)).toBeUndefined();
  });

  it("do not keep anybody out: every third try in a row goes without", () => {
    connect({ openEvents: null });
    ready(0);
    socket(0).say(pass("a", 600_000));
    for (let index = 0; index < 6; index += 1) {
      socket(index).drop();
      vi.advanceTimersByTime(1);
    }
    expect([1, 2, 3, 4, 5, 6].map(offered)).toEqual(["pass.a", "pass.a", undefined, "pass.a", "pass.a", undefined]);
  });

  it("that no subprotocol can carry are not kept", () => {
    connect();
    ready(0);
    socket(0).say(pass("a b=/", 60_000));
    socket(0).drop();
    vi.advanceTimersByTime(1);
    expect(offered(1)).toBeUndefined();
  });

  it("may be brought along from the beginning", () => {
    connect({ pass: { token: "mine", expiresAtMs: Date.now() + 60_000 } });
    expect(offered(0)).toBe("pass.mine");
  });
});

describe("when the network or the page comes back", () => {
  it("does not wait for the back-off", () => {
    connect({ random: () => 1, openEvents: null });
    for (let index = 0; index < 5; index += 1) {
      socket(index).drop();
      vi.advanceTimersByTime(10_000);
    }
    socket(5).drop();
    window.dispatchEvent(new Event("online"));
    vi.advanceTimersByTime(301);
    expect(sockets).toHaveLength(7);
  });

  it("still waits as long as the server asked for", () => {
    connect();
    socket(0).accept();
    socket(0).say({ case: "goodbye", value: { reason: "restart", reconnectAfterMs: 5_000n } });
    document.dispatchEvent(new Event("visibilitychange"));
    vi.advanceTimersByTime(4_900);
    expect(sockets).toHaveLength(1);
    vi.advanceTimersByTime(200);
    expect(sockets).toHaveLength(2);
  });

  it("looks whether the connection still lives, and leaves a dead one", () => {
    const hub = connect();
    socket(0).accept();
    socket(0).snapshot("e1", 1);
    vi.advanceTimersByTime(2_000);
    window.dispatchEvent(new Event("online"));
    socket(0).say({ case: "pong", value: { serverAtMs: BigInt(Date.now()), clientAtMs: BigInt(Date.now()) } });
    vi.advanceTimersByTime(5_000);
    expect(hub.status).toBe("ready");
    window.dispatchEvent(new Event("online"));
    vi.advanceTimersByTime(5_000);
    expect(hub.status).toBe("connecting");
    expect(sockets).toHaveLength(2);
  });

  it("means nothing to who has left", () => {
    const hub = connect();
    hub.stop();
    window.dispatchEvent(new Event("online"));
    vi.advanceTimersByTime(60_000);
    expect(sockets).toHaveLength(1);
  });
});

describe("where no WebSocket comes through", () => {
  /** Three sockets that never open; then the stream. */
  function fallBack(over: Partial<HubOptions> = {}): HubClient {
    const hub = connect(over);
    for (let index = 0; index < 3; index += 1) {
      socket(index).drop();
      vi.advanceTimersByTime(1);
    }
    // A newcomer asks why; what follows is counted from here.
    asked = [];
    return hub;
  }

  function stream(index: number): FakeEvents {
    const found = streams[index];
    if (found === undefined) throw new Error(`no stream ${index}`);
    return found;
  }

  const snapshot = (seq: number) => ({ case: "snapshot", value: { epoch: "e1", seq: BigInt(seq), viewers: seq } }) as const;

  it("the event stream tells the same", () => {
    const hub = fallBack();
    expect(sockets).toHaveLength(3);
    expect(stream(0).url).toBe("http://x/v1/lives/live_1/events");
    stream(0).accept();
    stream(0).say(snapshot(5));
    expect([hub.status, hub.way]).toEqual(["ready", "events"]);
    stream(0).say({ case: "batch", value: { epoch: "e1", ordered: [{ seq: 6n, event: { case: "chatRulesChanged", value: { slowModeS: 30, version: 2n } } }] } });
    expect(hub.room.chatRules.slowModeS).toBe(30);
    expect(hub.room.position?.seq).toBe(6);
  });

  it("a socket that once opened is no reason for it", () => {
    connect();
    for (let index = 0; index < 6; index += 1) {
      socket(index).accept();
      socket(index).drop();
      vi.advanceTimersByTime(1);
    }
    expect(streams).toHaveLength(0);
  });

  it("commands go over REST and their answers into the room", async () => {
    const hub = fallBack();
    stream(0).accept();
    stream(0).say(snapshot(5));
    answer = () => new Response(JSON.stringify({ id: "msg_1", author_name: "ゆき", author_role: "viewer", text: "こんにちは", at_ms: 5, demo: false }), { status: 201 });
    await expect(hub.request({ kind: "send-chat", text: "こんにちは" })).resolves.toMatchObject({ kind: "chat" });
    expect(asked[0]?.url).toBe("http://x/v1/lives/live_1/chat");
    expect(hub.room.chat.map((line) => line.text)).toEqual(["こんにちは"]);

    const question = { id: "qst_1", author_name: "ゆき", text: "?", votes: 3, state: "open", asked_at_ms: 5, answering_at_ms: null, answered_at_ms: null, version: 2, demo: false };
    answer = () => new Response(JSON.stringify(question), { status: 201 });
    await hub.request({ kind: "ask", text: "?" });
    expect(JSON.parse(String(asked[1]?.init.body))).toEqual({ text: "?" });
    await hub.upvote("qst_1");
    expect(asked[2]?.url).toBe("http://x/v1/questions/qst_1/upvote");
    expect(hub.room.upvoted.has("qst_1")).toBe(true);

    const purchase = { id: "pur_1", state: "paying", order_id: null, reason: null, total_minor: 800, currency: "JPY", hold_expires_at_ms: 9, lines: [], wait_id: null, short_units: 0, version: 1 };
    answer = () => new Response(JSON.stringify(purchase), { status: 201 });
    await hub.request({ kind: "buy", key: "k-1", offerId: "ofr_1", qty: 1, confirmationHash: "", paymentMethod: "" });
    expect(new Headers(asked[3]?.init.headers).get("idempotency-key")).toBe("k-1");
    expect(hub.room.purchases.get("pur_1")?.state).toBe("paying");
  });

  it("what REST refuses, and what it cannot do, says so", async () => {
    const hub = fallBack();
    stream(0).accept();
    stream(0).say(snapshot(5));
    answer = () => new Response(JSON.stringify({ type: "/problems/slow-mode", retry_after_ms: 9_000 }), { status: 429 });
    await expect(hub.request({ kind: "send-chat", text: "x" })).rejects.toMatchObject({ kind: "slow-mode", retryAfterMs: 9_000 });
    await expect(hub.request({ kind: "react", reaction: "heart" })).rejects.toMatchObject({ kind: "no-socket" });
    hub.tell({ kind: "react", reaction: "heart" });
  });

  it("after a minute a socket is tried, and takes over without a gap", () => {
    const hub = fallBack();
    stream(0).accept();
    stream(0).say(snapshot(5));
    vi.advanceTimersByTime(61_000);
    expect(sockets).toHaveLength(4);
    // It fails: the stream goes on, and a minute later it is tried again.
    socket(3).drop();
    expect([hub.status, hub.way]).toEqual(["ready", "events"]);
    vi.advanceTimersByTime(61_000);
    socket(4).accept();
    expect(socket(4).resume).toEqual({ epoch: "e1", seq: 5 });
    stream(0).say({ case: "batch", value: { epoch: "e1", ordered: [{ seq: 6n }] } });
    socket(4).say({ case: "resumed", value: { epoch: "e1", seq: 5n } });
    socket(4).say({ case: "batch", value: { epoch: "e1", ordered: [{ seq: 6n }, { seq: 7n }] } });
    expect([hub.status, hub.way, hub.room.position?.seq]).toEqual(["ready", "socket", 7]);
    expect(stream(0).readyState).toBe(2);
    expect(statuses).toEqual(["ready"]);
  });

  it("one stumble is the browser's, the second is ours", () => {
    const hub = fallBack();
    stream(0).accept();
    stream(0).say(snapshot(5));
    stream(0).stumble();
    expect(streams).toHaveLength(1);
    stream(0).accept();
    stream(0).say({ case: "resumed", value: { epoch: "e1", seq: 5n } });
    expect(hub.status).toBe("ready");
    stream(0).stumble();
    stream(0).stumble();
    expect(hub.status).toBe("connecting");
    // One socket, then a stream again.
    vi.advanceTimersByTime(1);
    socket(3).drop();
    vi.advanceTimersByTime(1);
    expect(streams).toHaveLength(2);
  });

  it("who is banned learns it although the stream cannot say so", async () => {
    const hub = fallBack();
    answer = () => new Response(JSON.stringify({ type: "/problems/banned" }), { status: 403 });
    stream(0).refuse();
    await vi.advanceTimersByTimeAsync(0);
    expect([hub.status, hub.ending?.kind]).toEqual(["closed", "banned"]);
  });

  it("a newcomer learns it at the first refusal", async () => {
    answer = () => new Response(JSON.stringify({ type: "/problems/banned" }), { status: 403 });
    const hub = connect();
    socket(0).drop();
    await vi.advanceTimersByTimeAsync(0);
    expect([hub.status, hub.ending?.kind]).toEqual(["closed", "banned"]);
    expect(asked).toHaveLength(1);
  });

  it("and where there is no stream either, sockets are tried on", () => {
    fallBack({ openEvents: null });
    expect(sockets).toHaveLength(4);
  });
});

describe("requests", () => {
  it("wait for the room and are answered by their own reply", async () => {
    const hub = connect();
    const asked = hub.request({ kind: "ask", text: "色は？" });
    socket(0).accept();
    expect(socket(0).heard.some((frame) => frame.body.case === "ask")).toBe(false);
    socket(0).snapshot("e1", 1);
    const sent = socket(0).heard.find((frame) => frame.body.case === "ask");
    socket(0).say({ case: "reply", value: { id: (sent?.id ?? 0n) + 100n, result: { case: "done", value: {} } } });
    socket(0).say({ case: "reply", value: { id: sent?.id ?? 0n, result: { case: "question", value: { id: "qst_1", version: 1n } } } });
    await expect(asked).resolves.toMatchObject({ kind: "question" });
    expect(hub.room.questions.has("qst_1")).toBe(true);
  });

  it("fail with the server's problem", async () => {
    const hub = connect();
    socket(0).accept();
    socket(0).snapshot("e1", 1);
    const sent = hub.request({ kind: "send-chat", text: "x" }).catch((problem: Problem) => problem);
    const id = socket(0).heard.at(-1)?.id ?? 0n;
    socket(0).say({ case: "reply", value: { id, result: { case: "problem", value: { type: "/problems/rate-limited", status: 429, retryAfterMs: 900n } } } });
    await expect(sent).resolves.toMatchObject({ kind: "rate-limited", status: 429, retryAfterMs: 900 });
  });

  it("that were sent before a loss fail as unknown and are not sent twice", async () => {
    const hub = connect();
    socket(0).accept();
    socket(0).snapshot("e1", 1);
    const sent = hub.request({ kind: "send-chat", text: "x" }).catch((problem: Problem) => problem);
    socket(0).drop();
    await expect(sent).resolves.toMatchObject({ kind: "network" });
    vi.advanceTimersByTime(1);
    socket(1).accept();
    socket(1).snapshot("e1", 1);
    expect(socket(1).heard.some((frame) => frame.body.case === "sendChat")).toBe(false);
  });

  it("do not wait for ever", async () => {
    const hub = connect();
    const sent = hub.request({ kind: "ask", text: "x" }).catch((problem: Problem) => problem);
    await vi.advanceTimersByTimeAsync(10_001);
    await expect(sent).resolves.toMatchObject({ kind: "network" });
  });
});

describe("what is told of units and of one's own affairs", () => {
  it("comes from the wire as plain numbers", () => {
    const hub = connect();
    socket(0).accept();
    socket(0).say({ case: "snapshot", value: {
      epoch: "e1", serverAtMs: 5n, offersLeft: [{ offerId: "ofr_1", left: 4n, version: 1n }],
      pins: [{ id: "pin_1", product: { id: "prd_1" }, offers: [{ id: "ofr_1", startsAtMs: 70n, quota: 9n }] }],
    } });
    socket(0).say({ case: "batch", value: {
      epoch: "e1", state: [{ value: { case: "offerLeft", value: { offerId: "ofr_1", left: 3n, version: 2n } } }],
    } });
    expect(hub.room.offersLeft.get("ofr_1")).toEqual({ offerId: "ofr_1", left: 3, version: 2 });
    expect(hub.room.pins[0]?.offers[0]).toMatchObject({ startsAtMs: 70, quota: 9 });

    socket(0).say({ case: "personal", value: { body: { case: "wait", value: {
      id: "wait_1", offerId: "ofr_1", qty: 1, state: "offered", purchaseId: "pur_1", joinedAtMs: 6n, version: 2n,
    } } } });
    socket(0).say({ case: "personal", value: { body: { case: "purchase", value: {
      id: "pur_1", state: "held", waitId: "wait_1", shortUnits: 2, declineCode: "insufficient_funds", paymentsBefore: 7n, paymentEstimateMs: 280n, holdExpiresAtMs: 99n, version: 1n,
      lines: [{ offerId: "ofr_1", skuId: "sku_1", qty: 1, unitPriceMinor: 800n }],
    } } } });
    expect(hub.room.waits.get("wait_1")).toMatchObject({ state: "offered", purchaseId: "pur_1", joinedAtMs: 6 });
    expect(hub.room.purchases.get("pur_1")).toMatchObject({
      waitId: "wait_1", shortUnits: 2, declineCode: "insufficient_funds", paymentsBefore: 7, paymentEstimateMs: 280, holdExpiresAtMs: 99, lines: [{ offerId: "ofr_1", skuId: "sku_1", qty: 1, unitPriceMinor: 800 }],
    });
  });

  it("is learnt from REST too, where that is the later word", () => {
    const hub = connect();
    hub.learn({ kind: "wait", wait: aWait({ version: 2, state: "offered" }) });
    hub.learn({ kind: "wait", wait: aWait({ version: 1 }) });
    expect(hub.room.waits.get("wait_1")?.state).toBe("offered");
    hub.rejoin();
    expect(hub.room.waits.size).toBe(0);
  });
});

describe("signing in", () => {
  it("joins anew as the new person and asks for what is theirs", () => {
    const hub = connect();
    socket(0).accept();
    socket(0).snapshot("e1", 3);
    hub.rejoin();
    vi.advanceTimersByTime(1);
    socket(1).accept();
    expect(socket(1).resume).toEqual({ epoch: "", seq: 0 });
  });
});
