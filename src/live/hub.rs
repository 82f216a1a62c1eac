//! Shell: every room in memory, and how facts and connections find them.
//!
//! A room is loaded from the database when somebody first needs it (once, however many ask), then kept by facts; it is
//! dropped when nobody has needed it for a while. Facts that arrive while a room is being loaded wait for it.
//! Invariant: a fact told after a room began to load is folded into it; versions make telling twice harmless.
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
    sync::{Notify, OnceCell},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    LiveError, NewTouch, SalesLoader, ShownLoader, TouchKind, TouchSink, Visitor,
    codec::Codec,
    followers::Follow,
    opening,
    room::News,
    seat::{Lane, Seat},
    stage::Stage,
    talk::Scribe,
    whereabouts::Whereabouts,
};
use crate::{
    bus::{Bus, Fact, Subscriber},
    clock::Clock,
    ids::{CustomerId, LiveId, LiverId},
    store::Db,
    tasks::Tasks,
    wire,
};

/// Rooms in memory at once; when all are in use the next live is refused as busy.
const MAX_ROOMS: usize = 10_000;
/// A room that nobody has needed for this long is dropped.
const IDLE_AFTER: Duration = Duration::from_secs(5 * 60);
/// How often idle rooms are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// Facts that wait for a room being loaded; beyond, the load is given up and begun again.
const MAX_EARLY: usize = 20_000;
/// Sales figures of all rooms together are loaded at most this often …
const FIGURES_EVERY: Duration = Duration::from_secs(1);
/// … and may take this share of the time at most.
const FIGURES_REST: u32 = 10;

#[derive(Debug)]
enum Phase {
    /// Being loaded; what is told meanwhile waits.
    Opening(Vec<Arc<Fact>>),
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
    /// Where people were seen to come from.
    pub(super) whereabouts: Whereabouts,
    /// Livers whose order is to be read again.
    pub(super) orders: Mutex<HashSet<LiverId>>,
    pub(super) orders_bell: Notify,
    /// Whether there is a picture, of lives whose publisher has come. Not stored anywhere else.
    media: Mutex<HashMap<LiveId, String>>,
    /// Rooms whose sales figures have changed.
    sold: Mutex<Vec<LiveId>>,
    sold_bell: Notify,
    next_seat: AtomicU64,
}

/// All rooms of this process. Cheap to clone.
#[derive(Clone)]
pub struct Hub(pub(super) Arc<HubInner>);

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("rooms", &self.0.rooms.lock().len()).finish_non_exhaustive()
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
}

