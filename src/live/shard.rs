//! Engine: the shards: threads that read and write the hub's sockets.
//!
//! A shard owns its connections whole: no task, no wake-up and no buffer for each of them. When a room's log has grown,
//! its bell is rung once, and the shard walks the room's connections and hands each the same finished bytes with one
//! write. A socket that does not take everything is left until it says that it can; its place in the log stays.
//! What a client asks is decoded here and answered by the [`Handler`], which must not wait: what takes time goes to a
//! task and comes back through the lane.
//! Invariant: one write for all that is pending; never more than [`MAX_REST_BYTES`] and one frame of a connection's own
//! bytes are kept; a connection that does not accept a byte, or says nothing, for as long as [`Patience`] says is over.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use mio::{Events, Poll, Token, Waker};
use parking_lot::Mutex;
use slab::Slab;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    codec::{Codec, CodecError},
    lane::Dismissal,
    log::Cursor,
    reader::Pull,
    seat::Member,
    stage::Stage,
};
use crate::{clock::Clock, tasks::Tasks, wire};

mod conn;
mod sweep;
mod wires;

use conn::Conn;
pub use wires::Wire;

/// Bytes that one read takes from a socket.
const READ_BYTES: usize = 16 * 1024;
/// Reads of one connection before others get their turn.
const READS_AT_ONCE: usize = 4;
/// Own bytes of a connection (replies, pongs) above which nothing more is read from it.
const MAX_REST_BYTES: usize = 64 * 1024;
/// Largest message a client may send.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024;
/// A client that says nothing first gets its snapshot after so many seconds.
const FIRST_WORD_WITHIN_S: u32 = 5;
/// Seconds that a client has to take its goodbye.
const GOODBYE_WITHIN_S: u32 = 2;
/// A stop asks clients to come back after something between these, so that they do not come at once.
const RECONNECT_MIN_MS: i64 = 500;
const RECONNECT_SPREAD_MS: i64 = 1_500;
/// While connections are led out, how often the next ones are.
const DRAIN_STEP: Duration = Duration::from_millis(20);

const WAKE: Token = Token(usize::MAX);

/// What a client said, for the handler.
#[derive(Debug)]
pub enum Asked {
    /// A command; resume and ping are answered before it comes here.
    Frame(wire::ClientFrame),
    /// No frame of this protocol.
    Unreadable(CodecError),
    /// Too many messages; how long to wait.
    TooFast {
        /// The command's number.
        id: u64,
        /// In milliseconds.
        wait_ms: i64,
    },
}

/// Answers what clients ask. It runs on the shard's thread and must not wait.
pub type Handler = Arc<dyn Fn(&Arc<Member>, Asked) + Send + Sync>;

/// A connection that has been upgraded.
pub(super) struct Arrival {
    pub(super) wire: Wire,
    /// What the client sent with its request.
    pub(super) early: Bytes,
    pub(super) member: Arc<Member>,
    pub(super) codec: Codec,
    pub(super) handler: Handler,
}

#[derive(Default)]
struct Inbox {
    arrivals: Vec<Arrival>,
    lanes: Vec<u32>,
    rooms: Vec<u32>,
    stop: bool,
    /// The thread has ended: nobody will look in here again.
    closed: bool,
}

/// Where others leave word for a shard.
pub(super) struct Door {
    waker: Waker,
    inbox: Mutex<Inbox>,
    /// It has been woken and has not looked yet.
    woken: AtomicBool,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Door")
    }
}

impl Door {
    /// Leaves word; nobody is told when the shard is over.
    fn leave(&self, word: impl FnOnce(&mut Inbox)) {
        let mut inbox = self.inbox.lock();
        if inbox.closed {
            // What the word bears is dropped after the lock.
            drop(inbox);
            return;
        }
        word(&mut inbox);
        drop(inbox);
        if !self.woken.swap(true, Ordering::AcqRel)
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "a hub shard cannot be woken");
        }
    }

    pub(super) fn ring_lane(&self, at: u32) {
        // Not seated yet: the shard looks when it seats it.
        if at != NOT_SEATED {
            self.leave(|inbox| inbox.lanes.push(at));
        }
    }

    /// Brings a connection. When the shard has ended meanwhile it is closed, and comes back to another.
    pub(super) fn arrive(&self, arrival: Arrival) {
        self.leave(|inbox| inbox.arrivals.push(arrival));
    }

    fn is_closed(&self) -> bool {
        self.inbox.lock().closed
    }

    /// After the thread: whoever came and was not seated is let go, and nobody comes after them.
    fn close(&self) {
        let left = std::mem::replace(&mut *self.inbox.lock(), Inbox { closed: true, ..Inbox::default() });
        drop(left);
    }
}

