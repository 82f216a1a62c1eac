//! Shell: the part of a batch in which goods and money go back.
//!
//! Unlike taps, returns are few: each reads and writes its order in the middle of the batch, under the lock of its purchase.
//! Goods that never left the shelf are back in the pool; goods that left come back to a shelf when whoever takes them back
//! says so, and only then count no more for limits and quotas.

use std::{collections::BTreeSet, sync::Arc};

use super::{Batch, units};
use crate::{
    commerce::{
        CommerceError, Refusal, booking, orders,
        purchase::{Input, State},
        refund::{self, Given, Goods, RefundKind, RefundState},
        refund_book::{self, Refund, RefundLine},
        sequencer::ReturnOrder,
        stock::Line,
    },
    ids::{LocationId, OrderId, PurchaseId},
    store::{StoreError, Tx},
};

/// Why a purchase is cancelled whose order was called off whole.
const CALLED_OFF: &str = "order-cancelled";

impl<'a> Batch<'a> {
    /// What is left of an order is being taken by the provider: from now on nothing of it is called off, so that it is
    /// taken whole. `None` of an order that is not waiting for that.
    pub(super) async fn begin_taking(
        &mut self,
        tx: &mut Tx,
        purchase: &PurchaseId,
    ) -> Result<Result<i64, CommerceError>, StoreError> {
        let Some(purchase) = self.purchases.get(purchase) else { return Ok(Err(CommerceError::NotFound("order"))) };
        let (Some(order), State::Authorized) = (&purchase.order_id, purchase.state) else {
            return Ok(Err(Refusal::NotShippable.into()));
        };
        let Some(kept) = orders::kept(tx, &BTreeSet::from([order])).await?.pop() else {
            return Ok(Err(CommerceError::NotFound("order")));
        };
        let left = kept.total_minor - kept.voided_minor;
        if kept.taking_minor != Some(left) {
            orders::note_taking(tx, order, Some(left)).await?;
        }
        Ok(Ok(left))
    }

    /// The provider will not take it: the order stands as before.
    pub(super) async fn end_taking(
        &mut self,
        tx: &mut Tx,
        purchase: &PurchaseId,
    ) -> Result<Result<i64, CommerceError>, StoreError> {
        let Some(purchase) = self.purchases.get(purchase) else { return Ok(Err(CommerceError::NotFound("order"))) };
        if let (Some(order), State::Authorized) = (&purchase.order_id, purchase.state) {
            orders::note_taking(tx, order, None).await?;
        }
        Ok(Ok(0))
    }

    /// Books what was captured so far; orders of this batch, whose rows are not written yet, only at its end.
    pub(super) async fn book_captured(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        let (later, now): (Vec<PurchaseId>, Vec<PurchaseId>) =
            std::mem::take(&mut self.captured).into_iter().partition(|id| self.unwritten.contains(id));
        self.captured = later;
        let orders: BTreeSet<&OrderId> = now.iter().filter_map(|id| self.purchases[id].order_id.as_ref()).collect();
        if orders.is_empty() { Ok(()) } else { booking::captured(tx, &orders, self.terms.now).await }
    }

