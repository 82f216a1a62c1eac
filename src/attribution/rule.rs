//! Pure: the credit rule: from a paid order line and its customer's touches to who is credited.
//!
//! Precedence within the liver pool, first match: the coupon that was redeemed with the sale in a store, bought in the
//! live, bought in a replay or within the replay's days after one that shows the product, the last click on (or link to)
//! that product within the click's days. A view alone credits nobody (it only influenced). A staff code is a pool of its
//! own. How many days count is the brand's rule of that moment, or what brand and liver agreed on; the rate likewise.
//! Invariant: in each pool the shares of one line sum to at most one whole; the same input gives the same credits.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::touch::TouchKind;
use crate::{
    clock::Millis,
    ids::{AccountId, BrandId, ContractId, LiveId, LiverId, LocationId, ProductId, TouchId},
    money::{WHOLE_BP, share},
};

/// A day.
pub(super) const DAY_MS: i64 = 24 * 3600 * 1000;

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
    const ALL: &[Self] = &[Self::Liver, Self::Staff];

    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Liver => "liver",
            Self::Staff => "staff",
        }
    }
}

crate::stored_as_text!(Pool);

/// Where something was sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// In a live that was on.
    Live,
    /// In the replay of one.
    Replay,
    /// In the shop, outside of any live.
    Shop,
    /// At a till.
    Store,
}

impl Channel {
    const ALL: &[Self] = &[Self::Live, Self::Replay, Self::Shop, Self::Store];

    /// As stored and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Replay => "replay",
            Self::Shop => "shop",
            Self::Store => "store",
        }
    }
}

crate::stored_as_text!(Channel);

/// A brand's rule in one of its versions. Version 1 is the house's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) version: i32,
    /// How long a click on a product, or a link to it, counts.
    pub(super) click_days: i32,
    /// How long a replay counts.
    pub(super) replay_days: i32,
    /// How long a named code counts.
    pub(super) staff_days: i32,
    /// What staff earn.
    pub(super) staff_commission_bp: i32,
    /// What a liver earns who agreed on nothing else.
    pub(super) commission_bp: i32,
}

impl Rule {
    /// The house's rule, version 1.
    pub(super) fn of_the_house(commission_bp: i32) -> Self {
        Self { version: 1, click_days: 7, replay_days: 30, staff_days: 7, staff_commission_bp: 0, commission_bp }
    }
}

/// What a brand and a liver agreed on, in the version that counts at the moment of the sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Agreed {
    pub(super) contract: ContractId,
    pub(super) version: i32,
    pub(super) rate_bp: i32,
    /// Of products with a rate of their own.
    pub(super) product_rates: HashMap<ProductId, i32>,
    pub(super) click_days: Option<i32>,
    pub(super) replay_days: Option<i32>,
}

/// What a brand's lines are judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) rule: Rule,
    pub(super) agreed: HashMap<LiverId, Agreed>,
}

impl Terms {
    fn click_ms(&self, liver: Option<&LiverId>) -> i64 {
        let agreed = liver.and_then(|liver| self.agreed.get(liver)).and_then(|agreed| agreed.click_days);
        i64::from(agreed.unwrap_or(self.rule.click_days)) * DAY_MS
    }

    fn replay_ms(&self, liver: Option<&LiverId>) -> i64 {
        let agreed = liver.and_then(|liver| self.agreed.get(liver)).and_then(|agreed| agreed.replay_days);
        i64::from(agreed.unwrap_or(self.rule.replay_days)) * DAY_MS
    }
}

/// Terms by brand.
pub(super) type AllTerms = HashMap<BrandId, Terms>;

/// A touch as the rule sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Touch {
    pub(super) id: TouchId,
    pub(super) kind: TouchKind,
    /// With its liver; a code may be named without one.
    pub(super) live: Option<(LiveId, LiverId)>,
    pub(super) product: Option<ProductId>,
    /// The code that was followed or named, or the coupon.
    pub(super) code: Option<String>,
    /// Whose code it is, and of which store.
    pub(super) staff: Option<(AccountId, LocationId)>,
    pub(super) campaign: Option<String>,
    pub(super) at: Millis,
}

