//! Idempotency-Key, as Stripe keeps it: an answer for a day, also when it is a 500.

use std::collections::HashMap;

/// A key is forgotten after so long.
const LIFE_MS: i64 = 24 * 3_600_000;

#[derive(Debug)]
struct Kept {
    of: String,
    since_ms: i64,
    /// None: it is being answered.
    answer: Option<(u16, String)>,
}

/// What a key says about a question.
#[derive(Debug, PartialEq, Eq)]
pub enum Known {
    /// It is new; and now it is being answered.
    New,
    InUse,
    OtherParameters,
    Answered(u16, String),
}

#[derive(Debug, Default)]
pub struct Keys(HashMap<String, Kept>);

impl Keys {
    pub fn begin(&mut self, key: &str, of: String, now_ms: i64) -> Known {
        match self.0.get(key).filter(|kept| kept.answer.is_none() || now_ms - kept.since_ms < LIFE_MS) {
            Some(kept) if kept.of != of => Known::OtherParameters,
            Some(Kept { answer: Some((status, body)), .. }) => Known::Answered(*status, body.clone()),
            Some(_) => Known::InUse,
            None => {
                self.0.insert(key.to_owned(), Kept { of, since_ms: now_ms, answer: None });
                Known::New
            }
        }
    }

    /// Keeps the answer; `None`: nothing was done that is worth keeping.
    pub fn end(&mut self, key: &str, answer: Option<(u16, String)>) {
        match (answer, self.0.get_mut(key)) {
            (Some(answer), Some(kept)) => kept.answer = Some(answer),
            _ => drop(self.0.remove(key)),
        }
    }
}
