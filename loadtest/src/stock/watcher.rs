//! Shell: somebody who watches the stock of a SKU in another live than the one it is sold in.
//!
//! Owns one connection to the hub. Keeps when each number came, and sees that versions never go back.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::{SinkExt, StreamExt};
use hanamichi::{
    live::Codec,
    wire::{self, client_frame, server_frame::Body, state::Value},
};
use prost::Message as _;
use tokio::{net::TcpStream, sync::oneshot, task::JoinSet};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

use super::times::Times;
use crate::client::Actor;

/// A connection to the hub.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What was sold last is shown within this, or it is not shown.
const LAST_WORD: Duration = Duration::from_secs(2);

/// Opens a connection to a live's hub that has said nothing yet.
pub async fn connect(actor: &Actor, live: &str) -> anyhow::Result<Socket> {
    let url = format!("{}/v1/lives/{live}/hub", actor.base.replacen("http", "ws", 1));
    let mut request = url.into_client_request()?;
    request.headers_mut().insert("cookie", HeaderValue::from_str(&actor.cookie)?);
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(Codec::Proto.subprotocol()));
    let (hub, _) = tokio_tungstenite::connect_async(request).await.context("the hub does not answer")?;
    Ok(hub)
}

/// A frame that a client sends.
pub fn frame(id: u64, body: client_frame::Body) -> Message {
    Message::binary(wire::ClientFrame { id, body: Some(body) }.encode_to_vec())
}

/// Watches until it is asked what it saw.
pub struct Watcher {
    before: i64,
    watching: JoinSet<anyhow::Result<Vec<(Instant, i64)>>>,
    enough: oneshot::Sender<()>,
}

impl Watcher {
    /// Enters a live that shows the SKU.
    pub async fn enter(actor: &Actor, live: &str, sku: &str) -> anyhow::Result<Self> {
        let mut hub = connect(actor, live).await?;
        hub.send(frame(0, client_frame::Body::Resume(wire::Resume::default()))).await?;
        let first = loop {
            if let Some(Body::Snapshot(first)) = hear(&mut hub).await? {
                break first;
            }
        };
        let shown =
            first.stock.into_iter().find(|stock| stock.sku_id == sku).context("the other live shows no stock")?;
        let (enough, until) = oneshot::channel();
        let mut watching = JoinSet::new();
        watching.spawn(watch(hub, shown.clone(), until));
        Ok(Self { before: shown.available, watching, enough })
    }

    /// How long after each buyer's answer the number was here that tells of it; buyers bought one unit each.
    ///
    /// # Errors
    /// A version went back, or somebody's unit was never told.
    pub async fn delays(mut self, mut answered: Vec<Instant>) -> anyhow::Result<Times> {
        tokio::time::sleep(LAST_WORD).await;
        let _ = self.enough.send(());
        let shown = self.watching.join_next().await.context("nobody watches")?.context("the watcher fell over")??;
        answered.sort();
        delays(&answered, &shown, self.before)
    }
}

async fn watch(
    mut hub: Socket,
    mut last: wire::Stock,
    mut until: oneshot::Receiver<()>,
) -> anyhow::Result<Vec<(Instant, i64)>> {
    let mut shown = Vec::new();
    loop {
        let heard = tokio::select! {
            heard = hear(&mut hub) => heard?,
            _ = &mut until => return Ok(shown),
        };
        let told: Vec<wire::Stock> = match heard {
            Some(Body::Batch(batch)) => batch.state.into_iter().filter_map(stock).collect(),
            // It fell behind, and is told everything at once.
            Some(Body::Snapshot(all)) => all.stock,
            _ => continue,
        };
        for stock in told {
            if stock.sku_id != last.sku_id || stock == last {
                continue;
            }
            ensure!(stock.version > last.version, "version {} was told after {}", stock.version, last.version);
            shown.push((Instant::now(), stock.available));
            last = stock;
        }
    }
}

fn stock(state: wire::State) -> Option<wire::Stock> {
    match state.value {
        Some(Value::Stock(stock)) => Some(stock),
        _ => None,
    }
}

async fn hear(hub: &mut Socket) -> anyhow::Result<Option<Body>> {
    let Message::Binary(bytes) = hub.next().await.context("the hub closed the connection")?? else {
        return Ok(None);
    };
    Ok(wire::ServerFrame::decode(bytes)?.body)
}

/// The k-th answer is told by the first number that is lower by k.
fn delays(answered: &[Instant], shown: &[(Instant, i64)], before: i64) -> anyhow::Result<Times> {
    let (mut delays, mut numbers) = (Times::default(), shown.iter().peekable());
    for (sold, answered) in (1..).zip(answered) {
        while numbers.next_if(|(_, available)| *available > before - sold).is_some() {}
        let (seen, _) = numbers.peek().with_context(|| format!("unit {sold} of {before} was never told elsewhere"))?;
        delays.push(seen.saturating_duration_since(*answered));
    }
    Ok(delays)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_told_by_the_first_number_that_counts_it() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let answered = [at(10), at(20), at(30)];
        let shown = [(at(15), 99), (at(70), 97)];
        let mut delays = delays(&answered, &shown, 100).expect("all were told");
        assert_eq!((delays.len(), delays.percentile_ms(99.0)), (3, Some(50.0)));
        assert!(super::delays(&answered, &shown[..1], 100).is_err(), "the second unit was never told");
    }
}
