//! Pure: one viewer: watches over what comes, and answers as a browser does.
//!
//! Everybody watches the headers of all packets, reports once a second, and asks for what is missing. A full viewer
//! opens every packet and looks at its bytes, its number and its age, and now and then pretends that one was lost, so
//! that it has to come again; the others open a sample.

use std::time::{Duration, Instant};

use super::{
    clip::{self, Stamp},
    keyframe::Keyframe,
    publisher::Told,
    rtp::{self, Block, Header, RESENT_HEAD_BYTES, Said},
    sdp::Types,
    sent::Sent,
    transport::Transport,
    watch::{Arrival, Stream, Timing},
};

const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Of so many packets a viewer that is not full opens one.
const SAMPLE: u64 = 64;
/// Of so many pictures' packets a full viewer pretends one to be lost.
const PRETEND_EVERY: u64 = 200;

/// How closely a viewer looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    Full {
        pretends: bool,
    },
    Sample,
    /// There is nothing to open: what comes is not from a server.
    Headers,
}

/// What a viewer saw.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// From the request to the first picture's packet.
    pub first_ms: Option<f64>,
    /// To the last packet of the first whole keyframe.
    pub first_frame_ms: Option<f64>,
    pub packets: u64,
    pub opened: u64,
    pub holes: u64,
    /// Packets that never came, and those that the numbering hid.
    pub lost: u64,
    pub hidden: u64,
    pub repeated: u64,
    pub disordered: u64,
    /// Packets whose time is not the publisher's, moved by as much as all others'.
    pub shifted: u64,
    pub cut: u64,
    /// Packets that are not authentic, or not as they were sent.
    pub damaged: u64,
    /// Packets that were asked for again, and those that came.
    pub pretended: u64,
    pub resent: u64,
    /// Ages of packets while they were timed, in microseconds.
    pub ages_us: Vec<u64>,
    pub profile: Option<&'static str>,
    pub failure: Option<String>,
}

/// Where a stream stands against what was sent: from here every packet's number follows from its sequence number.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    seq: u16,
    number: u64,
    /// By how much the viewer's times differ from the publisher's.
    moved: Option<u32>,
    /// It was taken while nothing may be left out.
    is_timed: bool,
}

#[derive(Default)]
struct Half {
    stream: Option<Stream>,
    anchor: Option<Anchor>,
    packets: u64,
    /// The last sender report: its time's middle, and when it came.
    reported: Option<(u32, Instant)>,
}

/// What the run tells its viewers, and the time.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub now: Instant,
    /// Since the run's beginning.
    pub clock_us: u64,
    /// Everybody is in: ages count, and nothing may be left out.
    pub is_timed: bool,
}

/// A viewer.
pub struct Viewer {
    types: Types,
    depth: Depth,
    own: u32,
    posted: Instant,
    video: Half,
    sound: Half,
    resent: Option<u32>,
    next_report: Instant,
    /// Pictures' packets since one was pretended to be lost.
    believed: u64,
    /// The first keyframe, until it is whole.
    keyframe: Option<Keyframe>,
    seen: Seen,
}

impl Viewer {
    /// Asked to be let in at that time.
    pub fn new(types: Types, depth: Depth, own: u32, posted: Instant) -> Self {
        Self {
            types,
            depth,
            own,
            posted,
            video: Half::default(),
            sound: Half::default(),
            resent: None,
            next_report: posted + REPORT_EVERY,
            believed: 0,
            keyframe: None,
            seen: Seen::default(),
        }
    }

    /// Has it seen a picture?
    pub fn has_picture(&self) -> bool {
        self.video.stream.is_some()
    }

    /// Takes a packet of RTP; whether it is one of the stream's that was not there yet.
    pub fn take(&mut self, packet: &[u8], at: Moment, told: &Told, transport: Option<&mut Transport>) -> bool {
        let Some(header) = Header::parse(packet) else {
            self.seen.damaged += 1;
            return false;
        };
        if header.pt == self.types.resent && self.types.resent != 0 {
            self.take_resent(packet, &header, transport);
            return false;
        }
        let is_video = header.pt == self.types.video;
        if !is_video && header.pt != self.types.sound {
            self.seen.damaged += 1;
            return false;
        }
        let half = if is_video { &mut self.video } else { &mut self.sound };
        let timing = if is_video { Timing::Frames } else { Timing::Single };
        let arrival = match &mut half.stream {
            Some(stream) if stream.ssrc == header.ssrc => stream.take(&header, at.now),
            Some(_) => {
                self.seen.failure = Some("a stream changed its name".to_owned());
                return false;
            }
            place => {
                *place = Some(Stream::begin(&header, timing));
                Arrival::Next
            }
        };
        if is_video && self.seen.first_ms.is_none() {
            self.seen.first_ms = Some(at.now.saturating_duration_since(self.posted).as_secs_f64() * 1_000.0);
        }
        if arrival == Arrival::Repeated {
            return false;
        }
        self.seen.packets += 1;
        half.packets += 1;
        let is_adrift = at.is_timed && half.anchor.is_none_or(|anchor| !anchor.is_timed);
        let opens = match self.depth {
            Depth::Full { .. } => true,
            Depth::Sample => {
                half.packets.is_multiple_of(SAMPLE) || is_adrift || (is_video && self.seen.first_frame_ms.is_none())
            }
            Depth::Headers => false,
        };
        if let Some(opened) = transport.filter(|_| opens).map(|transport| transport.open(packet)) {
            self.read(opened.as_deref(), &header, at);
        }
        let (half, sent) = if is_video { (&mut self.video, &told.video) } else { (&mut self.sound, &told.sound) };
        self.seen.shifted += u64::from(half.is_shifted(&header, sent, at));
        self.pretend(is_video && arrival == Arrival::Next, at);
        true
    }

