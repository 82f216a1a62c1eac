//! A client of bare bytes: what no library would send, and what the hub says to it.

use std::time::Duration;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    harness::{Actor, Engine, House, PATIENCE, Plan, Sale},
    hub::Socket,
};

/// Mask of every frame.
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

pub struct Raw {
    pub stream: TcpStream,
    inbox: Vec<u8>,
}

/// A frame as a client sends it; `first` is its first byte.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(0x80 | u8::try_from(len).expect("it is at most 125")),
        len => {
            frame.push(0xFE);
            frame.extend(u16::try_from(len).expect("it is small").to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

impl Raw {
    /// The first line of the answer to an upgrade, with these headers beside the usual ones.
    async fn knock(base: &str, live: &str, headers: &str) -> (Self, String) {
        let address = base.strip_prefix("http://").expect("no TLS here");
        let mut stream = TcpStream::connect(address).await.expect("the server listens");
        let request = format!("GET /v1/lives/{live}/hub HTTP/1.1\r\nhost: {address}\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer"));
        }
        let head = String::from_utf8(head).expect("text");
        (Self { stream, inbox: Vec::new() }, head)
    }

    /// Joins from now on.
    pub async fn join(base: &str, live: &str, protocol: &str) -> Self {
        let headers = format!("{UPGRADE}sec-websocket-protocol: {protocol}\r\n");
        let (mut raw, head) = Self::knock(base, live, &headers).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        // The example of RFC 6455, section 1.3.
        assert!(head.to_lowercase().contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        if protocol.ends_with("json") {
            raw.send(&masked(0x81, br#"{"resume":{}}"#)).await;
        } else {
            raw.send(&masked(0x82, &[0x12, 0x00])).await;
        }
        raw
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        // Whoever was closed cannot send any more.
        let _ = self.stream.write_all(bytes).await;
    }

    /// The next frame: its first byte and its payload.
    async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((frame, len)) = whole(&self.inbox) {
                self.inbox.drain(..len);
                return Some(frame);
            }
            let reading = self.stream.read_buf(&mut self.inbox);
            if tokio::time::timeout(PATIENCE, reading).await.expect("the hub says something").ok()? == 0 {
                return None;
            }
        }
    }

    /// Reads to the end; the code it was closed with.
    pub async fn closed_with(&mut self) -> Option<u16> {
        let mut code = None;
        while let Some((first, payload)) = self.next().await {
            if first == 0x88 {
                code = Some(u16::from_be_bytes([payload[0], payload[1]]));
            }
        }
        code
    }
}

fn whole(bytes: &[u8]) -> Option<((u8, Vec<u8>), usize)> {
    let [first, second, ..] = *bytes else { return None };
    assert_eq!(second & 0x80, 0, "servers do not mask");
    let (at, len) = match second {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().expect("two bytes")))),
        127 => {
            let len = u64::from_be_bytes(bytes.get(2..10)?.try_into().expect("eight bytes"));
            (10, usize::try_from(len).expect("it fits"))
        }
        short => (2, usize::from(short)),
    };
    Some(((first, bytes.get(at..at + len)?.to_vec()), at + len))
}

