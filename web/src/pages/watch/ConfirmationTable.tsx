import type { ComponentChildren, JSX } from "preact";
import type { Confirmation } from "../../api/types";
import { money, rate } from "../../i18n/format";
import { language } from "../../i18n/language";
import { fill } from "../../i18n/phrases";
import { words } from "../../ui/words";
import { buy } from "./buy-texts";

const REDUCED_BP = 800;

/** What 特定商取引法 wants a buyer to see on the screen where the order is placed. */
export function ConfirmationTable({ of }: { of: Confirmation }): JSX.Element {
  const ja = language.value === "ja";
  const sandbox = of.payment.method.startsWith("sandbox");
  return (
    <dl class="confirmation" data-testid="confirmation" data-hash={of.hash}>
      <Row term={buy.qty}><span class="num">{of.qty}</span></Row>
      <Row term={buy.unit_price}><span class="num">{money(of.unit_price_minor, of.currency)}</span></Row>
      <Row term={buy.shipping}><span class="num">{of.shipping_minor === 0 ? buy.free : money(of.shipping_minor, of.currency)}</span></Row>
      <Row term={buy.total} strong><span class="num" data-testid="total" data-minor={of.total_minor}>{money(of.total_minor, of.currency)}</span></Row>
      {of.tax.map((line) => (
        <Row key={line.rate_bp} small term={fill(buy.tax, {
          rate: line.rate_bp === REDUCED_BP ? `${rate(line.rate_bp)} ${buy.reduced}` : rate(line.rate_bp),
          base: money(line.base_minor, of.currency),
        })}><span class="num">{money(line.tax_minor, of.currency)}</span></Row>
      ))}
      <Row term={buy.payment}>
        {ja ? of.payment.label_ja : of.payment.label_en} {sandbox && <span class="tag demo">{words.sandbox}</span>}
      </Row>
      <Row term={buy.timing}>{ja ? of.payment.timing_ja : of.payment.timing_en}</Row>
      <Row term={buy.delivery}>{ja ? of.delivery_ja : of.delivery_en}</Row>
      <Row term={buy.cancellation}>{ja ? of.cancellation_ja : of.cancellation_en}</Row>
      <Row term={buy.period}>{ja ? of.application_period_ja : of.application_period_en}</Row>
      <Row term={buy.seller}>
        {of.seller.name}
        {of.seller.invoice_number !== null && <span class="small muted"> （{buy.invoice} {of.seller.invoice_number}）</span>}
      </Row>
    </dl>
  );
}

interface RowProps {
  term: string;
  strong?: boolean;
  small?: boolean;
  children: ComponentChildren;
}

function Row({ term, strong = false, small = false, children }: RowProps): JSX.Element {
  return <div class={strong ? "strong" : small ? "fine" : ""}><dt>{term}</dt><dd>{children}</dd></div>;
}
