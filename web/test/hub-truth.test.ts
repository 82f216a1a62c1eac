import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { HubClient } from "../src/hub/client";
import type { Protocol } from "../src/hub/codec";
import { FakeEvents, FakeSocket } from "./fakes";
import { SimulatedRoom } from "./simulated-room";

type Act = (room: SimulatedRoom, world: World) => void;

/** One client of a simulated room, by a socket or by the event stream, with every line that it opens. */
class World {
  readonly room = new SimulatedRoom();
  readonly hub: HubClient;
  readonly #lines: (FakeSocket | FakeEvents)[] = [];
  #overlap = 0;

  constructor(way: "socket" | "events", protocol: Protocol) {
    this.hub = new HubClient({
      live: "live_1", origin: "http://x", protocol, onChange: () => undefined, random: () => 0,
      open: (url, protocols) => {
        const socket = new FakeSocket(url, protocols);
        if (way === "socket") this.#lines.push(socket);
        else setTimeout(() => socket.drop(), 0);
        return socket as unknown as WebSocket;
      },
      openEvents: (url) => {
        const stream = new FakeEvents(url);
        this.#lines.push(stream);
        return stream as unknown as EventSource;
      },
    });
    this.hub.start();
  }

  cut(overlap: number): void {
    this.#overlap = overlap;
    const line = this.#lines.at(-1);
    const told = { epoch: `e${this.room.epoch}`, seq: this.room.toldSeq };
    this.room.cut();
    if (line instanceof FakeSocket) line.drop();
    // The browser comes back by itself, with the id of the last event it had.
    else if (line !== undefined && line.readyState === 1) {
      line.stumble();
      line.accept();
      this.room.join({ say: (body) => line.say(body) }, told.epoch, told.seq, overlap);
    }
  }

  restart(): void {
    const line = this.#lines.at(-1);
    this.room.restart();
    if (line instanceof FakeSocket) line.drop();
    else if (line !== undefined && line.readyState === 1) {
      line.stumble();
      line.accept();
      this.room.join({ say: (body) => line.say(body) }, `e${this.room.epoch - 1}`, this.room.toldSeq, 0);
    }
  }

  /** Lets a client that is away come back. */
  connect(): void {
    for (let step = 0; step < 10 && this.room.listener === null; step += 1) {
      vi.advanceTimersByTime(1);
      const line = this.#lines.at(-1);
      if (line === undefined || line.readyState !== 0) continue;
      line.accept();
      const resume = line instanceof FakeSocket ? line.resume : { epoch: "", seq: 0 };
      if (resume !== null) this.room.join({ say: (body) => line.say(body) }, resume.epoch, resume.seq, this.#overlap);
    }
    expect(this.room.listener).not.toBeNull();
  }
}

const nth = fc.nat(40);
const small = fc.nat(9);
const acts: fc.Arbitrary<Act> = fc.oneof(
  small.map((price): Act => (room) => room.pin(price)),
  fc.tuple(nth, small).map(([which, price]): Act => (room) => room.reprice(which, price)),
  nth.map((which): Act => (room) => room.unpin(which)),
  fc.tuple(fc.constantFrom("sku_1", "sku_2"), small).map(([sku, available]): Act => (room) => room.sell(sku, available)),
  small.map((left): Act => (room) => room.spend("ofr_1", left)),
  fc.constant<Act>((room) => room.ask()),
  nth.map((which): Act => (room) => room.vote(which)),
  fc.tuple(nth, fc.constantFrom("answering", "answered", "hidden")).map(([which, state]): Act => (room) => room.move(which, state)),
  fc.tuple(nth, nth).map(([which, into]): Act => (room) => room.merge(which, into)),
  fc.constant<Act>((room) => room.say()),
  nth.map((which): Act => (room) => room.deleteLine(which)),
  fc.option(nth).map((which): Act => (room) => room.pinLine(which)),
  fc.tuple(small, fc.boolean()).map(([slow, followers]): Act => (room) => room.setRules(slow, followers)),
  fc.constant<Act>((room) => room.rename()),
  small.map((viewers): Act => (room) => room.count(viewers)),
  fc.constant<Act>((room) => room.heart()),
);
const troubles: fc.Arbitrary<Act> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Act>((room) => room.flush()) },
  { weight: 1, arbitrary: small.map((entries): Act => (room) => room.repeat(entries)) },
  { weight: 1, arbitrary: fc.boolean().map((lean): Act => (room) => room.snapshot(lean)) },
  { weight: 2, arbitrary: small.map((overlap): Act => (_, world) => world.cut(overlap)) },
  { weight: 1, arbitrary: nth.map((entries): Act => (room) => room.forget(entries)) },
  { weight: 1, arbitrary: fc.constant<Act>((_, world) => world.restart()) },
  { weight: 2, arbitrary: fc.constant<Act>((_, world) => world.connect()) },
);

