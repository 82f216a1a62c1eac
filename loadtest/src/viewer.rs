//! Edge: one viewer on the hub.
//!
//! Folds what it gets with [`Mirror`], counts every ordered event that is missing or repeated by itself, chats when
//! it is asked to, and cuts its connection without a word when it is asked to, to come back with its position.
//! Does not judge: what it saw is compared with the truth elsewhere.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use anyhow::Context;
use futures_util::{SinkExt, StreamExt};
use hanamichi::{
    live::{Codec, Mirror},
    wire::{self, client_frame, ordered::Event, personal, reply, server_frame::Body},
};
use prost::Message as _;
use tokio::{net::TcpStream, sync::watch};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

/// How long a viewer that was cut stays away.
const AWAY: Duration = Duration::from_millis(40);
/// Connections that may fail in a row before a viewer gives up.
const MAX_FAILURES: u32 = 20;
/// At the end a viewer may lag behind the truth for so long.
const CATCH_UP: Duration = Duration::from_secs(10);
/// Before the time of a chat message, in its text.
const CHAT_MARK: &str = "load ";
/// Far enough away to never come.
const NEVER: Duration = Duration::from_secs(86_400);

/// A connection to the hub.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What a viewer is like.
#[derive(Debug, Clone)]
pub struct Plan {
    pub base: String,
    pub live: String,
    /// The session; empty for a guest.
    pub cookie: String,
    pub codec: Codec,
    /// When to chat first, and how often.
    pub chat: Option<(Duration, Duration)>,
    /// When to cut the connection first, and how often.
    pub cut: Option<(Duration, Duration)>,
    /// The product whose pins are timed.
    pub timed_product: String,
    /// The beginning of the run; times in chat messages count from here.
    pub began: Instant,
}

/// What the run tells its viewers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Go on.
    Watch,
    /// Say no more, but listen.
    Hush,
    /// Leave as soon as this is reached.
    Leave { seq: u64, sku: String, available: i64 },
}

/// What a viewer saw.
#[derive(Debug, Default)]
pub struct Seen {
    pub mirror: Mirror,
    /// Ordered events received in batches, over all connections.
    pub ordered: u64,
    pub ordered_lost: u64,
    pub ordered_repeated: u64,
    /// Price → when a pin of the timed product with it came first.
    pub pins: HashMap<i64, Instant>,
    /// Times from sending to receiving of chat messages.
    pub chat_ms: Vec<f64>,
    /// Chat messages heard. A resumed connection hears some again, and tells them by their id.
    pub chat: HashSet<String>,
    pub chat_repeated: u64,
    pub chat_sent: u64,
    pub chat_refused: u64,
    pub sold_out: u64,
    /// Purchases of this viewer that were told to be paid, and when.
    pub paid: HashMap<String, Instant>,
    /// Connections that this viewer cut.
    pub cuts: u64,
    /// Connections that the server or the network ended.
    pub dropped: u64,
    /// Why the viewer could not go on.
    pub error: Option<String>,
}

/// Watches until told to leave.
pub async fn watch(plan: Plan, mut word: watch::Receiver<Word>, joined: tokio::sync::mpsc::Sender<()>) -> Seen {
    let mut seen = Seen::default();
    let mut next_cut = plan.cut.map(|(first, _)| Instant::now() + first);
    let mut next_chat = plan.chat.map(|(first, _)| Instant::now() + first);
    let mut failures = 0;
    let mut joined = Some(joined);
    loop {
        let over = match join(&plan, &seen.mirror).await {
            Ok(mut socket) => {
                failures = 0;
                let mut visit = Visit {
                    plan: &plan,
                    seen: &mut seen,
                    next_cut: &mut next_cut,
                    next_chat: &mut next_chat,
                    joined: &mut joined,
                };
                visit.stay(&mut socket, &mut word).await
            }
            Err(error) => {
                failures += 1;
                if failures > MAX_FAILURES { Over::Failed(format!("{error:#}")) } else { Over::Dropped }
            }
        };
        match over {
            Over::Left => return seen,
            Over::Cut => seen.cuts += 1,
            Over::Dropped => seen.dropped += 1,
            Over::Failed(error) => {
                seen.error = Some(error);
                return seen;
            }
        }
        tokio::time::sleep(AWAY).await;
    }
}

