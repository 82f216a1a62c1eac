import type { JSX } from "preact";
import { useId } from "preact/hooks";
import type { TestMethod } from "../api/types";
import { language } from "../i18n/language";
import { fill } from "../i18n/phrases";
import { grouped, testCard } from "./cards";
import { pay } from "./texts";

interface SandboxFormProps {
  methods: readonly TestMethod[];
  value: string;
  disabled: boolean;
  /** Whether to say that the number is unknown: not while it is being typed. */
  judged: boolean;
  onChange: (typed: string) => void;
  onJudge: () => void;
}

/** A card form without a card: the number names a test method and goes nowhere. */
export function SandboxForm({ methods, value, disabled, judged, onChange, onJudge }: SandboxFormProps): JSX.Element {
  const ja = language.value === "ja";
  const cards = methods.filter((method) => method.number !== "");
  const found = testCard(cards, value);
  const says = useId();
  const wrong = judged && found === null;
  return (
    <div class="sandbox-form stack" data-testid="sandbox-form">
      <label class="field"><span>{pay.number}</span>
        {/* No autofill: a browser would offer real cards here. */}
        <input class="input num" type="text" inputMode="numeric" autocomplete="off" name="test-number" value={value} disabled={disabled}
          aria-invalid={wrong} aria-describedby={says} data-testid="test-number" data-method={found?.method ?? ""}
          onInput={(event) => onChange(grouped(event.currentTarget.value))} onBlur={onJudge} />
        <span class="hint">{pay.number_hint}</span>
      </label>
      <p id={says} class={wrong ? "notice bad" : "small muted says"} role="status" data-testid={wrong ? "unknown-number" : "test-says"}>
        {found !== null ? (ja ? found.label_ja : found.label_en) : wrong ? pay.unknown_number : ""}
      </p>
      <details class="numbers" data-testid="test-numbers">
        <summary>{pay.numbers}</summary>
        <ul>
          {cards.map((method) => {
            const label = ja ? method.label_ja : method.label_en;
            return (
              <li key={method.method}>
                <button type="button" class="pick" disabled={disabled} aria-label={fill(pay.use, { label, number: grouped(method.number) })}
                  data-testid="use-number" data-method={method.method} onClick={() => onChange(grouped(method.number))}>
                  <span class="num">{grouped(method.number)}</span><span class="small muted">{label}</span>
                </button>
              </li>
            );
          })}
        </ul>
      </details>
    </div>
  );
}