function seen({ hub }: World) {
  const { room } = hub;
  return {
    title: room.live?.title,
    pins: room.pins.map((pin) => [pin.id, pin.version, pin.offers[0]?.priceMinor]),
    stock: Object.fromEntries([...room.stock].map(([sku, { available, version }]) => [sku, { available, version }])),
    left: Object.fromEntries([...room.offersLeft].map(([offer, { left, version }]) => [offer, { left, version }])),
    questions: [...room.questions.values()].filter((question) => !["hidden", "merged"].includes(question.state))
      .map(({ id, votes, state, version }) => ({ id, votes, state: String(state), version })).sort((a, b) => (a.id < b.id ? -1 : 1)),
    viewers: room.viewers,
    hearts: room.reactions.get("heart") ?? 0,
    rules: { slow: room.chatRules.slowModeS, followers: room.chatRules.followersOnly },
    pinned: room.chatPinned.message?.id ?? null,
    position: room.position,
  };
}

function truth({ room }: World): ReturnType<typeof seen> {
  return {
    title: `t${room.title}`,
    pins: room.pins.map((pin) => [pin.id, pin.version, pin.price]),
    stock: Object.fromEntries(room.stock),
    left: Object.fromEntries(room.left),
    questions: room.questions.filter((question) => !["hidden", "merged"].includes(question.state))
      .map(({ id, votes, state, version }) => ({ id, votes, state, version })).sort((a, b) => (a.id < b.id ? -1 : 1)),
    viewers: room.viewers.count,
    hearts: room.hearts,
    rules: { slow: room.rules.slow, followers: room.rules.followers },
    pinned: room.pinned.id,
    position: { epoch: `e${room.epoch}`, seq: room.seq },
  };
}

beforeEach(() => { vi.useFakeTimers(); });
afterEach(() => { vi.useRealTimers(); });

describe("whatever happens on the way", () => {
  const script = fc.array(fc.oneof({ weight: 3, arbitrary: acts }, { weight: 2, arbitrary: troubles }), { maxLength: 120 });
  const ways = fc.constantFrom<["socket" | "events", Protocol]>(["socket", "proto"], ["socket", "json"], ["events", "json"]);

  it("a client that is in step shows exactly the truth", () => {
    fc.assert(fc.property(script, ways, (steps, [way, protocol]) => {
      const world = new World(way, protocol);
      try {
        world.connect();
        for (const act of steps) act(world.room, world);
        world.connect();
        world.room.flush();
        expect(world.hub.status).toBe("ready");
        expect(seen(world)).toEqual(truth(world));
        expect(world.hub.room.chat.map((line) => line.id)).toEqual(world.room.shown);
        // And with a whole snapshot the chat is the room's own, too.
        world.room.snapshot(false);
        expect(seen(world)).toEqual(truth(world));
        expect(world.hub.room.chat.map((line) => line.id)).toEqual(world.room.chat.slice(-50));
      } finally {
        world.hub.stop();
      }
    }), { numRuns: 2_000 });
  });
});
