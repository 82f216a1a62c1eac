//! Pure: one live's hall on one thread: which viewer gets which packet.
//!
//! Owns the viewers of a live that one thread serves, each one's numbering and layer, and the caches they are served
//! from. It touches no socket and no clock: events go in with the time, effects come out.
//! Who joins, and who lost its way, is served from the cache first: that disturbs nobody else, and works with
//! publishers that ignore requests.
//! Invariants: a viewer sees one unbroken numbering whoever publishes and whatever layer it sees; a layer is changed at
//! a keyframe only; a keyframe is wanted once until one comes.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    gop::Gop,
    history::History,
    ladder::Ladder,
    meter::{BITS, LAYER_LIMIT, Rate},
    numbering::{CATCH_UP_SPEED, Numbering, Place},
    packet::{AUDIO_CLOCK_HZ, Kind, MAX_LAYERS, Packet, VIDEO_CLOCK_HZ},
    stage::{LayerPast, Past, Slot},
};

mod choice;
pub use choice::{Choice, Choices};

/// A viewer's keys may stand a moment after ours: its last handshake message and the first media travel together.
const SETTLE: Duration = Duration::from_millis(10);
/// A cached keyframe that is older is shown, but the publisher is asked for a new one too.
const FRESH_LIMIT: Duration = Duration::from_secs(1);
/// A publisher whose last picture is older is stuck or away.
const FLOW_LIMIT: Duration = Duration::from_millis(500);
/// A viewer that asks again within this time is not served from the cache again.
const SERVE_INTERVAL: Duration = Duration::from_millis(200);
/// A keyframe that does not come is wanted again after so long: what was said, or the keyframe, may have been dropped.
const WANTED_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How often it is looked at whether a viewer should see another layer.
const CHOICE_INTERVAL: Duration = Duration::from_millis(250);
/// Packets of a frame; more are told in parts.
const MAX_RUN: usize = 64;
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
    /// Of this layer, from the publisher.
    WantKeyframe(u8),
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
    /// It is another server.
    relays: bool,
    phase: Phase,
    /// The layer that it sees.
    layer: u8,
    /// The layer that it is to see from that one's next keyframe on.
    target: u8,
    choice: Choice,
    ladder: Ladder,
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

/// The picture in one of its sizes.
#[derive(Debug, Default)]
struct Layer {
    ssrc: Option<u32>,
    gop: Gop,
    history: History,
    /// Packets of a frame, until its last one.
    run: Vec<Arc<Packet>>,
    /// When it was said upwards; nothing once one came.
    keyframe_wanted: Option<Instant>,
    last_keyframe: Option<Instant>,
    last_video: Option<Instant>,
    /// What comes of it, over some seconds: a keyframe is no trend.
    rate: Option<Rate>,
    bits_per_s: u64,
}

impl Layer {
    fn has_fresh_keyframe(&self, now: Instant) -> bool {
        self.gop.first().is_some() && self.last_keyframe.is_some_and(|at| now < at + FRESH_LIMIT)
    }

    fn is_sent(&self, now: Instant) -> bool {
        self.last_video.is_some_and(|at| now < at + LAYER_LIMIT)
    }

    fn want_keyframe(&mut self, layer: u8, now: Instant, effects: &mut Vec<Effect>) {
        if self.keyframe_wanted.is_none_or(|at| at + WANTED_AGAIN_AFTER <= now) {
            self.keyframe_wanted = Some(now);
            effects.push(Effect::WantKeyframe(layer));
        }
    }

    fn keep(&mut self, packet: &Arc<Packet>, now: Instant) {
        self.gop.push(packet);
        self.history.push(packet);
        self.last_video = Some(now);
        let rate = self.rate.get_or_insert_with(|| Rate::new(now));
        if rate.add(packet.payload.len() as u64, now) {
            let newest = rate.per_s(now) * BITS;
            self.bits_per_s = if self.bits_per_s == 0 { newest } else { (self.bits_per_s * 3 + newest) / 4 };
        }
        if packet.starts_keyframe {
            self.keyframe_wanted = None;
            self.last_keyframe = Some(now);
        }
    }

