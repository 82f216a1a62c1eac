import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Room } from "../../hub/room";
import { isDelayed, isStockShort } from "../../purchase/status";
import { words } from "../../ui/words";
import { buy } from "./buy-texts";

/** What became of an order after its sheet was closed: the goods were not there, or they come later. */
export function ShortBanner({ room }: { room: Room }): JSX.Element {
  const [read, setRead] = useState<ReadonlySet<string>>(new Set());
  const news = [...room.purchases.values()].find((purchase) => !read.has(`${purchase.id} ${purchase.state}`)
    && (isStockShort(purchase.state, purchase.reason) || isDelayed(purchase.state, purchase.shortUnits)));
  return (
    <div aria-live="polite" class="banner-place">
      {news !== undefined && (
        <div class="banner news" data-testid="short-news" data-purchase={news.id}>
          <p>{news.state === "cancelled" ? buy.lost_short : buy.delayed}</p>
          <div class="row">
            <button type="button" class="btn small" data-testid="short-read" onClick={() => setRead(new Set(read).add(`${news.id} ${news.state}`))}>{words.close}</button>
          </div>
        </div>
      )}
    </div>
  );
}
