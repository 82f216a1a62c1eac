//! Pure: the picture and the sound that are published: no real ones, but of a real stream's shape.
//!
//! H.264 as a forwarder sees it: parameter sets in an aggregation packet before every keyframe, slices in fragments.
//! Every payload says which one it is and when it was sent, and the rest follows from its number, so that whoever
//! decrypts one knows whether each byte is as it was sent.

/// Frames a second, packets of a frame, frames from one keyframe to the next.
pub const FRAMES_PER_S: u64 = 30;
pub const FRAME_PACKETS: usize = 6;
const KEYFRAME_EVERY: u64 = 60;
/// Sound packets a second.
pub const SOUNDS_PER_S: u64 = 50;
/// Packets a second that one viewer gets of a whole stream.
pub const PACKETS_PER_S: u64 = FRAMES_PER_S * FRAME_PACKETS as u64 + SOUNDS_PER_S;
/// Ticks of a frame, of a sound packet.
pub const FRAME_TICKS: u32 = 3_000;
pub const SOUND_TICKS: u32 = 960;
/// Payloads: with their headers 1,100 and 90 bytes.
pub const VIDEO_BYTES: usize = 1_088;
pub const SOUND_BYTES: usize = 78;

/// 640 × 480, constrained baseline, as OpenH264 writes them.
const SPS: [u8; 14] = [0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x50, 0x1e, 0xd0, 0x0f, 0x08, 0x84, 0x6a];
const PPS: [u8; 4] = [0x68, 0xce, 0x3c, 0x80];
const STAP_A: u8 = 0x78;
const FU_A: u8 = 0x7c;
const IDR: u8 = 5;
const SLICE: u8 = 1;
/// A message for nobody fills the aggregation packet: SEI, unregistered, of 1,055 bytes beginning with a name.
const SEI_HEAD: [u8; 7] = [0x06, 0x05, 0xff, 0xff, 0xff, 0xff, 0x23];
const SEI_NAME: [u8; 16] = *b"hanamichi-load!!";
const SEI_END: u8 = 0x80;
/// Opus, 20 ms, stereo.
const OPUS_HEAD: u8 = 0xfc;

/// Where the body begins.
const STAP_BODY_AT: usize = 1 + 2 + SPS.len() + 2 + PPS.len() + 2 + SEI_HEAD.len() + SEI_NAME.len();
const FRAGMENT_BODY_AT: usize = 2;
const SOUND_BODY_AT: usize = 1;
const STAMP_BYTES: usize = 16;

/// What fills a body comes from here, from a place that depends on the number.
const FILLING: [u8; 2_048] = filling();
const FILLING_PLACES: u64 = 512;

const fn filling() -> [u8; 2_048] {
    let (mut bytes, mut at, mut state) = ([0; 2_048], 0, 0x9e37_79b9_u32);
    while at < bytes.len() {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        bytes[at] = state.to_le_bytes()[1];
        at += 1;
    }
    bytes
}

/// Which payload this is, and when it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub number: u64,
    pub sent_us: u64,
}

/// Is a keyframe due by the clock?
pub fn is_key(frame: u64) -> bool {
    frame.is_multiple_of(KEYFRAME_EVERY)
}

/// One of a frame's packets.
pub fn video(is_key: bool, index: usize, stamp: Stamp, out: &mut Vec<u8>) {
    let begin = out.len();
    if is_key && index == 0 {
        out.push(STAP_A);
        for unit in [&SPS[..], &PPS] {
            out.extend(u16::try_from(unit.len()).unwrap_or(0).to_be_bytes());
            out.extend(unit);
        }
        let rest = VIDEO_BYTES - (out.len() - begin) - 2;
        out.extend(u16::try_from(rest).unwrap_or(0).to_be_bytes());
        out.extend(SEI_HEAD);
        out.extend(SEI_NAME);
        body(stamp, VIDEO_BYTES - STAP_BODY_AT - 1, out);
        out.push(SEI_END);
    } else {
        let first = if is_key { 1 } else { 0 };
        let begins = if index == first { 0x80 } else { 0 };
        let ends = if index + 1 == FRAME_PACKETS { 0x40 } else { 0 };
        out.extend([FU_A, begins | ends | if is_key { IDR } else { SLICE }]);
        body(stamp, VIDEO_BYTES - FRAGMENT_BODY_AT, out);
    }
}

