//! The live room over a real database, a real bus and a real hub; only sockets are missing (they are in `http::ws`).

use std::time::Duration;

use super::{log::MAX_BYTES, *};
use crate::{
    bus::{Fact, StockEdge},
    ids::{AccountId, BrandId, LocationId, PurchaseId, QuestionId, SkuId},
    on,
    showcase::{self, PinTerms, Pinned, Showcase},
    wire::{ordered::Event, server_frame::Body},
};

/// A house with one liver, one scheduled live, one product of one SKU, and people.
pub(crate) struct House {
    pub(crate) db: Db,
    pub(crate) bus: Bus,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    pub(crate) lives: Lives,
    pub(crate) showcase: Showcase,
    pub(crate) host: Visitor,
    pub(crate) viewers: Vec<Visitor>,
    pub(crate) brand: BrandId,
    pub(crate) product: ProductId,
    pub(crate) sku: SkuId,
    pub(crate) live: LiveId,
    touches: Arc<parking_lot::Mutex<Vec<NewTouch>>>,
    figures: Arc<parking_lot::Mutex<Figures>>,
}

pub(crate) async fn sqlite() -> Db {
    let path = std::env::temp_dir().join(format!("hanamichi-{}.db", LiveId::fresh()));
    Db::connect(&format!("sqlite:{}", path.display())).await.expect("a file in the temporary directory")
}

async fn add_person(db: &Db, name: &str, liver: Option<&LiverId>) -> Visitor {
    let (account_id, customer_id) = (AccountId::fresh(), CustomerId::fresh());
    let mut tx = db.write("add person").await.expect("a connection");
    on!(&mut tx, |conn| {
        sqlx::query("INSERT INTO accounts VALUES ($1, $2, $3, '', false, 0)")
            .bind(&account_id)
            .bind(account_id.to_string())
            .bind(name)
            .execute(conn)
            .await
            .expect("an account");
    });
    on!(&mut tx, |conn| {
        sqlx::query("INSERT INTO customers (id, display_name, demo, created_at_ms) VALUES ($1, $2, false, 0)")
            .bind(&customer_id)
            .bind(name)
            .execute(conn)
            .await
            .expect("a customer");
    });
    on!(&mut tx, |conn| {
        sqlx::query("INSERT INTO identities VALUES ('account', $1, $2, 0)")
            .bind(&account_id)
            .bind(&customer_id)
            .execute(conn)
            .await
            .expect("an identity");
    });
    if let Some(liver) = liver {
        on!(&mut tx, |conn| {
            sqlx::query("INSERT INTO livers VALUES ($1, $2, $3, 0)")
                .bind(liver)
                .bind(&account_id)
                .bind(name)
                .execute(conn)
                .await
                .expect("a liver");
        });
    }
    tx.commit().await.expect("it commits");
    Visitor { account_id, customer_id, display_name: name.to_owned(), liver_id: liver.cloned(), demo: false }
}

async fn add_goods(db: &Db) -> (BrandId, ProductId, SkuId) {
    let (brand, product, sku, location) = (BrandId::fresh(), ProductId::fresh(), SkuId::fresh(), LocationId::fresh());
    let rows = [
        format!("INSERT INTO brands VALUES ('{brand}', '花王堂', NULL, 1000, 0)"),
        format!("INSERT INTO products VALUES ('{product}', '{brand}', '化粧水', '', NULL, 0, NULL)"),
        format!("INSERT INTO skus VALUES ('{sku}', '{product}', '{brand}', '', NULL, 3000, 'JPY', 1000, 1, 0, NULL)"),
        format!(
            "INSERT INTO locations (id, kind, name, address, created_at_ms) VALUES ('{location}', 'warehouse', '倉庫', '', 0)"
        ),
        format!("INSERT INTO stock VALUES ('{sku}', '{location}', 12, 2, 0)"),
    ];
    let mut tx = db.write("add goods").await.expect("a connection");
    for row in rows {
        on!(&mut tx, |conn| {
            sqlx::query(sqlx::AssertSqlSafe(row)).execute(conn).await.expect("a row");
        });
    }
    tx.commit().await.expect("it commits");
    (brand, product, sku)
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::over(sqlite().await).await
    }

    pub(crate) async fn over(db: Db) -> Self {
        Self::over_with(db, 1).await
    }

    /// With so many threads for the hub's connections.
    pub(crate) async fn over_with(db: Db, shards: usize) -> Self {
        db.migrate().await.expect("a schema");
        let (bus, clock, tasks) = (Bus::local(Clock::system()), Clock::system(), Tasks::new());
        let liver = LiverId::fresh();
        let host = add_person(&db, "花子", Some(&liver)).await;
        let mut viewers = Vec::new();
        for name in ["一郎", "二郎", "三郎"] {
            viewers.push(add_person(&db, name, None).await);
        }
        let (brand, product, sku) = add_goods(&db).await;
        let touches = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let figures = Arc::new(parking_lot::Mutex::new(Figures::default()));
        let relay = Relay::new(db.clone(), bus.clone(), clock.clone());
        let (noted, sold) = (Arc::clone(&touches), Arc::clone(&figures));
        let lives = Lives::start(Wiring {
            db: db.clone(),
            clock: clock.clone(),
            bus: bus.clone(),
            relay: relay.clone(),
            tasks: tasks.clone(),
            shown: Arc::new(showcase::load_shown),
            end: Arc::new(showcase::close_offers),
            registry: crate::app::registry(),
            sales: Arc::new(move |_| {
                let figures = sold.lock().clone();
                Box::pin(async move { Ok(figures) })
            }),
            touches: Arc::new(move |touch| noted.lock().push(touch)),
            passes: Arc::new(|_| Box::pin(async { Ok(None) })),
            leaving: tasks.stopping(),
            limits: HubLimits { shards, ..HubLimits::default() },
        })
        .expect("threads for the hub");
        relay.start(&tasks);
        let showcase = Showcase::new(db.clone(), clock.clone(), relay);
        let plan = Announcement { title: "夏のスキンケア".to_owned(), ..Announcement::default() };
        let live = lives.schedule(&liver, plan, false).await.expect("a live").id;
        Self { db, bus, clock, tasks, lives, showcase, host, viewers, brand, product, sku, live, touches, figures }
    }

    pub(crate) fn liver(&self) -> &LiverId {
        self.host.liver_id.as_ref().expect("the host is a liver")
    }

    pub(crate) async fn start(&self) {
        self.lives.go_live(self.liver(), &self.live).await.expect("it is scheduled");
    }

    pub(crate) async fn pin(&self) -> showcase::Card {
        let terms = PinTerms {
            live_price_minor: Some(2_400),
            limit_per_customer: Some(2),
            ends_in_s: Some(60),
            ..PinTerms::default()
        };
        self.showcase.pin(self.liver(), &self.live, &self.product, &terms).await.expect("it may be pinned").0
    }

    /// An ordered event of a given size that every room takes: a title of the live at a version of its own.
    pub(crate) async fn tell_title(&self, version: i64, bytes: usize) {
        let live =
            wire::Live { title: "あ".repeat(bytes / 3), state: "live".into(), version, ..wire::Live::default() };
        let fact = Fact::Ordered { live: self.live.clone(), event: Event::LiveChanged(live) };
        self.bus.publish(fact).await.expect("the bus is up");
    }

    pub(crate) async fn tell_stock(&self, version: i64, available: i64) {
        let stock = wire::Stock { sku_id: self.sku.to_string(), available, version };
        self.bus.publish(Fact::Stock { stock, edge: StockEdge::None }).await.expect("the bus is up");
    }
}

