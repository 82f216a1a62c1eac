//! Value: the figures of a report, what they mean, and which of them are too few people to be told.
//!
//! Invariant: a figure about fewer than [`FEWEST_PEOPLE`] people is not told, nor one of the same report by which it could be
//! worked out. Two reports (other periods, other filters) may tell it between them.

use serde::Serialize;

use super::fold::{By, Sums};
use crate::{attribution::Definition, clock::Millis, ids::BrandId, money::Currency};

/// Fewer people than that are not counted to anybody.
pub(super) const FEWEST_PEOPLE: i64 = 10;

/// What is said of each row, and of all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Figures {
    /// Orders that were paid.
    pub orders: i64,
    /// Units sold, less those that came back.
    pub units: i64,
    /// Credited sales, tax included.
    pub gross_minor: i64,
    /// Of those, reversed (zero or negative).
    pub cancelled_minor: i64,
    /// Gross and cancelled together.
    pub net_minor: i64,
    /// What is earned of it.
    pub commission_minor: i64,
    /// Net by order, rounded down; 0 without orders.
    pub aov_minor: i64,
    /// Different people who bought; `null`: fewer than ten.
    pub buyers: Option<i64>,
    /// Of them, those who had never bought before; `null`: fewer than ten, or the others are.
    pub new_buyers: Option<i64>,
    /// Of them, the others.
    pub returning_buyers: Option<i64>,
    /// Cancelled of gross, basis points.
    pub refund_rate_bp: i64,
}

impl Figures {
    /// From sums, how many bought, and how many of those for the first time.
    pub(super) fn of(sums: &Sums, buyers: i64, new: i64) -> Self {
        let returning = buyers - new;
        let told = buyers >= FEWEST_PEOPLE;
        let both = told && new >= FEWEST_PEOPLE && returning >= FEWEST_PEOPLE;
        let net_minor = sums.gross_minor + sums.cancelled_minor;
        Self {
            orders: sums.orders,
            units: sums.units,
            gross_minor: sums.gross_minor,
            cancelled_minor: sums.cancelled_minor,
            net_minor,
            commission_minor: sums.commission_minor,
            aov_minor: if sums.orders > 0 { net_minor.div_euclid(sums.orders) } else { 0 },
            buyers: told.then_some(buyers),
            new_buyers: both.then_some(new),
            returning_buyers: both.then_some(returning),
            refund_rate_bp: if sums.gross_minor > 0 { -sums.cancelled_minor * 10_000 / sums.gross_minor } else { 0 },
        }
    }
}

/// What is not told could be worked out from the total and the other rows, so the smallest of those go, too, until it is about
/// [`FEWEST_PEOPLE`]. Whose buyers are not told, of them new and returning ones are not either, as they come to the same.
pub(super) fn hide_what_tells(rows: &mut [SplitRow], total: Option<i64>) {
    loop {
        let mut told = 0;
        let (mut hidden, mut smallest): (usize, Option<(i64, usize)>) = (0, None);
        for (at, row) in rows.iter_mut().enumerate().filter(|(_, row)| row.figures.orders > 0) {
            match row.figures.buyers {
                None => hidden += 1,
                Some(people) => {
                    told += people;
                    if smallest.is_none_or(|(fewest, _)| people < fewest) {
                        smallest = Some((people, at));
                    }
                }
            }
        }
        let few = hidden == 1 || (hidden > 1 && total.is_some_and(|total| total - told < FEWEST_PEOPLE));
        match smallest.filter(|_| few) {
            Some((_, at)) => rows[at].figures.buyers = None,
            None => break,
        }
    }
    let (mut hidden, mut smallest): (usize, Option<(i64, usize)>) = (0, None);
    for (at, row) in rows.iter_mut().enumerate().filter(|(_, row)| row.figures.orders > 0) {
        let figures = &mut row.figures;
        match (figures.buyers, figures.new_buyers, figures.returning_buyers) {
            (Some(_), Some(new), Some(returning)) => {
                let fewer = new.min(returning);
                if smallest.is_none_or(|(fewest, _)| fewer < fewest) {
                    smallest = Some((fewer, at));
                }
            }
            _ => {
                hidden += 1;
                (figures.new_buyers, figures.returning_buyers) = (None, None);
            }
        }
    }
    if let Some((_, at)) = smallest.filter(|_| hidden == 1) {
        (rows[at].figures.new_buyers, rows[at].figures.returning_buyers) = (None, None);
    }
}

/// Sales of a period, split by something.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct SplitReport {
    /// Whose; `null` of all brands.
    pub brand_id: Option<BrandId>,
    /// By what.
    pub by: By,
    /// Of every amount.
    pub currency: Currency,
    /// First moment.
    pub from_ms: Option<Millis>,
    /// First moment after.
    pub to_ms: Option<Millis>,
    /// When it was read.
    pub as_of_ms: Millis,
    /// Of all rows; an order counts once.
    pub totals: Figures,
    /// Of as long a time before, when it was asked for.
    pub previous: Option<Figures>,
    /// Days and hours in their order, all else by net sales, the highest first.
    pub rows: Vec<SplitRow>,
    /// What the words mean.
    pub definitions: &'static [Definition],
}

