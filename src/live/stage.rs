//! Shell: one live's room in memory: its state, its log, and who is seated.
//!
//! News goes in by [`Stage::tell`]; the ticker turns what is pending into one batch, at once when the room is quiet and
//! every [`TICK`] when it is busy, encodes it once per codec and appends it to the log; connections read the log.
//! Invariant: seq numbers have no holes and lie in the log in order; a snapshot at seq S holds everything up to S.
//! Rule of the locks: `inner` before `household` before `log`, none across an await.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    Figures, LiveError, Visitor,
    chat::{ChatRefusal, Floor, Thinner},
    codec::{Codec, SnapshotBytes},
    household::Household,
    log::{CODECS, Cursor, Log, Read},
    room::{Change, News, State},
    seat::Lane,
    talk::{Entry, Scribe},
};
use crate::{
    bus::{Bus, Fact},
    clock::{Clock, Millis},
    ids::{ChatId, CustomerId, LiveId, LiverId},
    wire::{self, ordered::Event, server_frame::Body, state::Value},
};

/// Shortest time between two batches of a busy room.
const TICK: Duration = Duration::from_millis(50);
/// Reactions are added up this long.
const REACTIONS_EVERY: Duration = Duration::from_millis(250);
/// The viewer count is told this often.
const VIEWERS_EVERY: Duration = Duration::from_secs(1);
/// A snapshot is used again while at most this many batches came after it, which the log bridges …
const SNAPSHOT_REUSE: u64 = 64;
/// … and while it is younger than this: a storm of joiners shares one, and nobody gets an old clock.
const SNAPSHOT_FRESH_MS: i64 = 250;
/// Bytes that one read of the log hands to a connection.
const READ_BYTES: usize = 16 * 1024;
/// Customers remembered as having come; when full they are forgotten, and a second view may be recorded.
const MAX_SEEN: usize = 100_000;
/// The reactions there are.
pub(super) const REACTIONS: [&str; 5] = ["heart", "clap", "laugh", "wow", "flower"];

/// What the next batch will hold.
#[derive(Debug, Default)]
struct Pending {
    ordered: Vec<wire::Ordered>,
    /// Newest value per key.
    state: BTreeMap<String, Value>,
    chat: Vec<wire::ChatMessage>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.ordered.is_empty() && self.state.is_empty() && self.chat.is_empty()
    }

    /// Drops what an ordered event has overtaken: a client reads it first, and would bring back what is gone.
    fn outdate(&mut self, event: &Event) {
        match event {
            Event::QuestionChanged(question) => drop(self.state.remove(&question.id)),
            Event::ChatDeleted(deleted) => self.chat.retain(|message| message.id != deleted.chat_id),
            _ => {}
        }
    }
}

fn key(value: &Value) -> String {
    match value {
        Value::Stock(stock) => stock.sku_id.clone(),
        Value::OfferLeft(left) => left.offer_id.clone(),
        Value::Question(question) => question.id.clone(),
        Value::Viewers(_) => "viewers".to_owned(),
        Value::Reactions(count) => format!("reaction {}", count.kind),
    }
}

#[derive(Debug)]
struct Cached {
    built_at: Millis,
    bytes: SnapshotBytes,
    seq: u64,
    cursor: Cursor,
}

#[derive(Debug)]
struct Inner {
    state: State,
    seq: u64,
    pending: Pending,
    floor: Floor,
    thinner: Thinner,
    seats: HashMap<u64, Arc<Lane>>,
    /// Seats of others than the liver.
    watching: u32,
    peak: i64,
    peak_noted: i64,
    viewers_version: i64,
    reacted: BTreeMap<&'static str, i64>,
    seen: HashSet<CustomerId>,
    figures: Option<Figures>,
    snapshots: [Option<Cached>; CODECS],
    /// Set when the room is taken out of memory: whoever still holds it must open it again.
    closed: bool,
    idle_since: Instant,
}

/// One live's room.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) live: LiveId,
    pub(super) liver: LiverId,
    epoch: String,
    clock: Clock,
    inner: Mutex<Inner>,
    pub(super) household: Mutex<Household>,
    log: RwLock<Log>,
    /// Something is pending: the ticker looks.
    bell: Notify,
    /// The log has grown: connections look.
    head: watch::Sender<()>,
    pub(super) gone: CancellationToken,
}

