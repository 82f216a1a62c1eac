import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Frame, OrderedEvent, StateChange } from "../src/hub/model";
import { applyFrame, CHAT_KEPT, EMPTY_ROOM, withoutPerson, type Room } from "../src/hub/room";
import { aBatch, aChat, aLive, anOffer, anOfferLeft, aPin, aPurchase, aQuestion, aSnapshot, aStock, aWait, ordered } from "./rooms";

function play(frames: readonly Frame[], room: Room = EMPTY_ROOM): Room {
  return frames.reduce((known, frame) => applyFrame(known, frame).room, room);
}

describe("the order of a room", () => {
  it("applies ordered events once and in order", () => {
    const pinned = ordered(1, { kind: "pinned", pin: aPin() });
    const unpinned = ordered(2, { kind: "unpinned", pinId: "pin_1", version: 2 });
    const room = play([aSnapshot(), pinned, unpinned, pinned]);
    expect(room.pins).toEqual([]);
    expect(room.position).toEqual({ epoch: "e1", seq: 2 });
  });

  it("takes from a batch that overlaps only what is new, without asking again", () => {
    const before = play([aSnapshot(), ordered(1, { kind: "pinned", pin: aPin() })]);
    const step = applyFrame(before, aBatch({
      ordered: [{ seq: 1, event: { kind: "pinned", pin: aPin() } }, { seq: 2, event: { kind: "unpinned", pinId: "pin_1", version: 2 } }],
    }));
    expect(step).toMatchObject({ resync: false, room: { pins: [], position: { seq: 2 } } });
  });

  it("does not jump over a hole but asks to resync, keeping what came before it", () => {
    const step = applyFrame(play([aSnapshot()]), aBatch({
      ordered: [{ seq: 1, event: { kind: "pinned", pin: aPin() } }, { seq: 3, event: { kind: "unpinned", pinId: "pin_1", version: 2 } }],
    }));
    expect(step.resync).toBe(true);
    expect(step.room.position?.seq).toBe(1);
    expect(step.room.pins).toHaveLength(1);
  });

  it("asks to resync when a batch or a resume belongs to another log", () => {
    expect(applyFrame(play([aSnapshot()]), aBatch({ epoch: "e2" })).resync).toBe(true);
    expect(applyFrame(EMPTY_ROOM, aBatch()).resync).toBe(true);
    expect(applyFrame(play([aSnapshot()]), { kind: "resumed", epoch: "e2", seq: 0, serverAtMs: 1 }).resync).toBe(true);
    expect(applyFrame(play([aSnapshot()]), { kind: "resumed", epoch: "e1", seq: 0, serverAtMs: 1 }).resync).toBe(false);
  });

  it("counts the place of an event it has never heard of", () => {
    const room = play([aSnapshot(), ordered(1, { kind: "unheard-of" }), ordered(2, { kind: "pinned", pin: aPin() })]);
    expect(room.position?.seq).toBe(2);
    expect(room.pins).toHaveLength(1);
  });
});

