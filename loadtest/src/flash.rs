//! Shell: the flash sale: everybody reads the sheet, then all tap at once.
//!
//! Owns how a buyer behaves: one key per tap, the same key again after an error, and some buyers tap twice.
//! Does not judge whether the right ones got something.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::{sync::Barrier, task::JoinSet};

use crate::client::{Actor, Answer, fresh_name, text};

/// A tap has its answer within this, tries included.
const TAP_TIMEOUT: Duration = Duration::from_secs(60);
/// The wait before another try when the server names none, and the longest one.
const RETRY: Duration = Duration::from_millis(50);
const MAX_RETRY: Duration = Duration::from_secs(2);

/// How a buyer taps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Habit {
    Once,
    /// Two requests with one key at the same time.
    Twice,
    /// The same request again after the answer.
    Again,
}

impl Habit {
    fn of(n: usize) -> Self {
        match n % 3 {
            0 => Self::Twice,
            1 => Self::Again,
            _ => Self::Once,
        }
    }
}

/// What a tap came to.
#[derive(Debug)]
pub struct Tap {
    pub tapped: Instant,
    pub answered: Instant,
    /// The purchase, or the problem's name.
    pub result: Result<String, String>,
    /// Tries after the first, because the server was busy or did not answer.
    pub retries: u64,
    /// Taps that were repeated under their key.
    pub repeats: u64,
    /// A repeated tap that had another answer.
    pub fault: Option<String>,
}

/// Lets everybody buy one unit of an offer in the same moment.
pub async fn sell(buyers: &[Actor], offer: &str) -> anyhow::Result<Vec<Tap>> {
    let together = Arc::new(Barrier::new(buyers.len()));
    let mut buying = JoinSet::new();
    for (n, buyer) in buyers.iter().enumerate() {
        let (buyer, offer, together) = (buyer.clone(), offer.to_owned(), together.clone());
        buying.spawn(async move {
            let sheet = buyer.get(&format!("/v1/offers/{offer}/confirmation?qty=1")).await;
            // Everybody comes to the line, even who could not read the sheet: the others wait.
            together.wait().await;
            let wish = json!({
                "offer_id": offer, "qty": 1, "confirmation_hash": text(&sheet?, "hash")?, "payment_method": "sandbox_card"
            });
            buy(&buyer, &wish, Habit::of(n)).await
        });
    }
    let mut taps = Vec::with_capacity(buyers.len());
    while let Some(tap) = buying.join_next().await {
        taps.push(tap.context("a buyer fell over")??);
    }
    Ok(taps)
}

async fn buy(buyer: &Actor, wish: &Value, habit: Habit) -> anyhow::Result<Tap> {
    let key = fresh_name();
    let tapped = Instant::now();
    let (first, other) = match habit {
        Habit::Twice => {
            let (first, other) = tokio::try_join!(tap(buyer, &key, wish), tap(buyer, &key, wish))?;
            (first, Some(other))
        }
        Habit::Once | Habit::Again => (tap(buyer, &key, wish).await?, None),
    };
    let answered = Instant::now();
    let other = if habit == Habit::Again { Some(tap(buyer, &key, wish).await?) } else { other };
    let result = outcome(&first.answer);
    let repeated = other.as_ref().map(|other| outcome(&other.answer));
    let fault = repeated.filter(|again| *again != result).map(|again| {
        format!(
            "one key had two answers: {} and {}",
            result.as_ref().unwrap_or_else(|e| e),
            again.unwrap_or_else(|e| e)
        )
    });
    let retries = first.retries + other.as_ref().map_or(0, |other| other.retries);
    Ok(Tap { tapped, answered, result, retries, repeats: u64::from(other.is_some()), fault })
}

struct Answered {
    answer: Answer,
    retries: u64,
}

/// Asks until there is an answer that stands.
async fn tap(buyer: &Actor, key: &str, wish: &Value) -> anyhow::Result<Answered> {
    let by = Instant::now() + TAP_TIMEOUT;
    let mut retries = 0;
    loop {
        let answer = buyer.post_with_key("/v1/purchases", key, wish).await;
        let wait = match answer {
            Ok(answer) if stands(answer.status) => return Ok(Answered { answer, retries }),
            Ok(answer) => wait_of(&answer.body),
            Err(_) => RETRY,
        };
        if Instant::now() + wait > by {
            bail!("a tap had no answer in {} s", TAP_TIMEOUT.as_secs());
        }
        retries += 1;
        tokio::time::sleep(wait).await;
    }
}

/// A busy server is asked again; everything else is its word.
fn stands(status: u16) -> bool {
    status < 500 && status != 429
}

fn wait_of(problem: &Value) -> Duration {
    problem["retry_after_ms"].as_u64().map_or(RETRY, Duration::from_millis).min(MAX_RETRY)
}

fn outcome(answer: &Answer) -> Result<String, String> {
    match (answer.status, answer.body["id"].as_str()) {
        (200..300, Some(id)) => Ok(id.to_owned()),
        _ => Err(answer.problem().map_or_else(|| format!("{} {}", answer.status, answer.body), str::to_owned)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_server_is_asked_again_and_a_refusal_stands() {
        assert!(stands(201) && stands(409) && stands(422));
        assert!(!stands(429) && !stands(503));
        assert_eq!(wait_of(&json!({ "retry_after_ms": 120 })), Duration::from_millis(120));
        assert_eq!(wait_of(&json!({ "retry_after_ms": 60_000 })), MAX_RETRY);
        assert_eq!(wait_of(&Value::Null), RETRY);
    }

    #[test]
    fn an_answer_is_a_purchase_or_a_problem() {
        let bought = Answer { status: 201, body: json!({ "id": "pur_1" }) };
        assert_eq!(outcome(&bought), Ok("pur_1".to_owned()));
        let refused = Answer { status: 409, body: json!({ "type": "/problems/sold-out", "status": 409 }) };
        assert_eq!(outcome(&refused), Err("sold-out".to_owned()));
    }
}
