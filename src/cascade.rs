//! Shell: one live on several nodes: its picture comes in at one, and is pulled once by each other that has viewers.
//!
//! Owns who pulls what from where, and this node's claims in the directory that the bus keeps. A pull is a WHEP client
//! (`media`) whose offer is posted to the origin's `/internal/relay/{live}`, under a proof that only nodes can make.
//! Invariants: a picture is pulled from its origin only, so no pull feeds another and none can go in a circle; a publisher
//! here goes before any pull; one that goes on at another node is let go here; a node tells viewers that the picture is
//! away only while it is this node's, or nobody's. While the bus is away everything that runs goes on.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    bus::{Bus, Fact, Origin},
    clock::Clock,
    ids::LiveId,
    live::{Lives, Picture},
    media::{LiveStats, Media, MediaError, MediaEvent, Sources},
    people::Passes,
    tasks::Tasks,
};

/// How often claims are said again, and pulls are looked after.
const EVERY: Duration = Duration::from_millis(500);
/// A pull without viewers goes on so long: the next one sees its picture at once.
const IDLE_LIMIT: Duration = Duration::from_secs(10);
/// An origin that does not answer within this time is not asked any longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const CONNECT_WITHIN: Duration = Duration::from_millis(500);
/// A viewer waits so long for the picture from another node.
const PICTURE_WITHIN: Duration = Duration::from_secs(3);
/// A pull that failed is not tried again at once.
const RETRY_AFTER: Duration = Duration::from_millis(400);
/// A media room whose queue is full is asked again after so long.
const BUSY_FOR: Duration = Duration::from_millis(20);
/// … and so often.
const BUSY_TRIES: u32 = 150;
/// Origins that are asked at once; one that is dead must not hold up the others.
const ASKED_AT_ONCE: usize = 32;

/// What is pulled, or was tried to be.
#[derive(Debug)]
struct Pull {
    origin: Origin,
    state: State,
    viewed_at: Instant,
}

#[derive(Debug)]
enum State {
    Asking,
    /// Since its answer was accepted.
    Pulling(Instant),
    /// It was lost, or never was.
    Failed(Instant),
}

/// A live whose picture comes in here.
#[derive(Debug, Clone)]
struct Claim {
    ours: Origin,
    /// The bus was away when it was made, and may know of an older one.
    is_unsaid: bool,
}

#[derive(Debug)]
struct Inner {
    media: Media,
    bus: Bus,
    passes: Passes,
    lives: Lives,
    http: reqwest::Client,
    node: String,
    url: OnceLock<String>,
    /// Lives whose picture comes in here. Rule: none of the two is held across an await.
    claims: Mutex<HashMap<LiveId, Claim>>,
    pulls: Mutex<HashMap<LiveId, Pull>>,
    /// A picture came from another node.
    came: Notify,
    /// A picture came in at another node.
    elsewhere: Notify,
    tasks: Tasks,
    clock: Clock,
}

/// When claims are said and pulls looked after.
fn turns() -> tokio::time::Interval {
    let mut turns = tokio::time::interval(EVERY);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    turns
}

/// One live on several nodes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cascade(Arc<Inner>);

impl Cascade {
    /// Follows the pictures of this node. It pulls nothing before it is [opened](Cascade::open).
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn start(
        media: Media,
        events: mpsc::Receiver<MediaEvent>,
        bus: Bus,
        passes: Passes,
        lives: Lives,
        clock: Clock,
        tasks: &Tasks,
    ) -> Result<Self, reqwest::Error> {
        // Nodes are asked where they say that they are, and nowhere else: the proof is for them.
        // Nodes speak plain HTTP; without this, a machine that has no list of certificate authorities could not start.
        let http = reqwest::Client::builder().tls_certs_only([]).redirect(reqwest::redirect::Policy::none()).no_proxy();
        let http = http.connect_timeout(CONNECT_WITHIN).timeout(ANSWER_WITHIN).build()?;
        let mut node = [0u8; 10];
        getrandom::fill(&mut node).expect("the system has randomness, or nothing here is safe to run");
        let node = data_encoding::BASE32_NOPAD.encode(&node).to_lowercase();
        let cascade = Self(Arc::new(Inner {
            media,
            bus,
            passes,
            lives,
            http,
            node,
            url: OnceLock::new(),
            claims: Mutex::default(),
            pulls: Mutex::default(),
            came: Notify::new(),
            elsewhere: Notify::new(),
            tasks: tasks.clone(),
            clock,
        }));
        tasks.spawn("pictures", cascade.clone().follow(events, tasks.stopping()));
        if cascade.0.bus.is_shared() {
            tasks.spawn("claims", cascade.clone().keep_claims(tasks.stopping()));
            tasks.spawn("pulls", cascade.clone().keep_pulls(tasks.stopping()));
            tasks.spawn("origins", cascade.clone().hear_of_pictures(tasks.stopping()));
        }
        Ok(cascade)
    }

