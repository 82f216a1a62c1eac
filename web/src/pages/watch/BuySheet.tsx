import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { api } from "../../api/client";
import { asProblem, type Problem, type ProblemName } from "../../api/problem";
import { explain, problemText } from "../../api/problem-texts";
import type { Purchase } from "../../api/types";
import { beginSetup, rememberCard, rememberVoucher } from "../../payment/options";
import { PaymentChoice } from "../../payment/PaymentChoice";
import { PurchaseProgress } from "../../payment/PurchaseProgress";
import { pay } from "../../payment/texts";
import { canSave, usePayment } from "../../payment/usePayment";
import { PurchaseAttempt } from "../../purchase/attempt";
import { outcome } from "../../purchase/status";
import { useFollow } from "../../purchase/useFollow";
import { Sheet } from "../../ui/Sheet";
import { toast } from "../../ui/toast";
import { buy } from "./buy-texts";
import { ConfirmationView } from "./ConfirmationView";
import { GoodsHead } from "./GoodsHead";
import { offerState, qtyMax, type OfferState } from "./offers";
import { Stepper } from "./Stepper";
import type { Visit } from "./store";
import { useClock } from "./useClock";
import { useConfirmation } from "./useConfirmation";
import { usePin } from "./usePin";
import { VariantChoice } from "./VariantChoice";
import { wait } from "./wait-texts";

const CLOSED: Record<Exclude<OfferState, "open">, ProblemName> = { "soon": "offer-not-started", "sold-out": "sold-out", "over": "offer-ended" };

interface BuySheetProps {
  here: Visit;
  pinId: string;
  /** The variant to begin with; null = the first that can be bought. */
  offerId: string | null;
  onClose: () => void;
  onWait: (offerId: string) => void;
}

