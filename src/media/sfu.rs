//! Pure: one live's stage: who gets which packet, when to ask for a keyframe.
//!
//! Owns the publisher on air, the one that is about to take over, the viewers and the keyframe cache. It touches no
//! socket and no clock: events go in with the time, effects come out.
//! Who joins, and who lost its way, is served from the cache first: that disturbs nobody else, and works with
//! publishers that ignore requests.
//! Invariants: a viewer sees one unbroken numbering whoever publishes; the publisher on air stays until its
//! successor's first keyframe; a publisher is asked for a keyframe at most once per [`KEYFRAME_REQUEST_INTERVAL`].

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    gop::Gop,
    history::History,
    numbering::{CATCH_UP_SPEED, Numbering, Place},
    packet::{AUDIO_CLOCK_HZ, Kind, Packet, VIDEO_CLOCK_HZ, VideoCodec},
};

/// Keyframe requests of all viewers are merged to one in this time; none is sent while a keyframe is younger.
pub(super) const KEYFRAME_REQUEST_INTERVAL: Duration = Duration::from_millis(500);

/// A viewer's keys may stand a moment after ours: its last handshake message and the first media travel together.
const SETTLE: Duration = Duration::from_millis(10);
/// A cached keyframe that is older is shown, but the publisher is asked for a new one too.
const FRESH_LIMIT: Duration = Duration::from_secs(1);
/// A publisher whose last picture is older is stuck or away.
const FLOW_LIMIT: Duration = Duration::from_millis(500);
/// A viewer that asks again within this time is not served from the cache again.
const SERVE_INTERVAL: Duration = Duration::from_millis(200);

/// A frame waits so long for its last packet: what goes to a viewer together costs one message.
const FRAME_HOLD: Duration = Duration::from_millis(2);
/// Packets of a frame that wait.
const MAX_HELD: usize = 32;
/// A packet is not sent again within this time, however often it is asked for and however near the viewer is.
const RESEND_INTERVAL: Duration = Duration::from_millis(25);
/// Packets remembered as having been sent again.
const MAX_RESENT: usize = 128;
/// Times that one packet is sent again: some clients never notice that it came by RTX, and ask for it for seconds.
const MAX_RESENDS_OF_ONE: u32 = 4;
/// Packets that may be sent again at once …
const RESEND_BURST: u32 = 128;
/// … and on the way one for so many that are sent: a fifth of a viewer's bits.
const PACKETS_PER_RESEND: u32 = 5;
/// Half of what may be sent again at once is kept for packets that were not yet.
const KEPT_FOR_FIRST: u32 = RESEND_BURST / 2;

/// A session's place in the engine.
pub(super) type Slot = u64;

/// What follows from an event.
#[derive(Debug)]
pub(super) enum Effect {
    Deliver {
        to: Slot,
        packet: Arc<Packet>,
        place: Place,
    },
    /// As it was delivered, once more.
    Resend {
        to: Slot,
        packet: Arc<Packet>,
        place: Place,
    },
    AskKeyframe(Slot),
    Close(Slot),
    Up,
    Away,
}

/// Packets of the picture that a viewer did not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Loss {
    /// As the viewer numbers them.
    pub(super) first: u16,
    /// Of the sixteen that follow those whose bit is set.
    pub(super) others: u16,
    /// What was sent again needs so long to get there.
    pub(super) round_trip: Duration,
}

/// Another publisher holds the live.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Occupied;

#[derive(Debug)]
struct Source {
    slot: Slot,
    identity: String,
    last_request: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Sees nothing until the next keyframe.
    Waiting,
    /// Is brought up to the present from the cache; `next_seq` is the publisher's.
    CatchingUp { next_seq: u64, since: Instant },
    /// Sees what the publisher sends.
    Present,
}

/// A packet that was sent again, by the publisher's number.
#[derive(Debug)]
struct Resent {
    seq: u64,
    at: Instant,
    times: u32,
}

