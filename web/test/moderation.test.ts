import { beforeEach, describe, expect, it, vi } from "vitest";
import { moderation } from "../src/api/moderation";
import { applyFrame, DELETED_KEPT, EMPTY_ROOM, hasUpvoted, type Room } from "../src/hub/room";
import type { ChatRules, Frame, Standing } from "../src/hub/model";
import { switchLanguage } from "../src/i18n/language";
import { acts, deeds } from "../src/moderation/acts";
import { keepsOrder } from "../src/moderation/order";
import { aboutWhat, deedWords } from "../src/pages/studio/moderation/deed-words";
import { changeOf, linesOf } from "../src/pages/studio/moderation/word-lines";
import { inOrder } from "../src/pages/watch/question-order";
import { voiceOf, voiceUntil } from "../src/pages/watch/voice";
import { toasts } from "../src/ui/toast";
import { aBatch, aChat, aQuestion, aSnapshot, ordered } from "./rooms";

const play = (frames: readonly Frame[], room: Room = EMPTY_ROOM): Room => frames.reduce((known, frame) => applyFrame(known, frame).room, room);

function roomWith(rules: Partial<ChatRules>, standing: Partial<Standing> | null): Room {
  return {
    ...EMPTY_ROOM,
    chatRules: { slowModeS: 0, followersOnly: false, version: 1, ...rules },
    standing: standing === null ? null : { role: "viewer", mutedUntilMs: 0, following: false, ...standing },
  };
}

beforeEach(() => {
  switchLanguage("ja");
  toasts.value = [];
});

describe("the room's order", () => {
  const rules = (slowModeS: number, version: number) => ({ slowModeS, followersOnly: false, version });

  it("is told by rules whose version never goes back", () => {
    const room = play([aSnapshot({ chatRules: rules(10, 3) }), ordered(1, { kind: "chat-rules", chatRules: rules(30, 2) })]);
    expect(room.chatRules.slowModeS).toBe(10);
    expect(play([ordered(2, { kind: "chat-rules", chatRules: rules(5, 4) })], room).chatRules.slowModeS).toBe(5);
  });

  it("keeps a line on top until it is taken down, deleted, or absent from a snapshot", () => {
    const pin = ordered(1, { kind: "chat-pinned", chatPinned: { message: aChat("c1"), version: 4 } });
    const pinned = play([aSnapshot({ chat: [aChat("c1")] }), pin]);
    expect(pinned.chatPinned.message?.id).toBe("c1");
    expect(play([ordered(2, { kind: "chat-pinned", chatPinned: { message: null, version: 5 } })], pinned).chatPinned.message).toBeNull();
    expect(play([ordered(2, { kind: "chat-deleted", chatId: "c1" })], pinned).chatPinned.message).toBeNull();
    expect(play([aSnapshot({ seq: 2 })], pinned).chatPinned.message).toBeNull();
  });

  it("keeps the lines one has when a snapshot leaves the chat out", () => {
    const before = play([aSnapshot({ chat: [aChat("c1"), aChat("c2")] })]);
    expect(play([aSnapshot({ seq: 5, chatOmitted: true })], before).chat.map((line) => line.id)).toEqual(["c1", "c2"]);
    expect(play([aSnapshot({ seq: 5, chatOmitted: true, deletedChatIds: ["c1"] })], before).chat.map((line) => line.id)).toEqual(["c2"]);
    expect(play([aSnapshot({ seq: 5 })], before).chat).toEqual([]);
  });

  it("remembers only so many deleted lines", () => {
    const room = play([aSnapshot(), aBatch({ ordered: Array.from({ length: DELETED_KEPT + 9 }, (_, index) => (
      { seq: index + 1, event: { kind: "chat-deleted", chatId: `c${index}` } as const }
    )) })]);
    expect(room.deletedChat.size).toBe(DELETED_KEPT);
    expect(room.deletedChat.has("c0")).toBe(false);
  });

  it("lets a merged question vanish into the one that carries its votes, and the vote with it", () => {
    const room = play([
      aSnapshot({ questions: [aQuestion({ id: "q1" }), aQuestion({ id: "q2" }), aQuestion({ id: "q3" })], upvotedQuestionIds: ["q1"] }),
      ordered(1, { kind: "question", question: aQuestion({ id: "q1", state: "merged", mergedInto: "q2", version: 2 }) }),
    ]);
    expect(inOrder(room.questions.values()).map((question) => question.id)).toEqual(["q2", "q3"]);
    expect(["q1", "q2", "q3"].map((id) => hasUpvoted(room, id))).toEqual([true, true, false]);
    const again = play([ordered(2, { kind: "question", question: aQuestion({ id: "q2", state: "merged", mergedInto: "q3", version: 2 }) })], room);
    expect(hasUpvoted(again, "q3")).toBe(true);
  });
});

