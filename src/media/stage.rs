//! Pure: one live's stage: who is on air, what goes to the viewers' halls, when to ask for a keyframe.
//!
//! Owns the publisher on air, the one that is about to take over, and the keyframe cache that a new hall begins with.
//! It touches no socket and no clock: events go in with the time, effects come out.
//! Invariants: the publisher on air stays until its successor's first keyframe; a publisher is asked for a keyframe at
//! most once per [`KEYFRAME_REQUEST_INTERVAL`].

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    gop::Gop,
    packet::{Kind, MAX_LAYERS, Packet, VideoCodec},
};

/// Keyframe requests of all viewers are merged to one in this time; none is sent while a keyframe is younger.
pub(super) const KEYFRAME_REQUEST_INTERVAL: Duration = Duration::from_millis(500);
/// A frame waits so long for its last packet: what goes to a viewer together costs one message.
pub(super) const FRAME_HOLD: Duration = Duration::from_millis(2);
/// Packets of a frame that wait.
const MAX_HELD: usize = 32;

/// A session's place in the engine.
pub(super) type Slot = u64;

/// What follows from an event.
#[derive(Debug)]
pub(super) enum Effect {
    /// To every hall; what belongs together ends with `ends_run`.
    Feed {
        packet: Arc<Packet>,
        ends_run: bool,
    },
    /// To every hall: what follows has nothing to do with what went before.
    Begin,
    /// Of this layer.
    AskKeyframe(Slot, u8),
    Close(Slot),
    Up(Origin),
    Away(Origin),
}

/// Where a picture comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// From a publisher here, of this identity.
    Here(String),
    /// From another server. It gives way to a publisher, and is not news to anybody.
    Elsewhere,
}

/// Another publisher holds the live.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Occupied;

#[derive(Debug)]
struct Source {
    slot: Slot,
    origin: Origin,
    /// It may send its picture in several sizes.
    is_layered: bool,
    /// When it was asked to begin, until it goes on air.
    last_request: Option<Instant>,
}

/// What a hall that opens is to know of the past, of each layer.
pub(super) type Past = [LayerPast; MAX_LAYERS];

/// What a hall that opens is to know of a layer.
#[derive(Debug, Default)]
pub(super) struct LayerPast {
    /// The newest keyframe and what followed.
    pub(super) packets: Vec<Arc<Packet>>,
    pub(super) last_keyframe: Option<Instant>,
    pub(super) last_video: Option<Instant>,
}

/// The picture on air in one of its sizes.
#[derive(Debug, Default)]
struct Layer {
    gop: Gop,
    /// Packets of a frame whose last one has not come.
    held: Vec<Arc<Packet>>,
    held_since: Option<Instant>,
    ssrc: Option<u32>,
    keyframe_wanted: bool,
    last_keyframe: Option<Instant>,
    last_video: Option<Instant>,
    last_request: Option<Instant>,
}

impl Layer {
    /// When a wanted keyframe may be asked for.
    fn request_due(&self) -> Option<Instant> {
        let after = self.last_request.max(self.last_keyframe).map(|last| last + KEYFRAME_REQUEST_INTERVAL);
        // A layer whose first keyframe was lost is asked for one as soon as anything of it comes.
        after.or(self.last_video).filter(|_| self.keyframe_wanted)
    }

    /// What is held goes to the halls.
    fn feed(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.held_since = None;
        let count = self.held.len();
        for (at, packet) in self.held.drain(..).enumerate() {
            if self.ssrc != Some(packet.ssrc) {
                self.ssrc = Some(packet.ssrc);
                self.gop.clear();
            }
            self.gop.push(&packet);
            self.last_video = Some(now);
            if packet.starts_keyframe {
                self.keyframe_wanted = false;
                self.last_keyframe = Some(now);
            }
            effects.push(Effect::Feed { packet, ends_run: at + 1 == count });
        }
    }

