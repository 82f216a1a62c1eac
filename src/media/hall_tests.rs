//! Pure: a stage and one of its halls, driven by hand.

use super::*;
use crate::media::{
    gop::tests::video,
    ladder::Word,
    packet::VideoCodec,
    stage::{self, FRAME_HOLD, Occupied, Origin, Stage},
};

const VIEWER: Slot = 50;

struct Scene {
    stage: Stage,
    hall: Hall,
    now: Instant,
    /// Of the stage, but for what the hall was fed.
    upwards: Vec<stage::Effect>,
    effects: Vec<Effect>,
}

impl Scene {
    fn with_publisher(slot: Slot) -> Self {
        let mut scene = Self {
            stage: Stage::default(),
            hall: Hall::default(),
            now: Instant::now(),
            upwards: Vec::new(),
            effects: Vec::new(),
        };
        scene.publish(slot);
        scene
    }

    /// What one wants of the other, until neither wants anything.
    fn settle(&mut self) {
        let mut kept = Vec::new();
        while !self.upwards.is_empty() || self.effects.iter().any(|e| matches!(e, Effect::WantKeyframe(_))) {
            for effect in std::mem::take(&mut self.upwards) {
                match effect {
                    stage::Effect::Feed { packet, ends_run } => {
                        self.hall.packet(packet, ends_run, self.now, &mut self.effects);
                    }
                    stage::Effect::Begin => self.hall.begin(),
                    other => kept.push(other),
                }
            }
            for effect in std::mem::take(&mut self.effects) {
                match effect {
                    Effect::WantKeyframe(layer) => {
                        self.stage.keyframe_wanted(layer, self.now, &mut self.upwards);
                    }
                    other => self.effects.push(other),
                }
            }
        }
        self.upwards = kept;
    }

    fn publish(&mut self, slot: Slot) {
        self.stage.publish(slot, Origin::Here("hana".into()), VideoCodec::H264, &mut self.upwards);
        self.settle();
    }

    fn frame(&mut self, from: Slot, seq: u64, ts: u64, starts_keyframe: bool) {
        self.packet(from, &video(seq, ts, starts_keyframe));
    }

    fn packet(&mut self, from: Slot, packet: &Arc<Packet>) {
        self.stage.packet(from, packet, self.now, &mut self.upwards);
        self.settle();
    }

    /// A frame of another layer, whose numbers begin elsewhere.
    fn layer_frame(&mut self, layer: u8, seq: u64, ts: u64, starts_keyframe: bool) {
        let offset = u64::from(layer) * 10_000;
        let mut packet = Arc::into_inner(video(offset + seq, offset + ts, starts_keyframe)).expect("the only owner");
        (packet.layer, packet.ssrc) = (layer, 70 + u32::from(layer));
        self.packet(1, &Arc::new(packet));
    }

    fn after(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.stage.poll(self.now, &mut self.upwards);
        self.hall.poll(self.now, &mut self.effects);
        self.settle();
    }

    fn join(&mut self) {
        self.hall.join(VIEWER, false, 0, self.now, &mut self.effects);
        self.settle();
    }

    fn request_keyframe(&mut self) {
        self.hall.keyframe_requested(VIEWER, self.now, &mut self.effects);
        self.settle();
    }

    fn join_and_settle(&mut self) {
        self.join();
        self.after(10);
    }

    /// What the viewer got since the last call, as (publisher's, viewer's) sequence numbers.
    fn delivered(&mut self) -> Vec<(u64, u64)> {
        let delivered = self.effects.iter().filter_map(|effect| match effect {
            Effect::Deliver { to: VIEWER, packet, place } => Some((packet.seq, place.seq)),
            _ => None,
        });
        let delivered = delivered.collect();
        self.effects.clear();
        delivered
    }

    /// As [`Scene::delivered`], of what was sent again.
    fn resent(&mut self) -> Vec<(u64, u64)> {
        let resent = self.effects.iter().filter_map(|effect| match effect {
            Effect::Resend { to: VIEWER, packet, place } => Some((packet.seq, place.seq)),
            _ => None,
        });
        let resent = resent.collect();
        self.effects.clear();
        resent
    }

