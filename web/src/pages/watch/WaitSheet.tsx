import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { explain, problemText } from "../../api/problem-texts";
import { placeOf } from "../../purchase/places";
import { Sheet } from "../../ui/Sheet";
import { buy } from "./buy-texts";
import { ConfirmationView } from "./ConfirmationView";
import { GoodsHead } from "./GoodsHead";
import { offerState } from "./offers";
import { PlaceNote } from "./PlaceNote";
import type { Visit } from "./store";
import { text } from "./texts";
import { useClock } from "./useClock";
import { useConfirmation } from "./useConfirmation";
import { usePin } from "./usePin";
import { VariantChoice } from "./VariantChoice";
import { wait } from "./wait-texts";
import { join, leave } from "./waits";

interface WaitSheetProps {
  here: Visit;
  pinId: string;
  /** The variant to begin with; null = the first that is sold out. */
  offerId: string | null;
  onClose: () => void;
  onBuy: (offerId: string) => void;
  onTurn: (purchaseId: string) => void;
}

/** A place on the waitlist of one variant: taken, held and given back. The sheet that is shown is the one that is joined for. */
export function WaitSheet({ here, pinId, offerId, onClose, onBuy, onTurn }: WaitSheetProps): JSX.Element {
  const room = here.room.value;
  const pin = usePin(room, pinId);
  const now = useClock(here.hub.clock, Number.POSITIVE_INFINITY);
  const soldOut = pin?.offers.find((offer) => offerState(offer, room, now) === "sold-out");
  const [chosenId, setChosenId] = useState<string | null>(offerId ?? soldOut?.id ?? pin?.offers[0]?.id ?? null);
  const offer = pin?.offers.find((candidate) => candidate.id === chosenId) ?? null;
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const place = placeOf(room, chosenId ?? "", now);
  const asks = place.kind !== "waiting" && place.kind !== "turn";
  const confirming = useConfirmation(asks ? chosenId : null, 1, offer?.version ?? 0);

  const told = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // The button that was pressed is gone; the focus goes to what became of it.
    if (document.activeElement === document.body) told.current?.focus();
  }, [place.kind]);

  if (pin === undefined || offer === null) {
    return <Sheet title={wait.title} onClose={onClose}><p class="notice">{buy.unavailable}</p></Sheet>;
  }
  const state = offerState(offer, room, now);
  // Also while there are units: they may be meant for those who wait already, and a new buy is refused.
  const joinable = asks && (state === "sold-out" || state === "open");
  const { confirmation } = confirming;
  const run = (work: Promise<void>): void => {
    setBusy(true);
    setProblem(null);
    work.catch((thrown: unknown) => {
      setProblem(thrown);
      confirming.reload();
    }).finally(() => setBusy(false));
  };

  return (
    <Sheet title={wait.title} onClose={onClose} testId="wait-sheet">
      <div class="stack">
        <GoodsHead pin={pin} offer={offer} />
        {pin.offers.length > 1 && (
          <VariantChoice offers={pin.offers} shelf={room} value={offer.id} disabled={busy} onChange={(id) => { setChosenId(id); setProblem(null); }} />
        )}
        <div ref={told} class="stack told" role="status" tabIndex={-1} data-testid="place" data-place={place.kind}>
          {place.kind === "waiting" && <p class="notice good"><strong>{wait.waiting}</strong><br />{wait.stay}</p>}
          {place.kind === "turn" && <p class="notice good"><strong>{wait.turn}</strong></p>}
          <PlaceNote place={place} />
        </div>
        {joinable && (
          <>
            <p>{wait.lead}</p>
            <h3>{wait.terms}</h3>
            <ConfirmationView of={confirming} />
          </>
        )}
      </div>
      <div class="place">
        {problem !== null && <p class="notice bad" role="alert" data-testid="wait-problem">{explain(problem)}</p>}
        {place.kind === "turn" && (
          <button type="button" class="btn primary wide" data-testid="wait-turn" onClick={() => onTurn(place.purchaseId)}>{wait.pay_now}</button>
        )}
        {place.kind === "waiting" && (
          <>
            <button type="button" class="btn ink wide" onClick={onClose}>{buy.keep_watching}</button>
            <button type="button" class="btn wide" disabled={busy} data-testid="wait-leave" onClick={() => run(leave(here.hub, place.wait))}>{wait.leave_long}</button>
          </>
        )}
        {asks && state === "open" && (
          <>
            <p class="notice good" role="status">{wait.open_now}</p>
            <button type="button" class="btn primary wide" data-testid="wait-buy" onClick={() => onBuy(offer.id)}>{text.buy}</button>
          </>
        )}
        {joinable && (
          <button type="button" class={state === "open" ? "btn wide" : "btn primary wide"} disabled={busy || confirmation === null} data-testid="wait-join"
            onClick={() => { if (confirmation !== null) run(join(here.hub, { offer_id: offer.id, qty: 1, confirmation_hash: confirmation.hash })); }}>
            {busy ? <><span class="spinner tiny" />{wait.joining}</> : wait.join}
          </button>
        )}
        {asks && state === "over" && <p class="notice bad" role="alert">{problemText("offer-ended")}</p>}
        {asks && state === "soon" && <p class="notice" role="status">{problemText("offer-not-started")}</p>}
      </div>
    </Sheet>
  );
}
