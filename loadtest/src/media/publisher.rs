//! Pure: a publisher: sends the clip in real time, and what is asked for.
//!
//! A keyframe comes when it is due or when it is asked for; lost packets are sent again from memory. A publisher that
//! was held up does not catch up: what should have been sent meanwhile is left out, as a camera would.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    clip::{self, FRAME_PACKETS, Stamp},
    rtp::{self, Header, Said},
    sdp::Types,
    sent::Sent,
    transport::Transport,
};

/// Sent packets that may be asked for again.
const MEMORY: usize = 512;
const REPORT_EVERY: Duration = Duration::from_secs(1);
const FRAME: Duration = Duration::from_nanos(1_000_000_000 / clip::FRAMES_PER_S);
const SOUND: Duration = Duration::from_nanos(1_000_000_000 / clip::SOUNDS_PER_S);
/// Whoever is so late begins anew at the present.
const TOO_LATE: Duration = Duration::from_millis(200);

/// What is published, and how.
#[derive(Debug, Clone, Copy)]
pub struct Stream {
    /// Of picture and sound.
    pub ssrcs: (u32, u32),
    /// From the first of a frame's packets to the last.
    pub spread: Duration,
    /// Everything is sent so many times more rarely than in real life.
    pub slowed_by: u32,
}

/// What was sent of picture and sound.
#[derive(Debug, Default)]
pub struct Told {
    pub video: Sent,
    pub sound: Sent,
}

/// One of the publisher's two streams.
struct Track {
    pt: u8,
    ssrc: u32,
    seq: u16,
    ts: u32,
    number: u64,
    bytes: u32,
    next: Instant,
}

impl Track {
    fn header(&self, marker: bool) -> Header {
        Header { pt: self.pt, marker, seq: self.seq, ts: self.ts, ssrc: self.ssrc, payload_at: rtp::HEADER_BYTES }
    }

    /// The next packet was made.
    fn sent(&mut self, bytes: usize) {
        self.seq = self.seq.wrapping_add(1);
        self.number += 1;
        self.bytes = self.bytes.wrapping_add(u32::try_from(bytes).unwrap_or(0));
    }

    /// When the next is due: after one more interval, or after so many as were missed.
    fn step(&mut self, every: Duration, ticks: u32, now: Instant) {
        self.next += every;
        self.ts = self.ts.wrapping_add(ticks);
        while self.next + TOO_LATE.max(2 * every) < now {
            self.next += every;
            self.ts = self.ts.wrapping_add(ticks);
        }
    }
}

/// A publisher whose transport stands.
pub struct Publisher {
    video: Track,
    sound: Track,
    stream: Stream,
    frame: u64,
    /// Of the frame under way, the packets that are sent, and whether it is a keyframe.
    index: usize,
    is_key: bool,
    key_wanted: bool,
    memory: VecDeque<(u16, Vec<u8>)>,
    next_report: Instant,
    pub keyframes_asked: u64,
    pub asked_again: u64,
}

impl Publisher {
    /// Begins now, after those who were before.
    pub fn new(types: Types, stream: Stream, told: &Told, now: Instant) -> Self {
        let track = |pt, ssrc: u32, seq, told: &Sent| Track {
            pt,
            ssrc,
            seq,
            ts: ssrc ^ 0x5a5a,
            number: told.first(),
            bytes: 0,
            next: now,
        };
        let (video, sound) = stream.ssrcs;
        Self {
            video: track(types.video, video, 65_000, &told.video),
            sound: track(types.sound, sound, 100, &told.sound),
            stream,
            frame: 0,
            index: 0,
            is_key: true,
            key_wanted: false,
            memory: VecDeque::with_capacity(MEMORY),
            next_report: now + REPORT_EVERY,
            keyframes_asked: 0,
            asked_again: 0,
        }
    }

    /// When there is something to do.
    pub fn due(&self) -> Instant {
        self.packet_due().min(self.sound.next).min(self.next_report)
    }

    fn packet_due(&self) -> Instant {
        let part = u32::try_from(self.index).unwrap_or(0);
        self.video.next + self.stream.spread * part / u32::try_from(FRAME_PACKETS - 1).unwrap_or(1)
    }

    /// Sends what is due; `clock` says the time since the run's beginning.
    pub fn tick(
        &mut self,
        now: Instant,
        clock: impl Fn() -> u64,
        told: &Told,
        transport: &mut Transport,
        out: &mut Vec<Vec<u8>>,
    ) {
        while self.packet_due() <= now {
            told.video.note(self.video.number, self.video.ts);
            self.send_video(clock(), transport, out);
            if self.index == FRAME_PACKETS {
                self.next_frame(now);
            }
        }
        while self.sound.next <= now {
            told.sound.note(self.sound.number, self.sound.ts);
            let mut packet = Vec::with_capacity(rtp::HEADER_BYTES + clip::SOUND_BYTES);
            self.sound.header(true).write(&mut packet);
            clip::sound(Stamp { number: self.sound.number, sent_us: clock() }, &mut packet);
            out.extend(transport.seal(&packet));
            self.sound.sent(clip::SOUND_BYTES);
            self.sound.step(SOUND * self.stream.slowed_by, clip::SOUND_TICKS * self.stream.slowed_by, now);
        }
        if self.next_report <= now {
            self.next_report = now + REPORT_EVERY;
            self.report(clock(), transport, out);
        }
    }

    fn send_video(&mut self, sent_us: u64, transport: &mut Transport, out: &mut Vec<Vec<u8>>) {
        let mut packet = Vec::with_capacity(rtp::HEADER_BYTES + clip::VIDEO_BYTES);
        self.video.header(self.index + 1 == FRAME_PACKETS).write(&mut packet);
        clip::video(self.is_key, self.index, Stamp { number: self.video.number, sent_us }, &mut packet);
        out.extend(transport.seal(&packet));
        if self.memory.len() == MEMORY {
            self.memory.pop_front();
        }
        self.memory.push_back((self.video.seq, packet));
        self.video.sent(clip::VIDEO_BYTES);
        self.index += 1;
    }

    fn next_frame(&mut self, now: Instant) {
        self.video.step(FRAME * self.stream.slowed_by, clip::FRAME_TICKS * self.stream.slowed_by, now);
        self.frame += 1;
        self.index = 0;
        self.is_key = clip::is_key(self.frame) || std::mem::take(&mut self.key_wanted);
    }

    fn report(&self, clock_us: u64, transport: &mut Transport, out: &mut Vec<Vec<u8>>) {
        // Seconds and their 2^32nd parts of a clock that nobody compares with another one.
        let ntp = ((clock_us / 1_000_000) << 32) | (((clock_us % 1_000_000) << 32) / 1_000_000);
        for track in [&self.video, &self.sound] {
            let mut compound = Vec::new();
            let packets = u32::try_from(track.number & 0xffff_ffff).unwrap_or(0);
            rtp::sender_report(track.ssrc, ntp, track.ts, packets, track.bytes, &mut compound);
            out.extend(transport.seal_rtcp(&compound));
        }
    }

    /// The server said something.
    pub fn hear(&mut self, said: Said, transport: &mut Transport, out: &mut Vec<Vec<u8>>) {
        match said {
            Said::Keyframe => {
                self.keyframes_asked += 1;
                self.key_wanted = true;
            }
            Said::Again(seq) => {
                self.asked_again += 1;
                if let Some((_, packet)) = self.memory.iter().find(|(known, _)| *known == seq) {
                    out.extend(transport.seal(packet));
                }
            }
            Said::SenderReport { .. } => {}
        }
    }
}
