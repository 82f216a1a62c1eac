//! Value: the demo clip.
//!
//! Owns the short film that the demo liver shows: H.264 frames and Opus sounds, embedded in the binary. The project
//! made it itself (`demo/make-clip.sh`).
//! Invariant: it loops without a seam: as long in sound as in picture, and its first frame is a keyframe.

use std::{io::Cursor, time::Duration};

use bytes::{Bytes, BytesMut};
use rtc::media::io::{
    h26x_reader::{H26xNAL, H26xReader, H264NalUnitType},
    ogg_reader::{OggHeaderType, OggReader},
};

/// The time of one frame: 24 a second; rounded up, so that it is 3,750 whole ticks of the 90 kHz clock.
pub const FRAME_DURATION: Duration = Duration::from_nanos(41_666_667);
/// The time of one sound packet.
pub const SOUND_DURATION: Duration = Duration::from_millis(20);

const PICTURE: &[u8] = include_bytes!("../../demo/clip.h264");
const SOUND: &[u8] = include_bytes!("../../demo/clip.ogg");
const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// The clip, ready to be sent.
#[derive(Debug, Clone)]
pub struct Clip {
    /// Access units with start codes; a keyframe brings its parameter sets.
    pub frames: Vec<Bytes>,
    /// Opus packets of [`SOUND_DURATION`].
    pub sounds: Vec<Bytes>,
}

impl Clip {
    /// Reads the embedded clip.
    #[must_use]
    pub fn embedded() -> Self {
        let frames = read_frames(PICTURE);
        let mut sounds = read_sounds(SOUND);
        // The encoder adds a packet for its own delay; without it sound and picture stay together in every round.
        let whole = frames.len() * usize::from(SOUNDS_PER_FRAMES.0) / usize::from(SOUNDS_PER_FRAMES.1);
        sounds.truncate(whole);
        Self { frames, sounds }
    }
}

/// 50 sound packets last as long as 24 frames.
const SOUNDS_PER_FRAMES: (u8, u8) = (50, 24);

fn read_frames(annex_b: &[u8]) -> Vec<Bytes> {
    let mut reader = H26xReader::new(Cursor::new(annex_b), annex_b.len(), false);
    let mut frames = Vec::new();
    let mut frame = BytesMut::new();
    while let Ok(unit) = reader.next_nal() {
        frame.extend_from_slice(&START_CODE);
        frame.extend_from_slice(unit.data());
        if let H26xNAL::H264(unit) = &unit
            && matches!(unit.unit_type, H264NalUnitType::CodedSliceIdr | H264NalUnitType::CodedSliceNonIdr)
        {
            frames.push(frame.split().freeze());
        }
    }
    frames
}

fn read_sounds(ogg: &[u8]) -> Vec<Bytes> {
    let mut reader = OggReader::new_with_options(Cursor::new(ogg), true);
    let mut sounds = Vec::new();
    while let Ok((page, header)) = reader.parse_next_page() {
        let is_sound =
            !matches!(header.opus_header_type(&page), Some(OggHeaderType::OpusHead | OggHeaderType::OpusTags));
        if is_sound && !page.is_empty() {
            sounds.push(page.freeze());
        }
    }
    sounds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clip_loops_in_sound_and_picture_together() {
        let clip = Clip::embedded();
        assert_eq!((clip.frames.len(), clip.sounds.len()), (288, 600));
        assert!(PICTURE.len() + SOUND.len() < 900_000);
    }

    #[test]
    fn a_keyframe_comes_every_second_and_brings_its_parameter_sets() {
        let clip = Clip::embedded();
        for (index, frame) in clip.frames.iter().enumerate() {
            assert_eq!(frame[4] & 0x1f == 7, index % 24 == 0, "frame {index}");
        }
    }
}
