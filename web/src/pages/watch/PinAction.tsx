import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { explain } from "../../api/problem-texts";
import type { RoomPin, Wait } from "../../hub/model";
import { countdown } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import type { Place } from "../../purchase/places";
import { toast } from "../../ui/toast";
import type { PinState } from "./offers";
import type { Visit } from "./store";
import { text } from "./texts";
import { wait } from "./wait-texts";
import { leave } from "./waits";

/** What a tap on a card can lead to. */
export interface PinActs {
  onBuy: (pin: RoomPin) => void;
  onWait: (pin: RoomPin) => void;
  onTurn: (purchaseId: string) => void;
}

interface PinActionProps {
  here: Visit;
  pin: RoomPin;
  state: PinState;
  /** The person's places, one per variant. */
  places: readonly Place[];
  nowMs: number;
  acts: PinActs;
}

/** The first of the two taps, or what stands in its place: a countdown, the waitlist, one's turn. */
export function PinAction({ here, pin, state, places, nowMs, acts }: PinActionProps): JSX.Element {
  const turn = places.find((place) => place.kind === "turn");
  const waiting = places.find((place) => place.kind === "waiting");
  const closed = here.room.value.live?.state === "ended";
  if (turn !== undefined) {
    return <button type="button" class="btn primary wraps" data-testid="take-turn" onClick={() => acts.onTurn(turn.purchaseId)}>{wait.pay_now}</button>;
  }
  if (waiting !== undefined && pin.offers.length === 1) return <Waiting here={here} place={waiting.wait} />;
  const list = <button type="button" class="btn small" data-testid="waiting" onClick={() => acts.onWait(pin)}>{wait.waiting}</button>;
  if (state.state === "sold-out" && !closed) {
    if (waiting !== undefined) return list;
    return <button type="button" class="btn join wraps" data-testid="join-waitlist" onClick={() => acts.onWait(pin)}>{wait.join}</button>;
  }
  return (
    <>
      <BuyButton state={state} nowMs={nowMs} closed={closed} onBuy={() => acts.onBuy(pin)} />
      {waiting !== undefined && list}
    </>
  );
}

function BuyButton({ state, nowMs, closed, onBuy }: { state: PinState; nowMs: number; closed: boolean; onBuy: () => void }): JSX.Element {
  const soon = state.state === "soon";
  const wasSoon = useRef(soon);
  const [started, setStarted] = useState(false);
  useEffect(() => {
    // A countdown is not read out; that it is over is.
    setStarted(wasSoon.current && state.state === "open");
    wasSoon.current = soon;
  }, [state.state]);
  return (
    <>
      <button type="button" class={soon ? "btn primary wraps" : "btn primary"} data-testid="buy" disabled={state.state !== "open" || closed} onClick={onBuy}>
        {soon ? fill(text.on_sale_in, { left: countdown(state.startsAtMs - nowMs) }) : state.state === "over" ? text.offer_over : text.buy}
      </button>
      <span class="sr" role="status">{started ? text.on_sale : ""}</span>
    </>
  );
}

function Waiting({ here, place }: { here: Visit; place: Wait }): JSX.Element {
  const [busy, setBusy] = useState(false);
  const stop = (button: HTMLButtonElement): void => {
    const box = button.parentElement;
    setBusy(true);
    leave(here.hub, place).then(() => {
      toast(wait.left);
      // This button is about to go; the focus goes to the one that comes.
      setTimeout(() => { if (document.activeElement === document.body) box?.querySelector("button")?.focus(); }, 0);
    }, (thrown: unknown) => toast(explain(thrown), true)).finally(() => setBusy(false));
  };
  return (
    <>
      <span class="tag soon" role="status" data-testid="waiting">{wait.waiting}</span>
      <button type="button" class="btn small" aria-label={wait.leave_long} disabled={busy} data-testid="leave-waitlist"
        onClick={(event) => stop(event.currentTarget)}>{wait.leave}</button>
    </>
  );
}