impl Touch {
    fn liver(&self) -> Option<&LiverId> {
        self.live.as_ref().map(|(_, liver)| liver)
    }

    fn key(&self) -> (Millis, &TouchId) {
        (self.at, &self.id)
    }
}

/// A paid line as the rule sees it.
#[derive(Debug, Clone)]
pub(super) struct Line<'a> {
    pub(super) channel: Channel,
    /// In which live or replay the buy button was.
    pub(super) bought_in: Option<&'a LiveId>,
    pub(super) product: &'a ProductId,
    /// Lives that showed the product.
    pub(super) shown_in: &'a BTreeSet<LiveId>,
    /// The coupon that was redeemed with it.
    pub(super) coupon: Option<&'a str>,
    pub(super) amount_minor: i64,
    pub(super) paid_at: Millis,
}

/// Who gets what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credit {
    pub(super) pool: Pool,
    pub(super) party: String,
    pub(super) live: Option<LiveId>,
    /// Of the member of staff.
    pub(super) location: Option<LocationId>,
    pub(super) campaign: Option<String>,
    pub(super) share_bp: i32,
    pub(super) base_minor: i64,
    pub(super) commission_bp: i32,
    pub(super) commission_minor: i64,
    pub(super) rule: Step,
    pub(super) rule_version: i32,
    pub(super) contract: Option<(ContractId, i32)>,
    /// What decided.
    pub(super) evidence: Vec<TouchId>,
    /// What was looked at: the newest of each step that counted, whether it decided or not.
    pub(super) considered: Vec<TouchId>,
}

/// A step of the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A live's coupon was redeemed with it in a store.
    Coupon,
    /// It was bought in the live.
    Direct,
    /// It was bought in the replay, or after one that shows it.
    Replay,
    /// The last click on it, or link to it.
    LastClick,
    /// A member of staff was named.
    StaffCode,
}

impl Step {
    const ALL: &[Self] = &[Self::Coupon, Self::Direct, Self::Replay, Self::LastClick, Self::StaffCode];
    /// Of the liver pool, in their order.
    pub(super) const OF_LIVERS: [Self; 4] = [Self::Coupon, Self::Direct, Self::Replay, Self::LastClick];

    /// As stored and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Coupon => "coupon",
            Self::Direct => "direct",
            Self::Replay => "replay",
            Self::LastClick => "last_click",
            Self::StaffCode => "staff_code",
        }
    }
}

crate::stored_as_text!(Step);

/// Whether a touch fulfils a step.
fn fulfils(step: Step, touch: &Touch, line: &Line<'_>, terms: &Terms) -> bool {
    let age = line.paid_at.since(touch.at);
    let of_the_product = || match &touch.product {
        Some(product) => product == line.product,
        None => touch.live.as_ref().is_some_and(|(live, _)| line.shown_in.contains(live)),
    };
    let bought_there = || touch.live.as_ref().map(|(live, _)| live) == line.bought_in;
    let exactly = || touch.product.as_ref() == Some(line.product) && bought_there();
    age >= 0
        && match (step, touch.kind) {
            (Step::Coupon, TouchKind::Coupon) => {
                line.channel == Channel::Store && line.coupon.is_some() && touch.code.as_deref() == line.coupon
            }
            (Step::Direct, TouchKind::LivePurchase) => line.channel == Channel::Live && exactly(),
            (Step::Replay, TouchKind::ReplayPurchase) => line.channel == Channel::Replay && exactly(),
            (Step::Replay, TouchKind::Replay) => age <= terms.replay_ms(touch.liver()) && of_the_product(),
            (Step::LastClick, TouchKind::Click) => {
                age <= terms.click_ms(touch.liver()) && touch.product.as_ref() == Some(line.product)
            }
            (Step::LastClick, TouchKind::Link) => age <= terms.click_ms(touch.liver()) && of_the_product(),
            (Step::StaffCode, TouchKind::StaffCode) => {
                let of_the_product = touch.product.as_ref().is_none_or(|product| product == line.product);
                age <= i64::from(terms.rule.staff_days) * DAY_MS && touch.staff.is_some() && of_the_product
            }
            _ => false,
        }
}

