import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api, seg } from "../../api/client";
import { explain } from "../../api/problem-texts";
import type { Pin, Product } from "../../api/types";
import { money, percentOff } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { uuid } from "../../purchase/uuid";
import { Sheet } from "../../ui/Sheet";
import { ProductPicture } from "../watch/ProductPicture";
import { text as watchText } from "../watch/texts";
import { EMPTY_FIELDS, pinRequest, QUOTA_MAX, STARTS_IN_S_MAX, whole, type PinFields } from "./pin-request";
import { text } from "./texts";

interface PinFormProps {
  liveId: string;
  product: Product;
  onClose: () => void;
}

export function PinForm({ liveId, product, onClose }: PinFormProps): JSX.Element {
  const [fields, setFields] = useState(EMPTY_FIELDS);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const regular = Math.min(...product.skus.map((sku) => sku.price_minor));
  const price = whole(fields.price, 1) ?? regular;
  const off = percentOff(price, regular);

  const pin = (): void => {
    setBusy(true);
    setProblem(null);
    api.post<Pin>(`/v1/lives/${seg(liveId)}/pins`, pinRequest(product.id, fields), { idempotencyKey: uuid() })
      .then(onClose, setProblem).finally(() => setBusy(false));
  };
  const field = (name: keyof PinFields, label: string, hint: string, testId: string, min = 1, max?: number): JSX.Element => (
    <label class="field"><span>{label}</span>
      <input class="input num" type="number" inputmode="numeric" min={min} max={max} step="1" value={fields[name]} placeholder={hint} data-testid={testId}
        onInput={(event) => setFields({ ...fields, [name]: event.currentTarget.value })} />
    </label>
  );
  return (
    <Sheet title={product.title} onClose={onClose} testId="pin-sheet">
      <form class="stack" onSubmit={(event) => { event.preventDefault(); pin(); }}>
        <div class="row">
          <ProductPicture path={product.image_path} size={64} />
          <p class="num grow">{product.brand_name}<br /><strong>{money(regular, product.skus[0]?.currency)}</strong>
            {off > 0 && <> → <strong>{money(price)}</strong> <span class="tag live">{fill(watchText.off, { n: off })}</span></>}</p>
        </div>
        {field("price", text.price, text.price_hint, "pin-price")}
        <div class="pin-fields">
          {field("quota", text.quota, text.quota_hint, "pin-quota", 1, QUOTA_MAX)}
          {field("limit", text.limit, text.optional, "pin-limit")}
          {field("startsInS", text.starts_in, text.starts_in_hint, "pin-starts", 0, STARTS_IN_S_MAX)}
          {field("minutes", text.minutes, text.optional, "pin-minutes")}
        </div>
        {problem !== null && <p class="notice bad" role="alert">{explain(problem)}</p>}
        <button type="submit" class="btn primary wide" disabled={busy} data-testid="pin-submit">{text.pin}</button>
      </form>
    </Sheet>
  );
}
