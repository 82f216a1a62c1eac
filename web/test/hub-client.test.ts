import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ClientFrameSchema, ServerFrameSchema, type ClientFrame, type ServerFrame } from "../src/gen/hanamichi/v1/hub_pb";
import { HubClient, type HubStatus } from "../src/hub/client";
import type { Problem } from "../src/api/problem";
import { aWait } from "./rooms";

/** The server's end of a connection: what the client said, and a mouth to answer with. */
class FakeSocket {
  static readonly opened: FakeSocket[] = [];
  readyState = 0;
  binaryType = "";
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: ArrayBuffer }) => void) | null = null;
  onclose: (() => void) | null = null;
  readonly heard: ClientFrame[] = [];

  constructor(readonly url: string, readonly protocol: string) {
    FakeSocket.opened.push(this);
  }

  send(bytes: Uint8Array): void {
    this.heard.push(fromBinary(ClientFrameSchema, bytes));
  }

  close(): void {
    this.readyState = 3;
  }

  accept(): void {
    this.readyState = WebSocket.OPEN;
    this.onopen?.();
  }

  say(body: ServerFrame["body"]): void {
    const bytes = toBinary(ServerFrameSchema, create(ServerFrameSchema, { body }));
    this.onmessage?.({ data: bytes.slice().buffer as ArrayBuffer });
  }

  snapshot(epoch: string, seq: number): void {
    this.say(create(ServerFrameSchema, { body: { case: "snapshot", value: { epoch, seq: BigInt(seq), serverAtMs: BigInt(Date.now()) } } }).body);
  }

  drop(): void {
    this.readyState = 3;
    this.onclose?.();
  }

  get resume(): { epoch: string; seq: number } | null {
    const body = this.heard[0]?.body;
    return body?.case === "resume" ? { epoch: body.value.epoch, seq: Number(body.value.seq) } : null;
  }
}

let statuses: HubStatus[] = [];

function connect(): HubClient {
  const hub = new HubClient({
    url: "ws://x/hub",
    onChange: () => undefined,
    onStatus: (status) => statuses.push(status),
    open: (url, protocol) => new FakeSocket(url, protocol) as unknown as WebSocket,
    random: () => 0,
  });
  hub.start();
  return hub;
}

function socket(index: number): FakeSocket {
  const found = FakeSocket.opened[index];
  if (found === undefined) throw new Error(`no connection ${index}`);
  return found;
}

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.opened.length = 0;
  statuses = [];
});
afterEach(() => vi.useRealTimers());

