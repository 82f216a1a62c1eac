//! Pure: how large a picture one viewer's network carries.
//!
//! Decides from what the viewer says (its receiver's estimate, its losses) and from what the layers measure. An estimate
//! never rises far above what is received, so larger layers are found out by trial.
//! Invariants: one step up at a time; after a trial that failed the next one waits longer, up to [`MAX_PATIENCE`].

use std::time::{Duration, Instant};

use super::packet::MAX_LAYERS;

/// Where everybody begins: in the middle of three, and at the larger of two.
const FIRST_LIMIT: u8 = 1;
/// So long nothing goes wrong before a larger layer is tried; half of it when the estimate has room for that.
const FIRST_PATIENCE: Duration = Duration::from_secs(4);
const MAX_PATIENCE: Duration = Duration::from_secs(120);
/// Who goes down within this time after going up has failed the trial.
const TRIAL: Duration = Duration::from_secs(60);
/// What is reported sooner after a change is about what was before.
const SETTLE: Duration = Duration::from_millis(1_200);
/// An estimate that is too low and has not risen for so long will not.
const STUCK: Duration = Duration::from_secs(3);
/// Losses of 256: more than a tenth is too much, more than a twentieth is no time for more.
const TOO_MUCH_LOST: u8 = 25;
const SOME_LOST: u8 = 13;
/// Hundredths of a layer's rate: below, an estimate does not carry it; above, it does.
const TOO_LITTLE: u64 = 90;
const ENOUGH: u64 = 120;
/// Hundredths of the estimate before: below, it fell.
const FELL: u64 = 95;

/// What a viewer says of its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// What its receiver thinks that it can get, in bits per second.
    Estimate(u64),
    /// Packets of the picture that did not come, of 256.
    Lost(u8),
}

/// The rates of those layers that are sent, in bits per second.
pub(super) type Rates = [Option<u64>; MAX_LAYERS];

/// One viewer's way up and down.
#[derive(Debug)]
pub(super) struct Ladder {
    /// The largest layer that it may see.
    limit: u8,
    estimate: Option<u64>,
    rose: Option<Instant>,
    fell: bool,
    is_losing: bool,
    /// Since when nothing went wrong.
    quiet_since: Option<Instant>,
    changed: Option<Instant>,
    went_up: Option<Instant>,
    went_down: Option<Instant>,
    patience: Duration,
}

impl Default for Ladder {
    fn default() -> Self {
        Self {
            limit: FIRST_LIMIT,
            estimate: None,
            rose: None,
            fell: false,
            is_losing: false,
            quiet_since: None,
            changed: None,
            went_up: None,
            went_down: None,
            patience: FIRST_PATIENCE,
        }
    }
}

impl Ladder {
    /// The viewer says something.
    pub(super) fn hear(&mut self, word: Word, now: Instant) {
        let is_settled = self.changed.is_none_or(|at| at + SETTLE <= now);
        match word {
            Word::Lost(lost) => {
                if lost >= SOME_LOST {
                    self.quiet_since = Some(now);
                }
                self.is_losing |= lost > TOO_MUCH_LOST && is_settled;
            }
            Word::Estimate(estimate) => {
                let before = self.estimate.replace(estimate);
                if before.is_none_or(|before| estimate > before) {
                    self.rose = Some(now);
                }
                if before.is_some_and(|before| estimate < before.saturating_mul(FELL) / 100) {
                    self.fell = true;
                    self.quiet_since = Some(now);
                }
            }
        }
    }

    /// The largest layer that it may see from now on.
    pub(super) fn decide(&mut self, rates: &Rates, now: Instant) -> u8 {
        let sent = || (0u8..).zip(rates).filter_map(|(layer, rate)| Some((layer, (*rate)?)));
        let quiet_since = *self.quiet_since.get_or_insert(now);
        // Of what is sent, the layer that it sees.
        let seen = sent().take_while(|(layer, _)| *layer <= self.limit).last().or_else(|| sent().next());
        let Some((seen, rate)) = seen else { return self.limit };
        let is_losing = std::mem::take(&mut self.is_losing);
        let is_too_little = self.is_too_little(rate, now);
        self.fell = false;
        if is_losing || is_too_little {
            let carried = |rate: u64| !is_too_little || self.estimate.is_none_or(|estimate| rate <= estimate);
            let below = || sent().take_while(|(layer, _)| *layer < seen);
            let lower = below().filter(|(_, rate)| carried(*rate)).last().or_else(|| below().next());
            match lower {
                Some((lower, _)) => self.go_down(lower, now),
                // There is nothing smaller.
                None => self.quiet_since = Some(now),
            }
            return self.limit;
        }
        if let Some((above, rate)) = sent().find(|(layer, _)| *layer > self.limit) {
            let has_room = self.estimate.is_some_and(|estimate| estimate >= rate.saturating_mul(ENOUGH) / 100);
            let patience = if has_room { self.patience / 2 } else { self.patience };
            if quiet_since + patience <= now {
                self.limit = above;
                (self.quiet_since, self.changed, self.went_up) = (Some(now), Some(now), Some(now));
                self.rose = Some(now);
            }
        }
        self.limit
    }

    /// The estimate says that a layer is too much: it fell below its rate, or stays there.
    fn is_too_little(&self, rate: u64, now: Instant) -> bool {
        let is_below = self.estimate.is_some_and(|estimate| estimate < rate.saturating_mul(TOO_LITTLE) / 100);
        is_below && (self.fell || self.rose.is_some_and(|at| at + STUCK <= now))
    }

    fn go_down(&mut self, to: u8, now: Instant) {
        let is_lately = |at: Option<Instant>| at.is_some_and(|at| now < at + TRIAL);
        self.patience = match (is_lately(self.went_up), is_lately(self.went_down)) {
            (true, _) => (self.patience * 2).min(MAX_PATIENCE),
            // One way that narrows may be several steps.
            (false, true) => self.patience,
            (false, false) => FIRST_PATIENCE,
        };
        self.limit = to;
        (self.quiet_since, self.changed) = (Some(now), Some(now));
        (self.went_up, self.went_down) = (None, Some(now));
        self.rose = Some(now);
    }
}

#[cfg(test)]
#[path = "ladder_tests.rs"]
mod tests;
