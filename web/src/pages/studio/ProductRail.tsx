import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api, seg, withQuery } from "../../api/client";
import { explain } from "../../api/problem-texts";
import type { Page, Product } from "../../api/types";
import type { RoomPin } from "../../hub/model";
import { count, money } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { Empty, Failed, Loading } from "../../ui/states";
import { toast } from "../../ui/toast";
import { useLoad } from "../../ui/useLoad";
import { words } from "../../ui/words";
import { ProductPicture } from "../watch/ProductPicture";
import { PinForm } from "./PinForm";
import { PinnedRow } from "./PinnedRow";
import type { Desk } from "./store";
import { text } from "./texts";

export function ProductRail({ at }: { at: Desk }): JSX.Element {
  const [search, setSearch] = useState("");
  const [chosen, setChosen] = useState<Product | null>(null);
  const room = at.room.value;
  const catalog = useLoad(
    () => api.get<Page<Product>>(withQuery(`/v1/lives/${seg(at.liveId)}/catalog`, { q: search.trim(), limit: 50 })),
    [at.liveId, search.trim()], 15_000,
  );
  const unpin = (pin: RoomPin): void => {
    api.remove(`/v1/lives/${seg(at.liveId)}/pins/${seg(pin.id)}`).catch((thrown: unknown) => toast(explain(thrown), true));
  };
  const pinned = new Set(room.pins.map((pin) => pin.product.id));
  return (
    <section class="panel rail" aria-label={text.products}>
      <h2>{text.products}</h2>
      {room.pins.length > 0 && (
        <ul class="stack" aria-label={text.on_stage}>
          {room.pins.map((pin) => <li key={pin.id}><PinnedRow at={at} pin={pin} onUnpin={() => unpin(pin)} /></li>)}
        </ul>
      )}
      <label class="field"><span>{text.catalog}</span>
        <input class="input" type="search" value={search} placeholder={text.search} data-testid="catalog-search" onInput={(event) => setSearch(event.currentTarget.value)} />
      </label>
      {catalog.problem !== null && <Failed problem={catalog.problem} onRetry={catalog.reload} />}
      {catalog.value === null && catalog.problem === null && <Loading lines={2} />}
      {catalog.value !== null && catalog.value.items.length === 0 && <Empty icon="bag">{text.no_products}</Empty>}
      <ul class="catalog">
        {catalog.value?.items.map((product) => (
          <li key={product.id} data-testid="catalog-product" data-product={product.id}>
            <ProductPicture path={product.image_path} size={48} />
            <div class="grow">
              <p class="clip"><strong>{product.title}</strong></p>
              <p class="small muted num clip">{stockOf(product, at)} ・ {priceOf(product)} ・ {product.brand_name}</p>
            </div>
            <button type="button" class="btn small ink" data-testid="choose-product" disabled={room.live?.state === "ended"} onClick={() => setChosen(product)}>
              {pinned.has(product.id) ? text.repin : text.pin}
            </button>
          </li>
        ))}
      </ul>
      {chosen !== null && <PinForm liveId={at.liveId} product={chosen} onClose={() => setChosen(null)} />}
    </section>
  );
}

function priceOf(product: Product): string {
  const prices = product.skus.map((sku) => sku.price_minor);
  const low = Math.min(...prices);
  return `${money(low, product.skus[0]?.currency)}${Math.max(...prices) > low ? "〜" : ""}`;
}

/** The hub's number where it is newer than the catalogue's. */
function stockOf(product: Product, at: Desk): string {
  const left = product.skus.reduce((sum, sku) => {
    const told = at.room.value.stock.get(sku.id);
    return sum + (told !== undefined && told.version > sku.stock_version ? told.available : sku.available);
  }, 0);
  return left === 0 ? words.sold_out : fill(words.left, { n: count(left) });
}
