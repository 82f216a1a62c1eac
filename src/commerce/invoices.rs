//! Table: invoices, invoice_rates, credit_notes, credit_note_rates.
//!
//! An invoice is one seller's part of one order, written in the transaction in which its money is taken, as the seller was
//! called then; a credit note takes back what a refund gives back of it. Neither is ever changed.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::{
    tax::{self, TaxLine},
    transfers::Documents,
};
use crate::{
    clock::Millis,
    ids::{BrandId, CreditNoteId, CustomerId, InvoiceId, OrderId, RefundId},
    money::Currency,
    on,
    store::{Kind, Rows, StoreError, Tx},
};

/// The reduced rate of food and drink (軽減税率), basis points.
const REDUCED_BP: i32 = 800;

/// Who sells, as it is called now.
#[derive(Debug, Clone)]
pub(super) struct Issuer {
    pub(super) name: String,
    pub(super) registration: Option<String>,
}

/// One seller's part of an order whose money was taken.
#[derive(Debug, Clone)]
pub(super) struct NewInvoice<'a> {
    pub(super) order: &'a OrderId,
    pub(super) brand: &'a BrandId,
    pub(super) issuer: Issuer,
    pub(super) rates: &'a [TaxLine],
}

/// Who these sellers are.
pub(super) async fn issuers(tx: &mut Tx, brands: &[&BrandId]) -> Result<HashMap<BrandId, Issuer>, StoreError> {
    const FIND: &str = "SELECT b.id, b.name, b.invoice_number FROM rows CROSS JOIN brands b WHERE b.id = rows.id";
    let mut rows = Rows::new(&[("id", Kind::Text)]);
    for brand in brands {
        rows.push([(*brand).into()]);
    }
    let found: Vec<(BrandId, String, Option<String>)> = rows.fetch(tx, FIND).await?;
    Ok(found.into_iter().map(|(id, name, registration)| (id, Issuer { name, registration })).collect())
}

/// What people read out: the kind's letter and the random tail of the id, in groups.
fn number(letter: char, id: &str) -> String {
    let body = id.to_uppercase();
    let tail = &body[body.len() - 12..];
    format!("{letter}{}-{}-{}", &tail[..4], &tail[4..8], &tail[8..])
}

