//! Offers as OBS posts them (`tests/stories/fixtures/offers/README.md` says where they come from), and a publisher that
//! behaves as OBS does.

use std::time::{Duration, Instant};

use hanamichi::media::MediaEvent;
use reqwest::{StatusCode, header};

use crate::{RECOVERY, SHOWN, Server, impair::Weather, obs::Obs, whip_rules::sections};

const OFFERS: [(&str, &str, usize); 3] = [
    ("30.1", include_str!("../stories/fixtures/offers/obs-30.1.sdp"), 1),
    ("32", include_str!("../stories/fixtures/offers/obs-32.sdp"), 1),
    ("32, three layers", include_str!("../stories/fixtures/offers/obs-32-simulcast.sdp"), 3),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_obs_offers_is_answered_as_obs_reads_it() {
    let server = Server::start().await;
    let http = reqwest::Client::new();
    // Four are the most that OBS can be set to.
    let four = OFFERS[2].1.replace("a=simulcast:send 0;1;2", "a=rid:3 send\r\na=simulcast:send 0;1;2;3");
    for (version, offer, layers) in OFFERS.into_iter().chain([("32, four layers", four.as_str(), 4)]) {
        let request = http.post(server.whip()).bearer_auth("hana").header(header::CONTENT_TYPE, "application/sdp");
        let response = request.body(offer.to_owned()).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::CREATED, "{version}");
        let location = response.headers()[header::LOCATION].to_str().expect("text").to_owned();
        assert!(location.starts_with("/v1/whip/"), "OBS puts a path after the address that it posted to");
        let answer = response.text().await.expect("a body");
        let (session, media) = sections(&answer);
        assert!(session.contains(&"a=group:BUNDLE 0 1") && session.contains(&"a=ice-lite"), "{version}: {answer}");
        assert_eq!(media.len(), 2, "{version}: {answer}");
        for (section, (kind, codec)) in
            media.iter().zip([("m=audio", "a=rtpmap:111 opus/48000/2"), ("m=video", "a=rtpmap:96 H264/90000")])
        {
            let has = |line: &str| section.contains(&line);
            assert!(section[0].starts_with(kind) && !section[0].starts_with(&format!("{kind} 0 ")), "{answer}");
            assert_eq!(section[0].split(' ').count(), 4, "one codec and no RTX: {answer}");
            assert!(has("a=recvonly") && has("a=setup:passive") && has("a=rtcp-mux") && has(codec), "{answer}");
        }
        let fmtp = media[1].iter().find(|line| line.starts_with("a=fmtp:96 ")).expect("a format");
        assert!(fmtp.contains("packetization-mode=1") && fmtp.contains("profile-level-id=42"), "{fmtp}");
        assert!(media[1].contains(&"a=rtcp-fb:96 nack"), "what is lost is asked for again: {answer}");
        let port = server.media.addresses()[0].port().to_string();
        assert!(media[0].iter().any(|line| line.starts_with("a=candidate:") && line.contains(&port)), "{answer}");
        // OBS does not go on air with fewer layers than it was set to; with one it never looks.
        let names: Vec<String> = (0..layers).map(|layer| layer.to_string()).collect();
        let has_name = |name: &String| answer.contains(&format!("a=rid:{name} recv\r\n"));
        let has_all = answer.contains(&format!("a=simulcast:recv {}\r\n", names.join(";")));
        assert_eq!((names.iter().all(has_name), has_all), (layers > 1, layers > 1), "{version}: {answer}");
        let session = http.delete(format!("{}{location}", server.origin)).send().await.expect("an answer");
        assert_eq!(session.status(), StatusCode::OK, "OBS takes nothing else for an end");
    }
    server.media.stop().await;
}

/// Packets that OBS's encoders make before its transport stands.
const LOST_AT_FIRST: usize = 50;
/// From the offer to the picture; most of it is the client's own, whose checks are 200 ms apart.
const AT_ONCE: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_in_the_middle_of_a_group_of_obs_sees_it_at_once() {
    let mut server = Server::start().await;
    let obs = Obs::start(&server.whip(), "hana", LOST_AT_FIRST).await.expect("on air");
    server.expect(MediaEvent::Up(server.live.clone())).await;
    let early = server.watcher().await;
    early.until("a picture", |w| w.frames() > 5).await;
    let mut quickest = Duration::MAX;
    for _ in 0..2 {
        // A keyframe is a second old, the next one a second away.
        let keyframe_at = obs.asked(|asked| asked.keyframe_at).expect("there was one");
        early.until("the next group", |_| obs.asked(|asked| asked.keyframe_at) != Some(keyframe_at)).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let group = obs.asked(|asked| asked.keyframe_at).expect("there was one");
        let posted = Instant::now();
        let late = server.watcher().await;
        late.until("its first picture", |w| w.frames() >= 1).await;
        let (took, first) = (posted.elapsed(), late.video()[0]);
        assert_eq!(obs.asked(|asked| asked.keyframe_at), Some(group), "it did not wait for the next keyframe");
        eprintln!(
            "a picture {:?} after the offer ({took:?} seen from outside), group {:?} old",
            first.after,
            group.elapsed()
        );
        assert!(first.is_key, "{first:?}");
        quickest = quickest.min(first.after);
        late.until("the present", |w| w.frames() > 24).await;
        assert_eq!(late.gaps_and_repeats(), (0, 0));
        late.end().await;
    }
    assert!(quickest < AT_ONCE, "{quickest:?}");
    assert_eq!(obs.asked(|asked| asked.dropped), LOST_AT_FIRST);
    assert_eq!(early.gaps_and_repeats(), (0, 0), "the beginning that never came is nobody's hole");
    assert_eq!(obs.end().await, StatusCode::OK);
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_obs_loses_on_the_way_it_sends_again_as_it_was() {
    let mut server = Server::start().await;
    let network = server.behind(7, Weather { lost_to_server: 30, ..Weather::FAIR }).await;
    let whip = format!("{}/via/{}/{}/whip", server.origin, network.address().port(), server.live);
    let obs = Obs::start(&whip, "hana", LOST_AT_FIRST).await.expect("on air");
    server.expect(MediaEvent::Up(server.live.clone())).await;
    let watcher = server.watcher().await;
    watcher.until("a picture", |w| w.frames() >= 1).await;
    watcher.ask_keyframe().await;
    tokio::time::sleep(SHOWN).await;
    network.change(Weather::FAIR);
    tokio::time::sleep(RECOVERY).await;
    let ((whole, broken), counted) = (watcher.whole_and_broken(), network.counted());
    eprintln!("{whole} frames whole, {broken} not; {counted:?}; {:?}", obs.asked(|asked| format!("{asked:?}")));
    assert!(counted.lost_to_server > 10, "the weather was bad");
    assert!(obs.asked(|asked| asked.nacks > 5 && asked.resent > 5), "it was asked, and sent the same packets again");
    assert!(whole > 90 && broken * 100 <= whole + broken, "99 % of the frames came in the end");
    assert_eq!(obs.end().await, StatusCode::OK);
    server.media.stop().await;
}