    fn lose(&mut self, first: u16, others: u16) {
        let loss = Loss { first, others, round_trip: Duration::from_millis(40) };
        self.hall.lost(VIEWER, loss, self.now, &mut self.effects);
    }

    fn asked(&mut self) -> usize {
        let asked = self.upwards.iter().filter(|effect| matches!(effect, stage::Effect::AskKeyframe(..))).count();
        self.upwards.clear();
        asked
    }
}

#[test]
fn who_joins_mid_group_sees_the_keyframe_at_once_and_the_rest_four_times_as_fast() {
    let mut scene = Scene::with_publisher(1);
    scene.frame(1, 100, 0, true);
    for n in 1..=20u64 {
        scene.now += Duration::from_millis(40);
        scene.frame(1, 100 + n, n * 3_600, false);
    }
    scene.join();
    assert_eq!(scene.delivered(), [], "a moment for its keys");
    scene.after(10);
    assert_eq!(scene.delivered(), [(100, 0)]);
    scene.after(10);
    assert_eq!(scene.delivered(), [(101, 1)]);
    scene.after(100);
    assert_eq!(scene.delivered().len(), 10);
    scene.frame(1, 121, 21 * 3_600, false);
    assert_eq!(scene.delivered(), [], "what is new waits for its turn");
    scene.after(200);
    assert_eq!(scene.delivered().last(), Some(&(121, 21)));
    assert_eq!(scene.hall.catching_up, 0);
    scene.frame(1, 122, 22 * 3_600, false);
    assert_eq!(scene.delivered(), [(122, 22)]);
}

#[test]
fn a_keyframe_takes_those_who_catch_up_to_the_present() {
    let mut scene = Scene::with_publisher(1);
    scene.frame(1, 100, 0, true);
    scene.frame(1, 101, 90_000, false);
    scene.join_and_settle();
    scene.delivered();
    scene.frame(1, 102, 93_000, true);
    assert_eq!(scene.delivered(), [(102, 1)], "the numbering has no hole where the group was left");
    scene.frame(1, 101, 90_000, false);
    assert_eq!(scene.delivered(), [], "nothing from before");
}

#[test]
fn the_old_publisher_stays_until_the_successors_keyframe() {
    let mut scene = Scene::with_publisher(1);
    scene.frame(1, 100, 0, true);
    scene.join_and_settle();
    scene.publish(2);
    assert_eq!(scene.stage.admit("another"), Err(Occupied));
    scene.frame(2, 7, 5, false);
    scene.frame(1, 101, 3_000, false);
    assert_eq!(scene.delivered(), [(100, 0), (101, 1)]);
    scene.frame(2, 8, 9_000, true);
    assert!(scene.upwards.iter().any(|effect| matches!(effect, stage::Effect::Close(1))));
    assert_eq!(scene.delivered(), [(8, 2)]);
    scene.frame(1, 102, 6_000, false);
    assert_eq!(scene.delivered(), [], "the old one is off");
}

#[test]
fn a_lost_publisher_leaves_its_viewers_and_its_picture() {
    let mut scene = Scene::with_publisher(1);
    scene.frame(1, 100, 0, true);
    scene.stage.leave(1, &mut scene.upwards);
    assert!(matches!(scene.upwards.last(), Some(stage::Effect::Away(_))));
    assert_eq!(scene.stage.admit("another"), Ok(()));
    scene.join_and_settle();
    assert_eq!(scene.delivered(), [(100, 0)]);
    scene.publish(2);
    scene.frame(2, 5_000, 77, true);
    assert!(scene.upwards.iter().any(|effect| matches!(effect, stage::Effect::Up(_))));
    assert_eq!(scene.delivered(), [(5_000, 1)]);
}

#[test]
fn who_lost_its_way_is_served_from_the_cache_before_the_publisher_is_asked() {
    let mut scene = Scene::with_publisher(1);
    scene.frame(1, 100, 0, true);
    scene.join_and_settle();
    scene.frame(1, 101, 3_600, false);
    assert_eq!(scene.delivered(), [(100, 0), (101, 1)]);
    scene.after(300);
    scene.request_keyframe();
    assert_eq!(scene.delivered(), [(100, 2)], "again, as something new");
    scene.after(10);
    assert_eq!(scene.delivered(), [(101, 3)]);
    scene.after(90);
    scene.request_keyframe();
    assert_eq!(scene.delivered(), [], "it was served just now");
    scene.after(100);
    assert_eq!(scene.asked(), 1, "the cache did not help");
}

