//! What forwarding allocates: for a packet and a viewer nothing, once everything has grown to its size.
//!
//! The stage, the hall, the queue between them, the legs and the outbox are the engine's own; what an ingest allocates for a packet (its payload, and one
//! shared head) is made before it is counted.

use std::{
    net::UdpSocket,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender},
    },
    time::{Duration, Instant},
};

use super::{
    fanout::Feed,
    hall::{Effect, Hall, Loss},
    leg::Role,
    outbox::Outbox,
    packet::{Kind, Packet, VideoCodec},
    peer::Pair,
    stage::{self, Origin, Slot, Stage},
};
use crate::ids::LiveId;

const VIEWERS: usize = 5;
const PUBLISHER: Slot = 99;
const FRAMES_OF_A_GROUP: u64 = 60;
const PACKETS_OF_A_FRAME: u64 = 6;
/// More than the history holds.
const WARM_GROUPS: u64 = 4;
const GROUPS: u64 = 3;
const FRAME: Duration = Duration::from_millis(33);
/// Every frame one of the viewers loses as many packets as its share of what is sent again allows.
const LOST: u16 = 0b1_1111;

/// A live whose publisher and viewers are connected.
struct Show {
    live: LiveId,
    stage: Stage,
    upwards: Vec<stage::Effect>,
    feed: SyncSender<Feed>,
    fed: Receiver<Feed>,
    hall: Hall,
    viewers: Vec<Pair>,
    outbox: Outbox,
    effects: Vec<Effect>,
    spare: Vec<Effect>,
    now: Instant,
    sent: u64,
    resent: u64,
}

fn packet(kind: Kind, number: u64, at_ms: u64, frame: u64) -> Arc<Packet> {
    let (is_video, size) = if kind == Kind::Video { (true, 1_088) } else { (false, 78) };
    Arc::new(Packet {
        kind,
        layer: 0,
        ssrc: if is_video { 7 } else { 8 },
        seq: 1_000 + number,
        ts: at_ms * if is_video { 90 } else { 48 },
        marker: !is_video || number % PACKETS_OF_A_FRAME == PACKETS_OF_A_FRAME - 1,
        starts_keyframe: is_video
            && frame.is_multiple_of(FRAMES_OF_A_GROUP)
            && number.is_multiple_of(PACKETS_OF_A_FRAME),
        payload: vec![0x61; size].into(),
    })
}

/// A frame's packets and one of sound.
fn frame(n: u64) -> Vec<Arc<Packet>> {
    let at_ms = n * 33;
    let picture = (0..PACKETS_OF_A_FRAME).map(|part| packet(Kind::Video, n * PACKETS_OF_A_FRAME + part, at_ms, n));
    picture.chain([packet(Kind::Audio, n, at_ms, n)]).collect()
}

impl Show {
    fn open() -> (Self, UdpSocket) {
        let mut maker = None;
        let viewers: Vec<Pair> = (0..VIEWERS).map(|_| Pair::connected(&mut maker, Role::Viewer)).collect();
        let (_, socket) = maker.expect("made for the first");
        let now = viewers.iter().map(|pair| pair.now).max().expect("somebody");
        let outbox = Outbox::new(&socket, false);
        let (feed, fed) = std::sync::mpsc::sync_channel(64);
        let mut show = Self {
            live: LiveId::fresh(),
            stage: Stage::default(),
            upwards: Vec::new(),
            feed,
            fed,
            hall: Hall::default(),
            viewers,
            outbox,
            effects: Vec::new(),
            spare: Vec::new(),
            now,
            sent: 0,
            resent: 0,
        };
        show.stage.publish(PUBLISHER, Origin::Here("hana".into()), VideoCodec::H264, &mut show.upwards);
        for packet in frame(0) {
            show.stage.packet(PUBLISHER, &packet, now, &mut show.upwards);
        }
        show.settle();
        for viewer in 0..VIEWERS {
            show.hall.join(viewer as Slot, false, 0, now, &mut show.effects);
        }
        show.settle();
        (show, socket)
    }

    /// As the engine does what follows, and one of its threads.
    fn settle(&mut self) {
        for effect in self.upwards.drain(..) {
            let live = self.live.clone();
            let fed = match effect {
                stage::Effect::Feed { packet, ends_run } => self.feed.try_send(Feed::Packet { live, packet, ends_run }),
                stage::Effect::Begin => self.feed.try_send(Feed::Begin { live }),
                _ => Ok(()),
            };
            assert!(fed.is_ok(), "there is room");
        }
        while let Ok(fed) = self.fed.try_recv() {
            match fed {
                Feed::Packet { packet, ends_run, .. } => {
                    self.hall.packet(packet, ends_run, self.now, &mut self.effects);
                }
                Feed::Begin { .. } => self.hall.begin(),
                Feed::Open { .. } | Feed::Shut { .. } => {}
            }
        }
        while !self.effects.is_empty() {
            let mut effects = std::mem::replace(&mut self.effects, std::mem::take(&mut self.spare));
            for effect in effects.drain(..) {
                match effect {
                    Effect::Deliver { to, packet, place } => {
                        let leg = &mut self.viewers[usize::try_from(to).expect("small")].leg;
                        leg.deliver(self.now, &packet, place, &mut self.outbox);
                        self.sent += 1;
                    }
                    Effect::Resend { to, packet, place } => {
                        let leg = &mut self.viewers[usize::try_from(to).expect("small")].leg;
                        leg.resend(&packet, place, &mut self.outbox);
                        self.resent += 1;
                    }
                    Effect::WantKeyframe(_) => {}
                }
            }
            self.spare = effects;
        }
        self.outbox.flush();
    }

    fn show(&mut self, n: u64, packets: &[Arc<Packet>]) {
        self.now += FRAME;
        self.stage.poll(self.now, &mut self.upwards);
        self.hall.poll(self.now, &mut self.effects);
        for packet in packets {
            self.stage.packet(PUBLISHER, packet, self.now, &mut self.upwards);
            self.settle();
        }
        let first = u16::try_from(n * PACKETS_OF_A_FRAME).expect("a short show");
        let loss = Loss { first, others: LOST, round_trip: Duration::from_millis(20) };
        self.hall.lost(n % VIEWERS as Slot, loss, self.now, &mut self.effects);
        self.settle();
    }
}

#[test]
fn a_forwarded_packet_allocates_nothing() {
    let counts = allocation_counter::measure(|| drop(Vec::<u8>::with_capacity(1)));
    assert_eq!(counts.count_total, 1, "allocations are counted");
    let (mut show, _socket) = Show::open();
    let warm = WARM_GROUPS * FRAMES_OF_A_GROUP;
    for n in 1..warm {
        show.show(n, &frame(n));
    }
    let frames: Vec<_> = (warm..warm + GROUPS * FRAMES_OF_A_GROUP).map(|n| (n, frame(n))).collect();
    let (sent, resent) = (show.sent, show.resent);
    let counts = allocation_counter::measure(|| {
        for (n, packets) in &frames {
            show.show(*n, packets);
        }
    });
    let expected = frames.len() as u64 * (PACKETS_OF_A_FRAME + 1) * VIEWERS as u64;
    assert_eq!((show.sent - sent, show.outbox.unsent), (expected, 0));
    assert!(show.resent - resent > 500, "{} packets were sent again", show.resent - resent);
    assert_eq!((counts.count_total, counts.bytes_total), (0, 0), "for {expected} packets");
}
