import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { api, seg } from "../../api/client";
import type { DocumentLine, DocumentRate, Invoice, InvoiceDocument } from "../../api/types";
import { date, money, rate } from "../../i18n/format";
import { language } from "../../i18n/language";
import { fill } from "../../i18n/phrases";
import { known, paymentOptions } from "../../payment/options";
import { MemberGate } from "../../ui/MemberGate";
import type { PageProps } from "../../ui/pages";
import { Empty, Failed, Loading } from "../../ui/states";
import { useLoad } from "../../ui/useLoad";
import { words } from "../../ui/words";
import { text } from "./texts";
import "./invoice.css";

export function InvoicePage({ id }: PageProps): JSX.Element {
  return <MemberGate title={text.title} lead={text.gate_lead}><Documents id={id} /></MemberGate>;
}

function Documents({ id }: { id: string }): JSX.Element {
  const { value, problem, reload } = useLoad(() => api.get<Invoice>(`/v1/orders/${seg(id)}/invoice`), [id]);
  const [buyer, setBuyer] = useState<string | null>(null);
  useEffect(() => void paymentOptions().catch(() => undefined), []);
  const named = buyer ?? value?.buyer_name ?? "";
  return (
    <main id="main" class="page invoice-page" data-testid="invoice-page">
      <div class="tools">
        <p><a class="small" href={`/orders/${id}`} data-testid="back-to-order">← {text.back}</a></p>
        {value !== null && value.documents.length > 0 && (
          <div class="row wrap">
            <label class="field buyer"><span>{text.buyer}</span>
              <input class="input" value={named} maxLength={60} autocomplete="organization" data-testid="buyer" onInput={(event) => setBuyer(event.currentTarget.value)} />
              <span class="hint">{text.buyer_hint}</span>
            </label>
            <button type="button" class="btn primary" data-testid="print" onClick={() => print()}>{text.print}</button>
          </div>
        )}
      </div>
      {problem !== null && <Failed problem={problem} onRetry={reload} />}
      {value === null && problem === null && <Loading />}
      {value !== null && value.documents.length === 0 && <div class="card"><Empty icon="bag">{text.none_yet}</Empty></div>}
      {value?.documents.map((document) => <Paper key={document.number} invoice={value} document={document} buyer={named} />)}
    </main>
  );
}

function Paper({ invoice, document, buyer }: { invoice: Invoice; document: InvoiceDocument; buyer: string }): JSX.Element {
  const seller = { name: document.seller_name, registration: document.registration };
  return (
    <>
      <Sheet invoice={invoice} seller={seller} buyer={buyer} of={document} credit={false} note={text.received} />
      {document.credit_notes.map((note) => (
        <Sheet key={note.number} invoice={invoice} seller={seller} buyer={buyer} of={note} credit note={fill(text.credit_of, { number: document.number })} />
      ))}
    </>
  );
}

interface SheetProps {
  invoice: Invoice;
  seller: { name: string; registration: string | null };
  buyer: string;
  of: {
    kind: string; number: string; title_ja: string; title_en: string; issued_at_ms: number; total_minor: number;
    lines: readonly DocumentLine[]; rates: readonly DocumentRate[];
  };
  credit: boolean;
  note: string;
}

/** One sheet of paper, with what インボイス制度 asks of it: who, number, date, what (and what of it at the reduced rate), sum and tax of each rate. */
function Sheet({ invoice, seller, buyer, of, credit, note }: SheetProps): JSX.Element {
  const yen = (minor: number): string => money(minor, invoice.currency);
  const ja = language.value === "ja";
  return (
    <article class="paper" data-testid={credit ? "credit-note" : "invoice"} data-kind={of.kind} data-number={of.number} data-total={of.total_minor}>
      <header>
        <h1>{titleOf(of, ja)}</h1>
        {known.value?.sandbox !== false && <p class="stamp" data-testid="sandbox">{words.sandbox}<br />{text.sandbox}</p>}
      </header>
      <div class="parties">
        <p class="to">{buyer === "" ? text.no_buyer : `${buyer}${ja ? " 様" : ""}`}</p>
        <dl>
          <div><dt>{text.number}</dt><dd class="num">{of.number}</dd></div>
          <div><dt>{text.issued}</dt><dd class="num">{date(of.issued_at_ms)}</dd></div>
          <div><dt>{text.traded}</dt><dd class="num">{date(invoice.placed_at_ms)}</dd></div>
          <div><dt>{text.order}</dt><dd class="num">{invoice.order_number}</dd></div>
        </dl>
      </div>
      <p class="grand"><span>{credit ? text.credit_total : text.total}</span><strong class="num" data-testid="paper-total">{yen(of.total_minor)}</strong></p>
      <p class="small">{note}</p>
      <table class="num">
        <caption class="sr">{text.lines}</caption>
        <thead><tr><th scope="col">{text.item}</th><th scope="col">{text.qty}</th><th scope="col">{text.unit_price}</th><th scope="col">{text.amount}</th></tr></thead>
        <tbody>{of.lines.map((line, index) => (
          <tr key={index} data-testid="paper-line">
            <th scope="row">{line.product_title}{line.variant !== "" && ` / ${line.variant}`}{line.reduced && " ※"}</th>
            <td>{line.qty}</td><td>{yen(line.unit_price_minor)}</td><td>{yen(line.amount_minor)}</td>
          </tr>
        ))}</tbody>
      </table>
      <table class="num rates">
        <caption class="sr">{text.by_rate}</caption>
        <thead><tr><th scope="col">{text.rate}</th><th scope="col">{text.rate_total}</th><th scope="col">{text.rate_tax}</th></tr></thead>
        <tbody>{of.rates.map((line) => (
          <tr key={line.rate_bp} data-testid="paper-rate" data-rate={line.rate_bp} data-tax={line.tax_minor}>
            <th scope="row">{fill(text.rate_of, { rate: rate(line.rate_bp) })}{line.reduced && " ※"}</th>
            <td>{yen(line.total_minor)}</td><td>{yen(line.tax_minor)}</td>
          </tr>
        ))}</tbody>
      </table>
      {of.rates.some((line) => line.reduced) && <p class="small" data-testid="reduced">{text.reduced}</p>}
      <footer>
        <p><strong>{seller.name}</strong></p>
        {seller.registration !== null && <p class="num" data-testid="registration">{fill(text.registration, { number: seller.registration })}</p>}
        <p class="small">{text.by}</p>
      </footer>
    </article>
  );
}

/** One paper is both, and says so; a receipt that is no qualified invoice says that. */
function titleOf({ kind, title_ja, title_en }: SheetProps["of"], ja: boolean): string {
  if (kind === "qualified_invoice") return text.invoice;
  return ja ? title_ja : title_en;
}
