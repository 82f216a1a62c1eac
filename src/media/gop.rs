//! Pure: the keyframe cache.
//!
//! Owns the newest keyframe and every packet since, in the publisher's order, so that who joins sees a picture at
//! once, also when the publisher ignores keyframe requests.
//! Invariant: empty, or its first packet starts a keyframe. A group that outgrows its bounds is dropped whole; who
//! joins then waits for the next keyframe.

use std::{collections::VecDeque, sync::Arc};

use super::packet::Packet;

/// Packets of one group: 13 s of a 3 Mbit/s stream.
const MAX_PACKETS: usize = 4_096;
/// Payload bytes of one group.
const MAX_BYTES: usize = 6 * 1024 * 1024;
/// A parameter set that the network put behind its slice by at most so many packets still begins the group.
const MAX_REORDER_PACKETS: u64 = 4;

#[derive(Debug, Default)]
pub(super) struct Gop {
    ssrc: u32,
    first_seq: u64,
    key_ts: u64,
    packets: VecDeque<Option<Arc<Packet>>>,
    bytes: usize,
}

impl Gop {
    /// Takes a video packet; a keyframe begins anew.
    pub(super) fn push(&mut self, packet: &Arc<Packet>) {
        let is_new = self.packets.is_empty() || packet.ssrc != self.ssrc || packet.ts > self.key_ts;
        if packet.starts_keyframe && is_new {
            self.begin(packet);
        } else if !self.packets.is_empty() && packet.ssrc == self.ssrc {
            self.place(packet);
        }
    }

    fn begin(&mut self, packet: &Arc<Packet>) {
        self.clear();
        self.ssrc = packet.ssrc;
        self.first_seq = packet.seq;
        self.key_ts = packet.ts;
        self.bytes = packet.payload.len();
        self.packets.push_back(Some(Arc::clone(packet)));
    }

    fn place(&mut self, packet: &Arc<Packet>) {
        if packet.seq < self.first_seq {
            let behind = self.first_seq - packet.seq;
            if packet.ts != self.key_ts || behind > MAX_REORDER_PACKETS {
                return;
            }
            for _ in 0..behind {
                self.packets.push_front(None);
            }
            self.first_seq = packet.seq;
        }
        let index = usize::try_from(packet.seq - self.first_seq).unwrap_or(usize::MAX);
        if index >= MAX_PACKETS || self.bytes + packet.payload.len() > MAX_BYTES {
            return self.clear();
        }
        if index >= self.packets.len() {
            self.packets.resize(index + 1, None);
        }
        if self.packets[index].is_none() {
            self.bytes += packet.payload.len();
            self.packets[index] = Some(Arc::clone(packet));
        }
    }

    pub(super) fn clear(&mut self) {
        self.packets.clear();
        self.bytes = 0;
    }

    /// The packet that begins the group.
    pub(super) fn first(&self) -> Option<&Arc<Packet>> {
        self.packets().next()
    }

    /// All of them, in the publisher's order.
    pub(super) fn packets(&self) -> impl Iterator<Item = &Arc<Packet>> {
        self.packets.iter().flatten()
    }

    /// The first packet at or after a sequence number; what was lost on the way is passed over.
    pub(super) fn at_or_after(&self, seq: u64) -> Option<&Arc<Packet>> {
        let skip = usize::try_from(seq.saturating_sub(self.first_seq)).unwrap_or(usize::MAX);
        self.packets.range(skip.min(self.packets.len())..).flatten().next()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::media::packet::Kind;

    pub(crate) fn video(seq: u64, ts: u64, starts_keyframe: bool) -> Arc<Packet> {
        let payload = vec![0u8; 1_000].into();
        let (kind, layer, ssrc, marker) = (Kind::Video, 0, 7, true);
        Arc::new(Packet { kind, layer, ssrc, seq, ts, marker, starts_keyframe, payload })
    }

    fn seqs(gop: &Gop) -> Vec<u64> {
        gop.packets.iter().flatten().map(|p| p.seq).collect()
    }

    #[test]
    fn a_keyframe_begins_anew_and_late_packets_find_their_place() {
        let mut gop = Gop::default();
        gop.push(&video(1, 0, false));
        assert!(gop.first().is_none(), "deltas alone are worth nothing");
        gop.push(&video(10, 900, true));
        gop.push(&video(12, 1_800, false));
        gop.push(&video(11, 900, true));
        assert_eq!(seqs(&gop), [10, 11, 12], "the slice behind its parameter set is the same keyframe");
        assert_eq!(gop.at_or_after(11).map(|p| p.seq), Some(11));
        assert!(gop.at_or_after(13).is_none());
        gop.push(&video(20, 90_000, true));
        assert_eq!(seqs(&gop), [20]);
        gop.push(&video(13, 2_700, false));
        assert_eq!(seqs(&gop), [20], "too late for the new group");
    }

    #[test]
    fn a_group_beyond_its_bounds_is_dropped() {
        let mut gop = Gop::default();
        gop.push(&video(1, 900, true));
        for seq in 2..=u64::try_from(MAX_PACKETS).expect("small") + 1 {
            gop.push(&video(seq, 900 + seq, false));
        }
        assert!(gop.first().is_none());
        gop.push(&video(9_000, 999_999, true));
        gop.push(&video(9_000_000, 1_000_000, false));
        assert!(gop.first().is_none(), "a jump is not filled with emptiness");
    }

    #[test]
    fn a_parameter_set_behind_its_slice_still_begins_the_group() {
        let mut gop = Gop::default();
        gop.push(&video(11, 900, true));
        gop.push(&video(10, 900, true));
        assert_eq!(seqs(&gop), [10, 11]);
    }
}
