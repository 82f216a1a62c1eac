//! Pure: a viewer's own sequence numbers and timestamps.
//!
//! Owns the translation from a publisher's numbering to the one that a viewer sees from its first packet to its last.
//! Invariants: what a viewer gets after a change of publisher continues the sequence without a hole and never goes
//! back in time; a new numbering starts below 2^15, so the viewer's SRTP roll-over counter begins at zero.

use std::time::{Duration, Instant};

/// How much faster than real time a viewer is brought up to the present.
pub(super) const CATCH_UP_SPEED: u64 = 4;

/// Between two numberings lies at least so much media time.
const MIN_STEP: Duration = Duration::from_millis(10);

/// Where a packet stands for one viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) seq: u64,
    pub(super) ts: u32,
}

#[derive(Debug)]
pub(super) struct Numbering {
    clock_hz: u64,
    next_seq: u64,
    last: Option<(u64, Instant)>,
    base: Option<Base>,
}

/// One stretch of a publisher's numbering.
#[derive(Debug)]
struct Base {
    from_seq: u64,
    from_ts: u64,
    to_seq: u64,
    to_ts: u64,
    /// Up to this time of the publisher the stretch is told faster than it happened.
    knee_ts: Option<u64>,
    /// The newest time of the publisher that was told: what was told keeps its time.
    told_ts: u64,
}

impl Base {
    fn ts(&self, ts: u64) -> u64 {
        let knee = self.knee_ts.unwrap_or(self.from_ts).max(self.from_ts);
        let told_fast = (knee.min(ts).saturating_sub(self.from_ts)) / CATCH_UP_SPEED;
        self.to_ts + told_fast + ts.saturating_sub(knee)
    }
}

impl Numbering {
    pub(super) fn new(clock_hz: u64, seed: u16) -> Self {
        Self { clock_hz, next_seq: u64::from(seed >> 1), last: None, base: None }
    }

    /// From this packet on another stretch of numbers is translated.
    pub(super) fn rebase(&mut self, seq: u64, ts: u64, now: Instant) {
        let to_ts = match self.last {
            None => self.next_seq << 8,
            Some((last_ts, at)) => last_ts + self.ticks(now.duration_since(at).max(MIN_STEP)),
        };
        self.base = Some(Base { from_seq: seq, from_ts: ts, to_seq: self.next_seq, to_ts, knee_ts: None, told_ts: ts });
    }

    /// Everything until [`Numbering::slow_down`] is told four times as fast.
    pub(super) fn speed_up(&mut self) {
        if let Some(base) = &mut self.base {
            base.knee_ts = Some(u64::MAX);
        }
    }

    /// What is later than everything told so far is told as it happens.
    pub(super) fn slow_down(&mut self) {
        if let Some(base) = &mut self.base {
            base.knee_ts = Some(base.told_ts);
        }
    }

    /// Nothing of this stretch is told any more, nor told again: what follows begins another.
    pub(super) fn end_stretch(&mut self) {
        self.base = None;
    }

    /// Where the packet stands; `None` when it is older than the stretch.
    pub(super) fn place(&mut self, seq: u64, ts: u64, now: Instant) -> Option<Place> {
        let base = self.base.as_mut()?;
        let seq = base.to_seq + seq.checked_sub(base.from_seq)?;
        base.told_ts = base.told_ts.max(ts);
        let ts = base.ts(ts);
        self.next_seq = self.next_seq.max(seq + 1);
        match self.last {
            Some((last_ts, _)) if last_ts >= ts => {}
            _ => self.last = Some((ts, now)),
        }
        #[expect(clippy::cast_possible_truncation, reason = "RTP time wraps at 32 bits")]
        Some(Place { seq, ts: ts as u32 })
    }

    /// The publisher's number of a packet that the viewer names by the 16 bits it sees; only of the present stretch.
    pub(super) fn origin(&self, seq: u16) -> Option<u64> {
        let base = self.base.as_ref()?;
        let newest = self.next_seq.checked_sub(1)?;
        // Of all numbers that look like it, the newest that was told.
        let behind = newest.wrapping_sub(seq.into()) & 0xffff;
        let told = newest.checked_sub(behind)?;
        Some(told.checked_sub(base.to_seq)? + base.from_seq)
    }

