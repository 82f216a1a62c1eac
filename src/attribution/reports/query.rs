//! Shell: answers a report: from the kept sums where they know it, else from the ledger; always in one picture.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
};

use super::{
    figures::{self, FIGURES, Figures, SplitReport, SplitRow, hide_what_tells},
    fold::{By, FIRST, Place, Sums, fold},
    kept, labels,
    ledger_sums::{self, Counted},
    people::People,
    rollups,
};
use crate::{
    attribution::{AttributionError, Reports, Window},
    clock::Millis,
    ids::{AccountId, BrandId, LiveId, LiverId, LocationId, ProductId, SkuId},
    money::Currency,
    store::{StoreError, Tx},
    tasks::Tasks,
};

/// Rows of one report; beyond it the question must be narrowed.
const MAX_ROWS: usize = 5_000;
/// Rows of a report that is to be a file.
const MAX_FILE_ROWS: usize = 100_000;

/// Which lines; all where `None`.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    /// Credited to this live.
    pub live: Option<LiveId>,
    /// Credited to this liver.
    pub liver: Option<LiverId>,
    /// Of this product.
    pub product: Option<ProductId>,
    /// Of this SKU.
    pub sku: Option<SkuId>,
    /// Sold in this store.
    pub location: Option<LocationId>,
    /// Sold through this channel.
    pub channel: Option<String>,
    /// Of this campaign.
    pub campaign: Option<String>,
    /// Of this member of staff, of the staff pool.
    pub staff: Option<AccountId>,
}

impl Filters {
    /// Column and value of each that is set.
    pub(in crate::attribution) fn set(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("live_id", self.live.as_ref().map(LiveId::as_str)),
            ("party_id", self.liver.as_ref().map(LiverId::as_str)),
            ("product_id", self.product.as_ref().map(ProductId::as_str)),
            ("sku_id", self.sku.as_ref().map(SkuId::as_str)),
            ("location_id", self.location.as_ref().map(LocationId::as_str)),
            ("channel", self.channel.as_deref()),
            ("campaign", self.campaign.as_deref()),
            ("party_id", self.staff.as_ref().map(AccountId::as_str)),
        ]
        .into_iter()
        .filter_map(|(column, value)| Some((column, value?)))
    }
}

/// A question.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Whose sales; `None`: everybody's.
    pub brand: Option<BrandId>,
    /// Split by this.
    pub by: By,
    /// When.
    pub window: Window,
    /// Which.
    pub filters: Filters,
}

impl Asked {
    /// Conditions on the ledger (`c`), from `$3` on, and what they are compared with.
    pub(super) fn conditions(&self) -> (String, Vec<&str>) {
        let brand = self.brand.as_ref().map(|brand| ("brand_id", brand.as_str()));
        let (mut text, mut values) = (String::new(), Vec::new());
        for (column, value) in brand.into_iter().chain(self.filters.set()) {
            values.push(value);
            // Writing to a String cannot fail.
            let _ = write!(text, " AND c.{column} = ${}", values.len() + 2);
        }
        (text, values)
    }

    /// The pool whose lines are summed: staff have one of their own.
    pub(super) fn pool(&self) -> &'static str {
        if self.filters.staff.is_some() { By::Staff.pool() } else { self.by.pool() }
    }

    fn scope(&self) -> &str {
        self.brand.as_ref().map_or("", BrandId::as_str)
    }

    /// The days, when the kept sums know the answer.
    fn days(&self) -> Option<(i64, i64)> {
        if self.filters.set().next().is_some() {
            return None;
        }
        kept::whole_days(self.window.from.map(|at| at.0), self.window.to.map(|at| at.0))
    }

    /// The same of as long a time before; `None` where the period is open.
    fn before(&self) -> Option<Self> {
        let (from, to) = self.window.from.zip(self.window.to)?;
        let earlier = Window { from: Some(Millis(from.0.checked_sub(to.since(from))?)), to: Some(from) };
        Some(Self { window: earlier, ..self.clone() })
    }
}

impl Reports {
    /// Starts the task that keeps the sums.
    pub fn start(&self, tasks: &Tasks) {
        rollups::start(self.db.clone(), tasks);
    }

    /// Sales of a period, split by something; beside a period before when `compare`.
    ///
    /// # Errors
    /// [`AttributionError::Invalid`] when there are too many rows.
    pub async fn split(&self, asked: &Asked, compare: bool) -> Result<SplitReport, AttributionError> {
        self.made(asked, compare, MAX_ROWS).await
    }

    /// The same for a file, which may have more rows.
    ///
    /// # Errors
    /// [`AttributionError::Invalid`] when there are too many rows.
    pub(in crate::attribution) async fn whole(&self, asked: &Asked) -> Result<SplitReport, AttributionError> {
        self.made(asked, false, MAX_FILE_ROWS).await
    }

