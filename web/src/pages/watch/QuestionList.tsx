import type { JSX } from "preact";
import { explain } from "../../api/problem-texts";
import type { Question } from "../../hub/model";
import { hasUpvoted } from "../../hub/room";
import { count } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import type { Target } from "../../moderation/tools";
import { text as tool } from "../../moderation/texts";
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
  onTools?: ((target: Target) => void) | undefined;
}

export function QuestionList({ here, asMember, onTools }: QuestionListProps): JSX.Element {
  const room = here.room.value;
  const questions = inOrder(room.questions.values());
  const upvote = (question: Question): void => asMember(() => {
    here.hub.upvote(question.id).catch((thrown: unknown) => toast(explain(thrown), true));
  });
  if (questions.length === 0) return <Empty icon="question">{text.no_questions}</Empty>;
  return (
    <ul class="questions" data-testid="questions">
      {questions.map((question) => {
        const mine = hasUpvoted(room, question.id);
        const product = room.pins.find((pin) => pin.product.id === question.productId)?.product;
        return (
          <li key={question.id} class={`question ${question.state}`} data-testid="question" data-question={question.id} data-state={question.state}>
            <div class="grow">
              <p>{question.text}</p>
              <p class="small muted row wrap">
                <span>{question.authorName}</span>
                {question.demo && <span class="tag demo">{words.demo}</span>}
                {question.state === "answering" && <span class="tag live">{text.answering}</span>}
                {question.state === "answered" && <span class="tag ok">{text.answered}</span>}
                {product !== undefined && <span class="tag clip">{fill(text.about_tag, { product: product.title })}</span>}
              </p>
            </div>
            {onTools !== undefined && (
              <button type="button" class="icon-btn" aria-haspopup="dialog" aria-label={fill(tool.tools_question, { name: question.authorName })}
                data-testid="question-tools" onClick={() => onTools({ kind: "question", question })}><Icon name="more" /></button>
            )}
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
