//! Pure: what a forwarder must know of a media packet.
//!
//! Owns the codecs we carry and how the start of a keyframe looks in their RTP payloads. It never depacketises: a
//! packet's payload is shared, unread, by every viewer.

use std::sync::Arc;

/// The RTP clock of every video codec, in ticks per second.
pub(super) const VIDEO_CLOCK_HZ: u64 = 90_000;
/// The RTP clock of Opus, in ticks per second.
pub(super) const AUDIO_CLOCK_HZ: u64 = 48_000;

/// Sizes in which one publisher may send its picture at once (simulcast); browsers send three.
pub(super) const MAX_LAYERS: usize = 3;

/// A video codec that we carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    /// Constrained baseline, packetization-mode 1: what live, HLS and replay are made for.
    H264,
    /// Carried live only.
    Vp8,
}

/// Sound or picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Audio,
    Video,
}

/// One packet of a publisher: verified, decrypted and parsed once.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) kind: Kind,
    /// Of a picture that is sent in several sizes, which one, from the smallest; below [`MAX_LAYERS`].
    pub(super) layer: u8,
    /// The publisher's stream; another one begins a numbering of its own.
    pub(super) ssrc: u32,
    /// Extended: it does not wrap.
    pub(super) seq: u64,
    /// Extended RTP time in ticks of the codec's clock.
    pub(super) ts: u64,
    pub(super) marker: bool,
    /// A decoder can begin here.
    pub(super) starts_keyframe: bool,
    pub(super) payload: Arc<[u8]>,
}

const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const NAL_STAP_A: u8 = 24;
const NAL_FU_A: u8 = 28;

/// Whether a keyframe begins in this RTP payload.
pub(super) fn starts_keyframe(codec: VideoCodec, payload: &[u8]) -> bool {
    match codec {
        VideoCodec::H264 => h264_starts_keyframe(payload),
        VideoCodec::Vp8 => vp8_starts_keyframe(payload),
    }
}

fn h264_starts_keyframe(payload: &[u8]) -> bool {
    let Some((&first, rest)) = payload.split_first() else {
        return false;
    };
    match first & 0x1f {
        NAL_IDR | NAL_SPS => true,
        NAL_STAP_A => stap_units(rest).any(|unit| matches!(unit[0] & 0x1f, NAL_IDR | NAL_SPS)),
        NAL_FU_A => rest.first().is_some_and(|header| header & 0x80 != 0 && header & 0x1f == NAL_IDR),
        _ => false,
    }
}

/// The units inside an aggregation packet; none is empty.
fn stap_units(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (size, units) = rest.split_first_chunk::<2>()?;
        let (unit, others) = units.split_at_checked(usize::from(u16::from_be_bytes(*size)))?;
        rest = others;
        (!unit.is_empty()).then_some(unit)
    })
}

/// The parameter set of H.264 in this RTP payload.
pub(super) fn parameter_set(payload: &[u8]) -> Option<&[u8]> {
    let (&first, rest) = payload.split_first()?;
    match first & 0x1f {
        NAL_SPS => Some(payload),
        NAL_STAP_A => stap_units(rest).find(|unit| unit[0] & 0x1f == NAL_SPS),
        _ => None,
    }
}

fn vp8_starts_keyframe(payload: &[u8]) -> bool {
    vp8_frame(payload).and_then(<[u8]>::first).is_some_and(|header| header & 0x01 == 0)
}

/// The beginning of a VP8 frame in this RTP payload, behind the descriptor (RFC 7741, section 4.2).
pub(super) fn vp8_frame(payload: &[u8]) -> Option<&[u8]> {
    let &first = payload.first()?;
    // S = start of a partition, PID = 0: only there stands the frame header.
    if first & 0x10 == 0 || first & 0x07 != 0 {
        return None;
    }
    let mut at = 1;
    if first & 0x80 != 0 {
        let &extension = payload.get(1)?;
        at += 1;
        if extension & 0x80 != 0 {
            at += if payload.get(at).is_some_and(|id| id & 0x80 != 0) { 2 } else { 1 };
        }
        at += usize::from(extension & 0x40 != 0);
        at += usize::from(extension & 0x30 != 0);
    }
    payload.get(at..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyframes_are_seen_in_every_packing_of_h264() {
        let starts = |payload: &[u8]| starts_keyframe(VideoCodec::H264, payload);
        assert!(starts(&[0x67, 0x42]), "a lone parameter set");
        assert!(starts(&[0x65, 1]), "a lone IDR slice");
        assert!(starts(&[0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68]), "aggregated parameter sets");
        assert!(starts(&[0x7c, 0x85, 1]), "the first fragment of an IDR slice");
        assert!(!starts(&[0x7c, 0x05, 1]), "a later fragment");
        assert!(!starts(&[0x7c, 0x81, 1]), "a fragment of a delta");
        assert!(!starts(&[0x61, 1]));
        assert!(!starts(&[0x78, 0, 9, 0x61]), "an aggregate that lies about its size");
        assert!(!starts(&[]));
    }

    #[test]
    fn keyframes_are_seen_in_vp8() {
        let starts = |payload: &[u8]| starts_keyframe(VideoCodec::Vp8, payload);
        assert!(starts(&[0x10, 0x00]));
        assert!(!starts(&[0x10, 0x01]), "a delta");
        assert!(starts(&[0x90, 0x80, 0x81, 0x02, 0x00]), "behind a long picture id");
        assert!(!starts(&[0x90, 0x80]), "cut off");
        assert!(!starts(&[0x00, 0x00]), "not the start of a partition");
    }
}
