//! Edge: the hub's WebSocket: negotiation, first message, heartbeat, rates, close codes.
//!
//! Close codes, and what a client does next:
//! - 1000 the client left; nothing
//! - 1001 the server stops; a Goodbye came before it and says when to return, with Resume
//! - 1003 a text frame on protobuf or a binary one on JSON; do not return before that is mended
//! - 1009 a message over 4 KiB; return with Resume, but not with that message
//! - 4403 the person, or where they come from, was banned; a Goodbye came before it; do not return
//! - 4408 no sign of life for 60 s, or not a byte accepted for 30 s; return with Resume
//!
//! Nobody is closed for being slow: see `live::Seat`. Before the upgrade errors are problem+json: 400 for an unknown
//! subprotocol, 403 for who is banned, 404 for an unknown live, 503 when the room cannot be opened.

use std::{net::IpAddr, time::Duration};

use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::HeaderValue,
    response::Response,
};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::Instant;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    PathId,
    auth::{CallerAddress, Guest},
    live::visitor,
    problem::{Kind, Problem},
};
use crate::{
    app::App,
    clock::Millis,
    commerce::{Checkout, Method, PlaceRequest, purchase_status},
    ids::{LiveId, OfferId, ProductId, QuestionId},
    live::{Bucket, Codec, Lives, Seat, Visitor},
    wire::{self, client_frame::Body as Ask, reply, server_frame::Body},
};

/// Largest message a client may send.
const MAX_MESSAGE_BYTES: usize = 4 * 1024;
/// Bytes of the read buffer, which every idle connection keeps.
const READ_BUFFER_BYTES: usize = 1024;
/// Bytes gathered before a write reaches the socket; a pending batch is one write.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;
/// Messages of one connection per second …
const MESSAGES_PER_S: u32 = 20;
/// … and at once.
const MESSAGES_BURST: u32 = 40;
/// Between two pings of the server.
const PING_EVERY: Duration = Duration::from_secs(25);
/// Without any frame from the client for this long it is taken for lost.
const SILENT_AFTER: Duration = Duration::from_secs(60);
/// Without a pending batch being accepted for this long the connection is taken for lost.
const STUCK_AFTER: Duration = Duration::from_secs(30);
/// A client that says nothing first gets its snapshot after this.
const FIRST_WORD_WITHIN: Duration = Duration::from_secs(5);
/// At a stop, the time a connection has for its goodbye.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);

/// Taps of one connection that may wait for their answers.
const MAX_BUYING: usize = 8;

const GOING_AWAY: u16 = 1001;
const WRONG_KIND: u16 = 1003;
const TOO_BIG: u16 = 1009;
const DISMISSED: u16 = 4403;
const LOST: u16 = 4408;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(hub))
}

