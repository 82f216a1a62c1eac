//! Door: the media room: publishers by WHIP, viewers by WHEP, one port for all.
//!
//! Owns the picture of every live. The work is done outside tokio, by an engine thread that receives and by threads that
//! serve viewers; this door sends the engine commands and hands out its events. It knows no HTTP and no accounts: the caller says who publishes.
//! Invariants: viewers keep their session while publishers come and go; a publisher's identity holds its live until
//! it is lost; every queue and count has a bound, and when one is full the caller is told at once.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    thread::JoinHandle,
};

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::ids::{LiveId, MediaSessionId};

mod demux;
mod engine;
mod fanout;
#[cfg(test)]
#[path = "forwarding_tests.rs"]
mod forwarding;
mod fragment;
#[cfg(test)]
#[path = "fuzz_tests.rs"]
mod fuzz;
mod gate;
mod gop;
mod hall;
mod history;
mod keys;
mod ladder;
mod layers;
mod leg;
mod meter;
mod numbering;
mod outbox;
mod packet;
mod path;
#[cfg(test)]
#[path = "peer_tests.rs"]
mod peer;
mod peers;
mod picture;
mod pull;
mod report;
mod restart;
mod rtcp;
mod sdp;
mod sealed;
mod socket;
mod srtp;
mod stage;
mod streams;
mod stun;

use engine::{Command, Engine, Ground};
pub use hall::{Choice, Choices};
pub use packet::VideoCodec;
pub use report::{
    Audience, LayerFigures, MAX_VIEWERS_OF_A_PAGE, MediaReport, Network, PictureState, PublisherFigures, Spread,
    ViewerFigures, ViewerTag,
};
use report::{Page, Survey};
pub use socket::own_address;

/// Bytes of an offer or a trickle fragment; a browser's offer has about 6 KiB.
pub const MAX_SDP_BYTES: usize = 64 * 1024;
/// Commands that wait for the engine; a caller beyond them is told [`MediaError::Busy`].
const MAX_COMMANDS: usize = 1_024;
/// Events that wait for the application; beyond them only the newest of each live is kept.
const MAX_EVENTS: usize = 256;

/// The operator's settings of the media room.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MediaConfig {
    /// Address and port of all media; port 0 takes any free one.
    pub bind: SocketAddr,
    /// Addresses that peers are told to use; empty = this host's own. Behind NAT: the public one.
    pub advertise: Vec<IpAddr>,
    /// Whether the same port is open for TCP too, for peers whose network lets no UDP through.
    pub tcp: bool,
    /// Publishers and viewers on this server; beyond it joiners are told [`MediaError::Full`]. For publishers and other
    /// servers, on whom viewers depend, there is a little more.
    pub max_sessions: usize,
    /// Sessions of one live; beyond it joiners are told [`MediaError::Full`].
    pub max_sessions_per_live: usize,
    /// Threads that serve viewers; 0 = one for each core.
    pub threads: usize,
}

impl MediaConfig {
    /// Threads that serve viewers.
    fn fanout_threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        if self.threads == 0 { cores() } else { self.threads }
    }
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            advertise: Vec::new(),
            tcp: true,
            max_sessions: 5_000,
            max_sessions_per_live: 2_000,
            threads: 0,
        }
    }
}

