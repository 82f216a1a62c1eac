import type { ComponentChildren, JSX } from "preact";
import { useId } from "preact/hooks";
import type { SavedCard } from "../api/types";
import { language } from "../i18n/language";
import { fill } from "../i18n/phrases";
import { Failed } from "../ui/states";
import { brandName, expiry } from "./cards";
import { nameOf, type Choice } from "./choice";
import { SandboxForm } from "./SandboxForm";
import { SandboxTag } from "./SandboxTag";
import { StripeForm } from "./StripeForm";
import { pay } from "./texts";
import { canSave, type Paying } from "./usePayment";
import "./payment.css";

interface PaymentChoiceProps {
  paying: Paying;
  amountMinor: number;
  currency: string;
  disabled: boolean;
}

/** Saved cards first; then what must be typed. */
export function PaymentChoice({ paying, amountMinor, currency, disabled }: PaymentChoiceProps): JSX.Element {
  const { loaded, ways, choice } = paying;
  const group = useId();
  const ja = language.value === "ja";
  if (ways === null || choice === null || loaded.value === null) {
    return loaded.problem !== null
      ? <Failed problem={loaded.problem} onRetry={loaded.reload} />
      : <div class="skeleton" style={{ height: "58px" }} role="status" aria-label={pay.loading} />;
  }
  const { options } = loaded.value;
  const stripe = options.provider === "stripe";
  const way = (of: Choice, label: ComponentChildren): JSX.Element => (
    <label key={nameOf(of)} class="way">
      <input type="radio" name={group} value={nameOf(of)} checked={nameOf(of) === nameOf(choice)} data-testid="way" data-way={nameOf(of)}
        onChange={() => paying.choose(of)} />
      {label}
    </label>
  );
  return (
    <fieldset class="ways" disabled={disabled} data-testid="payment" data-provider={options.provider}>
      <legend class="label row">{pay.method} <SandboxTag /></legend>
      {ways.cards.map((card) => way({ kind: "saved", id: card.id }, <CardLine card={card} />))}
      {ways.typed && way({ kind: "new" }, <span>{stripe ? pay.stripe_other : ways.cards.length > 0 ? pay.other_card : pay.new_card}</span>)}
      {choice.kind === "new" && !stripe && (
        <div class="form">
          <SandboxForm methods={options.test_methods} value={paying.typed} disabled={disabled} judged={paying.judged} onChange={paying.type} onJudge={paying.judge} />
          {canSave(paying) && (
            <label class="check"><input type="checkbox" checked={paying.save} disabled={disabled} data-testid="save-card"
              onChange={(event) => paying.setSave(event.currentTarget.checked)} /><span>{pay.save}</span></label>
          )}
        </div>
      )}
      {choice.kind === "new" && stripe && options.publishable_key !== null && (
        <div class="form">
          <StripeForm publishableKey={options.publishable_key} handle={paying.stripe} onReady={paying.setStripeReady} onChange={paying.settled}
            purpose={{ kind: "payment", amountMinor, currency, methods: ways.kinds }} />
        </div>
      )}
      {ways.others.map((method) => way({ kind: "test", method: method.method }, <span>{ja ? method.label_ja : method.label_en}</span>))}
      {options.sandbox && <p class="small muted">{pay.sandbox_note}</p>}
    </fieldset>
  );
}

/** What may be shown of a card. */
export function CardLine({ card }: { card: SavedCard }): JSX.Element {
  return (
    <span class="card-line">
      <strong>{brandName(card.brand)}</strong>
      <span class="num" aria-label={fill(pay.ends_in, { last4: card.last4 })}>•••• {card.last4}</span>
      <span class="small muted num">{fill(pay.expires, { at: expiry(card) })}</span>
    </span>
  );
}
