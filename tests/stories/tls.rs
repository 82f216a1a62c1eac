//! TLS in the process, and what the command line says of mistakes.

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use hanamichi::{app::Server, clock::Clock, config::Tls, ids::LiveId};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
};

use crate::{
    harness::{Actor, Database, Engine, Folder, PASSWORD, PATIENCE, Plan, Sale, config, fresh_name},
    hub::Socket,
};

/// What the task keeps that copies for a connection over TLS; a record of TLS is as long.
const BUFFER_BYTES: usize = 16 * 1024;

fn pem(kind: &str, der: &[u8]) -> String {
    let body = data_encoding::BASE64.encode(der);
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).map(|l| std::str::from_utf8(l).expect("base64 is text")).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

/// A server with a certificate of its own, and how a client checks it.
struct Sealed {
    server: Server,
    connector: TlsConnector,
    _database: Database,
    _folder: Folder,
}

impl Sealed {
    async fn open() -> Self {
        let database = Database::fresh(Engine::Sqlite).await;
        let folder = Folder(std::env::temp_dir().join(fresh_name()));
        std::fs::create_dir_all(&folder.0).expect("a folder");
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let (cert_file, key_file) = (folder.0.join("cert.pem"), folder.0.join("key.pem"));
        std::fs::write(&cert_file, pem("CERTIFICATE", made.cert.der())).expect("written");
        std::fs::write(&key_file, pem("PRIVATE KEY", &made.signing_key.serialize_der())).expect("written");
        let mut settings = config(&database.url);
        settings.tls = Some(Tls { cert_file, key_file });
        let server = Server::start(settings, Clock::system()).await.expect("the server starts with TLS");
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("our own root");
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Self { server, connector: TlsConnector::from(Arc::new(client)), _database: database, _folder: folder }
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.server.address).await.expect("it listens");
        let name = ServerName::try_from("localhost").expect("a name");
        self.connector.connect(name, stream).await.expect("a handshake")
    }

    /// An address without TLS for actors who speak none: what they say goes on over TLS.
    async fn tunnel(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let (server, connector) = (self.server.address, self.connector.clone());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let connector = connector.clone();
                tokio::spawn(async move {
                    let name = ServerName::try_from("localhost").expect("a name");
                    let Ok(stream) = TcpStream::connect(server).await else { return };
                    let Ok(mut stream) = connector.connect(name, stream).await else { return };
                    // Whichever end goes, the other is let go too.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut stream).await;
                });
            }
        });
        base
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_certificate_everything_is_tls_and_cookies_are_secure() {
    let sealed = Sealed::open().await;
    assert!(sealed.server.url().starts_with("https://"));
    let mut stream = sealed.connect().await;
    let body = format!(r#"{{"email":"{}@test.example","password":"{PASSWORD}","display_name":"ゆい"}}"#, fresh_name());
    let request = format!(
        "POST /v1/sign-up HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    // A peer that closes without a TLS goodbye is an error after the last byte.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).to_lowercase();
    assert!(answer.starts_with("http/1.1 201"), "{answer}");
    let cookie = answer.lines().find(|line| line.starts_with("set-cookie:")).expect("a session cookie");
    for word in ["; secure", "; httponly", "; samesite=lax"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    sealed.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hub_over_tls_is_the_hub() {
    let sealed = Sealed::open().await;
    let base = sealed.tunnel().await;
    let sale = Sale::open_at(&base, Plan { units: 3, ..Plan::default() }).await;
    // A snapshot that no buffer on its way holds whole.
    let mut offers = 1;
    for _ in 0..8 {
        offers += sale.add(40, 5, None).await.len();
    }
    let buyer = Actor::sign_up(&base, "ゆい").await;
    let join = async |actor: &Actor| {
        let pipe = Box::new(sealed.connect().await);
        Socket::join_over(pipe, &actor.at("https://localhost"), &sale.live, json!({}), "hanamichi.v1.json").await
    };
    let (mut own, mut other) = (join(&buyer).await, join(&Actor::guest(&base)).await);
    for socket in [&mut own, &mut other] {
        let snapshot = socket.until("a snapshot", |f| f["snapshot"].is_object().then(|| f["snapshot"].clone())).await;
        let bytes = snapshot.to_string().len();
        assert!(bytes > 4 * BUFFER_BYTES, "only {bytes} bytes");
        let pins = snapshot["pins"].as_array().expect("a list").iter();
        let told: usize = pins.map(|pin| pin["offers"].as_array().expect("a list").len()).sum();
        assert_eq!((told, snapshot["stock"].as_array().expect("a list").len()), (offers, offers), "all of it");
    }
    // What is ordered, what one says, and what is only one's own.
    let wish = json!({ "product_id": sale.product["id"], "live_price_minor": 900 });
    sale.liver.post(&format!("/v1/lives/{}/pins", sale.live), wish).await.expect(200);
    for socket in [&mut own, &mut other] {
        let price = |o: &Value| o["pinned"]["offers"][0]["priceMinor"] == "900";
        let told = |f: &Value| f["batch"]["ordered"].as_array()?.iter().any(price).then_some(());
        socket.until("the price", told).await;
    }
    let said = own.ask(json!({ "sendChat": { "text": "こんにちは" } })).await;
    assert_eq!(said["chat"]["authorName"], "ゆい", "{said}");
    let line = |f: &Value| f["batch"]["chat"].as_array()?.iter().any(|c| c["id"] == said["chat"]["id"]).then_some(());
    other.until("the line", line).await;
    let purchase = buyer.buy(&sale.offer, 3, Some("sandbox_card")).await.expect(201);
    let paid = |f: &Value| {
        let told = &f["personal"]["purchase"];
        (told["id"] == purchase["id"] && told["state"] == "authorized").then_some(())
    };
    own.until("paid", paid).await;
    let sold_out = |o: &Value| o["soldOut"]["skuId"] == json!(sale.sku);
    other.until("sold out", |f| f["batch"]["ordered"].as_array()?.iter().any(sold_out).then_some(())).await;
    // Who leaves without a word leaves the room.
    let live = LiveId::parse(&sale.live).expect("an id");
    let audience = || sealed.server.app.lives.audience(&live).0;
    assert_eq!(audience(), 2);
    drop(other);
    let alone = async {
        while audience() != 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, alone).await.expect("one seat is left");

    let began = Instant::now();
    let stopping = tokio::spawn(sealed.server.stop());
    let goodbye = own.until("a goodbye", |f| f["goodbye"].is_object().then(|| f["goodbye"].clone())).await;
    assert!(goodbye["reconnectAfterMs"].as_str().is_some(), "{goodbye}");
    assert!(own.next().await.is_none(), "then it ends");
    stopping.await.expect("it has stopped");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(config("").stop_timeout_s), "not gently: {took:?}");
}

#[test]
fn mistakes_in_the_configuration_are_named() {
    let check = |key: &str, value: &str| {
        let run = Command::new(env!("CARGO_BIN_EXE_hanamichi"))
            .arg("check-config")
            .env(key, value)
            .output()
            .expect("it runs");
        (run.status.success(), String::from_utf8_lossy(&run.stderr).into_owned())
    };
    assert!(check("HANAMICHI_LISTEN", "127.0.0.1:9").0);
    for (key, value, named) in [
        ("HANAMICHI_LISTN", "127.0.0.1:9", "listn"),
        ("HANAMICHI_LISTEN", "nowhere", "listen"),
        ("HANAMICHI_COMMERCE__HOLD_TTL_S", "1", "hold_ttl_s"),
        ("HANAMICHI_PUBLIC_URL", "ftp://x", "public_url"),
    ] {
        let (fine, said) = check(key, value);
        assert!(!fine && said.to_lowercase().contains(named), "{key}={value}: {said}");
    }
}
