//! Shell: a whole live: a full room, chat, pins every second, a flash sale in the middle; then the verdict.
//!
//! Owns the timetable of the run and what is compared with what. Every figure of the viewers is taken from the room
//! as they saw it; every truth is read again over HTTP afterwards.

use std::{
    collections::HashMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use hanamichi::live::Codec;
use serde_json::Value;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    books,
    client::{self, Actor},
    flash::{self, Tap},
    room::{self, Truth},
    server::{self, Database, Process},
    shop::{self, Shop},
    verdict::{self, Measured, Told},
    viewer::{self, Plan, Seen, Word},
};

/// The liver pins so often.
const PIN_EVERY: Duration = Duration::from_secs(1);
/// The price of the first of those pins; each next one costs a yen more, so that each can be told from the others.
const FIRST_SHOW_PRICE: i64 = 2_000;
/// What the goods cost in the flash sale.
const FLASH_PRICE: i64 = 880;
/// Chat messages a second, all viewers together. Below what a room shows, so none should be thinned.
const CHAT_PER_S: f64 = 10.0;
/// A viewer chats at most so often: the server takes five lines in ten seconds.
const MIN_CHAT_EVERY: Duration = Duration::from_millis(2_500);
/// One viewer of so many cuts its connection again and again.
const CUTTERS: usize = 5;
/// How often it does.
const CUT_EVERY: Duration = Duration::from_millis(1_300);
/// Everybody has joined within this.
const JOIN_TIMEOUT: Duration = Duration::from_secs(60);
/// News that was told before the truth is read has been sent out after this.
const SETTLE: Duration = Duration::from_millis(500);

/// What to run.
#[derive(Debug, Clone)]
pub struct Size {
    pub viewers: usize,
    pub buyers: usize,
    pub units: i64,
    pub seconds: u64,
    pub database: Database,
    pub server: Option<PathBuf>,
}

fn say(what: &str) {
    eprintln!("loadtest: {what}");
}

/// Runs the live and judges it.
pub async fn run(size: &Size) -> anyhow::Result<Value> {
    let binary = server::find_binary(size.server.as_deref())?;
    let http = client::http()?;
    say(&format!("starting {} on {}", binary.display(), size.database.engine()));
    let process = Process::start(&binary, &size.database, &http).await?;
    say(&format!("opening a shop with {} units, {} buyers sign up", size.units, size.buyers));
    let shop = Shop::open(&http, &process, size.units).await?;
    let buyers = shop::sign_up(&http, &process.base, size.buyers).await?;

    let (word, hear) = watch::channel(Word::Watch);
    let began = Instant::now();
    let guest = guest_plan(&process.base, &shop, began);
    let mut watching = fill(&guest, size, &buyers, &hear).await?;
    say(&format!("{} viewers are in the room; the live goes on for {} s", watching.len(), size.seconds));
    let (pins, taps) = tokio::try_join!(keep_pinning(&shop, size.seconds), sell_in_the_middle(&shop, size, &buyers))?;
    word.send_replace(Word::Hush);
    let rss_kib = process.rss_kib();

    say("the live is over; reading the books");
    let books = books::read(&shop, &buyers).await?;
    tokio::time::sleep(SETTLE).await;
    let newcomer = viewer::look(&guest).await?;
    word.send_replace(Word::Leave { seq: newcomer.seq, sku: shop.sku.clone(), available: books.available });
    let mut seen = Vec::with_capacity(watching.len());
    while let Some(viewer) = watching.join_next().await {
        seen.push(viewer.context("a viewer fell over")?);
    }
    let truth = Truth {
        epoch: newcomer.epoch,
        seq: newcomer.seq,
        pins: books::pins(&shop).await?,
        sku: shop.sku.clone(),
        available: books.available,
        stock_version: books.stock_version,
    };
    let told = told_by(&taps);
    let everybody_heard = i64::try_from(told.promised.len()).is_ok_and(|sold| sold == size.units);
    let room = room::compare(&truth, &pins, everybody_heard, &seen);
    let verdict = verdict::judge(size.units, &told, &books, &room);
    let measured = Measured { engine: size.database.engine(), rss_kib, ..measure(&pins, &taps, &seen) };
    Ok(verdict::as_json(size.units, &verdict, &room, &measured))
}

fn guest_plan(base: &str, shop: &Shop, began: Instant) -> Plan {
    Plan {
        base: base.to_owned(),
        live: shop.live.clone(),
        cookie: String::new(),
        codec: Codec::Proto,
        chat: None,
        cut: None,
        timed_product: shop.show_product.clone(),
        began,
    }
}

