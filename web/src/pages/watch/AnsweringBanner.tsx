import type { ReadonlySignal } from "@preact/signals";
import type { JSX } from "preact";
import type { Room } from "../../hub/room";
import { text } from "./texts";

export function AnsweringBanner({ room }: { room: ReadonlySignal<Room> }): JSX.Element {
  const question = [...room.value.questions.values()]
    .filter((candidate) => candidate.state === "answering")
    .sort((a, b) => b.answeringAtMs - a.answeringAtMs)[0];
  return (
    <div aria-live="polite" class="banner-place">
      {question !== undefined && (
        <div class="banner" data-testid="answering" data-question={question.id}>
          <span class="mark">{text.answering}</span>
          <p>{question.text}</p>
          <p class="by">{question.authorName}</p>
        </div>
      )}
    </div>
  );
}