/// Why the media room refuses.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The offer has no codec that this live can carry.
    #[error("the offer has none of the codecs that this live carries (H.264 constrained baseline, or VP8)")]
    UnsupportedMedia,
    /// The text is not an offer, or not one that can be answered.
    #[error("the offer cannot be answered: {0}")]
    BadOffer(String),
    /// The body is not announced as `application/sdp` or `application/trickle-ice-sdpfrag`.
    #[error("the body must be {0}")]
    WrongContentType(&'static str),
    /// More than [`MAX_SDP_BYTES`].
    #[error("the offer is larger than {MAX_SDP_BYTES} bytes")]
    OfferTooLarge,
    /// Another publisher holds this live.
    #[error("another publisher is on air")]
    PublisherExists,
    /// There was no picture in this live yet.
    #[error("nothing was published in this live yet")]
    NoPublisher,
    /// The server or the live has as many sessions as it may have.
    #[error("no more sessions can be taken")]
    Full,
    /// The engine's queue is full.
    #[error("too many requests wait for the media engine")]
    Busy,
    /// No such session, or it is over.
    #[error("there is no such session")]
    NoSuchSession,
    /// The text is not a trickle fragment, or says nothing that can be done.
    #[error("the fragment cannot be used: {0}")]
    BadFragment(&'static str),
    /// A trickle fragment without the session's tag.
    #[error("the session's entity tag is missing: candidates want the newest one, a restart *")]
    MissingEtag,
    /// A trickle fragment with another tag than the session's.
    #[error("the entity tag is not that of the session's ICE as it is now")]
    StaleEtag,
    /// More restarts than a peer has use for.
    #[error("the session was restarted too often; open a new one")]
    RestartRefused,
    /// The engine is gone: the room was stopped.
    #[error("the media room is closed")]
    Stopped,
    /// The UDP port, the thread or the certificate could not be had.
    #[error("the media room cannot open: {0}")]
    CannotOpen(#[from] std::io::Error),
}

/// An answered offer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Names the session; unguessable.
    pub session: MediaSessionId,
    /// The answer, all candidates included.
    pub sdp: String,
    /// The session's entity tag, in its quotes.
    pub etag: String,
    /// The codec that was agreed on.
    pub codec: VideoCodec,
}

/// Our own offer, to another server.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Names the pull.
    pub session: MediaSessionId,
    /// To be posted there.
    pub sdp: String,
}

/// What brings a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sources {
    /// Publishers.
    Publishers,
    /// Pulls from other servers.
    Pulls,
}

/// A session's ICE after a restart.
#[derive(Debug, Clone)]
pub struct Restarted {
    /// The session's new entity tag, in its quotes.
    pub etag: String,
    /// Our new credentials and our candidates, a trickle fragment.
    pub fragment: String,
}

/// What the media room tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaEvent {
    /// A publisher's first keyframe arrived.
    Up(LiveId),
    /// The publisher is lost; viewers stay.
    Away(LiveId),
    /// The live's sessions were closed.
    Ended(LiveId),
    /// The picture comes from another server now.
    Pulled(LiveId),
    /// It does no more; viewers stay.
    PullLost(LiveId),
}

impl MediaEvent {
    fn live(&self) -> &LiveId {
        match self {
            Self::Up(live) | Self::Away(live) | Self::Ended(live) | Self::Pulled(live) | Self::PullLost(live) => live,
        }
    }
}

/// Counters of the media room.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct MediaStats {
    /// Per live with at least one session.
    pub lives: Vec<LiveStats>,
    /// Open sessions.
    pub sessions: usize,
    /// Those of publishers.
    pub publishers: usize,
    /// Media packets that publishers sent.
    pub packets_received: u64,
    /// Their payload.
    pub bytes_received: u64,
    /// Media packets forwarded to viewers.
    pub packets_forwarded: u64,
    /// Their payload.
    pub bytes_forwarded: u64,
    /// Packets sent once more to viewers that did not get them.
    pub packets_resent: u64,
    /// Keyframes asked of publishers.
    pub keyframes_asked: u64,
    /// Datagrams that the kernel did not take.
    pub datagrams_unsent: u64,
    /// Datagrams of strangers.
    pub datagrams_unknown: u64,
}

/// Counters of one live.
#[derive(Debug, Clone, serde::Serialize)]
pub struct LiveStats {
    /// The live.
    pub live: LiveId,
    /// Whether there is a picture now.
    pub up: bool,
    /// The identity that publishes here, or is about to.
    #[serde(skip)]
    pub publisher: Option<String>,
    /// The picture comes from another server, or is about to.
    pub pulled: bool,
    /// Connected viewers.
    pub viewers: usize,
    /// The live's codec.
    pub codec: Option<VideoCodec>,
}