/// A client without a socket.
pub(crate) struct Watcher {
    pub(crate) seat: Seat,
    pub(crate) mirror: Mirror,
    /// But standings, of which the last counts.
    pub(crate) personal: Vec<wire::personal::Body>,
    pub(crate) standing: wire::Standing,
    pub(crate) upvoted: Vec<String>,
}

impl Watcher {
    pub(crate) async fn join(house: &House, visitor: Option<&Visitor>, codec: Codec) -> Self {
        Self::join_at(&house.lives, house, visitor, codec).await
    }

    /// At one of several nodes.
    pub(crate) async fn join_at(lives: &Lives, house: &House, visitor: Option<&Visitor>, codec: Codec) -> Self {
        let seat = lives.join(&house.live, visitor.cloned(), codec, 1).await.expect("a seat");
        Self::sit(seat, Mirror::default())
    }

    /// With what it knows already.
    fn sit(seat: Seat, mirror: Mirror) -> Self {
        let from = wire::Resume { epoch: mirror.epoch.clone(), seq: mirror.seq };
        let (personal, standing, upvoted) = (Vec::new(), wire::Standing::default(), Vec::new());
        let mut watcher = Self { seat, mirror, personal, standing, upvoted };
        for first in watcher.seat.begin((watcher.mirror.snapshots > 0).then_some(&from)) {
            watcher.take(&first);
        }
        watcher
    }

    /// Loses its connection and comes back with its position.
    async fn reconnect(&mut self, house: &House) {
        let codec = self.seat.codec();
        let visitor = self.seat.member().visitor().map(|visitor| (*visitor).clone());
        let mut seat = house.lives.join(&house.live, visitor, codec, 1).await.expect("a seat");
        let from = wire::Resume { epoch: self.mirror.epoch.clone(), seq: self.mirror.seq };
        let first = seat.begin(Some(&from));
        self.seat = seat;
        for first in first {
            self.take(&first);
        }
    }

    fn take(&mut self, frame: &[u8]) {
        let frame = self.seat.codec().decode_server(frame).expect("our own frame");
        match &frame.body {
            Some(Body::Personal(personal)) => match &personal.body {
                Some(wire::personal::Body::Standing(standing)) => self.standing = standing.clone(),
                body => self.personal.extend(body.clone()),
            },
            Some(Body::Snapshot(snapshot)) => self.upvoted.clone_from(&snapshot.upvoted_question_ids),
            _ => {}
        }
        self.mirror.fold(frame);
    }

    async fn step(&mut self) {
        for frame in self.seat.next().await.0 {
            self.take(&frame);
        }
    }

