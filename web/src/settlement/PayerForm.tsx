import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { explainFully } from "../api/problem-texts";
import { payers, type Payer } from "../api/settlement";
import { fill } from "../i18n/phrases";
import { toast } from "../ui/toast";
import { useLoad } from "../ui/useLoad";
import { words } from "../ui/words";
import { EMPTY_PAYER, payerOf, type PayerField } from "./payee";
import { payee as text } from "./payee-texts";

const TYPES = ["ordinary", "current"] as const;

/** From which account a brand pays: asked once, and needed only for the bank's file. */
export function PayerForm({ brandId }: { brandId: string }): JSX.Element | null {
  const known = useLoad(async () => ({ payer: await payers.of(brandId) }), [brandId]);
  if (known.value === null) return null;
  return (
    <details class="card panel fold" data-testid="payer">
      <summary>{text.payer}</summary>
      <Form brandId={brandId} first={known.value.payer} />
    </details>
  );
}

function Form({ brandId, first }: { brandId: string; first: Payer | null }): JSX.Element {
  const [typed, setTyped] = useState<Payer>(() => ({ ...EMPTY_PAYER, ...first }));
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const save = (): void => {
    const read = payerOf(typed);
    if ("wrong" in read) {
      setProblem(fill(text.wrong, { field: text[read.wrong] }));
      document.getElementById(`payer-${read.wrong}`)?.focus();
      return;
    }
    setBusy(true);
    setProblem(null);
    payers.save(brandId, read.payer).then((payer) => {
      setTyped(payer);
      toast(text.saved);
    }, (thrown: unknown) => setProblem(explainFully(thrown))).finally(() => setBusy(false));
  };
  const field = (name: Exclude<PayerField, "account_type">, hint: string): JSX.Element => (
    <label class="field"><span>{text[name]}</span>
      <input class="input" id={`payer-${name}`} value={typed[name]} disabled={busy} autocomplete="off" data-testid={`payer-${name}`} onInput={(event) => setTyped((old) => ({ ...old, [name]: event.currentTarget.value }))} />
      <span class="hint">{hint}</span>
    </label>
  );
  return (
    <form class="stack terms-form" noValidate data-testid="payer-form" onSubmit={(event) => { event.preventDefault(); save(); }}>
      <p class="small muted">{text.payer_lead}</p>
      <div class="fields">
        {field("consignor_code", text.hint_consignor)}
        {field("name_kana", text.hint_kana)}
        {field("bank_code", text.hint_bank_code)}
        {field("branch_code", text.hint_branch_code)}
        <label class="field"><span>{text.account_type}</span>
          <select class="input" value={typed.account_type} disabled={busy} onChange={(event) => setTyped((old) => ({ ...old, account_type: event.currentTarget.value as Payer["account_type"] }))}>
            {TYPES.map((type) => <option key={type} value={type}>{text[type]}</option>)}
          </select>
        </label>
        {field("account_number", text.hint_account_number)}
      </div>
      {problem !== null && <p class="notice bad" role="alert" data-testid="payer-problem">{problem}</p>}
      <p><button type="submit" class="btn primary" disabled={busy} data-testid="payer-save">{words.save}</button></p>
    </form>
  );
}