    /// Nothing of what comes has to do with what came.
    fn begin(&mut self) {
        self.ssrc = None;
        self.gop.clear();
        self.held.clear();
        self.held_since = None;
    }
}

/// One live's stage.
#[derive(Debug, Default)]
pub(super) struct Stage {
    codec: Option<VideoCodec>,
    on_air: Option<Source>,
    successor: Option<Source>,
    layers: [Layer; MAX_LAYERS],
    had_picture: bool,
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

    /// Nobody publishes, nor is about to.
    pub(super) fn is_empty(&self) -> bool {
        self.on_air.is_none() && self.successor.is_none()
    }

    /// Whether a publisher of this identity may come.
    pub(super) fn admit(&self, identity: &str) -> Result<(), Occupied> {
        let is_another = |source: &Source| matches!(&source.origin, Origin::Here(other) if other != identity);
        if self.on_air.iter().chain(&self.successor).any(is_another) { Err(Occupied) } else { Ok(()) }
    }

    /// The publisher on air here, or about to be.
    pub(super) fn publisher(&self) -> Option<&str> {
        let mut origins = self.successor.iter().chain(&self.on_air).map(|source| &source.origin);
        origins.find_map(|origin| if let Origin::Here(identity) = origin { Some(identity.as_str()) } else { None })
    }

    /// What is on air; else what is about to be.
    pub(super) fn source(&self) -> Option<Slot> {
        self.on_air.as_ref().or(self.successor.as_ref()).map(|source| source.slot)
    }

    /// Whether the picture comes from another server, or is about to.
    pub(super) fn is_pulled(&self) -> bool {
        self.on_air.iter().chain(&self.successor).any(|source| source.origin == Origin::Elsewhere)
    }

    /// The sessions that bring, or will bring, a picture to here.
    pub(super) fn sources(&self) -> impl Iterator<Item = (Slot, &Origin)> {
        self.on_air.iter().chain(&self.successor).map(|source| (source.slot, &source.origin))
    }

    /// A publisher was let in; it goes on air with its first keyframe.
    pub(super) fn publish(&mut self, slot: Slot, origin: Origin, codec: VideoCodec, effects: &mut Vec<Effect>) {
        let successor = Source { slot, origin, is_layered: false, last_request: None };
        if let Some(older) = self.successor.replace(successor) {
            effects.push(Effect::Close(older.slot));
        }
        if !self.had_picture {
            self.codec = Some(codec);
        }
    }

    /// The publisher that was let in may send its picture in several sizes.
    pub(super) fn note_layers(&mut self, slot: Slot) {
        if let Some(source) = self.successor.as_mut().filter(|source| source.slot == slot) {
            source.is_layered = true;
        }
    }

    /// Viewers may have a choice of sizes.
    pub(super) fn is_layered(&self) -> bool {
        self.on_air.iter().chain(&self.successor).any(|source| source.is_layered)
    }

    /// A publisher's transport stands.
    pub(super) fn publisher_connected(&mut self, slot: Slot, now: Instant, effects: &mut Vec<Effect>) {
        if let Some(source) = self.successor.as_mut().filter(|source| source.slot == slot) {
            source.last_request = Some(now);
            effects.push(Effect::AskKeyframe(slot, 0));
        }
    }

    /// A publisher's session ended.
    pub(super) fn leave(&mut self, slot: Slot, effects: &mut Vec<Effect>) {
        if self.successor.as_ref().is_some_and(|source| source.slot == slot) {
            self.successor = None;
        }
        if let Some(gone) = self.on_air.take_if(|source| source.slot == slot) {
            for layer in &mut self.layers {
                layer.held.clear();
                layer.held_since = None;
            }
            effects.push(Effect::Away(gone.origin));
        }
    }

    /// Somebody in a hall cannot go on, or begin well, without a keyframe of this layer.
    pub(super) fn keyframe_wanted(&mut self, layer: u8, now: Instant, effects: &mut Vec<Effect>) {
        if let Some(layer) = self.layers.get_mut(usize::from(layer)) {
            layer.keyframe_wanted = true;
            self.poll(now, effects);
        }
    }

