import { fill } from "../../../i18n/phrases";
import { text } from "./texts";

const DEEDS: Record<string, keyof typeof text> = {
  "moderation.delete_line": "did_delete", "moderation.pin_line": "did_pin", "moderation.unpin_line": "did_unpin",
  "moderation.mute": "did_mute", "moderation.unmute": "did_unmute", "moderation.ban": "did_ban", "moderation.unban": "did_unban",
  "moderation.chat_rules": "did_rules", "moderation.word_add": "did_word_add", "moderation.word_remove": "did_word_remove",
  "moderation.name_moderator": "did_appoint", "moderation.remove_moderator": "did_dismiss", "question.hide": "did_hide",
  "question.merge": "did_merge", "question.link": "did_link", "question.answer": "did_answer", "question.finish": "did_finish",
};

/** A deed that this page has no word for is shown by its own name. */
export function deedWords(action: string): string {
  const key = DEEDS[action];
  return key === undefined ? action : text[key];
}

/** Whom or what it was about, as far as a person can read it: ids say nothing. */
export function aboutWhat(detail: Readonly<Record<string, unknown>> | null): string {
  if (detail === null || typeof detail !== "object") return "";
  const parts = ["name", "word", "text"].map((key) => detail[key]).filter((part): part is string => typeof part === "string" && part !== "");
  const slow = detail["slow_mode_s"];
  if (typeof slow === "number") parts.push(`${text.slow}: ${slow === 0 ? text.slow_off : fill(text.slow_every, { n: slow })}`);
  if (detail["followers_only"] === true) parts.push(text.followers);
  return parts.join(" ・ ");
}