const UPGRADE: &str = "connection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_client_should_send_is_closed_with_its_code_and_the_hub_goes_on() {
    let house = House::open(Engine::Sqlite).await;
    let sale = Sale::open(&house, Plan::default()).await;
    let base = house.base();
    let mut bystander = Socket::join(&Actor::guest(&base), &sale.live, serde_json::json!({})).await;
    let spaces = vec![b' '; 4_097];
    let huge = [0x81, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4];
    let too_long_in_parts: Vec<u8> = (0..5).flat_map(|n| masked(u8::from(n == 0), &spaces[..1_024])).collect();
    let inside: Vec<u8> = [masked(0x01, b"{"), masked(0x81, b"{}")].concat();
    let cases: [(&str, u16, &[u8]); 16] = [
        ("a message over 4 KiB", 1009, &masked(0x81, &spaces)),
        ("one that only says so", 1009, &huge),
        ("one in fragments", 1009, &too_long_in_parts),
        ("text that is no UTF-8", 1007, &masked(0x81, &[0xFF, 0xFE])),
        ("a reason that is no UTF-8", 1007, &masked(0x88, &[0x03, 0xE8, 0xFF])),
        ("a frame without a mask", 1002, &[0x81, 0x02, b'{', b'}']),
        ("a reserved bit", 1002, &masked(0xC1, b"{}")),
        ("an unknown kind", 1002, &masked(0x83, b"")),
        ("a ping in fragments", 1002, &masked(0x09, b"")),
        ("a long ping", 1002, &masked(0x89, &spaces[..126])),
        ("a continuation of nothing", 1002, &masked(0x80, b"{}")),
        ("a message inside of another", 1002, &inside),
        ("half a close code", 1002, &masked(0x88, &[3])),
        ("a close code of nobody", 1002, &masked(0x88, &[0x03, 0xED])),
        ("binary on JSON", 1003, &masked(0x82, &[0x12, 0x00])),
        ("a proper end", 1000, &masked(0x88, &[0x03, 0xE8])),
    ];
    // All at once, since whoever is closed has a moment to take its reason.
    let closed = cases.map(async |(what, code, bytes)| {
        let mut raw = Raw::join(&base, &sale.live, "hanamichi.v1.json").await;
        raw.send(bytes).await;
        assert_eq!(raw.closed_with().await, Some(code), "{what}");
    });
    futures_util::future::join_all(closed).await;
    let mut raw = Raw::join(&base, &sale.live, "hanamichi.v1.proto").await;
    raw.send(&masked(0x81, b"{}")).await;
    assert_eq!(raw.closed_with().await, Some(1003), "text on protobuf");

    // What is only not understood is answered.
    let mut raw = Raw::join(&base, &sale.live, "hanamichi.v1.json").await;
    raw.send(&masked(0x81, b"no json")).await;
    assert_eq!(reply(&mut raw).await["problem"]["status"], 400);
    // In fragments of a byte, with a ping between; in one packet with the next.
    let message = br#"{"id":"7","react":{"kind":"heart"}}"#;
    for (n, byte) in message.iter().enumerate() {
        let first = u8::from(n == 0) | (u8::from(n + 1 == message.len()) << 7);
        raw.send(&masked(first, &[*byte])).await;
        if n == 9 {
            raw.send(&masked(0x89, b"between")).await;
        }
    }
    let mut ponged = false;
    loop {
        let (first, payload) = raw.next().await.expect("it goes on");
        ponged |= (first, &*payload) == (0x8A, b"between");
        if first == 0x81 && text(&payload)["reply"]["id"] == "7" {
            break;
        }
    }
    assert!(ponged, "a ping is answered inside of a message");
    // Too fast is answered, and the connection stays.
    let many: Vec<u8> = (0..80).flat_map(|_| masked(0x81, br#"{"id":"8","react":{"kind":"heart"}}"#)).collect();
    raw.send(&many).await;
    while reply(&mut raw).await["problem"]["status"] != 429 {}
    tokio::time::timeout(PATIENCE, async {
        loop {
            raw.send(&masked(0x81, br#"{"id":"9","ping":{"clientAtMs":"5"}}"#)).await;
            if let Ok(Some(())) = tokio::time::timeout(Duration::from_millis(300), pong(&mut raw)).await {
                return;
            }
        }
    })
    .await
    .expect("who waits is heard again");

    for (headers, status) in [
        ("connection: close\r\n", "400"),
        (&*UPGRADE.replace("13", "8"), "426"),
        (&*UPGRADE.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"), "400"),
        (&*format!("{UPGRADE}sec-websocket-protocol: mqtt\r\n"), "400"),
    ] {
        let (_, head) = Raw::knock(&base, &sale.live, headers).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(head.contains("application/problem+json"), "{head}");
    }
    let pong = bystander.ask(serde_json::json!({ "react": { "kind": "heart" } })).await;
    assert!(pong["done"].is_object(), "the others noticed nothing: {pong}");
}

fn text(payload: &[u8]) -> Value {
    serde_json::from_slice(payload).expect("JSON")
}

async fn reply(raw: &mut Raw) -> Value {
    loop {
        let (first, payload) = raw.next().await.expect("it goes on");
        let frame = if first == 0x81 { text(&payload) } else { Value::Null };
        if frame["reply"].is_object() {
            return frame["reply"].clone();
        }
    }
}

async fn pong(raw: &mut Raw) -> Option<()> {
    loop {
        let (first, payload) = raw.next().await?;
        if first == 0x81 && text(&payload)["pong"].is_object() {
            return Some(());
        }
    }
}