describe("snapshots", () => {
  it("ignores one that is older than what is known of the same log", () => {
    const room = play([aSnapshot({ seq: 5, live: aLive({ version: 3, title: "新" }) }), aSnapshot({ seq: 4, live: aLive({ version: 2, title: "旧" }) })]);
    expect(room.position?.seq).toBe(5);
    expect(room.live?.title).toBe("新");
  });

  it("takes a new log's position but no older version of a thing", () => {
    const before = play([aSnapshot({ seq: 9, stock: [aStock(3, 7)], live: aLive({ version: 4, state: "ended" }) })]);
    const room = play([aSnapshot({ epoch: "e2", seq: 1, stock: [aStock(5, 6)], live: aLive({ version: 3, state: "live" }) })], before);
    expect(room.position).toEqual({ epoch: "e2", seq: 1 });
    expect(room.stock.get("sku_1")).toEqual(aStock(3, 7));
    expect(room.live?.state).toBe("ended");
  });

  it("drops what no longer exists and takes the votes of whoever is signed in", () => {
    const before = play([aSnapshot({ pins: [aPin()], questions: [aQuestion()] })]);
    const room = play([aSnapshot({ seq: 1, upvotedQuestionIds: ["qst_9"] })], before);
    expect(room.pins).toEqual([]);
    expect(room.questions.size).toBe(0);
    expect([...room.upvoted]).toEqual(["qst_9"]);
  });

  it("accepts the viewer count that follows, whatever counted before", () => {
    const before = play([aSnapshot(), aBatch({ state: [{ kind: "viewers", viewers: 50, version: 900 }] })]);
    const room = play([aSnapshot({ seq: 0, viewers: 3 }), aBatch({ state: [{ kind: "viewers", viewers: 4, version: 1 }] })], before);
    expect(room.viewers).toBe(4);
  });
});

describe("one's own affairs", () => {
  it("keep the later word on a place, whoever told it", () => {
    const room = play([{ kind: "wait", wait: aWait({ version: 3, state: "offered" }) }, { kind: "wait", wait: aWait({ version: 2 }) }]);
    expect(room.waits.get("wait_1")?.state).toBe("offered");
  });

  it("do not become the next person's, and the room stays", () => {
    const room = withoutPerson(play([
      aSnapshot({ pins: [aPin()], upvotedQuestionIds: ["qst_1"] }), { kind: "wait", wait: aWait() }, { kind: "purchase", purchase: aPurchase() },
    ]));
    expect([room.waits.size, room.purchases.size, room.upvoted.size, room.pins.length]).toEqual([0, 0, 0, 1]);
  });
});

describe("chat", () => {
  it("shows a line once, also when it comes as a reply and in the room", () => {
    const room = play([aSnapshot(), { kind: "reply", id: 1, result: { kind: "chat", chat: aChat("c1") } }, aBatch({ chat: [aChat("c1"), aChat("c2")] })]);
    expect(room.chat.map((line) => line.id)).toEqual(["c1", "c2"]);
  });

  it("removes a deleted line and does not let it return", () => {
    const room = play([aSnapshot({ chat: [aChat("c1")] }), ordered(1, { kind: "chat-deleted", chatId: "c1" }), aBatch({ chat: [aChat("c1")] })]);
    expect(room.chat).toEqual([]);
  });

  it("keeps the newest lines only", () => {
    const lines = Array.from({ length: CHAT_KEPT + 20 }, (_, index) => aChat(`c${index}`));
    const room = play([aSnapshot(), aBatch({ chat: lines })]);
    expect(room.chat).toHaveLength(CHAT_KEPT);
    expect(room.chat.at(-1)?.id).toBe(`c${CHAT_KEPT + 19}`);
  });
});

