//! Edge: the bus between nodes, over Redis (7 or newer, for sharded publish).
//!
//! An ordered fact goes through a script that gives it its place, appends it to the live's stream and tells every node;
//! all other facts are plain sharded publishes. All keys and the channel of a live have one hash tag, of
//! [`PARTITIONS`], so the layout fits a cluster; this adapter speaks with one server.
//! Redis holds no truth. When it is away for [`ALONE_AFTER`], a node goes on alone: it gives places by itself, in
//! histories of its own, of what its relay reads from the outbox. When Redis is back, restarted or emptied, histories
//! begin anew there, and every subscriber hears [`Heard::Missed`].
//! Invariant: a history is of one run of one Redis. What a restarted one still remembers may lack its end, so it is not
//! gone on with.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;
use redis::{AsyncConnectionConfig, Client, ProtocolVersion, RedisError, Value, aio::MultiplexedConnection};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{BusAway, Fact, Heard, Order, Place, Position, fresh_epoch, local::Local, sequence::MAX_OBJECTS};
use crate::{
    clock::{Clock, Millis},
    ids::LiveId,
    tasks::Tasks,
};

mod origins;
mod pushes;
use pushes::Pushes;

/// Hash tags: how many ways a cluster may split the lives.
const PARTITIONS: u32 = 128;
/// Entries of a live's stream, about: ten minutes of a very busy live.
const STREAM_ENTRIES: u32 = 20_000;
/// A live that nobody touched for so long is forgotten; its history then begins anew.
const KEEP_S: u32 = 24 * 60 * 60;
/// A command that takes longer is given up, and the connection with it.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// Redis may be away for so long before a node goes on alone.
const ALONE_AFTER: Duration = Duration::from_millis(1_500);
/// Pauses between tries to connect.
const MIN_BACK_OFF: Duration = Duration::from_millis(50);
const MAX_BACK_OFF: Duration = Duration::from_secs(1);
/// How often it is said that Redis cannot be used.
const WARN_EVERY: Duration = Duration::from_secs(30);
/// How often the server is asked whether it is still the same.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Lossy facts that wait to be told; more are dropped.
const MAX_OFFERS: usize = 8_192;
/// Commands of one round trip.
const PIPELINE: usize = 256;
/// Set while this Redis keeps what we gave it: who empties it empties this, too.
const MARK: &str = "hana:mark";

const ORDER: &str = include_str!("redis/order.lua");
const POSITION: &str = include_str!("redis/position.lua");

/// A connection that works, and to which run of the server.
#[derive(Debug, Clone)]
struct Link {
    commands: MultiplexedConnection,
    run: Arc<str>,
    order: Arc<str>,
    position: Arc<str>,
}

#[derive(Debug)]
struct Inner {
    here: Local,
    client: Client,
    clock: Clock,
    link: RwLock<Option<Link>>,
    /// When the link was lost, or the process began.
    away_since: RwLock<Instant>,
    changed: Notify,
    broken: Notify,
    offers: mpsc::Sender<Arc<Fact>>,
    /// Times that subscribers were told to look again.
    renewals: AtomicU64,
}

/// The bus of one node among several. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Redis(Arc<Inner>);

impl Redis {
    /// A bus at `redis://…` or `rediss://…`; it connects, and connects again, by itself.
    ///
    /// # Errors
    /// When the address is none.
    pub(super) fn start(url: &str, clock: Clock, tasks: &Tasks) -> Result<Self, RedisError> {
        let (offers, offered) = mpsc::channel(MAX_OFFERS);
        let redis = Self(Arc::new(Inner {
            here: Local::new(clock.clone()),
            client: Client::open(url)?,
            clock,
            link: RwLock::default(),
            away_since: RwLock::new(Instant::now()),
            changed: Notify::new(),
            broken: Notify::new(),
            offers,
            renewals: AtomicU64::new(0),
        }));
        tasks.spawn("redis link", redis.clone().keep(tasks.stopping()));
        tasks.spawn("redis offers", redis.clone().tell_offers(offered, tasks.stopping()));
        Ok(redis)
    }

    pub(super) fn here(&self) -> &Local {
        &self.0.here
    }

    fn link(&self) -> Option<Link> {
        self.0.link.read().clone()
    }

    fn is_alone(&self) -> bool {
        self.0.link.read().is_none() && self.0.away_since.read().elapsed() >= ALONE_AFTER
    }