    /// What a hall that opens begins with. What is held reaches it as it reaches the others.
    pub(super) fn past(&self) -> Past {
        self.layers.each_ref().map(|layer| {
            let packets = layer.gop.packets().map(Arc::clone).collect();
            LayerPast { packets, last_keyframe: layer.last_keyframe, last_video: layer.last_video }
        })
    }

    /// A packet of a publisher.
    pub(super) fn packet(&mut self, from: Slot, packet: &Arc<Packet>, now: Instant, effects: &mut Vec<Effect>) {
        if self.successor.as_ref().is_some_and(|source| source.slot == from) {
            if !packet.starts_keyframe {
                return;
            }
            for layer in &mut self.layers {
                layer.feed(now, effects);
            }
            self.switch(effects);
        }
        if self.on_air.as_ref().is_none_or(|source| source.slot != from) {
            return;
        }
        match packet.kind {
            Kind::Video => self.video(packet, now, effects),
            Kind::Audio => effects.push(Effect::Feed { packet: Arc::clone(packet), ends_run: true }),
        }
    }

    /// The successor goes on air.
    fn switch(&mut self, effects: &mut Vec<Effect>) {
        let old = std::mem::replace(&mut self.on_air, self.successor.take());
        let is_same = |new: &Source| old.as_ref().is_some_and(|old| old.origin == new.origin);
        effects.extend(self.on_air.iter().filter(|new| !is_same(new)).map(|new| Effect::Up(new.origin.clone())));
        effects.extend(old.map(|old| Effect::Close(old.slot)));
        self.had_picture = true;
        self.layers.iter_mut().for_each(Layer::begin);
        effects.push(Effect::Begin);
    }

    /// A packet waits for the rest of its frame, not for long.
    fn video(&mut self, packet: &Arc<Packet>, now: Instant, effects: &mut Vec<Effect>) {
        let Some(layer) = self.layers.get_mut(usize::from(packet.layer)) else { return };
        if layer.held.first().is_some_and(|first| first.ts != packet.ts || first.ssrc != packet.ssrc) {
            layer.feed(now, effects);
        }
        layer.held_since.get_or_insert(now);
        layer.held.push(Arc::clone(packet));
        if packet.marker || layer.held.len() >= MAX_HELD {
            layer.feed(now, effects);
        }
        self.poll(now, effects);
    }

    /// What is due by now: the rest of a frame, a keyframe request.
    pub(super) fn poll(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        for (at, layer) in (0u8..).zip(&mut self.layers) {
            if layer.held_since.is_some_and(|since| since + FRAME_HOLD <= now) {
                layer.feed(now, effects);
            }
            if let Some(source) = &self.on_air
                && layer.request_due().is_some_and(|due| due <= now)
            {
                layer.last_request = Some(now);
                effects.push(Effect::AskKeyframe(source.slot, at));
            }
        }
        if let Some(source) = &mut self.successor
            && source.last_request.is_some_and(|at| at + KEYFRAME_REQUEST_INTERVAL <= now)
        {
            source.last_request = Some(now);
            effects.push(Effect::AskKeyframe(source.slot, 0));
        }
    }

    /// When [`Stage::poll`] has something to do, and what.
    pub(super) fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let is_on_air = self.on_air.is_some();
        let of_layers = self.layers.iter().flat_map(|layer| {
            let request = layer.request_due().filter(|_| is_on_air).map(|at| (at, "keyframe request"));
            let frame = layer.held_since.map(|since| (since + FRAME_HOLD, "frame"));
            [request, frame].into_iter().flatten()
        });
        let successor = self.successor.as_ref().and_then(|source| source.last_request);
        let successor = successor.map(|at| (at + KEYFRAME_REQUEST_INTERVAL, "keyframe of the successor"));
        of_layers.chain(successor).min_by_key(|(at, _)| *at)
    }
}