#[derive(Debug)]
struct Viewer {
    slot: Slot,
    phase: Phase,
    video: Numbering,
    audio: Numbering,
    audio_ssrc: Option<u32>,
    last_served: Option<Instant>,
    /// What was sent again lately.
    resent: VecDeque<Resent>,
    /// In packets times [`PACKETS_PER_RESEND`].
    resend_budget: u32,
}

impl Viewer {
    fn may_resend(&self, seq: u64, round_trip: Duration, now: Instant) -> bool {
        let left = self.resend_budget / PACKETS_PER_RESEND;
        match self.resent.iter().find(|resent| resent.seq == seq) {
            None => left > 0,
            Some(before) => {
                let is_over = now >= before.at + round_trip.max(RESEND_INTERVAL);
                is_over && before.times < MAX_RESENDS_OF_ONE && left > KEPT_FOR_FIRST
            }
        }
    }

    fn note_resent(&mut self, seq: u64, now: Instant) {
        self.resend_budget -= PACKETS_PER_RESEND;
        if let Some(before) = self.resent.iter_mut().find(|resent| resent.seq == seq) {
            (before.at, before.times) = (now, before.times + 1);
            return;
        }
        if self.resent.len() == MAX_RESENT {
            self.resent.pop_front();
        }
        self.resent.push_back(Resent { seq, at: now, times: 1 });
    }
}

/// One live's stage.
#[derive(Debug, Default)]
pub(super) struct Stage {
    codec: Option<VideoCodec>,
    on_air: Option<Source>,
    successor: Option<Source>,
    viewers: Vec<Viewer>,
    catching_up: usize,
    gop: Gop,
    history: History,
    /// Packets of a frame whose last one has not come.
    held: Vec<Arc<Packet>>,
    held_since: Option<Instant>,
    video_ssrc: Option<u32>,
    had_picture: bool,
    keyframe_wanted: bool,
    last_keyframe: Option<Instant>,
    last_video: Option<Instant>,
}

impl Stage {
    /// The codec of this live: the first publisher's.
    pub(super) fn codec(&self) -> Option<VideoCodec> {
        self.codec
    }

    pub(super) fn had_picture(&self) -> bool {
        self.had_picture
    }

    pub(super) fn is_up(&self) -> bool {
        self.had_picture && self.on_air.is_some()
    }

    /// Who is on air; else who is about to be.
    pub(super) fn publisher(&self) -> Option<Slot> {
        self.on_air.as_ref().or(self.successor.as_ref()).map(|source| source.slot)
    }

    pub(super) fn viewers(&self) -> usize {
        self.viewers.len()
    }

    /// Nobody is here.
    pub(super) fn is_empty(&self) -> bool {
        self.on_air.is_none() && self.successor.is_none() && self.viewers.is_empty()
    }

    /// Whether a publisher of this identity may come.
    pub(super) fn admit(&self, identity: &str) -> Result<(), Occupied> {
        let others = self.on_air.iter().chain(&self.successor).any(|source| source.identity != identity);
        if others { Err(Occupied) } else { Ok(()) }
    }

    /// A publisher was let in; it goes on air with its first keyframe.
    pub(super) fn publish(&mut self, slot: Slot, identity: String, codec: VideoCodec, effects: &mut Vec<Effect>) {
        let successor = Source { slot, identity, last_request: None };
        if let Some(older) = self.successor.replace(successor) {
            effects.push(Effect::Close(older.slot));
        }
        if !self.had_picture {
            self.codec = Some(codec);
        }
    }

    /// A viewer's transport stands: it sees the cached picture at once, or the next keyframe.
    pub(super) fn join(&mut self, slot: Slot, seed: u16, now: Instant, effects: &mut Vec<Effect>) {
        let mut viewer = Viewer {
            slot,
            phase: Phase::Waiting,
            video: Numbering::new(VIDEO_CLOCK_HZ, seed),
            audio: Numbering::new(AUDIO_CLOCK_HZ, seed ^ 0x5555),
            audio_ssrc: None,
            last_served: None,
            resent: VecDeque::new(),
            resend_budget: RESEND_BURST * PACKETS_PER_RESEND,
        };
        serve(&mut viewer, &self.gop, now + SETTLE);
        self.viewers.push(viewer);
        self.count_catching_up();
        self.keyframe_wanted |= !self.has_fresh_keyframe(now);
        self.poll(now, effects);
    }

