import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { statements, type Statement, type Warning } from "../../api/settlement";
import { count, money } from "../../i18n/format";
import { language } from "../../i18n/language";
import { fill } from "../../i18n/phrases";
import { CloseSheet } from "../../settlement/CloseSheet";
import { isMonth, lastMonth, monthName, monthsUntil } from "../../settlement/months";
import { Payout } from "../../settlement/Payout";
import { PaidSheet } from "../../settlement/PaidSheet";
import { PayerForm } from "../../settlement/PayerForm";
import { statement as text } from "../../settlement/statement-texts";
import { StatementTable } from "../../settlement/StatementTable";
import { query, setQuery } from "../../ui/router";
import { Empty, Failed, Loading } from "../../ui/states";
import { useLoad } from "../../ui/useLoad";
import "../../reports/reports.css";
import "../../settlement/settlement.css";

/** A month: what would be owed, what is, and how it is paid. */
export function StatementsView({ brandId }: { brandId: string }): JSX.Element {
  const named = new URLSearchParams(query.value).get("month");
  const month = isMonth(named) ? named : lastMonth(Date.now());
  const closed = useLoad(() => statements.ofBrand(brandId, month), [brandId, month]);
  const preview = useLoad(() => statements.preview(brandId, month), [brandId, month]);
  const [closing, setClosing] = useState(false);
  const [paying, setPaying] = useState<Statement | null>(null);
  const open = preview.value?.items ?? [];
  const done = closed.value?.items ?? [];
  const reload = (): void => {
    closed.reload();
    preview.reload();
  };
  return (
    <section class="stack statements" aria-labelledby="statements-title" data-testid="brand-statements" data-month={month}>
      <div class="row wrap spread">
        <div><h1 id="statements-title">{text.title}</h1><p class="muted">{text.lead}</p></div>
        <label class="field months"><span>{text.month}</span>
          <select class="input" value={month} data-testid="month" onChange={(event) => setQuery({ month: event.currentTarget.value })}>
            {[...new Set([...monthsUntil(Date.now()), month])].map((one) => <option key={one} value={one}>{monthName(one)}</option>)}
          </select>
        </label>
      </div>
      {closed.problem !== null && <Failed problem={closed.problem} onRetry={closed.reload} />}
      {closed.value === null && closed.problem === null && <Loading />}
      {closed.value !== null && done.length > 0 && (
        <section class="card table-card" data-testid="closed">
          <h2>{text.closed}</h2>
          <StatementTable title={text.closed} items={done} named="liver" onPaid={setPaying} />
          {done.some((one) => one.state === "payable") && <Payout brandId={brandId} month={month} />}
        </section>
      )}
      {preview.problem !== null && <Failed problem={preview.problem} onRetry={preview.reload} />}
      {preview.value !== null && closed.value !== null && (open.length > 0 ? (
        <section class="card table-card" data-testid="preview">
          <h2>{text.preview}</h2>
          <p class="small muted">{text.preview_lead}</p>
          <StatementTable title={text.preview} items={open} named="liver" />
          <Warnings of={preview.value.warnings} />
          <div class="row wrap spread closing">
            <p>{text.to_pay} <strong class="num" data-testid="preview-total">{money(open.reduce((sum, one) => sum + one.payable_minor, 0))}</strong> <span class="small muted">{fill(text.livers, { n: count(open.length) })}</span></p>
            <button type="button" class="btn primary" disabled={!preview.value.closable} aria-describedby="closable" data-testid="close-month" onClick={() => setClosing(true)}>{fill(text.close, { month: monthName(month) })}</button>
            {!preview.value.closable && <p id="closable" class="small muted">{text.not_over}</p>}
          </div>
        </section>
      ) : done.length === 0 && <div class="card"><Empty icon="yen">{text.none_preview}</Empty></div>)}
      <PayerForm brandId={brandId} />
      {closing && <CloseSheet brandId={brandId} month={month} items={open} onClose={() => setClosing(false)} onDone={() => { setClosing(false); reload(); }} />}
      {paying !== null && <PaidSheet statement={paying} onClose={() => setPaying(null)} onDone={() => { setPaying(null); reload(); }} />}
    </section>
  );
}

/** What the server says should be looked at first. */
function Warnings({ of }: { of: readonly Warning[] }): JSX.Element | null {
  if (of.length === 0) return null;
  return (
    <ul class="warnings small" aria-label={text.warnings}>{of.map((warning, index) => (
      <li key={index} class="notice gold" data-testid="warning" data-kind={warning.kind}>{language.value === "ja" ? warning.ja : warning.en}</li>
    ))}</ul>
  );
}
