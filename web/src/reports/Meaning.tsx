import type { JSX } from "preact";
import { useId, useState } from "preact/hooks";
import { fill } from "../i18n/phrases";
import { Icon } from "../ui/icons";
import { text } from "./texts";

/** What a figure means, beside it: a number that nobody can define is none. Opens by click, tap and key alike. */
export function Meaning({ figure, means, testId }: { figure: string; means: string; testId?: string }): JSX.Element {
  const [open, setOpen] = useState(false);
  const id = useId();
  return (
    <span class="meaning" onKeyDown={(event) => { if (event.key === "Escape") setOpen(false); }}>
      <button type="button" class="ask" aria-label={fill(text.means, { figure })} aria-expanded={open} aria-controls={id} data-testid={testId} onClick={() => setOpen(!open)}>
        <Icon name="question" />
      </button>
      <span id={id} class="means" role="note" hidden={!open}>{means}</span>
    </span>
  );
}