    /// The link, or none when it does not come back before a node goes on alone.
    async fn wait_for_link(&self) -> Option<Link> {
        loop {
            let changed = self.0.changed.notified();
            if let Some(link) = self.link() {
                return Some(link);
            }
            let left = ALONE_AFTER.checked_sub(self.0.away_since.read().elapsed())?;
            let _ = tokio::time::timeout(left, changed).await;
        }
    }

    fn lose(&self, error: &RedisError) {
        tracing::debug!(%error, "a command to Redis failed");
        self.0.broken.notify_one();
    }

    pub(super) async fn publish_all(&self, facts: &[Fact]) -> Result<(), BusAway> {
        let Some(link) = self.wait_for_link().await else {
            // Alone: told here, and not as told. When Redis is back the relay tells everybody.
            for fact in facts {
                self.0.here.publish(Arc::new(fact.clone())).await;
            }
            return Err(BusAway::OnlyHere);
        };
        for page in facts.chunks(PIPELINE) {
            let mut pipeline = redis::pipe();
            for fact in page {
                self.add(&mut pipeline, &link, fact);
            }
            let told: Result<(), RedisError> = pipeline.query_async(&mut link.commands.clone()).await;
            told.map_err(|error| {
                self.lose(&error);
                BusAway::Silent
            })?;
        }
        Ok(())
    }

    fn add(&self, pipeline: &mut redis::Pipeline, link: &Link, fact: &Fact) {
        let payload = serde_json::to_string(fact).expect("facts hold text, numbers and proto messages");
        let (Some(order), Some(live)) = (Order::of(fact), fact.ordered_in()) else {
            pipeline.cmd("SPUBLISH").arg(channel(tag_of(fact))).arg(format!("f {payload}")).ignore();
            return;
        };
        let (object, version, edge) = match order {
            Order::Always => (String::new(), 0, ""),
            Order::Newer { key, version } => (key, version, ""),
            Order::Edge { key, version, sold_out } => (key, version, if sold_out { "sold-out" } else { "restocked" }),
        };
        let media = match fact {
            Fact::Media { media, .. } => media.as_str(),
            _ => "",
        };
        let keys = Keys::of(live);
        pipeline
            .cmd("EVALSHA")
            .arg(&*link.order)
            .arg(3)
            .arg(&keys.head)
            .arg(&keys.versions)
            .arg(&keys.stream)
            .arg(channel(partition(live.as_str())))
            .arg(fresh_epoch())
            .arg(&*link.run)
            .arg(self.0.clock.now().0)
            .arg(live.as_str())
            .arg(object)
            .arg(version)
            .arg(edge)
            .arg(media)
            .arg(payload)
            .arg(STREAM_ENTRIES)
            .arg(MAX_OBJECTS)
            .arg(KEEP_S)
            .ignore();
    }

    pub(super) fn offer(&self, fact: Fact) {
        let fact = Arc::new(fact);
        if self.is_alone() {
            self.0.here.offer(&fact);
        } else {
            // Full: this class may be lost.
            let _ = self.0.offers.try_send(fact);
        }
    }

    async fn tell_offers(self, mut offers: mpsc::Receiver<Arc<Fact>>, stopping: CancellationToken) {
        let mut batch = Vec::with_capacity(PIPELINE);
        loop {
            batch.clear();
            tokio::select! {
                got = offers.recv_many(&mut batch, PIPELINE) => if got == 0 { return },
                () = stopping.cancelled() => return,
            }
            let Some(link) = self.link() else {
                for fact in &batch {
                    self.0.here.offer(fact);
                }
                continue;
            };
            let mut pipeline = redis::pipe();
            for fact in &batch {
                self.add(&mut pipeline, &link, fact);
            }
            let told: Result<(), RedisError> = pipeline.query_async(&mut link.commands.clone()).await;
            if let Err(error) = told {
                self.lose(&error);
            }
        }
    }

    pub(super) async fn position(&self, live: &LiveId) -> Result<Position, BusAway> {
        let Some(link) = self.wait_for_link().await else { return Ok(self.0.here.position(live)) };
        let keys = Keys::of(live);
        let mut command = redis::cmd("EVALSHA");
        command.arg(&*link.position).arg(3).arg(&keys.head).arg(&keys.versions).arg(&keys.stream);
        command.arg(fresh_epoch()).arg(&*link.run).arg(KEEP_S);
        let answer: Result<(String, u64, String), RedisError> = command.query_async(&mut link.commands.clone()).await;
        let (epoch, seq, media) = answer.map_err(|error| {
            self.lose(&error);
            BusAway::Silent
        })?;
        Ok(Position { epoch: epoch.into(), seq, media: (!media.is_empty()).then_some(media) })
    }