/// Writes invoices.
pub(super) async fn insert(tx: &mut Tx, invoices: &[NewInvoice<'_>], now: Millis) -> Result<(), StoreError> {
    const INSERT: &str = "
        INSERT INTO invoices (id, number, order_id, brand_id, seller_name, registration, total_minor, currency, issued_at_ms)
        SELECT id, number, order_id, brand_id, seller_name, registration, total_minor, currency, issued_at_ms FROM rows";
    const RATES: &str = "
        INSERT INTO invoice_rates (invoice_id, tax_rate_bp, total_minor, tax_minor)
        SELECT invoice_id, tax_rate_bp, total_minor, tax_minor FROM rows";
    let mut rows = Rows::new(&[
        ("id", Kind::Text),
        ("number", Kind::Text),
        ("order_id", Kind::Text),
        ("brand_id", Kind::Text),
        ("seller_name", Kind::Text),
        ("registration", Kind::Text),
        ("total_minor", Kind::Number),
        ("currency", Kind::Text),
        ("issued_at_ms", Kind::Number),
    ]);
    let mut rates = Rows::new(&[
        ("invoice_id", Kind::Text),
        ("tax_rate_bp", Kind::Number),
        ("total_minor", Kind::Number),
        ("tax_minor", Kind::Number),
    ]);
    for invoice in invoices {
        let id = InvoiceId::fresh();
        rows.push([
            id.to_string().into(),
            number('I', id.as_str()).into(),
            invoice.order.into(),
            invoice.brand.into(),
            invoice.issuer.name.as_str().into(),
            invoice.issuer.registration.as_deref().into(),
            invoice.rates.iter().map(|line| line.total_minor).sum::<i64>().into(),
            Currency::Jpy.as_str().into(),
            now.into(),
        ]);
        for line in invoice.rates {
            rates.push([id.to_string().into(), line.rate_bp.into(), line.total_minor.into(), line.tax_minor.into()]);
        }
    }
    rows.execute(tx, INSERT).await?;
    rates.execute(tx, RATES).await?;
    Ok(())
}

/// Writes the credit notes of a refund, one for each seller.
pub(super) async fn insert_credit_notes(
    tx: &mut Tx,
    order: &OrderId,
    refund: &RefundId,
    notes: &Documents,
    now: Millis,
) -> Result<(), StoreError> {
    const NOTE: &str = "
        INSERT INTO credit_notes (id, number, invoice_id, refund_id, total_minor, issued_at_ms)
        SELECT r.id, r.number, i.id, r.refund_id, r.total_minor, r.issued_at_ms
        FROM rows r CROSS JOIN invoices i
        WHERE i.order_id = r.order_id AND i.brand_id = r.brand_id";
    const RATES: &str = "
        INSERT INTO credit_note_rates (credit_note_id, tax_rate_bp, total_minor, tax_minor)
        SELECT credit_note_id, tax_rate_bp, total_minor, tax_minor FROM rows";
    let mut rows = Rows::new(&[
        ("id", Kind::Text),
        ("number", Kind::Text),
        ("order_id", Kind::Text),
        ("brand_id", Kind::Text),
        ("refund_id", Kind::Text),
        ("total_minor", Kind::Number),
        ("issued_at_ms", Kind::Number),
    ]);
    let mut rates = Rows::new(&[
        ("credit_note_id", Kind::Text),
        ("tax_rate_bp", Kind::Number),
        ("total_minor", Kind::Number),
        ("tax_minor", Kind::Number),
    ]);
    for (brand, lines) in notes {
        let id = CreditNoteId::fresh();
        rows.push([
            id.to_string().into(),
            number('C', id.as_str()).into(),
            order.into(),
            brand.into(),
            refund.into(),
            lines.iter().map(|line| line.total_minor).sum::<i64>().into(),
            now.into(),
        ]);
        for line in lines {
            rates.push([id.to_string().into(), line.rate_bp.into(), line.total_minor.into(), line.tax_minor.into()]);
        }
    }
    rows.execute(tx, NOTE).await?;
    rates.execute(tx, RATES).await?;
    Ok(())
}

/// What the credit notes of refunds say, by rate; `ids` are their ids.
pub(super) async fn of_refunds(tx: &mut Tx, ids: &Rows<'_>) -> Result<HashMap<RefundId, Vec<TaxLine>>, StoreError> {
    const RATES: &str = "
        SELECT n.refund_id, r.tax_rate_bp, r.total_minor, r.tax_minor
        FROM rows CROSS JOIN credit_notes n JOIN credit_note_rates r ON r.credit_note_id = n.id
        WHERE n.refund_id = rows.id";
    let mut found: HashMap<RefundId, Vec<TaxLine>> = HashMap::new();
    for (refund, rate, total, tax) in ids.fetch::<(RefundId, i32, i64, i64)>(tx, RATES).await? {
        found.entry(refund).or_default().push(line((rate, total, tax)));
    }
    Ok(found.into_iter().map(|(refund, lines)| (refund, tax::sum(lines))).collect())
}

fn line((rate_bp, total_minor, tax_minor): (i32, i64, i64)) -> TaxLine {
    TaxLine { rate_bp, total_minor, base_minor: total_minor - tax_minor, tax_minor }
}

/// What a document is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// 適格請求書: its seller is registered.
    QualifiedInvoice,
    /// 領収書: its seller is not, so it gives no right to deduct the tax.
    Receipt,
    /// 適格返還請求書.
    QualifiedCreditNote,
    /// What takes back from a receipt.
    CreditNote,
}

/// The tax of one rate on a document.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct DocumentRate {
    /// 8 %: 軽減税率対象.
    pub reduced: bool,
    /// Its amounts.
    #[serde(flatten)]
    pub tax: TaxLine,
}

impl From<TaxLine> for DocumentRate {
    fn from(tax: TaxLine) -> Self {
        Self { reduced: tax.rate_bp == REDUCED_BP, tax }
    }
}

/// A line of a document.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct DocumentLine {
    /// As it was called then.
    pub product_title: String,
    /// As it was called then.
    pub variant: String,
    /// Units, without what was called off before the money was taken.
    pub qty: i64,
    /// Tax included.
    pub unit_price_minor: i64,
    /// Tax included.
    pub amount_minor: i64,
    /// Basis points.
    pub tax_rate_bp: i32,
    /// 8 %: 軽減税率対象.
    pub reduced: bool,
}

