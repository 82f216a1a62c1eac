//! Pure: was it correct, and how fast?
//!
//! Invariant: a run without reasons is ok, and nothing but correctness makes a reason; times never do.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::books::Books;

/// What the taps were told.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Ids of the purchases that were promised.
    pub promised: Vec<String>,
    /// Problem → how many got it.
    pub refused: BTreeMap<String, i64>,
    /// Repeated taps that had another answer.
    pub faults: Vec<String>,
}

/// What the room saw, all viewers together.
#[derive(Debug, Clone, Default)]
pub struct Room {
    pub ordered_lost: u64,
    pub ordered_repeated: u64,
    /// Everything else that was not as it should be.
    pub faults: Vec<String>,
}

/// Sizes and times, reported and not judged.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    pub engine: &'static str,
    pub viewers: usize,
    pub buyers: usize,
    pub purchases_per_s: f64,
    pub tap_to_paid_ms: Vec<f64>,
    pub tap_ms: Vec<f64>,
    pub hub_ms: Vec<f64>,
    pub rss_kib: u64,
    pub ordered_received: u64,
    pub chat_sent: u64,
    pub chat_refused: u64,
    pub chat_received: u64,
    pub chat_repeated: u64,
    pub pins: u64,
    pub cuts: u64,
    pub dropped: u64,
    pub taps_repeated: u64,
    pub taps_retried: u64,
}

/// The judgement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    pub sold: i64,
    pub refused: i64,
    /// Units sold beyond what was there.
    pub oversold: i64,
    /// Promises without payment, and payments without their order.
    pub lost: i64,
    /// Units that are neither on the shelf nor sold, and units that are held for nobody.
    pub unexplained: i64,
    pub reasons: Vec<String>,
}

