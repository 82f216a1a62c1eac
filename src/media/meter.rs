//! Pure: what a peer's media is like: how much, how fast, what was lost.
//!
//! Owns the counters that a leg keeps: plain numbers, a few additions for a packet, no lock and no allocation.
//! Invariant: a rate is that of a whole [`WINDOW`], so a look at a random moment does not see half a second as a whole.

use std::time::{Duration, Instant};

use super::{
    packet::{Kind, MAX_LAYERS, Packet, VIDEO_CLOCK_HZ, VideoCodec},
    picture,
    report::{LayerFigures, PublisherFigures, ViewerFigures},
    rtcp::Block,
};

/// What rates are taken over, at least.
const WINDOW: Duration = Duration::from_secs(1);
/// Parts of a whole: losses are told in ten thousandths.
const WHOLE_BP: u64 = 10_000;
pub(super) const BITS: u64 = 8;
/// A size of which nothing came for so long is not sent at present: browsers stop the largest when their way is narrow.
pub(super) const LAYER_LIMIT: Duration = Duration::from_millis(1_500);

fn per_second(count: u64, over: Duration) -> u64 {
    let millis = u64::try_from(over.as_millis()).unwrap_or(u64::MAX).max(1);
    count.saturating_mul(1_000) / millis
}

fn parts(of: u64, whole: u64) -> u32 {
    u32::try_from((of * WHOLE_BP).checked_div(whole).unwrap_or(0).min(WHOLE_BP)).unwrap_or(0)
}

/// Something that is counted, and how much of it comes in a second.
#[derive(Debug)]
pub(super) struct Rate {
    since: Instant,
    counted: u64,
    per_s: u64,
}

impl Rate {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, counted: 0, per_s: 0 }
    }

    /// Whether a window ended.
    pub(super) fn add(&mut self, count: u64, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.since);
        let is_over = elapsed >= WINDOW;
        if is_over {
            *self = Self { since: now, counted: 0, per_s: per_second(self.counted, elapsed) };
        }
        self.counted += count;
        is_over
    }

    /// When nothing comes any more, it falls.
    pub(super) fn per_s(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed < WINDOW { self.per_s } else { per_second(self.counted, elapsed) }
    }
}

/// A stream's numbers: which never came, which came late.
#[derive(Debug, Clone, Copy, Default)]
struct Numbers {
    ssrc: u32,
    first: u64,
    newest: u64,
    received: u64,
    late: u64,
    /// Lost in streams before this one.
    lost_before: u64,
}

impl Numbers {
    fn note(&mut self, ssrc: u32, seq: u64) {
        if self.received == 0 || ssrc != self.ssrc {
            *self = Self { ssrc, first: seq, newest: seq, received: 1, late: self.late, lost_before: self.lost() };
            return;
        }
        self.received += 1;
        if seq > self.newest {
            self.newest = seq;
        } else if seq >= self.first {
            self.late += 1;
        } else {
            // Overtaken by the very first.
            (self.first, self.late) = (seq, self.late + 1);
        }
    }

    fn expected(&self) -> u64 {
        if self.received == 0 { 0 } else { self.newest - self.first + 1 }
    }

    fn lost(&self) -> u64 {
        self.lost_before + self.expected().saturating_sub(self.received)
    }
}

/// One kind of a publisher's media.
#[derive(Debug)]
struct Stream {
    packets: u64,
    bytes: Rate,
    numbers: Numbers,
    /// As the window began.
    before: Numbers,
    loss_bp: u32,
    late_bp: u32,
}

impl Stream {
    fn new(now: Instant) -> Self {
        let numbers = Numbers::default();
        Self { packets: 0, bytes: Rate::new(now), numbers, before: numbers, loss_bp: 0, late_bp: 0 }
    }

    fn note(&mut self, packet: &Packet, now: Instant) {
        if self.bytes.add(packet.payload.len() as u64, now) {
            let (now, before) = (&self.numbers, &self.before);
            let expected = now.expected().saturating_sub(before.expected());
            self.loss_bp = parts(now.lost().saturating_sub(before.lost()), expected);
            self.late_bp = parts(now.late - before.late, expected);
            self.before = self.numbers;
        }
        self.packets += 1;
        self.numbers.note(packet.ssrc, packet.seq);
        if self.before.ssrc != packet.ssrc {
            let late = self.numbers.late;
            self.before = Numbers { received: 0, late, lost_before: self.numbers.lost(), ..self.numbers };
        }
    }

    fn bits_per_s(&self, now: Instant) -> u64 {
        self.bytes.per_s(now) * BITS
    }
}