/// One seller's document for one order.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Invoice {
    /// What people read out.
    pub number: String,
    /// What it is called.
    pub kind: DocumentKind,
    /// In Japanese.
    pub title_ja: &'static str,
    /// In English.
    pub title_en: &'static str,
    /// Who sells.
    pub brand_id: BrandId,
    /// As it was called then.
    pub seller_name: String,
    /// T + 13 digits, as it was then; without it the document is no qualified invoice.
    pub registration: Option<String>,
    /// When the money was taken.
    pub issued_at_ms: Millis,
    /// What was bought.
    pub lines: Vec<DocumentLine>,
    /// One rounding per rate.
    pub rates: Vec<DocumentRate>,
    /// Tax included.
    pub total_minor: i64,
    /// What was taken back of it, oldest first.
    pub credit_notes: Vec<CreditNote>,
}

/// What a refund takes back of a document.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct CreditNote {
    /// What people read out.
    pub number: String,
    /// What it is called.
    pub kind: DocumentKind,
    /// In Japanese.
    pub title_ja: &'static str,
    /// In English.
    pub title_en: &'static str,
    /// The refund that it belongs to.
    pub refund_id: RefundId,
    /// When it was written.
    pub issued_at_ms: Millis,
    /// What came back.
    pub lines: Vec<DocumentLine>,
    /// One rounding per rate, so that all credit notes of a full return take the whole tax back.
    pub rates: Vec<DocumentRate>,
    /// Tax included.
    pub total_minor: i64,
}

/// The documents of an order: one for each seller.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct OrderInvoice {
    /// Of which order.
    pub order_id: OrderId,
    /// What people read out.
    pub order_number: String,
    /// Who bought.
    pub buyer_name: String,
    /// When it was bought.
    pub placed_at_ms: Millis,
    /// Of the amounts.
    pub currency: Currency,
    /// None before the money was taken.
    pub documents: Vec<Invoice>,
    /// Whose order it is: for who decides who may read it.
    #[serde(skip)]
    pub customer_id: CustomerId,
}

fn titles(registered: bool, note: bool) -> (DocumentKind, &'static str, &'static str) {
    match (registered, note) {
        (true, false) => (DocumentKind::QualifiedInvoice, "適格請求書", "Qualified invoice"),
        (false, false) => {
            (DocumentKind::Receipt, "領収書（適格請求書ではありません）", "Receipt (not a qualified invoice)")
        }
        (true, true) => (DocumentKind::QualifiedCreditNote, "適格返還請求書", "Qualified credit note"),
        (false, true) => (
            DocumentKind::CreditNote,
            "返金明細書（適格返還請求書ではありません）",
            "Credit note (not a qualified one)",
        ),
    }
}

#[derive(sqlx::FromRow)]
struct InvoiceRow {
    id: InvoiceId,
    number: String,
    brand_id: BrandId,
    seller_name: String,
    registration: Option<String>,
    total_minor: i64,
    issued_at_ms: Millis,
}

#[derive(sqlx::FromRow)]
struct NoteRow {
    id: CreditNoteId,
    number: String,
    refund_id: RefundId,
    total_minor: i64,
    issued_at_ms: Millis,
}

#[derive(sqlx::FromRow)]
struct NoteLine {
    refund_id: RefundId,
    #[sqlx(flatten)]
    line: DocumentLine,
}

/// The documents of an order, or nothing when there is no such order.
pub(super) async fn of_order(tx: &mut Tx, order: &OrderId) -> Result<Option<OrderInvoice>, StoreError> {
    const HEAD: &str = "
        SELECT o.number, c.display_name, o.placed_at_ms, o.currency, o.customer_id
        FROM orders o
        JOIN customers c ON c.id = o.customer_id
        WHERE o.id = $1";
    const INVOICES: &str = "
        SELECT id, number, brand_id, seller_name, registration, total_minor, issued_at_ms
        FROM invoices
        WHERE order_id = $1
        ORDER BY brand_id";
    let head: Option<(String, String, Millis, Currency, CustomerId)> =
        on!(tx, |conn| sqlx::query_as(HEAD).bind(order).fetch_optional(conn).await?);
    let Some((order_number, buyer_name, placed_at_ms, currency, customer_id)) = head else { return Ok(None) };
    let rows = on!(tx, |conn| sqlx::query_as::<_, InvoiceRow>(INVOICES).bind(order).fetch_all(conn).await?);
    let mut documents = Vec::with_capacity(rows.len());
    for row in rows {
        documents.push(document(tx, order, row).await?);
    }
    let order_id = order.clone();
    Ok(Some(OrderInvoice { order_id, order_number, buyer_name, placed_at_ms, currency, documents, customer_id }))
}