/// The room was taken out of memory between finding and using it.
#[derive(Debug)]
pub(super) struct Closed;

impl Stage {
    pub(super) fn new(
        live: LiveId,
        liver: LiverId,
        state: State,
        peak: i64,
        household: Household,
        clock: Clock,
        gone: CancellationToken,
    ) -> Self {
        let now = clock.now();
        let inner = Inner {
            state,
            seq: 0,
            pending: Pending::default(),
            floor: Floor::new(),
            thinner: Thinner::new(now),
            seats: HashMap::new(),
            watching: 0,
            peak,
            peak_noted: peak,
            viewers_version: 0,
            reacted: BTreeMap::new(),
            seen: HashSet::new(),
            figures: None,
            snapshots: [None, None],
            closed: false,
            idle_since: Instant::now(),
        };
        Self {
            live,
            liver,
            epoch: super::secret::epoch(),
            clock,
            inner: Mutex::new(inner),
            household: Mutex::new(household),
            log: RwLock::new(Log::default()),
            bell: Notify::new(),
            head: watch::channel(()).0,
            gone,
        }
    }

    /// Folds one piece of news and lets viewers know.
    pub(super) fn tell(&self, news: News) {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        if let News::Chat(message) = &news
            && !inner.thinner.passes(&message.author_role, now)
        {
            return;
        }
        let changes = inner.state.apply(news);
        if changes.is_empty() {
            return;
        }
        for change in changes {
            match change {
                Change::Ordered(event) => {
                    inner.seq += 1;
                    let seq = inner.seq;
                    inner.pending.outdate(&event);
                    inner.pending.ordered.push(wire::Ordered { seq, at_ms: now.0, event: Some(event) });
                }
                Change::State(value) => {
                    inner.pending.state.insert(key(&value), value);
                }
                Change::Chat(message) => inner.pending.chat.push(message),
            }
        }
        drop(inner);
        self.bell.notify_one();
    }

    /// Takes a message of the chat, and makes what will be told.
    pub(super) fn say(&self, author: &Visitor, text: &str) -> Result<Result<wire::ChatMessage, LiveError>, Closed> {
        let now = self.clock.now();
        let role = match self.may_say(author, text) {
            Ok(role) => role,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(Closed);
        }
        if inner.state.live().state == "ended" {
            return Ok(Err(LiveError::Ended));
        }
        let slow_mode = Duration::from_secs(inner.state.chat_rules().slow_mode_s.unsigned_abs().into());
        let admitted = inner.floor.admit(&author.account_id, role, slow_mode, text, now);
        Ok(admitted.map_err(|refusal: ChatRefusal| refusal.into()).map(|text| wire::ChatMessage {
            id: ChatId::fresh().to_string(),
            author_name: author.display_name.clone(),
            author_role: role.word().to_owned(),
            text,
            at_ms: now.0,
            demo: author.demo,
        }))
    }

    /// Counts a reaction; it is told with the others of its quarter second.
    pub(super) fn react(&self, kind: &str) -> Result<(), LiveError> {
        let kind = REACTIONS.into_iter().find(|known| *known == kind).ok_or(LiveError::UnknownReaction)?;
        let mut inner = self.inner.lock();
        if inner.state.live().state == "ended" {
            return Err(LiveError::Ended);
        }
        *inner.reacted.entry(kind).or_default() += 1;
        drop(inner);
        self.bell.notify_one();
        Ok(())
    }

