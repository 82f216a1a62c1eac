import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { explain } from "../../api/problem-texts";
import { me } from "../../api/session";
import type { CardSetup, SavedCard } from "../../api/types";
import { dateTime } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { brandName, isExpired } from "../../payment/cards";
import { withReturn } from "../../payment/leading";
import { readSetup, removeCard, wallet } from "../../payment/options";
import { CardLine } from "../../payment/PaymentChoice";
import { SandboxTag } from "../../payment/SandboxTag";
import { pay } from "../../payment/texts";
import { MemberGate } from "../../ui/MemberGate";
import { query } from "../../ui/router";
import { Sheet } from "../../ui/Sheet";
import { Empty, Failed, Loading } from "../../ui/states";
import { toast } from "../../ui/toast";
import { useLoad } from "../../ui/useLoad";
import { words } from "../../ui/words";
import { AddCard } from "./AddCard";
import { text } from "./texts";
import "./cards.css";

export function CardsPage(): JSX.Element {
  return <MemberGate title={text.title} lead={text.gate_lead}><Cards /></MemberGate>;
}

function Cards(): JSX.Element {
  const { value, problem, reload } = useLoad(wallet, [me.value?.account_id]);
  const [adding, setAdding] = useState(false);
  const [removing, setRemoving] = useState<SavedCard | null>(null);
  const [setup, setSetup] = useState<CardSetup | null>(null);
  const told = (next: CardSetup): void => {
    setAdding(false);
    setSetup(next.state === "saved" ? null : next);
    if (next.state === "saved") {
      toast(text.saved);
      reload();
    }
  };
  // Back from the bank: the provider is asked what became of the card.
  const returned = new URLSearchParams(query.value).get("setup");
  useEffect(() => {
    if (returned === null) return;
    readSetup(returned).then(told, (thrown: unknown) => toast(explain(thrown), true));
    // Once: a reload later must not tell of it anew.
    history.replaceState(null, "", "/cards");
  }, [returned]);

  return (
    <main id="main" class="page cards-page" data-testid="cards-page">
      <div class="row wrap spread">
        <h1>{text.title}</h1>
        <div class="row wrap"><SandboxTag /><a class="btn small" href="/orders">{text.orders}</a></div>
      </div>
      <p class="muted">{text.lead}</p>
      {value?.options.sandbox === true && <p class="notice gold">{pay.sandbox_note}</p>}
      {problem !== null && <Failed problem={problem} onRetry={reload} />}
      {setup !== null && <Unfinished setup={setup} />}
      {value === null && problem === null && <Loading lines={2} />}
      {value !== null && (
        <>
          {value.cards.length === 0 ? <div class="card"><Empty icon="card">{text.none}</Empty></div> : (
            <ul class="card card-list">
              {value.cards.map((card) => (
                <li key={card.id} class="row" data-testid="saved-card" data-card={card.id} data-last4={card.last4}>
                  <div class="grow">
                    <CardLine card={card} />
                    <p class="small muted num">
                      {fill(text.added, { at: dateTime(card.created_at_ms) })} {isExpired(card, Date.now()) && <span class="tag act">{pay.expired}</span>}
                    </p>
                  </div>
                  <button type="button" class="btn small danger" data-testid="remove-card" onClick={() => setRemoving(card)}
                    aria-label={fill(text.remove_long, { brand: brandName(card.brand), last4: card.last4 })}>{text.remove}</button>
                </li>
              ))}
            </ul>
          )}
          <p><button type="button" class="btn primary" data-testid="add-card-open" onClick={() => setAdding(true)}>{text.add}</button></p>
        </>
      )}
      {adding && value !== null && <AddCard options={value.options} onClose={() => setAdding(false)} onSetup={told} />}
      {removing !== null && <Remove card={removing} onClose={() => setRemoving(null)} onDone={() => { setRemoving(null); toast(text.removed); reload(); }} />}
    </main>
  );
}

/** A card that is not saved: its bank asks first, or said no. */
function Unfinished({ setup }: { setup: CardSetup }): JSX.Element {
  const action = setup.action;
  if (setup.state === "failed") return <p class="notice bad" role="alert" data-testid="setup-failed">{text.failed}</p>;
  return (
    <div class="notice row wrap spread" role="status" data-testid="setup-action">
      <span class="grow">{text.action}</span>
      {action?.kind === "redirect" && <a class="btn small primary" href={withReturn(action.url, `/cards?setup=${encodeURIComponent(setup.id)}`, location.origin)} data-testid="setup-go">{text.action_go}</a>}
    </div>
  );
}

function Remove({ card, onClose, onDone }: { card: SavedCard; onClose: () => void; onDone: () => void }): JSX.Element {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  return (
    <Sheet title={text.remove_title} onClose={onClose} testId="remove-sheet">
      <div class="stack">
        <CardLine card={card} />
        <p>{text.remove_text}</p>
        {problem !== null && <p class="notice bad" role="alert">{explain(problem)}</p>}
        <button type="button" class="btn primary wide" disabled={busy} data-testid="remove-confirm"
          onClick={() => {
            setBusy(true);
            removeCard(card.id).then(onDone, setProblem).finally(() => setBusy(false));
          }}>{text.remove}</button>
        <button type="button" class="btn wide" onClick={onClose}>{words.cancel}</button>
      </div>
    </Sheet>
  );
}