async fn document(tx: &mut Tx, order: &OrderId, row: InvoiceRow) -> Result<Invoice, StoreError> {
    const LINES: &str = "
        SELECT l.product_title, l.variant, CAST(l.qty - COALESCE(v.qty, 0) AS BIGINT) AS qty, l.unit_price_minor,
               CAST(l.amount_minor - COALESCE(v.amount, 0) AS BIGINT) AS amount_minor, l.tax_rate_bp,
               (l.tax_rate_bp = 800) AS reduced
        FROM order_lines l
        LEFT JOIN (SELECT r.order_line_id, SUM(r.qty) AS qty, SUM(r.amount_minor) AS amount
                   FROM refunds f
                   JOIN refund_lines r ON r.refund_id = f.id
                   WHERE f.order_id = $1 AND f.kind = 'void'
                   GROUP BY r.order_line_id) v ON v.order_line_id = l.id
        WHERE l.order_id = $1 AND l.brand_id = $2 AND l.qty > COALESCE(v.qty, 0)
        ORDER BY l.id";
    const RATES: &str =
        "SELECT tax_rate_bp, total_minor, tax_minor FROM invoice_rates WHERE invoice_id = $1 ORDER BY tax_rate_bp";
    const NOTES: &str = "
        SELECT id, number, refund_id, total_minor, issued_at_ms FROM credit_notes WHERE invoice_id = $1 ORDER BY id";
    const NOTE_RATES: &str = "
        SELECT n.id, r.tax_rate_bp, r.total_minor, r.tax_minor
        FROM credit_notes n
        JOIN credit_note_rates r ON r.credit_note_id = n.id
        WHERE n.invoice_id = $1
        ORDER BY n.id, r.tax_rate_bp";
    const NOTE_LINES: &str = "
        SELECT r.refund_id, l.product_title, l.variant, CAST(r.qty AS BIGINT) AS qty, l.unit_price_minor, r.amount_minor,
               l.tax_rate_bp, (l.tax_rate_bp = 800) AS reduced
        FROM credit_notes n
        JOIN refund_lines r ON r.refund_id = n.refund_id
        JOIN order_lines l ON l.id = r.order_line_id
        WHERE n.invoice_id = $1 AND l.brand_id = $2
        ORDER BY l.id";
    let lines = on!(tx, |conn| sqlx::query_as::<_, DocumentLine>(LINES)
        .bind(order)
        .bind(&row.brand_id)
        .fetch_all(conn)
        .await?);
    let rates: Vec<(i32, i64, i64)> = on!(tx, |conn| sqlx::query_as(RATES).bind(&row.id).fetch_all(conn).await?);
    let notes = on!(tx, |conn| sqlx::query_as::<_, NoteRow>(NOTES).bind(&row.id).fetch_all(conn).await?);
    let note_rates: Vec<(CreditNoteId, i32, i64, i64)> =
        on!(tx, |conn| sqlx::query_as(NOTE_RATES).bind(&row.id).fetch_all(conn).await?);
    let mut by_note: BTreeMap<CreditNoteId, Vec<DocumentRate>> = BTreeMap::new();
    for (note, rate, total, tax) in note_rates {
        by_note.entry(note).or_default().push(line((rate, total, tax)).into());
    }
    let note_lines = on!(tx, |conn| sqlx::query_as::<_, NoteLine>(NOTE_LINES)
        .bind(&row.id)
        .bind(&row.brand_id)
        .fetch_all(conn)
        .await?);
    let mut returned: BTreeMap<RefundId, Vec<DocumentLine>> = BTreeMap::new();
    for NoteLine { refund_id, line } in note_lines {
        returned.entry(refund_id).or_default().push(line);
    }
    let registered = row.registration.is_some();
    let (kind, title_ja, title_en) = titles(registered, true);
    let credit_notes = notes.into_iter().map(|note| CreditNote {
        rates: by_note.remove(&note.id).unwrap_or_default(),
        lines: returned.remove(&note.refund_id).unwrap_or_default(),
        number: note.number,
        kind,
        title_ja,
        title_en,
        refund_id: note.refund_id,
        issued_at_ms: note.issued_at_ms,
        total_minor: note.total_minor,
    });
    let credit_notes = credit_notes.collect();
    let (kind, title_ja, title_en) = titles(registered, false);
    Ok(Invoice {
        number: row.number,
        kind,
        title_ja,
        title_en,
        brand_id: row.brand_id,
        seller_name: row.seller_name,
        registration: row.registration,
        issued_at_ms: row.issued_at_ms,
        lines,
        rates: rates.into_iter().map(|rate| line(rate).into()).collect(),
        total_minor: row.total_minor,
        credit_notes,
    })
}
