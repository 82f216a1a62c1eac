import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { me } from "../../api/session";
import { statements, type Statement, type StatementLine } from "../../api/settlement";
import { date, money, rate } from "../../i18n/format";
import { fill } from "../../i18n/phrases";
import { named } from "../../reports/Lines";
import { text as lineText } from "../../reports/texts";
import { monthName } from "../../settlement/months";
import { PaidSheet } from "../../settlement/PaidSheet";
import { statement as text } from "../../settlement/statement-texts";
import { sideOf } from "../../settlement/terms";
import { MemberGate } from "../../ui/MemberGate";
import type { PageProps } from "../../ui/pages";
import { Failed, Loading } from "../../ui/states";
import { useLoad } from "../../ui/useLoad";
import "../invoice/invoice.css";
import "../../settlement/settlement.css";
import "./statement.css";

/** Beyond them the CSV has the lines: a paper of hundreds of pages is none. */
const PAPER_LINES_MAX = 1_000;

export function StatementPage({ id }: PageProps): JSX.Element {
  return <MemberGate title={text.paper} lead={text.gate_lead}><Loaded id={id} /></MemberGate>;
}

interface Whole {
  lines: StatementLine[];
  more: boolean;
}

async function allLines(id: string): Promise<Whole> {
  const lines: StatementLine[] = [];
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof statements.lines>> = await statements.lines(id, cursor);
    lines.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== null && lines.length < PAPER_LINES_MAX);
  return { lines, more: cursor !== null };
}

function Loaded({ id }: { id: string }): JSX.Element {
  const { value, problem, reload } = useLoad(() => statements.load(id), [id]);
  const lines = useLoad(() => allLines(id), [id]);
  const [paying, setPaying] = useState(false);
  const side = value === null ? null : sideOf(me.value, value);
  const back = side === "liver" ? "/earnings?view=statements" : `/brand/${value?.brand_id ?? ""}?view=statements&month=${value?.period ?? ""}`;
  return (
    <main id="main" class="page invoice-page" data-testid="statement-page">
      <div class="tools">
        {value !== null && <p><a class="small" href={back}>← {text.back}</a></p>}
        {value !== null && (
          <div class="row wrap">
            <span class="row wrap">
              <a class="btn" href={statements.csvPath(id)} download data-testid="statement-csv">{text.csv}</a>
              {side === "brand" && value.state === "payable" && <button type="button" class="btn" data-testid="mark-paid" onClick={() => setPaying(true)}>{text.mark_paid}</button>}
            </span>
            <button type="button" class="btn primary" data-testid="print" onClick={() => print()}>{text.print}</button>
          </div>
        )}
      </div>
      {problem !== null && <Failed problem={problem} onRetry={reload} />}
      {value === null && problem === null && <Loading />}
      {value !== null && <Paper of={value} lines={lines.value} />}
      {lines.problem !== null && <Failed problem={lines.problem} onRetry={lines.reload} />}
      {paying && value !== null && <PaidSheet statement={value} onClose={() => setPaying(false)} onDone={() => { setPaying(false); reload(); }} />}
    </main>
  );
}

/** What is owed to whom, for what, by when; and every line of it. */
function Paper({ of, lines }: { of: Statement; lines: Whole | null }): JSX.Element {
  const yen = (minor: number): string => money(minor, of.currency);
  const row = (label: string, minor: number, testId: string): JSX.Element => <tr><th scope="row">{label}</th><td data-testid={testId} data-minor={minor}>{yen(minor)}</td></tr>;
  return (
    <article class="paper statement-paper" data-testid="statement" data-statement={of.statement_id} data-state={of.state} data-payable={of.payable_minor}>
      <header>
        <h1>{text.paper}</h1>
        <p>{monthName(of.period)}</p>
        {of.state !== "payable" && <p class="stamp" data-testid="statement-state">{text[`state_${of.state}`]}</p>}
      </header>
      <div class="parties">
        <p class="to">{fill(text.to, { liver: of.liver_name })}</p>
        <dl>
          <div><dt>{text.number}</dt><dd class="num">{of.statement_id}</dd></div>
          <div><dt>{text.from}</dt><dd>{of.brand_name}{of.brand_registration !== null && <><br /><span class="small num">{of.brand_registration}</span></>}</dd></div>
          <div><dt>{text.closed_at}</dt><dd class="num">{date(of.closed_at_ms)}</dd></div>
          {of.pay_by_ms !== null && <div><dt>{text.pay_by}</dt><dd class="num">{date(of.pay_by_ms)}</dd></div>}
          {of.paid_at_ms !== null && <div><dt>{text.paid_at}</dt><dd class="num">{date(of.paid_at_ms)}</dd></div>}
          {of.payment_reference !== null && <div><dt>{text.reference}</dt><dd class="num">{of.payment_reference}</dd></div>}
        </dl>
      </div>
      <p class="grand"><span>{text.payable}</span><strong class="num" data-testid="statement-payable">{yen(of.payable_minor)}</strong></p>
      <table class="num rates">
        <caption class="sr">{text.paper}</caption>
        <tbody>
          {row(text.earned, of.earned_minor, "statement-earned")}
          {row(text.reversed, of.reversed_minor, "statement-reversed")}
          {row(text.carried_in, of.carried_in_minor, "statement-carried-in")}
          {row(fill(text.tax, { rate: rate(of.tax_rate_bp) }), of.tax_minor, "statement-tax")}
          {of.carried_out_minor !== 0 && row(text.carried_out, of.carried_out_minor, "statement-carried-out")}
        </tbody>
      </table>
      <p class="small">{of.registration === null ? text.no_registration : fill(text.registration, { number: of.registration })}<br />{text.law}</p>
      {lines === null ? <Loading lines={1} /> : <LinesOfPaper lines={lines} currency={of.currency} />}
    </article>
  );
}

function LinesOfPaper({ lines: { lines, more }, currency }: { lines: Whole; currency: string }): JSX.Element {
  return (
    <>
      <div class="scroller" tabIndex={0} role="region" aria-label={text.lines}>
        <table class="num paper-lines">
          <caption class="sr">{text.lines}</caption>
          <thead><tr>{[lineText.at, lineText.order, lineText.product, lineText.kind, lineText.base, lineText.rate, lineText.commission].map((heading) => <th key={heading} scope="col">{heading}</th>)}</tr></thead>
          <tbody>{lines.map((line) => (
            <tr key={line.credit_id} data-testid="statement-line" data-minor={line.commission_minor}>
              <td>{date(line.at_ms)}</td><td>{line.order_number}</td><td class="product">{named(line)} × {line.qty}</td><td>{lineText[line.kind]}</td>
              <td>{money(line.base_minor, currency)}</td><td>{rate(line.commission_bp)}</td><td>{money(line.commission_minor, currency)}</td>
            </tr>
          ))}</tbody>
        </table>
      </div>
      {more && <p class="small">{text.truncated}</p>}
    </>
  );
}
