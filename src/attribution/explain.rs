//! Shell: why a sold line is whose, in words that a brand, a liver and their accountants can follow.
//!
//! It tells what was decided then, from the same rows that the recomputation reads, and names what each step of the rule
//! found. Of the buyer it tells nothing but touches of the brand's own products and lives that showed them.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    judged::{self, Judged, StoredCredit},
    report::civil,
    rule::{self, Channel, DAY_MS, Pool, Step, Terms, Touch},
    touch::TouchKind,
};
use crate::{
    clock::Millis,
    ids::{BrandId, ContractId, CustomerId, LiveId, LiverId, LocationId, OrderLineId, ProductId, TouchId},
    on,
    store::{StoreError, Tx},
};

/// How long a view or click of another live counts as an assist.
const ASSIST_MS: i64 = 7 * DAY_MS;
/// Assists that are told: the newest.
const MAX_ASSISTS: i64 = 20;

/// Who owns a sale.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Owner {
    /// The liver.
    pub liver_id: LiverId,
    /// What people see.
    pub liver_name: String,
    /// Through which live.
    pub live_id: LiveId,
    /// Its title.
    pub live_title: String,
}

/// Who helped on the floor.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Helper {
    /// What customers see.
    pub name: String,
    /// The store's name.
    pub location: String,
}

/// The agreed terms that count for it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct AgreedTerms {
    /// The contract.
    pub contract_id: ContractId,
    /// In which version.
    pub version: i32,
    /// Rate of this product, basis points.
    pub rate_bp: i32,
}

/// A touch that a step found.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct ExplainedTouch {
    /// The row.
    pub touch_id: TouchId,
    /// What it was.
    pub kind: String,
    /// Of which live.
    pub live_title: Option<String>,
    /// When.
    pub at_ms: Millis,
}

/// A step of the rule, in the order in which they are tried.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct ExplainedStep {
    /// Which.
    pub rule: Step,
    /// Whether it decided. Later steps of its pool are not asked any more.
    pub decided: bool,
    /// Whether it found something.
    pub matched: bool,
    /// In Japanese.
    pub ja: String,
    /// In English.
    pub en: String,
    /// What it found.
    pub touches: Vec<ExplainedTouch>,
}

/// A live of somebody else that the buyer had seen or clicked in.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Assist {
    /// The live.
    pub live_id: LiveId,
    /// Its title.
    pub title: String,
    /// `view` or `click`.
    pub kind: String,
    /// The last time.
    pub at_ms: Millis,
}

/// A row of the ledger that this line has.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct ExplainedCredit {
    /// The row.
    pub credit_id: crate::ids::CreditId,
    /// `sale` or `reversal`.
    pub kind: String,
    /// `liver` or `staff`.
    pub pool: String,
    /// Units; negative in a reversal, like its amounts.
    pub qty: i32,
    /// Credited amount, tax included.
    pub base_minor: i64,
    /// Rate, basis points.
    pub commission_bp: i32,
    /// What is earned.
    pub commission_minor: i64,
    /// When it was written.
    pub at_ms: Millis,
}

/// Why a line is whose.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Explanation {
    /// What people read out.
    pub order_number: String,
    /// The line.
    pub order_line_id: OrderLineId,
    /// Whose product it is.
    pub brand_id: BrandId,
    /// As it was called then.
    pub product_title: String,
    /// As it was called then.
    pub variant: String,
    /// Units.
    pub qty: i32,
    /// Tax included.
    pub amount_minor: i64,
    /// When it was paid for.
    pub sold_at_ms: Millis,
    /// Where.
    pub channel: Channel,
    /// Who owns the sale.
    pub owner: Option<Owner>,
    /// Who helped on the floor; a pool of its own.
    pub staff: Option<Helper>,
    /// Which step decided.
    pub rule: Option<Step>,
    /// The brand's rule of then; 1 is the house's.
    pub rule_version: i32,
    /// The terms of then; absent: none were agreed, the brand's rate counts.
    pub contract: Option<AgreedTerms>,
    /// Rate of the owner, basis points.
    pub commission_bp: i32,
    /// What every step found.
    pub steps: Vec<ExplainedStep>,
    /// Lives that influenced it and own nothing of it.
    pub assists: Vec<Assist>,
    /// Every row of the ledger for it, oldest first.
    pub credits: Vec<ExplainedCredit>,
    /// Whether deciding again gives what is stored, bit for bit.
    pub recomputed: bool,
    /// All of it in a sentence, in Japanese.
    pub ja: String,
    /// In English.
    pub en: String,
}

