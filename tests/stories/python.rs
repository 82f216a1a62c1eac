//! A client in another language, with a WebSocket library of its own, understands the hub.

use std::{process::Command, time::Duration};

use crate::{
    flow::Flow,
    harness::{Engine, House, Plan, Sale},
};

/// Debian's, whose packages Debian installs: another one on the path need not have them.
const PYTHON: &str = "/usr/bin/python3";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_client_watches_resumes_and_is_understood() {
    let house = House::open(Engine::Sqlite).await;
    let sale = Sale::open(&house, Plan { units: 10_000, ..Plan::default() }).await;
    let flow = Flow::begin(&sale, &[house.base()], Duration::from_millis(20)).await;
    let mut client = Command::new(PYTHON);
    client.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/hub.py"));
    client.arg(format!("{}/v1/lives/{}/hub", house.base().replacen("http", "ws", 1), sale.live));
    let said = tokio::task::spawn_blocking(move || client.output()).await.expect("it is waited for");
    let said = said.expect("Python is installed: run `make test`");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    flow.end().await;
    house.server.stop().await;
}