/// When a picture of a stream came.
#[derive(Debug, Clone, Copy)]
struct Frame {
    ssrc: u32,
    ts: u64,
    at: Instant,
}

/// A picture in one of its sizes.
#[derive(Debug)]
struct Picture {
    video: Stream,
    frames: Rate,
    newest: Option<Frame>,
    /// In sixteenths of a tick (RFC 3550, appendix A.8).
    jitter: u64,
    keyframe: Option<Frame>,
    keyframes: u64,
    interval: Option<Duration>,
    size: Option<(u16, u16)>,
}

/// What comes from a publisher.
#[derive(Debug)]
pub(super) struct Ingest {
    codec: VideoCodec,
    began: Instant,
    pictures: [Picture; MAX_LAYERS],
    audio: Stream,
    asked: u64,
    pub(super) round_trip: Option<Duration>,
}

fn ticks(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).saturating_mul(VIDEO_CLOCK_HZ) / 1_000_000
}

fn time(ticks: u64) -> Duration {
    Duration::from_micros(ticks.saturating_mul(1_000_000) / VIDEO_CLOCK_HZ)
}

impl Ingest {
    pub(super) fn new(codec: VideoCodec, now: Instant) -> Self {
        let pictures = [(); MAX_LAYERS].map(|()| Picture::new(now));
        Self { codec, began: now, pictures, audio: Stream::new(now), asked: 0, round_trip: None }
    }

    /// A packet came.
    pub(super) fn note(&mut self, packet: &Packet, now: Instant) {
        match packet.kind {
            Kind::Audio => self.audio.note(packet, now),
            Kind::Video => {
                if let Some(picture) = self.pictures.get_mut(usize::from(packet.layer)) {
                    picture.note(self.codec, packet, now);
                }
            }
        }
    }

    /// Which size is which turned out to be otherwise.
    pub(super) fn forget_pictures(&mut self, now: Instant) {
        self.pictures = [(); MAX_LAYERS].map(|()| Picture::new(now));
    }

    /// A keyframe was asked for.
    pub(super) fn ask(&mut self) {
        self.asked += 1;
    }

    /// The figures of this moment, of the largest size that is sent.
    pub(super) fn figures(&self, now: Instant) -> PublisherFigures {
        let sent = || self.pictures.iter().filter(|picture| picture.is_sent(now));
        let is_known = |picture: &&Picture| picture.newest.is_some();
        let largest = sent().next_back().or_else(|| self.pictures.iter().rfind(is_known));
        let Picture { video, jitter, keyframe, keyframes, interval, size, .. } = largest.unwrap_or(&self.pictures[0]);
        PublisherFigures {
            open_for: now.saturating_duration_since(self.began),
            video_bits_per_s: video.bits_per_s(now),
            audio_bits_per_s: self.audio.bits_per_s(now),
            video_packets: video.packets,
            audio_packets: self.audio.packets,
            video_lost: video.numbers.lost(),
            audio_lost: self.audio.numbers.lost(),
            late: video.numbers.late + self.audio.numbers.late,
            loss_bp: video.loss_bp,
            late_bp: video.late_bp,
            jitter: time(jitter >> 4),
            round_trip: self.round_trip,
            frames_per_s: largest.map_or(0, |picture| picture.frames_per_s(now)),
            size: *size,
            keyframes: *keyframes,
            keyframe_interval: *interval,
            since_keyframe: keyframe.map(|keyframe| now.saturating_duration_since(keyframe.at)),
            keyframes_asked: self.asked,
            layers: sent().map(|picture| picture.figures(now)).collect(),
        }
    }
}

impl Picture {
    fn new(now: Instant) -> Self {
        Self {
            video: Stream::new(now),
            frames: Rate::new(now),
            newest: None,
            jitter: 0,
            keyframe: None,
            keyframes: 0,
            interval: None,
            size: None,
        }
    }

    fn note(&mut self, codec: VideoCodec, packet: &Packet, now: Instant) {
        self.video.note(packet, now);
        self.frame(packet, now);
        if packet.starts_keyframe {
            self.keyframe(codec, packet, now);
        }
    }

    /// Something of it came a moment ago.
    fn is_sent(&self, now: Instant) -> bool {
        self.newest.is_some_and(|newest| now < newest.at + LAYER_LIMIT)
    }

    fn frames_per_s(&self, now: Instant) -> u32 {
        u32::try_from(self.frames.per_s(now)).unwrap_or(u32::MAX)
    }

