import type { Question } from "../../hub/model";

const ORDER: Record<string, number> = { answering: 0, open: 1, answered: 2 };

/** The one on air first, then by votes, then the oldest; answered ones last, hidden ones not at all. */
export function inOrder(questions: Iterable<Question>): Question[] {
  return [...questions]
    .filter((question) => question.state in ORDER)
    .sort((a, b) => (ORDER[a.state] ?? 9) - (ORDER[b.state] ?? 9) || b.votes - a.votes || a.askedAtMs - b.askedAtMs);
}