    fn forget(&mut self, ssrc: Option<u32>) {
        self.ssrc = ssrc;
        self.gop.clear();
        self.history.clear();
        (self.rate, self.bits_per_s) = (None, 0);
        // Who wanted one wants one of what begins now.
        self.keyframe_wanted = None;
    }
}

/// One live's viewers on one thread.
#[derive(Debug, Default)]
pub(super) struct Hall {
    viewers: Vec<Viewer>,
    catching_up: usize,
    layers: [Layer; MAX_LAYERS],
    next_choice: Option<Instant>,
}

impl Hall {
    /// A hall that begins in the middle of a live.
    pub(super) fn open(past: Past) -> Self {
        let layers = past.map(|LayerPast { packets, last_keyframe, last_video }| {
            let ssrc = packets.last().map(|packet| packet.ssrc);
            let mut layer = Layer { ssrc, last_keyframe, last_video, ..Layer::default() };
            for packet in &packets {
                layer.gop.push(packet);
                layer.history.push(packet);
            }
            layer
        });
        Self { layers, ..Self::default() }
    }

    /// A viewer's transport stands: it sees the cached picture at once, or the next keyframe.
    /// A server that relays to others is served from the cache but once: what it asks for, all of its viewers see.
    pub(super) fn join(&mut self, slot: Slot, relays: bool, seed: u16, now: Instant, effects: &mut Vec<Effect>) {
        let layer = self.first_layer(now);
        let mut viewer = Viewer {
            slot,
            relays,
            phase: Phase::Waiting,
            layer,
            target: layer,
            choice: Choice::Auto,
            ladder: Ladder::default(),
            video: Numbering::new(VIDEO_CLOCK_HZ, seed),
            audio: Numbering::new(AUDIO_CLOCK_HZ, seed ^ 0x5555),
            audio_ssrc: None,
            last_served: None,
            resent: VecDeque::new(),
            resend_budget: RESEND_BURST * PACKETS_PER_RESEND,
        };
        let of_layer = &mut self.layers[usize::from(layer)];
        serve(&mut viewer, &of_layer.gop, now + SETTLE);
        if !of_layer.has_fresh_keyframe(now) {
            of_layer.want_keyframe(layer, now, effects);
        }
        self.viewers.push(viewer);
        self.count_catching_up();
        self.next_choice = None;
        self.poll(now, effects);
    }

    /// The layer that a newcomer sees first: the one in the middle of those that it can begin with.
    fn first_layer(&self, now: Instant) -> u8 {
        let ready = (0u8..).zip(&self.layers).filter(|(_, layer)| layer.is_sent(now) && layer.gop.first().is_some());
        let ready: Vec<u8> = ready.map(|(at, _)| at).collect();
        let middle = ready.get(ready.len() / 2).copied();
        // While nothing is sent, the last picture there was.
        middle
            .or_else(|| (0u8..).zip(&self.layers).find(|(_, l)| l.gop.first().is_some()).map(|(at, _)| at))
            .unwrap_or(0)
    }

    /// A viewer's session ended.
    pub(super) fn leave(&mut self, slot: Slot) {
        self.viewers.retain(|viewer| viewer.slot != slot);
        self.count_catching_up();
    }

    /// What follows comes from another publisher.
    pub(super) fn begin(&mut self) {
        for layer in &mut self.layers {
            layer.run.clear();
            layer.forget(None);
        }
        self.catching_up = 0;
        for viewer in &mut self.viewers {
            viewer.audio_ssrc = None;
            wait(viewer);
        }
    }

    /// A viewer cannot go on without a keyframe.
    pub(super) fn keyframe_requested(&mut self, by: Slot, now: Instant, effects: &mut Vec<Effect>) {
        let Some(viewer) = self.viewers.iter_mut().find(|viewer| viewer.slot == by) else {
            return;
        };
        let (at, layer) = (viewer.layer, &mut self.layers[usize::from(viewer.layer)]);
        // When nothing arrives the viewer misses nothing; old pictures once more would not help it.
        let is_flowing = layer.last_video.is_some_and(|at| now < at + FLOW_LIMIT);
        let may_serve = is_flowing && !viewer.relays && viewer.last_served.is_none_or(|at| at + SERVE_INTERVAL <= now);
        let is_served = may_serve && serve(viewer, &layer.gop, now);
        if !is_served || !layer.has_fresh_keyframe(now) {
            layer.want_keyframe(at, now, effects);
        }
        self.count_catching_up();
        self.poll(now, effects);
    }

