import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api, seg } from "../../api/client";
import { explain } from "../../api/problem-texts";
import type { Question } from "../../hub/model";
import { clockTime } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import type { Target } from "../../moderation/tools";
import { text as tool } from "../../moderation/texts";
import { Icon } from "../../ui/icons";
import { Empty } from "../../ui/states";
import { toast } from "../../ui/toast";
import { words } from "../../ui/words";
import { inOrder } from "../watch/question-order";
import { text as watchText } from "../watch/texts";
import { Chapters } from "./Chapters";
import type { Desk } from "./store";
import { text } from "./texts";

type Action = "answering" | "answered";

/** The one on air, then by votes, then who asked first; the liver only takes the next one. */
export function QuestionQueue({ at, onTools }: { at: Desk; onTools: (target: Target) => void }): JSX.Element {
  const [busy, setBusy] = useState<string | null>(null);
  const questions = inOrder(at.room.value.questions.values());
  const act = (question: Question, action: Action): void => {
    setBusy(question.id);
    // The new state comes back by the hub, in its order.
    api.post<unknown>(`/v1/questions/${seg(question.id)}/${action}`)
      .catch((thrown: unknown) => toast(explain(thrown), true))
      .finally(() => setBusy(null));
  };
  const button = (question: Question, action: Action, label: string, look: string): JSX.Element => (
    <button type="button" class={`btn small ${look}`} disabled={busy === question.id} data-testid={`question-${action}`} onClick={() => act(question, action)}>{label}</button>
  );
  return (
    <section class="panel queue" aria-label={text.queue}>
      <h2>{text.queue}</h2>
      {questions.length === 0 && <Empty icon="question">{text.queue_empty}</Empty>}
      <ul class="questions" aria-live="polite">
        {questions.map((question) => {
          const product = at.room.value.pins.find((pin) => pin.product.id === question.productId)?.product;
          return (
          <li key={question.id} class={`question ${question.state}`} data-testid="studio-question" data-question={question.id} data-state={question.state}>
            <div class="grow">
              <p>{question.text}</p>
              <p class="small muted row wrap num">
                <strong>{fill(text.votes, { n: question.votes })}</strong><span>{question.authorName}</span><span>{clockTime(question.askedAtMs)}</span>
                {question.demo && <span class="tag demo">{words.demo}</span>}
                {question.state === "answering" && <span class="tag live">{text.now_answering}</span>}
                {question.state === "answered" && <span class="tag ok">{text.answered}</span>}
                {product !== undefined && <span class="tag clip">{fill(watchText.about_tag, { product: product.title })}</span>}
              </p>
            </div>
            <div class="acts">
              {question.state === "open" && button(question, "answering", text.answer, "ink")}
              {question.state === "answering" && button(question, "answered", text.finish, "primary")}
            </div>
            <button type="button" class="icon-btn" aria-haspopup="dialog" aria-label={fill(tool.tools_question, { name: question.authorName })}
              data-testid="question-tools" onClick={() => onTools({ kind: "question", question })}><Icon name="more" /></button>
          </li>
          );
        })}
      </ul>
      <Chapters at={at} />
    </section>
  );
}