describe("for any order of arrival", () => {
  const stocks = fc.array(fc.record({ version: fc.integer({ min: 1, max: 40 }), available: fc.nat(50) }), { minLength: 1, maxLength: 60 });

  it("stock never goes backwards and ends at the newest version", () => {
    fc.assert(fc.property(stocks, (arrivals) => {
      let room = play([aSnapshot()]);
      let seq = 0;
      let highest = 0;
      for (const [index, { version, available }] of arrivals.entries()) {
        // As a patch, as an ordered event or in a snapshot: the ways differ, the rule does not.
        const stock = aStock(available, version);
        const change: StateChange = { kind: "stock", stock };
        const frame = index % 3 === 0 ? aBatch({ state: [change] })
          : index % 3 === 1 ? ordered(++seq, { kind: "stock", stock })
          : aSnapshot({ seq, stock: [stock] });
        const before = room.stock.get("sku_1")?.version ?? 0;
        room = applyFrame(room, frame).room;
        expect(room.stock.get("sku_1")?.version ?? 0).toBeGreaterThanOrEqual(before);
        highest = Math.max(highest, version);
      }
      expect(room.stock.get("sku_1")?.version).toBe(highest);
    }));
  });

  it("what is left of a quota never goes backwards and ends at the newest version", () => {
    fc.assert(fc.property(stocks, (arrivals) => {
      let room = play([aSnapshot()]);
      for (const [index, { version, available }] of arrivals.entries()) {
        const offerLeft = anOfferLeft(available, version);
        const frame = index % 2 === 0 ? aBatch({ state: [{ kind: "offer-left", offerLeft }] }) : aSnapshot({ offersLeft: [offerLeft] });
        const before = room.offersLeft.get("ofr_1")?.version ?? 0;
        room = applyFrame(room, frame).room;
        expect(room.offersLeft.get("ofr_1")?.version ?? 0).toBeGreaterThanOrEqual(before);
      }
      expect(room.offersLeft.get("ofr_1")?.version).toBe(Math.max(...arrivals.map(({ version }) => version)));
    }));
  });

  const events: fc.Arbitrary<OrderedEvent> = fc.oneof(
    fc.record({ id: fc.constantFrom("pin_1", "pin_2"), version: fc.integer({ min: 1, max: 9 }), at: fc.nat(99) })
      .map(({ id, version, at }): OrderedEvent => ({ kind: "pinned", pin: aPin({ id, version, pinnedAtMs: at, offers: [anOffer({ version })] }) })),
    fc.constantFrom("pin_1", "pin_2").map((pinId): OrderedEvent => ({ kind: "unpinned", pinId, version: 99 })),
    fc.record({ id: fc.constantFrom("qst_1", "qst_2"), version: fc.integer({ min: 1, max: 9 }) })
      .map(({ id, version }): OrderedEvent => ({ kind: "question", question: aQuestion({ id, version }) })),
    fc.integer({ min: 1, max: 9 }).map((version): OrderedEvent => ({ kind: "live", live: aLive({ version }) })),
  );

  it("repeating any part of the log changes nothing", () => {
    fc.assert(fc.property(fc.array(events, { maxLength: 30 }), fc.array(fc.nat(29), { maxLength: 30 }), (log, repeats) => {
      const frames = log.map((event, index) => ordered(index + 1, event));
      const once = play([aSnapshot(), ...frames]);
      const withRepeats = play([aSnapshot(), ...frames.flatMap((frame, index) => {
        const again = repeats[index];
        const earlier = again === undefined || again > index ? undefined : frames[again];
        return earlier === undefined ? [frame] : [frame, earlier];
      })]);
      expect(withRepeats).toEqual(once);
    }));
  });

  it("a snapshot and the rest of the log end where the whole log does", () => {
    fc.assert(fc.property(fc.array(events, { minLength: 1, maxLength: 30 }), fc.nat(29), (log, cut) => {
      const frames = log.map((event, index) => ordered(index + 1, event));
      const at = Math.min(cut, frames.length);
      const whole = play([aSnapshot(), ...frames]);
      const half = play([aSnapshot(), ...frames.slice(0, at)]);
      const snapshot = aSnapshot({ seq: at, live: half.live, pins: [...half.pins], questions: [...half.questions.values()] });
      const late = play([snapshot, ...frames.slice(at)]);
      expect(late.pins).toEqual(whole.pins);
      expect(late.questions).toEqual(whole.questions);
      expect(late.live).toEqual(whole.live);
      expect(late.position).toEqual(whole.position);
    }));
  });

  it("purchases keep the later word", () => {
    const versions = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 20 });
    fc.assert(fc.property(versions, (arrivals) => {
      const room = play(arrivals.map((version): Frame => ({
        kind: "purchase", purchase: aPurchase({ state: `s${version}`, version }),
      })));
      expect(room.purchases.get("pur_1")?.version).toBe(Math.max(...arrivals));
    }));
  });
});