    /// A session ended, whoever it was.
    pub(super) fn leave(&mut self, slot: Slot, effects: &mut Vec<Effect>) {
        if self.successor.as_ref().is_some_and(|source| source.slot == slot) {
            self.successor = None;
        }
        if self.on_air.as_ref().is_some_and(|source| source.slot == slot) {
            self.on_air = None;
            self.held.clear();
            self.held_since = None;
            effects.push(Effect::Away);
        }
        self.viewers.retain(|viewer| viewer.slot != slot);
        self.count_catching_up();
    }

    /// A publisher's transport stands.
    pub(super) fn publisher_connected(&mut self, slot: Slot, now: Instant, effects: &mut Vec<Effect>) {
        if let Some(source) = self.successor.as_mut().filter(|source| source.slot == slot) {
            source.last_request = Some(now);
            effects.push(Effect::AskKeyframe(slot));
        }
    }

    /// A viewer cannot go on without a keyframe.
    pub(super) fn keyframe_requested(&mut self, by: Slot, now: Instant, effects: &mut Vec<Effect>) {
        let Some(viewer) = self.viewers.iter_mut().find(|viewer| viewer.slot == by) else {
            return;
        };
        // When nothing arrives the viewer misses nothing; old pictures once more would not help it.
        let is_flowing = self.last_video.is_some_and(|at| now < at + FLOW_LIMIT);
        let may_serve = is_flowing && viewer.last_served.is_none_or(|at| at + SERVE_INTERVAL <= now);
        let is_served = may_serve && serve(viewer, &self.gop, now);
        self.count_catching_up();
        self.keyframe_wanted |= !is_served || !self.has_fresh_keyframe(now);
        self.poll(now, effects);
    }

    /// A viewer did not get these: they are sent again from the history, each once in a round trip.
    pub(super) fn lost(&mut self, by: Slot, loss: Loss, now: Instant, effects: &mut Vec<Effect>) {
        let Loss { first, others, round_trip } = loss;
        let Some(viewer) = self.viewers.iter_mut().find(|viewer| viewer.slot == by) else {
            return;
        };
        let named = (0..16u16).filter(|bit| others & (1 << bit) != 0).map(|bit| first.wrapping_add(bit + 1));
        for seq in std::iter::once(first).chain(named) {
            let Some(packet) = viewer.video.origin(seq).and_then(|seq| self.history.get(seq)) else {
                continue;
            };
            if !viewer.may_resend(packet.seq, round_trip, now) {
                continue;
            }
            if let Some(place) = viewer.video.place(packet.seq, packet.ts, now) {
                viewer.note_resent(packet.seq, now);
                effects.push(Effect::Resend { to: by, packet: Arc::clone(packet), place });
            }
        }
    }

    fn has_fresh_keyframe(&self, now: Instant) -> bool {
        self.gop.first().is_some() && self.last_keyframe.is_some_and(|at| now < at + FRESH_LIMIT)
    }

    /// A packet of a publisher.
    pub(super) fn packet(&mut self, from: Slot, packet: &Arc<Packet>, now: Instant, effects: &mut Vec<Effect>) {
        if self.successor.as_ref().is_some_and(|source| source.slot == from) {
            if !packet.starts_keyframe {
                return;
            }
            self.tell_frame(now, effects);
            self.switch(effects);
        }
        if self.on_air.as_ref().is_none_or(|source| source.slot != from) {
            return;
        }
        match packet.kind {
            Kind::Video => self.video(packet, now, effects),
            Kind::Audio => self.audio(packet, now, effects),
        }
    }