    fn figures(&self, now: Instant) -> LayerFigures {
        let bits_per_s = self.video.bits_per_s(now);
        LayerFigures { bits_per_s, size: self.size, frames_per_s: self.frames_per_s(now) }
    }

    /// The first packet of a picture tells when it came.
    fn frame(&mut self, packet: &Packet, now: Instant) {
        let before = self.newest.filter(|before| before.ssrc == packet.ssrc);
        if before.is_some_and(|before| packet.ts <= before.ts) {
            return;
        }
        self.frames.add(1, now);
        if let Some(before) = before {
            let late = ticks(now.saturating_duration_since(before.at)).abs_diff(packet.ts - before.ts);
            self.jitter = self.jitter + late - ((self.jitter + 8) >> 4);
        }
        self.newest = Some(Frame { ssrc: packet.ssrc, ts: packet.ts, at: now });
    }

    /// Parameter sets and slices of one picture are one keyframe.
    fn keyframe(&mut self, codec: VideoCodec, packet: &Packet, now: Instant) {
        let before = self.keyframe.filter(|before| before.ssrc == packet.ssrc);
        let is_new = before.is_none_or(|before| packet.ts > before.ts);
        if is_new {
            self.keyframes += 1;
            self.interval = before.map(|before| time(packet.ts - before.ts));
            self.keyframe = Some(Frame { ssrc: packet.ssrc, ts: packet.ts, at: now });
        }
        if let Some(size) = picture::size(codec, &packet.payload) {
            self.size = Some(size);
        }
    }
}

/// What goes to a viewer, and what it says of it.
#[derive(Debug)]
pub(super) struct Egress {
    began: Instant,
    packets: u64,
    resent: u64,
    bytes: Rate,
    /// Its newest report on the picture.
    heard: Option<Block>,
    nacks: u64,
    asked: u64,
}

