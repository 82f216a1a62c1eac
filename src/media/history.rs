//! Pure: the newest packets of a publisher's picture, for those who lost some.
//!
//! One for all viewers of a live: what is kept is shared, and each viewer's numbers are translated back to the
//! publisher's. Invariant: at most [`MAX_PACKETS`], all of one stream.

use std::{collections::VecDeque, sync::Arc};

use super::packet::Packet;

/// Five seconds of a picture of 1.6 Mbit/s: longer than any viewer waits for a packet.
const MAX_PACKETS: usize = 1_024;

/// The newest packets by the publisher's number.
#[derive(Debug, Default)]
pub(super) struct History {
    ssrc: u32,
    first: u64,
    packets: VecDeque<Option<Arc<Packet>>>,
}

impl History {
    /// Remembers a packet; another stream begins anew.
    pub(super) fn push(&mut self, packet: &Arc<Packet>) {
        let end = self.first + self.packets.len() as u64;
        if self.packets.is_empty() || packet.ssrc != self.ssrc || packet.seq >= end + MAX_PACKETS as u64 {
            self.packets.clear();
            (self.ssrc, self.first) = (packet.ssrc, packet.seq);
        }
        let Some(at) = packet.seq.checked_sub(self.first) else { return };
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        while self.packets.len() <= at {
            self.packets.push_back(None);
        }
        self.packets[at] = Some(Arc::clone(packet));
        while self.packets.len() > MAX_PACKETS {
            self.packets.pop_front();
            self.first += 1;
        }
    }

    /// The packet with this number, if it came and is not too old.
    pub(super) fn get(&self, seq: u64) -> Option<&Arc<Packet>> {
        self.packets.get(usize::try_from(seq.checked_sub(self.first)?).ok()?)?.as_ref()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.packets.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::gop::tests::video;

    #[test]
    fn what_came_is_found_until_it_is_old() {
        let mut history = History::default();
        for seq in [10, 12, 11, 15] {
            history.push(&video(seq, 0, false));
        }
        let found = |history: &History, seq| history.get(seq).map(|packet| packet.seq);
        assert_eq!(
            [9, 10, 11, 12, 13, 15, 16].map(|seq| found(&history, seq)),
            [None, Some(10), Some(11), Some(12), None, Some(15), None]
        );
        history.push(&video(9, 0, false));
        assert_eq!(found(&history, 9), None, "older than the oldest");
        for seq in 16..16 + MAX_PACKETS as u64 {
            history.push(&video(seq, 0, false));
        }
        assert_eq!((found(&history, 15), history.packets.len()), (None, MAX_PACKETS));
        history.push(&video(1_000_000, 0, false));
        assert_eq!(history.packets.len(), 1, "a jump is not filled with emptiness");
        history.push(&video(3, 0, false));
        assert_eq!(found(&history, 3), None);
        history.clear();
        assert_eq!(found(&history, 1_000_000), None);
        history.push(&video(2, 0, false));
        assert_eq!(found(&history, 2), Some(2));
    }
}
