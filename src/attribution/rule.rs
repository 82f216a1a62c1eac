//! Pure: the credit rule: from a paid order line and its customer's touches to who is credited.
//!
//! Version 1. Precedence within the liver pool, first match: coupon in a store, bought in the live, replay, last click on
//! that product within 7 days. A view alone credits nobody (it only influenced). A staff code is a pool of its own.
//! Invariant: in each pool the shares of one line sum to at most one whole; the same input gives the same credits.

use serde::{Deserialize, Serialize};

use super::touch::TouchKind;
use crate::{
    clock::Millis,
    ids::{LiveId, LiverId, ProductId, TouchId},
    money::{WHOLE_BP, share},
};

/// Frozen on every credit that was written under it.
pub(super) const RULE_VERSION: i32 = 1;
/// How long a click counts.
const CLICK_WINDOW_MS: i64 = 7 * 24 * 3600 * 1000;
/// How long a replay counts.
const REPLAY_WINDOW_MS: i64 = 30 * 24 * 3600 * 1000;

/// Credits of two pools never compete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// Who hosted.
    Liver,
    /// Who served on the floor.
    Staff,
}

impl Pool {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Liver => "liver",
            Self::Staff => "staff",
        }
    }
}

/// A touch as the rule sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Touch {
    pub(super) id: TouchId,
    pub(super) kind: TouchKind,
    pub(super) live: LiveId,
    pub(super) liver: LiverId,
    pub(super) product: Option<ProductId>,
    pub(super) at: Millis,
}

/// A paid line as the rule sees it.
#[derive(Debug, Clone)]
pub(super) struct Line<'a> {
    /// In which live the buy button was.
    pub(super) bought_in: &'a LiveId,
    pub(super) product: &'a ProductId,
    pub(super) amount_minor: i64,
    pub(super) commission_bp: i32,
    pub(super) paid_at: Millis,
}

/// Who gets what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credit {
    pub(super) pool: Pool,
    pub(super) party: String,
    pub(super) live: LiveId,
    pub(super) share_bp: i32,
    pub(super) base_minor: i64,
    pub(super) commission_bp: i32,
    pub(super) commission_minor: i64,
    pub(super) rule: &'static str,
    pub(super) evidence: Vec<TouchId>,
}

/// The credits of one line.
pub(super) fn credits(line: &Line<'_>, touches: &[Touch]) -> Vec<Credit> {
    decisive(line, touches)
        .map(|(touch, rule)| {
            let share_bp = i32::try_from(WHOLE_BP).expect("10,000 fits");
            let base_minor = share(line.amount_minor, share_bp);
            Credit {
                pool: Pool::Liver,
                party: touch.liver.to_string(),
                live: touch.live.clone(),
                share_bp,
                base_minor,
                commission_bp: line.commission_bp,
                commission_minor: share(base_minor, line.commission_bp),
                rule,
                evidence: vec![touch.id.clone()],
            }
        })
        .into_iter()
        .collect()
}

/// The touch that decides the liver pool, and the name of its rule.
fn decisive<'a>(line: &Line<'_>, touches: &'a [Touch]) -> Option<(&'a Touch, &'static str)> {
    let newest = |kind: TouchKind, window_ms: i64, same_product: bool| {
        touches
            .iter()
            .filter(|touch| touch.kind == kind && touch.at <= line.paid_at && line.paid_at.since(touch.at) <= window_ms)
            .filter(|touch| !same_product || touch.product.as_ref() == Some(line.product))
            .filter(|touch| kind != TouchKind::LivePurchase || touch.live == *line.bought_in)
            .max_by_key(|touch| (touch.at, touch.id.clone()))
    };
    newest(TouchKind::Coupon, i64::MAX, false)
        .map(|touch| (touch, "coupon"))
        .or_else(|| newest(TouchKind::LivePurchase, i64::MAX, true).map(|touch| (touch, "direct")))
        .or_else(|| newest(TouchKind::Replay, REPLAY_WINDOW_MS, false).map(|touch| (touch, "replay")))
        .or_else(|| newest(TouchKind::Click, CLICK_WINDOW_MS, true).map(|touch| (touch, "last_click")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn touch(kind: TouchKind, product: &ProductId, at: i64) -> Touch {
        Touch {
            id: TouchId::fresh(),
            kind,
            live: LiveId::fresh(),
            liver: LiverId::fresh(),
            product: Some(product.clone()),
            at: Millis(at),
        }
    }

    fn line<'a>(product: &'a ProductId, bought_in: &'a LiveId, at: i64) -> Line<'a> {
        Line { bought_in, product, amount_minor: 1_999, commission_bp: 1_500, paid_at: Millis(at) }
    }

    #[test]
    fn a_purchase_in_the_live_beats_an_earlier_click_elsewhere() {
        let product = ProductId::fresh();
        let touches = [touch(TouchKind::Click, &product, 90), touch(TouchKind::LivePurchase, &product, 80)];
        let credits = credits(&line(&product, &touches[1].live, 100), &touches);
        assert_eq!(credits.len(), 1);
        assert_eq!((credits[0].rule, &credits[0].party), ("direct", &touches[1].liver.to_string()));
        assert_eq!((credits[0].base_minor, credits[0].commission_minor), (1_999, 299));
    }

    #[test]
    fn two_lives_in_one_moment_do_not_take_each_others_sale() {
        let product = ProductId::fresh();
        let touches = [touch(TouchKind::LivePurchase, &product, 80), touch(TouchKind::LivePurchase, &product, 80)];
        for one in &touches {
            assert_eq!(credits(&line(&product, &one.live, 80), &touches)[0].party, one.liver.to_string());
        }
    }

    #[test]
    fn a_view_only_influences_and_a_click_counts_a_week() {
        let product = ProductId::fresh();
        let elsewhere = LiveId::fresh();
        assert!(credits(&line(&product, &elsewhere, 100), &[touch(TouchKind::View, &product, 99)]).is_empty());
        let click = [touch(TouchKind::Click, &product, 0)];
        assert_eq!(credits(&line(&product, &elsewhere, CLICK_WINDOW_MS), &click).len(), 1);
        assert!(credits(&line(&product, &elsewhere, CLICK_WINDOW_MS + 1), &click).is_empty());
        assert!(credits(&line(&ProductId::fresh(), &elsewhere, 1), &click).is_empty(), "another product");
    }

    proptest! {
        #[test]
        fn shares_never_exceed_the_whole_and_order_does_not_matter(
            kinds in prop::collection::vec((0usize..4, 0i64..1_000), 0..12),
            amount in 0i64..10_000_000,
            commission_bp in 0i32..=10_000,
        ) {
            const KINDS: [TouchKind; 4] = [TouchKind::View, TouchKind::Click, TouchKind::LivePurchase, TouchKind::Replay];
            let (product, live) = (ProductId::fresh(), LiveId::fresh());
            let mut touches: Vec<Touch> = kinds.iter().map(|(k, at)| touch(KINDS[*k], &product, *at)).collect();
            touches.iter_mut().step_by(2).for_each(|touch| touch.live = live.clone());
            let line = Line { bought_in: &live, product: &product, amount_minor: amount, commission_bp, paid_at: Millis(1_000) };
            let first = credits(&line, &touches);
            prop_assert!(first.iter().map(|c| i64::from(c.share_bp)).sum::<i64>() <= WHOLE_BP);
            prop_assert!(first.iter().all(|c| c.commission_minor <= c.base_minor && c.base_minor <= amount));
            touches.reverse();
            prop_assert_eq!(first, credits(&line, &touches));
        }
    }
}
