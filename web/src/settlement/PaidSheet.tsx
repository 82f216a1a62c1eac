import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { explainFully } from "../api/problem-texts";
import { statements, type Statement } from "../api/settlement";
import { money } from "../i18n/format";
import { persist } from "../purchase/persist";
import { uuid } from "../purchase/uuid";
import { Sheet } from "../ui/Sheet";
import { toast } from "../ui/toast";
import { words } from "../ui/words";
import { monthName } from "./months";
import { statement as text } from "./statement-texts";

interface PaidSheetProps {
  statement: Statement;
  onClose: () => void;
  onDone: () => void;
}

export function PaidSheet({ statement, onClose, onDone }: PaidSheetProps): JSX.Element {
  const [reference, setReference] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const key = useMemo(uuid, [reference]);
  const send = (): void => {
    setBusy(true);
    setProblem(null);
    persist(() => statements.paid(statement.statement_id, reference.trim(), key), {}).then(() => {
      toast(text.paid_done);
      onDone();
    }, (thrown: unknown) => setProblem(explainFully(thrown))).finally(() => setBusy(false));
  };
  return (
    <Sheet title={text.paid_title} onClose={onClose} testId="paid-sheet">
      <form class="stack" onSubmit={(event) => { event.preventDefault(); send(); }}>
        <p class="row spread amount"><span>{statement.liver_name}<br /><span class="small muted">{monthName(statement.period)}</span></span><strong class="num">{money(statement.payable_minor, statement.currency)}</strong></p>
        <label class="field"><span>{text.reference}</span>
          <input class="input" required maxLength={100} value={reference} disabled={busy} data-testid="paid-reference" onInput={(event) => setReference(event.currentTarget.value)} />
          <span class="hint">{text.reference_hint}</span>
        </label>
        <p class="small muted">{text.cannot_undo}</p>
        {problem !== null && <p class="notice bad" role="alert">{problem}</p>}
        <button type="submit" class="btn primary wide" disabled={busy || reference.trim() === ""} data-testid="paid-confirm">{text.mark_paid}</button>
        <button type="button" class="btn wide" onClick={onClose}>{words.cancel}</button>
      </form>
    </Sheet>
  );
}
