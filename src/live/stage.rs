//! Shell: one live's room in memory: its state, its log, and who is seated.
//!
//! News goes in by [`Stage::tell`], ordered facts with the place that the bus gave them by [`Stage::take`]; the ticker
//! turns what is pending into batches, at once when the room is quiet and every 10 to 100 ms when it is busy, and appends
//! them to the log, finished; connections read the log.
//! Invariant: seqs come from the bus without holes and lie in the log in order; a snapshot at seq S holds everything up
//! to S. A new history (epoch) begins with an empty log and a snapshot for everybody.
//! Rule of the locks: `mends` before `inner` before `household` before `shelf` before `bells`, none across an await.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    Figures, LiveError, Visitor,
    chat::{ChatRefusal, Floor, Role},
    codec::{Codec, SnapshotBytes},
    frames,
    household::Household,
    lane::Lane,
    log::{self, CODECS, Class, Cursor, Frames, Log, Read, Wish},
    presence::Presence,
    room::{Change, News, State},
    shard::RoomBell,
    shows::Shows,
    talk::{Entry, Scribe},
    thinning::Thinner,
    uniques::Uniques,
};
use crate::{
    bus::{Bus, Fact, Place, Position},
    clock::{Clock, Millis},
    ids::{AccountId, ChatId, CustomerId, LiveId, LiverId},
    wire::{self, ordered::Event, server_frame::Body, state::Value},
};

/// Shortest time between two batches of a busy room …
const MIN_TICK: Duration = Duration::from_millis(10);
/// … and of one with many viewers: a batch costs a write per viewer.
const MAX_TICK: Duration = Duration::from_millis(50);
/// … and of one whose batches take long to write: between two there is time for half as much again, so that they never
/// queue up behind each other.
const SLOWEST_TICK: Duration = Duration::from_millis(100);
/// Viewers for whom the pause grows by a millisecond.
const VIEWERS_PER_TICK_MS: usize = 40;
/// Reactions are added up this long.
const REACTIONS_EVERY: Duration = Duration::from_millis(250);
/// The viewer count is told this often, to viewers and to other nodes.
const VIEWERS_EVERY: Duration = Duration::from_secs(1);
/// Audience figures are stored this often.
const AUDIENCE_EVERY: Duration = Duration::from_secs(10);
/// A snapshot is used again while it is younger than this: a storm of joiners shares one, and nobody gets an old clock.
const SNAPSHOT_FRESH_MS: i64 = 250;
/// Bytes that one read of the log hands to a connection.
const READ_BYTES: usize = 16 * 1024;
/// Customers remembered as having come; when full they are forgotten, and a second view may be recorded.
const MAX_SEEN: usize = 100_000;
/// Ordered facts that wait for one that is missing; beyond, the room begins anew.
const MAX_WAITING: usize = 10_000;
/// The reactions there are.
pub(super) const REACTIONS: [&str; 5] = ["heart", "clap", "laugh", "wow", "flower"];

/// What the next batches will hold.
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

/// Something that was finished for everybody, and where the log goes on after it.
#[derive(Debug, Clone)]
struct Made<T> {
    at: Millis,
    what: T,
    cursor: Cursor,
}

/// With and without chat, by codec.
type ByCodec<T> = [[Option<Made<T>>; CODECS]; 2];

/// What many ask for at about the same time; emptied when the history begins anew.
#[derive(Debug, Default)]
struct Shared {
    /// With and without chat.
    snapshots: ByCodec<(SnapshotBytes, Bytes)>,
    /// Every value of the state class, with and without chat.
    states: ByCodec<Bytes>,
}

/// Whether the chat goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chat {
    With,
    Without,
}

#[derive(Debug)]
struct Inner {
    state: State,
    seq: u64,
    /// After a hole, by seq.
    waiting: BTreeMap<u64, (Arc<Fact>, Millis)>,
    pending: Pending,
    floor: Floor,
    thinner: Thinner,
    seats: HashMap<u64, Arc<Lane>>,
    presence: Presence,
    shows: Shows,
    peak_noted: u32,
    viewers_version: i64,
    reacted: BTreeMap<&'static str, i64>,
    seen: HashSet<CustomerId>,
    figures: Option<Figures>,
    made: Shared,
    /// Set when the room is taken out of memory: whoever still holds it must open it again.
    closed: bool,
    idle_since: Instant,
}