    fn ticks(&self, duration: Duration) -> u64 {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        micros.saturating_mul(self.clock_hz) / 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video() -> Numbering {
        Numbering::new(90_000, 200)
    }

    #[test]
    fn a_change_of_publisher_continues_the_sequence_and_the_time() {
        let mut numbering = video();
        let start = Instant::now();
        numbering.rebase(70_000, 5_000_000, start);
        let first = numbering.place(70_000, 5_000_000, start).expect("in the stretch");
        let last = numbering.place(70_009, 5_030_000, start).expect("in the stretch");
        assert_eq!((first.seq, last.seq), (100, 109));
        let later = start + Duration::from_secs(5);
        numbering.rebase(3, 17, later);
        let next = numbering.place(3, 17, later).expect("in the stretch");
        assert_eq!(next.seq, 110);
        assert_eq!(next.ts.wrapping_sub(last.ts), 450_000, "five seconds passed");
        assert_eq!(numbering.place(2, 16, later), None, "older than the stretch");
    }

    #[test]
    fn catching_up_is_told_fast_and_then_as_it_happens() {
        let mut numbering = video();
        let now = Instant::now();
        numbering.rebase(10, 90_000, now);
        numbering.speed_up();
        let key = numbering.place(10, 90_000, now).expect("in the stretch").ts;
        let fast = numbering.place(11, 94_000, now).expect("in the stretch").ts;
        assert_eq!(fast - key, 1_000);
        numbering.slow_down();
        let same = numbering.place(12, 94_000, now).expect("in the stretch").ts;
        let real = numbering.place(13, 97_000, now).expect("in the stretch").ts;
        assert_eq!((same, real - fast), (fast, 3_000), "a frame keeps its time across the knee");
        let late = numbering.place(10, 90_000, now).expect("in the stretch").ts;
        assert_eq!(late, key, "a late packet belongs to its frame");
    }

    #[test]
    fn what_was_told_keeps_its_time_and_what_ended_has_none() {
        let mut numbering = video();
        let now = Instant::now();
        numbering.rebase(10, 90_000, now);
        numbering.speed_up();
        // The picture of a later moment came before that of an earlier one.
        let told = [(10, 90_000), (11, 98_000), (12, 94_000)].map(|(seq, ts)| (seq, ts, numbering.place(seq, ts, now)));
        numbering.slow_down();
        for (seq, ts, place) in told {
            assert_eq!(numbering.place(seq, ts, now), place);
        }
        numbering.end_stretch();
        assert_eq!((numbering.place(11, 98_000, now), numbering.origin(101)), (None, None));
    }

    #[test]
    fn a_viewers_number_leads_back_to_the_publishers() {
        let mut numbering = video();
        let now = Instant::now();
        assert_eq!(numbering.origin(100), None);
        numbering.rebase(70_000, 5_000, now);
        for seq in 70_000..140_000 {
            numbering.place(seq, seq, now).expect("in the stretch");
        }
        let newest = numbering.place(140_000, 140_000, now).expect("in the stretch").seq;
        #[expect(clippy::cast_possible_truncation, reason = "what the viewer sees")]
        let seen = |seq: u64| seq as u16;
        assert_eq!(numbering.origin(seen(newest)), Some(140_000));
        assert_eq!(numbering.origin(seen(newest - 500)), Some(139_500));
        numbering.rebase(3, 200_000, now);
        assert_eq!(numbering.origin(seen(newest)), None, "of another stretch");
        let next = numbering.place(3, 200_000, now).expect("in the stretch");
        assert_eq!(numbering.origin(seen(next.seq)), Some(3));
    }

    proptest::proptest! {
        #[test]
        fn numbers_never_collide_across_stretches(stretches in proptest::collection::vec((0u64..1 << 40, 1u64..50), 1..20)) {
            let mut numbering = video();
            let now = Instant::now();
            let mut seen = std::collections::HashSet::new();
            let mut last_ts = 0;
            for (from, len) in stretches {
                numbering.rebase(from, from, now);
                for seq in from..from + len {
                    let place = numbering.place(seq, seq, now).expect("in the stretch");
                    proptest::prop_assert!(seen.insert(place.seq));
                    proptest::prop_assert!(place.ts >= last_ts);
                    last_ts = place.ts;
                }
            }
            let count = u64::try_from(seen.len()).expect("small");
            let (min, max) = (seen.iter().min().copied(), seen.iter().max().copied());
            proptest::prop_assert_eq!(max.zip(min).map(|(max, min)| max - min + 1), Some(count));
        }
    }
}
