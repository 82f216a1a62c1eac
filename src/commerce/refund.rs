//! Pure: what may be given back of an order, and how a refund ends.
//!
//! Before its money is taken, a part of an order is called off (`void`): nothing is paid back, less will be taken. After
//! that it is refunded. Amounts are by line and unit: where a line's amount is no multiple of its units (a discount), its
//! units have different shares by largest remainder, and the first that come back have the larger ones; so all of them
//! together are the line.
//! Invariant: no unit is given back twice; the provider's words may come twice and late, and the last try's count.

use std::collections::BTreeMap;

use super::{
    Refusal,
    orders::{Kept, KeptLine},
    payment::RefundStatus,
    purchase::State,
};
use crate::{ids::OrderLineId, money::apportion};

crate::stored_choice! {
    /// Whether money is paid back.
    RefundKind {
        /// It was taken, and goes back.
        Refund = "refund",
        /// It was not taken yet: less will be.
        Void = "void",
    }
}

crate::stored_choice! {
    /// Where it stands.
    RefundState {
        /// The provider has not said its last word.
        Pending = "pending",
        /// The money is back, or was never taken.
        Succeeded = "succeeded",
        /// It did not arrive: the operator tries again.
        Failed = "failed",
    }
}

crate::stored_choice! {
    /// What became of the goods.
    Goods {
        /// They never left the shelf, and are back in the pool.
        Unsent = "unsent",
        /// They came back to a shelf.
        Restocked = "restocked",
        /// They are not to be sold again.
        Gone = "gone",
    }
}

/// So many units of a line.
pub(super) type Asked = BTreeMap<OrderLineId, i64>;

/// What is given back of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) line: KeptLine,
    pub(super) qty: i64,
    pub(super) amount_minor: i64,
}

/// What is given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) kind: RefundKind,
    pub(super) lines: Vec<Given>,
    pub(super) amount_minor: i64,
    /// Nothing is left of the order.
    pub(super) everything: bool,
}

/// What these units of a line cost, when so many came back before.
fn amount_of(line: &KeptLine, qty: i64) -> i64 {
    let units = usize::try_from(line.qty).unwrap_or(0);
    let shares = apportion(line.amount_minor, &vec![1; units]);
    let (from, count) = (usize::try_from(line.returned_qty).unwrap_or(0), usize::try_from(qty).unwrap_or(0));
    shares.iter().skip(from).take(count).sum()
}

/// What may be given back of an order in this state: what is asked, or everything that is left.
///
/// # Errors
/// [`Refusal::NotReturnable`], [`Refusal::MoneyBeingTaken`].
pub(super) fn decide(state: State, order: &Kept, asked: Option<&Asked>) -> Result<Decision, Refusal> {
    let kind = match state {
        State::Authorized if order.taking_minor.is_some() => return Err(Refusal::MoneyBeingTaken),
        State::Authorized => RefundKind::Void,
        State::Captured | State::Fulfilled => RefundKind::Refund,
        _ => return Err(Refusal::NotReturnable),
    };
    let left = |line: &KeptLine| line.qty - line.returned_qty;
    let known = |id: &OrderLineId| order.lines.iter().any(|line| line.id == *id);
    if asked.is_some_and(|asked| !asked.keys().all(known)) {
        return Err(Refusal::NotReturnable);
    }
    let wanted = |line: &KeptLine| asked.map_or_else(|| left(line), |asked| asked.get(&line.id).copied().unwrap_or(0));
    if order.lines.iter().any(|line| !(0..=left(line)).contains(&wanted(line))) {
        return Err(Refusal::NotReturnable);
    }
    let lines: Vec<Given> = order
        .lines
        .iter()
        .filter(|line| wanted(line) > 0)
        .map(|line| Given { line: line.clone(), qty: wanted(line), amount_minor: amount_of(line, wanted(line)) })
        .collect();
    if lines.is_empty() {
        return Err(Refusal::NotReturnable);
    }
    let everything = order.lines.iter().all(|line| wanted(line) == left(line));
    Ok(Decision { kind, amount_minor: lines.iter().map(|given| given.amount_minor).sum(), lines, everything })
}

