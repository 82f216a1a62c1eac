//! WHIP and WHEP over the product's own routes: who is let in, and which STUN and TURN servers they are told of. What the
//! routes answer beyond that is in `tests/media/whip.rs`.

use hanamichi::{
    clock::Clock,
    config::{Config, MediaSection},
    ice::IceServer,
};
use reqwest::{Method, Response, StatusCode};
use serde_json::json;

use crate::{
    harness::{Actor, Engine, House, Plan, Sale, text},
    peer::Publisher,
};

const OFFER: &str = include_str!("fixtures/offers/browser.sdp");
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

fn with_servers(config: Config) -> Config {
    let stun = IceServer { urls: vec!["stun:192.0.2.1:3478".to_owned()], ..IceServer::default() };
    let turn = IceServer {
        urls: ["turn:192.0.2.1?transport=udp", "turns:turn.example.jp:443?transport=tcp"].map(str::to_owned).into(),
        secret: "north".to_owned(),
        ttl_s: 600,
        ..IceServer::default()
    };
    let media = MediaSection { ice_servers: vec![stun, turn], ..config.media };
    Config { media, ..config }
}

fn links(response: &Response) -> Vec<String> {
    response.headers().get_all("link").iter().map(|link| link.to_str().expect("text").to_owned()).collect()
}

async fn call(method: Method, url: &str, key: Option<&str>, headers: &[(&str, &str)], body: &str) -> Response {
    let request = reqwest::Client::new().request(method, url).body(body.to_owned());
    let request = key.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.expect("an answer")
}

/// The expiry that a made user name begins with.
fn expiry(link: &str) -> i64 {
    let (_, rest) = link.split_once("username=\"").expect("a user name");
    rest.split_once(':').expect("a time before the name").0.parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_are_told_of_turn_servers_when_they_may_come_in() {
    let house = House::open_as(Engine::Sqlite, Clock::system(), with_servers).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let made = sale.liver.post(&format!("/v1/lives/{}/stream-key", sale.live), json!({})).await.expect(201);
    let (whip, key) = (text(&made, "whip_url"), text(&made, "stream_key"));
    let whep = format!("{}/v1/lives/{}/whep", house.base(), sale.live);
    let offer = [("content-type", "application/sdp")];
    let is_complete = |links: &[String]| {
        assert_eq!(links.len(), 3, "{links:?}");
        assert_eq!(links[0], "<stun:192.0.2.1:3478>; rel=\"ice-server\"");
        assert!(links[1].starts_with("<turn:192.0.2.1?transport=udp>; rel=\"ice-server\"; username=\""), "{links:?}");
        assert!(links[2].starts_with("<turns:turn.example.jp:443?transport=tcp>; rel=\"ice-server\""), "{links:?}");
        for link in &links[1..] {
            let ahead = expiry(link) - house.clock.now().0 / 1_000;
            assert!((590..=600).contains(&ahead), "good for ten minutes, not {ahead} s");
            assert!(link.contains(&format!(":{}\"; credential=\"", sale.live)), "{link}");
            assert!(link.ends_with("=\"; credential-type=\"password\"") && !link.contains("north"), "{link}");
        }
    };
    let publisher = Publisher::start(&whip, &key).await.expect("on air");
    let published = call(Method::POST, &whip, Some(&key), &offer, OFFER).await;
    assert_eq!(published.status(), StatusCode::CREATED);
    is_complete(&links(&published));
    is_complete(&links(&call(Method::OPTIONS, &whip, Some(&key), &[], "").await));
    let watching = OFFER.replace("a=sendonly", "a=recvonly");
    let mut watched = call(Method::POST, &whep, None, &offer, &watching).await;
    while watched.status() == StatusCode::CONFLICT {
        // The first keyframe may still be on its way.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        watched = call(Method::POST, &whep, None, &offer, &watching).await;
    }
    assert_eq!(watched.status(), StatusCode::CREATED);
    is_complete(&links(&watched));
    is_complete(&links(&call(Method::OPTIONS, &whep, None, &[], "").await));

    let preflight = [("origin", "https://a.example"), ("access-control-request-method", "POST")];
    for (what, response) in [
        ("a preflight", call(Method::OPTIONS, &whep, None, &preflight, "").await),
        ("no key", call(Method::OPTIONS, &whip, None, &[], "").await),
        ("a wrong key", call(Method::OPTIONS, &whip, Some("sk_wrong"), &[], "").await),
        ("no such live", call(Method::OPTIONS, &whep.replace(&*sale.live, "live_x"), None, &[], "").await),
        ("a refused offer", call(Method::POST, &whip, None, &offer, OFFER).await),
        ("what is no offer", call(Method::POST, &whep, None, &offer, "v=0").await),
    ] {
        assert!(links(&response).is_empty(), "{what}");
        assert_eq!(response.headers()["access-control-allow-origin"], "*", "{what}");
    }
    publisher.end().await;
    house.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publishers_session_is_its_own() {
    let house = House::open(Engine::Sqlite).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let made = sale.liver.post(&format!("/v1/lives/{}/stream-key", sale.live), json!({})).await.expect(201);
    let (whip, key) = (text(&made, "whip_url"), text(&made, "stream_key"));
    let publisher = Publisher::start(&whip, &key).await.expect("on air");
    let session = format!("{}{}", house.base(), publisher.path);
    let restart = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n";
    let offer = [("content-type", "application/sdp")];
    let trickle = [("content-type", FRAGMENT), ("if-match", "*")];
    for key in [None, Some("sk_wrong")] {
        let posted = call(Method::POST, &whip, key, &offer, OFFER).await;
        let patched = call(Method::PATCH, &session, key, &trickle, restart).await;
        let deleted = call(Method::DELETE, &session, key, &[], "").await;
        for response in [posted, patched, deleted] {
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{key:?}");
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            assert_eq!(response.headers()["access-control-allow-origin"], "*");
            assert_eq!(response.headers()["www-authenticate"], "Bearer", "by which scheme (RFC 9110, section 11.6.1)");
        }
    }
    let another = Actor::sign_up(&house.base(), "ゆい").await;
    assert_eq!(another.delete(&publisher.path).await.refused(), "forbidden");
    let large = call(Method::POST, &whip, Some(&key), &offer, &"v=0\r\n".repeat(20_000)).await;
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let odd = call(Method::PUT, &session, Some(&key), &[], "").await;
    assert_eq!(odd.status(), StatusCode::METHOD_NOT_ALLOWED);
    for response in [large, odd] {
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
    }
    let restarted = call(Method::PATCH, &session, Some(&key), &trickle, restart).await;
    assert_eq!(restarted.status(), StatusCode::OK);
    assert!(restarted.text().await.expect("a body").contains("a=ice-ufrag:"));
    publisher.end().await;
    house.server.stop().await;
}