    /// Looks at an opened packet.
    fn read(&mut self, packet: Option<&[u8]>, header: &Header, at: Moment) {
        self.seen.opened += 1;
        let is_video = header.pt == self.types.video;
        let payload = packet.and_then(|packet| packet.get(header.payload_at..));
        let stamp = payload.and_then(if is_video { clip::read_video } else { clip::read_sound });
        let (Some(Stamp { number, sent_us }), Some(payload)) = (stamp, payload) else {
            self.seen.damaged += 1;
            return;
        };
        if is_video && self.seen.first_frame_ms.is_none() && Keyframe::take(&mut self.keyframe, header, payload) {
            self.seen.first_frame_ms = Some(at.now.saturating_duration_since(self.posted).as_secs_f64() * 1_000.0);
        }
        let half = if is_video { &mut self.video } else { &mut self.sound };
        let expected = half.anchor.as_ref().map(|anchor| anchor.number(header.seq));
        let is_judged = at.is_timed && half.anchor.is_some_and(|anchor| anchor.is_timed);
        match expected {
            Some(expected) if number < expected => self.seen.repeated += 1,
            Some(expected) if is_judged => self.seen.hidden += number - expected,
            _ => {}
        }
        if expected != Some(number) || is_judged != at.is_timed {
            half.anchor = Some(Anchor { seq: header.seq, number, moved: None, is_timed: at.is_timed });
        }
        if at.is_timed {
            self.seen.ages_us.push(at.clock_us.saturating_sub(sent_us));
        }
    }

    fn pretend(&mut self, may: bool, at: Moment) {
        if self.depth != (Depth::Full { pretends: true }) || !may || !at.is_timed {
            return;
        }
        self.believed += 1;
        if self.believed == PRETEND_EVERY
            && let Some(stream) = &mut self.video.stream
        {
            self.believed = 0;
            stream.pretend_lost(at.now);
            self.seen.pretended += 1;
        }
    }

    fn take_resent(&mut self, packet: &[u8], header: &Header, transport: Option<&mut Transport>) {
        let is_known = *self.resent.get_or_insert(header.ssrc) == header.ssrc;
        let opened = transport.and_then(|transport| transport.open(packet));
        let payload = opened.as_deref().and_then(|packet| packet.get(header.payload_at..));
        let Some((seq, payload)) = payload.and_then(|payload| payload.split_first_chunk::<RESENT_HEAD_BYTES>()) else {
            // A probe's padding is not a packet that is sent again.
            self.seen.damaged += u64::from(payload.is_none());
            return;
        };
        if !is_known || clip::read_video(payload).is_none() {
            self.seen.damaged += 1;
            return;
        }
        if self.video.stream.as_mut().is_some_and(|stream| stream.resent(u16::from_be_bytes(*seq))) {
            self.seen.resent += 1;
        }
    }

    /// The server said something.
    pub fn hear(&mut self, said: Said, now: Instant) {
        let Said::SenderReport { ssrc, middle } = said else { return };
        for half in [&mut self.video, &mut self.sound] {
            if half.stream.as_ref().is_some_and(|stream| stream.ssrc == ssrc) {
                half.reported = Some((middle, now));
            }
        }
    }

    /// Says what is due: reports, and what is missing.
    pub fn tick(&mut self, now: Instant, transport: &mut Transport, out: &mut Vec<Vec<u8>>) {
        let mut compound = Vec::new();
        let wanted = self.video.stream.as_mut().map(|stream| (stream.ssrc, stream.ask(now)));
        // Lost sound is not asked for again, but it is counted.
        self.sound.stream.as_mut().map(|stream| stream.ask(now));
        let wanted = wanted.filter(|(_, seqs)| !seqs.is_empty());
        if self.next_report <= now || wanted.is_some() {
            self.next_report = now + REPORT_EVERY;
            let blocks: Vec<Block> =
                [&self.video, &self.sound].into_iter().filter_map(|half| half.block(now)).collect();
            rtp::receiver_report(self.own, &blocks, &mut compound);
        }
        if let Some((ssrc, seqs)) = wanted {
            rtp::nack(self.own, ssrc, &seqs, &mut compound);
        }
        if !compound.is_empty() {
            out.extend(transport.seal_rtcp(&compound));
        }
    }

