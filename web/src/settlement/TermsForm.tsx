import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api, seg, withQuery } from "../api/client";
import { explainFully } from "../api/problem-texts";
import type { Terms } from "../api/settlement";
import type { Page, Product } from "../api/types";
import { fill } from "../i18n/phrases";
import { uuid } from "../purchase/uuid";
import { Icon } from "../ui/icons";
import { useLoad } from "../ui/useLoad";
import { words } from "../ui/words";
import { contract as text } from "./contract-texts";
import { productName, rememberProducts } from "./product-names";
import { termsOf, type FieldName, type Fields } from "./terms";

interface TermsFormProps {
  brandId: string;
  first: Fields;
  hint?: string;
  onSend: (terms: Terms, idempotencyKey: string) => Promise<void>;
  onCancel: () => void;
}

const LABELS: Record<FieldName, "rate_bp" | "product_rates" | "from" | "to" | "click_days" | "replay_days" | "pr_label" | "pay_within_days" | "note"> = {
  rate: "rate_bp", products: "product_rates", from: "from", to: "to", clickDays: "click_days", replayDays: "replay_days", prLabel: "pr_label", payDays: "pay_within_days", note: "note",
};

/** What is proposed. The server judges it again, and says which field it minds. */
export function TermsForm({ brandId, first, hint, onSend, onCancel }: TermsFormProps): JSX.Element {
  const [fields, setFields] = useState<Fields>(first);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const [key, setKey] = useState(uuid);
  const set = (changes: Partial<Fields>): void => setFields((old) => ({ ...old, ...changes }));

  const send = (): void => {
    const read = termsOf(fields);
    if ("wrong" in read) {
      setProblem(fill(text.wrong, { field: text[LABELS[read.wrong]] }));
      document.getElementById(`term-field-${read.wrong}`)?.focus();
      return;
    }
    setBusy(true);
    setProblem(null);
    onSend(read.terms, key).catch((thrown: unknown) => {
      setProblem(explainFully(thrown));
      // The next try may say something else, and a key stands for one body.
      setKey(uuid());
    }).finally(() => setBusy(false));
  };
  const input = (name: Exclude<FieldName, "products" | "note">, more: { type?: "date"; inputMode?: "decimal" | "numeric" }, small?: string): JSX.Element => (
    <label class="field"><span>{text[LABELS[name]]}</span>
      <input class="input" id={`term-field-${name}`} value={fields[name]} disabled={busy} data-testid={`term-field-${name}`} {...more} onInput={(event) => set({ [name]: event.currentTarget.value })} />
      {small !== undefined && <span class="hint">{small}</span>}
    </label>
  );
  return (
    <form class="stack terms-form" noValidate data-testid="terms-form" onSubmit={(event) => { event.preventDefault(); send(); }}>
      {hint !== undefined && <p class="notice">{hint}</p>}
      <div class="fields">
        {input("rate", { inputMode: "decimal" }, text.percent)}
        {input("payDays", { inputMode: "numeric" }, text.pay_hint)}
        {input("from", { type: "date" })}
        {input("to", { type: "date" })}
        {input("clickDays", { inputMode: "numeric" }, text.rule_hint)}
        {input("replayDays", { inputMode: "numeric" }, text.rule_hint)}
        {input("prLabel", {})}
      </div>
      <ProductRates brandId={brandId} rates={fields.products} disabled={busy} onChange={(products) => set({ products })} />
      <p class="small muted">{text.refund_rule}: {text.reverse}</p>
      <label class="field"><span>{text.note}</span>
        <textarea class="input" rows={3} maxLength={2_000} value={fields.note} disabled={busy} data-testid="term-field-note" onInput={(event) => set({ note: event.currentTarget.value })} />
      </label>
      {problem !== null && <p class="notice bad" role="alert" data-testid="terms-problem">{problem}</p>}
      <div class="row wrap">
        <button type="submit" class="btn primary" disabled={busy} data-testid="terms-send">{text.send}</button>
        <button type="button" class="btn" onClick={onCancel}>{words.cancel}</button>
      </div>
    </form>
  );
}

interface ProductRatesProps {
  brandId: string;
  rates: Fields["products"];
  disabled: boolean;
  onChange: (rates: Fields["products"]) => void;
}

function ProductRates({ brandId, rates, disabled, onChange }: ProductRatesProps): JSX.Element {
  const products = useLoad(async () => {
    const page = await api.get<Page<Product>>(withQuery(`/v1/brands/${seg(brandId)}/products`, { limit: 100 }));
    rememberProducts(page.items);
    return page.items;
  }, [brandId]);
  const known = products.value ?? [];
  const change = (at: number, next: Partial<Fields["products"][number]>): void => onChange(rates.map((rate, index) => (index === at ? { ...rate, ...next } : rate)));
  return (
    <fieldset class="stack product-rates" id="term-field-products" tabIndex={-1}>
      <legend>{text.product_rates}</legend>
      {rates.map((rate, index) => (
        <div key={index} class="row rate-row" data-testid="product-rate">
          <select class="input grow" aria-label={text.product} value={rate.productId} disabled={disabled} onChange={(event) => change(index, { productId: event.currentTarget.value })}>
            <option value="">{text.choose_product}</option>
            {rate.productId !== "" && !known.some(({ id }) => id === rate.productId) && <option value={rate.productId}>{productName(rate.productId)}</option>}
            {known.map((product) => <option key={product.id} value={product.id}>{product.title}</option>)}
          </select>
          <input class="input percent" aria-label={`${text.rate_bp} ${text.percent}`} inputMode="decimal" value={rate.rate} disabled={disabled} onInput={(event) => change(index, { rate: event.currentTarget.value })} />
          <button type="button" class="icon-btn" aria-label={fill(text.remove_product, { product: rate.productId === "" ? text.product : productName(rate.productId) })} onClick={() => onChange(rates.filter((_, at) => at !== index))}><Icon name="trash" /></button>
        </div>
      ))}
      {known.length > 0 && <p><button type="button" class="btn small" disabled={disabled} data-testid="add-product-rate" onClick={() => onChange([...rates, { productId: "", rate: "" }])}><Icon name="plus" />{text.add_product}</button></p>}
    </fieldset>
  );
}