    /// Others reach this node's HTTP at this address.
    pub fn open(&self, url: &str) {
        // A server is opened once.
        let _ = self.0.url.set(url.trim_end_matches('/').to_owned());
    }

    /// Whether this identity may publish, as far as other nodes know.
    ///
    /// # Errors
    /// [`MediaError::PublisherExists`] while another one publishes at another node.
    pub async fn check_publisher(&self, live: &LiveId, publisher: &str) -> Result<(), MediaError> {
        match self.0.bus.origin(live).await {
            Ok(Some(origin)) if origin.node != self.0.node && origin.publisher != publisher => {
                Err(MediaError::PublisherExists)
            }
            // While the bus is away each node goes by itself.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Whether this node may give the picture to another one: it is its origin, and the proof is one.
    #[must_use]
    pub fn may_relay(&self, live: &LiveId, proof: &str) -> bool {
        self.0.passes.check_relay(live, proof) && self.0.claims.lock().contains_key(live)
    }

    /// Gets the picture to this node, for a viewer that found none here.
    ///
    /// # Errors
    /// [`MediaError::NoPublisher`] when it comes in nowhere, or does not come in time.
    pub async fn fetch(&self, live: &LiveId) -> Result<(), MediaError> {
        let came = self.0.came.notified();
        tokio::pin!(came);
        came.as_mut().enable();
        let known = self.0.bus.origin(live).await;
        let is_nowhere = matches!(known, Ok(None));
        let Some(origin) = known.ok().flatten().filter(|origin| origin.node != self.0.node) else {
            if is_nowhere {
                self.give_up(live).await;
            }
            return Err(MediaError::NoPublisher);
        };
        // A viewer that goes away meanwhile must not leave a pull half asked for.
        let (cascade, pulled_live, (done, asked)) = (self.clone(), live.clone(), oneshot::channel());
        self.0.tasks.spawn("pull", async move {
            cascade.pull(&pulled_live, &origin).await;
            let _ = done.send(());
        });
        let _ = asked.await;
        let until = Instant::now() + PICTURE_WITHIN;
        while !self.stats_of(live).await.is_some_and(|stats| stats.up) {
            if tokio::time::timeout_at(until, came.as_mut()).await.is_err() {
                return Err(MediaError::NoPublisher);
            }
            came.set(self.0.came.notified());
            came.as_mut().enable();
        }
        Ok(())
    }

    /// A node that is gone could not say that its picture went with it; one whose claim was lost says it again.
    async fn give_up(&self, live: &LiveId) {
        if !self.0.bus.is_shared() || self.0.lives.media(live) != "up" {
            return;
        }
        tokio::time::sleep(EVERY * 2).await;
        if matches!(self.0.bus.origin(live).await, Ok(None)) && self.0.lives.media(live) == "up" {
            self.0.lives.media_changed(live, Picture::Away).await;
        }
    }

    async fn stats_of(&self, live: &LiveId) -> Option<LiveStats> {
        for _ in 0..BUSY_TRIES {
            match self.0.media.try_stats().await {
                // Many ask at once; it is never busy for long.
                Err(MediaError::Busy) => tokio::time::sleep(BUSY_FOR).await,
                Ok(stats) => return stats.lives.into_iter().find(|stats| stats.live == *live),
                Err(_) => return None,
            }
        }
        tracing::warn!(live.id = %live, "the media room is too busy to say what it has");
        None
    }

    /// Pulls from there, unless that is done or was tried a moment ago.
    async fn pull(&self, live: &LiveId, origin: &Origin) {
        let now = Instant::now();
        {
            let mut pulls = self.0.pulls.lock();
            let pull = pulls.get(live);
            let is_fresh = |pull: &Pull| match pull.state {
                State::Asking | State::Pulling(_) => true,
                State::Failed(at) => now < at + RETRY_AFTER,
            };
            if pull.is_some_and(|pull| pull.origin == *origin && is_fresh(pull)) {
                return;
            }
            let viewed_at = pull.map_or(now, |pull| pull.viewed_at);
            pulls.insert(live.clone(), Pull { origin: origin.clone(), state: State::Asking, viewed_at });
        }
        let state = match self.try_pull(live, origin).await {
            Ok(()) => {
                tracing::info!(live.id = %live, origin = origin.url, "the picture is pulled from another node");
                State::Pulling(Instant::now())
            }
            Err(error) => {
                tracing::warn!(live.id = %live, origin = origin.url, error = %format!("{error:#}"), "no pull");
                State::Failed(Instant::now())
            }
        };
        if let Some(pull) = self.0.pulls.lock().get_mut(live).filter(|pull| pull.origin == *origin) {
            pull.state = state;
        }
    }

    async fn try_pull(&self, live: &LiveId, origin: &Origin) -> anyhow::Result<()> {
        let offer = self.0.media.pull(live.clone()).await?;
        let answered = async {
            let request = self.0.http.post(format!("{}/internal/relay/{live}", origin.url));
            let request = request.bearer_auth(self.0.passes.issue_relay(live));
            let request = request.header(reqwest::header::CONTENT_TYPE, crate::http::media::SDP).body(offer.sdp);
            let answer = request.send().await?.error_for_status()?;
            let answer = answer.text().await?;
            self.0.media.pull_answered(&offer.session, answer).await?;
            anyhow::Ok(())
        };
        if let Err(error) = answered.await {
            // It may be over already.
            let _ = self.0.media.close(&offer.session).await;
            return Err(error);
        }
        Ok(())
    }

    /// What the media room tells: the live room hears when a picture comes or goes, other nodes where it does.
    async fn follow(self, mut events: mpsc::Receiver<MediaEvent>, stopping: CancellationToken) {
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = stopping.cancelled() => break,
            };
            match event {
                Some(MediaEvent::Up(live)) => {
                    self.claim(&live).await;
                    self.0.lives.media_changed(&live, Picture::Up).await;
                }
                Some(MediaEvent::Away(live)) => {
                    // Another node may have it by now.
                    if self.leave(&live).await {
                        self.0.lives.media_changed(&live, Picture::Away).await;
                    }
                }
                Some(MediaEvent::Ended(live)) => {
                    self.leave(&live).await;
                    self.0.pulls.lock().remove(&live);
                }
                Some(MediaEvent::Pulled(_)) => self.0.came.notify_waiters(),
                Some(MediaEvent::PullLost(live)) => {
                    if let Some(pull) = self.0.pulls.lock().get_mut(&live) {
                        pull.state = State::Failed(Instant::now());
                    }
                }
                None => break,
            }
        }
        // Others need not wait until they notice.
        let claimed: Vec<_> = self.0.claims.lock().drain().collect();
        for (live, Claim { ours, .. }) in claimed {
            let _ = self.0.bus.leave_claim(&live, &ours).await;
        }
    }

