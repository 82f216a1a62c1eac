import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api, seg } from "../../api/client";
import { asProblem } from "../../api/problem";
import { explain } from "../../api/problem-texts";
import type { PaymentRequest, Purchase } from "../../api/types";
import { countdown } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { rememberVoucher } from "../../payment/options";
import { PaymentChoice } from "../../payment/PaymentChoice";
import { PurchaseProgress } from "../../payment/PurchaseProgress";
import { usePayment } from "../../payment/usePayment";
import { persist } from "../../purchase/persist";
import { statusOf } from "../../purchase/places";
import { outcome } from "../../purchase/status";
import { useFollow } from "../../purchase/useFollow";
import { uuid } from "../../purchase/uuid";
import { Sheet } from "../../ui/Sheet";
import { Failed, Loading } from "../../ui/states";
import { toast } from "../../ui/toast";
import { useLoad } from "../../ui/useLoad";
import { buy } from "./buy-texts";
import { ConfirmationView } from "./ConfirmationView";
import type { Visit } from "./store";
import { useClock } from "./useClock";
import { useConfirmation } from "./useConfirmation";
import { wait } from "./wait-texts";
import { giveBack } from "./waits";

interface TurnSheetProps {
  here: Visit;
  purchaseId: string;
  onClose: () => void;
  /** Opens the waitlist again, where the product is still on stage. */
  onWait: (offerId: string) => void;
}

/** A hold that was given for a place on a waitlist: paid or given back before its time is over. */
export function TurnSheet({ here, purchaseId, onClose, onWait }: TurnSheetProps): JSX.Element {
  const held = useLoad(() => api.get<Purchase>(`/v1/purchases/${seg(purchaseId)}`), [purchaseId]);
  const followed = useFollow(held.value, here.room.value.purchases.get(purchaseId));
  const expiresAtMs = followed.view?.holdExpiresAtMs ?? 0;
  const now = useClock(here.hub.clock, expiresAtMs);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const [paidHere, setPaidHere] = useState(false);
  const state = followed.view?.state ?? "";
  const open = state === "held" && (expiresAtMs > now || busy);
  const missed = state === "expired" || (state === "held" && !open);
  const confirming = useConfirmation(open ? (held.value?.offer_id ?? null) : null, held.value?.qty ?? 1, 0);
  const { confirmation } = confirming;
  const paying = usePayment(here.room.value.pins.some((pin) => pin.offers.some((offer) => offer.id === held.value?.offer_id && offer.endsAtMs > 0)));

  const run = (work: Promise<void>): void => {
    setBusy(true);
    setProblem(null);
    work.catch((thrown: unknown) => {
      const known = asProblem(thrown);
      setProblem(known.kind === "network" ? `${explain(known)} ${buy.unknown}` : explain(known));
      if (known.kind === "price-changed") confirming.reload();
      // What it is now: it may have been paid by an answer that was lost, or have run out.
      else held.reload();
    }).finally(() => setBusy(false));
  };
  const pay = async (hash: string): Promise<void> => {
    const method = await paying.method();
    if (method === null) return;
    const idempotencyKey = uuid();
    const request: PaymentRequest = { payment_method: method, confirmation_hash: hash };
    const purchase = await persist(() => api.post<Purchase>(`/v1/purchases/${seg(purchaseId)}/pay`, request, { idempotencyKey }), {});
    if (paying.slow()) rememberVoucher(purchaseId);
    paying.settled();
    setPaidHere(true);
    here.hub.learn({ kind: "purchase", purchase: statusOf(purchase) });
  };
  const pass = async (): Promise<void> => {
    await giveBack(here.hub, purchaseId);
    toast(wait.given_back);
    onClose();
  };
  const again = (): void => {
    if (held.value !== null) onWait(held.value.offer_id);
  };

  if (held.value === null) {
    return (
      <Sheet title={wait.turn} onClose={onClose} testId="turn-sheet">
        {held.problem === null ? <Loading /> : <Failed problem={held.problem} onRetry={held.reload} />}
      </Sheet>
    );
  }
  if (missed) {
    return (
      <Sheet title={wait.title} onClose={onClose} testId="turn-sheet">
        <div class="stack">
          <p class="notice" role="status" data-testid="turn-missed">{wait.missed}</p>
          <button type="button" class="btn primary wide" data-testid="turn-join-again" onClick={again}>{wait.join_again}</button>
          <button type="button" class="btn wide" onClick={onClose}>{buy.keep_watching}</button>
        </div>
      </Sheet>
    );
  }
  if (!open) {
    const reached = outcome(state);
    const title = reached === "paid" ? buy.thanks : reached === "lost" ? buy.failed : buy.progress;
    return (
      <Sheet title={title} onClose={onClose} testId="turn-sheet">
        <PurchaseProgress placed={held.value} followed={followed} fresh={paidHere} onAgain={again}>
          <button type="button" class="btn ink wide" data-testid="keep-watching" onClick={onClose}>{buy.keep_watching}</button>
        </PurchaseProgress>
      </Sheet>
    );
  }
  return (
    <Sheet title={wait.turn} onClose={onClose} testId="turn-sheet">
      <div class="stack">
        {confirmation !== null && (
          <p>{fill(wait.turn_text, { product: nameOf(confirmation.product_title, confirmation.variant) })}</p>
        )}
        <p class="turn-clock num" role="timer" aria-live="off" data-testid="turn-countdown">{fill(wait.turn_left, { left: countdown(expiresAtMs - now) })}</p>
        <PaymentChoice paying={paying} amountMinor={confirmation?.total_minor ?? held.value.total_minor} currency={held.value.currency} disabled={busy} />
        <ConfirmationView of={confirming} />
      </div>
      <div class="place">
        {problem !== null && <p class="notice bad" role="alert" data-testid="turn-problem">{problem}</p>}
        <p class="small muted">{wait.legal}</p>
        <button type="button" class="btn primary wide" data-testid="turn-pay" disabled={confirmation === null || busy || !paying.ready}
          onClick={() => { if (confirmation !== null) run(pay(confirmation.hash)); }}>
          {busy ? <><span class="spinner tiny" />{wait.paying}</> : wait.pay}
        </button>
        <button type="button" class="btn wide" data-testid="turn-pass" disabled={busy} onClick={() => run(pass())}>{wait.give_back}</button>
      </div>
    </Sheet>
  );
}

function nameOf(title: string, variant: string | null): string {
  return variant === null || variant === "" ? title : `${title} / ${variant}`;
}
