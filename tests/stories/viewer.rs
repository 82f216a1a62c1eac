//! Viewers that come back by themselves: each folds what it is told, counts what is missing, and notes every event.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use hanamichi::{
    live::{Codec, Mirror},
    wire::{self, client_frame::Body as Ask, server_frame::Body},
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::{Notify, watch},
    task::JoinHandle,
    time::Instant,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};
use tokio_util::sync::CancellationToken;

use crate::harness::{Actor, PATIENCE};

/// Pause between two looks at something that is awaited.
const LOOK: Duration = Duration::from_millis(15);
/// A server that does not answer for so long is given up, and the next one asked.
const KNOCK: Duration = Duration::from_secs(5);

/// How a viewer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As fast as it comes.
    Free,
    /// Not at all.
    Stopped,
    /// So many bytes a second, from a small window.
    BytesPerS(usize),
}

pub trait Pipe: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Pipe for T {}

pub type Socket = WebSocketStream<Box<dyn Pipe>>;

/// What a viewer has come to know.
#[derive(Debug, Default)]
pub struct Seen {
    pub mirror: Mirror,
    /// Every ordered event, as it was told.
    pub history: Vec<(String, wire::Ordered)>,
    /// Bytes of all messages.
    pub bytes: usize,
    /// Times it was let in.
    pub arrivals: usize,
    /// Seconds to stay away, as it was asked to.
    pub goodbyes: Vec<i64>,
    /// Codes that connections were closed with.
    pub closes: Vec<u16>,
}

struct Shared {
    actor: Actor,
    live: String,
    codec: Codec,
    bases: Vec<String>,
    at: AtomicUsize,
    pace: watch::Sender<Pace>,
    seen: Mutex<Seen>,
    cut: Notify,
    over: CancellationToken,
}

/// Somebody who watches until dropped. Whose connection ends goes to the next of the addresses.
pub struct Viewer {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.shared.over.cancel();
        self.task.abort();
    }
}

impl Viewer {
    /// Comes to the first address, and is there when this returns.
    pub async fn join(actor: &Actor, live: &str, codec: Codec, bases: &[String]) -> Self {
        Self::join_at(actor, live, codec, bases, Pace::Free).await
    }

    pub async fn join_at(actor: &Actor, live: &str, codec: Codec, bases: &[String], pace: Pace) -> Self {
        let shared = Arc::new(Shared {
            actor: actor.clone(),
            live: live.to_owned(),
            codec,
            bases: bases.to_vec(),
            at: AtomicUsize::new(0),
            pace: watch::channel(pace).0,
            seen: Mutex::default(),
            cut: Notify::new(),
            over: CancellationToken::new(),
        });
        let task = tokio::spawn(Arc::clone(&shared).watch());
        let viewer = Self { shared, task };
        viewer.until("the first snapshot", |seen| seen.mirror.snapshots > 0).await;
        viewer
    }

    /// A look at what it knows.
    pub fn look<T>(&self, at: impl FnOnce(&Seen) -> T) -> T {
        at(&self.shared.seen.lock())
    }

    pub fn mirror(&self) -> Mirror {
        self.look(|seen| seen.mirror.clone())
    }

    /// Waits until it knows something.
    pub async fn until(&self, what: &str, know: impl Fn(&Seen) -> bool) {
        let waiting = async {
            while !self.look(&know) {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            let (epoch, seq) = self.look(|seen| (seen.mirror.epoch.clone(), seen.mirror.seq));
            panic!("never: {what}; at {seq} of {epoch}");
        }
    }

    /// Breaks its connection without a word; it comes back at the next address.
    pub fn cut(&self) {
        self.shared.cut.notify_one();
    }

    /// Cuts it and waits until it is back.
    pub async fn move_on(&self) {
        let arrivals = self.look(|seen| seen.arrivals);
        self.cut();
        self.until("back", |seen| seen.arrivals > arrivals).await;
    }

    pub fn read_at(&self, pace: Pace) {
        self.shared.pace.send_replace(pace);
    }

    /// Where it watches, or wants to.
    pub fn base(&self) -> &str {
        self.shared.base()
    }

    /// Nothing was missing, repeated or skipped, and it was given so many snapshots.
    #[track_caller]
    pub fn assert_whole(&self, snapshots: u64) {
        self.look(|seen| {
            let told = (seen.mirror.faults, seen.mirror.snapshots);
            let (seq, arrivals) = (seen.mirror.seq, seen.arrivals);
            assert_eq!(told, (0, snapshots), "faults and snapshots, at {seq} after {arrivals} arrivals");
        });
    }
}

impl Shared {
    fn base(&self) -> &str {
        &self.bases[self.at.load(Ordering::Relaxed) % self.bases.len()]
    }