    /// The successor goes on air.
    fn switch(&mut self, effects: &mut Vec<Effect>) {
        if let Some(old) = self.on_air.take() {
            effects.push(Effect::Close(old.slot));
        } else {
            effects.push(Effect::Up);
        }
        self.on_air = self.successor.take();
        self.had_picture = true;
        self.begin_stream(None);
        for viewer in &mut self.viewers {
            viewer.audio_ssrc = None;
        }
    }

    /// The numbers that follow have nothing to do with those before.
    fn begin_stream(&mut self, ssrc: Option<u32>) {
        self.video_ssrc = ssrc;
        self.gop.clear();
        self.history.clear();
        self.catching_up = 0;
        for viewer in &mut self.viewers {
            // Its numbers lead to packets of the stream before.
            viewer.video.end_stretch();
            viewer.phase = Phase::Waiting;
        }
    }

    /// A packet waits for the rest of its frame, not for long.
    fn video(&mut self, packet: &Arc<Packet>, now: Instant, effects: &mut Vec<Effect>) {
        if self.held.first().is_some_and(|first| first.ts != packet.ts || first.ssrc != packet.ssrc) {
            self.tell_frame(now, effects);
        }
        self.held_since.get_or_insert(now);
        self.held.push(Arc::clone(packet));
        if packet.marker || self.held.len() >= MAX_HELD {
            self.tell_frame(now, effects);
        }
        self.poll(now, effects);
    }

    /// What is held goes out, viewer by viewer.
    fn tell_frame(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.held_since = None;
        let mut held = std::mem::take(&mut self.held);
        for packet in &held {
            if self.video_ssrc != Some(packet.ssrc) {
                self.begin_stream(Some(packet.ssrc));
            }
            self.gop.push(packet);
            self.history.push(packet);
            self.last_video = Some(now);
            if packet.starts_keyframe {
                self.keyframe_wanted = false;
                self.last_keyframe = Some(now);
            }
        }
        let mut arrived = false;
        for viewer in &mut self.viewers {
            for packet in &held {
                match viewer.phase {
                    Phase::Present => {}
                    Phase::CatchingUp { next_seq, .. } if !packet.starts_keyframe => {
                        if packet.seq >= next_seq {
                            continue;
                        }
                    }
                    Phase::Waiting if !packet.starts_keyframe => continue,
                    Phase::CatchingUp { .. } | Phase::Waiting => {
                        viewer.video.rebase(packet.seq, packet.ts, now);
                        viewer.phase = Phase::Present;
                        arrived = true;
                    }
                }
                if let Some(place) = viewer.video.place(packet.seq, packet.ts, now) {
                    viewer.resend_budget = (viewer.resend_budget + 1).min(RESEND_BURST * PACKETS_PER_RESEND);
                    effects.push(Effect::Deliver { to: viewer.slot, packet: Arc::clone(packet), place });
                }
            }
        }
        held.clear();
        self.held = held;
        if arrived {
            self.count_catching_up();
        }
    }

    fn audio(&mut self, packet: &Arc<Packet>, now: Instant, effects: &mut Vec<Effect>) {
        for viewer in &mut self.viewers {
            if viewer.audio_ssrc != Some(packet.ssrc) {
                viewer.audio.rebase(packet.seq, packet.ts, now);
                viewer.audio_ssrc = Some(packet.ssrc);
            }
            if let Some(place) = viewer.audio.place(packet.seq, packet.ts, now) {
                effects.push(Effect::Deliver { to: viewer.slot, packet: Arc::clone(packet), place });
            }
        }
    }