/// The log, and which history it is of.
#[derive(Debug)]
struct Shelf {
    log: Log,
    epoch: Arc<str>,
    /// Grows with every new history: a cursor is worth nothing in another.
    generation: u32,
}

/// One live's room.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) live: LiveId,
    pub(super) liver: LiverId,
    clock: Clock,
    inner: Mutex<Inner>,
    pub(super) household: Mutex<Household>,
    shelf: RwLock<Shelf>,
    /// Something is pending: the ticker looks.
    bell: Notify,
    /// The log has grown: tasks look …
    head: watch::Sender<()>,
    /// … and shards.
    bells: Mutex<Vec<Arc<RoomBell>>>,
    mends: Mutex<Mends>,
    pub(super) gone: CancellationToken,
}

/// The room was taken out of memory between finding and using it.
#[derive(Debug)]
pub(super) struct Closed;

/// What a room needs.
#[derive(Debug)]
pub(super) enum Mending {
    /// The facts after a place.
    Hole(Place),
    /// To compare itself with the bus and the database.
    Everything,
}

/// Whether somebody mends the room, and what was missed meanwhile.
#[derive(Debug, Default)]
struct Mends {
    under_way: bool,
    hole: bool,
    everything: bool,
}

/// What became of an ordered fact.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is told, or was before.
    Told,
    /// Facts before it are missing: it waits, and what follows the place must be fetched.
    Hole(Place),
    /// It is of another history.
    Elsewhere,
}

/// How one who comes back goes on.
#[derive(Debug)]
pub(super) enum Resumption {
    /// By these frames, and then from the log, of this history.
    Rest(Frames, u32),
    /// They were told on another node what this one is about to hear.
    Ahead,
    /// By a snapshot.
    Lost,
}

/// What a room begins with.
pub(super) struct Opening {
    pub(super) live: LiveId,
    pub(super) liver: LiverId,
    pub(super) state: State,
    pub(super) position: Position,
    pub(super) presence: Presence,
    pub(super) household: Household,
}

impl Stage {
    pub(super) fn new(opening: Opening, clock: Clock, gone: CancellationToken) -> Self {
        let now = clock.now();
        let peak_noted = opening.presence.peak();
        let inner = Inner {
            state: opening.state,
            seq: opening.position.seq,
            waiting: BTreeMap::new(),
            pending: Pending::default(),
            floor: Floor::new(),
            thinner: Thinner::new(now),
            seats: HashMap::new(),
            presence: opening.presence,
            shows: Shows::default(),
            peak_noted,
            viewers_version: 0,
            reacted: BTreeMap::new(),
            seen: HashSet::new(),
            figures: None,
            made: Shared::default(),
            closed: false,
            idle_since: Instant::now(),
        };
        let Position { epoch, seq, .. } = opening.position;
        Self {
            live: opening.live,
            liver: opening.liver,
            clock,
            inner: Mutex::new(inner),
            household: Mutex::new(opening.household),
            shelf: RwLock::new(Shelf { log: Log::after(seq), epoch, generation: 0 }),
            bell: Notify::new(),
            head: watch::channel(()).0,
            bells: Mutex::default(),
            mends: Mutex::default(),
            gone,
        }
    }

    /// Folds one piece of news that has no place, and lets viewers know. An edge of a stock number comes back: it must
    /// get its place from the bus before it is told.
    pub(super) fn tell(&self, news: News) -> Option<Event> {
        let mut inner = self.inner.lock();
        let changes = inner.state.apply(news);
        let edge = inner.put(changes);
        drop(inner);
        self.bell.notify_one();
        edge
    }