    /// What it saw until now; the ages go out of its memory.
    pub fn seen(&mut self, transport: Option<&Transport>) -> Seen {
        let mut seen = self.seen.clone();
        self.seen.ages_us.clear();
        for stream in [&self.video.stream, &self.sound.stream].into_iter().flatten() {
            seen.holes += stream.holes;
            seen.lost += stream.lost;
            seen.repeated += stream.repeated;
            seen.disordered += stream.disordered;
            seen.cut += stream.cut;
        }
        if let Some(transport) = transport {
            seen.profile = transport.profile();
            seen.failure = seen.failure.or_else(|| transport.failure().map(str::to_owned));
        }
        seen
    }
}

impl Anchor {
    /// The publisher's number of the packet that the viewer numbers so.
    fn number(&self, seq: u16) -> u64 {
        self.number.saturating_add_signed(i64::from(seq.wrapping_sub(self.seq).cast_signed()))
    }
}

impl Half {
    /// Whether the packet's time is moved against what was sent by another amount than that of those before.
    fn is_shifted(&mut self, header: &Header, sent: &Sent, at: Moment) -> bool {
        let Some(anchor) = self.anchor.as_mut().filter(|anchor| anchor.is_timed && at.is_timed) else { return false };
        let number = anchor.number(header.seq);
        let Some(moved) = sent.ts(number).map(|ts| header.ts.wrapping_sub(ts)) else { return true };
        // The anchor follows, so that it is never half a turn of the numbers behind.
        if number > anchor.number {
            (anchor.seq, anchor.number) = (header.seq, number);
        }
        *anchor.moved.get_or_insert(moved) != moved
    }

    fn block(&self, now: Instant) -> Option<Block> {
        let stream = self.stream.as_ref()?;
        let (last_report, since) = self.reported.map_or((0, 0), |(middle, at)| {
            let parts = now.saturating_duration_since(at).as_micros() * 65_536 / 1_000_000;
            (middle, u32::try_from(parts).unwrap_or(u32::MAX))
        });
        let lost = u32::try_from(stream.lost).unwrap_or(u32::MAX);
        Some(Block { ssrc: stream.ssrc, lost, highest: stream.highest(), last_report, since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPES: Types = Types { video: 102, resent: 103, sound: 111 };

    fn packet(pt: u8, seq: u16, ts: u32, ssrc: u32) -> Vec<u8> {
        let mut packet = Vec::new();
        Header { pt, marker: true, seq, ts, ssrc, payload_at: rtp::HEADER_BYTES }.write(&mut packet);
        packet
    }

    #[test]
    fn every_packets_time_is_compared_with_what_was_sent() {
        let at = Moment { now: Instant::now(), clock_us: 0, is_timed: true };
        let sent = Sent::default();
        (0..100).for_each(|number| sent.note(number, 3_000 * u32::try_from(number).expect("small")));
        let header = |seq: u16, ts| Header { pt: 102, marker: true, seq, ts, ssrc: 7, payload_at: rtp::HEADER_BYTES };
        let anchor = Anchor { seq: 65_534, number: 10, moved: None, is_timed: true };
        let mut half = Half { anchor: Some(anchor), ..Half::default() };
        let times = (0..20u16).map(|n| (65_534u16.wrapping_add(n), 7 + 3_000 * (10 + u32::from(n))));
        assert!(times.clone().all(|(seq, ts)| !half.is_shifted(&header(seq, ts), &sent, at)));
        assert!(half.is_shifted(&header(18, 7 + 3_000 * 30 + 1), &sent, at), "one tick");
        assert!(!half.is_shifted(&header(5, 7 + 3_000 * 17), &sent, at), "late, but with its own time");
        assert!(half.is_shifted(&header(90, 0), &sent, at), "nobody sent that");
        let untimed = Moment { is_timed: false, ..at };
        assert!(!half.is_shifted(&header(19, 0), &sent, untimed));
    }

    #[test]
    fn headers_alone_tell_holes_repeats_and_streams_that_change() {
        let now = Instant::now();
        let at = Moment { now: now + Duration::from_millis(25), clock_us: 0, is_timed: true };
        let mut viewer = Viewer::new(TYPES, Depth::Headers, 1, now);
        assert!(viewer.take(&packet(111, 1, 960, 8), at, &Told::default(), None) && !viewer.has_picture());
        assert!(viewer.take(&packet(102, 1, 3_000, 7), at, &Told::default(), None) && viewer.has_picture());
        assert!(viewer.take(&packet(102, 3, 9_000, 7), at, &Told::default(), None));
        assert!(!viewer.take(&packet(102, 3, 9_000, 7), at, &Told::default(), None), "it came before");
        assert!(!viewer.take(&packet(99, 1, 0, 7), at, &Told::default(), None), "nobody announced that");
        let seen = viewer.seen(None);
        assert_eq!((seen.packets, seen.holes, seen.repeated, seen.damaged), (3, 1, 1, 1));
        assert_eq!((seen.first_ms, seen.failure), (Some(25.0), None));
        assert!(!viewer.take(&packet(102, 4, 9_000, 6), at, &Told::default(), None));
        assert!(viewer.seen(None).failure.is_some());
    }
}
