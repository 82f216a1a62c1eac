import type { JSX } from "preact";
import type { RoomPin } from "../../hub/model";
import { count, countdown, money } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { words } from "../../ui/words";
import { offerState } from "../watch/offers";
import { ProductPicture } from "../watch/ProductPicture";
import { text as watchText } from "../watch/texts";
import { useClock } from "../watch/useClock";
import type { Desk } from "./store";
import { text } from "./texts";

interface PinnedRowProps {
  at: Desk;
  pin: RoomPin;
  onUnpin: () => void;
}

/** A product on stage, with what is left of each SKU as it moves. */
export function PinnedRow({ at, pin, onUnpin }: PinnedRowProps): JSX.Element {
  const { stock } = at.room.value;
  const ends = pin.offers.map((offer) => offer.endsAtMs).filter((end) => end > 0)[0] ?? 0;
  const now = useClock(at.hub.clock, ends > 0);
  return (
    <div class="pinned" data-testid="pinned" data-product={pin.product.id}>
      <div class="row">
        <ProductPicture path={pin.product.imagePath} size={44} />
        <div class="grow"><p class="clip"><strong>{pin.product.title}</strong></p>
          <p class="small num">
            <span class="tag live">{text.on_stage}</span>{" "}
            {ends > 0 && (ends > now ? fill(watchText.ends_in, { left: countdown(ends - now) }) : watchText.offer_over)}
          </p>
        </div>
        <button type="button" class="btn small" data-testid="unpin" onClick={onUnpin}>{text.unpin}</button>
      </div>
      <table class="num">
        <tbody>
          {pin.offers.map((offer) => {
            const left = stock.get(offer.skuId)?.available;
            const state = offerState(offer, stock, now);
            return (
              <tr key={offer.id}>
                <th scope="row">{offer.variant === "" ? text.stock : offer.variant}</th>
                <td>{money(offer.priceMinor, offer.currency)}</td>
                <td class={state === "sold-out" ? "gone" : ""} data-testid="sku-stock" data-sku={offer.skuId} data-left={left ?? ""}>
                  {left === undefined ? "–" : left === 0 ? words.sold_out : fill(words.left, { n: count(left) })}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
