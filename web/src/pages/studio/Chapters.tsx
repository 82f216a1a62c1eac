import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { moderation, type Chapter } from "../../api/moderation";
import { count, countdown } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { useLoad } from "../../ui/useLoad";
import type { Desk } from "./store";
import { text } from "./texts";

/** Where answers begin in the replay: those of the whole live from the server, and what the room has told since. */
export function Chapters({ at }: { at: Desk }): JSX.Element | null {
  const told = [...at.room.value.questions.values()].filter((question) => question.chapterAtMs > 0);
  const { value, reload } = useLoad(() => moderation.chapters(at.liveId), [at.liveId]);
  useEffect(reload, [told.length]);
  const chapters = new Map<string, Chapter>();
  for (const chapter of value ?? []) chapters.set(chapter.id, chapter);
  for (const question of told) {
    chapters.set(question.id, { id: question.id, text: question.text, chapter_at_ms: question.chapterAtMs });
  }
  if (chapters.size === 0) return null;
  const inOrder = [...chapters.values()].sort((a, b) => (a.chapter_at_ms ?? 0) - (b.chapter_at_ms ?? 0));
  return (
    <details class="chapters" data-testid="chapters">
      <summary>{fill(text.chapters, { n: count(inOrder.length) })}</summary>
      <ol>{inOrder.map((chapter) => (
        <li key={chapter.id} data-testid="chapter"><span class="num">{countdown(chapter.chapter_at_ms ?? 0)}</span><span>{chapter.text}</span></li>
      ))}</ol>
    </details>
  );
}
