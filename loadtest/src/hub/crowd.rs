//! Shell: many viewers on a few threads.
//!
//! Owns the threads and what they are told to do: come in, be cut all at once and come back, leave. The counts that a run
//! waits for are shared and can be read at any time; the rest is asked for with [`Crowd::report`].
//! Invariant: a viewer belongs to one thread, which alone touches its socket.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use hanamichi::live::Mirror;
use mio::Waker;

use super::{
    figures::Histogram,
    frame::Upgrade,
    story::{Ledger, Tongue},
    thread::Thread,
};

/// How often a count is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Nothing came for so long: everything that was sent has arrived.
const QUIET: Duration = Duration::from_millis(250);

/// How viewers come in: in turn by each of these ways.
#[derive(Debug, Clone)]
pub struct Way {
    pub to: SocketAddr,
    pub upgrade: Upgrade,
    pub tongue: Tongue,
}

/// What is known at any time.
#[derive(Debug, Default)]
pub struct Counts {
    /// Viewers that have had their first frame (or, of a peer, their upgrade).
    pub inside: AtomicU64,
    /// Frames for the room that were delivered.
    pub frames: AtomicU64,
    /// What those told.
    pub events: AtomicU64,
    /// Payload bytes of those.
    pub bytes: AtomicU64,
    /// Viewers that were cut and have everything again.
    pub in_step: AtomicU64,
    /// Connections that failed or were ended by the server.
    pub failures: AtomicU64,
}

/// What a crowd saw since it was asked last.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub lost: u64,
    pub repeated: u64,
    /// Snapshots that came in place of what a viewer still needed.
    pub jumps: u64,
    /// From an ordered event's own time (a peer's: its sending) to its delivery.
    pub ordered: Histogram,
    /// From the liver's request to the delivery of the pin.
    pub asked: Histogram,
    /// From a line's own time to its delivery.
    pub chat: Histogram,
    /// From being cut to having everything.
    pub recovered: Histogram,
    /// The lowest position of any viewer.
    pub lowest: Option<u64>,
    /// What the sample believes.
    pub mirrors: Vec<Mirror>,
}

impl Report {
    fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.repeated += other.repeated;
        self.jumps += other.jumps;
        self.ordered.append(&other.ordered);
        self.asked.append(&other.asked);
        self.chat.append(&other.chat);
        self.recovered.append(&other.recovered);
        self.lowest = self.lowest.into_iter().chain(other.lowest).min();
        self.mirrors.extend(other.mirrors);
    }
}

/// What a thread is told.
pub enum Order {
    /// So many come in, from this number on; the first `sample` of them keep a whole picture.
    Enter { ways: Arc<[Way]>, first: usize, count: usize, sample: usize },
    /// All connections are cut at once; everybody comes back with their position.
    Cut,
    /// What was seen?
    Report(mpsc::Sender<Report>),
}

/// What a thread is led by.
struct Hand {
    orders: mpsc::Sender<Order>,
    waker: Arc<Waker>,
    thread: JoinHandle<()>,
}

/// A crowd. Everybody leaves when it is dropped.
pub struct Crowd {
    pub counts: Arc<Counts>,
    threads: Vec<Hand>,
    size: u64,
}

impl Crowd {
    /// Nobody yet, on so many threads.
    pub fn new(threads: usize, ledger: &Arc<Ledger>) -> anyhow::Result<Self> {
        let counts = Arc::new(Counts::default());
        let mut crowd = Self { counts: Arc::clone(&counts), threads: Vec::new(), size: 0 };
        for n in 0..threads.max(1) {
            let (orders, ordered) = mpsc::channel();
            let (thread, waker) = Thread::new(ordered, Arc::clone(&counts), Arc::clone(ledger))?;
            let thread = std::thread::Builder::new().name(format!("crowd {n}")).spawn(move || thread.run())?;
            crowd.threads.push(Hand { orders, waker, thread });
        }
        Ok(crowd)
    }

    fn order(&self, order: impl Fn(usize) -> Order) -> anyhow::Result<()> {
        for (n, hand) in self.threads.iter().enumerate() {
            hand.orders.send(order(n)).ok().context("a thread of the crowd is gone")?;
            hand.waker.wake()?;
        }
        Ok(())
    }

    /// So many more come in, always by the same ways; gives how long it took until all of them were inside.
    pub async fn enter(
        &mut self,
        ways: Vec<Way>,
        count: usize,
        sample: usize,
        within: Duration,
    ) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let ways: Arc<[Way]> = ways.into();
        let (parts, before) = (self.threads.len(), usize::try_from(self.size)?);
        let share = |whole: usize, n: usize| whole / parts + usize::from(n < whole % parts);
        self.order(|n| Order::Enter {
            ways: Arc::clone(&ways),
            first: before + (0..n).map(|n| share(count, n)).sum::<usize>(),
            count: share(count, n),
            sample: share(sample, n),
        })?;
        self.size += count as u64;
        self.until(within, "come in", |counts| counts.inside.load(Relaxed)).await?;
        Ok(began.elapsed())
    }

    /// Cuts everybody, and waits until all are back in step.
    pub async fn storm(&self, within: Duration) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.counts.in_step.store(0, Relaxed);
        self.order(|_| Order::Cut)?;
        self.until(within, "get back in step", |counts| counts.in_step.load(Relaxed)).await?;
        Ok(began.elapsed())
    }

    async fn until(&self, within: Duration, what: &str, count: impl Fn(&Counts) -> u64) -> anyhow::Result<()> {
        let by = Instant::now() + within;
        while count(&self.counts) < self.size {
            if Instant::now() > by {
                let failures = self.counts.failures.load(Relaxed);
                bail!(
                    "only {} of {} viewers could {what} in {} s ({failures} connections failed)",
                    count(&self.counts),
                    self.size,
                    within.as_secs()
                );
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Waits until nothing more comes.
    pub async fn until_quiet(&self) {
        let mut last = (self.counts.frames.load(Relaxed), Instant::now());
        while last.1.elapsed() < QUIET {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.counts.frames.load(Relaxed);
            if now != last.0 {
                last = (now, Instant::now());
            }
        }
    }

    /// What everybody saw since the last report.
    pub async fn report(&self) -> anyhow::Result<Report> {
        let (send, reports) = mpsc::channel();
        self.order(|_| Order::Report(send.clone()))?;
        drop(send);
        let collect = move || {
            let mut whole = Report::default();
            reports.into_iter().for_each(|report| whole.add(report));
            whole
        };
        Ok(tokio::task::spawn_blocking(collect).await?)
    }

    /// How many there are.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for Hand { orders, waker, thread } in self.threads.drain(..) {
            drop(orders);
            // A thread that cannot be woken looks by itself soon; one that fell over has nothing left to end.
            let _ = waker.wake();
            let _ = thread.join();
        }
    }
}
