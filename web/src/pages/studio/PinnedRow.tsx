import type { JSX } from "preact";
import type { RoomPin } from "../../hub/model";
import { count, countdown, money } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { words } from "../../ui/words";
import { offerState, timedUntil } from "../watch/offers";
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
  const room = at.room.value;
  const ends = pin.offers.map((offer) => offer.endsAtMs).filter((end) => end > 0)[0] ?? 0;
  const now = useClock(at.hub.clock, timedUntil(pin));
  const starts = Math.min(...pin.offers.map((offer) => offer.startsAtMs));
  return (
    <div class="pinned" data-testid="pinned" data-product={pin.product.id}>
      <div class="row">
        <ProductPicture path={pin.product.imagePath} size={44} />
        <div class="grow"><p class="clip"><strong>{pin.product.title}</strong></p>
          <p class="small num">
            <span class="tag live">{text.on_stage}</span>{" "}
            {starts > now && <span data-testid="pinned-starts">{fill(watchText.on_sale_in, { left: countdown(starts - now) })}</span>}
            {ends > 0 && starts <= now && (ends > now ? fill(watchText.ends_in, { left: countdown(ends - now) }) : watchText.offer_over)}
          </p>
        </div>
        <button type="button" class="btn small" data-testid="unpin" onClick={onUnpin}>{text.unpin}</button>
      </div>
      <table class="num">
        <tbody>
          {pin.offers.map((offer) => {
            const left = room.stock.get(offer.skuId)?.available;
            const state = offerState(offer, room, now);
            const quotaLeft = room.offersLeft.get(offer.id)?.left ?? offer.quota;
            return (
              <tr key={offer.id}>
                <th scope="row">{offer.variant === "" ? text.stock : offer.variant}</th>
                <td>{money(offer.priceMinor, offer.currency)}</td>
                <td class={state === "sold-out" ? "gone" : ""} data-testid="sku-stock" data-sku={offer.skuId} data-left={left ?? ""}>
                  {left === undefined ? "–" : left === 0 ? words.sold_out : fill(words.left, { n: count(left) })}
                  {offer.quota > 0 && (
                    <span class="quota" data-testid="quota-left" data-left={quotaLeft}>{fill(text.quota_left, { left: count(quotaLeft), quota: count(offer.quota) })}</span>
                  )}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
