import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { PurchaseStatus } from "../../hub/model";
import { countdown } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { offerOf, openTurns, placeOf, turnsUntil } from "../../purchase/places";
import { toast } from "../../ui/toast";
import { words } from "../../ui/words";
import type { Visit } from "./store";
import { useClock } from "./useClock";
import { wait } from "./wait-texts";

interface TurnBannerProps {
  here: Visit;
  /** A sheet stands above the banner. */
  covered: boolean;
  onTurn: (purchaseId: string) => void;
  /** Opens the waitlist of an offer that is still on stage. */
  onWait: (offerId: string) => void;
}

/** Units are held for the person, and for how long; afterwards, that they were. */
export function TurnBanner({ here, covered, onTurn, onWait }: TurnBannerProps): JSX.Element {
  const room = here.room.value;
  const now = useClock(here.hub.clock, turnsUntil(room));
  const [dismissed, setDismissed] = useState("");
  const turn = openTurns(room, now)[0] ?? null;
  const last = useRef<PurchaseStatus | null>(null);
  if (turn !== null) last.current = turn;
  useEffect(() => {
    if (turn !== null && covered) toast(wait.turn);
  }, [turn?.id]);

  const offerId = last.current === null ? null : offerOf(last.current);
  const missed = turn === null && offerId !== null && last.current?.id !== dismissed && placeOf(room, offerId, now).kind === "missed";
  const onStage = room.pins.find((pin) => pin.offers.some((offer) => offer.id === offerId));
  return (
    <div aria-live="polite" class="banner-place">
      {turn !== null && (
        <div class="banner turn" data-testid="turn" data-purchase={turn.id}>
          <h2>{wait.turn}</h2>
          <p>{onStage === undefined ? wait.turn_nameless : fill(wait.turn_text, { product: onStage.product.title })}</p>
          <p class="turn-clock num" role="timer" aria-live="off">{fill(wait.turn_left, { left: countdown(turn.holdExpiresAtMs - now) })}</p>
          <button type="button" class="btn primary wide" data-testid="turn-open" onClick={() => onTurn(turn.id)}>{wait.pay_now}</button>
        </div>
      )}
      {missed && (
        <div class="banner news" data-testid="turn-over">
          <p>{wait.missed}</p>
          <div class="row wrap">
            {onStage !== undefined && offerId !== null && (
              <button type="button" class="btn small" data-testid="turn-again" onClick={() => onWait(offerId)}>{wait.join_again}</button>
            )}
            <button type="button" class="btn small quiet" onClick={() => setDismissed(last.current?.id ?? "")}>{words.close}</button>
          </div>
        </div>
      )}
    </div>
  );
}