impl Explanation {
    /// As text for people, in Japanese and English.
    #[must_use]
    pub fn to_text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        let mut line = |words: String| writeln!(text, "{words}").expect("writing to memory does not fail");
        line(format!(
            "{} {} {} x{} = {}",
            self.order_number, self.product_title, self.variant, self.qty, self.amount_minor
        ));
        line(format!("{} {}", civil(self.sold_at_ms), self.channel.as_str()));
        line(self.ja.clone());
        line(self.en.clone());
        for step in &self.steps {
            let mark = if step.decided { "=>" } else { "  " };
            line(format!("{mark} {:<10} {} / {}", step.rule.as_str(), step.ja, step.en));
            for touch in &step.touches {
                line(format!("              {} {} {}", civil(touch.at_ms), touch.kind, touch.touch_id));
            }
        }
        for assist in &self.assists {
            line(format!("   assist     {} {} {}", civil(assist.at_ms), assist.kind, assist.title));
        }
        for credit in &self.credits {
            line(format!(
                "   {:<10} {} {} {} x{} base {} at {} = {}",
                credit.kind,
                civil(credit.at_ms),
                credit.credit_id,
                credit.pool,
                credit.qty,
                credit.base_minor,
                rate(credit.commission_bp),
                credit.commission_minor
            ));
        }
        let same = if self.recomputed { "decided again: the same" } else { "DECIDED AGAIN: NOT THE SAME" };
        line(format!("   {same}"));
        text
    }
}

#[derive(sqlx::FromRow)]
struct Facts {
    order_number: String,
    product_title: String,
    variant: String,
}

/// Names that are told instead of ids.
#[derive(Default)]
struct Names {
    lives: HashMap<LiveId, (String, LiverId, String)>,
}

impl Names {
    async fn of<'a>(tx: &mut Tx, lives: impl Iterator<Item = &'a LiveId>) -> Result<Self, StoreError> {
        const NAMES: &str = "
            SELECT l.id, l.title, v.id, v.display_name
            FROM lives l
            JOIN livers v ON v.id = l.liver_id
            WHERE l.id = $1";
        let mut names = Self::default();
        for live in lives {
            if names.lives.contains_key(live) {
                continue;
            }
            let found: Option<(LiveId, String, LiverId, String)> =
                on!(&mut *tx, |conn| sqlx::query_as(NAMES).bind(live).fetch_optional(conn).await?);
            if let Some((live, title, liver, name)) = found {
                names.lives.insert(live, (title, liver, name));
            }
        }
        Ok(names)
    }

    fn title(&self, live: Option<&LiveId>) -> Option<String> {
        live.and_then(|live| self.lives.get(live)).map(|(title, _, _)| title.clone())
    }

    fn owner(&self, live: &LiveId) -> Option<Owner> {
        let (title, liver, name) = self.lives.get(live)?.clone();
        Some(Owner { liver_id: liver, liver_name: name, live_id: live.clone(), live_title: title })
    }
}

