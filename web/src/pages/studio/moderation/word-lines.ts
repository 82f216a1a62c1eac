/** Pure: the words of a text field, and what they change in the list that is kept. */
import type { Word } from "../../../api/moderation";

/** One a line, each once, in the order in which they stand. */
export function linesOf(written: string): string[] {
  return [...new Set(written.split("\n").map((line) => line.trim()).filter((line) => line !== ""))];
}

/** The ids of words that go, and the words that come. */
export function changeOf(known: readonly Word[], wanted: readonly string[]): { gone: string[]; added: string[] } {
  const [kept, wish] = [new Set(known.map(({ word }) => word)), new Set(wanted)];
  return { gone: known.filter(({ word }) => !wish.has(word)).map(({ id }) => id), added: wanted.filter((word) => !kept.has(word)) };
}