    async fn claim(&self, live: &LiveId) {
        let publisher = self.stats_of(live).await.and_then(|stats| stats.publisher).unwrap_or_default();
        let ours =
            Origin::new(&self.0.node, self.0.url.get().map_or("", String::as_str), &publisher, self.0.clock.now());
        self.0.claims.lock().insert(live.clone(), Claim { ours: ours.clone(), is_unsaid: false });
        self.0.pulls.lock().remove(live);
        if self.0.bus.claim(live, &ours).await.is_err() {
            self.note_said(live, &ours, false);
            tracing::debug!(live.id = %live, "the bus is away; other nodes do not know of this picture yet");
        }
    }

    /// Whether it was this node's until now.
    async fn leave(&self, live: &LiveId) -> bool {
        let Some(Claim { ours, .. }) = self.0.claims.lock().remove(live) else { return false };
        // When the bus is away it forgets by itself.
        let _ = self.0.bus.leave_claim(live, &ours).await;
        true
    }

    fn note_said(&self, live: &LiveId, ours: &Origin, is_said: bool) {
        if let Some(claim) = self.0.claims.lock().get_mut(live).filter(|claim| claim.ours == *ours) {
            claim.is_unsaid = !is_said;
        }
    }

    async fn keep_claims(self, stopping: CancellationToken) {
        let mut turns = turns();
        loop {
            tokio::select! {
                _ = turns.tick() => {}
                () = stopping.cancelled() => return,
            }
            self.say_claims().await;
        }
    }

