import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { explainFully } from "../../api/problem-texts";
import { payees, type AccountType, type Payee } from "../../api/settlement";
import { fill } from "../../i18n/phrases";
import { EMPTY_PAYEE, payeeOf, type PayeeField } from "../../settlement/payee";
import { payee as text } from "../../settlement/payee-texts";
import { Failed, Loading } from "../../ui/states";
import { toast } from "../../ui/toast";
import { useLoad } from "../../ui/useLoad";
import { words } from "../../ui/words";

const TYPES: readonly AccountType[] = ["ordinary", "current", "savings"];

export function PayeeForm(): JSX.Element {
  const known = useLoad(async () => ({ payee: await payees.mine() }), []);
  return (
    <section class="stack payee" aria-labelledby="payee-title" data-testid="payee">
      <h1 id="payee-title">{text.title}</h1>
      <p class="muted">{text.lead}</p>
      {known.problem !== null && <Failed problem={known.problem} onRetry={known.reload} />}
      {known.value === null && known.problem === null && <Loading />}
      {known.value !== null && <Form first={known.value.payee} />}
    </section>
  );
}

function Form({ first }: { first: Payee | null }): JSX.Element {
  const [typed, setTyped] = useState<Payee>(() => ({ ...EMPTY_PAYEE, ...first }));
  const [saved, setSaved] = useState(first !== null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const save = (): void => {
    const read = payeeOf(typed);
    if ("wrong" in read) {
      setProblem(fill(text.wrong, { field: text[read.wrong] }));
      document.getElementById(`payee-${read.wrong}`)?.focus();
      return;
    }
    setBusy(true);
    setProblem(null);
    payees.save(read.payee).then(() => {
      setTyped(read.payee);
      setSaved(true);
      toast(text.saved);
    }, (thrown: unknown) => setProblem(explainFully(thrown))).finally(() => setBusy(false));
  };
  const field = (name: Exclude<PayeeField, "account_type">, hint: string, numeric: boolean): JSX.Element => (
    <label class="field"><span>{text[name]}</span>
      <input class="input" id={`payee-${name}`} value={typed[name] ?? ""} disabled={busy} autocomplete="off" inputMode={numeric ? "numeric" : "text"} data-testid={`payee-${name}`}
        onInput={(event) => setTyped((old) => ({ ...old, [name]: event.currentTarget.value }))} />
      <span class="hint">{hint}</span>
    </label>
  );
  return (
    <form class="card panel stack" noValidate data-testid="payee-form" data-saved={String(saved)} onSubmit={(event) => { event.preventDefault(); save(); }}>
      {!saved && <p class="notice gold">{text.none}</p>}
      <div class="terms-form"><div class="fields">
        {field("name_kana", text.hint_kana, false)}
        {field("bank_code", text.hint_bank_code, true)}
        {field("branch_code", text.hint_branch_code, true)}
        <label class="field"><span>{text.account_type}</span>
          <select class="input" value={typed.account_type} disabled={busy} data-testid="payee-account_type" onChange={(event) => setTyped((old) => ({ ...old, account_type: event.currentTarget.value as AccountType }))}>
            {TYPES.map((type) => <option key={type} value={type}>{text[type]}</option>)}
          </select>
        </label>
        {field("account_number", text.hint_account_number, true)}
        {field("holder_kana", text.hint_kana, false)}
        {field("registration", text.hint_registration, false)}
      </div></div>
      {problem !== null && <p class="notice bad" role="alert" data-testid="payee-problem">{problem}</p>}
      <p><button type="submit" class="btn primary" disabled={busy} data-testid="payee-save">{words.save}</button></p>
    </form>
  );
}