/// The state after the provider's word about the newest try; `None` when nothing changes. A refund that arrived may still
/// come back (a closed account); one that failed is over, and only a new try can arrive.
pub(super) fn settle(state: RefundState, word: RefundStatus) -> Option<RefundState> {
    match (state, word) {
        (RefundState::Pending, RefundStatus::Succeeded) => Some(RefundState::Succeeded),
        (RefundState::Pending | RefundState::Succeeded, RefundStatus::Failed | RefundStatus::Cancelled) => {
            Some(RefundState::Failed)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        ids::{BrandId, OrderId, PurchaseId, SkuId},
        money::Currency,
    };

    fn order(lines: &[(i64, i64)]) -> Kept {
        let id = OrderId::fresh();
        let line = |(qty, amount): &(i64, i64)| KeptLine {
            id: OrderLineId::fresh(),
            order_id: id.clone(),
            brand_id: BrandId::fresh(),
            sku_id: SkuId::fresh(),
            qty: *qty,
            amount_minor: *amount,
            tax_rate_bp: 1_000,
            returned_qty: 0,
            refunded_minor: 0,
        };
        let total_minor = lines.iter().map(|(_, amount)| amount).sum();
        Kept {
            id: id.clone(),
            purchase_id: PurchaseId::fresh(),
            total_minor,
            voided_minor: 0,
            taking_minor: None,
            captured_minor: total_minor,
            refunded_minor: 0,
            currency: Currency::Jpy,
            demo: false,
            lines: lines.iter().map(line).collect(),
        }
    }

    #[test]
    fn before_the_money_is_taken_it_is_called_off_and_while_it_is_taken_it_waits() {
        let mut order = order(&[(2, 2_160)]);
        let kind = |order: &Kept, state| decide(state, order, None).map(|decision| decision.kind);
        assert_eq!(kind(&order, State::Authorized), Ok(RefundKind::Void));
        assert_eq!(kind(&order, State::Captured), Ok(RefundKind::Refund));
        assert_eq!(kind(&order, State::Fulfilled), Ok(RefundKind::Refund));
        for over in [State::Refunded, State::Cancelled, State::Paying] {
            assert_eq!(kind(&order, over), Err(Refusal::NotReturnable));
        }
        order.taking_minor = Some(2_160);
        assert_eq!(kind(&order, State::Authorized), Err(Refusal::MoneyBeingTaken));
    }

    #[test]
    fn a_foreign_line_none_and_too_many_are_refused() {
        let order = order(&[(2, 2_160)]);
        let ask = |id: &OrderLineId, qty| decide(State::Captured, &order, Some(&Asked::from([(id.clone(), qty)])));
        let id = order.lines[0].id.clone();
        assert_eq!(ask(&OrderLineId::fresh(), 1), Err(Refusal::NotReturnable));
        for wrong in [-1, 0, 3] {
            assert_eq!(ask(&id, wrong), Err(Refusal::NotReturnable), "{wrong}");
        }
        assert_eq!(ask(&id, 1).map(|decision| (decision.amount_minor, decision.everything)), Ok((1_080, false)));
    }

    #[test]
    fn words_may_come_twice_and_late() {
        use RefundState::{Failed, Pending, Succeeded};
        assert_eq!(settle(Pending, RefundStatus::Pending), None);
        assert_eq!(settle(Pending, RefundStatus::Succeeded), Some(Succeeded));
        assert_eq!(settle(Succeeded, RefundStatus::Succeeded), None);
        assert_eq!(settle(Succeeded, RefundStatus::Pending), None, "an old word");
        assert_eq!(settle(Succeeded, RefundStatus::Failed), Some(Failed), "it came back");
        assert_eq!(settle(Failed, RefundStatus::Succeeded), None, "only a new try can arrive");
    }

    proptest! {
        #[test]
        fn in_whatever_parts_an_order_comes_back_it_is_given_back_exactly(
            lines in prop::collection::vec((1i64..12, 0i64..10_000), 1..6),
            parts in prop::collection::vec((any::<prop::sample::Index>(), 1i64..6), 0..40),
        ) {
            let mut order = order(&lines);
            let given = std::cell::Cell::new(0);
            let back = |order: &mut Kept, asked: Option<Asked>| {
                let Ok(decision) = decide(State::Captured, order, asked.as_ref()) else { return false };
                given.set(given.get() + decision.amount_minor);
                for one in &decision.lines {
                    assert!(one.amount_minor >= 0);
                    let line = order.lines.iter_mut().find(|line| line.id == one.line.id).expect("its line");
                    line.returned_qty += one.qty;
                    line.refunded_minor += one.amount_minor;
                    assert!(line.returned_qty <= line.qty && line.refunded_minor <= line.amount_minor);
                }
                decision.everything
            };
            let mut done = false;
            for (which, qty) in parts {
                let id = order.lines[which.index(order.lines.len())].id.clone();
                done |= back(&mut order, Some(Asked::from([(id, qty)])));
            }
            prop_assert!(done || back(&mut order, None));
            prop_assert_eq!(given.get(), order.total_minor);
            prop_assert!(!back(&mut order, None), "nothing is left");
        }
    }
}