/// The media room. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Media {
    commands: std::sync::mpsc::SyncSender<Command>,
    waker: Arc<mio::Waker>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
    addresses: Arc<[SocketAddr]>,
}

impl Media {
    /// Opens the UDP port and starts the engine's thread.
    ///
    /// # Errors
    /// [`MediaError::CannotOpen`] when port, thread or certificate cannot be had.
    pub fn start(config: MediaConfig) -> Result<(Self, mpsc::Receiver<MediaEvent>), MediaError> {
        let (commands, inbox) = std::sync::mpsc::sync_channel(MAX_COMMANDS);
        let (events, receiver) = mpsc::channel(MAX_EVENTS);
        let ground = Ground::open(config)?;
        let (waker, addresses) = (ground.waker(), ground.addresses().into());
        let run = move || Engine::new(ground, inbox, events).run();
        let thread = std::thread::Builder::new().name("media".into()).spawn(run)?;
        let thread = Arc::new(Mutex::new(Some(thread)));
        Ok((Self { commands, waker, thread, addresses }, receiver))
    }

    /// The addresses that answers advertise.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Takes a publisher in. It goes on air with its first keyframe; until then the one before stays.
    ///
    /// # Errors
    /// [`MediaError::PublisherExists`] while another identity publishes; refusals of the offer; bounds.
    pub async fn publish(&self, live: LiveId, publisher: String, offer: String) -> Result<Answer, MediaError> {
        check_size(&offer)?;
        self.ask(|reply| Command::Publish { live, publisher, offer, reply }).await?
    }

    /// Takes a viewer in.
    ///
    /// # Errors
    /// [`MediaError::NoPublisher`] when the live never had a picture; refusals of the offer; bounds.
    pub async fn watch(&self, live: LiveId, offer: String) -> Result<Answer, MediaError> {
        check_size(&offer)?;
        self.ask(|reply| Command::Watch { live, offer, relays: false, reply }).await?
    }

    /// Takes another server's request for the picture in: a viewer that brings it to viewers of its own.
    ///
    /// # Errors
    /// As of [`Media::watch`].
    pub async fn relay(&self, live: LiveId, offer: String) -> Result<Answer, MediaError> {
        check_size(&offer)?;
        self.ask(|reply| Command::Watch { live, offer, relays: true, reply }).await?
    }

    /// Begins to get the picture from another server. It comes on air with its first keyframe and gives way to a
    /// publisher here.
    ///
    /// # Errors
    /// [`MediaError::PublisherExists`] while somebody publishes here; bounds.
    pub async fn pull(&self, live: LiveId) -> Result<Offer, MediaError> {
        self.ask(|reply| Command::Pull { live, reply }).await?
    }

    /// The other server's answer to the offer of [`Media::pull`].
    ///
    /// # Errors
    /// [`MediaError::BadOffer`] when it does not fit, [`MediaError::NoSuchSession`]; the pull is over then.
    pub async fn pull_answered(&self, session: &MediaSessionId, answer: String) -> Result<(), MediaError> {
        check_size(&answer)?;
        let session = session.clone();
        self.ask(|reply| Command::Pulled { session, answer, reply }).await?
    }

    /// Ends the sessions that bring a picture of this live to here: of publishers, or from another server.
    pub async fn drop_sources(&self, live: &LiveId, which: Sources) {
        let live = live.clone();
        // A stopped room has none.
        let _ = self.ask(|reply| Command::DropSources { live, which, reply }).await;
    }

    /// Takes a peer's further candidates, or restarts its ICE when the fragment has new credentials. Whatever goes wrong,
    /// the session stays as it was.
    ///
    /// # Errors
    /// [`MediaError::MissingEtag`], [`MediaError::StaleEtag`], [`MediaError::BadFragment`],
    /// [`MediaError::RestartRefused`], [`MediaError::NoSuchSession`].
    pub async fn trickle(
        &self,
        session: &MediaSessionId,
        if_match: Option<&str>,
        sdpfrag: String,
    ) -> Result<Option<Restarted>, MediaError> {
        check_size(&sdpfrag)?;
        let etag = if_match.ok_or(MediaError::MissingEtag)?.to_owned();
        let session = session.clone();
        self.ask(|reply| Command::Trickle { session, etag, fragment: sdpfrag, reply }).await?
    }

