import type { JSX } from "preact";
import type { RoomOffer, Stock } from "../../hub/model";
import { count } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { words } from "../../ui/words";
import { buy } from "./buy-texts";
import { available } from "./offers";

interface VariantChoiceProps {
  offers: readonly RoomOffer[];
  stock: ReadonlyMap<string, Stock>;
  value: string;
  disabled: boolean;
  onChange: (offerId: string) => void;
}

export function VariantChoice({ offers, stock, value, disabled, onChange }: VariantChoiceProps): JSX.Element {
  return (
    <fieldset class="variants" disabled={disabled}>
      <legend class="label">{buy.variant}</legend>
      {offers.map((offer) => {
        const left = available(stock, offer.skuId);
        return (
          <label key={offer.id} class={left === 0 ? "variant gone" : "variant"}>
            <input type="radio" name="variant" value={offer.id} checked={offer.id === value} disabled={left === 0}
              data-testid="variant" onChange={() => onChange(offer.id)} />
            <span>{offer.variant === "" ? "—" : offer.variant}</span>
            {left !== null && <span class="small num">{left === 0 ? words.sold_out : fill(words.left, { n: count(left) })}</span>}
          </label>
        );
      })}
    </fieldset>
  );
}
