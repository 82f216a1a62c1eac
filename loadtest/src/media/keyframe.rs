//! Pure: has a whole keyframe come? Until then a viewer sees nothing, whatever packets it has.
//!
//! A frame is whole when a decoder could begin with it (RFC 6184): both parameter sets, a slice from its first fragment
//! to its last, every number in between, and the marker at its end.

use super::rtp::Header;

const IDR: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const KIND: u8 = 0x1f;
const BEGINS: u8 = 0x80;
const ENDS: u8 = 0x40;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slice {
    Missing,
    Begun,
    Whole,
}

/// The frame that is being put together.
#[derive(Debug, Clone, Copy)]
pub struct Keyframe {
    next_seq: u16,
    ts: u32,
    has_sps: bool,
    has_pps: bool,
    slice: Slice,
}

impl Keyframe {
    fn begin(header: &Header) -> Self {
        Self { next_seq: header.seq, ts: header.ts, has_sps: false, has_pps: false, slice: Slice::Missing }
    }

    /// Takes a picture's packet, opened; whether a keyframe is whole with it. What does not go on begins anew.
    pub fn take(frame: &mut Option<Self>, header: &Header, payload: &[u8]) -> bool {
        let goes_on = |frame: &Self| frame.next_seq == header.seq && frame.ts == header.ts;
        let mut grown = frame.take().filter(goes_on).unwrap_or_else(|| Self::begin(header));
        let fits = grown.add(payload).is_some();
        grown.next_seq = grown.next_seq.wrapping_add(1);
        let is_whole = fits && header.marker && grown.has_sps && grown.has_pps && grown.slice == Slice::Whole;
        if fits && !header.marker {
            *frame = Some(grown);
        }
        is_whole
    }

    /// `None` when it cannot stand here.
    fn add(&mut self, payload: &[u8]) -> Option<()> {
        let (first, rest) = payload.split_first()?;
        match first & KIND {
            STAP_A => {
                let mut units = rest;
                while let Some((size, more)) = units.split_first_chunk::<2>() {
                    let (unit, more) = more.split_at_checked(u16::from_be_bytes(*size).into())?;
                    self.unit(unit.first()? & KIND);
                    units = more;
                }
            }
            FU_A => {
                let header = *rest.first()?;
                if header & KIND == IDR {
                    self.slice = match (header & BEGINS != 0, header & ENDS != 0, self.slice) {
                        (true, false, Slice::Missing | Slice::Whole) => Slice::Begun,
                        (false, ends, Slice::Begun) => {
                            if ends {
                                Slice::Whole
                            } else {
                                Slice::Begun
                            }
                        }
                        _ => return None,
                    };
                }
            }
            kind => self.unit(kind),
        }
        Some(())
    }

    fn unit(&mut self, kind: u8) {
        match kind {
            SPS => self.has_sps = true,
            PPS => self.has_pps = true,
            IDR => self.slice = Slice::Whole,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::clip::{self, FRAME_PACKETS, Stamp};

    /// The packets of a frame; when the last of those that are taken makes a keyframe whole.
    fn whole(is_key: bool, taken: &[usize]) -> Option<usize> {
        let mut frame = None;
        taken
            .iter()
            .find(|index| {
                let mut payload = Vec::new();
                clip::video(is_key, **index, Stamp { number: 1, sent_us: 2 }, &mut payload);
                let marker = **index + 1 == FRAME_PACKETS;
                let seq = u16::MAX.wrapping_add(u16::try_from(**index).expect("small"));
                let header = Header { pt: 102, marker, seq, ts: 9, ssrc: 7, payload_at: 12 };
                Keyframe::take(&mut frame, &header, &payload)
            })
            .copied()
    }

    #[test]
    fn only_all_packets_of_a_keyframe_are_one() {
        assert_eq!(whole(true, &[0, 1, 2, 3, 4, 5]), Some(5));
        assert_eq!(whole(false, &[0, 1, 2, 3, 4, 5]), None, "a delta");
        for left_out in 0..FRAME_PACKETS {
            let taken: Vec<usize> = (0..FRAME_PACKETS).filter(|index| *index != left_out).collect();
            assert_eq!(whole(true, &taken), None, "without {left_out}");
        }
        assert_eq!(whole(true, &[0, 1, 3, 2, 4, 5]), None, "out of order it is not whole yet");
        assert_eq!(whole(true, &[3, 4, 5, 0, 1, 2, 3, 4, 5]), Some(5), "who came in the middle waits for the next");
    }

    #[test]
    fn parameter_sets_and_slices_may_stand_alone() {
        let mut frame = None;
        let mut take = |seq, marker, payload: &[u8]| {
            Keyframe::take(&mut frame, &Header { pt: 102, marker, seq, ts: 9, ssrc: 7, payload_at: 12 }, payload)
        };
        assert!(!take(1, false, &[0x67, 1]) && !take(2, false, &[0x68, 1]) && take(3, true, &[0x65, 1]));
        assert!(!take(4, true, &[0x65, 1]), "nobody can decode that alone");
        assert!(!take(5, true, &[0x78, 0, 9, 0x67]) && !take(6, true, &[]), "cut short");
    }
}