/// The number of a connection that no shard has seated.
pub(super) const NOT_SEATED: u32 = u32::MAX;

/// A room's bell in one shard.
#[derive(Debug)]
pub(super) struct RoomBell {
    door: Arc<Door>,
    room: u32,
    rung: AtomicBool,
    /// Microseconds that the last sweep of the room took here.
    took_us: AtomicU32,
}

impl RoomBell {
    /// How long the last sweep of the room took in this shard.
    pub(super) fn last_took(&self) -> Duration {
        Duration::from_micros(self.took_us.load(Ordering::Relaxed).into())
    }

    pub(super) fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.door.leave(|inbox| inbox.rooms.push(self.room));
        }
    }
}

/// All shards of a hub. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Shards {
    doors: Arc<[Arc<Door>]>,
    /// Closed and empty when every connection has been led out.
    running: TaskTracker,
}

/// How connections are led out at a stop.
#[derive(Debug, Clone, Copy)]
pub struct DrainPace {
    /// Connections a second, over all shards.
    pub per_s: u32,
    /// However many there are, it takes no longer.
    pub at_most: Duration,
}

/// How long a client may give no sign of life.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Seconds between two pings of the server.
    pub ping_every_s: u32,
    /// Seconds without any frame from the client.
    pub silent_after_s: u32,
    /// Seconds without a byte being accepted, while there is something to send.
    pub stuck_after_s: u32,
}

impl Shards {
    /// Starts so many threads. When `leaving` fires they lead their connections out, and end.
    ///
    /// # Errors
    /// When the system gives no more threads or descriptors.
    pub(super) fn start(
        count: usize,
        (pace, patience): (DrainPace, Patience),
        clock: &Clock,
        tasks: &Tasks,
        leaving: &CancellationToken,
    ) -> std::io::Result<Self> {
        let running = TaskTracker::new();
        let mut doors = Vec::with_capacity(count);
        for n in 0..count {
            let poll = Poll::new()?;
            let waker = Waker::new(poll.registry(), WAKE)?;
            let door = Arc::new(Door { waker, inbox: Mutex::default(), woken: AtomicBool::new(false) });
            let per_s = (pace.per_s / u32::try_from(count).unwrap_or(u32::MAX)).max(1);
            let shard = Shard::new(poll, Arc::clone(&door), clock.clone(), DrainPace { per_s, ..pace }, patience);
            let (over, joined) = tokio::sync::oneshot::channel();
            let (runtime, dying) = (tokio::runtime::Handle::current(), Arc::clone(&door));
            std::thread::Builder::new().name(format!("hub-{n}")).spawn(move || {
                // Handlers start tasks.
                let _inside = runtime.enter();
                // A fault in one thread must not swallow every newcomer that would be its own.
                if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| shard.run())).is_err() {
                    tracing::error!("a hub shard has died; its connections are lost and come back to the others");
                }
                dying.close();
                let _ = over.send(());
            })?;
            let stopping = (leaving.clone(), tasks.stopping());
            tasks.spawn("hub shard", running.track_future(wait_for(stopping, Arc::clone(&door), joined)));
            doors.push(door);
        }
        running.close();
        Ok(Self { doors: doors.into(), running })
    }

    /// Waits until every connection has been led out.
    pub(super) async fn led_out(&self) {
        self.running.wait().await;
    }

    /// The shard of a connection; none when all have ended.
    pub(super) fn door(&self, id: u64) -> Option<&Arc<Door>> {
        let at = usize::try_from(id % self.doors.len() as u64).expect("less than their number");
        self.doors[at..].iter().chain(&self.doors[..at]).find(|door| !door.is_closed())
    }
}

async fn wait_for(
    (leaving, stopping): (CancellationToken, CancellationToken),
    door: Arc<Door>,
    over: tokio::sync::oneshot::Receiver<()>,
) {
    tokio::select! {
        () = leaving.cancelled() => {}
        () = stopping.cancelled() => {}
    }
    door.leave(|inbox| inbox.stop = true);
    let _ = over.await;
}