#[test]
fn while_nothing_arrives_nobody_is_shown_the_past_again() {
    let mut scene = Scene::with_publisher(1);
    scene.frame(1, 100, 0, true);
    scene.join_and_settle();
    scene.delivered();
    scene.after(3_000);
    scene.request_keyframe();
    assert_eq!(scene.delivered(), []);
}

#[test]
fn requests_of_all_viewers_are_merged() {
    let mut scene = Scene::with_publisher(1);
    scene.frame(1, 100, 0, true);
    scene.join_and_settle();
    scene.asked();
    for _ in 0..10 {
        scene.request_keyframe();
    }
    assert_eq!(scene.asked(), 0, "the keyframe is young");
    scene.after(490);
    assert_eq!(scene.asked(), 1);
    scene.after(499);
    assert_eq!(scene.asked(), 0);
    let due = scene.stage.poll_timeout().map(|(at, _)| at);
    assert_eq!(due, Some(scene.now + Duration::from_millis(1)));
    scene.after(1);
    assert_eq!(scene.asked(), 1, "unanswered, it is asked again");
    scene.frame(1, 101, 3_000, true);
    scene.after(5_000);
    assert_eq!(scene.asked(), 0);
}

#[test]
fn an_old_cached_keyframe_is_shown_and_a_new_one_asked_for() {
    let mut scene = Scene::with_publisher(1);
    scene.frame(1, 100, 0, true);
    scene.after(1_500);
    scene.asked();
    scene.join();
    assert_eq!(scene.asked(), 1);
    scene.after(10);
    assert_eq!(scene.delivered(), [(100, 0)]);
}

#[test]
fn another_ssrc_of_the_same_publisher_begins_at_its_keyframe() {
    let mut scene = Scene::with_publisher(1);
    scene.frame(1, 100, 0, true);
    scene.join_and_settle();
    scene.delivered();
    let mut other = Arc::into_inner(video(9, 1, false)).expect("the only owner");
    other.ssrc = 8;
    scene.packet(1, &Arc::new(other));
    assert_eq!(scene.delivered(), []);
}

#[test]
fn a_frame_goes_out_whole_and_waits_no_longer_than_it_may() {
    let part = |seq, ts, marker| {
        let mut part = Arc::into_inner(video(seq, ts, false)).expect("the only owner");
        part.marker = marker;
        Arc::new(part)
    };
    let mut scene = Scene::with_publisher(1);
    scene.frame(1, 100, 0, true);
    scene.join_and_settle();
    scene.delivered();
    let send = |scene: &mut Scene, packet: Arc<Packet>| scene.packet(1, &packet);
    send(&mut scene, part(101, 3_000, false));
    send(&mut scene, part(102, 3_000, false));
    assert_eq!(scene.delivered(), []);
    send(&mut scene, part(103, 3_000, true));
    assert_eq!(scene.delivered(), [(101, 1), (102, 2), (103, 3)]);
    send(&mut scene, part(104, 6_000, false));
    assert_eq!(scene.stage.poll_timeout(), Some((scene.now + FRAME_HOLD, "frame")));
    scene.after(2);
    assert_eq!(scene.delivered(), [(104, 4)], "its rest is late");
    send(&mut scene, part(105, 6_000, false));
    send(&mut scene, part(106, 9_000, false));
    assert_eq!(scene.delivered(), [(105, 5)], "another frame has begun");
}

#[test]
fn what_a_viewer_lost_is_sent_again_once_in_a_round_trip() {
    let mut scene = Scene::with_publisher(1);
    scene.frame(1, 100, 0, true);
    scene.join_and_settle();
    for n in 1..=20u64 {
        scene.frame(1, 100 + n, n * 3_000, false);
    }
    scene.delivered();
    scene.lose(3, 0b101);
    assert_eq!(scene.resent(), [(103, 3), (104, 4), (106, 6)]);
    scene.after(39);
    scene.lose(3, 0b11);
    assert_eq!(scene.resent(), [(105, 5)], "the others are under way");
    scene.after(1);
    scene.lose(3, 0);
    assert_eq!(scene.resent(), [(103, 3)]);
    scene.lose(21, 0xffff);
    assert_eq!(scene.resent(), [], "what was never sent");
    scene.hall.lost(
        VIEWER + 1,
        Loss { first: 3, others: 0, round_trip: Duration::ZERO },
        scene.now,
        &mut scene.effects,
    );
    assert_eq!(scene.resent(), [], "nobody's");
}