    async fn watch(self: Arc<Self>) {
        loop {
            let there = self.actor.at(self.base());
            let opening = open(&there, &self.live, self.codec, &self.pace);
            match tokio::time::timeout(KNOCK, opening).await {
                Ok(Some(socket)) => {
                    let away_ms = self.sit(socket).await;
                    tokio::time::sleep(Duration::from_millis(away_ms)).await;
                }
                _ => tokio::time::sleep(LOOK).await,
            }
            self.at.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Until the connection ends; for how many milliseconds it was asked to stay away.
    async fn sit(&self, mut socket: Socket) -> u64 {
        let from = {
            let seen = self.seen.lock();
            wire::Resume { epoch: seen.mirror.epoch.clone(), seq: seen.mirror.seq }
        };
        let resume = wire::ClientFrame { id: 0, body: Some(Ask::Resume(from)) };
        if socket.send(message(self.codec, &resume)).await.is_err() {
            return 0;
        }
        let mut arrived = false;
        let mut away_ms = 0;
        loop {
            let heard = tokio::select! {
                heard = socket.next() => heard,
                () = self.cut.notified() => return 0,
                () = self.over.cancelled() => return 0,
            };
            let payload = match heard {
                Some(Ok(Message::Text(text))) => text.as_bytes().to_vec(),
                Some(Ok(Message::Binary(bytes))) => bytes.to_vec(),
                Some(Ok(Message::Close(said))) => {
                    self.seen.lock().closes.extend(said.map(|said| u16::from(said.code)));
                    continue;
                }
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return away_ms,
            };
            let frame = self.codec.decode_server(&payload).expect("a frame of the hub");
            let mut seen = self.seen.lock();
            seen.bytes += payload.len();
            if !arrived {
                (arrived, seen.arrivals) = (true, seen.arrivals + 1);
            }
            match &frame.body {
                Some(Body::Goodbye(goodbye)) => {
                    seen.goodbyes.push(goodbye.reconnect_after_ms);
                    away_ms = u64::try_from(goodbye.reconnect_after_ms).unwrap_or(0);
                }
                Some(Body::Batch(batch)) => {
                    let epoch = batch.epoch.clone();
                    seen.history.extend(batch.ordered.iter().map(|ordered| (epoch.clone(), ordered.clone())));
                }
                _ => {}
            }
            seen.mirror.fold(frame);
        }
    }
}

pub fn message(codec: Codec, frame: &wire::ClientFrame) -> Message {
    let bytes = codec.encode_client(frame);
    match codec {
        Codec::Json => Message::text(String::from_utf8(bytes.to_vec()).expect("JSON is text")),
        Codec::Proto => Message::binary(bytes),
    }
}

/// Opens a connection to the hub at the actor's address; none when nobody answers.
pub async fn open(actor: &Actor, live: &str, codec: Codec, pace: &watch::Sender<Pace>) -> Option<Socket> {
    let url = format!("{}/v1/lives/{live}/hub", actor.base.replacen("http", "ws", 1));
    let mut request = url.into_client_request().expect("an address");
    let headers = request.headers_mut();
    if !actor.cookie.is_empty() {
        headers.insert("cookie", HeaderValue::from_str(&actor.cookie).expect("text"));
    }
    headers.insert("sec-websocket-protocol", HeaderValue::from_static(codec.subprotocol()));
    let address = actor.base.strip_prefix("http://").expect("no TLS here").parse().expect("an address");
    let reads = *pace.borrow();
    let pipe: Box<dyn Pipe> = if reads == Pace::Free {
        Box::new(TcpStream::connect(address).await.ok()?)
    } else {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(SMALL_WINDOW_BYTES).expect("a small window");
        Box::new(paced(socket.connect(address).await.ok()?, pace.subscribe()))
    };
    tokio_tungstenite::client_async(request, pipe).await.ok().map(|(socket, _)| socket)
}

/// What the kernel may keep for somebody who does not read.
const SMALL_WINDOW_BYTES: u32 = 4 * 1024;
/// Steps of a slow reader in a second.
const STEPS_PER_S: usize = 8;

/// The near end of a pipe that reads from the connection at some pace.
fn paced(stream: TcpStream, mut pace: watch::Receiver<Pace>) -> impl Pipe {
    let (near, far) = tokio::io::duplex(SMALL_WINDOW_BYTES as usize);
    let (mut from_server, mut to_server) = stream.into_split();
    let (mut from_client, mut to_client) = tokio::io::split(far);
    let reading = async move {
        let mut bytes = vec![0; 16 * 1024];
        loop {
            let most = match *pace.borrow_and_update() {
                Pace::Free => bytes.len(),
                Pace::Stopped => 0,
                Pace::BytesPerS(n) => (n / STEPS_PER_S).min(bytes.len()),
            };
            if most == 0 {
                if pace.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let Ok(read @ 1..) = from_server.read(&mut bytes[..most]).await else { return };
            if to_client.write_all(&bytes[..read]).await.is_err() {
                return;
            }
            if most < bytes.len() {
                tokio::time::sleep(Duration::from_millis(1_000 / STEPS_PER_S as u64)).await;
            }
        }
    };
    let writing = async move {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    };
    tokio::spawn(async move {
        tokio::select! {
            () = reading => {}
            () = writing => {}
        }
    });
    near
}

/// Every viewer that was told an event of a place was told the same one.
#[track_caller]
pub fn assert_one_history<'a>(viewers: impl IntoIterator<Item = &'a Viewer>) {
    let mut told: BTreeMap<(String, u64), wire::Ordered> = BTreeMap::new();
    for viewer in viewers {
        viewer.look(|seen| {
            for (epoch, ordered) in &seen.history {
                let known = told.entry((epoch.clone(), ordered.seq)).or_insert_with(|| ordered.clone());
                assert_eq!(known, ordered, "one place, one event");
            }
        });
    }
}

/// The room as somebody gets it who comes to this node.
pub async fn newcomer(base: &str, live: &str) -> Mirror {
    let viewer = Viewer::join(&Actor::guest(base), live, Codec::Proto, &[base.to_owned()]).await;
    viewer.mirror()
}

/// Where two pictures of a room differ.
pub fn difference(one: &Mirror, other: &Mirror) -> Option<String> {
    let place = |mirror: &Mirror| (mirror.epoch.clone(), mirror.seq);
    if place(one) != place(other) {
        return Some(format!("at {:?} and {:?}", place(one), place(other)));
    }
    if one.live != other.live {
        return Some(format!("lives {:?} and {:?}", one.live, other.live));
    }
    if one.pins != other.pins {
        return Some(format!("pins {:?} and {:?}", one.pins, other.pins));
    }
    // Only the newest questions are shown to who comes late.
    let shown = |mirror: &Mirror, like: &Mirror| {
        let questions = mirror.questions.iter().filter(|(id, _)| like.questions.contains_key(*id));
        questions.map(|(id, question)| (id.clone(), question.clone())).collect::<BTreeMap<_, _>>()
    };
    let (mine, theirs) = (shown(one, other), shown(other, one));
    if mine != theirs || mine.len() < one.questions.len().min(other.questions.len()) {
        return Some(format!("questions {:?} and {:?}", one.questions, other.questions));
    }
    if (&one.stock, &one.left) != (&other.stock, &other.left) {
        return Some(format!("stock {:?} and {:?}", one.stock, other.stock));
    }
    let chat = |mirror: &Mirror| (mirror.chat_rules, mirror.chat_pinned.as_ref().map(|line| line.id.clone()));
    (chat(one) != chat(other)).then(|| format!("chat {:?} and {:?}", chat(one), chat(other)))
}

/// Waits until a newcomer at every node and all these viewers have the same picture, and gives it.
pub async fn all_agree(within: Duration, live: &str, bases: &[String], viewers: &[Viewer]) -> Mirror {
    let until = Instant::now() + within;
    loop {
        let truth = newcomer(&bases[0], live).await;
        let mut wrong = None;
        for base in &bases[1..] {
            let other = newcomer(base, live).await;
            wrong = wrong.or_else(|| difference(&truth, &other).map(|what| format!("a newcomer at {base}: {what}")));
        }
        for (n, viewer) in viewers.iter().enumerate() {
            let found = difference(&truth, &viewer.mirror());
            wrong = wrong.or_else(|| found.map(|what| format!("viewer {n} at {}: {what}", viewer.base())));
        }
        let Some(wrong) = wrong else { return truth };
        assert!(Instant::now() < until, "they do not agree within {within:?}: {wrong}");
        tokio::time::sleep(LOOK).await;
    }
}
