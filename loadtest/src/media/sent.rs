//! Value: what the publisher sent: the time of each packet by its number, so that whatever a viewer gets can be
//! compared with it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The newest packets of a stream that are remembered: a minute and a half of a picture.
const PLACES: usize = 1 << 14;
/// Numbers that are left out between two publishers, so that nobody takes the one's packets for the other's.
const BETWEEN: u64 = 10_000;

/// One stream, as it was sent.
#[derive(Debug)]
pub struct Sent {
    /// Number and time of a packet, both by their low 32 bits.
    places: Box<[AtomicU64]>,
    next: AtomicU64,
}

impl Default for Sent {
    fn default() -> Self {
        Self { places: (0..PLACES).map(|_| AtomicU64::new(u64::MAX)).collect(), next: AtomicU64::new(0) }
    }
}

fn place(number: u64) -> usize {
    usize::try_from(number % PLACES as u64).unwrap_or(0)
}

impl Sent {
    /// Where a new publisher's numbers begin.
    pub fn first(&self) -> u64 {
        match self.next.load(Relaxed) {
            0 => 0,
            next => next + BETWEEN,
        }
    }

    /// A packet is about to go.
    pub fn note(&self, number: u64, ts: u32) {
        self.places[place(number)].store((number & 0xffff_ffff) << 32 | u64::from(ts), Relaxed);
        self.next.store(number + 1, Relaxed);
    }

    /// The time that it was sent with; nothing when that is long ago, or it was never sent.
    pub fn ts(&self, number: u64) -> Option<u32> {
        let noted = self.places[place(number)].load(Relaxed);
        (noted >> 32 == number & 0xffff_ffff).then(|| u32::try_from(noted & 0xffff_ffff).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_known_by_its_number_until_it_is_old() {
        let sent = Sent::default();
        assert_eq!((sent.first(), sent.ts(0)), (0, None));
        sent.note(0, 7);
        sent.note(1, 8);
        assert_eq!((sent.ts(0), sent.ts(1), sent.ts(2)), (Some(7), Some(8), None));
        sent.note(PLACES as u64, 9);
        assert_eq!((sent.ts(0), sent.ts(PLACES as u64)), (None, Some(9)));
        assert_eq!(sent.first(), PLACES as u64 + 1 + BETWEEN);
    }
}
