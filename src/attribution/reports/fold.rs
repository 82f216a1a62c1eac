//! Pure: from ledger lines to sums: what a line adds to which rows.
//!
//! The task that keeps the sums and the report that adds what they lack both go through [`fold`], so they cannot differ.
//! Invariant: all lines of one order and cause are folded at once, and are of one moment, so counting the order once in
//! each row makes rows of different days additive.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::people::People;
use crate::clock::Millis;

/// Of an hour.
pub(super) const HOUR_MS: i64 = 3_600_000;
/// Of a day.
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;
/// Japan is this far ahead, without summer time.
pub(super) const JAPAN_MS: i64 = 9 * HOUR_MS;
/// Of a minute.
pub(super) const MINUTE_MS: i64 = 60_000;

crate::stored_choice! {
    /// What a report is split by.
    By {
        /// The live that is credited.
        Live = "live",
        /// Who is credited.
        Liver = "liver",
        /// The product.
        Product = "product",
        /// What is counted.
        Sku = "sku",
        /// The day, in Japan.
        Day = "day",
        /// The hour of the day, in Japan.
        Hour = "hour",
        /// The store it was sold in.
        Store = "store",
        /// Live, replay, shop or store.
        Channel = "channel",
        /// The campaign of the link that was followed.
        Campaign = "campaign",
        /// Who served, of the staff pool.
        Staff = "staff",
        /// Whose product it is; for operators.
        Brand = "brand",
    }
}

/// The days of the staff pool: its totals.
pub(super) const STAFF_DAY: &str = "staff_day";
/// Whose first order it was: people only.
pub(super) const FIRST: &str = "first";

impl By {
    /// All of them.
    pub(super) const EACH: &[Self] = Self::ALL;

    /// The pool whose lines are summed: a sale is in both, and is never summed over both.
    pub(super) fn pool(self) -> &'static str {
        if self == Self::Staff { "staff" } else { "liver" }
    }

    /// Whose rows, one a day, are the totals.
    pub(super) fn totals(self) -> &'static str {
        if self == Self::Staff { STAFF_DAY } else { Self::Day.as_str() }
    }
}

/// A line of the ledger, as far as sums go.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Entry {
    pub(super) order_id: String,
    pub(super) brand_id: String,
    pub(super) kind: String,
    pub(super) pool: String,
    pub(super) party_id: String,
    pub(super) live_id: String,
    pub(super) product_id: String,
    pub(super) sku_id: String,
    pub(super) channel: String,
    pub(super) location_id: String,
    pub(super) campaign: String,
    pub(super) customer_id: String,
    pub(super) qty: i32,
    pub(super) base_minor: i64,
    pub(super) commission_minor: i64,
    pub(super) at_ms: Millis,
}

impl Entry {
    pub(super) fn is_sale(&self) -> bool {
        self.kind == "sale"
    }

    /// Japan's day, counted from 1970-01-01.
    pub(super) fn day(&self) -> i64 {
        day_of(self.at_ms)
    }

    /// The key of its row, by this; `None` where it has none.
    fn key(&self, by: By) -> Option<String> {
        if self.pool != by.pool() {
            return None;
        }
        Some(match by {
            By::Live => self.live_id.clone(),
            By::Liver | By::Staff => self.party_id.clone(),
            By::Product => self.product_id.clone(),
            By::Sku => self.sku_id.clone(),
            By::Day => day_text(self.day()),
            By::Hour => format!("{:02}", (self.at_ms.0 + JAPAN_MS).rem_euclid(DAY_MS) / HOUR_MS),
            By::Store => self.location_id.clone(),
            By::Channel => self.channel.clone(),
            By::Campaign => self.campaign.clone(),
            By::Brand => self.brand_id.clone(),
        })
    }
}

/// The day in Japan.
pub(super) fn day_of(at: Millis) -> i64 {
    at.0.saturating_add(JAPAN_MS).div_euclid(DAY_MS)
}

/// `2026-11-28`.
pub(super) fn day_text(day: i64) -> String {
    let days = jiff::Span::new().try_days(day);
    let date = days.and_then(|days| jiff::civil::date(1970, 1, 1).checked_add(days));
    date.map_or_else(|_| day.to_string(), |date| date.to_string())
}

/// Which row.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    /// `''`: of all brands.
    pub(super) brand: String,
    pub(super) by: &'static str,
    pub(super) day: i64,
    pub(super) key: String,
}

/// What a row says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) orders: i64,
    pub(super) units: i64,
    pub(super) gross_minor: i64,
    pub(super) cancelled_minor: i64,
    pub(super) commission_minor: i64,
    pub(super) people: People,
}

impl Sums {
    pub(super) fn add(&mut self, other: &Self) {
        self.orders += other.orders;
        self.units += other.units;
        self.gross_minor += other.gross_minor;
        self.cancelled_minor += other.cancelled_minor;
        self.commission_minor += other.commission_minor;
        self.people.merge(&other.people);
    }
}

/// A live's minute of one brand; product `''`: of all.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Minute {
    pub(super) live: String,
    pub(super) brand: String,
    pub(super) minute: i64,
    pub(super) product: String,
}

/// What lines add.
#[derive(Debug, Default)]
pub(super) struct Folded {
    pub(super) days: BTreeMap<Place, Sums>,
    pub(super) minutes: BTreeMap<Minute, Sums>,
}

