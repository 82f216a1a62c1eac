//! Pure: how long things took, and which of them count.
//!
//! Invariant: a tap counts for the window that its answer came in, whenever it began.

use std::time::{Duration, Instant};

/// Not measured: caches, plans and connections warm up.
pub const WARM_UP: Duration = Duration::from_secs(1);

/// The part of a run that is measured.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub from: Instant,
    pub to: Instant,
}

impl Window {
    /// Opens after the warm-up that begins now.
    pub fn after_warm_up(length: Duration) -> Self {
        let from = Instant::now() + WARM_UP;
        Self { from, to: from + length }
    }

    /// Is this moment measured?
    pub fn holds(&self, at: Instant) -> bool {
        at >= self.from && at < self.to
    }

    /// Its length in seconds.
    pub fn seconds(&self) -> f64 {
        (self.to - self.from).as_secs_f64()
    }
}

/// Latencies, to the microsecond.
#[derive(Debug, Clone, Default)]
pub struct Times {
    micros: Vec<u32>,
}

impl Times {
    /// One more. What takes longer than 71 minutes counts as that.
    pub fn push(&mut self, took: Duration) {
        self.micros.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    /// Those of somebody else, too.
    pub fn append(&mut self, mut other: Self) {
        self.micros.append(&mut other.micros);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.micros.len()
    }

    /// The milliseconds below which so many percent lie (nearest rank); nothing when there are none.
    pub fn percentile_ms(&mut self, percent: f64) -> Option<f64> {
        let last = self.micros.len().checked_sub(1)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank is small and positive")]
        let rank = (percent / 100.0 * float(self.micros.len())).ceil().max(1.0) as usize;
        let (_, micros, _) = self.micros.select_nth_unstable((rank - 1).min(last));
        Some(f64::from(*micros) / 1_000.0)
    }

    /// Rate and percentiles, when all of them came in so many seconds.
    pub fn figures(mut self, seconds: f64) -> Figures {
        Figures {
            per_s: if seconds > 0.0 { float(self.len()) / seconds } else { 0.0 },
            p50_ms: self.percentile_ms(50.0),
            p99_ms: self.percentile_ms(99.0),
        }
    }
}

/// How fast something was.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    pub per_s: f64,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
}

/// A count as a number to reckon with.
#[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52 of anything here")]
pub fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(millis: impl IntoIterator<Item = u64>) -> Times {
        let mut times = Times::default();
        for ms in millis {
            times.push(Duration::from_millis(ms));
        }
        times
    }

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let mut hundred = times((1..=100).rev());
        assert_eq!(hundred.percentile_ms(50.0), Some(50.0));
        assert_eq!(hundred.percentile_ms(99.0), Some(99.0));
        assert_eq!(hundred.percentile_ms(100.0), Some(100.0));
        assert_eq!(times([7]).percentile_ms(1.0), Some(7.0));
        assert_eq!(Times::default().percentile_ms(99.0), None);
    }

    #[test]
    fn a_rate_is_a_count_over_seconds() {
        let mut both = times([1, 2]);
        both.append(times([3, 4]));
        assert_eq!(both.figures(2.0), Figures { per_s: 2.0, p50_ms: Some(2.0), p99_ms: Some(4.0) });
        assert_eq!(Times::default().figures(0.0), Figures::default());
    }

    #[test]
    fn a_window_opens_after_the_warm_up() {
        let window = Window::after_warm_up(Duration::from_secs(4));
        assert!(!window.holds(Instant::now()) && window.holds(window.from) && !window.holds(window.to));
        assert!((window.seconds() - 4.0).abs() < 1e-9);
    }
}