    /// What is due by now: cached packets for those who catch up, a keyframe request.
    pub(super) fn poll(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.held_since.is_some_and(|since| since + FRAME_HOLD <= now) {
            self.tell_frame(now, effects);
        }
        if self.catching_up > 0 {
            for viewer in &mut self.viewers {
                catch_up(viewer, &self.gop, now, effects);
            }
            self.count_catching_up();
        }
        if self.request_due().is_some_and(|due| due <= now) {
            let source = self.on_air.as_mut().expect("a request is due only with a publisher on air");
            source.last_request = Some(now);
            effects.push(Effect::AskKeyframe(source.slot));
        }
        if let Some(source) = &mut self.successor
            && source.last_request.is_some_and(|at| at + KEYFRAME_REQUEST_INTERVAL <= now)
        {
            source.last_request = Some(now);
            effects.push(Effect::AskKeyframe(source.slot));
        }
    }

    /// When [`Stage::poll`] has something to do, and what.
    pub(super) fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let catch_up = (self.catching_up > 0).then(|| {
            let due = self.viewers.iter().filter_map(|viewer| next_due(viewer, &self.gop)).min();
            due.map(|at| (at, "catch up"))
        });
        let request = self.request_due().map(|at| (at, "keyframe request"));
        let successor = self.successor.as_ref().and_then(|source| source.last_request);
        let successor = successor.map(|at| (at + KEYFRAME_REQUEST_INTERVAL, "keyframe of the successor"));
        let frame = self.held_since.map(|since| (since + FRAME_HOLD, "frame"));
        [catch_up.flatten(), request, successor, frame].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// When a wanted keyframe may be asked for.
    fn request_due(&self) -> Option<Instant> {
        let source = self.on_air.as_ref().filter(|_| self.keyframe_wanted)?;
        let last = source.last_request.max(self.last_keyframe)?;
        Some(last + KEYFRAME_REQUEST_INTERVAL)
    }

    fn count_catching_up(&mut self) {
        let catching_up = |viewer: &&Viewer| matches!(viewer.phase, Phase::CatchingUp { .. });
        self.catching_up = self.viewers.iter().filter(catching_up).count();
    }
}

/// Lets a viewer begin at the cached keyframe; whether there is one.
fn serve(viewer: &mut Viewer, gop: &Gop, since: Instant) -> bool {
    let Some(first) = gop.first() else {
        return false;
    };
    viewer.video.rebase(first.seq, first.ts, since);
    viewer.video.speed_up();
    viewer.phase = Phase::CatchingUp { next_seq: first.seq, since };
    viewer.last_served = Some(since);
    true
}

/// When the cached packet is due for a viewer that joined at `since`.
fn due_at(packet: &Packet, gop: &Gop, since: Instant) -> Instant {
    let key_ts = gop.first().map_or(packet.ts, |first| first.ts);
    let ticks = packet.ts.saturating_sub(key_ts) / CATCH_UP_SPEED;
    since + Duration::from_micros(ticks * 1_000_000 / VIDEO_CLOCK_HZ)
}

fn next_due(viewer: &Viewer, gop: &Gop) -> Option<Instant> {
    match viewer.phase {
        Phase::CatchingUp { next_seq, since } => gop.at_or_after(next_seq).map(|packet| due_at(packet, gop, since)),
        Phase::Waiting | Phase::Present => None,
    }
}

/// Sends a viewer what is due from the cache; at its end the viewer is in the present.
fn catch_up(viewer: &mut Viewer, gop: &Gop, now: Instant, effects: &mut Vec<Effect>) {
    while let Phase::CatchingUp { next_seq, since } = viewer.phase {
        let Some(packet) = gop.at_or_after(next_seq) else {
            viewer.video.slow_down();
            viewer.phase = Phase::Present;
            break;
        };
        if due_at(packet, gop, since) > now {
            break;
        }
        if let Some(place) = viewer.video.place(packet.seq, packet.ts, now) {
            effects.push(Effect::Deliver { to: viewer.slot, packet: Arc::clone(packet), place });
        }
        viewer.phase = Phase::CatchingUp { next_seq: packet.seq + 1, since };
        if gop.at_or_after(packet.seq + 1).is_none() {
            viewer.video.slow_down();
            viewer.phase = Phase::Present;
        }
    }
}

#[cfg(test)]
#[path = "sfu_tests.rs"]
mod tests;