    pub(crate) async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(10), async {
            while !done(self) {
                self.step().await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
    }
}

/// The whole life of a live; also reaches every statement of this room.
async fn a_live_from_its_schedule_to_its_end(house: House) {
    let (lives, liver, live) = (&house.lives, house.liver(), &house.live);
    let mut liver_sees = Watcher::join(&house, Some(&house.host), Codec::Json).await;
    let mut viewer_sees = Watcher::join(&house, Some(&house.viewers[0]), Codec::Proto).await;
    assert_eq!(viewer_sees.mirror.live.state, "scheduled");
    viewer_sees.until("one viewer", |w| w.mirror.viewers == 1).await;

    house.start().await;
    viewer_sees.until("the start", |w| w.mirror.live.state == "live").await;
    lives.media_changed(live, Picture::Up).await;
    viewer_sees.until("the picture", |w| w.mirror.live.media == "up").await;
    let edit = Edit { title: Some("秋".into()), pr_label: Some("PR".into()), ..Edit::default() };
    assert_eq!(lives.edit(liver, live, edit).await.expect("on air").version, 3);
    viewer_sees.until("the title", |w| w.mirror.live.title == "秋" && w.mirror.live.pr_label == "PR").await;
    assert_eq!(viewer_sees.mirror.live.media, "up", "the picture stays");
    assert!(matches!(lives.go_live(liver, live).await, Err(LiveError::Session(SessionRefusal::NotScheduled))));

    let card = house.pin().await;
    let pin = card.pin.id.to_string();
    viewer_sees
        .until("the pin and its stock", |w| w.mirror.pins.contains_key(&pin) && !w.mirror.stock.is_empty())
        .await;
    assert_eq!(viewer_sees.mirror.stock[house.sku.as_str()].available, 10);
    assert_eq!(viewer_sees.mirror.pins[&pin].offers[0].price_minor, 2_400);
    lives.click(viewer_sees.seat.member(), &pin).expect("it is pinned");
    let kinds: Vec<_> = house.touches.lock().iter().map(|touch| touch.kind).collect();
    assert_eq!(kinds, [TouchKind::View, TouchKind::Click], "the liver's own visit is none");
    let again = house.showcase.pin(liver, live, &house.product, &PinTerms::default()).await.expect("again");
    assert_eq!((again.1, again.0.pin.version), (Pinned::Again, 2));

    let first = lives.ask(live, &house.viewers[0], "香りはありますか？", None).await.expect("asked");
    let second = lives.ask(live, &house.viewers[1], "敏感肌でも？", None).await.expect("asked");
    let soon = lives.ask(live, &house.viewers[0], "まだ？", None).await;
    assert!(matches!(soon, Err(LiveError::Question(QuestionRefusal::TooFast { .. }))));
    assert!(matches!(lives.upvote(&first.id, &house.viewers[0]).await, Err(LiveError::Question(QuestionRefusal::Own))));
    for _ in 0..2 {
        assert_eq!(lives.upvote(&first.id, &house.viewers[1]).await.expect("voted").votes, 1, "once");
    }
    lives.move_question(&house.host, &first.id, Move::Answer).await.expect("on air");
    lives.move_question(&house.host, &second.id, Move::Answer).await.expect("on air");
    let states = |w: &Watcher| w.mirror.questions.values().map(|q| q.state.clone()).collect::<Vec<_>>();
    liver_sees.until("one answered, one on air", |w| states(w) == ["answered", "answering"]).await;
    assert_eq!(liver_sees.mirror.questions[first.id.as_str()].votes, 1);
    lives.move_question(&house.host, &second.id, Move::Hide).await.expect("hidden");
    liver_sees.until("one question", |w| w.mirror.questions.len() == 1).await;
    assert_eq!(lives.questions(live, Some("answered"), None, 10).await.expect("a list").len(), 1);

    lives.chat(live, &house.viewers[0], "こんにちは").await.expect("said");
    lives.chat(live, &house.host, "ようこそ").await.expect("said");
    for _ in 0..3 {
        lives.react(viewer_sees.seat.member(), "heart").expect("a reaction");
    }
    viewer_sees
        .until("chat and hearts", |w| w.mirror.chat.len() == 2 && w.mirror.reactions.get("heart") == Some(&3))
        .await;
    assert_eq!(viewer_sees.mirror.chat[1].author_role, "liver");

    house.showcase.unpin(liver, live, &card.pin.id).await.expect("unpinned");
    viewer_sees.until("no pin", |w| w.mirror.pins.is_empty()).await;
    let key = lives.rotate_stream_key(liver, live).await.expect("a key");
    let newer = lives.rotate_stream_key(liver, live).await.expect("a key");
    assert!(!lives.verify_stream_key(live, &key).await.expect("checked"));
    assert!(lives.verify_stream_key(live, &newer).await.expect("checked"));

    lives.end(liver, live).await.expect("it was on air");
    viewer_sees.until("the end", |w| w.mirror.live.state == "ended").await;
    assert!(matches!(lives.chat(live, &house.viewers[0], "また！").await, Err(LiveError::Ended)));
    assert!(matches!(
        house.showcase.pin(liver, live, &house.product, &PinTerms::default()).await,
        Err(LiveError::Ended)
    ));
    assert_eq!((viewer_sees.mirror.faults, viewer_sees.mirror.snapshots), (0, 1));
    assert_eq!(lives.list(&Which::State(Some("ended")), None, 10).await.expect("a list").len(), 1);
    assert_eq!(lives.list(&Which::Of(liver.clone()), None, 10).await.expect("a list").len(), 1);
    assert!(lives.list(&Which::State(None), Some(live), 10).await.expect("a list").is_empty());

    // What a process remembers and what the next one loads is the same.
    let seen = viewer_sees.mirror.clone();
    drop((viewer_sees, liver_sees));
    house.tasks.stop().await;
    let next = House { db: house.db.clone(), ..house };
    let next = next.reopened();
    let back = Watcher::join(&next, Some(&next.viewers[1]), Codec::Json).await;
    assert_ne!(back.mirror.epoch, seen.epoch);
    assert_eq!((back.mirror.chat.len(), back.mirror.reactions["heart"]), (2, 3), "chat is archived at the stop");
    assert_eq!((&back.mirror.questions, &back.mirror.pins), (&seen.questions, &seen.pins));
    assert_eq!(back.mirror.live.version, seen.live.version);
    assert_eq!(back.upvoted, [first.id.to_string()]);
    assert_eq!(next.lives.load(&next.live).await.expect("it is there").peak_viewers, 1);
}

impl House {
    /// The same database under a new process's rooms.
    fn reopened(self) -> Self {
        let (bus, tasks) = (Bus::local(self.clock.clone()), Tasks::new());
        let lives = open(&self.db, &self.clock, &bus, &tasks);
        Self { bus, tasks, lives, ..self }
    }

