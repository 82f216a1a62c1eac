//! Shell: every room in memory, and how facts and connections find them.
//!
//! A room is loaded from the database when somebody first needs it (once, however many ask), then kept by facts; it is
//! dropped when nobody has needed it for a while. Facts that arrive while a room is being loaded wait for it.
//! Invariant: a fact told after a room began to load is folded into it; versions make telling twice harmless. A hole in
//! what is ordered is repaired once, whoever notices it; a history that is over is left for the new one, once for all.
//! Rule of the locks: `rooms` before a slot's `phase` before a stage's own; none across an await.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, OnceCell, Semaphore, mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    LiveError, NewTouch, PassRenewer, SalesLoader, ShownLoader, TouchKind, TouchSink, Visitor,
    codec::Codec,
    followers::Follow,
    lane::{Bell, Dismissal, Lane, Pace},
    opening,
    recent::Recent,
    room::News,
    seat::{Member, Seat},
    shard::{DrainPace, NOT_SEATED, Patience, Shards},
    stage::{Mending, Opening, Stage, Taken},
    talk::Scribe,
    whereabouts::Whereabouts,
};
use crate::{
    bus::{Bus, Fact, Heard, Place, Subscriber},
    clock::Clock,
    ids::{CustomerId, LiveId, LiverId},
    store::Db,
    tasks::Tasks,
    wire::{self, ordered::Event},
};

/// Rooms in memory at once; when all are in use the next live is refused as busy.
const MAX_ROOMS: usize = 10_000;
/// A room that nobody has needed for this long is dropped: by then nobody can resume in its log.
const IDLE_AFTER: Duration = Duration::from_secs(10 * 60);
/// How often idle rooms are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// Facts that wait for a room being loaded; beyond, the load is given up and begun again.
const MAX_EARLY: usize = 20_000;
/// Stock edges that wait for their place; beyond, the stock numbers alone tell it.
const MAX_EDGES: usize = 4_096;
/// Rooms that look at the database again at once.
pub(super) const MENDS_AT_ONCE: usize = 8;
/// Pause before a room that could not be mended is tried again.
const MEND_AGAIN: Duration = Duration::from_millis(500);
/// How often it is looked whose pass runs out soon …
const PASSES_EVERY: Duration = Duration::from_secs(15);
/// … and how soon: then it is renewed.
const PASS_RENEWED_BEFORE: Duration = Duration::from_secs(4 * 60);
/// Sales figures of all rooms together are loaded at most this often …
const FIGURES_EVERY: Duration = Duration::from_secs(1);
/// … and may take this share of the time at most.
const FIGURES_REST: u32 = 10;

#[derive(Debug)]
enum Phase {
    /// Being loaded; what is told meanwhile waits.
    Opening(Vec<(Arc<Fact>, Option<Place>)>),
    /// In use.
    Open(Arc<Stage>),
    /// Not to be used any more: look again.
    Dead,
}

#[derive(Debug)]
pub(super) struct Slot {
    opened: OnceCell<Arc<Stage>>,
    phase: Mutex<Phase>,
}

impl Slot {
    /// The room, if it is in use.
    pub(super) fn stage(&self) -> Option<Arc<Stage>> {
        match &*self.phase.lock() {
            Phase::Open(stage) => Some(Arc::clone(stage)),
            Phase::Opening(_) | Phase::Dead => None,
        }
    }
}

/// The personal lanes of one person's connections, by connection.
type Lanes = Vec<(u64, Arc<Lane>)>;

