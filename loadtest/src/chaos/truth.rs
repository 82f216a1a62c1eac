//! Shell: what is true when everybody rests, by REST and by the eyes of a newcomer; and who believes something else.

use std::collections::BTreeMap;

use anyhow::Context;
use hanamichi::live::{Codec, Mirror};

use super::{
    viewer::{Memory, remember},
    witness::Witness,
};
use crate::{
    client::{Actor, number, text},
    shop::Shop,
    viewer::{Plan, look},
};

/// What REST says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// Pin → version, price.
    pins: BTreeMap<String, (i64, i64)>,
    /// Question → version, votes, state.
    questions: BTreeMap<String, (i64, i64, String)>,
    /// Of the goods that are bought.
    available: i64,
    stock_version: i64,
    sku: String,
}

/// Reads them at a node.
pub async fn read(shop: &Shop, base: &str) -> anyhow::Result<Books> {
    let liver = shop.liver.at(base);
    let mut books = Books { sku: shop.sku.clone(), ..Books::default() };
    for pin in liver.list(&format!("/v1/lives/{}/pins", shop.live)).await? {
        let price = number(&pin["offers"][0], "price_minor")?;
        books.pins.insert(text(&pin, "id")?, (number(&pin, "version")?, price));
    }
    for question in liver.list(&format!("/v1/lives/{}/questions", shop.live)).await? {
        let (version, votes) = (number(&question, "version")?, number(&question, "votes")?);
        books.questions.insert(text(&question, "id")?, (version, votes, text(&question, "state")?));
    }
    let stock = shop.brand.at(base).get(&format!("/v1/skus/{}/stock", shop.sku)).await?;
    (books.available, books.stock_version) = (number(&stock, "available")?, number(&stock, "stock_version")?);
    Ok(books)
}

/// The room as a newcomer gets it at a node.
pub async fn newcomer(liver: &Actor, live: &str, base: &str) -> anyhow::Result<Mirror> {
    let plan = Plan {
        base: base.to_owned(),
        live: live.to_owned(),
        cookie: String::new(),
        codec: Codec::Json,
        chat: None,
        cut: None,
        timed_product: String::new(),
        began: std::time::Instant::now(),
    };
    look(&plan).await.with_context(|| format!("a newcomer at {base}, where the liver is at {}", liver.base))
}

/// Where a picture differs from the books; `shown` when it must have every question that is shown to a newcomer.
pub fn against_books(mirror: &Mirror, books: &Books) -> Option<String> {
    let pin = |pin: &hanamichi::wire::Pin| (pin.version, pin.offers.first().map_or(0, |offer| offer.price_minor));
    let pins: BTreeMap<_, _> = mirror.pins.values().map(|p| (p.id.clone(), pin(p))).collect();
    if pins != books.pins {
        return Some(format!("pins {pins:?} instead of {:?}", books.pins));
    }
    for question in mirror.questions.values() {
        let known = (question.version, i64::from(question.votes), question.state.clone());
        let truth = books.questions.get(&question.id);
        if truth != Some(&known) {
            return Some(format!("question {} as {known:?} instead of {truth:?}", question.id));
        }
    }
    // Payment moves units from held to sold: the version grows, and as nothing else can be bought nothing is told.
    let stock = mirror.stock.get(&books.sku).map(|stock| (stock.available, stock.version));
    match stock {
        Some((available, version)) if available == books.available && version <= books.stock_version => None,
        _ => Some(format!("stock {stock:?} instead of {:?}", (books.available, books.stock_version))),
    }
}

/// Where a picture differs from a newcomer's.
pub fn against_newcomer(mirror: &Mirror, newcomer: &Mirror) -> Option<String> {
    if (&mirror.epoch, mirror.seq) != (&newcomer.epoch, newcomer.seq) {
        return Some(format!(
            "at {} of {} instead of {} of {}",
            mirror.seq, mirror.epoch, newcomer.seq, newcomer.epoch
        ));
    }
    if mirror.live != newcomer.live {
        return Some("another live".to_owned());
    }
    if mirror.pins != newcomer.pins {
        return Some("other pins than a newcomer".to_owned());
    }
    // A newcomer is shown the newest ones only.
    let missing = newcomer.questions.iter().find(|(id, question)| mirror.questions.get(*id) != Some(question));
    if let Some((id, question)) = missing {
        return Some(format!("question {id} as {:?} instead of {question:?}", mirror.questions.get(id)));
    }
    let available =
        |mirror: &Mirror| mirror.stock.iter().map(|(sku, s)| (sku.clone(), s.available)).collect::<Vec<_>>();
    let shown = |mirror: &Mirror| {
        let skus = mirror.pins.values().flat_map(|pin| &pin.offers).map(|offer| offer.sku_id.clone());
        skus.collect::<std::collections::BTreeSet<_>>()
    };
    let skus = shown(newcomer);
    let of_shown = |mirror: &Mirror| available(mirror).into_iter().filter(|(sku, _)| skus.contains(sku)).collect();
    let (mine, theirs): (Vec<_>, Vec<_>) = (of_shown(mirror), of_shown(newcomer));
    (mine != theirs).then(|| format!("stock {mine:?} instead of {theirs:?}"))
}