    /// Another node over the same database and bus.
    pub(crate) fn beside(&self) -> Lives {
        open(&self.db, &self.clock, &self.bus, &self.tasks)
    }

    /// Another node, which looks by itself what is shown.
    fn beside_looking(&self, shown: ShownLoader) -> Lives {
        open_looking(&self.db, &self.clock, &self.bus, &self.tasks, shown)
    }
}

/// Rooms without a shop.
fn open(db: &Db, clock: &Clock, bus: &Bus, tasks: &Tasks) -> Lives {
    open_looking(db, clock, bus, tasks, Arc::new(showcase::load_shown))
}

fn open_looking(db: &Db, clock: &Clock, bus: &Bus, tasks: &Tasks, shown: ShownLoader) -> Lives {
    let relay = Relay::new(db.clone(), bus.clone(), clock.clone());
    let lives = Lives::start(Wiring {
        db: db.clone(),
        clock: clock.clone(),
        bus: bus.clone(),
        relay: relay.clone(),
        tasks: tasks.clone(),
        shown,
        end: Arc::new(showcase::close_offers),
        registry: crate::app::registry(),
        sales: Arc::new(|_| Box::pin(async { Ok(Figures::default()) })),
        touches: Arc::new(drop),
        passes: Arc::new(|_| Box::pin(async { Ok(None) })),
        leaving: tasks.stopping(),
        limits: HubLimits { shards: 1, ..HubLimits::default() },
    })
    .expect("threads for the hub");
    relay.start(tasks);
    lives
}

#[tokio::test]
async fn a_live_from_its_schedule_to_its_end_on_sqlite() {
    a_live_from_its_schedule_to_its_end(House::new().await).await;
}

#[expect(clippy::disallowed_methods, reason = "the address of the tests' PostgreSQL")]
async fn postgres() -> Db {
    let var = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make test`"));
    let server = format!("postgres://{}:{}@{}:{}", var("PGUSER"), var("PGPASSWORD"), var("PGHOST"), var("PGPORT"));
    let name = crate::ids::BatchId::fresh().to_string();
    let pool = sqlx::PgPool::connect(&format!("{server}/postgres")).await.expect("PostgreSQL answers");
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&pool).await.expect("a fresh database");
    Db::connect(&format!("{server}/{name}")).await.expect("it answers")
}

#[tokio::test]
async fn a_live_from_its_schedule_to_its_end_on_postgres() {
    a_live_from_its_schedule_to_its_end(House::over(postgres().await).await).await;
}

#[tokio::test]
async fn a_cut_connection_misses_and_repeats_nothing_while_events_flow() {
    let house = House::new().await;
    house.start().await;
    let mut watcher = Watcher::join(&house, None, Codec::Proto).await;
    let telling = async {
        for version in 10..410 {
            house.tell_title(version, 30).await;
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
    };
    let watching = async {
        while watcher.mirror.live.version < 409 {
            watcher.step().await;
            watcher.reconnect(&house).await;
            // What is ready does not wait, and both sides share one thread here.
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(telling, watching);
    assert_eq!((watcher.mirror.faults, watcher.mirror.snapshots), (0, 1));
    assert!(watcher.mirror.ordered >= 400, "got {}", watcher.mirror.ordered);
}

#[tokio::test]
async fn a_vote_told_with_its_questions_end_does_not_bring_it_back() {
    let house = House::new().await;
    house.start().await;
    let mut watcher = Watcher::join(&house, None, Codec::Proto).await;
    for n in 0..10 {
        let question = |version: i64, state: &str| wire::Question {
            id: format!("qst_{n}"),
            state: state.to_owned(),
            version,
            ..wire::Question::default()
        };
        let live = house.live.clone();
        let vote = Fact::Question { live: live.clone(), question: question(2, "open"), by: None };
        let hidden = Fact::Ordered { live, event: Event::QuestionChanged(question(3, "hidden")) };
        house.bus.publish_all(vec![vote, hidden]).await.expect("the bus is up");
    }
    house.tell_title(1_000, 30).await;
    watcher.until("the end", |w| w.mirror.live.version == 1_000).await;
    // News of the other class may come after it.
    house.tell_stock(1_000, 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    house.tell_title(1_001, 30).await;
    watcher.until("the last", |w| w.mirror.live.version == 1_001).await;
    assert!(watcher.mirror.questions.is_empty(), "{:?}", watcher.mirror.questions);
}

#[tokio::test]
async fn both_codecs_tell_the_same() {
    let house = House::new().await;
    house.start().await;
    house.pin().await;
    let mut json = Watcher::join(&house, Some(&house.viewers[0]), Codec::Json).await;
    let mut proto = Watcher::join(&house, Some(&house.viewers[1]), Codec::Proto).await;
    for version in 10..40 {
        house.tell_title(version, 30).await;
        house.tell_stock(version, version % 3).await;
        house.lives.chat(&house.live, &house.host, "どうぞ").await.expect("said");
    }
    for watcher in [&mut json, &mut proto] {
        let all = |w: &Watcher| w.mirror.live.version == 39 && w.mirror.chat.len() == 30 && w.mirror.viewers == 2;
        watcher.until("everything", all).await;
    }
    let (a, b) = (json.mirror, proto.mirror);
    assert_eq!((a.faults, b.faults), (0, 0));
    assert_eq!((a.epoch, a.seq, a.live, a.pins, a.stock), (b.epoch, b.seq, b.live, b.pins, b.stock));
    assert_eq!(a.chat, b.chat);
}

#[tokio::test]
async fn who_falls_behind_the_log_gets_a_snapshot_and_goes_on() {
    let house = House::new().await;
    house.start().await;
    let mut slow = Watcher::join(&house, None, Codec::Json).await;
    let mut quick = Watcher::join(&house, None, Codec::Json).await;
    // Not one frame is read while more goes by than the log keeps.
    let size = 256 * 1024;
    for version in 10..(10 + i64::try_from(MAX_BYTES / size).expect("few")) {
        house.tell_title(version, size).await;
        quick.until("the title", |w| w.mirror.live.version == version).await;
    }
    let newest = quick.mirror.live.clone();
    slow.until("the newest title", |w| w.mirror.live.version == newest.version).await;
    assert_eq!((slow.mirror.snapshots, slow.mirror.faults, quick.mirror.snapshots), (2, 0, 1));
    assert_eq!((slow.mirror.seq, &slow.mirror.live.title), (quick.mirror.seq, &newest.title));
    house.tell_title(1_000, 30).await;
    slow.until("what follows", |w| w.mirror.live.version == 1_000).await;
    assert_eq!((slow.mirror.snapshots, slow.mirror.faults), (2, 0));
}

#[tokio::test]
async fn another_history_begins_with_a_snapshot() {
    let house = House::new().await;
    let mut watcher = Watcher::join(&house, None, Codec::Json).await;
    let epoch = watcher.mirror.epoch.clone();
    watcher.reconnect(&house).await;
    assert_eq!(watcher.mirror.snapshots, 1, "resumed");
    // Nobody is seated, so the room may go; its history goes on where it stood.
    let position = watcher.mirror.clone();
    let Watcher { seat, .. } = watcher;
    drop(seat);
    house.lives.0.hub.drop_idle(Duration::ZERO);
    let from = wire::Resume { epoch: epoch.clone(), seq: position.seq };
    let first_of = |messages: Vec<bytes::Bytes>| Codec::Json.decode_server(&messages[0]).expect("ours").body;
    let mut seat = house.lives.join(&house.live, None, Codec::Json, 1).await.expect("a seat");
    assert!(matches!(first_of(seat.begin(Some(&from))), Some(Body::Resumed(_))), "nothing was missed");
    // A position ahead of the log belongs to another history, whatever its epoch says.
    let mut seat = house.lives.join(&house.live, None, Codec::Json, 1).await.expect("a seat");
    let ahead = first_of(seat.begin(Some(&wire::Resume { seq: 999, ..from.clone() })));
    assert!(matches!(ahead, Some(Body::Snapshot(_))));
    // Another process begins another history.
    let next = house.reopened();
    let mut seat = next.lives.join(&next.live, None, Codec::Json, 1).await.expect("a seat");
    let first = first_of(seat.begin(Some(&from)));
    let Some(Body::Snapshot(snapshot)) = first else { panic!("a snapshot, not {first:?}") };
    assert_ne!(snapshot.epoch, epoch);
}

#[tokio::test]
async fn a_thousand_who_come_at_once_open_the_room_once() {
    let house = House::new().await;
    house.start().await;
    let joins = (0..1_000).map(|_| house.lives.join(&house.live, None, Codec::Proto, 1));
    let seats = futures_util::future::join_all(joins).await;
    let first = seats[0].as_ref().expect("a seat");
    assert!(
        seats.iter().all(|seat| Arc::ptr_eq(&seat.as_ref().expect("a seat").member().stage, &first.member().stage))
    );
    assert_eq!(house.lives.audience(&house.live), (1_000, 1_000));
    drop(seats);
    assert_eq!(house.lives.audience(&house.live), (0, 1_000));
    let unknown = house.lives.join(&LiveId::fresh(), None, Codec::Json, 1).await;
    assert!(matches!(unknown, Err(LiveError::NotFound("live"))));
}

#[tokio::test]
async fn purchases_go_to_their_buyer_and_sales_to_the_liver() {
    let house = House::new().await;
    house.start().await;
    let mut buyer = Watcher::join(&house, Some(&house.viewers[0]), Codec::Proto).await;
    let mut other = Watcher::join(&house, Some(&house.viewers[1]), Codec::Proto).await;
    let mut liver = Watcher::join(&house, Some(&house.host), Codec::Json).await;
    liver.until("first figures and who they are", |w| !w.personal.is_empty() && w.standing.role == "liver").await;
    let status = |state: &str, version| wire::PurchaseStatus {
        id: PurchaseId::fresh().to_string(),
        state: state.to_owned(),
        version,
        ..wire::PurchaseStatus::default()
    };
    *house.figures.lock() = Figures { orders: 1, units: 2, gross_minor: 4_800, ..Figures::default() };
    let customer = house.viewers[0].customer_id.clone();
    house.bus.publish(Fact::Purchase { customer, status: status("authorized", 2) }).await.expect("the bus is up");
    let sold = Fact::Sold { live: house.live.clone(), units: 2, gross_minor: 4_800 };
    house.bus.publish(sold).await.expect("the bus is up");
    buyer.until("the purchase", |w| !w.personal.is_empty()).await;
    let is_sale =
        |body: &wire::personal::Body| matches!(body, wire::personal::Body::Sales(s) if s.gross_minor == 4_800);
    liver.until("the sale", |w| w.personal.iter().any(is_sale)).await;
    house.tell_title(100, 30).await;
    other.until("later news", |w| w.mirror.live.version == 100).await;
    assert!(other.personal.is_empty());
    assert!(!buyer.personal.iter().any(is_sale));
}

#[tokio::test]
async fn news_of_a_purchase_that_came_while_its_buyer_was_away_is_told_when_they_are_back() {
    let house = House::new().await;
    house.start().await;
    let mut other = Watcher::join(&house, Some(&house.viewers[1]), Codec::Json).await;
    let mut buyer = Watcher::join(&house, Some(&house.viewers[0]), Codec::Proto).await;
    let (purchase, waiting) = (PurchaseId::fresh().to_string(), "wait".to_owned());
    let status = |state: &str, version| Fact::Purchase {
        customer: house.viewers[0].customer_id.clone(),
        status: wire::PurchaseStatus {
            id: purchase.clone(),
            state: state.to_owned(),
            version,
            ..wire::PurchaseStatus::default()
        },
    };
    let wait = wire::Wait { id: waiting.clone(), version: 3, ..wire::Wait::default() };
    let wait = Fact::Wait { customer: house.viewers[0].customer_id.clone(), wait };
    let heard = async |house: &House, other: &mut Watcher, facts: Vec<Fact>, version: i64| {
        house.bus.publish_all(facts).await.expect("the bus is up");
        house.tell_title(version, 30).await;
        other.until("what the hub heard after it", |w| w.mirror.live.version == version).await;
    };
    heard(&house, &mut other, vec![status("paying", 1)], 100).await;
    buyer.until("the beginning", |w| !w.personal.is_empty()).await;
    let Watcher { seat, mirror: known, .. } = buyer;
    drop(seat);
    assert_eq!(house.lives.audience(&house.live).0, 1, "the buyer is away");
    let missed = vec![status("held", 2), status("authorized", 4), status("paying", 3), wait];
    heard(&house, &mut other, missed, 101).await;

    // Back where they were, and at another connection from nothing: only the newest, and what follows.
    for known in [known, Mirror::default()] {
        let back = house.lives.join(&house.live, Some(house.viewers[0].clone()), Codec::Json, 1).await;
        let mut back = Watcher::sit(back.expect("a seat"), known);
        let both = |w: &Watcher| w.personal.len() == 2 && w.mirror.live.version == 101;
        back.until("what was missed", both).await;
        let told = back.personal.iter().map(|body| match body {
            wire::personal::Body::Purchase(status) => (status.id.clone(), status.version),
            wire::personal::Body::Wait(wait) => (wait.id.clone(), wait.version),
            body => panic!("nothing else is theirs: {body:?}"),
        });
        let told: Vec<_> = told.collect();
        assert_eq!(told, [(purchase.clone(), 4), (waiting.clone(), 3)]);
    }
    assert!(other.personal.is_empty(), "another's purchase is not told");
}

#[tokio::test]
async fn who_comes_back_has_what_was_told_before_their_place_and_not_sent() {
    let house = House::new().await;
    house.start().await;
    let mut watcher = Watcher::join(&house, None, Codec::Proto).await;
    // A connection that read the title and was cut before the question, which its own node would have told after it.
    let mut known = watcher.mirror.clone();
    house.lives.ask(&house.live, &house.viewers[0], "色は？", None).await.expect("asked");
    watcher.until("the question", |w| w.mirror.questions.len() == 1).await;
    house.tell_title(100, 30).await;
    watcher.until("the title", |w| w.mirror.live.version == 100).await;
    (known.seq, known.live) = (watcher.mirror.seq, watcher.mirror.live.clone());
    let back = house.lives.join(&house.live, None, Codec::Json, 1).await.expect("a seat");
    let mut back = Watcher::sit(back, known);
    back.until("the question", |w| w.mirror.questions.len() == 1).await;
    assert_eq!((back.mirror.snapshots, back.mirror.faults), (1, 0), "without a snapshot");
}

#[tokio::test]
async fn a_busy_chat_is_thinned_fairly_and_the_liver_is_always_heard() {
    let house = House::new().await;
    house.start().await;
    let mut watcher = Watcher::join(&house, None, Codec::Proto).await;
    let loud = AccountId::fresh();
    for n in 0..500 {
        // Of fifty lines one is the liver's, two are of people who say nothing else, the rest is one person's.
        let (role, name, author) = match n % 50 {
            0 => ("liver", "liver", AccountId::fresh()),
            1 | 2 => ("viewer", "quiet", AccountId::fresh()),
            _ => ("viewer", "loud", loud.clone()),
        };
        let message = wire::ChatMessage {
            id: format!("msg{n}"),
            author_role: role.into(),
            author_name: name.into(),
            ..wire::ChatMessage::default()
        };
        let fact = Fact::Chat { live: house.live.clone(), author: Some(author), message };
        house.bus.publish(fact).await.expect("the bus is up");
    }
    let by = |w: &Watcher, name: &str| w.mirror.chat.iter().filter(|m| m.author_name == name).count();
    watcher.until("a window's lines", |w| by(w, "liver") == 10 && by(w, "quiet") + by(w, "loud") >= 20).await;
    assert!(by(&watcher, "quiet") >= 11, "the quiet got {}, the loud {}", by(&watcher, "quiet"), by(&watcher, "loud"));
}

#[tokio::test]
async fn a_tie_up_needs_its_label_and_shows_its_brand_only() {
    let house = House::new().await;
    let (lives, liver) = (&house.lives, house.liver());
    let plan = Announcement { title: "提供".into(), tie_up: Some(house.brand.clone()), ..Announcement::default() };
    let live = lives.schedule(liver, plan, false).await.expect("a live").id;
    let refused = lives.go_live(liver, &live).await;
    assert!(matches!(refused, Err(LiveError::Session(SessionRefusal::PrLabelMissing))));
    let label = |text: &str| Edit { pr_label: Some(text.into()), ..Edit::default() };
    lives.edit(liver, &live, label("PR 花王堂")).await.expect("scheduled");
    lives.go_live(liver, &live).await.expect("labelled");
    let bare = lives.edit(liver, &live, label("")).await;
    assert!(matches!(bare, Err(LiveError::Session(SessionRefusal::PrLabelMissing))));
    let (_, foreign, _) = add_goods(&house.db).await;
    let pinned = house.showcase.pin(liver, &live, &foreign, &PinTerms::default()).await;
    assert!(matches!(pinned, Err(LiveError::ForeignProduct)));
    let stranger = LiverId::fresh();
    assert!(matches!(lives.end(&stranger, &live).await, Err(LiveError::NotYours)));
    let unknown = lives.move_question(&house.host, &QuestionId::fresh(), Move::Hide).await;
    assert!(matches!(unknown, Err(LiveError::NotFound("question"))));
    let none = Announcement { title: "x".into(), tie_up: Some(BrandId::fresh()), ..Announcement::default() };
    assert!(matches!(lives.schedule(liver, none, false).await, Err(LiveError::NotFound("brand"))));
}

/// Lets the ticker lay what is pending into the log, and passes over the loose entries after `from`.
async fn pass_over(stage: &Arc<stage::Stage>, from: log::Cursor) -> log::Cursor {
    let appended = async {
        while stage.lag(from, Codec::Proto).is_none_or(|(bytes, _)| bytes == 0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), appended).await.expect("the ticker appends it");
    match stage.read(stage.generation(), from, Codec::Proto, true) {
        log::Read::Frames(_, next) => next,
        other => panic!("there is something to pass over: {other:?}"),
    }
}

#[tokio::test]
async fn who_passed_over_a_change_is_told_its_value_though_others_were_just_told_an_older_one() {
    let house = House::new().await;
    house.start().await;
    house.pin().await;
    Watcher::join(&house, None, Codec::Proto).await.until("the pin", |w| w.mirror.pins.len() == 1).await;
    let stage = house.lives.0.hub.open(&house.live).await.expect("a room");
    let (_, mut here, _) = stage.snapshot(Codec::Proto, stage::Chat::With, &[]);
    for version in 100..110 {
        // Somebody else was too slow, too, a moment ago.
        stage.states(Codec::Proto, stage::Chat::With, here);
        house.tell_stock(version, version - 90).await;
        here = pass_over(&stage, here).await;
        let told = frames::payload(&stage.states(Codec::Proto, stage::Chat::With, here));
        let Some(Body::Batch(batch)) = Codec::Proto.decode_server(&told).expect("our own frame").body else {
            panic!("newest values are a batch")
        };
        let stock = batch.state.into_iter().find_map(|state| match state.value {
            Some(wire::state::Value::Stock(stock)) => Some(stock.version),
            _ => None,
        });
        assert_eq!(stock, Some(version), "the change that was passed over");
    }
}

#[tokio::test]
async fn a_room_whose_opener_left_midway_opens_for_the_next() {
    let house = House::new().await;
    let hub = &house.lives.0.hub;
    tokio::select! {
        biased;
        _ = hub.open(&house.live) => panic!("the database does not answer at once"),
        () = std::future::ready(()) => {}
    }
    assert!(hub.0.rooms.lock().is_empty(), "nothing is kept of a room that nobody waits for");
    let opened = tokio::time::timeout(Duration::from_secs(10), hub.open(&house.live)).await;
    opened.expect("in time").expect("a room");
}

#[tokio::test]
async fn what_is_missed_while_a_room_is_mended_is_mended_after() {
    use stage::Mending;
    let house = House::new().await;
    let stage = house.lives.0.hub.open(&house.live).await.expect("a room");
    let hole = || Mending::Hole(stage.place());
    assert!(stage.begin_mending(&hole()) && !stage.begin_mending(&Mending::Everything));
    assert!(!stage.begin_mending(&hole()), "somebody is at it");
    assert!(matches!(stage.end_mending(), Some(Mending::Everything)), "and goes on with what was missed");
    assert!(!stage.begin_mending(&hole()));
    assert!(stage.end_mending().is_none(), "no hole is left");
    assert!(stage.begin_mending(&hole()), "the next one begins it again");
}

/// On PostgreSQL: a SQLite file has no more readers than rooms are mended at once, so they would be the bound.
#[tokio::test]
async fn rooms_that_all_have_to_look_at_the_database_do_so_a_few_at_a_time() {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
    const ROOMS: usize = 20;
    let house = House::over(postgres().await).await;
    let (looking, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (held, turns) = (Arc::new(AtomicBool::new(false)), Arc::new(tokio::sync::Semaphore::new(0)));
    let (now, all, is_held, turn) = (Arc::clone(&looking), Arc::clone(&done), Arc::clone(&held), Arc::clone(&turns));
    let node = house.beside_looking(Arc::new(move |_, _| {
        let (now, all, is_held, turn) = (Arc::clone(&now), Arc::clone(&all), Arc::clone(&is_held), Arc::clone(&turn));
        Box::pin(async move {
            if is_held.load(SeqCst) {
                now.fetch_add(1, SeqCst);
                turn.acquire().await.expect("open").forget();
                now.fetch_sub(1, SeqCst);
                all.fetch_add(1, SeqCst);
            }
            Ok(Shown::default())
        })
    }));
    let mut stages = Vec::new();
    for _ in 0..ROOMS {
        let plan = Announcement { title: "春".to_owned(), ..Announcement::default() };
        let live = node.schedule(house.liver(), plan, false).await.expect("a live").id;
        stages.push(node.0.hub.open(&live).await.expect("a room"));
    }
    held.store(true, SeqCst);
    for stage in &stages {
        node.0.hub.mend(stage, stage::Mending::Everything);
    }
    for looked in 0..ROOMS {
        let due = hub::MENDS_AT_ONCE.min(ROOMS - looked);
        let waiting = async {
            while looking.load(SeqCst) < due || done.load(SeqCst) < looked {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("others have their turn");
        // Whoever else could look by now would: these pass through the same pool after them.
        for _ in 0..3 {
            house.db.read("after them").await.expect("connections are left for others");
        }
        assert_eq!(looking.load(SeqCst), due, "after {looked} of {ROOMS}");
        turns.add_permits(1);
    }
}

#[tokio::test]
async fn a_new_history_keeps_what_was_heard_while_it_was_read() {
    let house = House::new().await;
    house.start().await;
    house.pin().await;
    let mut viewer = Watcher::join(&house, None, Codec::Proto).await;
    viewer.until("the pin", |w| w.mirror.pins.len() == 1).await;
    let hub = &house.lives.0.hub;
    let stage = hub.open(&house.live).await.expect("a room");
    let (_, state, _, household) = opening::load(&hub.0, &house.live).await.expect("it is read");
    let order =
        Arc::new(moderation::Moderation::new(moderation::Orders { version: 1_000, ..moderation::Orders::default() }));
    stage.put_order(&order);
    house.tell_stock(1_000, 3).await;
    viewer.until("the stock", |w| w.mirror.stock.values().any(|stock| stock.version == 1_000)).await;
    let position = crate::bus::Position { epoch: "another".into(), seq: 7, media: None };
    stage.begin_anew(state, household, &position);
    viewer.until("the other history", |w| w.mirror.epoch == "another").await;
    assert_eq!(viewer.mirror.stock.values().map(|stock| stock.version).collect::<Vec<_>>(), [1_000]);
    assert_eq!(stage.order().version(), 1_000, "who was banned meanwhile stays banned");
    // Another hole in the same history, too old to be filled; what follows the new position has come already.
    let title = |version| wire::Live { title: "夏".into(), state: "live".into(), version, ..wire::Live::default() };
    let event = Event::LiveChanged(title(2_000));
    let place = crate::bus::Place { epoch: "another".into(), seq: 11, at: house.clock.now() };
    let fact = Arc::new(Fact::Ordered { live: house.live.clone(), event });
    assert!(matches!(stage.take(&fact, &place), stage::Taken::Hole(_)));
    let (_, state, _, household) = opening::load(&hub.0, &house.live).await.expect("it is read");
    stage.begin_anew(state, household, &crate::bus::Position { epoch: "another".into(), seq: 10, media: None });
    viewer.until("what had come", |w| w.mirror.live.version == 2_000).await;
    assert_eq!((viewer.mirror.seq, viewer.mirror.faults), (11, 0));
}