describe("the hub's connection", () => {
  it("speaks the binary subprotocol and begins with a resume that asks for a snapshot", () => {
    connect();
    expect(socket(0).protocol).toBe("hanamichi.v1.proto");
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
    vi.advanceTimersByTime(60_000);
    socket(1).accept();
    expect(socket(1).resume).toEqual({ epoch: "e1", seq: 7 });
  });

  it("waits longer after each failed try, and never forever", () => {
    connect();
    const at: number[] = [];
    for (let index = 0; index < 12; index += 1) {
      at.push(Date.now());
      socket(index).drop();
      while (FakeSocket.opened.length === index + 1) vi.advanceTimersByTime(50);
    }
    const gaps = at.slice(1).map((time, index) => time - (at[index] ?? 0));
    expect(gaps[3]).toBeGreaterThan(gaps[0] ?? 0);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(10_050);
  });

  it("asks again from where it stands when there is a hole in the log", () => {
    connect();
    socket(0).accept();
    socket(0).snapshot("e1", 7);
    socket(0).say(create(ServerFrameSchema, { body: { case: "batch", value: { epoch: "e1", ordered: [{ seq: 9n }] } } }).body);
    vi.advanceTimersByTime(60_000);
    socket(1).accept();
    expect(socket(1).resume).toEqual({ epoch: "e1", seq: 7 });
  });

  it("asks for a snapshot when the log is another one", () => {
    connect();
    socket(0).accept();
    socket(0).snapshot("e1", 7);
    socket(0).say(create(ServerFrameSchema, { body: { case: "batch", value: { epoch: "e2" } } }).body);
    vi.advanceTimersByTime(60_000);
    socket(1).accept();
    expect(socket(1).resume).toEqual({ epoch: "", seq: 0 });
  });

  it("stays away when told so, and waits as long as it is told", () => {
    const hub = connect();
    socket(0).accept();
    socket(0).snapshot("e1", 1);
    socket(0).say(create(ServerFrameSchema, { body: { case: "goodbye", value: { reconnectAfterMs: 5_000n } } }).body);
    vi.advanceTimersByTime(4_999);
    expect(FakeSocket.opened).toHaveLength(1);
    vi.advanceTimersByTime(2_000);
    socket(1).accept();
    socket(1).say(create(ServerFrameSchema, { body: { case: "goodbye", value: { reconnectAfterMs: -1n } } }).body);
    vi.advanceTimersByTime(120_000);
    expect(FakeSocket.opened).toHaveLength(2);
    expect(hub.status).toBe("closed");
  });

  it("gives up a connection that has gone silent", () => {
    connect();
    socket(0).accept();
    socket(0).snapshot("e1", 1);
    vi.advanceTimersByTime(60_000);
    expect(FakeSocket.opened.length).toBeGreaterThan(1);
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
    socket(0).say(create(ServerFrameSchema, { body: { case: "reply", value: { id: (sent?.id ?? 0n) + 100n, result: { case: "done", value: {} } } } }).body);
    socket(0).say(create(ServerFrameSchema, {
      body: { case: "reply", value: { id: sent?.id ?? 0n, result: { case: "question", value: { id: "qst_1", version: 1n } } } },
    }).body);
    await expect(asked).resolves.toMatchObject({ kind: "question" });
    expect(hub.room.questions.has("qst_1")).toBe(true);
  });

  it("fail with the server's problem", async () => {
    const hub = connect();
    socket(0).accept();
    socket(0).snapshot("e1", 1);
    const sent = hub.request({ kind: "send-chat", text: "x" }).catch((problem: Problem) => problem);
    const id = socket(0).heard.at(-1)?.id ?? 0n;
    socket(0).say(create(ServerFrameSchema, {
      body: { case: "reply", value: { id, result: { case: "problem", value: { type: "/problems/rate-limited", status: 429, retryAfterMs: 900n } } } },
    }).body);
    await expect(sent).resolves.toMatchObject({ kind: "rate-limited", status: 429, retryAfterMs: 900 });
  });

  it("that were sent before a loss fail as unknown and are not sent twice", async () => {
    const hub = connect();
    socket(0).accept();
    socket(0).snapshot("e1", 1);
    const sent = hub.request({ kind: "send-chat", text: "x" }).catch((problem: Problem) => problem);
    socket(0).drop();
    await expect(sent).resolves.toMatchObject({ kind: "network" });
    vi.advanceTimersByTime(60_000);
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
    socket(0).say(create(ServerFrameSchema, { body: { case: "snapshot", value: {
      epoch: "e1", serverAtMs: 5n, offersLeft: [{ offerId: "ofr_1", left: 4n, version: 1n }],
      pins: [{ id: "pin_1", product: { id: "prd_1" }, offers: [{ id: "ofr_1", startsAtMs: 70n, quota: 9n }] }],
    } } }).body);
    socket(0).say(create(ServerFrameSchema, { body: { case: "batch", value: {
      epoch: "e1", state: [{ value: { case: "offerLeft", value: { offerId: "ofr_1", left: 3n, version: 2n } } }],
    } } }).body);
    expect(hub.room.offersLeft.get("ofr_1")).toEqual({ offerId: "ofr_1", left: 3, version: 2 });
    expect(hub.room.pins[0]?.offers[0]).toMatchObject({ startsAtMs: 70, quota: 9 });

    socket(0).say(create(ServerFrameSchema, { body: { case: "personal", value: { body: { case: "wait", value: {
      id: "wait_1", offerId: "ofr_1", qty: 1, state: "offered", purchaseId: "pur_1", joinedAtMs: 6n, version: 2n,
    } } } } }).body);
    socket(0).say(create(ServerFrameSchema, { body: { case: "personal", value: { body: { case: "purchase", value: {
      id: "pur_1", state: "held", waitId: "wait_1", shortUnits: 2, holdExpiresAtMs: 99n, version: 1n,
      lines: [{ offerId: "ofr_1", skuId: "sku_1", qty: 1, unitPriceMinor: 800n }],
    } } } } }).body);
    expect(hub.room.waits.get("wait_1")).toMatchObject({ state: "offered", purchaseId: "pur_1", joinedAtMs: 6 });
    expect(hub.room.purchases.get("pur_1")).toMatchObject({
      waitId: "wait_1", shortUnits: 2, holdExpiresAtMs: 99, lines: [{ offerId: "ofr_1", skuId: "sku_1", qty: 1, unitPriceMinor: 800 }],
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
