import type { JSX } from "preact";
import { Icon } from "../../ui/icons";
import { buy } from "./buy-texts";

interface StepperProps {
  value: number;
  max: number;
  disabled: boolean;
  onChange: (value: number) => void;
}

export function Stepper({ value, max, disabled, onChange }: StepperProps): JSX.Element {
  return (
    <div class="stepper" role="group" aria-label={buy.qty}>
      <button type="button" class="icon-btn" aria-label={buy.fewer} disabled={disabled || value <= 1} data-testid="qty-minus" onClick={() => onChange(value - 1)}><Icon name="minus" /></button>
      <output class="num" aria-live="polite" data-testid="qty">{value}</output>
      <button type="button" class="icon-btn" aria-label={buy.more} disabled={disabled || value >= max} data-testid="qty-plus" onClick={() => onChange(value + 1)}><Icon name="plus" /></button>
    </div>
  );
}