    /// Gives back a part of an order, or all that is left of it. The same return under the same name counts once.
    pub(super) async fn give_back(
        &mut self,
        tx: &mut Tx,
        wish: &'a ReturnOrder,
    ) -> Result<Result<Refund, CommerceError>, StoreError> {
        if let Some(known) = refund_book::find_by_key(tx, &wish.order, &wish.key).await? {
            let same = known.body_hash == wish.body_hash;
            return Ok(if same { Ok(known) } else { Err(CommerceError::KeyReused) });
        }
        self.book_captured(tx).await?;
        let Some(purchase) = self.purchases.get(&wish.purchase).cloned() else {
            return Ok(Err(CommerceError::NotFound("order")));
        };
        let Some(order) = orders::kept(tx, &BTreeSet::from([&wish.order])).await?.pop() else {
            return Ok(Err(CommerceError::NotFound("order")));
        };
        if wish.unless_left && purchase.left_at_ms.is_some() {
            return Ok(Err(Refusal::NotReturnable.into()));
        }
        let decision = match refund::decide(purchase.state, &order, wish.lines.as_ref()) {
            Ok(decision) => decision,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let goods = match (purchase.left_at_ms, wish.restock) {
            (None, _) => Goods::Unsent,
            (Some(_), true) => Goods::Restocked,
            (Some(_), false) => Goods::Gone,
        };
        if let Err(error) = self.take_goods_back(&wish.purchase, &decision.lines, goods, wish.location.as_ref()) {
            return Ok(Err(error));
        }
        if decision.everything {
            // Never refused: the decision has looked at the state.
            let _ = self.step(&wish.purchase, Input::GivenBack, None);
            if decision.kind == RefundKind::Void
                && let Some(purchase) = self.purchases.get_mut(&wish.purchase).map(Arc::make_mut)
            {
                purchase.reason = Some(CALLED_OFF.to_owned());
            }
        }
        let units: i64 = decision.lines.iter().map(|given| given.qty).sum();
        self.given_back.push((purchase.live_id.clone(), units, decision.amount_minor));
        let now = self.terms.now;
        // What was never taken, and what costs nothing, need not be asked of the provider.
        let settled = decision.kind == RefundKind::Void || decision.amount_minor == 0;
        let line = |given: &Given| RefundLine {
            order_line_id: given.line.id.clone(),
            qty: given.qty,
            amount_minor: given.amount_minor,
        };
        let refund = Refund {
            id: wish.id.clone(),
            order_id: wish.order.clone(),
            state: if settled { RefundState::Succeeded } else { RefundState::Pending },
            kind: decision.kind,
            amount_minor: decision.amount_minor,
            currency: order.currency,
            lines: decision.lines.iter().map(line).collect(),
            tax: Vec::new(),
            restocked: goods != Goods::Gone,
            reason: wish.reason.clone(),
            created_at_ms: now,
            settled_at_ms: settled.then_some(now),
            failure: None,
            purchase_id: wish.purchase.clone(),
            key: wish.key.clone(),
            body_hash: wish.body_hash.clone(),
            goods,
            by: wish.by.clone(),
            provider_ref: None,
            tries: 1,
            tried_at_ms: now,
            asks: 0,
            ask_at_ms: now,
        };
        Ok(Ok(booking::given_back(tx, &order, &decision.lines, refund, now).await?))
    }

    /// Moves the units of a return, and notes it on the purchase's lines.
    fn take_goods_back(
        &mut self,
        id: &PurchaseId,
        lines: &[Given],
        goods: Goods,
        to: Option<&LocationId>,
    ) -> Result<(), CommerceError> {
        if goods == Goods::Restocked
            && let Some(to) = to
        {
            let empty = self.empty_shelves.get(to).ok_or(CommerceError::NotFound("location"))?.clone();
            for given in lines {
                if self.world.make_shelf(&given.line.sku_id, &empty) {
                    self.fresh_shelves.push((given.line.sku_id.clone(), to.clone()));
                }
            }
        }
        let Some(purchase) = self.purchases.get(id) else { return Err(CommerceError::NotFound("order")) };
        let mut after = purchase.lines.clone();
        let mut short_filled = 0;
        let mut moves = Vec::with_capacity(lines.len());
        for given in lines {
            let of_sku = |line: &&mut Line| line.left_out.is_none() && line.sku_id == given.line.sku_id;
            // Lines are of different SKUs, so there is one.
            let line = after.0.iter_mut().find(of_sku).ok_or(CommerceError::NotFound("order line"))?;
            let standing = line.allocation.units();
            // What stands nowhere goes first: nobody has to take it from a shelf.
            let short = if goods == Goods::Unsent { given.qty.min(line.left() - standing) } else { 0 };
            let from = units::take(&mut line.allocation, given.qty - short);
            if goods == Goods::Restocked && to.is_none() && from.units() < given.qty {
                return Err(CommerceError::Invalid(
                    "location_id is missing: nobody knows where these goods came from".into(),
                ));
            }
            short_filled += short;
            line.returned_qty += given.qty;
            line.returned_minor += given.amount_minor;
            moves.push((line.clone(), given.qty, from));
        }
        let (live, customer) = (purchase.live_id.clone(), purchase.customer_id.clone());
        for (line, qty, from) in moves {
            match goods {
                Goods::Unsent => self.world.unpromise(&live, &customer, &line, qty, &from),
                Goods::Restocked => {
                    let at = to.map_or(from, |to| units::all_at(to, qty));
                    self.world.restock(&live, &customer, &line, qty, &at);
                }
                Goods::Gone => continue,
            }
            self.risen.insert(line.sku_id);
        }
        let purchase = self.purchases.get_mut(id).map(Arc::make_mut).expect("found above");
        purchase.lines = after;
        purchase.short_units -= short_filled;
        purchase.version += 1;
        purchase.last_batch_id = self.id.clone();
        self.moved.insert(id.clone());
        self.changed.insert(id.clone());
        Ok(())
    }
}