    /// Folds what somebody said. In a busy room viewers' lines wait for each other, and not all are shown.
    pub(super) fn hear_chat(&self, author: Option<&AccountId>, message: wire::ChatMessage) {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        let passes = if message.author_role == Role::Viewer.word() {
            // Nodes that do not name the author yet: each line is somebody's own.
            let author = author.map_or_else(|| message.id.clone(), ToString::to_string);
            inner.thinner.offer(author, message, now)
        } else {
            Some(message)
        };
        if let Some(message) = passes {
            let changes = inner.state.apply(News::Chat(message));
            inner.put(changes);
        }
        drop(inner);
        self.bell.notify_one();
    }

    /// Shows what was chosen of the lines that waited.
    fn settle_chat(&self) {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        for message in inner.thinner.settle(now) {
            let changes = inner.state.apply(News::Chat(message));
            inner.put(changes);
        }
    }

    /// Folds an ordered fact at its place.
    pub(super) fn take(&self, fact: &Arc<Fact>, place: &Place) -> Taken {
        let mut inner = self.inner.lock();
        if self.shelf.read().epoch != place.epoch {
            return Taken::Elsewhere;
        }
        if place.seq <= inner.seq {
            return Taken::Told;
        }
        if inner.waiting.len() >= MAX_WAITING {
            inner.waiting.clear();
            return Taken::Elsewhere;
        }
        inner.waiting.insert(place.seq, (Arc::clone(fact), place.at));
        inner.take_waiting();
        let hole = !inner.waiting.is_empty();
        let after = Place { epoch: Arc::clone(&place.epoch), seq: inner.seq, at: place.at };
        drop(inner);
        self.bell.notify_one();
        if hole { Taken::Hole(after) } else { Taken::Told }
    }

    /// Ordered facts from before the room was opened, for who comes back from there: `seq` is where they begin after.
    pub(super) fn put_history(&self, history: &[(Arc<Fact>, Place)]) {
        let inner = self.inner.lock();
        let mut shelf = self.shelf.write();
        // What was told since the position was asked for waits to be told here.
        let history = &history[..history.partition_point(|(_, place)| place.seq <= inner.seq)];
        let Some((_, first)) = history.first() else { return };
        let whole = history.iter().map(|(_, place)| place.seq).eq(first.seq..=inner.seq);
        if shelf.log.bytes() > 0 || !whole || first.epoch != shelf.epoch {
            return;
        }
        shelf.log = Log::after(first.seq - 1);
        for (fact, place) in history {
            let event = inner.state.as_told(fact);
            let ordered = vec![wire::Ordered { seq: place.seq, at_ms: place.at.0, event }];
            shelf.append(wire::Batch { ordered, ..wire::Batch::default() }, place.at);
        }
    }

    /// Another history begins, with this state.
    pub(super) fn begin_anew(&self, state: State, household: Household, position: &Position) {
        self.household.lock().renew(household);
        let mut inner = self.inner.lock();
        inner.state = state.with_talk_of(&inner.state);
        inner.seq = position.seq;
        inner.pending = Pending::default();
        inner.made = Shared::default();
        let mut shelf = self.shelf.write();
        // What came after the position is told after it, if the places are of one history.
        let later = inner.waiting.split_off(&(position.seq + 1));
        inner.waiting = if shelf.epoch == position.epoch { later } else { BTreeMap::new() };
        inner.take_waiting();
        let generation = shelf.generation.wrapping_add(1);
        *shelf = Shelf { log: Log::after(position.seq), epoch: Arc::clone(&position.epoch), generation };
        drop((shelf, inner));
        self.settle_all();
        self.bell.notify_one();
        self.ring();
    }

    /// The history that this room tells.
    pub(super) fn place(&self) -> Place {
        let inner = self.inner.lock();
        Place { epoch: Arc::clone(&self.shelf.read().epoch), seq: inner.seq, at: self.clock.now() }
    }

    /// Lets the log fall to so many bytes, and says how many it has.
    pub(super) fn trim(&self, max_bytes: usize) -> usize {
        let since = Millis(self.clock.now().0 - log::RETENTION_MS);
        let mut shelf = self.shelf.write();
        shelf.log.trim(max_bytes, since);
        shelf.log.bytes()
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

    /// Takes a seat. `who` tells people apart, for the count of different ones.
    pub(super) fn seat(&self, id: u64, who: u64, lane: Arc<Lane>) -> Result<watch::Receiver<()>, Closed> {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(Closed);
        }
        if !lane.is_liver() {
            inner.presence.enter(who, now);
            inner.shows.enter(id, who, now);
        }
        inner.seats.insert(id, lane);
        drop(inner);
        self.bell.notify_one();
        Ok(self.head.subscribe())
    }