    pub(super) async fn history(&self, live: &LiveId, after: &Place) -> Result<Vec<(Arc<Fact>, Place)>, BusAway> {
        let Some(link) = self.wait_for_link().await else { return Ok(Vec::new()) };
        let keys = Keys::of(live);
        let mut pipeline = redis::pipe();
        pipeline.atomic().cmd("HGET").arg(&keys.head).arg("epoch");
        pipeline.cmd("XRANGE").arg(&keys.stream).arg(format!("{}-0", after.seq + 1)).arg("+");
        pipeline.arg("COUNT").arg(STREAM_ENTRIES * 2);
        let answer: Result<(Option<String>, Entries), RedisError> =
            pipeline.query_async(&mut link.commands.clone()).await;
        let (epoch, entries) = answer.map_err(|error| {
            self.lose(&error);
            BusAway::Silent
        })?;
        if epoch.as_deref() != Some(&*after.epoch) {
            return Ok(Vec::new());
        }
        Ok(entries.into_iter().filter_map(|(id, fields)| entry(&id, &fields, &after.epoch)).collect())
    }

    /// Connects, listens, checks, and begins again when something breaks.
    async fn keep(self, stopping: CancellationToken) {
        let mut back_off = MIN_BACK_OFF;
        let mut before: Option<(Arc<str>, String)> = None;
        let mut warned_at: Option<Instant> = None;
        loop {
            let connected = tokio::select! {
                connected = self.connect() => connected,
                () = stopping.cancelled() => return,
            };
            match connected {
                Ok((link, mark, pushes, listening)) => {
                    back_off = MIN_BACK_OFF;
                    let same = before.as_ref().is_none_or(|(run, known)| *run == link.run && *known == mark);
                    tracing::info!(redis.run = %link.run, redis.same = same, "Redis is connected");
                    let first = before.replace((Arc::clone(&link.run), mark.clone())).is_none();
                    *self.0.link.write() = Some(link.clone());
                    self.0.changed.notify_waiters();
                    // Whatever was told while nobody listened was missed.
                    if !first || self.0.away_since.read().elapsed() >= ALONE_AFTER {
                        self.renew().await;
                    }
                    self.listen(&link, &mark, pushes, listening, &stopping).await;
                    *self.0.away_since.write() = Instant::now();
                    *self.0.link.write() = None;
                    if stopping.is_cancelled() {
                        return;
                    }
                    tracing::warn!("Redis is away; this node goes on by itself if it does not come back");
                }
                Err(error) if warned_at.is_none_or(|at| at.elapsed() >= WARN_EVERY) => {
                    warned_at = Some(Instant::now());
                    tracing::warn!(%error, "Redis cannot be used; this node goes on by itself until it can");
                }
                Err(error) => tracing::debug!(%error, "Redis cannot be used yet"),
            }
            tokio::select! {
                () = tokio::time::sleep(back_off) => {}
                () = stopping.cancelled() => return,
            }
            back_off = (back_off * 2).min(MAX_BACK_OFF);
        }
    }

    async fn renew(&self) {
        self.0.here.forget();
        self.0.renewals.fetch_add(1, Ordering::Relaxed);
        self.0.here.tell(Heard::Missed).await;
    }

    async fn connect(&self) -> Result<(Link, String, Pushes, MultiplexedConnection), RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN));
        let (sender, pushes) = pushes::channel();
        let listening = config.clone().set_push_sender(sender);
        let mut info = self.0.client.get_connection_info().clone();
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        info = info.set_redis_settings(settings);
        let client = Client::open(info)?;
        let mut listening = client.get_multiplexed_async_connection_with_config(&listening).await?;
        let mut commands = self.0.client.get_multiplexed_async_connection_with_config(&config).await?;
        let (order, position): (String, String) = redis::pipe()
            .cmd("SCRIPT")
            .arg("LOAD")
            .arg(ORDER)
            .cmd("SCRIPT")
            .arg("LOAD")
            .arg(POSITION)
            .query_async(&mut commands)
            .await?;
        let run = run_of(&mut commands).await?;
        let mark = mark_of(&mut commands).await?;
        let mut subscribe = redis::pipe();
        for partition in 0..PARTITIONS {
            subscribe.cmd("SSUBSCRIBE").arg(channel(partition)).ignore();
        }
        let _: Value = subscribe.query_async(&mut listening).await?;
        let link = Link { commands, run, order: order.into(), position: position.into() };
        Ok((link, mark, pushes, listening))
    }

    /// Hands on what is heard, until the link breaks or is not the same any more.
    async fn listen(
        &self,
        link: &Link,
        mark: &str,
        mut pushes: Pushes,
        mut listening: MultiplexedConnection,
        stopping: &CancellationToken,
    ) {
        let mut check = tokio::time::interval(CHECK_EVERY);
        check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                pushed = pushes.next() => match pushed {
                    Some(heard) => self.0.here.tell(heard).await,
                    // Lost, or more came than could be taken: either way something was missed.
                    None => return,
                },
                _ = check.tick() => {
                    let mut commands = link.commands.clone();
                    let ping = redis::cmd("PING");
                    let (found, alive) = tokio::join!(
                        mark_of(&mut commands),
                        ping.query_async::<Value>(&mut listening),
                    );
                    if alive.is_err() || !found.is_ok_and(|found| found == mark) {
                        return;
                    }
                }
                () = self.0.broken.notified() => return,
                () = stopping.cancelled() => return,
            }
        }
    }
}

