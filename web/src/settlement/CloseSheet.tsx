import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { explainFully } from "../api/problem-texts";
import { statements, type Draft } from "../api/settlement";
import { count, money } from "../i18n/format";
import { fill } from "../i18n/phrases";
import { persist } from "../purchase/persist";
import { uuid } from "../purchase/uuid";
import { Sheet } from "../ui/Sheet";
import { toast } from "../ui/toast";
import { words } from "../ui/words";
import { monthName } from "./months";
import { statement as text } from "./statement-texts";

interface CloseSheetProps {
  brandId: string;
  month: string;
  items: readonly Draft[];
  onClose: () => void;
  onDone: () => void;
}

/** What is closed stays: asked twice, with the sum in sight. */
export function CloseSheet({ brandId, month, items, onClose, onDone }: CloseSheetProps): JSX.Element {
  const [sure, setSure] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const key = useMemo(uuid, [month]);
  const name = monthName(month);
  const send = (): void => {
    setBusy(true);
    setProblem(null);
    persist(() => statements.close(brandId, month, key), {}).then(() => {
      toast(fill(text.closed_done, { month: name }));
      onDone();
    }, (thrown: unknown) => setProblem(explainFully(thrown))).finally(() => setBusy(false));
  };
  return (
    <Sheet title={fill(text.close_title, { month: name })} onClose={onClose} testId="close-sheet">
      <form class="stack" onSubmit={(event) => { event.preventDefault(); send(); }}>
        <p class="row spread amount"><span>{text.to_pay}<br /><span class="small muted">{fill(text.livers, { n: count(items.length) })}</span></span><strong class="num">{money(items.reduce((sum, one) => sum + one.payable_minor, 0))}</strong></p>
        <p>{text.close_text}</p>
        <p class="notice gold"><strong>{text.cannot_undo}</strong></p>
        <label class="check"><input type="checkbox" checked={sure} disabled={busy} data-testid="close-sure" onChange={(event) => setSure(event.currentTarget.checked)} /><span>{text.sure}</span></label>
        {problem !== null && <p class="notice bad" role="alert" data-testid="close-problem">{problem}</p>}
        <button type="submit" class="btn primary wide" disabled={!sure || busy} data-testid="close-confirm">{busy ? <><span class="spinner tiny" />{text.closing}</> : fill(text.close, { month: name })}</button>
        <button type="button" class="btn wide" onClick={onClose}>{words.cancel}</button>
      </form>
    </Sheet>
  );
}