impl Egress {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, packets: 0, resent: 0, bytes: Rate::new(now), heard: None, nacks: 0, asked: 0 }
    }

    /// A packet was sent.
    pub(super) fn sent(&mut self, bytes: usize, now: Instant) {
        self.packets += 1;
        self.bytes.add(bytes as u64, now);
    }

    /// One was sent once more.
    pub(super) fn resent(&mut self, bytes: usize) {
        self.resent += 1;
        self.bytes.counted += bytes as u64;
    }

    /// How it receives the picture.
    pub(super) fn received(&mut self, block: Block) {
        self.heard = Some(block);
    }

    /// It asked for one packet, and for those of the sixteen that follow.
    pub(super) fn missed(&mut self, others: u16) {
        self.nacks += 1 + u64::from(others.count_ones());
    }

    /// It asked for a keyframe.
    pub(super) fn asked(&mut self) {
        self.asked += 1;
    }

    /// The figures of this moment; network and round trip are the leg's.
    pub(super) fn figures(&self, now: Instant) -> ViewerFigures {
        ViewerFigures {
            open_for: now.saturating_duration_since(self.began),
            bits_per_s: self.bytes.per_s(now) * BITS,
            packets_sent: self.packets,
            packets_resent: self.resent,
            loss_bp: self.heard.map(|block| parts(block.fraction_lost.into(), 256)),
            lost: self.heard.map_or(0, |block| block.lost.into()),
            jitter: self.heard.map(|block| time(block.jitter.into())),
            nacks: self.nacks,
            keyframes_asked: self.asked,
            ..ViewerFigures::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn packet(seq: u64, ts: u64, payload: &[u8]) -> Packet {
        let starts_keyframe = super::super::packet::starts_keyframe(VideoCodec::Vp8, payload);
        Packet {
            kind: Kind::Video,
            layer: 0,
            ssrc: 7,
            seq,
            ts,
            marker: true,
            starts_keyframe,
            payload: Arc::from(payload),
        }
    }

    const KEY: [u8; 11] = [0x10, 0x50, 0x01, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01];
    const DELTA: [u8; 100] = [0x11; 100];

    /// Thirty pictures a second of three packets each, a keyframe every two seconds.
    fn play(ingest: &mut Ingest, start: Instant, seconds: u64, comes: impl Fn(u64) -> bool) -> Instant {
        let mut now = start;
        for frame in 0..seconds * 30 {
            now = start + Duration::from_micros(frame * 1_000_000 / 30);
            for part in 0..3 {
                let seq = 500 + frame * 3 + part;
                let payload = if frame % 60 == 0 && part == 0 { &KEY[..] } else { &DELTA[..] };
                if comes(seq) {
                    ingest.note(&packet(seq, 1_000 + frame * 3_000, payload), now);
                }
            }
        }
        now
    }

    #[test]
    fn a_steady_stream_is_told_as_it_is() {
        let start = Instant::now();
        let mut ingest = Ingest::new(VideoCodec::Vp8, start);
        let now = play(&mut ingest, start, 5, |_| true);
        let figures = ingest.figures(now);
        assert_eq!((figures.video_packets, figures.video_lost, figures.late, figures.loss_bp), (450, 0, 0, 0));
        assert!((29..=31).contains(&figures.frames_per_s), "{figures:?}");
        assert!((69_000..=73_000).contains(&figures.video_bits_per_s), "{figures:?}");
        assert_eq!((figures.keyframes, figures.size), (3, Some((640, 480))));
        assert_eq!(figures.keyframe_interval, Some(Duration::from_secs(2)));
        assert!(figures.since_keyframe.is_some_and(|since| since < Duration::from_secs(1)));
        assert!(figures.jitter < Duration::from_millis(1), "{figures:?}");
        let later = ingest.figures(now + Duration::from_secs(20));
        assert!(later.video_bits_per_s < 5_000 && later.frames_per_s < 3, "nothing comes any more: {later:?}");
    }

    #[test]
    fn what_is_lost_and_what_comes_late_are_told_apart() {
        let start = Instant::now();
        let mut ingest = Ingest::new(VideoCodec::Vp8, start);
        let now = play(&mut ingest, start, 4, |seq| seq % 10 != 0);
        let figures = ingest.figures(now);
        assert_eq!(
            figures.video_lost, 35,
            "the very first and every tenth of 360 did not come; nobody knows of the first"
        );
        assert!((900..=1_100).contains(&figures.loss_bp), "{figures:?}");
        for seq in (510..600).step_by(10) {
            ingest.note(&packet(seq, 1_000 + (seq - 500) / 3 * 3_000, &DELTA), now);
        }
        let figures = ingest.figures(now);
        assert_eq!((figures.video_lost, figures.late), (26, 9));
        let frames = figures.frames_per_s;
        assert!((29..=31).contains(&frames), "what comes late is no new picture: {frames}");
    }

    #[test]
    fn another_stream_begins_anew_and_forgets_no_loss() {
        let start = Instant::now();
        let mut ingest = Ingest::new(VideoCodec::Vp8, start);
        for seq in [10, 11, 14] {
            ingest.note(&packet(seq, seq * 3_000, &DELTA), start);
        }
        for (n, seq) in [90_000, 90_001, 90_003].into_iter().enumerate() {
            let at = start + Duration::from_millis(n as u64 * 700);
            ingest.note(&Packet { ssrc: 8, ..packet(seq, 5, &DELTA) }, at);
        }
        let figures = ingest.figures(start + Duration::from_secs(2));
        assert_eq!((figures.video_lost, figures.video_packets), (3, 6));
        assert!(figures.loss_bp <= 5_000, "a jump of numbers is no loss: {figures:?}");
    }

    #[test]
    fn uneven_arrival_is_jitter() {
        let start = Instant::now();
        let mut ingest = Ingest::new(VideoCodec::Vp8, start);
        for frame in 0..300u64 {
            let late = if frame % 2 == 0 { 0 } else { 10_000 };
            let now = start + Duration::from_micros(frame * 33_333 + late);
            ingest.note(&packet(frame, frame * 3_000, &DELTA), now);
        }
        let jitter = ingest.figures(start + Duration::from_secs(10)).jitter;
        assert!((Duration::from_millis(9)..Duration::from_millis(11)).contains(&jitter), "{jitter:?}");
    }

    #[test]
    fn a_viewers_words_are_told_in_our_units() {
        let start = Instant::now();
        let mut egress = Egress::new(start);
        assert_eq!((egress.figures(start).loss_bp, egress.figures(start).jitter), (None, None));
        for n in 0..300u32 {
            egress.sent(1_000, start + Duration::from_millis(10) * n);
        }
        egress.resent(1_000);
        egress.missed(0b101);
        egress.asked();
        egress.received(Block { fraction_lost: 64, lost: -3, jitter: 900, last_report: 0, since_report: 0 });
        let figures = egress.figures(start + Duration::from_millis(2_990));
        assert_eq!((figures.packets_sent, figures.packets_resent), (300, 1));
        assert!((780_000..=820_000).contains(&figures.bits_per_s), "{figures:?}");
        assert_eq!((figures.nacks, figures.keyframes_asked), (3, 1));
        assert_eq!((figures.loss_bp, figures.lost), (Some(2_500), -3));
        assert_eq!(figures.jitter, Some(Duration::from_millis(10)));
    }
}
