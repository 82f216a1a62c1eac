/** What liver and moderators do, each with its word of success and, where there is one, its way back. */
import { signal } from "@preact/signals";
import { moderation, type BanAlso, type Subject } from "../api/moderation";
import { explain } from "../api/problem-texts";
import { fill } from "../i18n/phrases";
import { toast } from "../ui/toast";
import { text } from "./texts";

/** Counts what was done here, so that lists of mutes, bans and the log ask again. */
export const deeds = signal(0);

type Back = (() => Promise<unknown>) | null;

/** Resolves to whether it was done; a refusal has been told by then. */
async function act<T>(deed: Promise<T>, done: string, back: (answer: T) => Back = () => null): Promise<boolean> {
  try {
    const way = back(await deed);
    deeds.value += 1;
    toast(done, false, way === null ? null : { label: text.undo, act: () => void act(way(), text.undone) });
    return true;
  } catch (thrown) {
    toast(explain(thrown), true);
    return false;
  }
}

export const SHORT_MUTE_S = 300;

export const acts = {
  mute: (liveId: string, subject: Subject, name: string, seconds?: number) =>
    act(moderation.mute(liveId, subject, seconds), fill(seconds === undefined ? text.muted_live : text.muted_short, { name }),
      ({ id }) => () => moderation.unmute(liveId, id)),
  ban: (liveId: string, subject: Subject, name: string, also: BanAlso) =>
    act(moderation.ban(liveId, subject, also), fill(text.banned, { name }), ({ id }) => () => moderation.unban(liveId, id)),
  remove: (liveId: string, chatId: string) => act(moderation.deleteLine(liveId, chatId), text.removed),
  /** `before`: the line that was pinned until now. */
  pin: (liveId: string, chatId: string, before: string | null) =>
    act(moderation.pinLine(liveId, chatId), text.pinned,
      () => () => (before === null ? moderation.unpinLine(liveId) : moderation.pinLine(liveId, before))),
  unpin: (liveId: string, chatId: string) =>
    act(moderation.unpinLine(liveId), text.unpinned, () => () => moderation.pinLine(liveId, chatId)),
  hide: (questionId: string) => act(moderation.hide(questionId), text.hidden),
  merge: (questionId: string, into: string) => act(moderation.merge(questionId, into), text.merged),
  setProduct: (questionId: string, productId: string | null, before: string | null) =>
    act(moderation.setProduct(questionId, productId), productId === null ? text.product_cleared : text.product_set,
      () => () => moderation.setProduct(questionId, before)),
};
