import type { JSX } from "preact";
import { fill } from "../../i18n/phrases";
import { text } from "./texts";

interface PrLabelFieldProps {
  value: string;
  onChange: (value: string) => void;
  brandName: string;
  required: boolean;
}

export function PrLabelField({ value, onChange, brandName, required }: PrLabelFieldProps): JSX.Element {
  const suggestions = [fill(text.pr_given, { brand: brandName === "" ? "○○" : brandName }), "PR"];
  return (
    <div class="field">
      <label class="field"><span>{text.pr_label}{!required && `（${text.optional}）`}</span>
        <input class="input" maxLength={40} required={required} value={value} data-testid="pr-label-input" onInput={(event) => onChange(event.currentTarget.value)} />
      </label>
      <div class="row wrap">
        {suggestions.map((suggestion) => (
          <button key={suggestion} type="button" class="btn small" onClick={() => onChange(suggestion)}>{suggestion}</button>
        ))}
      </div>
      <span class="hint">{text.pr_hint}</span>
    </div>
  );
}
