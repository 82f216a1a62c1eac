//! Pure: is a stream whole? Sequence numbers without hole or repeat, times that go on frame by frame.
//!
//! Judges by headers alone, so it sees every packet of every viewer. What is missing is asked for again as a browser
//! does, and counts as lost when it has not come by [`LOST_AFTER`].

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::rtp::Header;

/// A hole is asked for after this: what overtook it may have been quicker.
const ASK_AFTER: Duration = Duration::from_millis(20);
/// And again after each of these, so often.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);
const MAX_ASKED: u32 = 5;
/// What is missing for so long is lost …
const LOST_AFTER: Duration = Duration::from_millis(1_000);
/// … and forgotten after this; should it come before, it was late and not lost.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// How a packet came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The first, or the one after the last.
    Next,
    /// Some between the last one and this have not come.
    AfterHole,
    /// It fills a hole.
    Late,
    /// It came before.
    Repeated,
}

/// Whether a time belongs to a frame of several packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// The marker ends a frame.
    Frames,
    /// Each packet has its own time.
    Single,
}

#[derive(Debug)]
struct Missing {
    since: Instant,
    asked: u32,
    last_asked: Option<Instant>,
    is_lost: bool,
}

impl Missing {
    fn at(since: Instant) -> Self {
        Self { since, asked: 0, last_asked: None, is_lost: false }
    }
}

/// One stream, as its receiver sees it.
#[derive(Debug)]
pub struct Stream {
    pub ssrc: u32,
    timing: Timing,
    highest: u64,
    first: u64,
    /// Time and marker of the highest.
    last: (u32, bool),
    missing: BTreeMap<u64, Missing>,
    pub seen: u64,
    /// Packets that were missing when a later one came.
    pub holes: u64,
    /// Of those, the ones that never came.
    pub lost: u64,
    pub repeated: u64,
    /// Times that stood still or went back.
    pub disordered: u64,
    /// Frames that ended without their marker.
    pub cut: u64,
}

impl Stream {
    /// Begins with its first packet.
    pub fn begin(header: &Header, timing: Timing) -> Self {
        // Far from zero, so that what comes before the first packet has a number, too.
        let first = (1 << 32) | u64::from(header.seq);
        Self {
            ssrc: header.ssrc,
            timing,
            highest: first,
            first,
            last: (header.ts, header.marker),
            missing: BTreeMap::new(),
            seen: 1,
            holes: 0,
            lost: 0,
            repeated: 0,
            disordered: 0,
            cut: 0,
        }
    }

    /// Takes a packet.
    pub fn take(&mut self, header: &Header, now: Instant) -> Arrival {
        let seq = self.extended(header.seq);
        if seq <= self.highest {
            // What was sent before we came is late, not repeated.
            if self.fill(seq) || seq < self.first {
                return Arrival::Late;
            }
            self.repeated += 1;
            return Arrival::Repeated;
        }
        let is_next = seq == self.highest + 1;
        for hole in self.highest + 1..seq {
            self.missing.insert(hole, Missing::at(now));
            self.holes += 1;
        }
        self.highest = seq;
        self.seen += 1;
        if is_next {
            self.judge_time(header);
        }
        self.last = (header.ts, header.marker);
        if is_next { Arrival::Next } else { Arrival::AfterHole }
    }

    /// The last packet counts as not arrived, to see whether it comes again when it is asked for.
    pub fn pretend_lost(&mut self, now: Instant) {
        self.seen -= 1;
        self.missing.insert(self.highest, Missing::at(now));
    }

    /// A packet came in the stream of those that are sent again; whether it was missing.
    pub fn resent(&mut self, seq: u16) -> bool {
        self.fill(self.extended(seq))
    }

    fn fill(&mut self, seq: u64) -> bool {
        let Some(missing) = self.missing.remove(&seq) else { return false };
        self.lost -= u64::from(missing.is_lost);
        self.seen += 1;
        true
    }

    /// What to ask for now; gives up what is lost.
    pub fn ask(&mut self, now: Instant) -> Vec<u16> {
        self.missing.retain(|_, missing| now < missing.since + FORGOTTEN_AFTER);
        let mut wanted = Vec::new();
        for (seq, missing) in &mut self.missing {
            if !missing.is_lost && missing.since + LOST_AFTER <= now {
                missing.is_lost = true;
                self.lost += 1;
            }
            let due = missing.last_asked.map_or(missing.since + ASK_AFTER, |at| at + ASK_AGAIN_AFTER);
            if due <= now && missing.asked < MAX_ASKED && !missing.is_lost {
                missing.asked += 1;
                missing.last_asked = Some(now);
                wanted.push(low(*seq));
            }
        }
        wanted
    }