/// Every tenth packet is lost, and asked for ten times a second for as long as the viewer remembers.
#[test]
fn who_never_notices_what_came_again_still_gets_everything() {
    let mut scene = Scene::with_publisher(1);
    scene.frame(1, 100, 0, true);
    scene.join_and_settle();
    let mut again = std::collections::BTreeMap::new();
    for n in 1..=2_000u16 {
        scene.now += Duration::from_millis(10);
        scene.frame(1, 100 + u64::from(n), u64::from(n) * 900, false);
        if n % 10 == 0 {
            for lost in (n.saturating_sub(500).max(10)..=n).step_by(10) {
                scene.lose(lost, 0);
            }
        }
        for (_, place) in scene.resent() {
            *again.entry(place).or_insert(0) += 1;
        }
    }
    assert_eq!(again.len(), 200, "each at least once");
    assert!(again.values().all(|times| *times <= MAX_RESENDS_OF_ONE));
}

#[test]
fn a_viewer_that_asks_for_everything_again_gets_a_fifth() {
    let mut scene = Scene::with_publisher(1);
    scene.frame(1, 100, 0, true);
    scene.join_and_settle();
    let mut resent = 0;
    for n in 1..=2_000u16 {
        scene.now += Duration::from_millis(100);
        scene.frame(1, 100 + u64::from(n), u64::from(n) * 9_000, false);
        scene.lose(n.saturating_sub(16), 0xffff);
        resent += scene.resent().len();
    }
    let fifth = 2_000 / PACKETS_PER_RESEND as usize;
    assert!((fifth..=fifth + RESEND_BURST as usize + 1).contains(&resent), "{resent} of 2,000");
}

#[test]
fn what_was_lost_of_one_stream_is_not_answered_from_another() {
    let mut scene = Scene::with_publisher(1);
    scene.frame(1, 100, 0, true);
    scene.join_and_settle();
    scene.frame(1, 101, 3_000, false);
    scene.delivered();
    // The same publisher goes on with another stream that counts from the same numbers, and not with a keyframe.
    let of_another = |seq, ts| {
        let mut packet = Arc::into_inner(video(seq, ts, false)).expect("the only owner");
        packet.ssrc = 8;
        Arc::new(packet)
    };
    for (seq, ts) in [(100, 50_000), (101, 53_000)] {
        scene.packet(1, &of_another(seq, ts));
    }
    scene.lose(0, 1);
    assert_eq!(scene.resent(), [], "one number never stands for two packets");
}

/// Three layers for so many frames of 40 ms; the first of each is a keyframe.
fn three_layers(scene: &mut Scene, first: u64, frames: u64) {
    for n in first..first + frames {
        scene.now += Duration::from_millis(40);
        for layer in 0..3 {
            scene.layer_frame(layer, 100 + n, n * 3_600, n == first);
        }
        scene.after(0);
    }
}

#[test]
fn a_newcomer_sees_the_middle_layer_and_the_largest_when_nothing_went_wrong() {
    let mut scene = Scene::with_publisher(1);
    three_layers(&mut scene, 0, 5);
    scene.join_and_settle();
    let layers = |delivered: &[(u64, u64)]| delivered.iter().map(|(seq, _)| seq / 10_000).collect::<Vec<_>>();
    assert_eq!(layers(&scene.delivered()), [1], "the cached keyframe");
    three_layers(&mut scene, 5, 90);
    assert_eq!(layers(&scene.delivered())[4..], [1; 90], "for some seconds");
    three_layers(&mut scene, 95, 25);
    three_layers(&mut scene, 120, 10);
    let delivered = scene.delivered();
    assert_eq!(layers(&delivered)[26..], [2; 10], "from its keyframe on");
    let numbers: Vec<u64> = delivered.iter().map(|(_, place)| *place).collect();
    assert!(numbers.windows(2).all(|two| two[1] == two[0] + 1), "without a hole: {numbers:?}");
}