pub async fn join(plan: &Plan, mirror: &Mirror) -> anyhow::Result<Socket> {
    let url = format!("{}/v1/lives/{}/hub", plan.base.replacen("http", "ws", 1), plan.live);
    let mut request = url.into_client_request()?;
    if !plan.cookie.is_empty() {
        request.headers_mut().insert("cookie", HeaderValue::from_str(&plan.cookie)?);
    }
    let protocol = HeaderValue::from_static(plan.codec.subprotocol());
    request.headers_mut().insert("sec-websocket-protocol", protocol);
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.context("the hub does not answer")?;
    let resume = wire::Resume { epoch: mirror.epoch.clone(), seq: mirror.seq };
    send(&mut socket, plan.codec, 0, client_frame::Body::Resume(resume)).await?;
    Ok(socket)
}

/// Says something.
pub async fn send(socket: &mut Socket, codec: Codec, id: u64, body: client_frame::Body) -> anyhow::Result<()> {
    let frame = wire::ClientFrame { id, body: Some(body) };
    let message = match codec {
        Codec::Json => Message::text(serde_json::to_string(&frame)?),
        Codec::Proto => Message::binary(frame.encode_to_vec()),
    };
    Ok(socket.send(message).await?)
}

fn decode(message: Message) -> anyhow::Result<Option<wire::ServerFrame>> {
    Ok(match message {
        Message::Text(text) => Some(serde_json::from_str(&text).context("a frame that is no JSON")?),
        Message::Binary(bytes) => Some(wire::ServerFrame::decode(bytes).context("a frame that is no protobuf")?),
        _ => None,
    })
}

/// Why a connection is over.
enum Over {
    Left,
    Cut,
    Dropped,
    Failed(String),
}

/// One connection of a viewer.
struct Visit<'a> {
    plan: &'a Plan,
    seen: &'a mut Seen,
    next_cut: &'a mut Option<Instant>,
    next_chat: &'a mut Option<Instant>,
    joined: &'a mut Option<tokio::sync::mpsc::Sender<()>>,
}