/// Buyers come first and chat; the last of the others cut their connections.
fn plan_of(n: usize, size: &Size, buyers: &[Actor], guest: &Plan) -> Plan {
    let codec = Codec::ALL[n % Codec::ALL.len()];
    let mut plan = Plan { codec, ..guest.clone() };
    let chatters = buyers.len().min(size.viewers);
    #[expect(clippy::cast_precision_loss, reason = "a room has fewer than 2^52 viewers")]
    let share = |of: usize, whole: usize| of as f64 / whole as f64;
    if let Some(buyer) = buyers.get(n) {
        plan.cookie.clone_from(&buyer.cookie);
        let every = MIN_CHAT_EVERY.max(Duration::from_secs_f64(share(chatters, 1) / CHAT_PER_S));
        plan.chat = Some((every.mul_f64(share(n, chatters)), every));
    }
    let cutters = size.viewers.div_ceil(CUTTERS);
    if size.viewers > 1 && n + cutters >= size.viewers {
        plan.cut = Some((CUT_EVERY.mul_f64(share(size.viewers - n, cutters)), CUT_EVERY));
    }
    plan
}

/// Lets everybody in, and returns when everybody knows the room.
async fn fill(
    guest: &Plan,
    size: &Size,
    buyers: &[Actor],
    hear: &watch::Receiver<Word>,
) -> anyhow::Result<JoinSet<Seen>> {
    let mut watching = JoinSet::new();
    let (joined, mut joining) = mpsc::channel(size.viewers);
    for n in 0..size.viewers {
        watching.spawn(viewer::watch(plan_of(n, size, buyers, guest), hear.clone(), joined.clone()));
    }
    drop(joined);
    let everybody = async {
        for n in 0..size.viewers {
            if joining.recv().await.is_none() {
                bail!("only {n} of {} viewers could join", size.viewers);
            }
        }
        Ok(())
    };
    tokio::time::timeout(JOIN_TIMEOUT, everybody).await.context("not everybody could join in time")??;
    Ok(watching)
}

/// The liver pins every second; gives the prices and when each was sent.
async fn keep_pinning(shop: &Shop, seconds: u64) -> anyhow::Result<HashMap<i64, Instant>> {
    let over = Instant::now() + Duration::from_secs(seconds);
    let mut tick = tokio::time::interval(PIN_EVERY);
    let mut pins = HashMap::new();
    for price in FIRST_SHOW_PRICE.. {
        tick.tick().await;
        if Instant::now() >= over {
            break;
        }
        pins.insert(price, Instant::now());
        shop.pin(&shop.show_product, price).await?;
    }
    Ok(pins)
}

async fn sell_in_the_middle(shop: &Shop, size: &Size, buyers: &[Actor]) -> anyhow::Result<Vec<Tap>> {
    tokio::time::sleep(Duration::from_secs(size.seconds) / 2).await;
    say(&format!("flash sale: {} buyers tap for {} units", buyers.len(), size.units));
    shop.pin(&shop.sale_product, FLASH_PRICE).await?;
    flash::sell(buyers, &shop.offer).await
}

fn told_by(taps: &[Tap]) -> Told {
    let mut told = Told::default();
    for tap in taps {
        match &tap.result {
            Ok(purchase) => told.promised.push(purchase.clone()),
            Err(problem) => *told.refused.entry(problem.clone()).or_default() += 1,
        }
        told.faults.extend(tap.fault.clone());
    }
    told
}

fn measure(pins: &HashMap<i64, Instant>, taps: &[Tap], seen: &[Seen]) -> Measured {
    let paid: HashMap<&String, &Instant> = seen.iter().flat_map(|viewer| &viewer.paid).collect();
    let ms = |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64() * 1_000.0;
    let heard = |tap: &Tap| tap.result.as_ref().ok().and_then(|id| paid.get(id)).map(|at| (tap.tapped, **at));
    let bought: Vec<(Instant, Instant)> = taps.iter().filter_map(heard).collect();
    let began = taps.iter().map(|tap| tap.tapped).min();
    let ended = bought.iter().map(|(_, at)| *at).max();
    let took = began.zip(ended).map_or(0.0, |(from, to)| ms(from, to) / 1_000.0);
    let promised = taps.iter().filter(|tap| tap.result.is_ok()).count();
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 purchases")]
    let purchases_per_s = if took > 0.0 { promised as f64 / took } else { 0.0 };
    Measured {
        viewers: seen.len(),
        buyers: taps.len(),
        purchases_per_s,
        tap_to_paid_ms: bought.iter().map(|(from, to)| ms(*from, *to)).collect(),
        tap_ms: taps.iter().map(|tap| ms(tap.tapped, tap.answered)).collect(),
        hub_ms: room::hub_ms(pins, seen),
        ordered_received: seen.iter().map(|viewer| viewer.ordered).sum(),
        chat_sent: seen.iter().map(|viewer| viewer.chat_sent).sum(),
        chat_refused: seen.iter().map(|viewer| viewer.chat_refused).sum(),
        chat_received: seen.iter().map(|viewer| viewer.chat.len() as u64).sum(),
        chat_repeated: seen.iter().map(|viewer| viewer.chat_repeated).sum(),
        pins: pins.len() as u64,
        cuts: seen.iter().map(|viewer| viewer.cuts).sum(),
        dropped: seen.iter().map(|viewer| viewer.dropped).sum(),
        taps_repeated: taps.iter().map(|tap| tap.repeats).sum(),
        taps_retried: taps.iter().map(|tap| tap.retries).sum(),
        ..Measured::default()
    }
}
