import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { explain } from "../../api/problem-texts";
import type { CardSetup, PaymentOptions } from "../../api/types";
import { firstNumber } from "../../payment/choice";
import { testCard } from "../../payment/cards";
import { beginSetup, readSetup } from "../../payment/options";
import { SandboxForm } from "../../payment/SandboxForm";
import { besideSheet } from "../../payment/stripe";
import { StripeForm, type StripeHandle } from "../../payment/StripeForm";
import { pay } from "../../payment/texts";
import { Sheet } from "../../ui/Sheet";
import { text } from "./texts";

interface AddCardProps {
  options: PaymentOptions;
  onClose: () => void;
  /** What became of it; a bank may be asked first. */
  onSetup: (setup: CardSetup) => void;
}

/** A card is saved ahead: its bank is asked now, and not in the middle of a drop. */
export function AddCard({ options, onClose, onSetup }: AddCardProps): JSX.Element {
  return (
    <Sheet title={text.add} onClose={onClose} testId="add-card">
      {options.provider === "sandbox" ? <TestCard options={options} onSetup={onSetup} /> : <RealCard onSetup={onSetup} />}
    </Sheet>
  );
}

function TestCard({ options, onSetup }: Pick<AddCardProps, "options" | "onSetup">): JSX.Element {
  const [typed, setTyped] = useState(firstNumber(options));
  const [judged, setJudged] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const save = (): void => {
    const method = testCard(options.test_methods, typed);
    setJudged(true);
    if (method === null || busy) return;
    setBusy(true);
    setProblem(null);
    beginSetup(method.method).then(onSetup, (thrown: unknown) => setProblem(explain(thrown))).finally(() => setBusy(false));
  };
  return (
    <form class="stack" onSubmit={(event) => { event.preventDefault(); save(); }}>
      <p class="notice gold">{pay.sandbox_note}</p>
      <SandboxForm methods={options.test_methods} value={typed} disabled={busy} judged={judged} onJudge={() => setJudged(true)}
        onChange={(next) => { setTyped(next); setJudged(next.replaceAll(" ", "").length >= 16); setProblem(null); }} />
      {problem !== null && <p class="notice bad" role="alert" data-testid="add-problem">{problem}</p>}
      <button type="submit" class="btn primary wide" disabled={busy} data-testid="add-submit">
        {busy ? <><span class="spinner tiny" />{text.adding}</> : text.add}
      </button>
    </form>
  );
}

/** Stripe's form needs the setup first: what is typed goes into it, and comes back as a card. */
function RealCard({ onSetup }: Pick<AddCardProps, "onSetup">): JSX.Element {
  const [setup, setSetup] = useState<CardSetup | null>(null);
  const [ready, setReady] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const form = useRef<StripeHandle | null>(null);
  const box = useRef<HTMLDivElement>(null);
  const begun = useRef(false);
  const begin = (): void => {
    begun.current = true;
    setProblem(null);
    beginSetup(null).then(setSetup, (thrown: unknown) => setProblem(explain(thrown)));
  };
  if (!begun.current) begin();
  const save = async (id: string): Promise<void> => {
    setBusy(true);
    setProblem(null);
    try {
      const done = await besideSheet(box.current, async () => (await form.current?.confirm(`${location.origin}/cards?setup=${encodeURIComponent(id)}`)) === true);
      if (done) onSetup(await readSetup(id));
    } catch (thrown) {
      setProblem(explain(thrown));
    } finally {
      setBusy(false);
    }
  };
  return (
    <div ref={box} class="stack">
      {setup?.action?.kind === "stripe" && (
        <StripeForm publishableKey={setup.action.publishable_key} handle={form} onReady={setReady} purpose={{ kind: "setup", clientSecret: setup.action.client_secret }} />
      )}
      {problem !== null && (
        <div class="notice bad row wrap spread" role="alert" data-testid="add-problem"><span class="grow">{problem}</span></div>
      )}
      <button type="button" class="btn primary wide" disabled={busy || !ready || setup === null} data-testid="add-submit"
        onClick={() => { if (setup !== null) void save(setup.id); }}>
        {busy ? <><span class="spinner tiny" />{text.adding}</> : text.add}
      </button>
    </div>
  );
}
