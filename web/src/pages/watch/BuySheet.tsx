import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { api, seg, withQuery } from "../../api/client";
import { asProblem } from "../../api/problem";
import { explain, problemText } from "../../api/problem-texts";
import type { Confirmation, Purchase } from "../../api/types";
import { PurchaseAttempt } from "../../purchase/attempt";
import { outcome } from "../../purchase/status";
import { useFollow } from "../../purchase/useFollow";
import { Sheet } from "../../ui/Sheet";
import { Failed } from "../../ui/states";
import { buy } from "./buy-texts";
import { ConfirmationTable } from "./ConfirmationTable";
import { offerState, qtyMax } from "./offers";
import { Price } from "./Price";
import { ProductPicture } from "./ProductPicture";
import { PurchaseProgress } from "./PurchaseProgress";
import { Stepper } from "./Stepper";
import type { Visit } from "./store";
import { useClock } from "./useClock";
import { VariantChoice } from "./VariantChoice";

const PAYMENT_METHOD = "sandbox_card";

interface BuySheetProps {
  here: Visit;
  pinId: string;
  onClose: () => void;
}

/** The second tap. Shows the final confirmation of exactly what the button would order, and then what became of it. */
export function BuySheet({ here, pinId, onClose }: BuySheetProps): JSX.Element {
  const room = here.room.value;
  // Kept: a product that is unpinned while someone reads must not vanish under the thumb; the server decides.
  const kept = useRef(room.pins.find((pin) => pin.id === pinId));
  kept.current = room.pins.find((pin) => pin.id === pinId) ?? kept.current;
  const pin = kept.current;
  const now = useClock(here.hub.clock, true);
  const open = pin?.offers.filter((offer) => offerState(offer, room.stock, now) === "open") ?? [];
  const [chosenId, setChosenId] = useState<string | null>(open[0]?.id ?? pin?.offers[0]?.id ?? null);
  const offer = pin?.offers.find((candidate) => candidate.id === chosenId) ?? null;
  const [wanted, setWanted] = useState(1);
  const qty = offer === null ? 1 : Math.min(wanted, qtyMax(offer, room.stock));
  const [round, setRound] = useState(0);
  const [confirmation, setConfirmation] = useState<Confirmation | null>(null);
  const [confirmationProblem, setConfirmationProblem] = useState<unknown>(null);
  const [placed, setPlaced] = useState<Purchase | null>(null);
  const [busy, setBusy] = useState<"placing" | "retrying" | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const followed = useFollow(placed, placed === null ? undefined : room.purchases.get(placed.id));
  const attempt = useMemo(() => new PurchaseAttempt({
    post: (request, idempotencyKey) => api.post<Purchase>("/v1/purchases", request, { idempotencyKey }),
    onRetry: () => setBusy("retrying"),
  }), []);

  // What is confirmed must be what would be ordered: asked again for each choice and each change of the offer.
  useEffect(() => {
    if (chosenId === null || placed !== null) return undefined;
    const abort = new AbortController();
    setConfirmation(null);
    setConfirmationProblem(null);
    api.get<Confirmation>(withQuery(`/v1/offers/${seg(chosenId)}/confirmation`, { qty }), { signal: abort.signal }).then(
      setConfirmation,
      (thrown: unknown) => { if (!abort.signal.aborted) setConfirmationProblem(thrown); },
    );
    return () => abort.abort();
  }, [chosenId, qty, offer?.version, round]);

  if (pin === undefined || offer === null) {
    return <Sheet title={buy.title} onClose={onClose}><p class="notice">{buy.unavailable}</p></Sheet>;
  }
  const state = offerState(offer, room.stock, now);

  const place = (): void => {
    if (confirmation === null || busy !== null) return;
    setBusy("placing");
    setProblem(null);
    attempt.place({
      offer_id: offer.id, qty: confirmation.qty, confirmation_hash: confirmation.hash, payment_method: PAYMENT_METHOD,
    }).then(setPlaced, (thrown: unknown) => {
      const known = asProblem(thrown);
      setProblem(known.kind === "network" ? `${explain(known)} ${buy.unknown}` : explain(known));
      if (known.kind === "price-changed" || known.kind === "idempotency-key-reused") setRound((value) => value + 1);
    }).finally(() => setBusy(null));
  };
  const again = (): void => {
    setPlaced(null);
    setProblem(null);
    setRound((value) => value + 1);
  };

  if (placed !== null) {
    const reached = outcome(followed.view?.state ?? placed.state);
    const title = reached === "paid" ? buy.thanks : reached === "lost" ? buy.failed : buy.progress;
    return (
      <Sheet title={title} onClose={onClose} testId="buy-sheet">
        <PurchaseProgress placed={placed} followed={followed} onClose={onClose} onAgain={again} />
      </Sheet>
    );
  }
  return (
    <Sheet title={buy.title} onClose={onClose} testId="buy-sheet">
      <div class="stack">
        <div class="row buy-head">
          <ProductPicture path={pin.product.imagePath} size={72} />
          <div class="grow">
            <p class="small muted">{pin.product.brandName}</p>
            <h3>{pin.product.title}{offer.variant !== "" && ` / ${offer.variant}`}</h3>
            <Price priceMinor={offer.priceMinor} regularMinor={offer.regularPriceMinor} currency={offer.currency} />
          </div>
        </div>
        {pin.offers.length > 1 && (
          <VariantChoice offers={pin.offers} stock={room.stock} value={offer.id} disabled={busy !== null} onChange={(id) => { setChosenId(id); setProblem(null); }} />
        )}
        <div class="row spread">
          <span class="label">{buy.qty}</span>
          <Stepper value={qty} max={qtyMax(offer, room.stock)} disabled={busy !== null} onChange={setWanted} />
        </div>
        {confirmationProblem !== null && <Failed problem={confirmationProblem} onRetry={() => setRound((value) => value + 1)} />}
        {confirmation === null
          ? confirmationProblem === null && <div class="skeleton" style={{ height: "330px" }} />
          : <ConfirmationTable of={confirmation} />}
      </div>
      <div class="place">
        {problem !== null && <p class="notice bad" role="alert" data-testid="buy-problem">{problem}</p>}
        {state !== "open" && <p class="notice bad" role="alert" data-testid="buy-closed">{problemText(state === "over" ? "offer-ended" : "sold-out")}</p>}
        {busy === "retrying" && <p class="notice" role="status">{buy.retrying}</p>}
        <p class="small muted">{buy.legal} {buy.sandbox_note}</p>
        <button type="button" class="btn primary wide" data-testid="place-order" disabled={confirmation === null || busy !== null || state !== "open"} onClick={place}>
          {busy === null ? buy.place : <><span class="spinner tiny" />{buy.placing}</>}
        </button>
      </div>
    </Sheet>
  );
}
