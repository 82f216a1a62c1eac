//! ICE restarts (RFC 9725, section 4.3.3), seen by peers that move to other sockets while they watch or publish.

use std::time::{Duration, Instant};

use hanamichi::media::MediaEvent;
use reqwest::StatusCode;
use webrtc::peer_connection::RTCPeerConnectionState;

use crate::{
    Server,
    obs::Obs,
    peer::{Session, Watcher},
};

const PASSWORD: &str = "abcdefghijklmnopqrstuvwx";
/// Longer than a client bears without an answer to its checks.
const CONSENT: Duration = Duration::from_secs(8);

/// A restart whose answer never reaches the client.
async fn restart_in_vain(session: &Session, ufrag: &str) -> String {
    let fragment = format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:{PASSWORD}\r\n");
    let response = session.patch("*", &fragment).await;
    assert_eq!(response.status(), StatusCode::OK);
    response.headers()["etag"].to_str().expect("text").to_owned()
}

async fn seen_again(watcher: &Watcher) -> Duration {
    let (since, frames) = (Instant::now(), watcher.frames());
    watcher.until("two seconds more", |w| w.frames() > frames + 48).await;
    since.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_restarts_and_sees_on_from_another_address() {
    let mut server = Server::start().await;
    let publisher = server.publisher().await;
    let mut watcher = server.watcher().await;
    watcher.until("a picture", |w| w.frames() > 24 && w.audio_packets() > 24).await;
    let (before, old_tag, old_answer) =
        (watcher.video().len(), watcher.session.etag.clone(), watcher.session.answer.clone());
    watcher.session.restart(|answer| answer).await;
    let (took, sounds) = (seen_again(&watcher).await, watcher.audio_packets());
    watcher.until("sound", |w| w.audio_packets() > sounds + 24).await;
    let video = watcher.video();
    let gap = video[before].after.saturating_sub(video[before - 1].after);
    eprintln!("two seconds of picture took {took:?}, the longest silence was about {gap:?}");
    // The old sockets are closed: whatever came, came to new ones. Nothing was renegotiated and no number used twice.
    let (gaps, repeats) = watcher.gaps_and_repeats();
    assert!(gaps < 200 && repeats == 0, "{gaps} missing, {repeats} twice");
    let changed = old_answer.lines().zip(watcher.session.answer.lines()).filter(|(old, new)| old != new);
    let changed: Vec<_> = changed.map(|(_, new)| new.split(':').next().expect("a name")).collect();
    assert!(changed.iter().all(|name| ["a=ice-ufrag", "a=ice-pwd", "a=candidate"].contains(name)), "{changed:?}");
    let trickle = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n";
    assert_eq!(watcher.session.patch(&old_tag, trickle).await.status(), StatusCode::PRECONDITION_FAILED);
    assert_eq!(watcher.session.patch(&watcher.session.etag, trickle).await.status(), StatusCode::NO_CONTENT);
    watcher.session.restart(|answer| answer).await;
    seen_again(&watcher).await;
    let stats = server.media.stats().await;
    assert_eq!((stats.sessions, stats.lives[0].viewers), (2, 1), "the same session");
    assert_eq!(watcher.end().await, StatusCode::OK);
    publisher.end().await;
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_restarts_and_stays_on_air() {
    let mut server = Server::start().await;
    let mut publisher = Obs::start(&server.whip(), "hana", 0).await.expect("on air");
    server.expect(MediaEvent::Up(server.live.clone())).await;
    let watcher = server.watcher().await;
    watcher.until("a picture", |w| w.frames() > 24).await;
    for _ in 0..2 {
        publisher.session.restart(|answer| answer).await;
        let took = seen_again(&watcher).await;
        eprintln!("two seconds of picture took {took:?}");
    }
    // The server's own words reach the publisher where it is now: what is lost on the way is asked for again.
    assert!(server.events.try_recv().is_err(), "it was never away");
    assert_eq!(server.media.stats().await.sessions, 2);
    assert_eq!(publisher.end().await, StatusCode::OK);
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_fails_costs_nothing() {
    let mut server = Server::start().await;
    let mut publisher = Obs::start(&server.whip(), "hana", 0).await.expect("on air");
    server.expect(MediaEvent::Up(server.live.clone())).await;
    let mut watcher = server.watcher().await;
    watcher.until("a picture", |w| w.frames() > 24).await;
    for session in [&publisher.session, &watcher.session] {
        for rubbish in ["", "hello", "a=ice-ufrag:abcdefgh\r\n", "a=ice-ufrag:a\r\na=ice-pwd:b\r\n", "a=x\r\n"] {
            let refused = session.patch("*", rubbish).await;
            assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{rubbish:?}");
            assert!(refused.headers().get("etag").is_none());
        }
        // The client never hears of these, and goes on under its old name.
        let (one, other) = (restart_in_vain(session, "lost").await, restart_in_vain(session, "also").await);
        assert_ne!(one, other);
        let late = session.patch(&one, "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n").await;
        assert_eq!(late.status(), StatusCode::PRECONDITION_FAILED, "of a generation that was given up");
    }
    let frames = watcher.frames();
    tokio::time::sleep(CONSENT).await;
    assert!(watcher.frames() > frames + 24 * 6, "the picture never stopped");
    let states = [watcher.state().expect("it is connected"), publisher.state()];
    assert_eq!(states, [RTCPeerConnectionState::Connected; 2], "the old checks were answered all the while");
    assert!(server.events.try_recv().is_err(), "nobody was away");
    publisher.session.restart(|answer| answer).await;
    watcher.session.restart(|answer| answer).await;
    seen_again(&watcher).await;
    assert_eq!(server.media.stats().await.sessions, 2);
    assert_eq!(watcher.end().await, StatusCode::OK);
    assert_eq!(publisher.end().await, StatusCode::OK);
    server.media.stop().await;
}
