import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { explainFully } from "../api/problem-texts";
import { contracts, type Contract, type Version } from "../api/settlement";
import { rate } from "../i18n/format";
import { Sheet } from "../ui/Sheet";
import { toast } from "../ui/toast";
import { words } from "../ui/words";
import { contract as text } from "./contract-texts";
import { periodWords } from "./TermsTable";

export interface Answer {
  what: "accept" | "decline" | "withdraw";
  version: Version;
}

interface AnswerSheetProps {
  contract: Contract;
  answer: Answer;
  onClose: () => void;
  onDone: () => void;
}

const TITLE = { accept: "accept_title", decline: "decline_title", withdraw: "withdraw_title" } as const;
const DONE = { accept: "accepted", decline: "declined", withdraw: "withdrawn" } as const;

/** One click, and one to be sure of it: it binds. */
export function AnswerSheet({ contract, answer: { what, version }, onClose, onDone }: AnswerSheetProps): JSX.Element {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const send = (): void => {
    setBusy(true);
    setProblem(null);
    (what === "accept" ? contracts.accept : contracts.decline)(contract.contract_id, version.version).then(() => {
      toast(text[DONE[what]]);
      onDone();
    }, (thrown: unknown) => setProblem(explainFully(thrown))).finally(() => setBusy(false));
  };
  return (
    <Sheet title={text[TITLE[what]]} onClose={onClose} testId="answer-sheet">
      <div class="stack">
        <p><strong class="num">{rate(version.rate_bp)}</strong> ・ {periodWords(version)}</p>
        {what !== "withdraw" && <p class="small muted">{what === "accept" ? text.accept_text : text.decline_text}</p>}
        {problem !== null && <p class="notice bad" role="alert">{problem}</p>}
        <button type="button" class="btn primary wide" disabled={busy} data-testid="answer-confirm" onClick={send}>{text[what]}</button>
        <button type="button" class="btn wide" onClick={onClose}>{words.cancel}</button>
      </div>
    </Sheet>
  );
}
