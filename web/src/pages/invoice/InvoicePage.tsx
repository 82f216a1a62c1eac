import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api, seg } from "../../api/client";
import { me } from "../../api/session";
import type { CreditNote, Invoice, InvoiceDocument, InvoiceLine, TaxLine } from "../../api/types";
import { date, money, rate } from "../../i18n/format";
import { language } from "../../i18n/language";
import { fill } from "../../i18n/phrases";
import { MemberGate } from "../../ui/MemberGate";
import type { PageProps } from "../../ui/pages";
import { Empty, Failed, Loading } from "../../ui/states";
import { useLoad } from "../../ui/useLoad";
import { words } from "../../ui/words";
import { text } from "./texts";
import "./invoice.css";

const REDUCED_BP = 800;

export function InvoicePage({ id }: PageProps): JSX.Element {
  return <MemberGate title={text.title} lead={text.gate_lead}><Documents id={id} /></MemberGate>;
}

function Documents({ id }: { id: string }): JSX.Element {
  const { value, problem, reload } = useLoad(() => api.get<Invoice>(`/v1/orders/${seg(id)}/invoice`), [id]);
  const [buyer, setBuyer] = useState<string | null>(null);
  const named = buyer ?? value?.buyer_name ?? me.value?.display_name ?? "";
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
      {value?.documents.map((document) => <Paper key={document.id} invoice={value} document={document} buyer={named} />)}
    </main>
  );
}

function Paper({ invoice, document, buyer }: { invoice: Invoice; document: InvoiceDocument; buyer: string }): JSX.Element {
  const qualified = document.seller.invoice_number !== null;
  return (
    <>
      <Sheet invoice={invoice} seller={document.seller} buyer={buyer} title={qualified ? text.invoice : text.receipt} number={document.number} kind="invoice"
        issuedAtMs={document.issued_at_ms} lines={document.lines} tax={document.tax} totalMinor={document.total_minor} note={text.received} />
      {document.credit_notes.map((note) => <CreditPaper key={note.number} invoice={invoice} document={document} note={note} buyer={buyer} />)}
    </>
  );
}

function CreditPaper({ invoice, document, note, buyer }: { invoice: Invoice; document: InvoiceDocument; note: CreditNote; buyer: string }): JSX.Element {
  return (
    <Sheet invoice={invoice} seller={document.seller} buyer={buyer} title={document.seller.invoice_number === null ? text.credit_plain : text.credit}
      number={note.number} kind="credit" issuedAtMs={note.issued_at_ms} lines={note.lines} tax={note.tax} totalMinor={note.total_minor}
      note={fill(text.credit_of, { number: document.number })} />
  );
}

interface SheetProps {
  invoice: Invoice;
  seller: InvoiceDocument["seller"];
  buyer: string;
  title: string;
  number: string;
  kind: "invoice" | "credit";
  issuedAtMs: number;
  lines: readonly InvoiceLine[];
  tax: readonly TaxLine[];
  totalMinor: number;
  note: string;
}

/** One sheet of paper, with what インボイス制度 asks of it: who, number, date, what (and what of it at the reduced rate), sum and tax of each rate. */
function Sheet({ invoice, seller, buyer, title, number, kind, issuedAtMs, lines, tax, totalMinor, note }: SheetProps): JSX.Element {
  const yen = (minor: number): string => money(minor, invoice.currency);
  const reduced = lines.some((line) => line.tax_rate_bp === REDUCED_BP);
  return (
    <article class="paper" data-testid={kind} data-number={number} data-total={totalMinor}>
      <header>
        <h1>{title}</h1>
        {invoice.sandbox && <p class="stamp" data-testid="sandbox">{words.sandbox}<br />{text.sandbox}</p>}
      </header>
      <div class="parties">
        <p class="to">{buyer === "" ? text.no_buyer : `${buyer}${language.value === "ja" ? " 様" : ""}`}</p>
        <dl>
          <div><dt>{text.number}</dt><dd class="num">{number}</dd></div>
          <div><dt>{text.issued}</dt><dd class="num">{date(issuedAtMs)}</dd></div>
          <div><dt>{text.traded}</dt><dd class="num">{date(invoice.placed_at_ms)}</dd></div>
          <div><dt>{text.order}</dt><dd class="num">{invoice.order_number}</dd></div>
        </dl>
      </div>
      <p class="grand"><span>{kind === "credit" ? text.credit_total : text.total}</span><strong class="num" data-testid="paper-total">{yen(totalMinor)}</strong></p>
      <p class="small">{note}</p>
      <table class="num">
        <caption class="sr">{text.lines}</caption>
        <thead><tr><th scope="col">{text.item}</th><th scope="col">{text.qty}</th><th scope="col">{text.unit_price}</th><th scope="col">{text.amount}</th></tr></thead>
        <tbody>{lines.map((line) => (
          <tr key={line.order_line_id} data-testid="paper-line">
            <th scope="row">{line.product_title}{line.variant !== null && line.variant !== "" && ` / ${line.variant}`}{line.tax_rate_bp === REDUCED_BP && " ※"}</th>
            <td>{line.qty}</td><td>{yen(line.unit_price_minor)}</td><td>{yen(line.amount_minor)}</td>
          </tr>
        ))}</tbody>
      </table>
      <table class="num rates">
        <caption class="sr">{text.by_rate}</caption>
        <thead><tr><th scope="col">{text.rate}</th><th scope="col">{text.rate_total}</th><th scope="col">{text.rate_tax}</th></tr></thead>
        <tbody>{tax.map((line) => (
          <tr key={line.rate_bp} data-testid="paper-rate" data-rate={line.rate_bp} data-tax={line.tax_minor}>
            <th scope="row">{fill(text.rate_of, { rate: rate(line.rate_bp) })}{line.rate_bp === REDUCED_BP && " ※"}</th>
            <td>{yen(line.total_minor)}</td><td>{yen(line.tax_minor)}</td>
          </tr>
        ))}</tbody>
      </table>
      {reduced && <p class="small" data-testid="reduced">{text.reduced}</p>}
      <footer>
        <p><strong>{seller.name}</strong></p>
        {seller.invoice_number !== null && <p class="num" data-testid="registration">{fill(text.registration, { number: seller.invoice_number })}</p>}
        <p class="small">{text.by}</p>
      </footer>
    </article>
  );
}