    /// The live of a session.
    ///
    /// # Errors
    /// [`MediaError::NoSuchSession`].
    pub async fn live_of(&self, session: &MediaSessionId) -> Result<LiveId, MediaError> {
        let session = session.clone();
        self.ask(|reply| Command::LiveOf { session, reply }).await?.ok_or(MediaError::NoSuchSession)
    }

    /// What a viewer may choose from, after it has chosen if it does.
    ///
    /// # Errors
    /// [`MediaError::NoSuchSession`], of publishers too.
    pub async fn layers(&self, session: &MediaSessionId, choice: Option<Choice>) -> Result<Choices, MediaError> {
        let session = session.clone();
        self.ask(|reply| Command::Layers { session, choice, reply }).await?
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`MediaError::NoSuchSession`].
    pub async fn close(&self, session: &MediaSessionId) -> Result<(), MediaError> {
        let session = session.clone();
        self.ask(|reply| Command::Close { session, reply }).await?
    }

    /// Ends every session of a live and forgets its picture.
    pub async fn end_live(&self, live: &LiveId) {
        let live = live.clone();
        // A stopped room has no sessions left to end.
        let _ = self.ask(|reply| Command::EndLive { live, reply }).await;
    }

    /// What a live's media is like; of a live without sessions there is nothing to tell.
    ///
    /// # Errors
    /// [`MediaError::Busy`], [`MediaError::Stopped`].
    pub async fn report(&self, live: &LiveId) -> Result<MediaReport, MediaError> {
        Ok(self.survey(live, None).await?.report)
    }

    /// A live's connected viewers in the order of their tags, after this one, so many at most.
    ///
    /// # Errors
    /// [`MediaError::Busy`], [`MediaError::Stopped`].
    pub async fn viewers(
        &self,
        live: &LiveId,
        limit: usize,
        after: Option<ViewerTag>,
    ) -> Result<Vec<(ViewerTag, ViewerFigures)>, MediaError> {
        let page = Page { after, limit: limit.min(MAX_VIEWERS_OF_A_PAGE) };
        Ok(self.survey(live, Some(page)).await?.page)
    }

    async fn survey(&self, live: &LiveId, page: Option<Page>) -> Result<Survey, MediaError> {
        let live = live.clone();
        self.ask(|reply| Command::Survey { live, page, reply }).await
    }

    /// Counters; empty when the room is stopped, or too busy.
    pub async fn stats(&self) -> MediaStats {
        self.try_stats().await.unwrap_or_default()
    }

    /// Counters.
    ///
    /// # Errors
    /// [`MediaError::Busy`], [`MediaError::Stopped`].
    pub async fn try_stats(&self) -> Result<MediaStats, MediaError> {
        self.ask(|reply| Command::Stats { reply }).await
    }

    /// Ends every session and the thread.
    pub async fn stop(&self) {
        let _ = self.ask(|reply| Command::Stop { reply }).await;
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            // The engine has answered, so its thread is at its last line.
            let _ = thread.join();
        }
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, MediaError> {
        let (reply, answer) = oneshot::channel();
        self.commands.try_send(command(reply)).map_err(|error| match error {
            std::sync::mpsc::TrySendError::Full(_) => MediaError::Busy,
            std::sync::mpsc::TrySendError::Disconnected(_) => MediaError::Stopped,
        })?;
        self.waker.wake()?;
        answer.await.map_err(|_| MediaError::Stopped)
    }
}

fn check_size(sdp: &str) -> Result<(), MediaError> {
    if sdp.len() > MAX_SDP_BYTES { Err(MediaError::OfferTooLarge) } else { Ok(()) }
}
