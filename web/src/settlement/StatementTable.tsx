import type { JSX } from "preact";
import type { Statement } from "../api/settlement";
import { date, money } from "../i18n/format";
import { fill } from "../i18n/phrases";
import { monthName } from "./months";
import { statement as text } from "./statement-texts";

interface StatementTableProps {
  title: string;
  items: readonly Statement[];
  /** What names a row: who is paid, or who pays and for which month. */
  named: "liver" | "brand";
  /** A preview has no paper yet. */
  preview?: boolean;
  onPaid?: (statement: Statement) => void;
}

const LOOK = { payable: "tag live plain", paid: "tag ok", carried: "tag" } as const;

export function StatementTable({ title, items, named, preview, onPaid }: StatementTableProps): JSX.Element {
  return (
    <div class="scroller" tabIndex={0} role="region" aria-label={title}>
      <table class="num figures-table statements-table">
        <thead><tr>
          <th scope="col">{named === "liver" ? text.liver : text.month}</th>
          {[text.earned, text.reversed, text.carried_in, text.payable, text.tax_short, text.pay_by].map((heading) => <th key={heading} scope="col">{heading}</th>)}
          {preview !== true && <th scope="col"><span class="sr">{text.state}</span></th>}
        </tr></thead>
        <tbody>{items.map((one) => (
          <tr key={`${one.statement_id} ${one.liver_id} ${one.brand_id}`} data-testid="statement-row" data-statement={one.statement_id} data-liver={one.liver_id} data-state={one.state} data-payable={one.payable_minor}>
            <th scope="row">
              {named === "liver" ? one.liver_name : monthName(one.period)}
              <span class="small muted sub">{named === "brand" && `${one.brand_name} ・ `}{one.registration === null ? text.no_registration : fill(text.registration, { number: one.registration })}</span>
            </th>
            <td data-label={text.earned}>{money(one.earned_minor, one.currency)}</td>
            <td data-label={text.reversed}>{money(one.reversed_minor, one.currency)}</td>
            <td data-label={text.carried_in}>{money(one.carried_in_minor, one.currency)}</td>
            <td data-label={text.payable} class="net"><span class="said">{money(one.payable_minor, one.currency)}</span>{one.carried_out_minor !== 0 && <span class="small muted sub">{text.carried_out} {money(one.carried_out_minor, one.currency)}</span>}</td>
            <td data-label={text.tax_short}>{money(one.tax_minor, one.currency)}</td>
            <td data-label={text.pay_by}>{one.pay_by_ms === null ? "–" : date(one.pay_by_ms)}{one.state === "payable" && preview !== true && one.pay_by_ms !== null && one.pay_by_ms < Date.now() && <span class="tag live plain">{text.overdue}</span>}</td>
            {preview !== true && (
              <td><span class="row wrap acts">
                <span class={LOOK[one.state]}>{text[`state_${one.state}`]}</span>
                <a class="btn small" href={`/statements/${one.statement_id}`} aria-label={fill(text.open_of, { who: named === "liver" ? one.liver_name : `${one.brand_name} ${monthName(one.period)}` })} data-testid="open-statement">{text.open}</a>
                {onPaid !== undefined && one.state === "payable" && <button type="button" class="btn small ink" data-testid="mark-paid" onClick={() => onPaid(one)}>{text.mark_paid}</button>}
              </span></td>
            )}
          </tr>
        ))}</tbody>
      </table>
    </div>
  );
}
