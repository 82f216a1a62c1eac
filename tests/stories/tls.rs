//! TLS in the process, and what the command line says of mistakes.

use std::{process::Command, sync::Arc};

use hanamichi::{app::Server, clock::Clock, config::Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
};

use crate::harness::{Database, Engine, Folder, PASSWORD, config, fresh_name};

fn pem(kind: &str, der: &[u8]) -> String {
    let body = data_encoding::BASE64.encode(der);
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).map(|l| std::str::from_utf8(l).expect("base64 is text")).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_certificate_everything_is_tls_and_cookies_are_secure() {
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
    assert!(server.url().starts_with("https://"));

    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("our own root");
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(server.address).await.expect("it listens");
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream = TlsConnector::from(Arc::new(client)).connect(name, stream).await.expect("a handshake");
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
    server.stop().await;
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