/// The value below which so many percent lie (nearest rank); nothing when there are none.
pub fn percentile(values: &[f64], percent: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank is small and positive")]
    #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52 samples")]
    let rank = (percent / 100.0 * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied()
}

/// Compares what was told with the books and with what the room saw.
pub fn judge(units: i64, told: &Told, books: &Books, room: &Room) -> Verdict {
    let paid: Vec<_> = books.purchases.iter().filter(|p| p.is_paid()).collect();
    let sold: i64 = paid.iter().map(|p| p.qty).sum();
    let paid_minor: i64 = paid.iter().map(|p| p.total_minor).sum();
    let refused: i64 = told.refused.values().sum();
    let taps = i64::try_from(told.promised.len()).unwrap_or(i64::MAX) + refused;
    let broken = told.promised.iter().filter(|id| !paid.iter().any(|p| p.id == **id)).count();
    let unordered = paid.iter().filter(|p| p.ordered_minor != Some(p.total_minor)).count();
    let mut verdict = Verdict {
        sold,
        refused,
        oversold: (sold - units).max(0),
        lost: i64::try_from(broken + unordered).unwrap_or(i64::MAX),
        unexplained: (units - sold - books.on_hand).abs() + books.held,
        reasons: Vec::new(),
    };
    let expected = units.min(taps);
    let mut must = |holds: bool, reason: String| {
        if !holds {
            verdict.reasons.push(reason);
        }
    };
    must(sold == expected, format!("{sold} sold instead of {expected}"));
    for (problem, count) in &told.refused {
        must(problem == "sold-out", format!("{count} refused with {problem} instead of sold-out"));
    }
    must(broken == 0, format!("{broken} promised purchases are not paid"));
    must(unordered == 0, format!("{unordered} paid purchases have no order of their amount"));
    let unasked = paid.iter().filter(|p| !told.promised.contains(&p.id)).count();
    must(unasked == 0, format!("{unasked} paid purchases that no tap was promised"));
    must(
        (books.report_orders, books.report_units) == (i64::try_from(paid.len()).unwrap_or(i64::MAX), sold),
        format!("the report has {} orders of {} units", books.report_orders, books.report_units),
    );
    for (what, sum) in
        [("gross", books.report_gross_minor), ("net", books.report_net_minor), ("sum of its lines", books.lines_minor)]
    {
        must(sum == paid_minor, format!("the report's {what} is {sum} yen, but {paid_minor} yen were paid"));
    }
    must(
        units - sold == books.on_hand,
        format!("{} units are on the shelf after {sold} of {units} were sold", books.on_hand),
    );
    must(books.held == 0, format!("{} units are held for nobody", books.held));
    must(
        books.available == books.on_hand - books.held,
        format!("{} units are available, {} on the shelf", books.available, books.on_hand),
    );
    must(room.ordered_lost == 0, format!("{} ordered events were lost", room.ordered_lost));
    must(room.ordered_repeated == 0, format!("{} ordered events came twice or too late", room.ordered_repeated));
    verdict.reasons.extend(told.faults.iter().chain(&room.faults).cloned());
    verdict
}

fn rounded(value: Option<f64>) -> Value {
    value.map_or(Value::Null, |value| json!((value * 100.0).round() / 100.0))
}

/// Everything as one JSON object.
pub fn as_json(units: i64, verdict: &Verdict, room: &Room, measured: &Measured) -> Value {
    json!({
        "engine": measured.engine,
        "viewers": measured.viewers,
        "buyers": measured.buyers,
        "units": units,
        "sold": verdict.sold,
        "refused": verdict.refused,
        "oversold": verdict.oversold,
        "lost": verdict.lost,
        "unexplained": verdict.unexplained,
        "http_purchases_per_s": rounded(Some(measured.purchases_per_s)),
        "tap_ms_p50": rounded(percentile(&measured.tap_ms, 50.0)),
        "tap_ms_p99": rounded(percentile(&measured.tap_ms, 99.0)),
        "tap_to_paid_ms_p50": rounded(percentile(&measured.tap_to_paid_ms, 50.0)),
        "tap_to_paid_ms_p99": rounded(percentile(&measured.tap_to_paid_ms, 99.0)),
        "hub_p50_ms": rounded(percentile(&measured.hub_ms, 50.0)),
        "hub_p99_ms": rounded(percentile(&measured.hub_ms, 99.0)),
        "ordered_received": measured.ordered_received,
        "ordered_lost": room.ordered_lost,
        "ordered_repeated": room.ordered_repeated,
        "pins_published": measured.pins,
        "chat_sent": measured.chat_sent,
        "chat_refused": measured.chat_refused,
        "chat_received": measured.chat_received,
        "chat_repeated": measured.chat_repeated,
        "connections_cut": measured.cuts,
        "connections_dropped": measured.dropped,
        "taps_repeated": measured.taps_repeated,
        "taps_retried": measured.taps_retried,
        "server_rss_kib": measured.rss_kib,
        "verdict": if verdict.reasons.is_empty() { "ok" } else { "failed" },
        "reasons": verdict.reasons,
    })
}

/// A result as lines for people: one figure a line, then the verdict.
pub fn as_table(result: &Value) -> String {
    let mut lines = Vec::new();
    for (name, value) in result.as_object().into_iter().flatten() {
        if !matches!(name.as_str(), "verdict" | "reasons") {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            lines.push(format!("{name:<24}{value:>12}"));
        }
    }
    lines.push(format!("\nverdict: {}", result["verdict"].as_str().unwrap_or("failed")));
    for reason in result["reasons"].as_array().into_iter().flatten() {
        lines.push(format!("  - {}", reason.as_str().unwrap_or_default()));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::Purchase;

    /// Two of three buyers got the two units.
    fn a_good_sale() -> (Told, Books) {
        let purchase = |id: &str| Purchase {
            id: id.to_owned(),
            state: "authorized".to_owned(),
            qty: 1,
            total_minor: 800,
            ordered_minor: Some(800),
        };
        let told = Told {
            promised: vec!["a".to_owned(), "b".to_owned()],
            refused: BTreeMap::from([("sold-out".to_owned(), 1)]),
            faults: Vec::new(),
        };
        let books = Books {
            purchases: vec![purchase("a"), purchase("b")],
            report_orders: 2,
            report_units: 2,
            report_gross_minor: 1_600,
            report_net_minor: 1_600,
            lines_minor: 1_600,
            ..Books::default()
        };
        (told, books)
    }

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 50.0), Some(50.0));
        assert_eq!(percentile(&values, 99.0), Some(99.0));
        assert_eq!(percentile(&values, 100.0), Some(100.0));
        assert_eq!(percentile(&[7.0], 1.0), Some(7.0));
        assert_eq!(percentile(&[], 99.0), None);
    }

    #[test]
    fn a_good_sale_has_no_reasons() {
        let (told, books) = a_good_sale();
        let verdict = judge(2, &told, &books, &Room::default());
        assert_eq!(verdict, Verdict { sold: 2, refused: 1, ..Verdict::default() });
        let result = as_json(2, &verdict, &Room::default(), &Measured::default());
        assert_eq!((&result["verdict"], &result["hub_p99_ms"]), (&json!("ok"), &Value::Null));
    }

    #[test]
    fn every_kind_of_fault_fails_the_run() {
        let (told, books) = a_good_sale();
        let fails = |units: i64, told: &Told, books: &Books, room: &Room| {
            let verdict = judge(units, told, books, room);
            assert!(!verdict.reasons.is_empty(), "{verdict:?}");
            verdict
        };
        let oversold = fails(1, &told, &books, &Room::default());
        assert_eq!((oversold.oversold, oversold.unexplained), (1, 1));
        let mut unpaid = books.clone();
        unpaid.purchases[0].state = "failed".to_owned();
        assert_eq!(fails(2, &told, &unpaid, &Room::default()).lost, 1);
        let mut unordered = books.clone();
        unordered.purchases[1].ordered_minor = None;
        assert_eq!(fails(2, &told, &unordered, &Room::default()).lost, 1);
        let held = Books { held: 3, ..books.clone() };
        assert_eq!(fails(2, &told, &held, &Room::default()).unexplained, 3);
        fails(2, &told, &Books { lines_minor: 800, ..books.clone() }, &Room::default());
        let refused = BTreeMap::from([("internal".to_owned(), 1)]);
        fails(2, &Told { refused, ..told.clone() }, &books, &Room::default());
        fails(2, &told, &books, &Room { ordered_lost: 1, ..Room::default() });
        fails(2, &told, &books, &Room { ordered_repeated: 1, ..Room::default() });
        fails(2, &told, &books, &Room { faults: vec!["a viewer fell over".to_owned()], ..Room::default() });
    }
}
