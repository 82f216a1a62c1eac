import { text } from "./texts";

const DEEDS: Record<string, keyof typeof text> = {
  "delete": "did_delete", "pin": "did_pin", "unpin": "did_unpin", "mute": "did_mute", "unmute": "did_unmute", "ban": "did_ban",
  "unban": "did_unban", "rules": "did_rules", "words": "did_words", "appoint": "did_appoint", "dismiss": "did_dismiss", "hide": "did_hide",
  "merge": "did_merge",
};

/** A deed that this page has no word for is shown by its own name. */
export function deedWords(action: string): string {
  const key = DEEDS[action];
  return key === undefined ? action : text[key];
}
