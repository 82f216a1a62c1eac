import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { explain } from "../api/problem-texts";
import { toast } from "../ui/toast";
import { answerConsent, consent } from "./consent";
import { note } from "./texts";

/** Yes and no look the same: neither is what we want them to press. */
export function ConsentButtons({ small, onDone }: { small?: boolean; onDone?: () => void }): JSX.Element {
  const [busy, setBusy] = useState(false);
  const answer = (given: boolean): void => {
    setBusy(true);
    answerConsent(given).then(() => {
      toast(given ? note.thanks_yes : note.thanks_no);
      onDone?.();
    }, (thrown: unknown) => toast(explain(thrown), true)).finally(() => setBusy(false));
  };
  const button = (given: boolean): JSX.Element => (
    <button type="button" class={small === true ? "btn small" : "btn"} disabled={busy} aria-pressed={consent.value?.given === given} data-testid={given ? "consent-yes" : "consent-no"} onClick={() => answer(given)}>{given ? note.yes : note.no}</button>
  );
  return <div class="consent-buttons" role="group" aria-label={note.choose}>{button(true)}{button(false)}</div>;
}
