//! Shell: is what viewers believe the truth? The truth is what a newcomer is shown.

use std::time::{Duration, Instant};

use hanamichi::live::{Codec, Mirror};

use super::{contender::Product, crowd::Report};
use crate::viewer::{self, Plan};

/// A pause for what was told in the last moment.
const SETTLE: Duration = Duration::from_millis(300);

/// The way of a guest, or of somebody with a session, into the product's room.
pub fn plan(product: &Product, cookie: &str) -> Plan {
    Plan {
        base: product.process.base.clone(),
        live: product.shop.live.clone(),
        cookie: cookie.to_owned(),
        codec: Codec::Proto,
        chat: None,
        cut: None,
        timed_product: String::new(),
        began: Instant::now(),
    }
}

/// What is wrong with the pictures of a room that is at rest.
pub async fn check(product: &Product, seen: &Report, head: u64) -> anyhow::Result<Vec<String>> {
    tokio::time::sleep(SETTLE).await;
    let newcomer = viewer::look(&plan(product, "")).await?;
    let mut faults = Vec::new();
    if head != newcomer.seq {
        faults.push(format!("the last event told is {head}, a newcomer is at {}", newcomer.seq));
    }
    if let Some(lowest) = seen.lowest.filter(|lowest| *lowest != newcomer.seq) {
        faults.push(format!("somebody is at {lowest} instead of {}", newcomer.seq));
    }
    for mirror in &seen.mirrors {
        if let Some(what) = difference(mirror, &newcomer) {
            faults.push(format!("a viewer believes another {what} than a newcomer"));
        }
        if mirror.faults > 0 {
            faults.push(format!("a viewer found {} faults in what it was told", mirror.faults));
        }
    }
    Ok(faults)
}

/// Where two pictures of a room at rest differ. How many watch is left out: that may change at any time.
pub fn difference(one: &Mirror, other: &Mirror) -> Option<&'static str> {
    let same = [
        ("epoch", one.epoch == other.epoch),
        ("position", one.seq == other.seq),
        ("live", one.live == other.live),
        ("list of pins", one.pins == other.pins),
        ("list of questions", one.questions == other.questions),
        ("stock", one.stock == other.stock),
        ("rest of a quota", one.left == other.left),
        ("count of reactions", one.reactions == other.reactions),
    ];
    same.into_iter().find(|(_, same)| !same).map(|(what, _)| what)
}

#[cfg(test)]
mod tests {
    use hanamichi::wire;

    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        let mut one = Mirror::default();
        one.seq = 3;
        let mut other = one.clone();
        other.viewers = 5;
        assert_eq!(difference(&one, &other), None);
        one.stock.insert("s".to_owned(), wire::Stock::default());
        assert_eq!(difference(&one, &other), Some("stock"));
        one.seq = 2;
        assert_eq!(difference(&one, &other), Some("position"));
    }
}