impl Hub {
    pub(super) fn start(parts: HubParts) -> Self {
        let facts = parts.bus.subscribe();
        let tasks = parts.tasks.clone();
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
            whereabouts: Whereabouts::default(),
            orders: Mutex::default(),
            orders_bell: Notify::new(),
            media: Mutex::default(),
            sold: Mutex::default(),
            sold_bell: Notify::new(),
            next_seat: AtomicU64::new(1),
        }));
        let stopping = tasks.stopping();
        tasks.spawn("hub facts", hub.clone().hear(facts, stopping.clone()));
        tasks.spawn("hub sales figures", hub.clone().load_figures(stopping.clone()));
        tasks.spawn("hub orders", hub.clone().follow_orders(stopping.clone()));
        tasks.spawn("hub sweep", hub.clone().sweep(stopping));
        hub
    }

    /// Takes a seat for a connection.
    pub(super) async fn join(&self, live: &LiveId, visitor: Option<Visitor>, codec: Codec) -> Result<Seat, LiveError> {
        let id = self.0.next_seat.fetch_add(1, Ordering::Relaxed);
        loop {
            let stage = self.open(live).await?;
            let liver = visitor.as_ref().is_some_and(|visitor| visitor.liver_id.as_ref() == Some(&stage.liver));
            let customer = visitor.as_ref().map(|visitor| visitor.customer_id.clone());
            let lane = Arc::new(Lane::new(customer, liver));
            let Ok(head) = stage.seat(id, Arc::clone(&lane)) else { continue };
            let seat = Seat::new(self.clone(), Arc::clone(&stage), id, codec, visitor, Arc::clone(&lane), head);
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
            return Ok(seat);
        }
    }

    /// Called when a seat is left.
    pub(super) fn forget(&self, id: u64, lane: &Lane) {
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

    /// Whether there is a picture.
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
            return Err(LoadError::LookAgain);
        }
        let loaded = opening::load(&self.0, live).await;
        let mut phase = slot.phase.lock();
        let (found, state, household) = match loaded {
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
        let (liver, peak, clock) = (found.liver_id, found.peak_viewers, self.0.clock.clone());
        let stage = Arc::new(Stage::new(live.clone(), liver, state, peak, household, clock, gone));
        let media = self.media(live);
        if media != "none" {
            stage.tell(News::Media(media));
        }
        for fact in early {
            if let Fact::Moderation { liver, version } = &*fact
                && *liver == stage.liver
                && *version > stage.order().version()
            {
                self.ask_order(liver);
            }
            tell_stage(&stage, &fact);
        }
        *phase = Phase::Open(Arc::clone(&stage));
        drop(phase);
        let ticking = Arc::clone(&stage).tick(self.0.bus.clone(), self.0.scribe.clone());
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
            let fact = tokio::select! {
                fact = facts.next() => fact,
                () = stopping.cancelled() => return,
            };
            match fact {
                Some(fact) => self.take(&fact),
                None => return,
            }
        }
    }

    fn take(&self, fact: &Arc<Fact>) {
        match &**fact {
            Fact::Ordered { live, event } => {
                if Stage::is_end(event) {
                    self.0.media.lock().remove(live);
                }
                self.tell(live, fact);
            }
            Fact::Question { live, .. }
            | Fact::Chat { live, .. }
            | Fact::Reactions { live, .. }
            | Fact::Left { live, .. } => {
                self.tell(live, fact);
            }
            Fact::Media { live, media } => {
                self.0.media.lock().insert(live.clone(), media.clone());
                self.tell(live, fact);
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
                let people = self.0.people.lock();
                for (_, lane) in people.get(customer).into_iter().flatten() {
                    lane.put_purchase(status.clone());
                }
            }
            Fact::Wait { customer, wait } => {
                let people = self.0.people.lock();
                for (_, lane) in people.get(customer).into_iter().flatten() {
                    lane.put_wait(wait.clone());
                }
            }
            Fact::Sold { live, .. } => {
                if self.find(live).is_some_and(|stage| stage.has_liver()) {
                    self.ask_figures(live);
                }
            }
        }
    }

    fn tell(&self, live: &LiveId, fact: &Arc<Fact>) {
        let slot = self.0.rooms.lock().get(live).cloned();
        if let Some(slot) = slot {
            tell_slot(&slot, fact);
        }
    }

    /// For facts that may concern any room.
    fn tell_all(&self, fact: &Arc<Fact>) {
        let slots: Vec<_> = self.0.rooms.lock().values().cloned().collect();
        for slot in slots {
            tell_slot(&slot, fact);
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

    async fn sweep(self, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(SWEEP_EVERY) => {}
                () = stopping.cancelled() => return,
            }
            self.drop_idle(IDLE_AFTER);
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

enum LoadError {
    /// This slot is not the current one any more.
    LookAgain,
    Refused(LiveError),
}

fn tell_slot(slot: &Slot, fact: &Arc<Fact>) {
    let mut phase = slot.phase.lock();
    match &mut *phase {
        Phase::Opening(early) if early.len() >= MAX_EARLY => *phase = Phase::Dead,
        Phase::Opening(early) => early.push(Arc::clone(fact)),
        Phase::Open(stage) => {
            let stage = Arc::clone(stage);
            drop(phase);
            tell_stage(&stage, fact);
        }
        Phase::Dead => {}
    }
}

fn tell_stage(stage: &Stage, fact: &Fact) {
    match fact {
        Fact::Ordered { event, .. } => {
            if let wire::ordered::Event::QuestionChanged(question) = event {
                stage.note_merge(question);
            }
            stage.tell(News::Ordered(event.clone()));
        }
        Fact::Question { question, by, .. } => {
            if let Some(by) = by {
                stage.note_voice(&question.id, by);
            }
            stage.tell(News::Question(question.clone()));
        }
        Fact::Stock { stock, edge } => stage.tell(News::Stock(stock.clone(), *edge)),
        Fact::Chat { message, .. } => stage.tell(News::Chat(message.clone())),
        Fact::Media { media, .. } => stage.tell(News::Media(media.clone())),
        Fact::Reactions { more, .. } => {
            for count in more {
                stage.tell(News::Reactions(count.kind.clone(), count.total));
            }
        }
        Fact::Left { left, .. } => stage.tell(News::Left(left.clone())),
        Fact::Follow { liver, customer, following, version } => {
            if *liver == stage.liver {
                stage.put_follow(&Follow { customer: customer.clone(), following: *following, version: *version });
            }
        }
        Fact::Moderation { .. } | Fact::Purchase { .. } | Fact::Wait { .. } | Fact::Sold { .. } => {}
    }
}
