import type { JSX } from "preact";
import type { Terms } from "../api/settlement";
import { date, rate } from "../i18n/format";
import { fill } from "../i18n/phrases";
import { contract as text } from "./contract-texts";
import { productName } from "./product-names";
import { differs, TERM_NAMES, type TermName } from "./terms";

/** All of some terms; beside those that change, what they were. */
export function TermsTable({ terms, before }: { terms: Terms; before: Terms | null }): JSX.Element {
  return (
    <dl class="terms" data-testid="terms">
      {TERM_NAMES.map((name) => {
        const changed = differs(name, terms, before);
        return (
          <div key={name} class={changed ? "changed" : ""} data-testid={`term-${name}`} data-changed={String(changed)}>
            <dt>{text[name]}{changed && <span class="tag gold">{text.changed}</span>}</dt>
            <dd><Term name={name} terms={terms} />{changed && before !== null && <span class="was small muted">{fill(text.was, { value: termWords(name, before) })}</span>}</dd>
          </div>
        );
      })}
    </dl>
  );
}

function Term({ name, terms }: { name: TermName; terms: Terms }): JSX.Element {
  if (name === "rate_bp") return <strong class="num big">{rate(terms.rate_bp)}</strong>;
  if (name === "product_rates" && terms.product_rates.length > 0) {
    return <ul>{terms.product_rates.map(({ product_id, rate_bp }) => <li key={product_id}>{productName(product_id)} <strong class="num">{rate(rate_bp)}</strong></li>)}</ul>;
  }
  return <span class={name === "note" ? "note" : ""}>{termWords(name, terms)}</span>;
}

function termWords(name: TermName, terms: Terms): string {
  const days = (value: number | null): string => (value === null ? text.by_rule : fill(text.days, { n: value }));
  switch (name) {
    case "rate_bp": return rate(terms.rate_bp);
    case "product_rates": return terms.product_rates.length === 0 ? text.none : terms.product_rates.map(({ product_id, rate_bp }) => `${productName(product_id)} ${rate(rate_bp)}`).join("、");
    case "period": return periodWords(terms);
    case "click_days": return days(terms.click_days);
    case "replay_days": return days(terms.replay_days);
    case "pr_label": return terms.pr_label;
    case "pay_within_days": return fill(text.pay_days, { n: terms.pay_within_days });
    case "refund_rule": return text.reverse;
    case "note": return terms.note === "" ? text.none : terms.note;
  }
}

export function periodWords({ from_ms, to_ms }: Pick<Terms, "from_ms" | "to_ms">): string {
  const from = date(from_ms);
  return to_ms === null ? fill(text.since, { from }) : fill(text.between, { from, to: date(to_ms - 1) });
}