#[test]
fn a_viewer_with_a_narrow_way_comes_down_at_a_keyframe_and_a_keyframe_is_asked_for() {
    let mut scene = Scene::with_publisher(1);
    three_layers(&mut scene, 0, 1);
    scene.join_and_settle();
    three_layers(&mut scene, 1, 30);
    scene.delivered();
    scene.asked();
    scene.hall.hear(VIEWER, Word::Lost(60), scene.now);
    scene.after(250);
    let asked: Vec<_> = scene.upwards.iter().map(|effect| format!("{effect:?}")).collect();
    assert_eq!(asked, ["AskKeyframe(1, 0)"]);
    scene.layer_frame(1, 200, 200 * 3_600, false);
    assert_eq!(scene.delivered().len(), 1, "until then the large one goes on");
    scene.layer_frame(0, 201, 201 * 3_600, true);
    scene.layer_frame(1, 201, 201 * 3_600, false);
    assert_eq!(scene.delivered().iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [201]);
}

#[test]
fn a_viewer_sees_the_size_that_it_chose_whatever_its_network_says() {
    let mut scene = Scene::with_publisher(1);
    three_layers(&mut scene, 0, 1);
    scene.join_and_settle();
    let choose = |scene: &mut Scene, choice| {
        scene.hall.set_choice(VIEWER, choice, scene.now, &mut scene.effects);
        scene.settle();
    };
    let mut first = 1;
    let mut last_place = None;
    for (choice, layer) in [(Choice::Low, 0), (Choice::High, 2), (Choice::Middle, 1)] {
        choose(&mut scene, choice);
        three_layers(&mut scene, first, 5);
        scene.hall.hear(VIEWER, Word::Lost(255), scene.now);
        scene.hall.hear(VIEWER, Word::Estimate(1), scene.now);
        three_layers(&mut scene, first + 5, 50);
        first += 55;
        let delivered = scene.delivered();
        assert!(delivered[10..].iter().all(|(seq, _)| seq / 10_000 == layer), "{choice:?}: {delivered:?}");
        for (_, place) in delivered {
            assert!(last_place.is_none_or(|last| place == last + 1), "a hole before {place}");
            last_place = Some(place);
        }
        let current = scene.hall.choices(VIEWER, scene.now);
        assert_eq!(current, Choices { layers: 3, current: Some(choice), chosen: choice });
    }
    assert_eq!(scene.hall.choices(VIEWER + 1, scene.now), Choices { layers: 3, ..Choices::default() });
}

#[test]
fn another_server_gets_the_largest_for_its_viewers() {
    let mut scene = Scene::with_publisher(1);
    three_layers(&mut scene, 0, 1);
    scene.hall.join(VIEWER, true, 0, scene.now, &mut scene.effects);
    scene.after(20);
    three_layers(&mut scene, 1, 5);
    scene.delivered();
    scene.hall.hear(VIEWER, Word::Lost(255), scene.now);
    three_layers(&mut scene, 6, 30);
    assert!(scene.delivered()[1..].iter().all(|(seq, _)| seq / 10_000 == 2));
}

#[test]
fn a_layer_that_is_no_longer_sent_is_left_for_one_that_is() {
    let mut scene = Scene::with_publisher(1);
    three_layers(&mut scene, 0, 1);
    scene.join_and_settle();
    three_layers(&mut scene, 1, 30);
    scene.delivered();
    for n in 0..60u64 {
        scene.now += Duration::from_millis(40);
        scene.layer_frame(0, 300 + n, (300 + n) * 3_600, n == 50);
        scene.after(0);
    }
    assert_eq!(scene.delivered().len(), 10, "from the smallest one's keyframe on");
}

#[test]
fn a_publisher_of_one_layer_takes_over_from_one_of_three() {
    let mut scene = Scene::with_publisher(1);
    three_layers(&mut scene, 0, 1);
    scene.join_and_settle();
    three_layers(&mut scene, 1, 30);
    let last = scene.delivered().last().expect("a picture").1;
    scene.publish(2);
    scene.frame(2, 7, 5, true);
    scene.frame(2, 8, 3_605, false);
    assert_eq!(scene.delivered(), [(7, last + 1), (8, last + 2)]);
}