/// The newest touch that fulfils a step.
pub(super) fn newest<'a>(step: Step, line: &Line<'_>, touches: &'a [Touch], terms: &Terms) -> Option<&'a Touch> {
    touches.iter().filter(|touch| fulfils(step, touch, line, terms)).max_by_key(|touch| touch.key())
}

/// The newest link of a campaign that led to the product, whoever is credited.
fn campaign<'a>(line: &Line<'_>, touches: &'a [Touch], terms: &Terms) -> Option<&'a Touch> {
    let of_campaign = |touch: &&Touch| touch.campaign.is_some() && fulfils(Step::LastClick, touch, line, terms);
    touches.iter().filter(of_campaign).max_by_key(|touch| touch.key())
}

/// The credits of one line.
pub(super) fn credits(line: &Line<'_>, touches: &[Touch], terms: &Terms) -> Vec<Credit> {
    let candidates = Step::OF_LIVERS.map(|step| (step, newest(step, line, touches, terms)));
    let owner = candidates.iter().find_map(|(step, touch)| touch.map(|touch| (*step, touch)));
    let helper = newest(Step::StaffCode, line, touches, terms);
    let campaign = campaign(line, touches, terms);
    let mut considered: Vec<TouchId> = candidates
        .iter()
        .filter_map(|(_, touch)| *touch)
        .chain(helper)
        .chain(campaign)
        .map(|touch| touch.id.clone())
        .collect();
    considered.sort();
    considered.dedup();
    let share_bp = i32::try_from(WHOLE_BP).expect("10,000 fits");
    let base_minor = share(line.amount_minor, share_bp);
    let credit = |pool, party, touch: &Touch, step, commission_bp, contract| Credit {
        pool,
        party,
        live: touch.live.as_ref().map(|(live, _)| live.clone()),
        location: touch.staff.as_ref().map(|(_, location)| location.clone()),
        campaign: touch.campaign.clone().or_else(|| campaign.and_then(|link| link.campaign.clone())),
        share_bp,
        base_minor,
        commission_bp,
        commission_minor: share(base_minor, commission_bp),
        rule: step,
        rule_version: terms.rule.version,
        contract,
        evidence: vec![touch.id.clone()],
        considered: considered.clone(),
    };
    let of_liver = owner.and_then(|(step, touch)| {
        let liver = touch.liver()?;
        let agreed = terms.agreed.get(liver);
        let rate_bp = agreed.map_or(terms.rule.commission_bp, |agreed| {
            agreed.product_rates.get(line.product).copied().unwrap_or(agreed.rate_bp)
        });
        let contract = agreed.map(|agreed| (agreed.contract.clone(), agreed.version));
        Some(credit(Pool::Liver, liver.to_string(), touch, step, rate_bp, contract))
    });
    let of_staff = helper.and_then(|touch| {
        let (account, _) = touch.staff.as_ref()?;
        let rate_bp = terms.rule.staff_commission_bp;
        Some(credit(Pool::Staff, account.to_string(), touch, Step::StaffCode, rate_bp, None))
    });
    of_liver.into_iter().chain(of_staff).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn touch(kind: TouchKind, product: &ProductId, at: i64) -> Touch {
        let staff = (kind == TouchKind::StaffCode).then(|| (AccountId::fresh(), LocationId::fresh()));
        let live = Some((LiveId::fresh(), LiverId::fresh()));
        let product = Some(product.clone());
        Touch { id: TouchId::fresh(), kind, live, product, code: None, staff, campaign: None, at: Millis(at) }
    }

    fn line<'a>(
        product: &'a ProductId,
        bought_in: &'a LiveId,
        shown_in: &'a BTreeSet<LiveId>,
        channel: Channel,
        at: i64,
    ) -> Line<'a> {
        let bought_in = Some(bought_in);
        Line { channel, bought_in, product, shown_in, coupon: None, amount_minor: 1_999, paid_at: Millis(at) }
    }

    fn terms() -> Terms {
        Terms { rule: Rule::of_the_house(1_500), agreed: HashMap::new() }
    }

    fn live_of(touch: &Touch) -> &LiveId {
        &touch.live.as_ref().expect("a live").0
    }

    fn liver_of(touch: &Touch) -> String {
        touch.liver().expect("a liver").to_string()
    }

    #[test]
    fn a_purchase_in_the_live_beats_a_later_click_elsewhere() {
        let (product, none) = (ProductId::fresh(), BTreeSet::new());
        let touches = [touch(TouchKind::Click, &product, 90), touch(TouchKind::LivePurchase, &product, 80)];
        let credits = credits(&line(&product, live_of(&touches[1]), &none, Channel::Live, 100), &touches, &terms());
        assert_eq!(credits.len(), 1);
        assert_eq!((credits[0].rule, &credits[0].party), (Step::Direct, &liver_of(&touches[1])));
        assert_eq!((credits[0].base_minor, credits[0].commission_minor), (1_999, 299));
        assert_eq!(credits[0].evidence, [touches[1].id.clone()]);
        assert_eq!(credits[0].considered.len(), 2, "the click was looked at");
    }

    #[test]
    fn two_lives_in_one_moment_do_not_take_each_others_sale() {
        let (product, none) = (ProductId::fresh(), BTreeSet::new());
        let touches = [touch(TouchKind::LivePurchase, &product, 80), touch(TouchKind::LivePurchase, &product, 80)];
        for one in &touches {
            let line = line(&product, live_of(one), &none, Channel::Live, 80);
            assert_eq!(credits(&line, &touches, &terms())[0].party, liver_of(one));
        }
    }

    #[test]
    fn a_view_only_influences_and_a_click_counts_a_week() {
        let (product, none, elsewhere) = (ProductId::fresh(), BTreeSet::new(), LiveId::fresh());
        let other = ProductId::fresh();
        let at = |product, at, touches: &[Touch]| {
            credits(&line(product, &elsewhere, &none, Channel::Shop, at), touches, &terms()).len()
        };
        assert_eq!(at(&product, 100, &[touch(TouchKind::View, &product, 99)]), 0);
        let click = [touch(TouchKind::Click, &product, 0)];
        assert_eq!(at(&product, 7 * DAY_MS, &click), 1);
        assert_eq!(at(&product, 7 * DAY_MS + 1, &click), 0);
        assert_eq!(at(&other, 1, &click), 0, "another product");
        assert_eq!(at(&product, -1, &click), 0, "a click after the sale");
    }

    #[test]
    fn a_coupon_counts_with_the_sale_it_was_redeemed_with_and_with_no_other() {
        let (product, none, live) = (ProductId::fresh(), BTreeSet::new(), LiveId::fresh());
        let mut coupon = touch(TouchKind::Coupon, &product, 50);
        coupon.code = Some("SAKURA".to_owned());
        let touches = [coupon, touch(TouchKind::Click, &product, 90)];
        let mut sold = line(&product, &live, &none, Channel::Store, 100);
        assert_eq!(credits(&sold, &touches, &terms())[0].rule, Step::LastClick, "none was redeemed");
        sold.coupon = Some("SAKURA");
        assert_eq!(credits(&sold, &touches, &terms())[0].rule, Step::Coupon);
        sold.channel = Channel::Live;
        assert_eq!(credits(&sold, &touches, &terms())[0].rule, Step::LastClick, "a coupon is for stores");
    }

    #[test]
    fn a_replay_counts_for_what_it_shows() {
        let (product, live) = (ProductId::fresh(), LiveId::fresh());
        let mut replay = touch(TouchKind::Replay, &product, 0);
        replay.product = None;
        let shown = BTreeSet::from([live_of(&replay).clone()]);
        let none = BTreeSet::new();
        let touches = [replay];
        let at = |shown, at| {
            let credits = credits(&line(&product, &live, shown, Channel::Shop, at), &touches, &terms());
            credits.first().map(|credit| credit.rule)
        };
        assert_eq!(at(&shown, 30 * DAY_MS), Some(Step::Replay));
        assert_eq!(at(&shown, 30 * DAY_MS + 1), None);
        assert_eq!(at(&none, 1), None, "another product was in it");
    }

    #[test]
    fn agreed_terms_count_for_their_liver_by_product_and_by_days() {
        let (product, none, live) = (ProductId::fresh(), BTreeSet::new(), LiveId::fresh());
        let touches = [touch(TouchKind::Click, &product, 0)];
        let agreed = Agreed {
            contract: ContractId::fresh(),
            version: 3,
            rate_bp: 2_000,
            product_rates: HashMap::from([(product.clone(), 3_000)]),
            click_days: Some(1),
            replay_days: None,
        };
        let mut terms = terms();
        terms.agreed.insert(touches[0].liver().expect("a liver").clone(), agreed.clone());
        let found = credits(&line(&product, &live, &none, Channel::Shop, DAY_MS), &touches, &terms);
        assert_eq!((found[0].commission_bp, &found[0].contract), (3_000, &Some((agreed.contract, 3))));
        assert!(credits(&line(&product, &live, &none, Channel::Shop, DAY_MS + 1), &touches, &terms).is_empty());
    }

    #[test]
    fn staff_are_a_pool_apart() {
        let (product, none) = (ProductId::fresh(), BTreeSet::new());
        let touches = [touch(TouchKind::LivePurchase, &product, 80), touch(TouchKind::StaffCode, &product, 70)];
        let mut terms = terms();
        terms.rule.staff_commission_bp = 300;
        let found = credits(&line(&product, live_of(&touches[0]), &none, Channel::Live, 80), &touches, &terms);
        let pools: Vec<_> = found.iter().map(|c| (c.pool, c.base_minor, c.commission_minor)).collect();
        assert_eq!(pools, [(Pool::Liver, 1_999, 299), (Pool::Staff, 1_999, 59)]);
    }

    proptest! {
        #[test]
        fn shares_never_exceed_the_whole_and_order_does_not_matter(
            kinds in prop::collection::vec((0usize..TouchKind::ALL.len(), 0i64..1_000, any::<bool>()), 0..12),
            amount in 0i64..10_000_000,
            commission_bp in 0i32..=10_000,
            channel in 0usize..4,
        ) {
            let (product, live) = (ProductId::fresh(), LiveId::fresh());
            let liver = LiverId::fresh();
            let mut touches: Vec<Touch> = kinds
                .iter()
                .map(|(kind, at, here)| {
                    let mut touch = touch(TouchKind::ALL[*kind], &product, *at);
                    if *here {
                        touch.live = Some((live.clone(), liver.clone()));
                    }
                    touch
                })
                .collect();
            let shown = BTreeSet::from([live.clone()]);
            let mut line = line(&product, &live, &shown, Channel::ALL[channel], 1_000);
            line.amount_minor = amount;
            let mut terms = terms();
            terms.rule.commission_bp = commission_bp;
            let first = credits(&line, &touches, &terms);
            for pool in Pool::ALL {
                let shares = first.iter().filter(|c| c.pool == *pool).map(|c| i64::from(c.share_bp));
                prop_assert!(shares.sum::<i64>() <= WHOLE_BP);
            }
            prop_assert!(first.iter().all(|c| c.commission_minor <= c.base_minor && c.base_minor <= amount));
            touches.reverse();
            prop_assert_eq!(&first, &credits(&line, &touches, &terms));
            // What was looked at suffices to decide again, in the same words.
            let looked_at: BTreeSet<TouchId> = first.iter().flat_map(|c| c.considered.clone()).collect();
            touches.retain(|touch| looked_at.contains(&touch.id));
            prop_assert_eq!(first, credits(&line, &touches, &terms));
        }
    }
}
