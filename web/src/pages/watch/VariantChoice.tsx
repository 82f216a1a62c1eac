import type { JSX } from "preact";
import type { RoomOffer } from "../../hub/model";
import { count } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { words } from "../../ui/words";
import { buy } from "./buy-texts";
import { available, type Shelf } from "./offers";

interface VariantChoiceProps {
  offers: readonly RoomOffer[];
  shelf: Shelf;
  value: string;
  disabled: boolean;
  onChange: (offerId: string) => void;
}

/** A variant that is sold out can be chosen too: there is a waitlist. */
export function VariantChoice({ offers, shelf, value, disabled, onChange }: VariantChoiceProps): JSX.Element {
  return (
    <fieldset class="variants" disabled={disabled}>
      <legend class="label">{buy.variant}</legend>
      {offers.map((offer) => {
        const left = available(shelf, offer);
        return (
          <label key={offer.id} class={left === 0 ? "variant gone" : "variant"}>
            <input type="radio" name="variant" value={offer.id} checked={offer.id === value}
              data-testid="variant" onChange={() => onChange(offer.id)} />
            <span>{offer.variant === "" ? "—" : offer.variant}</span>
            {left !== null && <span class="small num">{left === 0 ? words.sold_out : fill(words.left, { n: count(left) })}</span>}
          </label>
        );
      })}
    </fieldset>
  );
}
