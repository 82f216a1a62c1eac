import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Query } from "../../api/client";
import type { CreditState } from "../../api/reports";
import { earnings, type Earnings } from "../../api/settlement";
import { ChartBox } from "../../charts/ChartBox";
import { fullDateTime, money } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { asked, questionOf } from "../../reports/filters";
import { Meaning } from "../../reports/Meaning";
import { dayOf } from "../../reports/range";
import { RangePicker } from "../../reports/RangePicker";
import { query } from "../../ui/router";
import { Empty, Failed, Loading } from "../../ui/states";
import { useLoad } from "../../ui/useLoad";
import { EarningsBoard } from "./EarningsBoard";
import { MyLines } from "./MyLines";
import { text } from "./texts";

/** A sale is on the liver's screen within two seconds. */
const REFRESH_MS = 2_000;
const CHART_LIVES = 10;
const STATES: readonly CreditState[] = ["estimated", "confirmed", "payable", "paid"];

export function EarningsView(): JSX.Element {
  const { range } = asked(query.value, Date.now());
  const question = questionOf({ range, filters: {} });
  const { value, problem, reload } = useLoad(() => earnings.mine(question), [JSON.stringify(question)], range.to >= dayOf(Date.now()) ? REFRESH_MS : 0);
  const [open, setOpen] = useState<{ label: string; question: Query } | null>(null);
  const drawn = value === null ? [] : [...value.by_live].sort((a, b) => b.commission_minor - a.commission_minor).slice(0, CHART_LIVES);
  return (
    <div class="reports" data-testid="earnings">
      <h1>{text.title}</h1>
      <RangePicker range={range} />
      {problem !== null && <Failed problem={problem} onRetry={reload} />}
      {value === null && problem === null && <Loading />}
      {value !== null && (
        <>
          <Steps of={value} />
          {value.by_live.length === 0 && value.by_product.length === 0 ? <div class="card"><Empty icon="yen">{text.none}</Empty></div> : (
            <>
              {drawn.length > 1 && (
                <section class="card panel" aria-label={text.chart}>
                  <h2>{text.chart}</h2>
                  <ChartBox heightPx={70 + drawn.length * 34} plot={{
                    labels: drawn.map((row) => row.title), lying: true,
                    series: [{ label: text.commission, values: drawn.map((row) => row.commission_minor), look: "bar", ink: "indigo", format: (minor) => money(minor) }],
                  }} />
                </section>
              )}
              <EarningsBoard title={text.by_live} heading={text.live} rows={value.by_live.map((row) => ({ ...row, key: row.live_id ?? "", title: row.title === "" ? text.no_live : row.title }))}
                onLines={(row) => setOpen({ label: row.title, question: { ...question, live_id: row.key } })} />
              <EarningsBoard title={text.by_product} heading={text.product} rows={value.by_product.map((row) => ({ ...row, key: row.product_id }))} onLines={null} />
            </>
          )}
          <p class="small muted num" role="status" data-testid="as-of">{fill(text.as_of, { at: fullDateTime(value.as_of_ms) })}</p>
        </>
      )}
      {open !== null && <MyLines label={open.label} question={open.question} onClose={() => setOpen(null)} />}
    </div>
  );
}

/** From the sale to the bank: the same money, by how far it has come. */
function Steps({ of }: { of: Earnings }): JSX.Element {
  return (
    <section aria-label={text.steps}>
      <ol class="money-steps">{STATES.map((state) => (
        <li key={state} class={`card money-step ${state}`}>
          <p class="head-label">{text[state]}<Meaning figure={text[state]} means={text[`means_${state}`]} testId={`means-${state}`} /></p>
          <p class="value num" data-testid={`earned-${state}`} data-minor={of[`${state}_minor`]}>{money(of[`${state}_minor`])}</p>
        </li>
      ))}</ol>
    </section>
  );
}
