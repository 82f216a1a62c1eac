//! Shell: what the books say of money that is taken and given back, in the sequencer's transaction.
//!
//! Invoices, postings and the reversal of credits are written in the transaction that makes them true, under the lock of
//! the purchase, so that no order is ever captured without its documents or refunded without its credit notes.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    invoices::{self, Issuer, NewInvoice},
    money_ledger,
    orders::{self, Kept},
    refund::{Given, RefundKind},
    refund_book::{self, Refund},
    tax::{self, ByRate},
    transfers::{self, About, Documents},
};
use crate::{
    attribution::{self, ReturnedLine},
    clock::Millis,
    ids::{BrandId, OrderId},
    store::{StoreError, Tx},
};

fn about(order: &Kept) -> About {
    About {
        order: Some(order.id.clone()),
        purchase: Some(order.purchase_id.clone()),
        refund: None,
        entry: None,
        demo: order.demo,
    }
}

/// What is left of an order, by seller and rate.
fn left(order: &Kept) -> BTreeMap<BrandId, ByRate> {
    let lines = order.lines.iter().filter(|line| line.qty > line.returned_qty);
    tax::by_document(
        lines.map(|line| (line.brand_id.clone(), line.tax_rate_bp, line.amount_minor - line.refunded_minor)),
    )
}

/// The money of these orders was taken: what is left of them is invoiced and posted, once.
pub(super) async fn captured(tx: &mut Tx, orders: &BTreeSet<&OrderId>, now: Millis) -> Result<(), StoreError> {
    let mut found = orders::kept(tx, orders).await?;
    // Nothing is given back before it was taken, so what has been taken is in the books.
    found.retain(|order| order.captured_minor == 0);
    let documents: Vec<(&Kept, Documents)> = found
        .iter()
        .map(|order| {
            (order, left(order).iter().map(|(brand, by_rate)| (brand.clone(), tax::of_document(by_rate))).collect())
        })
        .collect();
    let brands: BTreeSet<&BrandId> = documents.iter().flat_map(|(_, documents)| documents.keys()).collect();
    let issuers = invoices::issuers(tx, &brands.into_iter().collect::<Vec<_>>()).await?;
    let mut commissions = attribution::commissions(tx, orders).await?;
    let (mut written, mut pairs, mut taken) = (Vec::new(), Vec::new(), Vec::new());
    for (order, documents) in &documents {
        for (brand, rates) in documents {
            let issuer = issuers.get(brand).cloned();
            let issuer = issuer.unwrap_or_else(|| Issuer { name: brand.to_string(), registration: None });
            written.push(NewInvoice { order: &order.id, brand, issuer, rates });
        }
        pairs.extend(transfers::of_sale(&order.id, documents, &about(order)));
        let commission = commissions.remove(&order.id).unwrap_or_default();
        pairs.extend(transfers::of_commission(&order.id, &commission, &about(order)));
        taken.push((&order.id, order.total_minor - order.voided_minor));
    }
    invoices::insert(tx, &written, now).await?;
    money_ledger::post(tx, &pairs, now).await?;
    orders::note_captured(tx, &taken).await
}

/// A part of an order is given back (or called off): writes the refund, and everything that it takes back.
pub(super) async fn given_back(
    tx: &mut Tx,
    order: &Kept,
    given: &[Given],
    mut refund: Refund,
    now: Millis,
) -> Result<Refund, StoreError> {
    refund_book::insert(tx, &refund).await?;
    orders::note_given_back(tx, &refund).await?;
    let returned = |one: &Given| ReturnedLine {
        line_id: one.line.id.clone(),
        qty: one.qty,
        amount_minor: one.amount_minor,
        left_minor: one.line.amount_minor - one.line.refunded_minor,
    };
    let returned: Vec<ReturnedLine> = given.iter().map(returned).collect();
    let commission = attribution::reverse(tx, &order.id, &refund.id, &returned, now).await?;
    // Before the money is taken, nothing of it is in the books: what is left will be.
    if refund.kind == RefundKind::Void {
        return Ok(refund);
    }
    let back = tax::by_document(given.iter().map(|g| (g.line.brand_id.clone(), g.line.tax_rate_bp, g.amount_minor)));
    let before = left(order);
    let notes: Documents = back
        .iter()
        .map(|(brand, by_rate)| {
            let before = before.get(brand).cloned().unwrap_or_default();
            (brand.clone(), tax::of_credit_note(&before, by_rate))
        })
        .collect();
    invoices::insert_credit_notes(tx, &order.id, &refund.id, &notes, now).await?;
    let about = About { refund: Some(refund.id.clone()), ..about(order) };
    let mut pairs = transfers::of_refund(&refund.id, &notes, &about);
    pairs.extend(transfers::of_commission_back(&refund.id, &commission, &about));
    money_ledger::post(tx, &pairs, now).await?;
    refund.tax = tax::sum(notes.into_values().flatten());
    Ok(refund)
}