describe("who may talk", () => {
  const now = 100_000;
  const voice = (room: Room, talk: "chat" | "ask" = "chat", said = 0, refused = 0) => voiceOf(room, talk, said, refused, now);

  it("is everybody, where nothing is in the way", () => {
    expect(voice(roomWith({}, {}))).toEqual({ kind: "free" });
    expect(voice(roomWith({}, null))).toEqual({ kind: "free" });
  });

  it("is not who is muted, for a while or for this live, by chat or question", () => {
    expect(voice(roomWith({}, { mutedUntilMs: now + 1 }))).toEqual({ kind: "muted", untilMs: now + 1 });
    expect(voice(roomWith({}, { mutedUntilMs: -1 }), "ask")).toEqual({ kind: "muted", untilMs: -1 });
    expect(voice(roomWith({}, { mutedUntilMs: now }))).toEqual({ kind: "free" });
  });

  it("is only who follows, for the chat; questions are free", () => {
    const room = roomWith({ followersOnly: true }, {});
    expect(voice(room).kind).toBe("followers-only");
    expect(voice(room, "ask").kind).toBe("free");
    expect(voice(roomWith({ followersOnly: true }, { following: true })).kind).toBe("free");
  });

  it("cools down between two lines, by the later of what was said and what the server named", () => {
    const room = roomWith({ slowModeS: 10 }, {});
    expect(voice(room)).toEqual({ kind: "free" });
    expect(voice(room, "chat", now - 4_000)).toEqual({ kind: "cooling", untilMs: now + 6_000 });
    expect(voice(room, "chat", now - 4_000, now + 9_000)).toEqual({ kind: "cooling", untilMs: now + 9_000 });
    expect(voice(room, "chat", now - 10_000).kind).toBe("free");
    expect(voice(room, "ask", now).kind).toBe("free");
    expect(voiceUntil(room, now - 4_000, 0)).toBe(now + 6_000);
    expect(voiceUntil(roomWith({}, { mutedUntilMs: -1 }), now, 0)).toBe(0);
  });

  it("is always who keeps order, whatever the rules", () => {
    for (const role of ["liver", "moderator"]) {
      const room = roomWith({ slowModeS: 10, followersOnly: true }, { role });
      expect(voice(room, "chat", now).kind).toBe("free");
      expect(keepsOrder(room)).toBe(true);
    }
    expect(keepsOrder(roomWith({}, {}))).toBe(false);
    expect(keepsOrder(roomWith({}, null))).toBe(false);
  });
});

describe("deeds", () => {
  it("tell what was done, with a way back that is taken once", async () => {
    vi.spyOn(moderation, "mute").mockResolvedValue({ id: "mute_1", live_id: "live_1", display_name: "ゆき", by_name: "花子", muted_at_ms: 1, until_ms: 2 });
    const unmute = vi.spyOn(moderation, "unmute").mockResolvedValue(undefined);
    const before = deeds.value;
    expect(await acts.mute("live_1", { chat_id: "msg_1" }, "ゆき", 300)).toBe(true);
    expect(toasts.value.at(-1)?.text).toContain("ゆき さんを5分間");
    toasts.value.at(-1)?.undo?.act();
    await vi.waitFor(() => expect(deeds.value).toBe(before + 2));
    expect(unmute).toHaveBeenCalledExactlyOnceWith("live_1", "mute_1");
    expect(toasts.value.at(-1)?.undo).toBeNull();
  });

  it("put the line back on top that was there before", async () => {
    const pin = vi.spyOn(moderation, "pinLine").mockResolvedValue({});
    await acts.pin("live_1", "msg_2", "msg_1");
    toasts.value.at(-1)?.undo?.act();
    await vi.waitFor(() => expect(pin).toHaveBeenLastCalledWith("live_1", "msg_1"));
  });

  it("say when they were refused", async () => {
    vi.spyOn(moderation, "deleteLine").mockRejectedValue(new Error("x"));
    expect(await acts.remove("live_1", "msg_1")).toBe(false);
    expect(toasts.value.at(-1)?.bad).toBe(true);
  });

  it("have words, and a later one its own name", () => {
    expect(deedWords("moderation.ban")).toBe("ブロック");
    expect(deedWords("moderation.brand_new")).toBe("moderation.brand_new");
  });

  it("say whom and what they were about, without ids", () => {
    expect(aboutWhat({ customer_id: "cus_1", name: "ゆき", deleted_lines: 3 })).toBe("ゆき");
    expect(aboutWhat({ name: "ゆき", text: "食洗機は？", into: "qst_2" })).toBe("ゆき ・ 食洗機は？");
    expect(aboutWhat({ slow_mode_s: 30, followers_only: true })).toBe("スローモード: 30秒に1回 ・ フォロワーのみコメント可");
    expect(aboutWhat(null)).toBe("");
  });
});

describe("a list of words", () => {
  it("has one a line, each once, without empty ones", () => {
    const known = [{ id: "w1", word: "詐欺" }, { id: "w2", word: "偽物" }];
    expect(changeOf(known, ["偽物", "模造品"])).toEqual({ gone: ["w1"], added: ["模造品"] });
    expect(linesOf("  詐欺 \n\n偽物\n詐欺\n two words ")).toEqual(["詐欺", "偽物", "two words"]);
  });
});
