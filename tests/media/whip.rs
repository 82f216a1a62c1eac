//! What RFC 9725 (WHIP) and draft-ietf-wish-whep ask of a server.
//!
//! | section | what | test |
//! |---|---|---|
//! | 4.1; WHEP 4.1, 4.2 | GET: a 2xx without content; HEAD names a WHEP endpoint; no other methods | `nothing_is_to_be_seen_by_get` |
//! | 4.2; WHEP 4.3 | POST: 201, `application/sdp`, Location; 4xx for other types and malformed SDP | `an_offer_is_answered_whole`, `what_cannot_be_answered_is_refused` |
//! | 4.2; WHEP 4.3.5 | answers go one way, whatever is offered; the other way is refused | `an_answer_goes_one_way` |
//! | 4.2 | DELETE frees the session, whatever the tag; then 404 | `a_session_ends_once` |
//! | 4.2 | OPTIONS: 200, Accept-Post, CORS; errors may be read by other origins | `other_origins_may_call` |
//! | 4.3.1 | PATCH: strong ETag; 415, 400, 428, 412 | `candidates_are_taken_under_the_tag` |
//! | 4.3.2 | trickle: 204, no ETag; what is not understood is no error | `candidates_are_taken_under_the_tag` |
//! | 4.3.3 | ICE restart: 200, new ETag, fragment; a failed one keeps the session | `tests/media/restart.rs`, `a_restart_is_answered_in_full`, `restarts_have_a_bound` |
//! | 4.4.1 | BUNDLE, rtcp-mux, rtcp-mux-only | `an_offer_is_answered_whole`, `what_cannot_be_answered_is_refused` |
//! | 4.4.2 | one MediaStream, one track of a kind | `what_cannot_be_answered_is_refused`, `a_viewer_gets_one_stream` |
//! | 4.4.3 | no answer in part: 406 | `what_cannot_be_answered_is_refused` |
//! | 4.4.4 | DTLS: `actpass` and `active` are answered `passive` | `an_offer_is_answered_whole` |
//! | 4.6 | `Link`: STUN and TURN | `tests/stories/whip.rs` |
//! | 4.7 | bearer token: 401 | `tests/stories/whip.rs` |
//! | 4.8 | simulcast that is not accepted is not in the answer | `tests/media/obs_offers.rs` |
//! | 5 | a session's path cannot be guessed | `an_offer_is_answered_whole` |
//! | WHEP 4.3 | before the publisher: 409 and Retry-After; full: 503 and Retry-After | `who_comes_too_early_or_too_late_is_told_when_to_return` |
//! | 4.1 of both | one publisher: another key is 409, the same takes over | `tests/media.rs` |

use hanamichi::media::{MAX_SDP_BYTES, MediaConfig, MediaEvent};
use reqwest::{Method, Response, StatusCode};

use crate::{Server, obs::Obs};

const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const CANDIDATE: &str = "a=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host\r\n";

/// As a browser offers it.
const OFFER: &str = include_str!("../stories/fixtures/offers/browser.sdp");

/// The lines before the media, and those of each.
pub(crate) fn sections(sdp: &str) -> (Vec<&str>, Vec<Vec<&str>>) {
    let mut parts: Vec<Vec<&str>> = vec![Vec::new()];
    for line in sdp.lines() {
        if line.starts_with("m=") {
            parts.push(Vec::new());
        }
        parts.last_mut().expect("one at least").push(line);
    }
    let media = parts.split_off(1);
    (parts.remove(0), media)
}

fn text<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

async fn send(method: Method, url: &str, headers: &[(&str, &str)], body: &str) -> Response {
    let request = reqwest::Client::new().request(method, url).body(body.to_owned());
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.expect("an answer")
}

async fn post(url: &str, offer: &str) -> Response {
    send(Method::POST, url, &[("content-type", "application/sdp"), ("authorization", "Bearer hana")], offer).await
}

impl Server {
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// A live with a picture.
    async fn on_air() -> (Self, Obs) {
        let mut server = Self::start().await;
        let obs = Obs::start(&server.whip(), "hana", 0).await.expect("on air");
        server.expect(MediaEvent::Up(server.live.clone())).await;
        (server, obs)
    }
}

