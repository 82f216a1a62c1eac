import type { JSX } from "preact";
import type { RoomOffer, RoomPin } from "../../hub/model";
import { Price } from "./Price";
import { ProductPicture } from "./ProductPicture";

/** What a sheet is about. */
export function GoodsHead({ pin, offer }: { pin: RoomPin; offer: RoomOffer }): JSX.Element {
  return (
    <div class="row buy-head">
      <ProductPicture path={pin.product.imagePath} size={72} />
      <div class="grow">
        <p class="small muted">{pin.product.brandName}</p>
        <h3>{pin.product.title}{offer.variant !== "" && ` / ${offer.variant}`}</h3>
        <Price priceMinor={offer.priceMinor} regularMinor={offer.regularPriceMinor} currency={offer.currency} />
      </div>
    </div>
  );
}