/// One packet of sound.
pub fn sound(stamp: Stamp, out: &mut Vec<u8>) {
    out.push(OPUS_HEAD);
    body(stamp, SOUND_BYTES - SOUND_BODY_AT, out);
}

/// Reads a payload; nothing when any byte is not as it was sent.
pub fn read_video(payload: &[u8]) -> Option<Stamp> {
    if payload.len() != VIDEO_BYTES {
        return None;
    }
    if payload[0] == STAP_A {
        check(&payload[STAP_BODY_AT..VIDEO_BYTES - 1])
    } else {
        check(&payload[FRAGMENT_BODY_AT..])
    }
}

/// The same of sound.
pub fn read_sound(payload: &[u8]) -> Option<Stamp> {
    if payload.len() != SOUND_BYTES {
        return None;
    }
    check(&payload[SOUND_BODY_AT..])
}

fn body(stamp: Stamp, len: usize, out: &mut Vec<u8>) {
    out.extend(stamp.number.to_be_bytes());
    out.extend(stamp.sent_us.to_be_bytes());
    out.extend(fill(stamp.number, len - STAMP_BYTES));
}

fn fill(number: u64, len: usize) -> &'static [u8] {
    let at = usize::try_from(number % FILLING_PLACES).unwrap_or(0);
    &FILLING[at..at + len]
}

fn check(body: &[u8]) -> Option<Stamp> {
    let (number, rest) = body.split_first_chunk()?;
    let (sent_us, rest) = rest.split_first_chunk()?;
    let stamp = Stamp { number: u64::from_be_bytes(*number), sent_us: u64::from_be_bytes(*sent_us) };
    (fill(stamp.number, rest.len()) == rest).then_some(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_payload_is_read_as_it_was_written_and_has_its_size() {
        for number in 0..1_000 {
            let stamp = Stamp { number, sent_us: number * 33_333 };
            for (is_key, index) in [(true, 0), (true, 1), (true, 5), (false, 0), (false, 3)] {
                let mut payload = Vec::new();
                video(is_key, index, stamp, &mut payload);
                assert_eq!((payload.len(), read_video(&payload)), (VIDEO_BYTES, Some(stamp)));
                let at = 70 + usize::try_from(number).expect("small");
                payload[at] ^= 1;
                assert_eq!(read_video(&payload), None, "byte {at}");
            }
            let mut payload = Vec::new();
            sound(stamp, &mut payload);
            assert_eq!((payload.len(), read_sound(&payload)), (SOUND_BYTES, Some(stamp)));
        }
    }

    #[test]
    fn a_keyframe_begins_with_its_parameter_sets_and_a_message_that_fills() {
        let mut payload = Vec::new();
        video(true, 0, Stamp { number: 1, sent_us: 2 }, &mut payload);
        let mut units = Vec::new();
        let mut rest = &payload[1..];
        while let Some((size, more)) = rest.split_first_chunk::<2>() {
            let (unit, more) = more.split_at(usize::from(u16::from_be_bytes(*size)));
            units.push(unit);
            rest = more;
        }
        assert_eq!(units.iter().map(|unit| unit[0] & 0x1f).collect::<Vec<_>>(), [7, 8, 6]);
        let sei = units[2];
        let size: usize = sei[2..7].iter().map(|byte| usize::from(*byte)).sum();
        assert_eq!(2 + 5 + size + 1, sei.len(), "the message says its size");
        let kinds = |index| {
            let mut payload = Vec::new();
            video(true, index, Stamp { number: 1, sent_us: 2 }, &mut payload);
            payload[1]
        };
        assert_eq!([kinds(1), kinds(2), kinds(5)], [0x85, 0x05, 0x45]);
        assert!(is_key(0) && is_key(60) && !is_key(59));
    }
}
