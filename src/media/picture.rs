//! Pure: how large the picture of a keyframe is.
//!
//! Reads the parameter set of H.264 (ITU-T H.264, section 7.3.2.1) and the header of VP8 (RFC 6386, section 9.1) as they
//! stand in RTP payloads. Everything from a peer may be rubbish: what does not add up has no size.

use super::packet::{VideoCodec, parameter_set, vp8_frame};

/// No picture is larger, on either side.
const MAX_SIDE: u32 = 16_384;
/// Profiles whose parameter sets say more about colours (section 7.3.2.1.1).
const HIGH_PROFILES: [u8; 4] = [100, 110, 122, 244];
/// A macroblock's side.
const BLOCK: u32 = 16;
/// Reference frames whose offsets stand in a parameter set; the standard's bound.
const MAX_CYCLE: u32 = 255;
const VP8_START: [u8; 3] = [0x9d, 0x01, 0x2a];

/// Width and height in pixels.
pub(super) fn size(codec: VideoCodec, payload: &[u8]) -> Option<(u16, u16)> {
    let (width, height) = match codec {
        VideoCodec::H264 => h264(parameter_set(payload)?)?,
        VideoCodec::Vp8 => vp8(vp8_frame(payload)?)?,
    };
    let fits = (1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height);
    fits.then_some((u16::try_from(width).ok()?, u16::try_from(height).ok()?))
}

fn vp8(frame: &[u8]) -> Option<(u32, u32)> {
    // The frame's tag, then the start code; sizes have 14 bits, the two above them scale.
    let side = |at: usize| Some(u32::from(u16::from_le_bytes(*frame.get(at..)?.first_chunk()?) & 0x3fff));
    let is_keyframe = frame.first()? & 1 == 0 && frame.get(3..6)? == VP8_START;
    is_keyframe.then_some((side(6)?, side(8)?))
}

fn h264(unit: &[u8]) -> Option<(u32, u32)> {
    let profile = *unit.get(1)?;
    let mut bits = Bits::new(unit.get(4..)?);
    bits.number()?; // seq_parameter_set_id
    let mut chroma = 1;
    if HIGH_PROFILES.contains(&profile) {
        chroma = bits.number()?;
        bits.skip(u32::from(chroma == 3))?;
        bits.number()?; // bit depths
        bits.number()?;
        bits.skip(1)?;
        if bits.flag()? {
            return None; // scaling matrices: nobody sends them live
        }
    }
    bits.number()?; // log2_max_frame_num_minus4
    match bits.number()? {
        0 => {
            bits.number()?;
        }
        1 => {
            bits.skip(1)?;
            bits.number()?;
            bits.number()?;
            for _ in 0..Some(bits.number()?).filter(|frames| *frames <= MAX_CYCLE)? {
                bits.number()?;
            }
        }
        _ => {}
    }
    bits.number()?; // max_num_ref_frames
    bits.skip(1)?;
    let blocks_wide = bits.number()?.checked_add(1)?;
    let units_high = bits.number()?.checked_add(1)?;
    let fields = if bits.flag()? { 1 } else { 2 };
    bits.skip(u32::from(fields == 2))?; // mb_adaptive_frame_field_flag
    bits.skip(1)?;
    let (mut across, mut down) = (0, 0);
    if bits.flag()? {
        let mut edges = [0; 4];
        for edge in &mut edges {
            *edge = Some(bits.number()?).filter(|edge| *edge <= MAX_SIDE)?;
        }
        let (unit_x, unit_y) = match chroma {
            1 => (2, 2 * fields),
            2 => (2, fields),
            _ => (1, fields),
        };
        (across, down) = ((edges[0] + edges[1]) * unit_x, (edges[2] + edges[3]) * unit_y);
    }
    let width = blocks_wide.checked_mul(BLOCK)?.checked_sub(across)?;
    let height = units_high.checked_mul(BLOCK)?.checked_mul(fields)?.checked_sub(down)?;
    Some((width, height))
}

