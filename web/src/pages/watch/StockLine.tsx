import type { JSX } from "preact";
import { count, countdown } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { words } from "../../ui/words";
import type { PinState } from "./offers";
import { text } from "./texts";

/** Few enough that it matters to a buyer. */
const SCARCE = 10;

export function StockLine({ pin, nowMs }: { pin: PinState; nowMs: number }): JSX.Element {
  return (
    <span class="stock-line num">
      {pin.left !== null && pin.state !== "sold-out" && (
        <span class={pin.left <= SCARCE ? "left scarce" : "left"} data-testid="stock" data-left={pin.left}>{fill(words.left, { n: count(pin.left) })}</span>
      )}
      {pin.state === "sold-out" && <span class="left gone" data-testid="stock" data-left={0}>{words.sold_out}</span>}
      {pin.endsAtMs > 0 && pin.state !== "over" && pin.state !== "soon" && (
        <span class="timer" data-testid="countdown">{fill(text.ends_in, { left: countdown(pin.endsAtMs - nowMs) })}</span>
      )}
      {pin.state === "over" && <span class="left gone">{text.offer_over}</span>}
      {pin.limit > 0 && <span>{fill(text.limit, { n: pin.limit })}</span>}
    </span>
  );
}