pub(super) struct HubInner {
    pub(super) db: Db,
    pub(super) clock: Clock,
    bus: Bus,
    tasks: Tasks,
    scribe: Scribe,
    pub(super) shown: ShownLoader,
    sales: SalesLoader,
    touches: TouchSink,
    pub(super) rooms: Mutex<HashMap<LiveId, Arc<Slot>>>,
    /// Connections by person, for what is only theirs.
    pub(super) people: Mutex<HashMap<CustomerId, Lanes>>,
    /// What people were told of themselves lately.
    recent: Recent,
    /// Where people were seen to come from.
    pub(super) whereabouts: Whereabouts,
    /// Livers whose order is to be read again.
    pub(super) orders: Mutex<HashSet<LiverId>>,
    pub(super) orders_bell: Notify,
    /// Whether there is a picture, of lives whose publisher has come since this process began, or whose room was opened.
    media: Mutex<HashMap<LiveId, String>>,
    /// Rooms whose sales figures have changed.
    sold: Mutex<Vec<LiveId>>,
    sold_bell: Notify,
    next_seat: AtomicU64,
    /// Connections at this moment.
    seated: AtomicU64,
    edges: mpsc::Sender<Fact>,
    shards: Shards,
    /// Rooms that are mended at once.
    mends: Semaphore,
    passes: PassRenewer,
    limits: HubLimits,
    /// This process, among the nodes of a live.
    node: Arc<str>,
}

/// All rooms of this process. Cheap to clone.
#[derive(Clone)]
pub struct Hub(pub(super) Arc<HubInner>);

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("rooms", &self.0.rooms.lock().len()).finish_non_exhaustive()
    }
}

/// How much a hub takes on.
#[derive(Debug, Clone, Copy)]
pub struct HubLimits {
    /// Threads that write to sockets; 0: one for each core.
    pub shards: usize,
    /// Connections at once; beyond, newcomers are refused as busy.
    pub connections: u64,
    /// Bytes of all rooms' logs together; beyond, the largest lose their oldest entries.
    pub log_bytes: usize,
    /// How connections are led out at a stop.
    pub drain: DrainPace,
    /// When a connection is given up.
    pub patience: Patience,
}

impl Default for HubLimits {
    fn default() -> Self {
        Self {
            shards: 0,
            connections: 200_000,
            log_bytes: 512 * 1024 * 1024,
            drain: DrainPace { per_s: 2_000, at_most: Duration::from_secs(5) },
            patience: Patience { ping_every_s: 25, silent_after_s: 60, stuck_after_s: 30 },
        }
    }
}

/// What the hub is given.
pub(super) struct HubParts {
    pub(super) db: Db,
    pub(super) clock: Clock,
    pub(super) bus: Bus,
    pub(super) tasks: Tasks,
    pub(super) scribe: Scribe,
    pub(super) shown: ShownLoader,
    pub(super) sales: SalesLoader,
    pub(super) touches: TouchSink,
    pub(super) passes: PassRenewer,
    pub(super) leaving: CancellationToken,
    pub(super) limits: HubLimits,
}

impl Hub {
    pub(super) fn start(parts: HubParts) -> std::io::Result<Self> {
        let facts = parts.bus.subscribe();
        let tasks = parts.tasks.clone();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let count = if parts.limits.shards == 0 { cores } else { parts.limits.shards };
        let limits = parts.limits;
        let shards = Shards::start(count, (limits.drain, limits.patience), &parts.clock, &tasks, &parts.leaving)?;
        let (edges, edges_told) = mpsc::channel(MAX_EDGES);
        let hub = Self(Arc::new(HubInner {
            db: parts.db,
            clock: parts.clock,
            bus: parts.bus,
            tasks: parts.tasks,
            scribe: parts.scribe,
            shown: parts.shown,
            sales: parts.sales,
            touches: parts.touches,
            rooms: Mutex::default(),
            people: Mutex::default(),
            recent: Recent::default(),
            whereabouts: Whereabouts::default(),
            orders: Mutex::default(),
            orders_bell: Notify::new(),
            media: Mutex::default(),
            sold: Mutex::default(),
            sold_bell: Notify::new(),
            next_seat: AtomicU64::new(1),
            seated: AtomicU64::new(0),
            edges,
            shards,
            mends: Semaphore::new(MENDS_AT_ONCE),
            passes: parts.passes,
            limits: parts.limits,
            node: crate::ids::BatchId::fresh().as_str().into(),
        }));
        let stopping = tasks.stopping();
        tasks.spawn("hub facts", hub.clone().hear(facts, stopping.clone()));
        tasks.spawn("hub sales figures", hub.clone().load_figures(stopping.clone()));
        tasks.spawn("hub edges", hub.clone().order_edges(edges_told, stopping.clone()));
        tasks.spawn("hub orders", hub.clone().follow_orders(stopping.clone()));
        tasks.spawn("hub passes", hub.clone().renew_passes(stopping.clone()));
        tasks.spawn("hub sweep", hub.clone().sweep(stopping));
        Ok(hub)
    }

