//! Edge: a viewer's leg: the library makes the connection, we seal, send and listen.
//!
//! A packet costs one seal into the outbox: no library, no queue and no copy of its own. What the viewer reports (RTCP) is
//! opened here; the library does not see it. Sender reports go out every [`REPORT_EVERY`].
//! Invariants: media goes only where the library's ICE agent sends, where a check that it answered nominated us to
//! (RFC 8445, section 7.3.1.5), or where the viewer's own reports come from (`path.rs`); a stream's index is used once.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use str0m::{IceCreds, crypto::CryptoProvider};

use super::{
    hall::Loss,
    keys::KeyCell,
    ladder::Word,
    leg::{Leg, Sample, Step, StrLeg, Track},
    meter::Egress,
    numbering::Place,
    outbox::Outbox,
    packet::{Kind, Packet},
    report::{Network, ViewerFigures},
    restart::Renamed,
    rtcp::{self, Report, Sent},
    srtp::{Opener, RTP_HEADER_BYTES, Sealer},
    stun,
};

/// How often a viewer is told what was sent, so that picture and sound stay together.
const REPORT_EVERY: Duration = Duration::from_secs(2);
/// The first report follows the first packets.
const FIRST_REPORT_AFTER: Duration = Duration::from_millis(200);
/// What one viewer reports in one datagram, and waits for the engine; more is dropped.
const MAX_HEARD: usize = 16;
/// Asking for a keyframe more often than this is asking once: it costs a look at everybody.
const ASKED_EVERY: Duration = Duration::from_millis(100);
/// Reports that one viewer may send a second, and at once: reading each costs everybody else.
const REPORTS_PER_S: u32 = 100;
const MARKER: u8 = 0x80;
const VERSION: u8 = 0x80;
/// First bytes of RTP and RTCP, and the second ones of RTCP (RFC 5761, section 4).
const MEDIA: std::ops::RangeInclusive<u8> = 128..=191;
const RTCP: std::ops::RangeInclusive<u8> = 192..=223;

/// One of our streams towards the viewer.
struct Stream {
    ssrc: u32,
    pt: u8,
    packets: u32,
    bytes: u32,
    /// The newest packet's time, and when that was.
    last: Option<(u32, Instant)>,
}

/// Where packets are sent again (RFC 4588).
struct Retransmission {
    ssrc: u32,
    pt: u8,
    next: u64,
    /// The number of the lost packet, then its payload.
    scratch: Vec<u8>,
}

impl Stream {
    fn new(track: &Track) -> Option<Self> {
        Some(Self { ssrc: track.ssrc?, pt: track.pt, packets: 0, bytes: 0, last: None })
    }

    fn header(&self, marker: bool, place: Place) -> [u8; RTP_HEADER_BYTES] {
        header(self.pt, self.ssrc, marker, place.seq, place.ts)
    }

    /// At most once for a packet that came late: its time is older than the newest.
    fn note(&mut self, place: Place, bytes: usize, now: Instant) {
        self.packets = self.packets.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(u32::try_from(bytes).unwrap_or(0));
        if self.last.is_none_or(|(ts, _)| place.ts.wrapping_sub(ts).cast_signed() >= 0) {
            self.last = Some((place.ts, now));
        }
    }
}

fn header(pt: u8, ssrc: u32, marker: bool, seq: u64, ts: u32) -> [u8; RTP_HEADER_BYTES] {
    #[expect(clippy::cast_possible_truncation, reason = "the rest of the index is the roll-over counter")]
    let [high, low] = (seq as u16).to_be_bytes();
    let [t0, t1, t2, t3] = ts.to_be_bytes();
    let [s0, s1, s2, s3] = ssrc.to_be_bytes();
    [VERSION, pt | if marker { MARKER } else { 0 }, high, low, t0, t1, t2, t3, s0, s1, s2, s3]
}

/// A viewer's transport.
pub(super) struct SealedLeg {
    library: StrLeg,
    crypto: Arc<CryptoProvider>,
    keys: KeyCell,
    cipher: Option<(Sealer, Opener)>,
    /// Where a check came from that would nominate, until the library has answered it.
    nominating: Option<SocketAddr>,
    video: Option<Stream>,
    audio: Option<Stream>,
    rtx: Option<Retransmission>,
    heard: VecDeque<Step>,
    /// When it last asked for a keyframe.
    asked_at: Option<Instant>,
    /// Reports in the second that began then.
    reports: u32,
    reports_since: Instant,
    began: Instant,
    /// As the viewer's newest report tells it.
    round_trip: Option<Duration>,
    meter: Egress,
    report_due: Instant,
    opened: Vec<u8>,
    over: bool,
}

