import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api, seg } from "../../api/client";
import { explain } from "../../api/problem-texts";
import type { Pin, PinRequest, Product } from "../../api/types";
import { money, percentOff } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { uuid } from "../../purchase/uuid";
import { Sheet } from "../../ui/Sheet";
import { ProductPicture } from "../watch/ProductPicture";
import { text as watchText } from "../watch/texts";
import { text } from "./texts";

interface PinFormProps {
  liveId: string;
  product: Product;
  onClose: () => void;
}

/** Whole positive numbers only; an empty field means "not set". */
function whole(value: string): number | null {
  const number = Number(value);
  return value.trim() !== "" && Number.isInteger(number) && number > 0 ? number : null;
}

export function PinForm({ liveId, product, onClose }: PinFormProps): JSX.Element {
  const [price, setPrice] = useState("");
  const [limit, setLimit] = useState("");
  const [minutes, setMinutes] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const regular = Math.min(...product.skus.map((sku) => sku.price_minor));
  const off = percentOff(whole(price) ?? regular, regular);

  const pin = (): void => {
    const request: PinRequest = { product_id: product.id };
    const [liveYen, perCustomer, lastsMinutes] = [whole(price), whole(limit), whole(minutes)];
    if (liveYen !== null) request.live_price_minor = liveYen;
    if (perCustomer !== null) request.limit_per_customer = perCustomer;
    if (lastsMinutes !== null) request.ends_in_s = lastsMinutes * 60;
    setBusy(true);
    setProblem(null);
    api.post<Pin>(`/v1/lives/${seg(liveId)}/pins`, request, { idempotencyKey: uuid() }).then(onClose, setProblem).finally(() => setBusy(false));
  };
  const field = (label: string, value: string, set: (value: string) => void, hint: string, testId: string): JSX.Element => (
    <label class="field"><span>{label}</span>
      <input class="input num" type="number" inputmode="numeric" min="1" step="1" value={value} placeholder={hint} data-testid={testId} onInput={(event) => set(event.currentTarget.value)} />
    </label>
  );
  return (
    <Sheet title={product.title} onClose={onClose} testId="pin-sheet">
      <form class="stack" onSubmit={(event) => { event.preventDefault(); pin(); }}>
        <div class="row">
          <ProductPicture path={product.image_path} size={64} />
          <p class="num grow">{product.brand_name}<br /><strong>{money(regular, product.skus[0]?.currency)}</strong>
            {off > 0 && <> → <strong>{money(whole(price) ?? regular)}</strong> <span class="tag live">{fill(watchText.off, { n: off })}</span></>}</p>
        </div>
        {field(text.price, price, setPrice, text.price_hint, "pin-price")}
        <div class="devices">
          {field(text.limit, limit, setLimit, text.optional, "pin-limit")}
          {field(text.minutes, minutes, setMinutes, text.optional, "pin-minutes")}
        </div>
        {problem !== null && <p class="notice bad" role="alert">{explain(problem)}</p>}
        <button type="submit" class="btn primary wide" disabled={busy} data-testid="pin-submit">{text.pin}</button>
      </form>
    </Sheet>
  );
}