fn watching(offer: &str) -> String {
    offer.replace("a=sendonly", "a=recvonly")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_to_be_seen_by_get() {
    let (server, obs) = Server::on_air().await;
    let session = obs.session.resource.to_string();
    for url in [server.whip(), server.whep(), session.clone(), session.replace("whip", "whep")] {
        for method in [Method::GET, Method::HEAD] {
            let response = send(method.clone(), &url, &[], "").await;
            assert!(response.status().is_success(), "{method} {url}: {}", response.status());
            let is_whep_endpoint = text(&response, "content-type") == "application/sdp";
            assert_eq!(is_whep_endpoint, url.ends_with("/whep"), "{url}");
            assert!(response.bytes().await.expect("a body").is_empty());
        }
        assert_eq!(send(Method::PUT, &url, &[], "").await.status(), StatusCode::METHOD_NOT_ALLOWED, "{url}");
    }
    assert_eq!(send(Method::PATCH, &server.whip(), &[], "").await.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(send(Method::POST, &session, &[], "").await.status(), StatusCode::METHOD_NOT_ALLOWED);
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_is_answered_whole() {
    let server = Server::start().await;
    let mut locations = std::collections::HashSet::new();
    for setup in ["actpass", "active"] {
        let offer = OFFER.replace("a=setup:actpass", &format!("a=setup:{setup}"));
        let response = post(&server.whip(), &offer).await;
        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(text(&response, "content-type"), "application/sdp");
        assert_eq!(text(&response, "accept-patch"), FRAGMENT);
        let etag = text(&response, "etag");
        assert!(etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"'), "strong: {etag}");
        let location = text(&response, "location").to_owned();
        assert!(location.len() >= "/v1/whip/".len() + 26, "130 random bits at least: {location}");
        assert!(locations.insert(location));
        let answer = response.text().await.expect("a body");
        let (session, media) = sections(&answer);
        assert!(session.contains(&"a=ice-lite") && session.contains(&"a=group:BUNDLE 0 1"), "{answer}");
        for section in &media {
            for line in ["a=setup:passive", "a=recvonly", "a=rtcp-mux", "a=rtcp-mux-only"] {
                assert!(section.contains(&line), "{line} is not in {answer}");
            }
        }
        let candidates = media[0].iter().filter(|line| line.starts_with("a=candidate:") && line.contains(" udp "));
        assert_eq!(candidates.count(), server.media.addresses().len(), "all of ours, nothing trickles: {answer}");
        // What comes first in the answer is what is sent: baseline, and Opus.
        let first = |section: &[&str]| section[0].split(' ').nth(3).expect("a payload type").to_owned();
        assert!(answer.contains(&format!("a=rtpmap:{} opus/48000/2", first(&media[0]))), "{answer}");
        assert!(answer.contains(&format!("a=rtpmap:{} H264/90000", first(&media[1]))), "{answer}");
    }
    let bundle_only = OFFER.replace("m=video 9 ", "m=video 0 ").replace("a=mid:1", "a=mid:1\r\na=bundle-only");
    let response = post(&server.whip(), &bundle_only).await;
    assert_eq!(response.status(), StatusCode::CREATED, "as Firefox bundles");
    assert!(!response.text().await.expect("a body").contains("m=video 0 "));
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_is_refused() {
    let (server, obs) = Server::on_air().await;
    let watching = watching(OFFER);
    let second = |kind: &str| {
        let (head, media) = sections(OFFER);
        let section = media.iter().find(|section| section[0].starts_with(kind)).expect("one");
        let more = section.join("\r\n").replace("a=mid:0", "a=mid:2").replace("a=mid:1", "a=mid:2");
        let head = head.join("\r\n").replace("BUNDLE 0 1", "BUNDLE 0 1 2");
        let media: Vec<String> = media.iter().map(|section| section.join("\r\n")).collect();
        format!("{head}\r\n{}\r\n{more}\r\n", media.join("\r\n"))
    };
    for (what, offer, status) in [
        ("rubbish", "hello".to_owned(), 400),
        ("nothing", String::new(), 400),
        ("half an offer", OFFER[..OFFER.len() / 3].to_owned(), 406),
        ("no codec of ours", OFFER.replace("H264/90000", "H265/90000").replace("VP8/90000", "AV1/90000"), 406),
        ("sound that is not Opus", OFFER.replace("opus/48000/2", "PCMU/8000"), 406),
        ("no BUNDLE", OFFER.replace("a=group:BUNDLE 0 1\r\n", ""), 400),
        ("not all in BUNDLE", OFFER.replace("BUNDLE 0 1", "BUNDLE 1"), 400),
        ("no rtcp-mux", OFFER.replace("a=rtcp-mux\r\n", ""), 400),
        ("two videos", second("m=video"), 400),
        ("two sounds", second("m=audio"), 400),
        ("no ICE", OFFER.replace("a=ice-ufrag:", "a=x-"), 400),
        ("no fingerprint", OFFER.replace("a=fingerprint:", "a=x-"), 400),
        ("too much", format!("{OFFER}{}", "a=x\r\n".repeat(MAX_SDP_BYTES / 5)), 413),
    ] {
        for (url, offer) in [(server.whip(), offer.clone()), (server.whep(), offer.replace("a=sendonly", "a=recvonly"))]
        {
            let response = post(&url, &offer).await;
            assert_eq!(response.status().as_u16(), status, "{what}");
            assert_eq!(text(&response, "content-type"), "application/problem+json", "{what}");
            assert!(response.headers().get("location").is_none(), "{what}");
        }
    }
    for (url, offer) in [(server.whip(), OFFER), (server.whep(), watching.as_str())] {
        for kind in ["application/json", "text/plain", "application/sdpx"] {
            let response = send(Method::POST, &url, &[("content-type", kind)], offer).await;
            assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
        }
        let kind = [("content-type", "Application/SDP; charset=utf-8"), ("authorization", "Bearer hana")];
        assert_eq!(send(Method::POST, &url, &kind, offer).await.status(), StatusCode::CREATED);
    }
    drop(obs);
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_goes_one_way() {
    let (server, obs) = Server::on_air().await;
    let ways = |answer: &str| -> Vec<String> {
        let (_, media) = sections(answer);
        let is_way = |line: &&&str| ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"].contains(line);
        media.iter().flat_map(|section| section.iter().filter(is_way)).map(|way| (*way).to_owned()).collect()
    };
    for (url, good, bad, answered) in [
        (server.whip(), "a=sendonly", "a=recvonly", "a=recvonly"),
        (server.whep(), "a=recvonly", "a=sendonly", "a=sendonly"),
    ] {
        for offered in [&format!("{good}\r\n"), "a=sendrecv\r\n", ""] {
            let response = post(&url, &OFFER.replace("a=sendonly\r\n", offered)).await;
            assert_eq!(response.status(), StatusCode::CREATED, "{url} {offered}");
            let answer = response.text().await.expect("a body");
            assert_eq!(ways(&answer), [answered; 2], "{url} {offered}");
        }
        for offered in [bad, "a=inactive"] {
            let response = post(&url, &OFFER.replace("a=sendonly", offered)).await;
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{url} {offered}");
        }
    }
    drop(obs);
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_gets_one_stream() {
    let (server, obs) = Server::on_air().await;
    let answer = post(&server.whep(), &watching(OFFER)).await.text().await.expect("a body");
    let (_, media) = sections(&answer);
    let streams = media.iter().map(|section| {
        let mut msids = section.iter().filter_map(|line| line.strip_prefix("a=msid:"));
        let (stream, _) = msids.next().and_then(|msid| msid.split_once(' ')).expect("an msid and a track");
        assert!(msids.next().is_none(), "{answer}");
        stream
    });
    let streams: Vec<&str> = streams.collect();
    assert!(streams.len() == 2 && streams[0] == streams[1], "{answer}");
    drop(obs);
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_once() {
    let (server, obs) = Server::on_air().await;
    let created = post(&server.whep(), &watching(OFFER)).await;
    let session = server.url(text(&created, "location"));
    assert_eq!(server.media.stats().await.sessions, 2);
    let delete = || send(Method::DELETE, &session, &[("if-match", "\"stale\"")], "");
    assert_eq!(delete().await.status(), StatusCode::OK, "the tag does not matter");
    assert_eq!(server.media.stats().await.sessions, 1);
    assert_eq!(delete().await.status(), StatusCode::NOT_FOUND);
    let late = send(Method::PATCH, &session, &[("if-match", "*"), ("content-type", FRAGMENT)], CANDIDATE).await;
    assert_eq!(late.status(), StatusCode::NOT_FOUND);
    drop(obs);
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_origins_may_call() {
    let (server, obs) = Server::on_air().await;
    let session = obs.session.resource.to_string();
    for (url, accepts, kind) in [
        (server.whip(), "accept-post", "application/sdp"),
        (server.whep(), "accept-post", "application/sdp"),
        (session.clone(), "accept-patch", FRAGMENT),
        (session.replace("whip", "whep"), "accept-patch", FRAGMENT),
    ] {
        let asked = [("origin", "https://a.example"), ("access-control-request-method", "POST")];
        let response = send(Method::OPTIONS, &url, &asked, "").await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(text(&response, accepts), kind, "{url}");
        assert_eq!(text(&response, "access-control-allow-origin"), "*");
        for word in ["authorization", "content-type", "if-match"] {
            assert!(text(&response, "access-control-allow-headers").contains(word), "{word}");
        }
        for word in ["POST", "PATCH", "DELETE"] {
            assert!(text(&response, "access-control-allow-methods").contains(word), "{word}");
        }
        for method in [Method::GET, Method::PUT, Method::POST, Method::PATCH] {
            let response = send(method.clone(), &url, &[], "").await;
            assert_eq!(text(&response, "access-control-allow-origin"), "*", "{method} {url} {}", response.status());
            for word in ["location", "etag", "link", "retry-after"] {
                assert!(text(&response, "access-control-expose-headers").contains(word), "{word}");
            }
        }
    }
    drop(obs);
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn candidates_are_taken_under_the_tag() {
    let (server, obs) = Server::on_air().await;
    let created = post(&server.whep(), &watching(OFFER)).await;
    let (watching, tag) = (server.url(text(&created, "location")), text(&created, "etag").to_owned());
    let (publishing, own) = (obs.session.resource.to_string(), obs.session.etag.clone());
    for (session, tag) in [(watching.as_str(), tag.as_str()), (publishing.as_str(), own.as_str())] {
        let any = format!("\"other\", {tag}");
        let weak = format!("W/{tag}");
        let strange = "a=mid:0\r\na=candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active\r\n\
            a=candidate:1 1 udp 1 no-such.local 9 typ host\r\na=candidate:rubbish\r\na=end-of-candidates\r\n";
        for (if_match, kind, fragment, status) in [
            (None, FRAGMENT, CANDIDATE, 428),
            (Some("\"stale\""), FRAGMENT, CANDIDATE, 412),
            (Some(weak.as_str()), FRAGMENT, CANDIDATE, 412),
            (Some(tag), "application/sdp", CANDIDATE, 415),
            (Some(tag), FRAGMENT, "", 400),
            (Some(tag), FRAGMENT, "hello", 400),
            (Some(tag), FRAGMENT, CANDIDATE, 204),
            (Some(any.as_str()), FRAGMENT, CANDIDATE, 204),
            (Some(tag), FRAGMENT, strange, 204),
            (Some("*"), FRAGMENT, CANDIDATE, 400),
        ] {
            let mut headers = vec![("content-type", kind)];
            headers.extend(if_match.map(|tag| ("if-match", tag)));
            let response = send(Method::PATCH, session, &headers, fragment).await;
            assert_eq!(response.status().as_u16(), status, "{if_match:?} {kind} {fragment:?}");
            assert!(response.headers().get("etag").is_none());
            assert!(status != 204 || response.bytes().await.expect("a body").is_empty());
        }
    }
    drop(obs);
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_answered_in_full() {
    let (server, obs) = Server::on_air().await;
    let mut newest = obs.session.etag.clone();
    let mut tags = std::collections::HashSet::from([newest.clone()]);
    let said = |sdp: &str, name: &str| {
        let value = sdp.lines().find_map(|line| line.strip_prefix(&format!("a={name}:")).map(str::to_owned));
        value.unwrap_or_default()
    };
    let fragment = |ufrag: &str| {
        format!(
            "a=ice-options:trickle ice2\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:{ufrag}\r\n\
            a=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\n{CANDIDATE}"
        )
    };
    // The RFC's text has a bare asterisk, its example one in quotes, and new credentials are a restart whatever the tag.
    for (n, if_match) in ["*", "\"*\"", "the newest"].into_iter().enumerate() {
        let if_match = if n == 2 { newest.as_str() } else { if_match };
        let response = obs.session.patch(if_match, &fragment(&format!("new{n}"))).await;
        assert_eq!(response.status(), StatusCode::OK, "{if_match}");
        assert_eq!(text(&response, "content-type"), FRAGMENT);
        newest = text(&response, "etag").to_owned();
        assert!(newest.starts_with('"') && newest.len() > 2);
        let body = response.text().await.expect("a body");
        for name in ["ice-ufrag", "ice-pwd"] {
            assert!(!said(&body, name).is_empty() && said(&body, name) != said(&obs.session.answer, name), "{body}");
        }
        for name in ["ice-options", "ice-pacing", "mid"] {
            assert_eq!(said(&body, name), said(&obs.session.answer, name), "as in the answer: {body}");
        }
        let lines = |sdp: &str, start: &str| sdp.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!(lines(&body, "a=ice-lite"), lines(&obs.session.answer, "a=ice-lite"));
        assert_eq!(lines(&body, "a=candidate:"), lines(&obs.session.answer, "a=candidate:"), "{body}");
        assert!(body.contains("a=end-of-candidates"), "nothing trickles");
        assert!(tags.insert(newest.clone()), "a new tag each time");
    }
    let stale = obs.session.patch(&obs.session.etag, &fragment("late")).await;
    assert_eq!(stale.status(), StatusCode::PRECONDITION_FAILED);
    let again = "a=ice-ufrag:new2\r\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\n";
    assert_eq!(obs.session.patch("*", again).await.status(), StatusCode::NO_CONTENT, "nothing new is no restart");
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_have_a_bound() {
    let (server, obs) = Server::on_air().await;
    let restart = |n: u32| format!("a=ice-ufrag:new{n}\r\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\n");
    let mut refused = None;
    for n in 0..=1_000 {
        let response = obs.session.patch("*", &restart(n)).await;
        match response.status() {
            StatusCode::OK => {}
            status => refused = Some((n, status, text(&response, "content-type").to_owned())),
        }
    }
    assert_eq!(refused, Some((1_000, StatusCode::CONFLICT, "application/problem+json".to_owned())));
    assert_eq!(server.media.stats().await.sessions, 1, "and the session goes on");
    assert_eq!(obs.end().await, StatusCode::OK);
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_too_early_or_too_late_is_told_when_to_return() {
    let mut server = Server::with(MediaConfig { max_sessions_per_live: 1, ..MediaConfig::default() }).await;
    let early = post(&server.whep(), &watching(OFFER)).await;
    assert_eq!((early.status(), text(&early, "retry-after")), (StatusCode::CONFLICT, "2"));
    let obs = Obs::start(&server.whip(), "hana", 0).await.expect("on air");
    server.expect(MediaEvent::Up(server.live.clone())).await;
    let full = post(&server.whep(), &watching(OFFER)).await;
    assert_eq!((full.status(), text(&full, "retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    for refused in [early, full] {
        assert_eq!(text(&refused, "content-type"), "application/problem+json");
        assert_eq!(text(&refused, "access-control-allow-origin"), "*");
    }
    drop(obs);
    server.media.stop().await;
}