impl Visit<'_> {
    async fn stay(&mut self, socket: &mut Socket, word: &mut watch::Receiver<Word>) -> Over {
        let mut leave_by: Option<Instant> = None;
        loop {
            let told = word.borrow_and_update().clone();
            if let Word::Leave { seq, sku, available } = &told {
                let by = *leave_by.get_or_insert_with(|| Instant::now() + CATCH_UP);
                let mirror = &self.seen.mirror;
                let knows = mirror.stock.get(sku).is_some_and(|stock| stock.available == *available);
                if knows && mirror.seq >= *seq || Instant::now() >= by {
                    return Over::Left;
                }
            }
            let quiet = told != Word::Watch;
            let far = Instant::now() + NEVER;
            let chat_at = self.next_chat.filter(|_| !quiet).unwrap_or(far);
            let cut_at = self.next_cut.filter(|_| !quiet).unwrap_or(far);
            tokio::select! {
                message = socket.next() => {
                    let Some(Ok(message)) = message else { return Over::Dropped };
                    match decode(message) {
                        Ok(Some(frame)) => self.hear(frame),
                        Ok(None) => {}
                        Err(error) => return Over::Failed(format!("{error:#}")),
                    }
                }
                changed = word.changed() => {
                    if changed.is_err() {
                        return Over::Failed("the run is over".to_owned());
                    }
                }
                () = tokio::time::sleep_until(chat_at.into()) => {
                    *self.next_chat = self.plan.chat.map(|(_, every)| Instant::now() + every);
                    if self.chat(socket).await.is_err() {
                        return Over::Dropped;
                    }
                }
                () = tokio::time::sleep_until(cut_at.into()) => {
                    *self.next_cut = self.plan.cut.map(|(_, every)| Instant::now() + every);
                    return Over::Cut;
                }
                () = tokio::time::sleep_until(leave_by.unwrap_or(far).into()) => {}
            }
        }
    }

    async fn chat(&mut self, socket: &mut Socket) -> anyhow::Result<()> {
        self.seen.chat_sent += 1;
        let text = format!("{CHAT_MARK}{}", self.plan.began.elapsed().as_micros());
        let body = client_frame::Body::SendChat(wire::SendChat { text });
        send(socket, self.plan.codec, self.seen.chat_sent, body).await
    }

    fn hear(&mut self, frame: wire::ServerFrame) {
        match &frame.body {
            Some(Body::Snapshot(_) | Body::Resumed(_)) => {
                if let Some(joined) = self.joined.take() {
                    // Nobody counts any more when this fails.
                    let _ = joined.try_send(());
                }
            }
            Some(Body::Batch(batch)) => self.hear_batch(batch),
            Some(Body::Reply(told)) if matches!(told.result, Some(reply::Result::Problem(_))) => {
                self.seen.chat_refused += 1;
            }
            Some(Body::Personal(wire::Personal { body: Some(personal::Body::Purchase(purchase)) }))
                if purchase.state == "authorized" =>
            {
                self.seen.paid.entry(purchase.id.clone()).or_insert_with(Instant::now);
            }
            _ => {}
        }
        self.seen.mirror.fold(frame);
    }

    fn hear_batch(&mut self, batch: &wire::Batch) {
        let now = Instant::now();
        let mut high = self.seen.mirror.seq;
        for ordered in &batch.ordered {
            if ordered.seq <= high {
                self.seen.ordered_repeated += 1;
                continue;
            }
            self.seen.ordered_lost += ordered.seq - high - 1;
            high = ordered.seq;
            self.seen.ordered += 1;
            match &ordered.event {
                Some(Event::Pinned(pin)) if is_of(pin, &self.plan.timed_product) => {
                    let price = pin.offers.first().map(|offer| offer.price_minor).unwrap_or_default();
                    self.seen.pins.entry(price).or_insert(now);
                }
                Some(Event::SoldOut(_)) => self.seen.sold_out += 1,
                _ => {}
            }
        }
        for message in &batch.chat {
            if !self.seen.chat.insert(message.id.clone()) {
                self.seen.chat_repeated += 1;
                continue;
            }
            let sent = message.text.strip_prefix(CHAT_MARK).and_then(|micros| micros.parse::<u64>().ok());
            if let Some(sent) = sent {
                let took = now.duration_since(self.plan.began).saturating_sub(Duration::from_micros(sent));
                self.seen.chat_ms.push(took.as_secs_f64() * 1_000.0);
            }
        }
    }
}

fn is_of(pin: &wire::Pin, product: &str) -> bool {
    pin.product.as_ref().is_some_and(|shown| shown.id == product)
}

/// The room as a newcomer gets it.
pub async fn look(plan: &Plan) -> anyhow::Result<Mirror> {
    let mut mirror = Mirror::default();
    let mut socket = join(plan, &mirror).await?;
    let looking = async {
        while mirror.snapshots == 0 {
            let message = socket.next().await.context("the hub closed before the snapshot")??;
            if let Some(frame) = decode(message)? {
                mirror.fold(frame);
            }
        }
        anyhow::Ok(mirror)
    };
    tokio::time::timeout(CATCH_UP, looking).await.context("no snapshot came")?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_and_repetitions_are_counted_apart() {
        let plan = Plan {
            base: String::new(),
            live: String::new(),
            cookie: String::new(),
            codec: Codec::Json,
            chat: None,
            cut: None,
            timed_product: String::new(),
            began: Instant::now(),
        };
        let mut seen = Seen::default();
        let mut visit =
            Visit { plan: &plan, seen: &mut seen, next_cut: &mut None, next_chat: &mut None, joined: &mut None };
        let snapshot = wire::Snapshot { epoch: "e".to_owned(), seq: 10, ..wire::Snapshot::default() };
        visit.hear(Body::Snapshot(snapshot).into());
        for numbers in [&[11, 12][..], &[12], &[13, 16], &[17]] {
            let ordered = numbers.iter().map(|seq| wire::Ordered { seq: *seq, ..wire::Ordered::default() }).collect();
            visit.hear(Body::Batch(wire::Batch { epoch: "e".to_owned(), ordered, ..wire::Batch::default() }).into());
        }
        assert_eq!((seen.ordered, seen.ordered_lost, seen.ordered_repeated), (5, 2, 1));
        assert_eq!((seen.mirror.seq, seen.mirror.faults), (17, 2), "the mirror finds the same two places");
    }
}
