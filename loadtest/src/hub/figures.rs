//! Pure: how long deliveries took, and medians of rounds.
//!
//! Owns the histogram: millions of deliveries are counted, not kept. Its grain is [`GRAIN_US`].

/// Width of a bucket.
const GRAIN_US: u64 = 100;
/// Buckets; what takes longer than all of them counts in the last: 30 seconds.
const BUCKETS: usize = 300_000;

/// Counts of durations.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    /// Made with the first duration: most crowds have nothing to time.
    buckets: Vec<u32>,
    count: u64,
}

impl Histogram {
    /// One more.
    pub fn push_us(&mut self, micros: u64) {
        if self.buckets.is_empty() {
            self.buckets = vec![0; BUCKETS];
        }
        let at = usize::try_from(micros / GRAIN_US).unwrap_or(usize::MAX).min(BUCKETS - 1);
        self.buckets[at] = self.buckets[at].saturating_add(1);
        self.count += 1;
    }

    /// Those of somebody else, too.
    pub fn append(&mut self, other: &Self) {
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
        } else {
            for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
                *mine = mine.saturating_add(*theirs);
            }
        }
        self.count += other.count;
    }

    /// The milliseconds that so many percent do not exceed, to the bucket's upper edge; nothing when there are none.
    pub fn percentile_ms(&self, percent: f64) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52 deliveries")]
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank is positive")]
        let rank = (percent / 100.0 * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (at, count) in self.buckets.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank {
                #[expect(clippy::cast_precision_loss, reason = "there are few buckets")]
                return Some(((at + 1) as u64 * GRAIN_US) as f64 / 1_000.0);
            }
        }
        None
    }
}

/// The value in the middle; the mean of the two middle ones.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some(f64::midpoint(*low, *high))
}

/// A quotient, when there is something to divide by.
pub fn ratio(figure: f64, peer: f64) -> Option<f64> {
    (peer > 0.0).then(|| figure / peer)
}

/// A count as a number to reckon with.
#[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52 of anything here")]
pub fn float(count: u64) -> f64 {
    count as f64
}

/// Mixes bytes into 64 bits, a word at a time: quick, and good enough to tell frames apart that are compared anyway.
pub fn hash(bytes: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = (bytes.len() as u64).wrapping_mul(ODD);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state = (state.rotate_left(27) ^ u64::from_le_bytes(*word)).wrapping_mul(ODD);
    }
    for byte in rest {
        state = (state.rotate_left(27) ^ u64::from(*byte)).wrapping_mul(ODD);
    }
    state ^ (state >> 29)
}

/// A figure as people read it in a table.
pub fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_upper_edge_of_its_bucket() {
        let mut times = Histogram::default();
        assert_eq!(times.percentile_ms(50.0), None);
        for ms in 0..100 {
            times.push_us(ms * 1_000);
        }
        assert_eq!(times.percentile_ms(50.0), Some(49.1));
        assert_eq!(times.percentile_ms(100.0), Some(99.1));
        let mut both = Histogram::default();
        both.append(&times);
        both.append(&times);
        both.push_us(u64::MAX);
        assert_eq!(
            (both.count, both.percentile_ms(50.0), both.percentile_ms(100.0)),
            (201, Some(50.1), Some(30_000.0))
        );
    }

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0]), Some(2.5));
        assert_eq!(median([]), None);
        assert_eq!((ratio(1.0, 2.0), ratio(1.0, 0.0)), (Some(0.5), None));
    }

    #[test]
    fn a_hash_sees_length_order_and_every_byte() {
        let long = b"0123456789abcdef0123";
        for at in 0..long.len() {
            let mut other = *long;
            other[at] ^= 1;
            assert_ne!(hash(&other), hash(long), "byte {at}");
        }
        assert_ne!(hash(b"ab"), hash(b"ba"));
        assert_ne!(hash(b""), hash(b"\0"));
        assert_ne!(hash(b"12345678abcdefgh"), hash(b"abcdefgh12345678"));
    }
}