/// Collects a row: orders and people are counted once, when all is there.
#[derive(Debug, Default)]
struct Growing<'a> {
    sums: Sums,
    orders: BTreeSet<&'a str>,
    people: Vec<u32>,
}

impl<'a> Growing<'a> {
    fn take(&mut self, entry: &'a Entry, number: Option<u32>) {
        self.sums.units += i64::from(entry.qty);
        self.sums.commission_minor += entry.commission_minor;
        if entry.is_sale() {
            self.sums.gross_minor += entry.base_minor;
            self.orders.insert(&entry.order_id);
            self.people.extend(number);
        } else {
            self.sums.cancelled_minor += entry.base_minor;
        }
    }

    fn done(self) -> Sums {
        let orders = i64::try_from(self.orders.len()).unwrap_or(i64::MAX);
        Sums { orders, people: People::of(self.people), ..self.sums }
    }
}

/// What these lines add. `numbers` has everybody who bought in one of them.
pub(super) fn fold(entries: &[Entry], numbers: &HashMap<String, u32>) -> Folded {
    let (mut days, mut minutes): (BTreeMap<Place, Growing<'_>>, BTreeMap<Minute, Growing<'_>>) = Default::default();
    for entry in entries {
        let number = numbers.get(&entry.customer_id).copied();
        let day = entry.day();
        let mut put = |brand: &str, by: &'static str, key: String| {
            days.entry(Place { brand: brand.to_owned(), by, day, key }).or_default().take(entry, number);
        };
        for by in By::EACH {
            let Some(key) = entry.key(*by) else { continue };
            if *by != By::Brand {
                put(&entry.brand_id, by.as_str(), key.clone());
            }
            put("", by.as_str(), key);
        }
        if entry.pool == "staff" {
            put(&entry.brand_id, STAFF_DAY, day_text(day));
            put("", STAFF_DAY, day_text(day));
            continue;
        }
        for product in ["", &entry.product_id] {
            let minute = Minute {
                live: entry.live_id.clone(),
                brand: entry.brand_id.clone(),
                minute: entry.at_ms.0.div_euclid(MINUTE_MS),
                product: product.to_owned(),
            };
            minutes.entry(minute).or_default().take(entry, number);
        }
    }
    Folded {
        days: days.into_iter().map(|(place, row)| (place, row.done())).collect(),
        minutes: minutes.into_iter().map(|(minute, row)| (minute, row.done())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(order: &str, product: &str, kind: &str, at: i64) -> Entry {
        let sign = if kind == "sale" { 1 } else { -1 };
        Entry {
            order_id: order.to_owned(),
            brand_id: "brand".to_owned(),
            kind: kind.to_owned(),
            pool: "liver".to_owned(),
            party_id: "liver".to_owned(),
            live_id: "live".to_owned(),
            product_id: product.to_owned(),
            sku_id: product.to_owned(),
            channel: "live".to_owned(),
            location_id: String::new(),
            campaign: String::new(),
            customer_id: "yui".to_owned(),
            qty: sign,
            base_minor: 1_000 * i64::from(sign),
            commission_minor: 100 * i64::from(sign),
            at_ms: Millis(at),
        }
    }

    #[test]
    fn an_order_counts_once_in_each_row_and_a_return_in_its_own_day() {
        // 23:59:59.999 and midnight of 1970-01-02 in Japan.
        let midnight = DAY_MS - JAPAN_MS;
        let entries = [
            entry("a", "mochi", "sale", midnight - 1),
            entry("a", "dango", "sale", midnight - 1),
            entry("a", "dango", "reversal", midnight),
        ];
        let folded = fold(&entries, &HashMap::from([("yui".to_owned(), 7)]));
        let row = |brand: &str, by: By, day: i64, key: &str| {
            folded.days[&Place { brand: brand.to_owned(), by: by.as_str(), day, key: key.to_owned() }].clone()
        };
        for brand in ["brand", ""] {
            let live = row(brand, By::Live, 0, "live");
            assert_eq!((live.orders, live.units, live.gross_minor, live.cancelled_minor), (1, 2, 2_000, 0));
            assert_eq!(live.people.len(), 1);
            assert_eq!(row(brand, By::Product, 0, "mochi").orders, 1);
            assert_eq!(row(brand, By::Hour, 0, "23").gross_minor, 2_000);
            assert_eq!(row(brand, By::Day, 0, "1970-01-01").gross_minor, 2_000);
            let back = row(brand, By::Day, 1, "1970-01-02");
            assert_eq!((back.orders, back.units, back.gross_minor, back.cancelled_minor), (0, -1, 0, -1_000));
            assert_eq!(back.people.len(), 0, "who gives back has not bought");
        }
        let minute = |minute: i64, product: &str| {
            let place =
                Minute { live: "live".to_owned(), brand: "brand".to_owned(), minute, product: product.to_owned() };
            folded.minutes[&place].clone()
        };
        assert_eq!(
            (minute(midnight / MINUTE_MS - 1, "").orders, minute(midnight / MINUTE_MS - 1, "dango").orders),
            (1, 1)
        );
        assert_eq!(minute(midnight / MINUTE_MS, "").cancelled_minor, -1_000);
    }
}