    /// Takes a seat.
    pub(super) fn seat(&self, id: u64, lane: Arc<Lane>) -> Result<watch::Receiver<()>, Closed> {
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(Closed);
        }
        if !lane.is_liver() {
            inner.watching += 1;
            inner.peak = inner.peak.max(i64::from(inner.watching));
        }
        inner.seats.insert(id, lane);
        drop(inner);
        self.bell.notify_one();
        Ok(self.head.subscribe())
    }

    /// Leaves a seat.
    pub(super) fn leave(&self, id: u64) {
        let mut inner = self.inner.lock();
        if let Some(lane) = inner.seats.remove(&id)
            && !lane.is_liver()
        {
            inner.watching -= 1;
        }
        inner.idle_since = Instant::now();
        drop(inner);
        self.bell.notify_one();
    }

    /// Whether this customer comes for the first time since the room is open.
    pub(super) fn is_first_visit(&self, customer: &CustomerId) -> bool {
        let mut inner = self.inner.lock();
        if inner.seen.len() >= MAX_SEEN {
            inner.seen.clear();
        }
        inner.seen.insert(customer.clone())
    }

    /// Everybody who is seated at this moment.
    pub(super) fn lanes(&self) -> Vec<Arc<Lane>> {
        self.inner.lock().seats.values().cloned().collect()
    }

    /// Whether somebody sits there.
    pub(super) fn has_seat(&self, id: u64) -> bool {
        self.inner.lock().seats.contains_key(&id)
    }

    /// The room's time.
    pub(super) fn now(&self) -> Millis {
        self.clock.now()
    }

    /// A look at the folded state.
    pub(super) fn look<T>(&self, at: impl FnOnce(&State) -> T) -> T {
        at(&self.inner.lock().state)
    }

    /// How many watch at this moment, and the most there were.
    pub(super) fn audience(&self) -> (u32, u32) {
        let inner = self.inner.lock();
        (inner.watching, u32::try_from(inner.peak).unwrap_or(u32::MAX))
    }

    /// Takes the room out of use when nobody has needed it for `idle`.
    pub(super) fn close_if_idle(&self, idle: Duration) -> bool {
        let mut inner = self.inner.lock();
        if inner.seats.is_empty() && inner.idle_since.elapsed() >= idle {
            inner.closed = true;
        }
        inner.closed
    }

    /// Keeps the room from being idle.
    pub(super) fn touch(&self) {
        self.inner.lock().idle_since = Instant::now();
    }

    pub(super) fn read(&self, cursor: Cursor, codec: Codec) -> Read {
        self.log.read().read(cursor, codec.index(), READ_BYTES)
    }

    /// The place to go on from, when everything since is in the log.
    pub(super) fn resume(&self, from: &wire::Resume) -> Option<(Body, Cursor)> {
        if from.epoch != self.epoch {
            return None;
        }
        let cursor = self.log.read().resume(from.seq)?;
        let (epoch, server_at_ms) = (self.epoch.clone(), self.clock.now().0);
        Some((Body::Resumed(wire::Resumed { epoch, seq: from.seq, server_at_ms }), cursor))
    }

    /// The whole state, and the place in the log right after it. Made once for all who need one at about this time.
    pub(super) fn snapshot(&self, codec: Codec) -> (SnapshotBytes, Cursor, u64) {
        let mut inner = self.inner.lock();
        if let Some(cached) = &inner.snapshots[codec.index()]
            && self.clock.now().since(cached.built_at) <= SNAPSHOT_FRESH_MS
            && self.log.read().distance(cached.cursor).is_some_and(|batches| batches <= SNAPSHOT_REUSE)
        {
            return (cached.bytes.clone(), cached.cursor, cached.seq);
        }
        // What is pending has its seq already, so it must lie before the snapshot.
        self.flush_locked(&mut inner);
        let snapshot = wire::Snapshot {
            epoch: self.epoch.clone(),
            seq: inner.seq,
            server_at_ms: self.clock.now().0,
            ..inner.state.snapshot()
        };
        let built_at = Millis(snapshot.server_at_ms);
        let bytes = codec.encode_snapshot(&snapshot);
        let cached = Cached { bytes, seq: inner.seq, cursor: self.log.read().end(), built_at };
        let answer = (cached.bytes.clone(), cached.cursor, cached.seq);
        inner.snapshots[codec.index()] = Some(cached);
        answer
    }

    fn flush(&self) {
        self.flush_locked(&mut self.inner.lock());
    }

    fn flush_locked(&self, inner: &mut Inner) {
        if inner.pending.is_empty() {
            return;
        }
        let pending = std::mem::take(&mut inner.pending);
        let seq = pending.ordered.last().map(|ordered| ordered.seq);
        let batch = wire::Batch {
            epoch: self.epoch.clone(),
            ordered: pending.ordered,
            state: pending.state.into_values().map(|value| wire::State { value: Some(value) }).collect(),
            chat: pending.chat,
        };
        let frame = Body::Batch(batch).into();
        self.log.write().append(Codec::ALL.map(|codec| codec.encode(&frame)), seq);
        self.head.send_replace(());
    }

    /// Turns what is pending into batches until the room is gone.
    pub(super) async fn tick(self: Arc<Self>, bus: Bus, scribe: Scribe) {
        let long_ago = Instant::now();
        let (mut reactions_due, mut viewers_due) = (long_ago, long_ago);
        loop {
            let due = self.next_due(reactions_due, viewers_due);
            tokio::select! {
                () = self.bell.notified() => {}
                () = sleep_until(due) => {}
                () = self.gone.cancelled() => break,
            }
            let now = Instant::now();
            if now >= reactions_due && self.tell_reactions(&bus, &scribe) {
                reactions_due = now + REACTIONS_EVERY;
            }
            if now >= viewers_due && self.tell_viewers() {
                viewers_due = now + VIEWERS_EVERY;
                self.tell_sales();
                self.note_peak(&scribe);
            }
            self.flush();
            tokio::time::sleep(TICK).await;
        }
        self.tell_reactions(&bus, &scribe);
        self.flush();
        self.note_peak(&scribe);
    }

    fn next_due(&self, reactions_due: Instant, viewers_due: Instant) -> Option<Instant> {
        let inner = self.inner.lock();
        let reactions = (!inner.reacted.is_empty()).then_some(reactions_due);
        let viewers = (inner.watching != inner.state.viewers()).then_some(viewers_due);
        let pending = (!inner.pending.is_empty()).then(Instant::now);
        [reactions, viewers, pending].into_iter().flatten().min()
    }

    fn tell_reactions(&self, bus: &Bus, scribe: &Scribe) -> bool {
        let reacted = std::mem::take(&mut self.inner.lock().reacted);
        if reacted.is_empty() {
            return false;
        }
        let more: Vec<_> =
            reacted.into_iter().map(|(kind, total)| wire::ReactionCount { kind: kind.to_owned(), total }).collect();
        for count in &more {
            scribe.note(Entry::Reactions { live: self.live.clone(), kind: count.kind.clone(), more: count.total });
        }
        bus.offer(Fact::Reactions { live: self.live.clone(), more });
        true
    }

    fn tell_viewers(&self) -> bool {
        let mut inner = self.inner.lock();
        if inner.watching == inner.state.viewers() {
            return false;
        }
        inner.viewers_version = self.clock.now().0.max(inner.viewers_version + 1);
        let count = wire::ViewerCount { viewers: inner.watching, version: inner.viewers_version };
        drop(inner);
        self.tell(News::Viewers(count));
        true
    }

    fn note_peak(&self, scribe: &Scribe) {
        let mut inner = self.inner.lock();
        if inner.peak > inner.peak_noted {
            inner.peak_noted = inner.peak;
            scribe.note(Entry::Peak { live: self.live.clone(), viewers: inner.peak });
        }
    }

    /// Whether the liver (or who moderates) is here to read sales figures.
    pub(super) fn has_liver(&self) -> bool {
        self.inner.lock().seats.values().any(|lane| lane.is_liver())
    }

    pub(super) fn put_figures(&self, figures: Figures) {
        self.inner.lock().figures = Some(figures);
        self.tell_sales();
    }

    fn tell_sales(&self) {
        let inner = self.inner.lock();
        let Some(figures) = &inner.figures else { return };
        let sales = wire::Sales {
            orders: figures.orders,
            units: figures.units,
            gross_minor: figures.gross_minor,
            currency: crate::money::Currency::Jpy.as_str().to_owned(),
            viewers: inner.watching,
            peak_viewers: u32::try_from(inner.peak).unwrap_or(u32::MAX),
            ..wire::Sales::default()
        };
        for lane in inner.seats.values().filter(|lane| lane.is_liver()) {
            lane.put_sales(sales.clone());
        }
    }

    /// Whether the fact is one that ends the live.
    pub(super) fn is_end(event: &Event) -> bool {
        matches!(event, Event::LiveChanged(live) if live.state == "ended")
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
