import type { JSX } from "preact";
import type { Target } from "../../moderation/tools";
import { Sheet } from "../../ui/Sheet";
import { QuestionList } from "./QuestionList";
import type { Visit } from "./store";
import { text } from "./texts";

interface QuestionsSheetProps {
  here: Visit;
  asMember: (write: () => void) => void;
  onClose: () => void;
  onTools?: ((target: Target) => void) | undefined;
}

export function QuestionsSheet({ here, asMember, onClose, onTools }: QuestionsSheetProps): JSX.Element {
  return (
    <Sheet title={text.questions} onClose={onClose} testId="questions-sheet">
      <QuestionList here={here} asMember={asMember} onTools={onTools} />
    </Sheet>
  );
}