    /// Takes a seat for a connection that a task reads for.
    pub(super) async fn join(
        &self,
        live: &LiveId,
        visitor: Option<Visitor>,
        codec: Codec,
        who: u64,
    ) -> Result<Seat, LiveError> {
        let (member, head) = self.enter(live, visitor, who, |_| Ok(Bell::Task(Notify::new()))).await?;
        Ok(Seat::new(member, codec, head))
    }

    /// Takes a seat for a connection that is about to be upgraded.
    pub(super) async fn board(
        &self,
        live: &LiveId,
        visitor: Option<Visitor>,
        who: u64,
    ) -> Result<Arc<Member>, LiveError> {
        // Better sent away than taken in and never heard: another node has shards that live.
        let bell = |id| {
            let door = self.0.shards.door(id).ok_or(LiveError::Busy)?;
            Ok(Bell::Shard(Arc::clone(door), NOT_SEATED.into()))
        };
        Ok(self.enter(live, visitor, who, bell).await?.0)
    }

    /// Connections and open rooms of this node.
    pub(super) fn size(&self) -> (u64, usize) {
        (self.0.seated.load(Ordering::Relaxed), self.0.rooms.lock().len())
    }

    /// Waits until every connection has been led out.
    pub(super) async fn led_out(&self) {
        self.0.shards.led_out().await;
    }

    async fn enter(
        &self,
        live: &LiveId,
        visitor: Option<Visitor>,
        who: u64,
        bell: impl Fn(u64) -> Result<Bell, LiveError>,
    ) -> Result<(Arc<Member>, watch::Receiver<()>), LiveError> {
        if self.0.seated.load(Ordering::Relaxed) >= self.0.limits.connections {
            return Err(LiveError::Busy);
        }
        let id = self.0.next_seat.fetch_add(1, Ordering::Relaxed);
        loop {
            let stage = self.open(live).await?;
            let liver = visitor.as_ref().is_some_and(|visitor| visitor.liver_id.as_ref() == Some(&stage.liver));
            let customer = visitor.as_ref().map(|visitor| visitor.customer_id.clone());
            let pace = customer.as_ref().map(|customer| self.pace_of(customer));
            let lane = Arc::new(Lane::new(customer, liver, pace, bell(id)?));
            let Ok(head) = stage.seat(id, who, Arc::clone(&lane)) else { continue };
            self.0.seated.fetch_add(1, Ordering::Relaxed);
            if let Some(customer) = lane.customer() {
                self.0.people.lock().entry(customer.clone()).or_default().push((id, Arc::clone(&lane)));
                if !liver && stage.is_first_visit(customer) {
                    self.touch(live, customer, TouchKind::View, None);
                }
            }
            if liver {
                self.ask_figures(live);
            }
            stage.settle(&lane);
            self.0.recent.tell(&lane, self.0.clock.now());
            return Ok((Arc::new(Member::new(self.clone(), stage, id, visitor, lane)), head));
        }
    }

    /// What limits a person's messages: one for all their connections here.
    fn pace_of(&self, customer: &CustomerId) -> Arc<Pace> {
        let people = self.0.people.lock();
        let other = people.get(customer).and_then(|lanes| lanes.iter().find_map(|(_, lane)| lane.pace()));
        other.map_or_else(|| Arc::new(Pace::full(self.0.clock.now())), Arc::clone)
    }

