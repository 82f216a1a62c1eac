import { useRef, useState } from "preact/hooks";
import { me } from "../api/session";
import { useLoad, type Loaded } from "../ui/useLoad";
import { testCard } from "./cards";
import { firstChoice, firstNumber, kindOf, methodOf, waysOf, type Choice, type Ways } from "./choice";
import { lastCard, wallet, type Wallet } from "./options";
import type { StripeHandle } from "./StripeForm";

/** What a sheet pays with, from what is offered to what is sent. */
export interface Paying {
  loaded: Loaded<Wallet>;
  ways: Ways | null;
  choice: Choice | null;
  choose: (choice: Choice) => void;
  typed: string;
  type: (number: string) => void;
  judged: boolean;
  judge: () => void;
  save: boolean;
  setSave: (save: boolean) => void;
  stripe: { current: StripeHandle | null };
  stripeReady: boolean;
  setStripeReady: (ready: boolean) => void;
  /** Can be tapped: there is something to pay with, or a form that says what is missing. */
  ready: boolean;
  /** What to send as `payment_method`; null: the form says what is missing. */
  method: () => Promise<string | null>;
  /** Whether it is paid at a store, within days. */
  slow: () => boolean;
  /** The server has said what became of it: what was made of the form is used up. */
  settled: () => void;
  /** After a decline: what was paid with is not offered first again. */
  another: () => void;
}

/** `ends`: the offer does. What takes days cannot be had for it. */
export function usePayment(ends: boolean): Paying {
  const loaded = useLoad(wallet, [me.value?.account_id]);
  const [chosen, setChosen] = useState<Choice | null>(null);
  const [written, setWritten] = useState<string | null>(null);
  const [judged, setJudged] = useState(false);
  const [save, setSave] = useState(false);
  const [stripeReady, setStripeReady] = useState(false);
  const stripe = useRef<StripeHandle | null>(null);
  /** Kept until there is an answer: a second tap after a lost one must be the same request. */
  const token = useRef<string | null>(null);

  const options = loaded.value?.options ?? null;
  const ways = loaded.value === null ? null : waysOf(loaded.value.options, loaded.value.cards, ends, Date.now());
  const stillThere = chosen !== null && (chosen.kind === "new" || (chosen.kind === "saved"
    ? ways?.cards.some(({ id }) => id === chosen.id) : ways?.others.some(({ method }) => method === chosen.method)) === true);
  const choice = ways === null ? null : stillThere ? chosen : firstChoice(ways, lastCard());
  const typed = written ?? (options === null ? "" : firstNumber(options));
  const viaStripe = choice?.kind === "new" && options?.provider === "stripe";

  return {
    loaded, ways, choice, typed, judged, save, setSave, stripe, stripeReady, setStripeReady,
    choose: (next) => {
      token.current = null;
      setChosen(next);
    },
    type: (number) => {
      setWritten(number);
      // A number of full length is judged at once, a shorter one when its field is left.
      setJudged(number.replaceAll(" ", "").length >= 16);
    },
    judge: () => setJudged(true),
    ready: choice !== null && (!viaStripe || stripeReady),
    method: async () => {
      if (choice === null || options === null) return null;
      if (!viaStripe) {
        const method = methodOf(choice, options, typed);
        if (method === null) setJudged(true);
        return method;
      }
      return (token.current ??= (await stripe.current?.token()) ?? null);
    },
    slow: () => (viaStripe ? stripe.current?.kind() : choice?.kind === "test" ? kindOf(choice.method) : null) === "konbini",
    settled: () => { token.current = null; },
    another: () => {
      token.current = null;
      setChosen({ kind: "new" });
      setWritten("");
      setJudged(false);
    },
  };
}

/** Whether the card that is typed can be saved. */
export function canSave(paying: Paying): boolean {
  const options = paying.loaded.value?.options;
  return paying.choice?.kind === "new" && options?.provider === "sandbox" && testCard(options.test_methods, paying.typed)?.saves === true;
}