/// Why a line is whose; `None` when nobody is credited with it.
pub(super) async fn explain(tx: &mut Tx, line: &OrderLineId) -> Result<Option<Explanation>, StoreError> {
    let Some(judged) = judged::load(tx, std::slice::from_ref(line)).await?.pop() else { return Ok(None) };
    let facts = facts(tx, line).await?;
    let touches = judged.considered();
    let lives = touches.iter().filter_map(|t| t.live.as_ref()).map(|(live, _)| live);
    let names = Names::of(tx, lives.chain(judged.credits.iter().filter_map(|c| c.live_id.as_ref()))).await?;
    let of_pool = |pool| judged.credits.iter().find(|credit| credit.pool == pool);
    let (of_liver, of_staff) = (of_pool(Pool::Liver), of_pool(Pool::Staff));
    let owner = of_liver.and_then(|credit| names.owner(credit.live_id.as_ref()?));
    let staff = match of_staff {
        Some(credit) => helper(tx, credit).await?,
        None => None,
    };
    let steps = steps(&judged, &touches, &names);
    let first = judged.first();
    let again = judged.decide(&touches);
    let recomputed = again.len() == judged.credits.len()
        && judged.credits.iter().all(|credit| again.iter().any(|made| credit.is(made)));
    let contract = of_liver.and_then(|credit| {
        let (contract_id, version) = credit.contract_id.clone().zip(credit.contract_version)?;
        Some(AgreedTerms { contract_id, version, rate_bp: credit.commission_bp })
    });
    let (ja, en) = in_a_sentence(of_liver, owner.as_ref(), staff.as_ref());
    Ok(Some(Explanation {
        order_number: facts.order_number,
        order_line_id: line.clone(),
        brand_id: first.brand_id.clone(),
        product_title: facts.product_title,
        variant: facts.variant,
        qty: first.line_qty,
        amount_minor: first.amount_minor,
        sold_at_ms: first.at_ms,
        channel: first.channel,
        rule: of_liver.map(|credit| credit.rule),
        rule_version: first.rule_version,
        contract,
        commission_bp: of_liver.map_or(0, |credit| credit.commission_bp),
        steps,
        assists: assists(tx, first, of_liver.and_then(|credit| credit.live_id.as_ref())).await?,
        credits: rows(tx, line).await?,
        recomputed,
        owner,
        staff,
        ja,
        en,
    }))
}

async fn facts(tx: &mut Tx, line: &OrderLineId) -> Result<Facts, StoreError> {
    const FACTS: &str = "
        SELECT o.number AS order_number, n.product_title, n.variant
        FROM order_lines n
        JOIN orders o ON o.id = n.order_id
        WHERE n.id = $1";
    Ok(on!(tx, |conn| sqlx::query_as(FACTS).bind(line).fetch_one(conn).await?))
}

async fn helper(tx: &mut Tx, credit: &StoredCredit) -> Result<Option<Helper>, StoreError> {
    const HELPER: &str = "
        SELECT s.display_name, l.name
        FROM staff_codes s
        JOIN locations l ON l.id = s.location_id
        WHERE s.account_id = $1 AND s.location_id = $2";
    let found: Option<(String, String)> = on!(tx, |conn| sqlx::query_as(HELPER)
        .bind(&credit.party_id)
        .bind(credit.location_id.as_ref().map(LocationId::as_str))
        .fetch_optional(conn)
        .await?);
    Ok(found.map(|(name, location)| Helper { name, location }))
}

async fn assists(tx: &mut Tx, credit: &StoredCredit, owner: Option<&LiveId>) -> Result<Vec<Assist>, StoreError> {
    // Only lives that showed one of the brand's products: what else somebody watches is not the brand's to know, and a
    // click on another brand's product is a view to this one.
    const ASSISTS: &str = "
        SELECT t.live_id, l.title, MIN(CASE WHEN d.id IS NULL THEN 'view' ELSE t.kind END) AS kind,
               MAX(t.at_ms) AS at_ms
        FROM touches t
        JOIN lives l ON l.id = t.live_id
        LEFT JOIN products d ON d.id = t.product_id AND d.brand_id = $5
        WHERE t.customer_id = $1 AND t.kind IN ('view', 'click') AND t.at_ms >= $2 AND t.at_ms <= $3 AND t.live_id <> $4
          AND EXISTS (SELECT 1 FROM pins p JOIN products o ON o.id = p.product_id
                      WHERE p.live_id = t.live_id AND o.brand_id = $5)
        GROUP BY t.live_id, l.title
        ORDER BY MAX(t.at_ms) DESC
        LIMIT $6";
    let customer: &CustomerId = &credit.customer_id;
    Ok(on!(tx, |conn| sqlx::query_as(ASSISTS)
        .bind(customer)
        .bind(Millis(credit.at_ms.0 - ASSIST_MS))
        .bind(credit.at_ms)
        .bind(owner.map_or("", LiveId::as_str))
        .bind(&credit.brand_id)
        .bind(MAX_ASSISTS)
        .fetch_all(conn)
        .await?))
}