    /// Leaves a seat.
    pub(super) fn leave(&self, id: u64) {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        if let Some(lane) = inner.seats.remove(&id)
            && !lane.is_liver()
        {
            inner.presence.leave(now);
            inner.shows.leave(id, now);
        }
        inner.idle_since = Instant::now();
        drop(inner);
        self.bell.notify_one();
    }

    /// Another node says how many watch there.
    pub(super) fn hear_presence(&self, node: &str, viewers: u32, uniques: Option<&str>) {
        let mut inner = self.inner.lock();
        inner.presence.hear(node, viewers, self.clock.now());
        if let Some(uniques) = uniques {
            inner.presence.uniques.merge(&Uniques::from_text(uniques));
        }
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
        (inner.presence.viewers(self.clock.now()), inner.presence.peak())
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

    /// Rings this bell whenever the log has grown.
    pub(super) fn hang(&self, bell: Arc<RoomBell>) {
        self.bells.lock().push(bell);
    }

    /// Rings it no longer.
    pub(super) fn unhang(&self, bell: &Arc<RoomBell>) {
        self.bells.lock().retain(|other| !Arc::ptr_eq(other, bell));
    }

    fn ring(&self) {
        self.head.send_replace(());
        for bell in self.bells.lock().iter() {
            bell.ring();
        }
    }

    /// What follows a cursor; [`Read::Behind`] also when it is of an earlier history.
    pub(super) fn read(&self, generation: u32, cursor: Cursor, codec: Codec, ordered_only: bool) -> Read {
        let shelf = self.shelf.read();
        if shelf.generation != generation {
            return Read::Behind;
        }
        shelf.log.read(cursor, Wish { codec: codec.index(), max_bytes: READ_BYTES, ordered_only })
    }

    /// Which history the log is of, by its number here.
    pub(super) fn generation(&self) -> u32 {
        self.shelf.read().generation
    }

    /// Bytes that follow a cursor, all and ordered.
    pub(super) fn lag(&self, cursor: Cursor, codec: Codec) -> Option<(u64, u64)> {
        self.shelf.read().log.lag(cursor, codec.index())
    }

    /// The place to go on from and the frames before it, when everything since is in the log.
    pub(super) fn resume(&self, from: &wire::Resume, codec: Codec) -> Resumption {
        {
            let mut inner = self.inner.lock();
            // Nobody is ahead of what only waits to be written down.
            self.flush_locked(&mut inner);
            if *from.epoch == *self.shelf.read().epoch && from.seq > inner.seq {
                return Resumption::Ahead;
            }
        }
        self.rest(from, codec).map_or(Resumption::Lost, |(frames, generation)| Resumption::Rest(frames, generation))
    }

    fn rest(&self, from: &wire::Resume, codec: Codec) -> Option<(Frames, u32)> {
        let shelf = self.shelf.read();
        if *from.epoch != *shelf.epoch {
            return None;
        }
        let (rest, cursor) = match shelf.log.resume(from.seq)? {
            log::Place::At(cursor) => (None, cursor),
            log::Place::Within { entry, then } => (Some(rest_of(&entry, from.seq, codec)?), then),
        };
        let resumed = wire::Resumed { epoch: from.epoch.clone(), seq: from.seq, server_at_ms: self.clock.now().0 };
        let resumed = codec.finish(&Body::Resumed(resumed).into());
        let frames = [Some(resumed), rest].into_iter().flatten().map(|frame| (frame, cursor));
        Some((frames.collect(), shelf.generation))
    }

    /// The whole state, and the place in the log right after it. Made once for all who need one at about this time.
    pub(super) fn snapshot(&self, codec: Codec, chat: Chat, upvoted: &[String]) -> (Bytes, Cursor, u32) {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        let generation = self.shelf.read().generation;
        let made = &inner.made.snapshots[chat as usize][codec.index()];
        if made.as_ref().is_none_or(|made| now.since(made.at) > SNAPSHOT_FRESH_MS || self.is_behind(made.cursor)) {
            // What is pending has its seq already, so it must lie before the snapshot.
            self.flush_locked(&mut inner);
            let mut snapshot = wire::Snapshot {
                epoch: self.shelf.read().epoch.to_string(),
                seq: inner.seq,
                server_at_ms: now.0,
                ..inner.state.snapshot()
            };
            if chat == Chat::Without {
                snapshot.chat.clear();
                snapshot.chat_omitted = true;
                snapshot.deleted_chat_ids = inner.state.deleted_lately();
            }
            let bytes = codec.encode_snapshot(&snapshot);
            let shared = bytes.frame(&[]);
            let cursor = self.shelf.read().log.end();
            inner.made.snapshots[chat as usize][codec.index()] = Some(Made { at: now, what: (bytes, shared), cursor });
        }
        let made = inner.made.snapshots[chat as usize][codec.index()].as_ref().expect("it was made just above");
        let (bytes, shared) = &made.what;
        let frame = if upvoted.is_empty() { shared.clone() } else { bytes.frame(upvoted) };
        (frame, made.cursor, generation)
    }

    /// Every value of the state class in one batch, for who was too slow for the changes: those before `passed` at least.
    pub(super) fn states(&self, codec: Codec, chat: Chat, passed: Cursor) -> Bytes {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        let made = &inner.made.states[chat as usize][codec.index()];
        // What was made before the last change that somebody passed over would leave them without it.
        if made.as_ref().is_none_or(|made| now.since(made.at) > SNAPSHOT_FRESH_MS || made.cursor < passed) {
            let mut batch = inner.state.states();
            self.shelf.read().epoch.as_ref().clone_into(&mut batch.epoch);
            if chat == Chat::Without {
                batch.chat.clear();
            }
            let what = codec.finish(&Body::Batch(batch).into());
            let cursor = self.shelf.read().log.end();
            inner.made.states[chat as usize][codec.index()] = Some(Made { at: now, what, cursor });
        }
        inner.made.states[chat as usize][codec.index()].as_ref().expect("it was made just above").what.clone()
    }

    fn is_behind(&self, cursor: Cursor) -> bool {
        self.shelf.read().log.lag(cursor, 0).is_none_or(|(bytes, _)| bytes > READ_BYTES as u64)
    }

    fn flush(&self) {
        self.flush_locked(&mut self.inner.lock());
    }

    /// What is ordered goes first and by itself, so that who is slow can pass over the rest.
    fn flush_locked(&self, inner: &mut Inner) {
        if inner.pending.is_empty() {
            return;
        }
        let now = self.clock.now();
        let pending = std::mem::take(&mut inner.pending);
        let mut shelf = self.shelf.write();
        if !pending.ordered.is_empty() {
            shelf.append(wire::Batch { ordered: pending.ordered, ..wire::Batch::default() }, now);
        }
        if !pending.state.is_empty() || !pending.chat.is_empty() {
            let state = pending.state.into_values().map(|value| wire::State { value: Some(value) }).collect();
            shelf.append(wire::Batch { state, chat: pending.chat, ..wire::Batch::default() }, now);
        }
        drop(shelf);
        self.ring();
    }

    /// Turns what is pending into batches until the room is gone.
    pub(super) async fn tick(self: Arc<Self>, bus: Bus, scribe: Scribe, node: Arc<str>) {
        let long_ago = Instant::now();
        let (mut reactions_due, mut viewers_due, mut audience_due) = (long_ago, long_ago, long_ago);
        loop {
            let due = self.next_due(reactions_due, viewers_due, audience_due);
            tokio::select! {
                () = self.bell.notified() => {}
                () = sleep_until(due) => {}
                () = self.gone.cancelled() => break,
            }
            let now = Instant::now();
            if now >= reactions_due && self.tell_reactions(&bus, &scribe) {
                reactions_due = now + REACTIONS_EVERY;
            }
            if now >= viewers_due {
                viewers_due = now + VIEWERS_EVERY;
                self.share_presence(&bus, &node);
                self.look_at_pins();
                if self.tell_viewers() {
                    self.tell_sales();
                    self.note_peak(&scribe);
                }
            }
            if now >= audience_due {
                audience_due = now + AUDIENCE_EVERY;
                self.note_audience(&scribe);
            }
            self.settle_chat();
            self.flush();
            tokio::time::sleep(self.pause()).await;
        }
        self.tell_reactions(&bus, &scribe);
        self.flush();
        self.note_peak(&scribe);
        self.note_audience(&scribe);
    }

    fn pause(&self) -> Duration {
        let seats = self.inner.lock().seats.len() / VIEWERS_PER_TICK_MS;
        let by_viewers = Duration::from_millis(seats as u64).clamp(MIN_TICK, MAX_TICK);
        let writing = self.bells.lock().iter().map(|bell| bell.last_took()).max().unwrap_or_default();
        by_viewers.max(writing * 3 / 2).min(SLOWEST_TICK)
    }

    fn next_due(&self, reactions_due: Instant, viewers_due: Instant, audience_due: Instant) -> Option<Instant> {
        let (inner, now) = (self.inner.lock(), self.clock.now());
        let reactions = (!inner.reacted.is_empty()).then_some(reactions_due);
        let changed = inner.presence.viewers(now) != inner.state.viewers();
        let viewers = (changed || inner.presence.own() > 0).then_some(viewers_due);
        let audience = (inner.presence.own() > 0).then_some(audience_due);
        let pending = (!inner.pending.is_empty()).then(Instant::now);
        let chat = inner.thinner.due_in_ms(now).map(|ms| Instant::now() + Duration::from_millis(ms));
        [reactions, viewers, audience, pending, chat].into_iter().flatten().min()
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

    /// Other nodes add our count to theirs.
    fn share_presence(&self, bus: &Bus, node: &Arc<str>) {
        if bus.is_shared() {
            let (viewers, uniques) = {
                let presence = &mut self.inner.lock().presence;
                (presence.own(), presence.uniques_to_share(self.clock.now()))
            };
            bus.offer(Fact::Presence { live: self.live.clone(), node: node.to_string(), viewers, uniques });
        }
    }

    fn tell_viewers(&self) -> bool {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        let viewers = inner.presence.viewers(now);
        if viewers == inner.state.viewers() {
            return false;
        }
        inner.viewers_version = now.0.max(inner.viewers_version + 1);
        let count = wire::ViewerCount { viewers, version: inner.viewers_version };
        drop(inner);
        self.tell(News::Viewers(count));
        true
    }

    fn note_peak(&self, scribe: &Scribe) {
        let mut inner = self.inner.lock();
        let peak = inner.presence.peak();
        if peak > inner.peak_noted {
            inner.peak_noted = peak;
            scribe.note(Entry::Peak { live: self.live.clone(), viewers: peak.into() });
        }
    }

    /// Who is here has what is pinned before them.
    fn look_at_pins(&self) {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        let Inner { shows, state, .. } = &mut *inner;
        shows.look(state.shown_pins(), now);
    }

    /// Somebody in this seat tapped a pin.
    pub(super) fn note_tap(&self, pin: &str, seat: u64) {
        self.inner.lock().shows.tap(pin, seat);
    }

    fn note_audience(&self, scribe: &Scribe) {
        let mut inner = self.inner.lock();
        let minutes = inner.presence.take_minutes(self.clock.now());
        if !minutes.is_empty() {
            scribe.note(Entry::Minutes { live: self.live.clone(), minutes });
        }
        for shown in inner.shows.take_changed() {
            scribe.note(Entry::Shown(shown));
        }
        let watched_ms = inner.presence.take_watched(self.clock.now());
        let (changed, watchers) = (inner.presence.uniques.take_changed(), inner.shows.take_watchers());
        if watched_ms > 0 || changed || watchers.is_some() {
            let uniques = inner.presence.uniques.clone();
            let watchers = watchers.unwrap_or_default();
            scribe.note(Entry::Audience { live: self.live.clone(), watched_ms, uniques, watchers });
        }
    }

    /// Whether the liver is here to read sales figures.
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
            viewers: inner.presence.viewers(self.clock.now()),
            peak_viewers: inner.presence.peak(),
            unique_viewers: inner.presence.uniques.count(),
            watch_s: inner.presence.watched_ms() / 1_000,
        };
        for lane in inner.seats.values().filter(|lane| lane.is_liver()) {
            lane.put_sales(sales.clone());
        }
    }