/// The bits of a unit, without the bytes that keep start codes out of it.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    bit: u8,
    zeros: u8,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, bit: 0, zeros: 0 }
    }

    fn flag(&mut self) -> Option<bool> {
        if self.bit == 0 && self.zeros >= 2 && self.bytes.get(self.at) == Some(&3) {
            (self.at, self.zeros) = (self.at + 1, 0);
        }
        let byte = *self.bytes.get(self.at)?;
        let flag = byte & (0x80 >> self.bit) != 0;
        self.bit += 1;
        if self.bit == 8 {
            self.zeros = if byte == 0 { self.zeros.saturating_add(1) } else { 0 };
            (self.at, self.bit) = (self.at + 1, 0);
        }
        Some(flag)
    }

    fn skip(&mut self, bits: u32) -> Option<()> {
        (0..bits).try_for_each(|_| self.flag().map(|_| ()))
    }

    /// An Exp-Golomb number (section 9.1).
    fn number(&mut self) -> Option<u32> {
        let mut len = 0;
        while !self.flag()? {
            len += 1;
            if len > 31 {
                return None;
            }
        }
        let mut value: u32 = 1;
        for _ in 0..len {
            value = (value << 1) | u32::from(self.flag()?);
        }
        Some(value - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes what [`Bits`] reads.
    #[derive(Default)]
    struct Pen(Vec<bool>);

    impl Pen {
        fn number(mut self, value: u32) -> Self {
            let value = value + 1;
            let len = value.ilog2();
            self.0.extend((0..len).map(|_| false));
            self.0.extend((0..=len).rev().map(|bit| value & (1 << bit) != 0));
            self
        }

        fn flag(mut self, flag: bool) -> Self {
            self.0.push(flag);
            self
        }

        /// The unit, with a byte wherever a start code would be seen.
        fn unit(mut self, profile: u8) -> Vec<u8> {
            self.0.push(true);
            let mut unit = vec![0x67, profile, 0xe0, 31];
            let mut zeros = 0;
            for byte in self.0.chunks(8) {
                let byte = byte.iter().enumerate().fold(0, |byte, (at, bit)| byte | (u8::from(*bit) << (7 - at)));
                if zeros >= 2 && byte <= 3 {
                    unit.push(3);
                    zeros = 0;
                }
                zeros = if byte == 0 { zeros + 1 } else { 0 };
                unit.push(byte);
            }
            unit
        }
    }

    fn set(wide: u32, high: u32, crop_below: u32) -> Pen {
        let pen = Pen::default().number(0).number(0).number(2).number(1).flag(false);
        let pen = pen.number(wide / 16 - 1).number(high.div_ceil(16) - 1).flag(true).flag(true);
        let pen = pen.flag(crop_below > 0);
        if crop_below == 0 { pen } else { pen.number(0).number(0).number(0).number(crop_below / 2) }
    }

    #[test]
    fn a_parameter_set_tells_the_size_alone_and_among_others() {
        let hd = set(1_280, 720, 0).unit(66);
        assert_eq!(size(VideoCodec::H264, &hd), Some((1_280, 720)));
        let full = set(1_920, 1_080, 8).unit(66);
        assert_eq!(size(VideoCodec::H264, &full), Some((1_920, 1_080)), "cropped from 1,088");
        let len = u16::try_from(hd.len()).expect("short").to_be_bytes();
        let aggregate = [&[0x78, 0, 2, 0x68, 1][..], &len, &hd].concat();
        assert_eq!(size(VideoCodec::H264, &aggregate), Some((1_280, 720)));
        assert_eq!(size(VideoCodec::H264, &[0x65, 1, 2, 3]), None, "a slice has no size of its own");
    }

    #[test]
    fn bytes_that_keep_start_codes_out_are_no_part_of_it() {
        // Thirty zeros in a row, whatever stands before: two bytes and more.
        let unit = Pen::default().number(0).number(0).number(0).number((1 << 30) - 1).number(1).flag(false);
        let unit = unit.number(39).number(44).flag(true).flag(true).flag(false).unit(66);
        assert!(unit.windows(3).any(|three| three == [0, 0, 3]), "the test writes one: {unit:02x?}");
        assert_eq!(size(VideoCodec::H264, &unit), Some((640, 720)));
    }

    #[test]
    fn a_vp8_keyframe_tells_the_size() {
        let frame = [0x10, 0x50, 0x01, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x41];
        assert_eq!(size(VideoCodec::Vp8, &frame), Some((640, 480)), "scaling is not size");
        let mut delta = frame;
        delta[1] |= 1;
        assert_eq!(size(VideoCodec::Vp8, &delta), None);
        assert_eq!(size(VideoCodec::Vp8, &frame[..9]), None, "cut off");
        assert_eq!(size(VideoCodec::Vp8, &[0x10, 0x50, 1, 0, 0, 0, 0, 1, 1, 1, 1]), None, "no start code");
    }

    proptest::proptest! {
        #[test]
        fn rubbish_has_no_size_or_one_within_bounds(mut bytes in proptest::collection::vec(0u8..=255, 0..120), kind in 0usize..3) {
            if let Some(first) = bytes.first_mut() {
                *first = [0x67, 0x78, 0x10][kind];
            }
            for codec in [VideoCodec::H264, VideoCodec::Vp8] {
                if let Some((width, height)) = size(codec, &bytes) {
                    proptest::prop_assert!((1..=16_384).contains(&width) && (1..=16_384).contains(&height));
                }
            }
        }
    }
}
