import type { JSX } from "preact";
import { explain } from "../../api/problem-texts";
import type { Question } from "../../hub/model";
import { count } from "../../i18n/format";
import { Icon } from "../../ui/icons";
import { Empty } from "../../ui/states";
import { toast } from "../../ui/toast";
import { words } from "../../ui/words";
import { inOrder } from "./question-order";
import type { Visit } from "./store";
import { text } from "./texts";

interface QuestionListProps {
  here: Visit;
  asMember: (write: () => void) => void;
}

export function QuestionList({ here, asMember }: QuestionListProps): JSX.Element {
  const room = here.room.value;
  const questions = inOrder(room.questions.values());
  const upvote = (question: Question): void => asMember(() => {
    here.hub.upvote(question.id).catch((thrown: unknown) => toast(explain(thrown), true));
  });
  if (questions.length === 0) return <Empty icon="question">{text.no_questions}</Empty>;
  return (
    <ul class="questions" data-testid="questions">
      {questions.map((question) => {
        const mine = room.upvoted.has(question.id);
        return (
          <li key={question.id} class={`question ${question.state}`} data-testid="question" data-question={question.id} data-state={question.state}>
            <div class="grow">
              <p>{question.text}</p>
              <p class="small muted row wrap">
                <span>{question.authorName}</span>
                {question.demo && <span class="tag demo">{words.demo}</span>}
                {question.state === "answering" && <span class="tag live">{text.answering}</span>}
                {question.state === "answered" && <span class="tag ok">{text.answered}</span>}
              </p>
            </div>
            <button type="button" class="vote" aria-pressed={mine} disabled={mine || question.state !== "open"} data-testid="upvote"
              onClick={() => upvote(question)}>
              <Icon name="up" /><span class="sr">{text.upvote}</span><span class="num">{count(question.votes)}</span>
            </button>
          </li>
        );
      })}
    </ul>
  );
}