    /// A viewer did not get these: they are sent again from the history, each once in a round trip.
    pub(super) fn lost(&mut self, by: Slot, loss: Loss, now: Instant, effects: &mut Vec<Effect>) {
        let Loss { first, others, round_trip } = loss;
        let Some(viewer) = self.viewers.iter_mut().find(|viewer| viewer.slot == by) else {
            return;
        };
        let history = &self.layers[usize::from(viewer.layer)].history;
        let named = (0..16u16).filter(|bit| others & (1 << bit) != 0).map(|bit| first.wrapping_add(bit + 1));
        for seq in std::iter::once(first).chain(named) {
            let Some(packet) = viewer.video.origin(seq).and_then(|seq| history.get(seq)) else {
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

    /// A packet of the publisher on air. Those of a frame are told together, with the one that ends the run.
    pub(super) fn packet(&mut self, packet: Arc<Packet>, ends_run: bool, now: Instant, effects: &mut Vec<Effect>) {
        if packet.kind == Kind::Audio {
            self.audio(&packet, now, effects);
            return;
        }
        let at = packet.layer;
        let Some(layer) = self.layers.get_mut(usize::from(at)) else { return };
        layer.run.push(packet);
        if ends_run || layer.run.len() >= MAX_RUN {
            self.tell_run(at, now, effects);
        }
    }

    /// Tells a run, viewer by viewer.
    fn tell_run(&mut self, at: u8, now: Instant, effects: &mut Vec<Effect>) {
        let layer = &mut self.layers[usize::from(at)];
        let mut run = std::mem::take(&mut layer.run);
        for packet in &run {
            if layer.ssrc != Some(packet.ssrc) {
                layer.forget(Some(packet.ssrc));
                // Their numbers lead to packets of the stream before.
                self.viewers.iter_mut().filter(|viewer| viewer.layer == at).for_each(wait);
            }
            layer.keep(packet, now);
        }
        let mut arrived = false;
        for viewer in &mut self.viewers {
            for packet in &run {
                let is_awaited = viewer.target == at || viewer.phase == Phase::Waiting;
                match viewer.phase {
                    _ if viewer.layer != at => {
                        if !is_awaited || !packet.starts_keyframe {
                            continue;
                        }
                        viewer.video.rebase(packet.seq, packet.ts, now);
                        viewer.resent.clear();
                        (viewer.layer, viewer.phase) = (at, Phase::Present);
                        arrived = true;
                    }
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
        run.clear();
        self.layers[usize::from(at)].run = run;
        if arrived {
            self.count_catching_up();
        }
        self.poll(now, effects);
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

    /// What is due by now: cached packets for those who catch up, other layers for those who should see others.
    pub(super) fn poll(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.catching_up > 0 {
            for viewer in &mut self.viewers {
                catch_up(viewer, &self.layers[usize::from(viewer.layer)].gop, now, effects);
            }
            self.count_catching_up();
        }
        if self.has_layers() && self.next_choice.is_none_or(|at| at <= now) {
            self.next_choice = Some(now + CHOICE_INTERVAL);
            self.choose(now, effects);
        }
    }

    /// When [`Hall::poll`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let gop = |viewer: &Viewer| &self.layers[usize::from(viewer.layer)].gop;
        let due = || self.viewers.iter().filter_map(|viewer| next_due(viewer, gop(viewer))).min();
        (self.catching_up > 0).then(due).flatten()
    }

    fn count_catching_up(&mut self) {
        let catching_up = |viewer: &&Viewer| matches!(viewer.phase, Phase::CatchingUp { .. });
        self.catching_up = self.viewers.iter().filter(catching_up).count();
    }
}

/// Nothing of what it saw goes on.
fn wait(viewer: &mut Viewer) {
    viewer.video.end_stretch();
    viewer.phase = Phase::Waiting;
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
#[path = "hall_tests.rs"]
mod tests;