/// What somebody believes that is not so; nothing when all is well.
pub async fn compare(shop: &Shop, bases: &[String], memories: &[Memory]) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    let books = read(shop, &bases[0]).await?;
    let mut newcomers = Vec::new();
    for base in bases {
        let newcomer = newcomer(&shop.liver, &shop.live, base).await?;
        if let Some(what) = against_books(&newcomer, &books) {
            wrong.push(format!("a newcomer at {base} is shown {what}"));
        }
        newcomers.push(newcomer);
    }
    for (n, memory) in memories.iter().enumerate() {
        let (mirror, inside) = remember(memory, |witness: &mut Witness| (witness.mirror.clone(), witness.is_inside()));
        if !inside {
            wrong.push(format!("viewer {n} is not in the room"));
            continue;
        }
        // Each node of a room without a common log has an epoch of its own.
        let same = newcomers.iter().find(|newcomer| newcomer.epoch == mirror.epoch);
        let differs = same.map_or_else(
            || Some(format!("in epoch {}, where no newcomer is", mirror.epoch)),
            |newcomer| against_newcomer(&mirror, newcomer).or_else(|| against_books(&mirror, &books)),
        );
        wrong.extend(differs.map(|what| format!("viewer {n} has {what}")));
    }
    Ok(wrong)
}

#[cfg(test)]
mod tests {
    use hanamichi::wire;

    use super::*;

    fn picture() -> (Mirror, Books) {
        let mut mirror = Mirror::default();
        let offer = wire::Offer { sku_id: "s".to_owned(), price_minor: 5, ..wire::Offer::default() };
        let pin = wire::Pin { id: "p".to_owned(), version: 2, offers: vec![offer], ..wire::Pin::default() };
        mirror.pins.insert("p".to_owned(), pin);
        mirror.stock.insert("s".to_owned(), wire::Stock { sku_id: "s".to_owned(), available: 3, version: 4 });
        let question =
            wire::Question { id: "q".to_owned(), version: 1, state: "open".to_owned(), ..Default::default() };
        mirror.questions.insert("q".to_owned(), question);
        let books = Books {
            pins: BTreeMap::from([("p".to_owned(), (2, 5))]),
            questions: BTreeMap::from([("q".to_owned(), (1, 0, "open".to_owned()))]),
            available: 3,
            stock_version: 6,
            sku: "s".to_owned(),
        };
        (mirror, books)
    }

    #[test]
    fn a_true_picture_has_no_difference() {
        let (mirror, books) = picture();
        assert_eq!(against_books(&mirror, &books), None);
        assert_eq!(against_newcomer(&mirror, &mirror.clone()), None);
    }

    #[test]
    fn every_wrong_belief_is_found() {
        let wrong = |change: &dyn Fn(&mut Mirror)| {
            let (truth, books) = picture();
            let mut mirror = truth.clone();
            change(&mut mirror);
            let differences = (against_books(&mirror, &books), against_newcomer(&mirror, &truth));
            assert!(differences.0.is_some() || differences.1.is_some());
            differences
        };
        wrong(&|mirror| mirror.pins.clear());
        wrong(&|mirror| mirror.stock.clear());
        wrong(&|mirror| mirror.seq = 1);
        wrong(&|mirror| mirror.live.version = 9);
        wrong(&|mirror| mirror.questions.clear());
        wrong(&|mirror| mirror.questions.values_mut().for_each(|question| question.votes = 1));
        let hidden = |mirror: &mut Mirror| {
            mirror.questions.insert("r".to_owned(), wire::Question { id: "r".to_owned(), ..Default::default() });
        };
        assert!(wrong(&hidden).0.is_some(), "what is hidden is not in the books");
    }
}