struct Room {
    stage: Arc<Stage>,
    bell: Arc<RoomBell>,
    members: Vec<u32>,
}

struct Drain {
    began: Instant,
    led_out: usize,
    per_s: u32,
    order: Vec<u32>,
}

struct Shard {
    poll: Poll,
    door: Arc<Door>,
    clock: Clock,
    pace: DrainPace,
    patience: Patience,
    conns: Slab<Conn>,
    rooms: Slab<Room>,
    /// By the address of the stage, which lives as long as its entry.
    by_stage: HashMap<usize, u32>,
    scratch: Box<[u8]>,
    /// Connections that have more to read.
    again: Vec<u32>,
    began: Instant,
    now: Instant,
    now_s: u32,
    drain: Option<Drain>,
}

impl Shard {
    fn new(poll: Poll, door: Arc<Door>, clock: Clock, pace: DrainPace, patience: Patience) -> Self {
        let now = Instant::now();
        Self {
            poll,
            door,
            clock,
            pace,
            patience,
            conns: Slab::new(),
            rooms: Slab::new(),
            by_stage: HashMap::new(),
            scratch: vec![0; READ_BYTES].into(),
            again: Vec::new(),
            began: now,
            now,
            now_s: 0,
            drain: None,
        }
    }

    fn run(mut self) {
        let mut ready = Events::with_capacity(1_024);
        let mut looked_s = 0;
        loop {
            if let Err(error) = self.poll.poll(&mut ready, Some(self.until_next_look()))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "a hub shard cannot wait for its sockets; its connections are lost");
                return;
            }
            self.look_at_the_time();
            for at in std::mem::take(&mut self.again) {
                self.hear(at);
            }
            for event in &ready {
                let Ok(at) = u32::try_from(event.token().0) else { continue };
                if event.is_writable() {
                    self.writable(at);
                }
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    self.hear(at);
                }
            }
            self.take_word();
            if looked_s != self.now_s {
                looked_s = self.now_s;
                self.look_after_all();
            }
            if self.lead_out() {
                return;
            }
        }
    }

    fn look_at_the_time(&mut self) {
        self.now = Instant::now();
        self.now_s = u32::try_from(self.now.duration_since(self.began).as_secs()).unwrap_or(u32::MAX);
    }

    fn until_next_look(&self) -> Duration {
        if !self.again.is_empty() {
            return Duration::ZERO;
        }
        match &self.drain {
            Some(_) => DRAIN_STEP,
            None => Duration::from_secs(1),
        }
    }

    fn take_word(&mut self) {
        self.door.woken.store(false, Ordering::Release);
        let word = std::mem::take(&mut *self.door.inbox.lock());
        if word.stop && self.drain.is_none() {
            self.begin_drain();
        }
        for arrival in word.arrivals {
            self.seat(arrival);
        }
        for at in word.lanes {
            self.write_out(at);
        }
        for room in word.rooms {
            self.sweep(room);
        }
    }

    fn begin_drain(&mut self) {
        let order: Vec<u32> = self.conns.iter().filter_map(|(at, _)| u32::try_from(at).ok()).collect();
        let least = order.len() as u64 * 1_000 / u64::try_from(self.pace.at_most.as_millis()).unwrap_or(1).max(1);
        let per_s = self.pace.per_s.max(u32::try_from(least).unwrap_or(u32::MAX)).max(1);
        self.drain = Some(Drain { began: self.now, led_out: 0, per_s, order });
    }

    /// Whether the last connection is gone.
    fn lead_out(&mut self) -> bool {
        let Some(drain) = &mut self.drain else { return false };
        let passed_ms = u64::try_from(self.now.duration_since(drain.began).as_millis()).unwrap_or(u64::MAX);
        let due = (passed_ms * u64::from(drain.per_s) / 1_000 + 1).min(drain.order.len() as u64);
        let due = usize::try_from(due).unwrap_or(usize::MAX);
        let next: Vec<u32> = drain.order[drain.led_out.min(due)..due].to_vec();
        drain.led_out = due.max(drain.led_out);
        for at in next {
            self.lead_out_one(at);
        }
        self.conns.is_empty()
    }

    fn lead_out_one(&mut self, at: u32) {
        if let Some(conn) = self.conns.get_mut(at as usize) {
            // Consecutive connections are spread evenly (Knuth's multiplicative hash).
            let spread = i64::from(at.wrapping_mul(2_654_435_761)) % RECONNECT_SPREAD_MS;
            let why = Dismissal::Stopping(RECONNECT_MIN_MS + spread);
            if conn.reader.has_begun() {
                conn.member.dismiss(why);
            } else {
                // It is where it was, and goes on from there elsewhere.
                conn.dismiss(why, self.now_s);
            }
            self.write_out(at);
            // Who takes nothing now is not waited for as long as at other times.
            if let Some(conn) = self.conns.get_mut(at as usize) {
                let (code, reason, _) = why.words();
                conn.close(code, reason, self.now_s);
            }
        }
    }

    fn seat(&mut self, arrival: Arrival) {
        let room = self.room_of(&arrival.member.stage);
        let entry = self.conns.vacant_entry();
        let Ok(at) = u32::try_from(entry.key()) else { return };
        let mut conn = Conn::new(arrival.wire, arrival.member, arrival.codec, arrival.handler, self.now_s);
        if let Err(error) = conn.wire.register(self.poll.registry(), Token(entry.key())) {
            tracing::warn!(%error, "a connection cannot be watched");
            drop(conn);
            self.drop_room_if_empty(room);
            return;
        }
        let lane = Arc::clone(&conn.member.lane);
        let members = &mut self.rooms[room as usize].members;
        (conn.room, conn.room_at) = (room, u32::try_from(members.len()).unwrap_or(u32::MAX));
        members.push(at);
        entry.insert(conn);
        lane.settle(at);
        if !arrival.early.is_empty() {
            self.take_bytes(at, &arrival.early);
        }
        if self.drain.is_some() {
            self.lead_out_one(at);
        }
        // What came before it was seated has rung no bell.
        self.hear(at);
        self.write_out(at);
    }

    fn room_of(&mut self, stage: &Arc<Stage>) -> u32 {
        let address = Arc::as_ptr(stage).addr();
        if let Some(room) = self.by_stage.get(&address) {
            return *room;
        }
        let entry = self.rooms.vacant_entry();
        let room = u32::try_from(entry.key()).expect("fewer rooms than the hub allows");
        let bell = Arc::new(RoomBell {
            door: Arc::clone(&self.door),
            room,
            rung: AtomicBool::new(false),
            took_us: AtomicU32::new(0),
        });
        stage.hang(Arc::clone(&bell));
        entry.insert(Room { stage: Arc::clone(stage), bell, members: Vec::new() });
        self.by_stage.insert(address, room);
        room
    }

    fn drop_room_if_empty(&mut self, room: u32) {
        if self.rooms.get(room as usize).is_some_and(|room| room.members.is_empty()) {
            let gone = self.rooms.remove(room as usize);
            gone.stage.unhang(&gone.bell);
            self.by_stage.remove(&Arc::as_ptr(&gone.stage).addr());
        }
    }

    /// Takes a connection out. Its socket closes, its seat is left.
    fn remove(&mut self, at: u32) {
        let Some(mut conn) = self.conns.try_remove(at as usize) else { return };
        conn.member.lane.settle(NOT_SEATED);
        conn.wire.deregister(self.poll.registry());
        let members = &mut self.rooms[conn.room as usize].members;
        members.swap_remove(conn.room_at as usize);
        if let Some(moved) = members.get(conn.room_at as usize) {
            self.conns[*moved as usize].room_at = conn.room_at;
        }
        self.drop_room_if_empty(conn.room);
    }

    /// Once a second: who is silent, stuck, has not begun, waits for its snapshot, or is due for a ping.
    fn look_after_all(&mut self) {
        let all: Vec<u32> = self.conns.iter().filter_map(|(at, _)| u32::try_from(at).ok()).collect();
        for at in all {
            let (now_s, now, patience) = (self.now_s, self.now, self.patience);
            let Some(conn) = self.conns.get_mut(at as usize) else { continue };
            match conn.look_after(at, now_s, now, patience) {
                conn::Care::None => {}
                conn::Care::Gone => self.remove(at),
                conn::Care::Write => self.write_out(at),
            }
        }
    }
}