    /// For a receiver report: the extended highest number.
    pub fn highest(&self) -> u32 {
        u32::try_from(self.highest & 0xffff_ffff).unwrap_or(0)
    }

    /// The number nearest to the last one.
    fn extended(&self, seq: u16) -> u64 {
        let ahead = seq.wrapping_sub(low(self.highest));
        if ahead < 0x8000 { self.highest + u64::from(ahead) } else { self.highest - u64::from(ahead.wrapping_neg()) }
    }

    fn judge_time(&mut self, header: &Header) {
        let (ts, marker) = self.last;
        let step = header.ts.wrapping_sub(ts);
        let goes_on = step > 0 && step < 1 << 31;
        match self.timing {
            Timing::Frames if marker => self.disordered += u64::from(!goes_on),
            Timing::Frames if goes_on => self.cut += 1,
            Timing::Frames => self.disordered += u64::from(step != 0),
            Timing::Single => self.disordered += u64::from(!goes_on),
        }
    }
}

fn low(seq: u64) -> u16 {
    u16::try_from(seq & 0xffff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(seq: u16, ts: u32, marker: bool) -> Header {
        Header { pt: 102, marker, seq, ts, ssrc: 7, payload_at: 12 }
    }

    fn frames(seqs: impl IntoIterator<Item = u16>) -> Stream {
        let mut seqs = seqs.into_iter();
        let packet = |seq: u16| header(seq, 3_000 * u32::from(seq / 3), seq % 3 == 2);
        let mut stream = Stream::begin(&packet(seqs.next().expect("one")), Timing::Frames);
        let now = Instant::now();
        for seq in seqs {
            stream.take(&packet(seq), now);
        }
        stream
    }

    fn faults(stream: &Stream) -> [u64; 5] {
        [stream.holes, stream.lost, stream.repeated, stream.disordered, stream.cut]
    }

    #[test]
    fn a_whole_stream_has_no_fault_over_the_turn_of_its_numbers() {
        let now = Instant::now();
        let mut stream = Stream::begin(&header(65_530, 0, true), Timing::Single);
        for n in 1_u16..100 {
            let next = header(65_530_u16.wrapping_add(n), u32::from(n) * 960, true);
            assert_eq!(stream.take(&next, now), Arrival::Next);
        }
        assert_eq!((stream.seen, faults(&stream)), (100, [0; 5]));
        assert_eq!(faults(&frames(0..300)), [0; 5]);
    }

    #[test]
    fn a_hole_is_asked_for_and_lost_when_nothing_comes() {
        let mut stream = frames([0, 1, 2, 5, 6]);
        let now = Instant::now();
        assert_eq!((stream.holes, stream.ask(now)), (2, Vec::new()), "it may only be late");
        assert_eq!(stream.ask(now + ASK_AFTER), [3, 4]);
        assert!(stream.ask(now + ASK_AFTER).is_empty());
        assert!(stream.resent(3) && !stream.resent(3) && !stream.resent(5));
        assert_eq!(stream.ask(now + ASK_AFTER + ASK_AGAIN_AFTER), [4]);
        assert!(stream.ask(now + LOST_AFTER + ASK_AFTER).is_empty());
        assert_eq!((stream.lost, stream.seen), (1, 6));
        assert_eq!(stream.take(&header(4, 3_000, false), now), Arrival::Late);
        assert_eq!((stream.lost, stream.repeated), (0, 0), "it was late, not lost");
    }

    #[test]
    fn a_packet_that_is_only_said_to_be_lost_may_come_again() {
        let mut stream = frames(0..3);
        let now = Instant::now();
        stream.pretend_lost(now);
        assert_eq!(stream.ask(now + ASK_AFTER), [2]);
        assert!(stream.resent(2));
        assert_eq!((stream.seen, faults(&stream)), (3, [0; 5]));
    }

    #[test]
    fn repeats_and_times_that_do_not_go_on_are_faults() {
        assert_eq!(frames([0, 1, 1, 2, 0]).repeated, 2);
        assert_eq!(frames([5, 4, 6]).repeated, 0, "what was sent before the first is not repeated");
        let now = Instant::now();
        let mut stream = Stream::begin(&header(0, 9_000, true), Timing::Frames);
        stream.take(&header(1, 9_000, false), now);
        assert_eq!(faults(&stream), [0, 0, 0, 1, 0], "a new frame at the old time");
        stream.take(&header(2, 6_000, false), now);
        assert_eq!(faults(&stream), [0, 0, 0, 2, 0], "back in time");
        stream.take(&header(3, 9_000, false), now);
        assert_eq!(faults(&stream), [0, 0, 0, 2, 1], "a frame without its end");
        let mut sound = Stream::begin(&header(0, 960, true), Timing::Single);
        sound.take(&header(1, 960, true), now);
        assert_eq!(sound.disordered, 1);
    }
}