    async fn made(&self, asked: &Asked, compare: bool, max_rows: usize) -> Result<SplitReport, AttributionError> {
        let mut tx = self.db.read("report").await?;
        let (totals, rows) = counted(&mut tx, asked).await?;
        if rows.len() > max_rows {
            return Err(AttributionError::Invalid(format!(
                "the report would have more than {max_rows} rows; choose a shorter period or a filter"
            )));
        }
        let previous = match asked.before().filter(|_| compare) {
            Some(before) => Some(figures_of(&counted(&mut tx, &before).await?.0)),
            None => None,
        };
        let keys: Vec<String> = rows.keys().cloned().collect();
        let mut known = labels::of(&mut tx, asked.by, &keys).await?;
        drop(tx);
        let mut rows: Vec<SplitRow> = rows
            .into_iter()
            .map(|(key, counted)| {
                let (label, label_sub) = known.remove(&key).unwrap_or_else(|| (key.clone(), String::new()));
                SplitRow { key, label, label_sub, figures: figures_of(&counted) }
            })
            .collect();
        if !matches!(asked.by, By::Day | By::Hour) {
            rows.sort_by(|a, b| b.figures.net_minor.cmp(&a.figures.net_minor).then_with(|| a.key.cmp(&b.key)));
        }
        let totals = figures_of(&totals);
        hide_what_tells(&mut rows, totals.buyers);
        Ok(SplitReport {
            brand_id: asked.brand.clone(),
            by: asked.by,
            currency: Currency::Jpy,
            from_ms: asked.window.from,
            to_ms: asked.window.to,
            as_of_ms: self.clock.now(),
            totals,
            previous,
            rows,
            definitions: FIGURES,
        })
    }
}

fn figures_of((sums, buyers, new): &Counted) -> Figures {
    figures::Figures::of(sums, *buyers, *new)
}

/// Totals and rows.
async fn counted(tx: &mut Tx, asked: &Asked) -> Result<(Counted, BTreeMap<String, Counted>), StoreError> {
    if let Some(days) = asked.days()
        && let Some(waiting) = kept::waiting_lines(tx, asked.scope()).await?
    {
        return from_days(tx, asked, days, &waiting).await;
    }
    let rows = ledger_sums::sums(tx, asked, Some(asked.by)).await?;
    let totals = ledger_sums::sums(tx, asked, None).await?.remove("").unwrap_or_default();
    Ok((totals, rows))
}

/// From the kept sums and what waits to be added to them.
async fn from_days(
    tx: &mut Tx,
    asked: &Asked,
    (from, to): (i64, i64),
    waiting: &[super::fold::Entry],
) -> Result<(Counted, BTreeMap<String, Counted>), StoreError> {
    let mut places = kept::days(tx, asked.scope(), asked.by, (from, to)).await?;
    if !waiting.is_empty() {
        let numbers = numbers(tx, waiting).await?;
        let of_period = |place: &Place| place.brand == asked.scope() && place.day >= from && place.day < to;
        let wanted = [asked.by.as_str(), asked.by.totals()];
        for (place, sums) in fold(waiting, &numbers).days {
            if of_period(&place) && wanted.contains(&place.by) {
                places.entry(place).or_default().add(&sums);
            }
        }
        add_firsts(tx, asked, waiting, &numbers, &mut places).await?;
    }
    let mut first = Vec::new();
    let mut people: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    let (mut totals, mut rows): (Sums, BTreeMap<String, Sums>) = Default::default();
    for (place, mut sums) in places {
        let here = std::mem::take(&mut sums.people);
        if place.by == FIRST {
            if place.day >= from && place.day < to {
                here.append_to(&mut first);
            }
            continue;
        }
        if place.by == asked.by.totals() {
            totals.add(&sums);
        }
        if place.by == asked.by.as_str() {
            here.append_to(people.entry(place.key.clone()).or_default());
            rows.entry(place.key).or_default().add(&sums);
        }
    }
    let first = People::of(first);
    let everybody = People::of(people.values().flatten().copied().collect());
    let count = |sums: Sums, people: &People| {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        (sums, number(people.len()), number(people.shared_with(&first)))
    };
    let rows = rows.into_iter().map(|(key, sums)| {
        let people = People::of(people.remove(&key).unwrap_or_default());
        (key, count(sums, &people))
    });
    let rows = rows.collect();
    Ok((count(totals, &everybody), rows))
}

/// Numbers of those who wait; who has none yet gets one that nobody has.
async fn numbers(tx: &mut Tx, waiting: &[super::fold::Entry]) -> Result<HashMap<String, u32>, StoreError> {
    let buyers: BTreeSet<&str> = waiting.iter().map(|entry| entry.customer_id.as_str()).collect();
    let mut numbers = rollups::numbers_of(tx, &buyers).await?;
    let mut next = u32::MAX;
    for buyer in buyers {
        if !numbers.contains_key(buyer) {
            next -= 1;
            numbers.insert(buyer.to_owned(), next);
        }
    }
    Ok(numbers)
}

/// Those who wait and had not bought before; who bought later, as far as is known, did not do so for the first time.
async fn add_firsts(
    tx: &mut Tx,
    asked: &Asked,
    waiting: &[super::fold::Entry],
    numbers: &HashMap<String, u32>,
    places: &mut BTreeMap<Place, Sums>,
) -> Result<(), StoreError> {
    let mut found = rollups::first_days(waiting);
    found.retain(|(brand, _), _| *brand == asked.scope());
    let known = rollups::known_firsts(tx, &found).await?;
    for ((brand, customer), day) in found {
        let Some(number) = numbers.get(customer).copied() else { continue };
        let place = |day| Place { brand: brand.to_owned(), by: FIRST, day, key: String::new() };
        match known.get(&(brand.to_owned(), customer.to_owned())) {
            Some(before) if *before <= day => continue,
            Some(after) => {
                if let Some(sums) = places.get_mut(&place(*after)) {
                    sums.people.remove(number);
                }
            }
            None => {}
        }
        places.entry(place(day)).or_default().people.merge(&People::of(vec![number]));
    }
    Ok(())
}