async fn rows(tx: &mut Tx, line: &OrderLineId) -> Result<Vec<ExplainedCredit>, StoreError> {
    const ROWS: &str = "
        SELECT c.id AS credit_id, c.kind, c.pool, c.qty, c.base_minor, c.commission_bp, c.commission_minor, c.at_ms
        FROM order_lines n
        JOIN credits c ON c.order_id = n.order_id AND c.order_line_id = n.id
        WHERE n.id = $1
        ORDER BY c.id";
    Ok(on!(tx, |conn| sqlx::query_as(ROWS).bind(line).fetch_all(conn).await?))
}

fn steps(judged: &Judged, touches: &[Touch], names: &Names) -> Vec<ExplainedStep> {
    let line = judged.line();
    let mut decided = false;
    let of_livers = Step::OF_LIVERS.into_iter().map(|step| {
        let found = rule::newest(step, &line, touches, &judged.terms);
        let decides = found.is_some() && !decided;
        decided |= decides;
        told(step, found, decides, &judged.terms, line.product, names)
    });
    let mut steps: Vec<ExplainedStep> = of_livers.collect();
    let found = rule::newest(Step::StaffCode, &line, touches, &judged.terms);
    steps.push(told(Step::StaffCode, found, found.is_some(), &judged.terms, line.product, names));
    steps
}

fn told(
    step: Step,
    found: Option<&Touch>,
    decided: bool,
    terms: &Terms,
    product: &ProductId,
    names: &Names,
) -> ExplainedStep {
    let live = found.and_then(|touch| touch.live.as_ref()).map(|(live, _)| live);
    let title = names.title(live).unwrap_or_default();
    let at = found.map(|touch| civil(touch.at)).unwrap_or_default();
    let rule = &terms.rule;
    let of_product = found.is_some_and(|touch| touch.product.as_ref() == Some(product));
    let link = found.is_some_and(|touch| touch.kind == TouchKind::Link);
    let (ja, en) = match (step, found) {
        (Step::Coupon, Some(_)) => (
            format!("配信「{title}」のクーポンが店舗でこの販売と一緒に使われました（{at}）"),
            format!("a coupon of the live \u{201c}{title}\u{201d} was redeemed with it in a store ({at})"),
        ),
        (Step::Coupon, None) => {
            ("店舗で使われたクーポンはありません".to_owned(), "no coupon was redeemed with it in a store".to_owned())
        }
        (Step::Direct, Some(_)) => (
            format!("配信「{title}」の中で購入されました（{at}）"),
            format!("it was bought in the live \u{201c}{title}\u{201d} ({at})"),
        ),
        (Step::Direct, None) => ("配信の中での購入ではありません".to_owned(), "it was not bought in a live".to_owned()),
        (Step::Replay, Some(_)) => (
            format!("この商品が出る配信「{title}」の見逃し視聴がありました（{at}）"),
            format!("the replay of \u{201c}{title}\u{201d}, which shows it, was watched or bought from ({at})"),
        ),
        (Step::Replay, None) => (
            format!("{}日以内に、この商品が出る見逃し視聴はありません", rule.replay_days),
            format!("no replay that shows it was watched within {} days", rule.replay_days),
        ),
        (Step::LastClick, Some(_)) if link => (
            format!("配信「{title}」の共有リンクから来ました（{at}）"),
            format!("a shared link to \u{201c}{title}\u{201d} was followed ({at})"),
        ),
        (Step::LastClick, Some(_)) => (
            format!("配信「{title}」でこの商品が開かれました（{at}）"),
            format!("it was opened in the live \u{201c}{title}\u{201d} ({at})"),
        ),
        (Step::LastClick, None) => (
            format!("{}日以内に、この商品を開いた記録やリンクはありません", rule.click_days),
            format!("no click on it or link to it within {} days", rule.click_days),
        ),
        (Step::StaffCode, Some(_)) if of_product => (
            format!("この商品について店舗スタッフのコードが伝えられました（{at}）。ライバーの売上とは別枠です"),
            format!("a member of staff was named for it ({at}); that is a pool of its own"),
        ),
        (Step::StaffCode, Some(_)) => (
            format!("店舗スタッフのコードが伝えられました（{at}）。ライバーの売上とは別枠です"),
            format!("a member of staff was named ({at}); that is a pool of its own"),
        ),
        (Step::StaffCode, None) => (
            format!("{}日以内に伝えられた店舗スタッフのコードはありません", rule.staff_days),
            format!("no staff code was named within {} days", rule.staff_days),
        ),
    };
    let touches = found.map(|touch| ExplainedTouch {
        touch_id: touch.id.clone(),
        kind: touch.kind.as_str().to_owned(),
        live_title: names.title(live),
        at_ms: touch.at,
    });
    ExplainedStep { rule: step, decided, matched: found.is_some(), ja, en, touches: touches.into_iter().collect() }
}

