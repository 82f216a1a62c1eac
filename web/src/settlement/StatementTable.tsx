import type { JSX } from "preact";
import type { Draft, Statement } from "../api/settlement";
import { date, money } from "../i18n/format";
import { fill } from "../i18n/phrases";
import { monthName } from "./months";
import { statement as text } from "./statement-texts";

interface StatementTableProps {
  title: string;
  /** A draft has no paper yet. */
  items: readonly (Statement | Draft)[];
  /** What names a row: who is paid, or who pays and for which month. */
  named: "liver" | "brand";
  onPaid?: (statement: Statement) => void;
}

const LOOK = { payable: "tag soon", paid: "tag ok", carried: "tag" } as const;

export function StatementTable({ title, items, named, onPaid }: StatementTableProps): JSX.Element {
  const papers = items.some(isClosed);
  return (
    <div class="scroller" tabIndex={0} role="region" aria-label={title}>
      <table class="num figures-table statements-table">
        <thead><tr>
          <th scope="col">{named === "liver" ? text.liver : text.month}</th>
          {[text.earned, text.reversed, text.carried_in, text.tax_short, text.payable, text.pay_by].map((heading) => <th key={heading} scope="col">{heading}</th>)}
          {papers && <th scope="col"><span class="sr">{text.state}</span></th>}
        </tr></thead>
        <tbody>{items.map((one) => <Row key={isClosed(one) ? one.statement_id : one.liver_id} of={one} named={named} onPaid={onPaid} />)}</tbody>
      </table>
    </div>
  );
}

function isClosed(one: Statement | Draft): one is Statement {
  return "statement_id" in one;
}

interface RowProps {
  of: Statement | Draft;
  named: "liver" | "brand";
  onPaid: ((statement: Statement) => void) | undefined;
}

function Row({ of: one, named, onPaid }: RowProps): JSX.Element {
  const closed = isClosed(one) ? one : null;
  const title = closed !== null && named === "brand" ? monthName(closed.period) : one.liver_name;
  return (
    <tr data-testid="statement-row" data-statement={closed?.statement_id ?? ""} data-liver={one.liver_id} data-state={one.state} data-payable={one.payable_minor}>
      <th scope="row">
        {title}
        <span class="small muted sub">{closed !== null && named === "brand" && `${closed.brand_name} ・ `}{one.registration === null ? text.no_registration : fill(text.registration, { number: one.registration })}</span>
      </th>
      <td data-label={text.earned}>{money(one.earned_minor)}</td>
      <td data-label={text.reversed}>{money(one.reversed_minor)}</td>
      <td data-label={text.carried_in}>{money(one.carried_in_minor)}</td>
      <td data-label={text.tax_short}>{money(one.tax_minor)}</td>
      <td data-label={text.payable} class="net"><span class="said">{money(one.payable_minor)}</span>{one.carried_out_minor !== 0 && <span class="small muted sub">{text.carried_out} {money(one.carried_out_minor)}</span>}</td>
      <td data-label={text.pay_by}>{one.pay_by_ms === null ? "–" : date(one.pay_by_ms)}{closed?.state === "payable" && one.pay_by_ms !== null && one.pay_by_ms < Date.now() && <span class="tag live plain">{text.overdue}</span>}</td>
      {closed !== null && (
        <td><span class="row wrap acts">
          <span class={LOOK[closed.state]}>{text[`state_${closed.state}`]}</span>
          <a class="btn small" href={`/statements/${closed.statement_id}`} aria-label={fill(text.open_of, { who: named === "liver" ? closed.liver_name : `${closed.brand_name} ${monthName(closed.period)}` })} data-testid="open-statement">{text.open}</a>
          {onPaid !== undefined && closed.state === "payable" && <button type="button" class="btn small ink" data-testid="mark-paid" onClick={() => onPaid(closed)}>{text.mark_paid}</button>}
        </span></td>
      )}
    </tr>
  );
}