/// The keys of a live.
struct Keys {
    head: String,
    versions: String,
    stream: String,
}

impl Keys {
    fn of(live: &LiveId) -> Self {
        let prefix = format!("hana:{{{}}}:{live}", partition(live.as_str()));
        Self {
            head: format!("{prefix}:head"),
            versions: format!("{prefix}:versions"),
            stream: format!("{prefix}:stream"),
        }
    }

    /// Where the live's picture comes in.
    fn origin(live: &LiveId) -> String {
        format!("hana:{{{}}}:{live}:origin", partition(live.as_str()))
    }
}

fn channel(partition: u32) -> String {
    format!("hana:{{{partition}}}:news")
}

/// FNV-1a: even enough, and the same on every node for ever.
fn partition(key: &str) -> u32 {
    let hash = key.bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash % PARTITIONS
}

/// Where a fact that is not ordered goes: to its live's partition, its person's, or its SKU's.
fn tag_of(fact: &Fact) -> u32 {
    partition(match fact {
        Fact::Ordered { live, .. }
        | Fact::Media { live, .. }
        | Fact::Question { live, .. }
        | Fact::Left { live, .. }
        | Fact::Sold { live, .. }
        | Fact::Chat { live, .. }
        | Fact::Presence { live, .. }
        | Fact::Reactions { live, .. } => live.as_str(),
        Fact::Moderation { liver, .. } | Fact::Follow { liver, .. } => liver.as_str(),
        Fact::Stock { stock, .. } => &stock.sku_id,
        Fact::Wait { customer, .. } | Fact::Pickup { customer, .. } | Fact::Purchase { customer, .. } => {
            customer.as_str()
        }
    })
}

/// Of a stream's entry.
type Fields = Vec<(String, String)>;
/// By their ids.
type Entries = Vec<(String, Fields)>;

fn entry(id: &str, fields: &Fields, epoch: &Arc<str>) -> Option<(Arc<Fact>, Place)> {
    let seq = id.split_once('-')?.0.parse().ok()?;
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
    let at = Millis(field("at")?.parse().ok()?);
    let fact = serde_json::from_str(field("fact")?).ok()?;
    Some((Arc::new(fact), Place { epoch: Arc::clone(epoch), seq, at }))
}

/// The run of a server that is new enough: sharded publish came with version 7.
async fn run_of(commands: &mut MultiplexedConnection) -> Result<Arc<str>, RedisError> {
    let info: String = redis::cmd("INFO").arg("server").query_async(commands).await?;
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or_default();
    if version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major < 7) {
        let text = format!("Redis {version} is too old; 7 or newer is needed", version = version.trim());
        return Err((redis::ErrorKind::Client, "too old", text).into());
    }
    let run = info.lines().find_map(|line| line.strip_prefix("run_id:"));
    Ok(run.unwrap_or("unknown").trim().into())
}

/// What says that this Redis was not emptied; the first who asks sets it.
async fn mark_of(commands: &mut MultiplexedConnection) -> Result<String, RedisError> {
    let ((), mark): ((), String) = redis::pipe()
        .cmd("SET")
        .arg(MARK)
        .arg(fresh_epoch())
        .arg("NX")
        .ignore()
        .cmd("GET")
        .arg(MARK)
        .query_async::<(String,)>(commands)
        .await
        .map(|(mark,)| ((), mark))?;
    Ok(mark)
}
