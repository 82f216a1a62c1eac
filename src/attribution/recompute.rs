//! Shell: whether the credits are what the rules make of touches, terms and orders, bit for bit.

use super::judged::{self, Judged, StoredCredit};
use crate::{
    ids::OrderLineId,
    on,
    store::{StoreError, Tx},
};

/// Lines that are read at once.
const PAGE: i64 = 500;

/// What was found.
#[derive(Debug, Default)]
pub struct Recomputed {
    /// Credited lines that were decided again.
    pub lines: i64,
    /// Lines whose credits are others: what is wrong, what they come to by the rule, and as they are stored.
    pub faults: Vec<(String, i64, i64)>,
}

/// Decides every credited line again. Reads all touches of its buyer up to the sale; writes nothing. Stops noting after
/// `max_faults`.
///
/// # Errors
/// The database's.
pub async fn recompute(tx: &mut Tx, max_faults: usize) -> Result<Recomputed, StoreError> {
    const LINES: &str = "SELECT id FROM order_lines WHERE id > $1 ORDER BY id LIMIT $2";
    let mut found = Recomputed::default();
    let mut after = String::new();
    loop {
        let lines: Vec<(OrderLineId,)> =
            on!(tx, |conn| sqlx::query_as(LINES).bind(&after).bind(PAGE).fetch_all(conn).await?);
        let lines: Vec<OrderLineId> = lines.into_iter().map(|(line,)| line).collect();
        let Some(last) = lines.last() else { return Ok(found) };
        after = last.to_string();
        for line in judged::load(tx, &lines).await? {
            found.lines += 1;
            if let Some(fault) = fault(&line)
                && found.faults.len() < max_faults
            {
                found.faults.push(fault);
            }
        }
    }
}

fn fault(line: &Judged) -> Option<(String, i64, i64)> {
    let stored = |credits: &[StoredCredit]| credits.iter().map(|credit| credit.commission_minor).sum();
    let id = &line.first().order_line_id;
    let again = line.decide(&line.considered());
    let same =
        again.len() == line.credits.len() && line.credits.iter().all(|credit| again.iter().any(|c| credit.is(c)));
    if !same {
        let commission = again.iter().map(|credit| credit.commission_minor).sum();
        return Some((format!("{id} is credited otherwise by its rule"), commission, stored(&line.credits)));
    }
    // Not only what was looked at: nothing that was there was overlooked.
    let present = line.present()?;
    let full = line.decide(&present);
    let who = |party: &str, share: i32| (party.to_owned(), share);
    let mut now: Vec<_> = full.iter().map(|credit| who(&credit.party, credit.share_bp)).collect();
    let mut then: Vec<_> = line.credits.iter().map(|credit| who(&credit.party_id, credit.share_bp)).collect();
    now.sort();
    then.sort();
    (now != then).then(|| {
        let commission = full.iter().map(|credit| credit.commission_minor).sum();
        (format!("{id} has touches that were overlooked"), commission, stored(&line.credits))
    })
}