    /// Called when a seat is left.
    pub(super) fn forget(&self, id: u64, lane: &Lane) {
        self.0.seated.fetch_sub(1, Ordering::Relaxed);
        let Some(customer) = lane.customer() else { return };
        let mut people = self.0.people.lock();
        if let Some(lanes) = people.get_mut(customer) {
            lanes.retain(|(other, _)| *other != id);
            if lanes.is_empty() {
                people.remove(customer);
            }
        }
    }

    pub(super) fn touch(
        &self,
        live: &LiveId,
        customer: &CustomerId,
        kind: TouchKind,
        product: Option<crate::ids::ProductId>,
    ) {
        let touch = NewTouch { customer: customer.clone(), live: live.clone(), kind, product, at: self.0.clock.now() };
        (self.0.touches)(touch);
    }

    /// The room of a live, loaded when it is not in memory.
    pub(super) async fn open(&self, live: &LiveId) -> Result<Arc<Stage>, LiveError> {
        loop {
            let slot = self.slot(live)?;
            match slot.opened.get_or_try_init(|| self.load(live, &slot)).await {
                Ok(stage) => {
                    if matches!(*slot.phase.lock(), Phase::Dead) {
                        continue;
                    }
                    stage.touch();
                    return Ok(Arc::clone(stage));
                }
                Err(LoadError::LookAgain) => {}
                Err(LoadError::Refused(error)) => return Err(error),
            }
        }
    }

    /// The room of a live if it is in memory.
    pub(super) fn find(&self, live: &LiveId) -> Option<Arc<Stage>> {
        let slot = self.0.rooms.lock().get(live).cloned()?;
        slot.stage()
    }

    /// Whether there is a picture, as far as this node has heard.
    pub(super) fn media(&self, live: &LiveId) -> String {
        self.0.media.lock().get(live).cloned().unwrap_or_else(|| "none".to_owned())
    }

    fn slot(&self, live: &LiveId) -> Result<Arc<Slot>, LiveError> {
        let mut rooms = self.0.rooms.lock();
        if let Some(slot) = rooms.get(live) {
            return Ok(Arc::clone(slot));
        }
        if rooms.len() >= MAX_ROOMS {
            return Err(LiveError::Busy);
        }
        let slot = Arc::new(Slot { opened: OnceCell::new(), phase: Mutex::new(Phase::Opening(Vec::new())) });
        rooms.insert(live.clone(), Arc::clone(&slot));
        Ok(slot)
    }