/** The second tap. Shows the final confirmation of exactly what the button would order, and then what became of it. */
export function BuySheet({ here, pinId, offerId, onClose, onWait }: BuySheetProps): JSX.Element {
  const room = here.room.value;
  const pin = usePin(room, pinId);
  const now = useClock(here.hub.clock, Number.POSITIVE_INFINITY);
  const open = pin?.offers.filter((offer) => offerState(offer, room, now) === "open") ?? [];
  const [chosenId, setChosenId] = useState<string | null>(offerId ?? open[0]?.id ?? pin?.offers[0]?.id ?? null);
  const offer = pin?.offers.find((candidate) => candidate.id === chosenId) ?? null;
  const [wanted, setWanted] = useState(1);
  const qty = offer === null ? 1 : Math.min(wanted, qtyMax(offer, room));
  const [placed, setPlaced] = useState<Purchase | null>(null);
  const [placing, setPlacing] = useState(false);
  const [retrying, setRetrying] = useState<Problem | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const paying = usePayment((offer?.endsAtMs ?? 0) > 0);
  const confirming = useConfirmation(placed === null ? chosenId : null, qty, offer?.version ?? 0);
  const followed = useFollow(placed, placed === null ? undefined : room.purchases.get(placed.id));
  const attempt = useMemo(() => new PurchaseAttempt({
    post: (request, idempotencyKey) => api.post<Purchase>("/v1/purchases", request, { idempotencyKey }),
    onRetry: setRetrying,
  }), []);

  if (pin === undefined || offer === null) {
    return <Sheet title={buy.title} onClose={onClose}><p class="notice">{buy.unavailable}</p></Sheet>;
  }
  // While the order is on its way the last unit may be this person's own.
  const state = placing ? "open" : offerState(offer, room, now);
  const { confirmation } = confirming;

  /** One wish, from what the payment form says to the server's word. */
  const order = async (hash: string, units: number): Promise<void> => {
    const method = await paying.method();
    if (method === null) return;
    const save = canSave(paying) && paying.save;
    const purchase = await attempt.place({ offer_id: offer.id, qty: units, confirmation_hash: hash, payment_method: method });
    if (paying.slow()) rememberVoucher(purchase.id);
    paying.settled();
    setPlaced(purchase);
    if (paying.choice?.kind === "saved") rememberCard(method);
    if (save) keep(method);
  };
  const place = (): void => {
    if (confirmation === null || placing) return;
    setPlacing(true);
    setProblem(null);
    order(confirmation.hash, confirmation.qty).catch((thrown: unknown) => {
      const known = asProblem(thrown);
      setProblem(known);
      // Without a word the next tap must be the same request; after one it is a new wish.
      if (!known.retryable) paying.settled();
      if (known.kind === "price-changed" || known.kind === "idempotency-key-reused") confirming.reload();
    }).finally(() => {
      setPlacing(false);
      setRetrying(null);
    });
  };
  const again = (about: "card" | "order"): void => {
    setPlaced(null);
    setProblem(null);
    if (about === "card") paying.another();
    paying.loaded.reload();
  };

  if (placed !== null) {
    const reached = outcome(followed.view?.state ?? placed.state);
    const title = reached === "paid" ? buy.thanks : reached === "lost" ? buy.failed : buy.progress;
    return (
      <Sheet title={title} onClose={onClose} testId="buy-sheet">
        <PurchaseProgress placed={placed} followed={followed} fresh onAgain={again}>
          <button type="button" class="btn ink wide" data-testid="keep-watching" onClick={onClose}>{buy.keep_watching}</button>
        </PurchaseProgress>
      </Sheet>
    );
  }
  // Sold out by the server's word too: released units go to whoever waits.
  const gone = state === "sold-out" || problem?.kind === "sold-out";
  return (
    <Sheet title={buy.title} onClose={onClose} testId="buy-sheet">
      <div class="stack">
        <GoodsHead pin={pin} offer={offer} />
        {pin.offers.length > 1 && (
          <VariantChoice offers={pin.offers} shelf={room} value={offer.id} disabled={placing} onChange={(id) => { setChosenId(id); setProblem(null); }} />
        )}
        <div class="row spread">
          <span class="label">{buy.qty}</span>
          <Stepper value={qty} max={qtyMax(offer, room)} disabled={placing} onChange={setWanted} />
        </div>
        <PaymentChoice paying={paying} amountMinor={confirmation?.total_minor ?? offer.priceMinor * qty} currency={offer.currency} disabled={placing} />
        <ConfirmationView of={confirming} />
      </div>
      <div class="place">
        {problem !== null && <p class="notice bad" role="alert" data-testid="buy-problem">{toldOf(problem)}</p>}
        {state !== "open" && problem === null && <p class="notice bad" role="alert" data-testid="buy-closed">{problemText(CLOSED[state])}</p>}
        {retrying !== null && <p class="notice" role="status" data-testid="buy-retrying">{retrying.position === null ? buy.retrying : explain(retrying)}</p>}
        {gone ? (
          <button type="button" class="btn ink wide" data-testid="to-waitlist" onClick={() => onWait(offer.id)}>{wait.join}</button>
        ) : (
          <>
            <p class="small muted">{buy.legal}</p>
            <button type="button" class="btn primary wide" data-testid="place-order" onClick={place}
              disabled={confirmation === null || placing || state !== "open" || !paying.ready}>
              {placing ? <><span class="spinner tiny" />{buy.placing}</> : buy.place}
            </button>
          </>
        )}
      </div>
    </Sheet>
  );
}

/** Saved beside the purchase, never before it: nobody loses the last unit to a form. */
function keep(method: string): void {
  beginSetup(method).then(
    ({ state }) => toast(state === "saved" ? pay.saved : state === "requires_action" ? pay.save_needs_action : pay.save_failed, state === "failed"),
    () => toast(pay.save_failed, true),
  );
}

/** Nothing is sent again by itself any more: a word that promises so would not be true. */
function toldOf(problem: Problem): string {
  if (problem.kind === "network") return `${explain(problem)} ${buy.unknown}`;
  return problem.retryable ? buy.still_busy : explain(problem);
}