/// One row.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct SplitRow {
    /// An id, a day (`2026-11-28`), an hour (`00` to `23`), a channel, a campaign; `''`: none.
    pub key: String,
    /// What people see.
    pub label: String,
    /// And below it.
    pub label_sub: String,
    /// Its figures.
    pub figures: Figures,
}

const fn say(name: &'static str, ja: &'static str, en: &'static str) -> Definition {
    Definition { name, ja, en }
}

/// What the figures of every report mean.
pub(super) const FIGURES: &[Definition] = &[
    say(
        "orders",
        "支払いが承認された注文の数。期間は承認の時刻で数え、合計では1件の注文を1回だけ数える",
        "Orders whose payment was authorised in the period; in the totals an order counts once",
    ),
    say(
        "units",
        "売れた点数から、期間内に取消・返品された点数を引いたもの",
        "Units sold, less those that came back in the period",
    ),
    say(
        "gross_minor",
        "帰属売上（税込・値引き後）。取消・返品を引く前の金額",
        "Credited sales, tax included, after discounts, before cancellations and returns",
    ),
    say(
        "cancelled_minor",
        "期間内に成立した取消・返品（0 以下）。売れた日ではなく、取消・返品の時刻で数える",
        "Cancellations and returns of the period, zero or negative; they count when they happen, not when it was sold",
    ),
    say("net_minor", "帰属売上 ＋ 取消・返品", "Gross plus cancelled"),
    say(
        "commission_minor",
        "ライバー（スタッフ別ではスタッフ）の報酬。明細ごとに料率を掛け、円未満切り捨て。取消・返品の分は引く",
        "What livers (by staff: staff) earn: per line, base times rate, fractions of a yen dropped, less what came back",
    ),
    say("aov_minor", "純売上 ÷ 注文数（円未満切り捨て）", "Net sales by order, fractions of a yen dropped"),
    say(
        "buyers",
        "期間内に買った人数（同じ人は1回）。10人未満は表示しない",
        "Different people who bought in the period; fewer than ten are not told",
    ),
    say(
        "new_buyers",
        "そのうち、このブランドでの初めての注文が期間内にある人（帰属した全チャネル）。10人未満は表示しない",
        "Of them, those whose first order with the brand, in any channel, is of the period; fewer than ten are not told",
    ),
    say(
        "returning_buyers",
        "購入者のうち、期間より前にも買っていた人。10人未満は表示しない",
        "Buyers who had bought before the period; fewer than ten are not told",
    ),
    say("refund_rate_bp", "取消・返品 ÷ 帰属売上（1万分率）", "Cancelled by gross, basis points"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn row(buyers: i64, new: i64) -> SplitRow {
        let sums = Sums { orders: buyers, gross_minor: 1_000, cancelled_minor: -250, ..Sums::default() };
        let figures = Figures::of(&sums, buyers, new);
        SplitRow { key: buyers.to_string(), label: String::new(), label_sub: String::new(), figures }
    }

    #[test]
    fn few_people_are_not_told_nor_what_tells_them() {
        assert_eq!(row(9, 9).figures.buyers, None);
        let ten = row(19, 10).figures;
        assert_eq!((ten.buyers, ten.new_buyers, ten.returning_buyers), (Some(19), None, None), "nine returned");
        let twenty = row(20, 10).figures;
        assert_eq!((twenty.new_buyers, twenty.returning_buyers), (Some(10), Some(10)));
        assert_eq!((twenty.net_minor, twenty.aov_minor, twenty.refund_rate_bp), (750, 37, 2_500));
        let mut rows = vec![row(40, 20), row(30, 15), row(4, 4)];
        hide_what_tells(&mut rows, Some(74));
        let told: Vec<_> = rows.iter().map(|row| row.figures.buyers).collect();
        assert_eq!(told, [Some(40), None, None], "the total less the others would tell the four");
        assert_eq!(rows[1].figures.new_buyers, None, "new and returning ones would tell the thirty, and so the four");
        let mut rows = vec![row(40, 20), row(30, 15), row(4, 4), row(3, 0)];
        hide_what_tells(&mut rows, Some(77));
        let told: Vec<_> = rows.iter().map(|row| row.figures.buyers).collect();
        assert_eq!(told, [Some(40), None, None, None], "the two together are seven people");
        let mut rows = vec![row(40, 20), row(60, 30), row(50, 45)];
        hide_what_tells(&mut rows, Some(150));
        let told: Vec<_> = rows.iter().map(|row| row.figures.new_buyers).collect();
        assert_eq!(told, [None, Some(30), None], "the five who returned would be told by the others");
        let mut rows = vec![row(40, 20), row(30, 15)];
        hide_what_tells(&mut rows, Some(70));
        assert!(rows.iter().all(|row| row.figures.buyers.is_some()));
    }

    #[test]
    fn every_figure_is_defined_in_two_languages() {
        let serde_json::Value::Object(figures) = serde_json::to_value(Figures::default()).expect("JSON") else {
            panic!("an object")
        };
        for name in figures.keys() {
            assert!(FIGURES.iter().any(|d| d.name == name && !d.ja.is_empty() && !d.en.is_empty()), "{name}");
        }
    }
}