    async fn load(&self, live: &LiveId, slot: &Arc<Slot>) -> Result<Arc<Stage>, LoadError> {
        if matches!(*slot.phase.lock(), Phase::Dead) {
            self.drop_slot(live, slot);
            return Err(LoadError::LookAgain);
        }
        let mut unfinished = Unfinished { hub: self, live, slot, armed: true };
        // Where the history stands is asked first: whatever is ordered later is told after, and found in the rows or not.
        let loaded = async {
            let position = self.0.bus.position(live).await.map_err(|_| LiveError::Busy)?;
            let found = opening::load(&self.0, live).await?;
            let start = Place { epoch: Arc::clone(&position.epoch), seq: 0, at: self.0.clock.now() };
            // Without it the room is as true; only who comes back from before gets a snapshot.
            let history = self.0.bus.history(live, &start).await.unwrap_or_else(|error| {
                tracing::warn!(live.id = %live, ?error, "a room opens without its history");
                Vec::new()
            });
            Ok((position, found, history))
        };
        let loaded = loaded.await;
        unfinished.armed = false;
        let mut phase = slot.phase.lock();
        let (position, (found, mut state, presence, household), history) = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                *phase = Phase::Dead;
                drop(phase);
                self.drop_slot(live, slot);
                return Err(LoadError::Refused(error));
            }
        };
        let Phase::Opening(early) = std::mem::replace(&mut *phase, Phase::Dead) else {
            // Too much happened while it was loading.
            drop(phase);
            self.drop_slot(live, slot);
            return Err(LoadError::LookAgain);
        };
        let gone = self.0.tasks.stopping().child_token();
        if let Some(media) = &position.media {
            self.0.media.lock().insert(live.clone(), media.clone());
            state.put_media(media);
        }
        let live = live.clone();
        let opening = Opening { live, liver: found.liver_id, state, position, presence, household };
        let stage = Arc::new(Stage::new(opening, self.0.clock.clone(), gone));
        stage.put_history(&history);
        *phase = Phase::Open(Arc::clone(&stage));
        for (fact, place) in early {
            self.tell_stage(&stage, &fact, place.as_ref());
        }
        drop(phase);
        let ticking = Arc::clone(&stage).tick(self.0.bus.clone(), self.0.scribe.clone(), Arc::clone(&self.0.node));
        self.0.tasks.spawn("room", ticking);
        Ok(stage)
    }

    fn drop_slot(&self, live: &LiveId, slot: &Arc<Slot>) {
        let mut rooms = self.0.rooms.lock();
        if rooms.get(live).is_some_and(|current| Arc::ptr_eq(current, slot)) {
            rooms.remove(live);
        }
    }

    async fn hear(self, mut facts: Subscriber, stopping: CancellationToken) {
        loop {
            let heard = tokio::select! {
                heard = facts.next() => heard,
                () = stopping.cancelled() => return,
            };
            match heard {
                Some(Heard::Fact(fact, place)) => self.take(&fact, place),
                Some(Heard::Missed) => {
                    for slot in self.slots() {
                        let mut phase = slot.phase.lock();
                        match &*phase {
                            Phase::Open(stage) => self.mend(stage, Mending::Everything),
                            Phase::Opening(_) => *phase = Phase::Dead,
                            Phase::Dead => {}
                        }
                    }
                }
                None => return,
            }
        }
    }

    fn slots(&self) -> Vec<Arc<Slot>> {
        self.0.rooms.lock().values().cloned().collect()
    }

    fn take(&self, fact: &Arc<Fact>, place: Option<Place>) {
        match &**fact {
            Fact::Media { live, media } => {
                self.0.media.lock().insert(live.clone(), media.clone());
            }
            Fact::Ordered { live, event } if Stage::is_end(event) => {
                self.0.media.lock().remove(live);
            }
            _ => {}
        }
        match &**fact {
            Fact::Ordered { live, .. }
            | Fact::Media { live, .. }
            | Fact::Question { live, .. }
            | Fact::Chat { live, .. }
            | Fact::Reactions { live, .. }
            | Fact::Presence { live, .. }
            | Fact::Left { live, .. } => {
                let slot = self.0.rooms.lock().get(live).cloned();
                if let Some(slot) = slot {
                    self.tell_slot(&slot, fact, place);
                }
            }
            Fact::Moderation { liver, version } => {
                self.tell_all(fact);
                self.heard_of_order(liver, *version);
            }
            Fact::Follow { liver, customer, following, version } => {
                self.tell_all(fact);
                let follow = Follow { customer: customer.clone(), following: *following, version: *version };
                self.heard_of_follow(liver, &follow);
            }
            Fact::Stock { .. } => self.tell_all(fact),
            Fact::Purchase { customer, status } => {
                self.0.recent.put_purchase(customer, status, self.0.clock.now());
                let people = self.0.people.lock();
                for (_, lane) in people.get(customer).into_iter().flatten() {
                    lane.put_purchase(status.clone());
                }
            }
            Fact::Wait { customer, wait } => {
                self.0.recent.put_wait(customer, wait, self.0.clock.now());
                let people = self.0.people.lock();
                for (_, lane) in people.get(customer).into_iter().flatten() {
                    lane.put_wait(wait.clone());
                }
            }
            Fact::Pickup { customer, pickup } => {
                self.0.recent.put_pickup(customer, pickup, self.0.clock.now());
                let people = self.0.people.lock();
                for (_, lane) in people.get(customer).into_iter().flatten() {
                    lane.put_pickup(pickup.clone());
                }
            }
            Fact::Sold { live, .. } => {
                if self.find(live).is_some_and(|stage| stage.has_liver()) {
                    self.ask_figures(live);
                }
            }
        }
    }

    fn tell_slot(&self, slot: &Slot, fact: &Arc<Fact>, place: Option<Place>) {
        let mut phase = slot.phase.lock();
        match &mut *phase {
            Phase::Opening(early) if early.len() >= MAX_EARLY => *phase = Phase::Dead,
            Phase::Opening(early) => early.push((Arc::clone(fact), place)),
            Phase::Open(stage) => {
                let stage = Arc::clone(stage);
                drop(phase);
                self.tell_stage(&stage, fact, place.as_ref());
            }
            Phase::Dead => {}
        }
    }

    fn tell_stage(&self, stage: &Arc<Stage>, fact: &Arc<Fact>, place: Option<&Place>) {
        if let Some(place) = place {
            if let Fact::Ordered { event: Event::QuestionChanged(question), .. } = &**fact {
                stage.note_merge(question);
            }
            match stage.take(fact, place) {
                Taken::Told => {}
                Taken::Hole(after) => self.mend(stage, Mending::Hole(after)),
                Taken::Elsewhere => self.mend(stage, Mending::Everything),
            }
            return;
        }
        let edge = match &**fact {
            Fact::Question { question, by, .. } => {
                if let Some(by) = by {
                    stage.note_voice(&question.id, by);
                }
                stage.tell(News::Question(question.clone()))
            }
            Fact::Stock { stock, edge } => stage.tell(News::Stock(stock.clone(), *edge)),
            Fact::Chat { author, message, .. } => {
                stage.hear_chat(author.as_ref(), message.clone());
                None
            }
            Fact::Reactions { more, .. } => {
                for count in more {
                    stage.tell(News::Reactions(count.kind.clone(), count.total));
                }
                None
            }
            Fact::Left { left, .. } => stage.tell(News::Left(left.clone())),
            Fact::Presence { node, viewers, uniques, .. } => {
                if **node != *self.0.node {
                    stage.hear_presence(node, *viewers, uniques.as_deref());
                }
                None
            }
            Fact::Follow { liver, customer, following, version } => {
                if *liver == stage.liver {
                    stage.put_follow(&Follow { customer: customer.clone(), following: *following, version: *version });
                }
                None
            }
            Fact::Moderation { liver, version } => {
                if *liver == stage.liver && *version > stage.order().version() {
                    self.ask_order(liver);
                }
                None
            }
            Fact::Ordered { .. } | Fact::Media { .. } => None,
            Fact::Purchase { .. } | Fact::Wait { .. } | Fact::Pickup { .. } | Fact::Sold { .. } => None,
        };
        if let Some(event) = edge {
            // Every node that shows the SKU says so; the bus orders it once.
            let fact = Fact::Ordered { live: stage.live.clone(), event };
            if self.0.edges.try_send(fact).is_err() {
                tracing::error!(live.id = %stage.live, "too many edges of stock wait; one is told as a number only");
            }
        }
    }

    async fn order_edges(self, mut edges: mpsc::Receiver<Fact>, stopping: CancellationToken) {
        loop {
            let edge = tokio::select! {
                edge = edges.recv() => edge,
                () = stopping.cancelled() => return,
            };
            let Some(edge) = edge else { return };
            if self.0.bus.publish(edge).await.is_err() {
                // When the bus is back histories begin anew, and the snapshot has the number.
                tracing::debug!("the bus is away; an edge of stock is told as a number only");
            }
        }
    }

    /// Fetches what is missing, or begins anew; once at a time for each room.
    pub(super) fn mend(&self, stage: &Arc<Stage>, what: Mending) {
        if !stage.begin_mending(&what) {
            return;
        }
        let (hub, stage) = (self.clone(), Arc::clone(stage));
        self.0.tasks.spawn("room mending", async move {
            let mut what = what;
            // When a bus comes back every open room looks at the database: not all at once.
            let Ok(_turn) = hub.0.mends.acquire().await else { return };
            let stopping = hub.0.tasks.stopping();
            loop {
                let mended = match &what {
                    Mending::Hole(after) => hub.fill(&stage, after).await,
                    Mending::Everything => hub.begin_anew(&stage).await,
                };
                match mended {
                    Ok(true) => match stage.end_mending() {
                        // More was missed meanwhile.
                        Some(next) => what = next,
                        None => return,
                    },
                    Ok(false) => what = Mending::Everything,
                    Err(error) => {
                        tracing::warn!(live.id = %stage.live, %error, "a room cannot be mended yet; trying again");
                        tokio::select! {
                            () = tokio::time::sleep(MEND_AGAIN) => {}
                            () = stopping.cancelled() => return,
                            () = stage.gone.cancelled() => return,
                        }
                    }
                }
            }
        });
    }

    /// Tells what the bus kept after a place; `false` when that is not enough.
    async fn fill(&self, stage: &Arc<Stage>, after: &Place) -> Result<bool, LiveError> {
        let history = self.0.bus.history(&stage.live, after).await.map_err(|_| LiveError::Busy)?;
        let mut told = Taken::Told;
        for (fact, place) in &history {
            told = stage.take(fact, place);
        }
        Ok(!history.is_empty() && told == Taken::Told)
    }

    /// Looks at the bus and the database again. A room whose history goes on only learns what it missed.
    async fn begin_anew(&self, stage: &Arc<Stage>) -> Result<bool, LiveError> {
        let here = stage.place();
        let position = self.0.bus.position(&stage.live).await.map_err(|_| LiveError::Busy)?;
        let goes_on = position.epoch == here.epoch
            && (position.seq == here.seq || position.seq > here.seq && self.fill(stage, &here).await?);
        let (_, mut state, _, household) = opening::load(&self.0, &stage.live).await?;
        if goes_on {
            // Who keeps order, follows and has voted may have changed while nobody told us.
            stage.household.lock().renew(household);
            stage.settle_all();
            for edge in state.as_news().into_iter().filter_map(|news| stage.tell(news)) {
                let _ = self.0.edges.try_send(Fact::Ordered { live: stage.live.clone(), event: edge });
            }
            return Ok(true);
        }
        if let Some(media) = &position.media {
            state.put_media(media);
        }
        let media = stage.look(|state| state.live().media.clone());
        if position.media.is_none() && media != "none" {
            // The bus has forgotten it; whoever opens the room later must hear of it.
            let _ = self.0.edges.try_send(Fact::Media { live: stage.live.clone(), media });
        }
        tracing::info!(live.id = %stage.live, "a room begins a new history");
        stage.begin_anew(state, household, &position);
        Ok(true)
    }

    /// For facts that may concern any room.
    fn tell_all(&self, fact: &Arc<Fact>) {
        for slot in self.slots() {
            self.tell_slot(&slot, fact, None);
        }
    }

    fn ask_figures(&self, live: &LiveId) {
        let mut sold = self.0.sold.lock();
        if !sold.contains(live) {
            sold.push(live.clone());
        }
        drop(sold);
        self.0.sold_bell.notify_one();
    }

    /// Figures are read, not counted: a sum that was told twice or missed would stay wrong for the whole live.
    async fn load_figures(self, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = self.0.sold_bell.notified() => {}
                () = stopping.cancelled() => return,
            }
            let began = Instant::now();
            let lives = std::mem::take(&mut *self.0.sold.lock());
            for live in lives {
                let Some(stage) = self.find(&live) else { continue };
                match (self.0.sales)(live).await {
                    Ok(figures) => stage.put_figures(figures),
                    Err(error) => tracing::warn!(%error, "sales figures cannot be read; the next sale asks again"),
                }
            }
            let rest = FIGURES_EVERY.max(began.elapsed() * FIGURES_REST);
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = stopping.cancelled() => return,
            }
        }
    }

    /// Renews the passes that run out soon, a few at a time. Whose sign-in is over has to leave; while the database is away
    /// nobody has to.
    async fn renew_passes(self, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = self.0.clock.sleep(PASSES_EVERY) => {}
                () = stopping.cancelled() => return,
            }
            let by = self.0.clock.now().plus(PASS_RENEWED_BEFORE);
            let lanes: Vec<Arc<Lane>> =
                self.0.people.lock().values().flatten().map(|(_, lane)| Arc::clone(lane)).collect();
            let due = lanes.into_iter().filter(|lane| lane.sign_in().is_some_and(|(_, expires_at)| expires_at <= by));
            let mut looked: HashMap<String, Option<wire::Pass>> = HashMap::new();
            for lane in due {
                let Some((sign_in, _)) = lane.sign_in() else { continue };
                if !looked.contains_key(sign_in) {
                    match (self.0.passes)(sign_in.to_owned()).await {
                        Ok(pass) => drop(looked.insert(sign_in.to_owned(), pass)),
                        Err(error) => {
                            tracing::warn!(%error, "passes cannot be renewed; trying again");
                            break;
                        }
                    }
                }
                match looked.get(sign_in) {
                    Some(Some(pass)) => lane.put_pass(pass.clone()),
                    _ => lane.dismiss(Dismissal::PassExpired),
                }
                if stopping.is_cancelled() {
                    return;
                }
            }
        }
    }

    /// The next pass of a connection's person, now; none when the sign-in is over.
    pub(super) async fn renew_pass(&self, sign_in: &str) -> Result<Option<wire::Pass>, LiveError> {
        Ok((self.0.passes)(sign_in.to_owned()).await?)
    }

    async fn sweep(self, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(SWEEP_EVERY) => {}
                () = stopping.cancelled() => return,
            }
            self.drop_idle(IDLE_AFTER);
            self.keep_to_budget();
            self.0.recent.sweep(self.0.clock.now());
        }
    }

    /// The largest logs fall until all together fit.
    fn keep_to_budget(&self) {
        let stages = self.slots().into_iter().filter_map(|slot| match &*slot.phase.lock() {
            Phase::Open(stage) => Some(Arc::clone(stage)),
            Phase::Opening(_) | Phase::Dead => None,
        });
        let mut logs: Vec<(usize, Arc<Stage>)> = stages.map(|stage| (stage.trim(usize::MAX), stage)).collect();
        let mut total: usize = logs.iter().map(|(bytes, _)| bytes).sum();
        logs.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        for (bytes, stage) in logs {
            if total <= self.0.limits.log_bytes {
                return;
            }
            total = total - bytes + stage.trim(bytes / 2);
        }
    }

    /// Drops rooms that nobody has needed for `idle`.
    pub(super) fn drop_idle(&self, idle: Duration) {
        self.0.rooms.lock().retain(|live, slot| {
            let mut phase = slot.phase.lock();
            let Phase::Open(stage) = &*phase else { return true };
            if !stage.close_if_idle(idle) {
                return true;
            }
            tracing::debug!(live.id = %live, "room dropped");
            stage.gone.cancel();
            *phase = Phase::Dead;
            false
        });
    }
}

/// A room that is being loaded. Whoever asks for it may leave midway, and then it must not go on collecting facts.
struct Unfinished<'a> {
    hub: &'a Hub,
    live: &'a LiveId,
    slot: &'a Arc<Slot>,
    armed: bool,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.armed {
            *self.slot.phase.lock() = Phase::Dead;
            self.hub.drop_slot(self.live, self.slot);
        }
    }
}

enum LoadError {
    /// This slot is not the current one any more.
    LookAgain,
    Refused(LiveError),
}