    /// Whether the fact is one that ends the live.
    pub(super) fn is_end(event: &Event) -> bool {
        matches!(event, Event::LiveChanged(live) if live.state == "ended")
    }

    /// Claims the mending of this room; `false` when somebody is at it, who then goes on with it.
    pub(super) fn begin_mending(&self, what: &Mending) -> bool {
        let mut mends = self.mends.lock();
        if !mends.under_way {
            mends.under_way = true;
            return true;
        }
        match what {
            Mending::Hole(_) => mends.hole = true,
            Mending::Everything => mends.everything = true,
        }
        false
    }

    /// What was missed while the room was mended; with nothing the mending is over.
    pub(super) fn end_mending(&self) -> Option<Mending> {
        let mut mends = self.mends.lock();
        let (hole, everything) = (std::mem::take(&mut mends.hole), std::mem::take(&mut mends.everything));
        if everything {
            return Some(Mending::Everything);
        }
        let left = if hole { self.hole() } else { None };
        mends.under_way = left.is_some();
        left.map(Mending::Hole)
    }

    /// The place after which something is missing.
    fn hole(&self) -> Option<Place> {
        let inner = self.inner.lock();
        if inner.waiting.is_empty() {
            return None;
        }
        Some(Place { epoch: Arc::clone(&self.shelf.read().epoch), seq: inner.seq, at: self.clock.now() })
    }
}