impl SealedLeg {
    pub(super) fn new(library: StrLeg, crypto: Arc<CryptoProvider>, keys: KeyCell, now: Instant) -> Self {
        let (video, audio) =
            (library.video.as_ref().and_then(Stream::new), library.audio.as_ref().and_then(Stream::new));
        let rtx = library.video.as_ref().and_then(|track| track.rtx);
        let rtx = rtx.map(|(ssrc, pt)| Retransmission { ssrc, pt, next: 1, scratch: Vec::new() });
        Self {
            library,
            crypto,
            keys,
            cipher: None,
            nominating: None,
            video,
            audio,
            rtx,
            heard: VecDeque::new(),
            asked_at: None,
            reports: 0,
            reports_since: now,
            began: now,
            round_trip: None,
            meter: Egress::new(now),
            report_due: now + FIRST_REPORT_AFTER,
            opened: Vec::new(),
            over: false,
        }
    }

    /// The handshake is over; whether we can seal.
    fn arm(&mut self) -> bool {
        let ciphers = self.keys.get().and_then(|keys| {
            let (sealer, opener) = (Sealer::new(&self.crypto, keys)?, Opener::new(&self.crypto, keys)?);
            Some((sealer, opener))
        });
        self.cipher = ciphers;
        self.cipher.is_some()
    }

    /// The time of our reports: since the connection began, which a sender may use (RFC 3550, section 6.4.1).
    fn ntp(&self, at: Instant) -> u64 {
        let elapsed = at.saturating_duration_since(self.began);
        rtcp::ntp(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX))
    }

    /// Runs what is ours as the library is run: a fault in it is this viewer's end, not everybody's.
    fn guarded(&mut self, run: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| run(self))).is_err() {
            tracing::error!("a viewer's leg panicked");
            self.over = true;
        }
    }

    fn hear(&mut self, now: Instant, source: SocketAddr, sealed: &[u8]) {
        if now.saturating_duration_since(self.reports_since) >= Duration::from_secs(1) {
            (self.reports_since, self.reports) = (now, 0);
        }
        self.reports += 1;
        let Some((_, opener)) = self.cipher.as_mut().filter(|_| self.reports <= REPORTS_PER_S) else { return };
        let mut plain = std::mem::take(&mut self.opened);
        if opener.open_rtcp(sealed, &mut plain).is_ok() {
            self.library.hear_from(source, now);
            rtcp::read(&plain, |report| self.note(now, report));
        }
        self.opened = plain;
    }

    fn note(&mut self, now: Instant, report: Report) {
        let is_video = |leg: &Self, ssrc: u32| leg.video.as_ref().is_some_and(|stream| stream.ssrc == ssrc);
        let step = match report {
            Report::KeyframeWanted { ssrc } if is_video(self, ssrc) => {
                self.meter.asked();
                Step::KeyframeRequested
            }
            Report::Lost { ssrc, first, others } if is_video(self, ssrc) => {
                self.meter.missed(others);
                Step::Lost(Loss { first, others, round_trip: self.round_trip.unwrap_or_default() })
            }
            Report::Received { ssrc, block } => {
                if let Some(trip) = block.round_trip(rtcp::middle(self.ntp(now))) {
                    self.round_trip = Some(Duration::from_micros((u64::from(trip) * 1_000_000) >> 16));
                }
                if !is_video(self, ssrc) {
                    return;
                }
                self.meter.received(block);
                Step::Heard(Word::Lost(block.fraction_lost))
            }
            Report::Estimate { bits_per_s } => {
                tracing::trace!(bits_per_s, "a viewer's estimate");
                Step::Heard(Word::Estimate(bits_per_s))
            }
            // Who says goodbye to one stream may go on with another; who leaves closes DTLS, or falls silent.
            Report::Goodbye | Report::KeyframeWanted { .. } | Report::Lost { .. } => return,
        };
        if matches!(step, Step::KeyframeRequested) {
            if self.asked_at.is_some_and(|at| now.saturating_duration_since(at) < ASKED_EVERY) {
                return;
            }
            self.asked_at = Some(now);
        }
        if self.heard.len() < MAX_HEARD {
            self.heard.push_back(step);
        }
    }

    /// Tells what was sent, when it is time.
    fn report(&mut self, now: Instant) {
        if self.report_due > now {
            return;
        }
        self.report_due = now + REPORT_EVERY;
        let sent = [&self.video, &self.audio].map(|stream| {
            let Stream { ssrc, packets, bytes, last, .. } = stream.as_ref()?;
            let (ts, at) = (*last)?;
            Some(Sent { ssrc: *ssrc, at_ntp: self.ntp(at), ts, packets: *packets, bytes: *bytes })
        });
        if sent.iter().all(Option::is_none) {
            self.report_due = now + FIRST_REPORT_AFTER;
            return;
        }
        let (Some((sealer, _)), Some(to)) = (&mut self.cipher, self.library.peer()) else { return };
        for sent in sent.iter().flatten() {
            rtcp::write_report(sent, &mut self.opened);
            let mut datagram = Vec::with_capacity(self.opened.len() + 2 * super::srtp::MAX_OVERHEAD);
            if sealer.seal_rtcp(&self.opened, &mut datagram).is_ok() {
                self.heard.push_back(Step::Send { to, datagram });
            }
        }
    }
}

