//! Two nodes over one database and one bus: what is ordered on one holds on the other.

use std::time::Duration;

use super::{
    tests::{House, Watcher},
    *,
};
use crate::{bus::Fact, ids::QuestionId, wire::server_frame::Body};

/// A house, and its second node.
async fn two_nodes() -> (House, Lives) {
    let house = House::new().await;
    house.start().await;
    let second = house.beside();
    (house, second)
}

/// Asks again until it is so.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), looking).await.unwrap_or_else(|_| panic!("never: {what}"))
}

fn refusal(error: &LiveError) -> Option<ModerationRefusal> {
    match error {
        LiveError::Moderation(refusal) => Some(*refusal),
        _ => None,
    }
}

async fn asked(lives: &Lives, house: &House, viewer: usize) -> QuestionId {
    lives.ask(&house.live, &house.viewers[viewer], "これは？", None).await.expect("asked").id
}

#[tokio::test]
async fn a_mute_and_its_end_reach_the_other_node() {
    let (house, second) = two_nodes().await;
    let muted = &house.viewers[0];
    let target = Target::Question(asked(&house.lives, &house, 0).await);
    let mut there = Watcher::join_at(&second, &house, Some(muted), Codec::Proto).await;
    there.until("a standing", |w| w.standing.role == "viewer").await;
    let new = NewMute { target, duration_s: None, everywhere: false };
    let mute = house.lives.mute(&house.host, &house.live, &new).await.expect("muted");
    there.until("the mute", |w| w.standing.muted_until_ms == -1).await;
    let refused = second.chat(&house.live, muted, "ねえ").await.expect_err("muted");
    assert_eq!(refusal(&refused), Some(ModerationRefusal::Muted { retry_after_ms: None }));
    house.lives.unmute(&house.host, &house.live, &mute.id).await.expect("lifted");
    there.until("the end of it", |w| w.standing.muted_until_ms == 0).await;
    second.chat(&house.live, muted, "ねえ").await.expect("may talk");
    // Told twice and late, an old order changes nothing.
    let late = Fact::Moderation { liver: house.liver().clone(), version: 1 };
    house.bus.publish(late).await.expect("the bus is up");
    second.chat(&house.live, muted, "まだいる").await.expect("may talk");
}

#[tokio::test]
async fn a_ban_by_address_learns_the_address_where_its_person_is() {
    let (house, second) = two_nodes().await;
    let (banned, neighbour) = (&house.viewers[0], &house.viewers[1]);
    let place = [192, 0, 2, 7].into();
    let target = Target::Question(asked(&house.lives, &house, 0).await);
    let mut sits = second.join(&house.live, Some(banned.clone()), Codec::Json, 1).await.expect("a seat");
    sits.begin(None);
    sits.member().came_from(place);
    second.may_enter(&house.live, Some(neighbour), place).await.expect("nobody is banned");
    let new = NewBan { target, with_address: true, delete_lines: false };
    house.lives.ban(&house.host, &house.live, &new).await.expect("banned");
    let last = loop {
        let (messages, dismissal) = sits.next().await;
        if dismissal == Some(Dismissal::Banned) {
            break messages.last().expect("a goodbye").clone();
        }
    };
    let goodbye = Codec::Json.decode_server(&last).expect("ours").body;
    let Some(Body::Goodbye(goodbye)) = goodbye else { panic!("a goodbye") };
    assert_eq!((goodbye.reason.as_str(), goodbye.reconnect_after_ms), ("banned", -1));
    for lives in [&second, &house.lives] {
        let kept_out = async || {
            let refused = lives.may_enter(&house.live, Some(neighbour), place).await.err()?;
            (refusal(&refused) == Some(ModerationRefusal::Banned)).then_some(())
        };
        eventually("the address is known on both nodes", kept_out).await;
        lives.may_enter(&house.live, Some(neighbour), [192, 0, 2, 8].into()).await.expect("another household");
        lives.may_enter(&house.live, Some(&house.host), place).await.expect("the liver is never kept out");
    }
}

#[tokio::test]
async fn followers_moderators_votes_and_words_reach_the_other_node() {
    let (house, second) = two_nodes().await;
    let (fan, other) = (&house.viewers[0], &house.viewers[1]);
    let mut there = Watcher::join_at(&second, &house, Some(fan), Codec::Json).await;
    house.lives.follow(house.liver(), fan, Following::Yes).await.expect("a liver");
    there.until("they follow", |w| w.standing.following).await;
    let email = fan.account_id.to_string();
    house.lives.name_moderator(&house.host, &email).await.expect("they have an account");
    there.until("they moderate", |w| w.standing.role == "moderator").await;
    let words = ["だめ".to_owned()];
    house.lives.add_words(fan, house.liver(), &words).await.expect("a moderator may");
    let refused = async || refusal(&second.chat(&house.live, other, "ダメ").await.err()?);
    assert_eq!(eventually("the word", refused).await, ModerationRefusal::WordRefused);
    // Votes from both nodes are in the snapshots of both, without a query.
    let first = house.lives.ask(&house.live, &house.viewers[2], "色は？", None).await.expect("asked").id;
    let double = second.ask(&house.live, other, "何色ですか？", None).await.expect("asked").id;
    house.lives.upvote(&first, other).await.expect("voted");
    second.upvote(&double, fan).await.expect("voted");
    house.lives.merge_question(&house.host, &double, &first).await.expect("merged");
    for lives in [&house.lives, &second] {
        for voter in [fan, other] {
            let upvoted = async || {
                let watcher = Watcher::join_at(lives, &house, Some(voter), Codec::Proto).await;
                (watcher.upvoted == [first.to_string()]).then_some(())
            };
            eventually("the vote", upvoted).await;
        }
    }
}

#[tokio::test]
async fn a_room_that_opens_while_it_is_ordered_ends_with_the_newest_order() {
    let (house, _) = two_nodes().await;
    let target = Target::Question(asked(&house.lives, &house, 0).await);
    let new = NewMute { target, duration_s: None, everywhere: true };
    for _ in 0..20 {
        let node = house.beside();
        let (muted, opened) = tokio::join!(
            house.lives.mute(&house.host, &house.live, &new),
            node.join(&house.live, Some(house.viewers[0].clone()), Codec::Json, 1),
        );
        let (mute, _seat) = (muted.expect("muted"), opened.expect("a seat"));
        let refused = async || {
            let refused = node.chat(&house.live, &house.viewers[0], "ねえ").await.err()?;
            matches!(refusal(&refused)?, ModerationRefusal::Muted { .. }).then_some(())
        };
        eventually("the mute", refused).await;
        house.lives.unmute(&house.host, &house.live, &mute.id).await.expect("lifted");
    }
}
