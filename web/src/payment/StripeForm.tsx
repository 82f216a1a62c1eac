import type { JSX, Ref } from "preact";
import { useEffect, useImperativeHandle, useRef, useState } from "preact/hooks";
import { language } from "../i18n/language";
import { words } from "../ui/words";
import { appearance, stripe, type Stripe, type StripeElements } from "./stripe";
import { pay } from "./texts";

/** What the form is for: paying so much, or saving a card. */
export type Purpose =
  | { kind: "payment"; amountMinor: number; currency: string; methods: readonly string[] }
  | { kind: "setup"; clientSecret: string };

export interface StripeHandle {
  /** The form's words, checked and handed to Stripe: a token that stands for them. null: the form says what is missing. */
  token: () => Promise<string | null>;
  /** `card`, `paypay`, `konbini`; empty while nothing is chosen. */
  kind: () => string;
  /** Saves the card of a setup; false: the form says what is missing. */
  confirm: (returnUrl: string) => Promise<boolean>;
}

interface StripeFormProps {
  publishableKey: string;
  purpose: Purpose;
  /** The words in the form are other ones: a token made of the old ones no longer stands for them. */
  onChange?: () => void;
  onReady?: (ready: boolean) => void;
  handle: Ref<StripeHandle>;
}

/** Stripe's Payment Element. What is typed into it is Stripe's and never ours. */
export function StripeForm({ publishableKey, purpose, onChange, onReady, handle }: StripeFormProps): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const used = useRef<{ stripe: Stripe; elements: StripeElements } | null>(null);
  const kind = useRef("");
  const latest = useRef({ onChange, onReady });
  latest.current = { onChange, onReady };
  const [state, setState] = useState<"loading" | "ready" | "failed">("loading");
  const [round, setRound] = useState(0);
  const [problem, setProblem] = useState<string | null>(null);
  const tongue = language.value;

  useEffect(() => {
    let wanted = true;
    let destroy = (): void => undefined;
    setState("loading");
    setProblem(null);
    const turn = (next: "ready" | "failed"): void => {
      if (!wanted) return;
      setState(next);
      latest.current.onReady?.(next === "ready");
    };
    stripe(publishableKey, tongue).then((made) => {
      if (!wanted || place.current === null) return;
      const elements = made.elements({ ...optionsOf(purpose), appearance: appearance(), locale: tongue });
      const element = elements.create("payment", { layout: "accordion" });
      element.on("ready", () => turn("ready"));
      element.on("loaderror", () => turn("failed"));
      element.on("change", ({ value }) => {
        kind.current = value?.type ?? "";
        setProblem(null);
        latest.current.onChange?.();
      });
      element.mount(place.current);
      used.current = { stripe: made, elements };
      destroy = () => element.destroy();
    }).catch(() => turn("failed"));
    return () => {
      wanted = false;
      used.current = null;
      destroy();
    };
  }, [publishableKey, purpose.kind === "setup" ? purpose.clientSecret : "", tongue, round, purpose.kind === "payment" ? purpose.methods.join(" ") : ""]);

  const amount = purpose.kind === "payment" ? purpose.amountMinor : 0;
  useEffect(() => {
    if (amount > 0) used.current?.elements.update({ amount });
  }, [amount, state]);

  useImperativeHandle(handle, () => ({
    token: async () => {
      if (used.current === null) return null;
      const { stripe: made, elements } = used.current;
      const checked = await elements.submit();
      const told = checked.error ?? null;
      if (told !== null) return say(told.message);
      const answer = await made.createConfirmationToken({ elements, params: { return_url: `${location.origin}/orders` } });
      return answer.confirmationToken?.id ?? say(answer.error?.message);
    },
    kind: () => kind.current,
    confirm: async (returnUrl) => {
      if (used.current === null) return false;
      const { stripe: made, elements } = used.current;
      const answer = await made.confirmSetup({ elements, confirmParams: { return_url: returnUrl }, redirect: "if_required" });
      if (answer.error === undefined) return true;
      say(answer.error.message);
      return false;
    },
  }), []);
  /** Stripe says it in the form's language, and better than we could: it has seen what was typed. */
  const say = (message: string | undefined): null => {
    setProblem(message === undefined || message === "" ? pay.stripe_incomplete : message);
    return null;
  };

  return (
    <div class="stripe-form stack" data-testid="stripe-form" data-state={state}>
      {state === "loading" && <div class="skeleton" style={{ height: "180px" }} role="status" aria-label={words.loading} />}
      {state === "failed" && (
        <div class="notice bad row wrap spread" role="alert" data-testid="stripe-failed">
          <span class="grow">{pay.stripe_failed}</span>
          <button type="button" class="btn small" data-testid="stripe-retry" onClick={() => setRound((value) => value + 1)}>{words.retry}</button>
        </div>
      )}
      <div ref={place} hidden={state === "failed"} />
      {problem !== null && <p class="notice bad" role="alert" data-testid="stripe-problem">{problem}</p>}
      {state === "ready" && <p class="small muted">{pay.stripe_by}</p>}
    </div>
  );
}

function optionsOf(purpose: Purpose): Record<string, unknown> {
  if (purpose.kind === "setup") return { clientSecret: purpose.clientSecret };
  return { mode: "payment", amount: purpose.amountMinor, currency: purpose.currency.toLowerCase(), paymentMethodTypes: purpose.methods };
}