    async fn keep_pulls(self, stopping: CancellationToken) {
        let mut turns = turns();
        loop {
            tokio::select! {
                _ = turns.tick() => {}
                () = self.0.elsewhere.notified() => {}
                () = stopping.cancelled() => return,
            }
            self.look_after_pulls().await;
        }
    }

    /// A picture that has come at another node is looked for at once.
    async fn hear_of_pictures(self, stopping: CancellationToken) {
        let mut news = self.0.bus.subscribe();
        loop {
            let heard = tokio::select! {
                heard = news.next() => heard,
                () = stopping.cancelled() => return,
            };
            let Some(heard) = heard else { return };
            if matches!(heard.fact(), Some(Fact::Media { media, .. }) if media == "up") {
                self.0.elsewhere.notify_one();
            }
        }
    }

    async fn say_claims(&self) {
        let claims: Vec<_> = self.0.claims.lock().iter().map(|(live, claim)| (live.clone(), claim.clone())).collect();
        for (live, Claim { ours, is_unsaid }) in claims {
            if is_unsaid {
                // Kept, it would give way to an older one.
                let Ok(known) = self.0.bus.origin(&live).await else { continue };
                let is_newer = known.is_none_or(|known| known.since < ours.since);
                let is_said = !is_newer || self.0.bus.claim(&live, &ours).await.is_ok();
                self.note_said(&live, &ours, is_said);
                continue;
            }
            let Ok(Some(known)) = self.0.bus.keep_claim(&live, &ours).await else { continue };
            let is_still = self.0.claims.lock().get(&live).is_some_and(|claim| claim.ours == ours);
            if known != ours {
                tracing::info!(live.id = %live, origin = known.url, "the publisher goes on at another node");
                if is_still {
                    self.0.claims.lock().remove(&live);
                    self.0.media.drop_sources(&live, Sources::Publishers).await;
                }
            } else if is_still && self.0.lives.media(&live) == "away" {
                // Another node gave up the one before in the moment when this one came.
                self.0.lives.media_changed(&live, Picture::Up).await;
            }
        }
    }

    async fn look_after_pulls(&self) {
        let now = Instant::now();
        // Of a media room that is too busy to answer nothing is known.
        let Ok(lives) = self.0.media.try_stats().await.map(|stats| stats.lives) else { return };
        let known = |live: &LiveId| lives.iter().find(|stats| stats.live == *live);
        self.0.pulls.lock().retain(|live, pull| {
            // Not every pull that was answered brings a picture: it may not connect, or have given way to a publisher.
            let is_over = matches!(pull.state, State::Pulling(since) if since < now);
            if is_over && !known(live).is_some_and(|stats| stats.pulled) {
                pull.state = State::Failed(now);
            }
            !matches!(pull.state, State::Failed(_)) || known(live).is_some()
        });
        let mut asked = tokio::task::JoinSet::new();
        for stats in lives.into_iter().filter(|stats| stats.publisher.is_none()) {
            let live = &stats.live;
            let is_viewed = stats.viewers > 0;
            let idle = {
                let mut pulls = self.0.pulls.lock();
                pulls.get_mut(live).filter(|_| is_viewed).into_iter().for_each(|pull| pull.viewed_at = now);
                // What nobody remembers is pulled for nobody.
                pulls.get(live).map_or(stats.pulled && !is_viewed, |pull| now > pull.viewed_at + IDLE_LIMIT)
            };
            if idle {
                self.0.pulls.lock().remove(live);
                self.0.media.drop_sources(live, Sources::Pulls).await;
            } else if is_viewed {
                if asked.len() == ASKED_AT_ONCE {
                    asked.join_next().await;
                }
                let cascade = self.clone();
                asked.spawn(async move { cascade.look_after(&stats).await });
            }
        }
        asked.join_all().await;
    }

    /// A live with viewers here and no publisher here.
    async fn look_after(&self, stats: &LiveStats) {
        let live = &stats.live;
        let Ok(origin) = self.0.bus.origin(live).await else { return };
        match origin {
            Some(origin) if origin.node != self.0.node => self.pull(live, &origin).await,
            Some(_) => {}
            // Its node is gone, and could not say so.
            None if !stats.up && self.0.lives.media(live) == "up" => {
                self.0.lives.media_changed(live, Picture::Away).await;
            }
            None => {}
        }
    }
}