fn in_a_sentence(of_liver: Option<&StoredCredit>, owner: Option<&Owner>, staff: Option<&Helper>) -> (String, String) {
    let (mut ja, mut en) = match of_liver.zip(owner) {
        Some((credit, owner)) => {
            let (why_ja, why_en) = match credit.rule {
                Step::Coupon => ("クーポンが店舗で使われた", "its coupon was redeemed in a store"),
                Step::Direct => ("その配信の中で購入された", "it was bought in that live"),
                Step::Replay => ("その見逃し配信から購入された", "it was bought through that replay"),
                Step::LastClick | Step::StaffCode => ("最後に開かれたのがその配信だった", "the last click was there"),
            };
            let rate = rate(credit.commission_bp);
            let (terms_ja, terms_en) = match credit.contract_version {
                Some(version) => (format!("合意した条件 第{version}版"), format!("agreed terms, version {version}")),
                None => (
                    "合意した条件がないためブランドの標準料率".to_owned(),
                    "no agreed terms: the brand's rate".to_owned(),
                ),
            };
            (
                format!(
                    "{why_ja}ため、配信「{}」の{}さんの売上です（ルール第{}版）。報酬の料率は{rate}（{terms_ja}）。",
                    owner.live_title, owner.liver_name, credit.rule_version
                ),
                format!(
                    "{}'s, through the live \u{201c}{}\u{201d}, because {why_en} (rule version {}). Commission {rate} ({terms_en}).",
                    owner.liver_name, owner.live_title, credit.rule_version
                ),
            )
        }
        None => ("どの配信の売上にもなっていません。".to_owned(), "No live is credited with it.".to_owned()),
    };
    if let Some(Helper { name, location }) = staff {
        ja = format!("{ja}店舗スタッフ{name}さん（{location}）の貢献として別枠で記録されています。");
        en = format!("{en} {name} ({location}) helped; that is noted apart.");
    }
    (ja, en)
}

/// Basis points as per cent, without needless zeros.
fn rate(bp: i32) -> String {
    match (bp / 100, bp % 100) {
        (whole, 0) => format!("{whole}%"),
        (whole, part) if part % 10 == 0 => format!("{whole}.{}%", part / 10),
        (whole, part) => format!("{whole}.{part:02}%"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_told_without_needless_zeros() {
        assert_eq!([1_500, 1_250, 1_205, 50].map(rate), ["15%", "12.5%", "12.05%", "0.5%"]);
    }
}