impl Inner {
    /// Queues what viewers must be told; gives back an edge, which has no place yet.
    fn put(&mut self, changes: Vec<Change>) -> Option<Event> {
        let mut edge = None;
        for change in changes {
            match change {
                Change::State(value) => {
                    self.pending.state.insert(key(&value), value);
                }
                Change::Chat(message) => self.pending.chat.push(message),
                Change::Edge(event) => edge = Some(event),
            }
        }
        edge
    }

    /// Folds what waits and has no hole before it.
    fn take_waiting(&mut self) {
        while let Some(next) = self.waiting.first_entry().filter(|next| *next.key() <= self.seq + 1) {
            let (seq, (fact, at)) = next.remove_entry();
            if seq <= self.seq {
                continue;
            }
            self.seq = seq;
            let (event, changes) = self.state.apply_ordered(&fact);
            if let Some(event) = &event {
                self.pending.outdate(event);
            }
            self.pending.ordered.push(wire::Ordered { seq, at_ms: at.0, event });
            self.put(changes);
        }
    }
}

impl Shelf {
    fn append(&mut self, batch: wire::Batch, now: Millis) {
        let batch = wire::Batch { epoch: self.epoch.to_string(), ..batch };
        let class = match (batch.ordered.first(), batch.ordered.last()) {
            (Some(first), Some(last)) => Class::Ordered { first: first.seq, last: last.seq },
            _ => Class::Loose,
        };
        let frame = Body::Batch(batch).into();
        let [json, proto] = Codec::ALL.map(|codec| codec.encode(&frame));
        self.log.append([(Codec::Json.opcode(), &json), (Codec::Proto.opcode(), &proto)], class, now);
    }
}

/// The events of a batch after `seq`.
fn rest_of(entry: &[Bytes; CODECS], seq: u64, codec: Codec) -> Option<Bytes> {
    let frame = Codec::Proto.decode_server(&frames::payload(&entry[Codec::Proto.index()])).ok()?;
    let Some(Body::Batch(mut batch)) = frame.body else { return None };
    batch.ordered.retain(|ordered| ordered.seq > seq);
    Some(codec.finish(&Body::Batch(batch).into()))
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
