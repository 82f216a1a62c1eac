import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { explainFully } from "../api/problem-texts";
import { rules, type Rule } from "../api/settlement";
import { dateTime, rate } from "../i18n/format";
import { fill } from "../i18n/phrases";
import { Failed } from "../ui/states";
import { toast } from "../ui/toast";
import { useLoad } from "../ui/useLoad";
import { rule as text } from "./rule-texts";
import { CLICK_DAYS_MAX, REPLAY_DAYS_MAX } from "./terms";

const DAYS = { click_days: CLICK_DAYS_MAX, replay_days: REPLAY_DAYS_MAX, staff_days: 30 } as const;
type DaysName = keyof typeof DAYS;
const DAYS_NAMES = Object.keys(DAYS) as DaysName[];

/** The brand's rule, which counts wherever terms say nothing else. */
export function RuleForm({ brandId }: { brandId: string }): JSX.Element | null {
  const known = useLoad(() => rules.of(brandId), [brandId]);
  if (known.value === null) return known.problem === null ? null : <Failed problem={known.problem} onRetry={known.reload} />;
  const { value } = known;
  return (
    <details class="card panel fold" data-testid="rule" data-version={value.version}>
      <summary>{text.title} <span class="small num">{words(value)}</span></summary>
      <p class="small muted">{text.lead}</p>
      <Form key={value.version} brandId={brandId} first={value} onDone={known.reload} />
      {value.history.length > 0 && (
        <>
          <h3>{text.history}</h3>
          <ul class="stack small">{value.history.map((old) => (
            <li key={old.version}>{fill(text.of, { n: old.version })} <span class="muted">{old.from_ms === null ? text.house : fill(text.since, { at: dateTime(old.from_ms) })}</span> {words(old)}{old.note !== "" && ` ・ ${old.note}`}</li>
          ))}</ul>
        </>
      )}
    </details>
  );
}

function words(of: Rule): string {
  return fill(text.summary, { click: of.click_days, replay: of.replay_days, staff: of.staff_days, rate: rate(of.staff_commission_bp) });
}

function Form({ brandId, first, onDone }: { brandId: string; first: Rule; onDone: () => void }): JSX.Element {
  const [days, setDays] = useState<Record<DaysName, string>>(() => ({ click_days: String(first.click_days), replay_days: String(first.replay_days), staff_days: String(first.staff_days) }));
  const [note, setNote] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const save = (): void => {
    const wrong = DAYS_NAMES.find((name) => !/^\d{1,2}$/.test(days[name].trim()) || Number(days[name]) > DAYS[name]);
    if (wrong !== undefined) {
      setProblem(fill(text.wrong, { field: text[wrong] }));
      return;
    }
    setBusy(true);
    setProblem(null);
    rules.save(brandId, { click_days: Number(days.click_days), replay_days: Number(days.replay_days), staff_days: Number(days.staff_days), staff_commission_bp: 0, note: note.trim() }).then(() => {
      toast(text.saved);
      onDone();
    }, (thrown: unknown) => setProblem(explainFully(thrown))).finally(() => setBusy(false));
  };
  return (
    <form class="stack terms-form" noValidate data-testid="rule-form" onSubmit={(event) => { event.preventDefault(); save(); }}>
      <div class="fields">
        {DAYS_NAMES.map((name) => (
          <label key={name} class="field"><span>{text[name]}</span>
            <input class="input" inputMode="numeric" value={days[name]} disabled={busy} data-testid={`rule-${name}`} onInput={(event) => setDays((old) => ({ ...old, [name]: event.currentTarget.value }))} /></label>
        ))}
        <label class="field"><span>{text.note}</span>
          <input class="input" maxLength={500} value={note} disabled={busy} data-testid="rule-note" onInput={(event) => setNote(event.currentTarget.value)} /></label>
      </div>
      {problem !== null && <p class="notice bad" role="alert">{problem}</p>}
      <p><button type="submit" class="btn" disabled={busy} data-testid="rule-save">{text.save}</button></p>
    </form>
  );
}