impl Leg for SealedLeg {
    fn receive(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) {
        let [first, second] = [0, 1].map(|at| datagram.get(at).copied().unwrap_or_default());
        if MEDIA.contains(&first) {
            // A viewer sends no media.
            if RTCP.contains(&second) {
                self.guarded(|leg| leg.hear(now, source, datagram));
            }
            return;
        }
        if stun::nominates(datagram) {
            self.nominating = Some(source);
        }
        self.library.receive(now, source, datagram);
    }

    fn tick(&mut self, now: Instant) {
        self.library.tick(now);
        self.guarded(|leg| leg.report(now));
    }

    fn deliver(&mut self, now: Instant, packet: &Packet, place: Place, out: &mut Outbox) {
        self.guarded(|leg| leg.seal(now, packet, place, out));
    }

    fn resend(&mut self, packet: &Packet, place: Place, out: &mut Outbox) {
        self.guarded(|leg| leg.seal_again(packet, place, out));
    }

    fn ask_keyframe(&mut self, _: u8) {}

    fn add_candidate(&mut self, candidate: &str) {
        self.library.add_candidate(candidate);
    }

    fn knows(&self, theirs: &IceCreds) -> bool {
        self.library.knows(theirs)
    }

    fn restart(&mut self, theirs: IceCreds) -> Option<Renamed> {
        self.library.restart(theirs)
    }

    fn close(&mut self, now: Instant) {
        self.library.close(now);
    }

    fn step(&mut self) -> Step {
        if let Some(step) = self.heard.pop_front() {
            return step;
        }
        loop {
            if let Some(step) = self.library_step() {
                return step;
            }
        }
    }

    fn sample(&self, now: Instant) -> Sample {
        let to = self.library.peer().map(|to| to.ip().to_canonical());
        let network = to.map(|ip| if ip.is_ipv4() { Network::Ipv4 } else { Network::Ipv6 });
        Sample::Viewer(ViewerFigures { network, round_trip: self.round_trip, ..self.meter.figures(now) })
    }
}

impl SealedLeg {
    fn seal(&mut self, now: Instant, packet: &Packet, place: Place, out: &mut Outbox) {
        let stream = if packet.kind == Kind::Video { &mut self.video } else { &mut self.audio };
        let (Some(stream), Some((sealer, _)), Some(to)) = (stream, &mut self.cipher, self.library.peer()) else {
            return;
        };
        let header = stream.header(packet.marker, place);
        if out.push(to, |slab| sealer.seal_rtp(&header, place.seq, &packet.payload, slab)).is_ok() {
            stream.note(place, packet.payload.len(), now);
            self.meter.sent(packet.payload.len(), now);
        }
    }

    fn seal_again(&mut self, packet: &Packet, place: Place, out: &mut Outbox) {
        let (Some(stream), Some((sealer, _)), Some(to)) = (&self.video, &mut self.cipher, self.library.peer()) else {
            return;
        };
        let sent = match &mut self.rtx {
            Some(rtx) => {
                let seq = rtx.next;
                rtx.next += 1;
                let header = header(rtx.pt, rtx.ssrc, packet.marker, seq, place.ts);
                rtx.scratch.clear();
                rtx.scratch.extend_from_slice(&stream.header(false, place)[2..4]);
                rtx.scratch.extend_from_slice(&packet.payload);
                out.push(to, |slab| sealer.seal_rtp(&header, seq, &rtx.scratch, slab))
            }
            // The same bytes under the same index: the same packet, not a nonce used twice.
            None => {
                let header = stream.header(packet.marker, place);
                out.push(to, |slab| sealer.seal_rtp(&header, place.seq, &packet.payload, slab))
            }
        };
        if sent.is_ok() {
            self.meter.resent(packet.payload.len());
        }
    }

    /// What the library wants; nothing when that was not for others.
    fn library_step(&mut self) -> Option<Step> {
        Some(match self.library.step() {
            Step::Connected => {
                self.over = !self.arm();
                if self.over {
                    tracing::debug!("a viewer's handshake gave no keys that we know");
                    return Some(Step::Over);
                }
                Step::Connected
            }
            // The library reports on our streams too, of which it knows nothing: only what we seal may leave.
            Step::Send { datagram, .. } if datagram.first().is_some_and(|first| MEDIA.contains(first)) => return None,
            Step::Send { to, datagram } => {
                if stun::is_success(&datagram) && self.nominating == Some(to) {
                    self.nominating = None;
                    self.library.nominate(to);
                }
                Step::Send { to, datagram }
            }
            Step::Wait(_) if self.over => Step::Over,
            Step::Wait(at) => {
                // A check that was not answered nominates nothing later.
                self.nominating = None;
                Step::Wait(if self.cipher.is_some() { at.min(self.report_due) } else { at })
            }
            step => step,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_what_it_should() {
        let place = Place { seq: 0x1_0203, ts: 0x0405_0607 };
        let bytes = header(108, 0x0809_0a0b, true, place.seq, place.ts);
        assert_eq!(bytes, [0x80, 0xec, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    }
}