/// The live's WebSocket: state, chat, questions, pins, stock, own purchases. See proto/hanamichi/v1/hub.proto.
#[utoipa::path(get, path = "/v1/lives/{live}/hub", tag = "lives", params(("live" = String, Path)),
    responses((status = 101, description = "Subprotocol hanamichi.v1.json (default) or hanamichi.v1.proto"),
        (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn hub(
    Guest(person): Guest,
    State(app): State<App>,
    PathId(live): PathId<LiveId>,
    CallerAddress(address): CallerAddress,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade =
        upgrade.map_err(|_| Problem::invalid("this address speaks WebSocket; see proto/hanamichi/v1/hub.proto"))?;
    admit(&app.lives, Some(app.checkout.clone()), &live, (person.map(visitor), address), upgrade).await
}

/// Takes a seat, then upgrades.
async fn admit(
    lives: &Lives,
    checkout: Option<Checkout>,
    live: &LiveId,
    (visitor, address): (Option<Visitor>, IpAddr),
    mut upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    let codec = negotiate(&mut upgrade)?;
    lives.may_enter(live, visitor.as_ref(), address).await?;
    let seat = lives.join(live, visitor, codec).await?;
    seat.came_from(address);
    let (lives, tasks) = (lives.clone(), lives.tasks().clone());
    let upgrade = upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES);
    // The library's own task ends at once; the connection lives on ours, which a stop waits for.
    Ok(upgrade.on_upgrade(async move |socket| {
        tasks.spawn("hub connection", Connection::new(socket, seat, lives, checkout).run());
    }))
}

/// JSON when nothing is asked for; of several, protobuf.
fn negotiate(upgrade: &mut WebSocketUpgrade) -> Result<Codec, Problem> {
    let asked: Vec<_> = upgrade.requested_protocols().filter_map(|name| name.to_str().ok()).collect();
    if asked.is_empty() {
        return Ok(Codec::Json);
    }
    let known = [Codec::Proto, Codec::Json].into_iter().find(|codec| asked.contains(&codec.subprotocol()));
    let codec = known.ok_or_else(|| Problem::invalid("subprotocol must be hanamichi.v1.json or hanamichi.v1.proto"))?;
    upgrade.set_selected_protocol(HeaderValue::from_static(codec.subprotocol()));
    Ok(codec)
}

/// Why a connection is over; `Some` holds the code to close with.
type Over = Option<(u16, &'static str)>;

struct Connection {
    socket: WebSocket,
    seat: Seat,
    lives: Lives,
    /// Where taps go; a hub without a shop has none.
    checkout: Option<Checkout>,
    /// Taps that wait for their answer; the room goes on meanwhile.
    buying: FuturesUnordered<BoxFuture<'static, (u64, reply::Result)>>,
    bucket: Bucket,
    began_at: Instant,
    heard_at: Instant,
}

impl Connection {
    fn new(socket: WebSocket, seat: Seat, lives: Lives, checkout: Option<Checkout>) -> Self {
        let now = Instant::now();
        let bucket = Bucket::new(MESSAGES_PER_S, MESSAGES_BURST, Millis(0));
        let buying = FuturesUnordered::new();
        Self { socket, seat, lives, checkout, buying, bucket, began_at: now, heard_at: now }
    }

    async fn run(mut self) {
        let stopping = self.lives.tasks().stopping();
        let over = tokio::select! {
            over = self.converse() => over,
            () = stopping.cancelled() => Some((GOING_AWAY, "the server stops")),
        };
        let Some((code, reason)) = over else { return };
        let parting = async {
            let goodbye = match self.seat.dismissed() {
                Some(why) if code == DISMISSED => Some(self.seat.farewell(why)),
                _ => (code == GOING_AWAY).then(|| self.seat.goodbye(reason)),
            };
            if let Some(goodbye) = goodbye {
                let _ = self.socket.send(message(self.seat.codec(), goodbye)).await;
            }
            let _ = self.socket.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
            // Closing a socket with unread bytes would reset it and lose what was just said.
            while let Some(Ok(_)) = self.socket.recv().await {}
        };
        let _ = tokio::time::timeout(GOODBYE_WITHIN, parting).await;
    }

    async fn converse(&mut self) -> Over {
        let mut ping = tokio::time::interval(PING_EVERY);
        ping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ping.reset();
        let first_word_until = self.began_at + FIRST_WORD_WITHIN;
        loop {
            if let Some(why) = self.seat.dismissed() {
                return Some((DISMISSED, why.reason()));
            }
            let begun = self.seat.has_begun();
            let step = tokio::select! {
                frames = self.seat.next(), if begun => self.write(frames).await,
                received = self.socket.recv() => self.hear(received).await,
                Some((id, result)) = self.buying.next(), if !self.buying.is_empty() => {
                    if id == 0 { Ok(()) } else { self.reply(id, result).await }
                }
                () = tokio::time::sleep_until(first_word_until), if !begun => self.begin(None).await,
                _ = ping.tick() => self.ping().await,
            };
            if let Err(over) = step {
                return over;
            }
        }
    }

    async fn ping(&mut self) -> Result<(), Over> {
        if self.heard_at.elapsed() >= SILENT_AFTER {
            return Err(Some((LOST, "no sign of life")));
        }
        self.send(vec![Message::Ping(Bytes::new())]).await
    }

    async fn begin(&mut self, from: Option<&wire::Resume>) -> Result<(), Over> {
        let first = self.seat.begin(from);
        self.write(vec![first]).await
    }

    async fn write(&mut self, frames: Vec<Bytes>) -> Result<(), Over> {
        let codec = self.seat.codec();
        self.send(frames.into_iter().map(|frame| message(codec, frame)).collect()).await
    }

    /// One write for all that is pending.
    async fn send(&mut self, messages: Vec<Message>) -> Result<(), Over> {
        let socket = &mut self.socket;
        let sending = async {
            for message in messages {
                socket.feed(message).await?;
            }
            socket.flush().await
        };
        match tokio::time::timeout(STUCK_AFTER, sending).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(None),
            Err(_) => Err(Some((LOST, "nothing was accepted"))),
        }
    }

    async fn hear(&mut self, received: Option<Result<Message, axum::Error>>) -> Result<(), Over> {
        self.heard_at = Instant::now();
        let bytes = match (received, self.seat.codec()) {
            (None | Some(Ok(Message::Close(_))), _) => return Err(None),
            (Some(Err(error)), _) => return Err(too_big(&error)),
            (Some(Ok(Message::Ping(_) | Message::Pong(_))), _) => return Ok(()),
            (Some(Ok(Message::Text(text))), Codec::Json) => Bytes::from(text),
            (Some(Ok(Message::Binary(bytes))), Codec::Proto) => bytes,
            (Some(Ok(Message::Text(_) | Message::Binary(_))), _) => {
                return Err(Some((WRONG_KIND, "not the kind of frame of this subprotocol")));
            }
        };
        let frame = match self.seat.codec().decode(&bytes) {
            Ok(frame) => frame,
            Err(error) => {
                self.listen_first().await?;
                return self.reply(0, reply::Result::Problem(to_wire(Problem::invalid(error.to_string())))).await;
            }
        };
        if let Some(Ask::Resume(from)) = &frame.body
            && !self.seat.has_begun()
        {
            return self.begin(Some(from)).await;
        }
        self.listen_first().await?;
        let now = Millis(i64::try_from(self.began_at.elapsed().as_millis()).unwrap_or(i64::MAX));
        let answer = match self.bucket.take(now) {
            Err(wait_ms) => Err(Problem::new(Kind::RateLimited, "too many messages on this connection")
                .retry_after_ms(u64::try_from(wait_ms).unwrap_or(0))),
            Ok(()) => match frame.body {
                Some(Ask::Ping(ping)) => return self.pong(ping).await,
                Some(Ask::Buy(buy)) => match self.buy(frame.id, buy) {
                    Ok(()) => return Ok(()),
                    Err(problem) => Err(problem),
                },
                Some(body) => self.answer(body).await,
                None => Err(Problem::invalid("an empty frame, or a body this server does not know")),
            },
        };
        match (frame.id, answer) {
            (0, _) => Ok(()),
            (id, Ok(result)) => self.reply(id, result).await,
            (id, Err(problem)) => self.reply(id, reply::Result::Problem(to_wire(problem))).await,
        }
    }

    /// Whoever begins with anything but Resume gets a snapshot before the reply.
    async fn listen_first(&mut self) -> Result<(), Over> {
        if self.seat.has_begun() { Ok(()) } else { self.begin(None).await }
    }

    async fn answer(&mut self, body: Ask) -> Result<reply::Result, Problem> {
        match body {
            Ask::SendChat(chat) => {
                let said = self.lives.chat(self.seat.live(), self.signed()?, &chat.text).await?;
                Ok(reply::Result::Chat(said))
            }
            Ask::Ask(ask) => {
                let author = self.signed()?;
                let product = match ask.product_id.as_str() {
                    "" => None,
                    id => Some(ProductId::parse(id).map_err(|_| Problem::not_found("pin"))?),
                };
                let question = self.lives.ask(self.seat.live(), author, &ask.text, product.as_ref()).await?;
                Ok(reply::Result::Question(question.to_wire()))
            }
            Ask::Upvote(upvote) => {
                let voter = self.signed()?;
                let id = QuestionId::parse(&upvote.question_id).map_err(|_| Problem::not_found("question"))?;
                Ok(reply::Result::Question(self.lives.upvote(&id, voter).await?.to_wire()))
            }
            Ask::React(react) => {
                self.lives.react(&self.seat, &react.kind)?;
                Ok(reply::Result::Done(wire::Done {}))
            }
            Ask::Click(click) => {
                self.lives.click(&self.seat, &click.pin_id)?;
                Ok(reply::Result::Done(wire::Done {}))
            }
            Ask::Resume(_) => Err(Problem::new(Kind::Conflict, "resume is the first message of a connection")),
            // Answered before they come here.
            Ask::Ping(_) | Ask::Buy(_) | Ask::Refresh(_) => Ok(reply::Result::Done(wire::Done {})),
        }
    }

    /// Begins a tap; its reply comes when the reservation is durable. A tap without an id has no reply, but is done.
    fn buy(&self, id: u64, buy: wire::Buy) -> Result<(), Problem> {
        let visitor = self.signed()?;
        let checkout = self.checkout.clone().ok_or_else(|| Problem::not_found("shop"))?;
        if self.buying.len() >= MAX_BUYING {
            return Err(Problem::new(Kind::RateLimited, "wait for the answers to your other taps"));
        }
        let method = match buy.payment_method.as_str() {
            "" => None,
            name => Some(Method::parse(name).ok_or_else(|| Problem::invalid("payment_method is not known"))?),
        };
        let request = PlaceRequest {
            offer_id: Some(OfferId::parse(&buy.offer_id).map_err(|_| Problem::not_found("offer"))?),
            qty: Some(u32::try_from(buy.qty).map_err(|_| Problem::invalid("qty must be positive"))?),
            confirmation_hash: (!buy.confirmation_hash.is_empty()).then_some(buy.confirmation_hash),
            payment_method: method,
            ..PlaceRequest::default()
        };
        let (customer, demo) = (visitor.customer_id.clone(), visitor.demo);
        self.buying.push(Box::pin(async move {
            let placed = checkout.place(&customer, demo, &buy.key, &request).await;
            let result = match placed {
                Ok(purchase) => reply::Result::Purchase(purchase_status(&purchase)),
                Err(error) => reply::Result::Problem(to_wire(error.into())),
            };
            (id, result)
        }));
        Ok(())
    }

    fn signed(&self) -> Result<&Visitor, Problem> {
        self.seat.visitor().ok_or_else(|| Problem::new(Kind::NotSignedIn, "guests may watch; sign in to take part"))
    }

    async fn pong(&mut self, ping: wire::Ping) -> Result<(), Over> {
        let server_at_ms = self.lives.clock().now().0;
        let pong = wire::Pong { client_at_ms: ping.client_at_ms, server_at_ms };
        self.write(vec![self.seat.codec().encode(&Body::Pong(pong).into())]).await
    }

    async fn reply(&mut self, id: u64, result: reply::Result) -> Result<(), Over> {
        let reply = wire::Reply { id, result: Some(result) };
        self.write(vec![self.seat.codec().encode(&Body::Reply(reply).into())]).await
    }
}

fn message(codec: Codec, frame: Bytes) -> Message {
    match codec {
        Codec::Json => Message::Text(Utf8Bytes::try_from(frame).expect("JSON is UTF-8")),
        Codec::Proto => Message::Binary(frame),
    }
}

fn to_wire(problem: Problem) -> wire::Problem {
    wire::Problem {
        r#type: problem.kind,
        title: problem.title.to_owned(),
        status: problem.status.into(),
        detail: problem.detail.into_owned(),
        retry_after_ms: problem.retry_after_ms.and_then(|ms| i64::try_from(ms).ok()).unwrap_or(0),
    }
}

fn too_big(error: &axum::Error) -> Over {
    use tokio_tungstenite::tungstenite;
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<tungstenite::Error>());
    matches!(source, Some(tungstenite::Error::Capacity(_))).then_some((TOO_BIG, "a message may have 4 KiB"))
}

#[cfg(test)]
#[path = "ws_tests.rs"]
mod tests;
