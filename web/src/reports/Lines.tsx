import type { JSX } from "preact";
import type { CreditLine } from "../api/reports";
import { fullDateTime, money, rate } from "../i18n/format";
import { fill } from "../i18n/phrases";
import { text } from "./texts";

/** Lines of the ledger as they are. */
export function Lines({ lines, onWhy }: { lines: readonly CreditLine[]; onWhy?: (line: CreditLine) => void }): JSX.Element {
  const headings = [text.at, text.kind, text.order, text.product, text.liver, text.qty, text.base, text.part, text.rate, text.commission, text.state];
  return (
    <div class="scroller" tabIndex={0} role="region" aria-label={text.lines}>
      <table class="num">
        <thead><tr>{headings.map((heading) => <th key={heading} scope="col">{heading}</th>)}{onWhy !== undefined && <th scope="col">{text.why}</th>}</tr></thead>
        <tbody>{lines.map((line) => (
          <tr key={line.credit_id} class={line.kind} data-testid="credit-line" data-kind={line.kind} data-base={line.base_minor}>
            <td>{fullDateTime(line.at_ms)}</td>
            <td><span class={line.kind === "sale" ? "tag ok" : "tag live plain"}>{text[line.kind]}</span></td>
            <td>{line.order_number}</td>
            <td>{named(line)}</td>
            <td>{line.liver_name}</td>
            <td>{line.qty}</td>
            <td>{money(line.base_minor)}</td>
            <td>{rate(line.share_bp)}</td>
            <td>{rate(line.commission_bp)}</td>
            <td>{money(line.commission_minor)}</td>
            <td>{text[line.state]}</td>
            {onWhy !== undefined && (
              <td><button type="button" class="btn small" aria-label={fill(text.why_of, { order: `${line.order_number} ${named(line)}` })} data-testid="why" onClick={() => onWhy(line)}>{text.why}</button></td>
            )}
          </tr>
        ))}</tbody>
      </table>
    </div>
  );
}

export function named({ product_title, variant }: Pick<CreditLine, "product_title" | "variant">): string {
  return variant === null || variant === "" ? product_title : `${product_title} / ${variant}`;
}
