import type { JSX } from "preact";
import type { RoomPin } from "../../hub/model";
import { percentOff } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { placeOf, turnsUntil } from "../../purchase/places";
import { pinState, timedUntil } from "./offers";
import { PinAction, type PinActs } from "./PinAction";
import { PlaceNote } from "./PlaceNote";
import { Price } from "./Price";
import { ProductPicture } from "./ProductPicture";
import { StockLine } from "./StockLine";
import type { Visit } from "./store";
import { text } from "./texts";
import { useClock } from "./useClock";

interface PinCardProps {
  here: Visit;
  pin: RoomPin;
  acts: PinActs;
  /** How many more products are pinned. */
  others?: number;
  onOthers?: () => void;
}

/** The product that is on stage: what it costs now, what is left, and the first of the two taps. */
export function PinCard({ here, pin, acts, others = 0, onOthers }: PinCardProps): JSX.Element | null {
  const room = here.room.value;
  const now = useClock(here.hub.clock, Math.max(timedUntil(pin), turnsUntil(room)));
  const state = pinState(pin, room, now);
  if (state === null) return null;
  const off = percentOff(state.priceMinor, state.regularMinor);
  const places = pin.offers.map((offer) => placeOf(room, offer.id, now));
  // Who can buy at once need not hear of a turn that was missed.
  const ended = places.find((place) => place.kind === "lapsed" || (place.kind === "missed" && state.state === "sold-out"));
  return (
    <article class="pin" aria-label={`${text.pinned}: ${pin.product.title}`} data-testid="pin-card" data-product={pin.product.id} data-state={state.state}>
      <div class="shot">
        <ProductPicture path={pin.product.imagePath} size={72} />
        {off > 0 && <span class="off num" data-testid="off">{fill(text.off, { n: off })}</span>}
      </div>
      <div class="about">
        <p class="brand clip">{pin.product.brandName}</p>
        <h2 class="clip" data-testid="pin-title">{pin.product.title}</h2>
        <Price priceMinor={state.priceMinor} regularMinor={state.regularMinor} currency={state.currency} from={state.from} bare />
        <StockLine pin={state} nowMs={now} />
      </div>
      <div class="act">
        <PinAction here={here} pin={pin} state={state} places={places} nowMs={now} acts={acts} />
        {others > 0 && onOthers !== undefined && (
          <button type="button" class="more" data-testid="all-products" onClick={onOthers}>{fill(text.all_products, { n: others + 1 })}</button>
        )}
      </div>
      {ended !== undefined && <PlaceNote place={ended} />}
    </article>
  );
}
