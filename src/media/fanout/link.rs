//! Shell: what the engine and a thread say to each other, and the engine's end of it.
//!
//! Invariants: both queues towards a thread are bounded, and what is lost when one is full is what viewers ask for again; a
//! thread never waits for the engine.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize},
        mpsc::{Sender as NewsSender, SyncSender, TrySendError},
    },
    thread::JoinHandle,
    time::Instant,
};

use mio::{Poll, Token, Waker};
use tokio::sync::oneshot;

use super::Fanout;
use crate::{
    ids::{LiveId, MediaSessionId},
    media::{
        Answer, Choice, Choices, MediaError, Restarted, VideoCodec,
        engine::Gathering,
        leg::LegMaker,
        packet::Packet,
        peers::Peers,
        sdp::Offer,
        socket::Sender,
        stage::{Past, Slot},
    },
};

/// Packets that wait for a thread; beyond them they are lost for its viewers, who notice and ask.
pub(super) const MAX_FEED: usize = 8_192;
/// Datagrams for connections that wait for the engine; beyond them they are lost, as when a connection is slow.
pub(super) const MAX_STREAMED: usize = 16_384;
/// Orders and datagrams that wait for a thread; beyond them datagrams are lost and newcomers told to come later.
const MAX_ORDERS: usize = 8_192;

/// What a thread's halls are fed, in order.
pub(in crate::media) enum Feed {
    /// The first viewer of this live comes.
    Open {
        live: LiveId,
        past: Box<Past>,
    },
    /// What follows has nothing to do with what went before.
    Begin {
        live: LiveId,
    },
    Packet {
        live: LiveId,
        packet: Arc<Packet>,
        ends_run: bool,
    },
    /// The last one went.
    Shut {
        live: LiveId,
    },
}

/// What concerns one viewer.
pub(in crate::media) enum Order {
    Watch(Box<Watch>),
    Datagram {
        slot: Slot,
        source: SocketAddr,
        datagram: Vec<u8>,
    },
    Trickle(Box<Trickle>),
    /// How large it wants the picture, if it says so; what it may choose from.
    Layers {
        slot: Slot,
        choice: Option<Choice>,
        reply: oneshot::Sender<Result<Choices, MediaError>>,
    },
    Survey(Arc<Gathering>),
    Close {
        slot: Slot,
    },
    Stop,
}

/// An offer to be answered.
pub(in crate::media) struct Watch {
    pub(in crate::media) slot: Slot,
    pub(in crate::media) live: LiveId,
    pub(in crate::media) session: MediaSessionId,
    pub(in crate::media) codec: VideoCodec,
    pub(in crate::media) offer: Offer,
    /// It is another server.
    pub(in crate::media) relays: bool,
    pub(in crate::media) credentials: str0m::IceCreds,
    pub(in crate::media) etag: String,
    pub(in crate::media) reply: oneshot::Sender<Result<Answer, MediaError>>,
}

/// What a viewer says of its ICE.
pub(in crate::media) struct Trickle {
    pub(in crate::media) slot: Slot,
    pub(in crate::media) fragment: String,
    /// It asked for one.
    pub(in crate::media) is_restart: bool,
    pub(in crate::media) reply: oneshot::Sender<Result<Option<Restarted>, MediaError>>,
}

/// What a thread tells the engine. At most a few for each viewer and moment: each has its limits where it arises.
pub(in crate::media) enum News {
    /// A viewer's check from there was answered.
    Address {
        slot: Slot,
        to: SocketAddr,
    },
    Connected {
        slot: Slot,
    },
    /// For connections, which belong to the engine; at most [`MAX_STREAMED`] of a thread are under way.
    Streamed {
        from: Arc<Counters>,
        datagrams: Vec<(SocketAddr, Vec<u8>)>,
    },
    /// Its ICE restarts: how it is called, and what it is no longer called.
    Renamed {
        slot: Slot,
        ufrag: String,
        over: Option<String>,
    },
    Gone {
        slot: Slot,
    },
    WantKeyframe {
        live: LiveId,
        layer: u8,
    },
}

/// What a thread did, for whoever wants to know.
#[derive(Debug, Default)]
pub(in crate::media) struct Counters {
    pub(in crate::media) forwarded: AtomicU64,
    pub(in crate::media) bytes: AtomicU64,
    pub(in crate::media) resent: AtomicU64,
    pub(in crate::media) unsent: AtomicU64,
    /// Datagrams for connections that the engine has not taken yet.
    pub(in crate::media) streamed: AtomicUsize,
}

/// The engine's end of a thread.
pub(in crate::media) struct Link {
    feed: SyncSender<Feed>,
    orders: SyncSender<Order>,
    waker: Arc<Waker>,
    /// Something was said since it was last woken.
    is_owed_a_wake: bool,
    /// What it had no room for.
    pub(in crate::media) dropped: u64,
    pub(in crate::media) counters: Arc<Counters>,
    pub(in crate::media) viewers: usize,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    /// Starts a thread.
    pub(in crate::media) fn start(
        at: usize,
        maker: Arc<LegMaker>,
        sender: Sender,
        news: NewsSender<News>,
        engine: Arc<Waker>,
    ) -> std::io::Result<Self> {
        let (feed, fed) = std::sync::mpsc::sync_channel(MAX_FEED);
        let (orders, ordered) = std::sync::mpsc::sync_channel(MAX_ORDERS);
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), Token(0))?);
        let counters = Arc::new(Counters::default());
        let counted = Arc::clone(&counters);
        let run = move || {
            let outbox = sender.outbox();
            Fanout {
                poll,
                fed,
                ordered,
                news,
                engine,
                maker,
                outbox,
                sender,
                peers: Peers::default(),
                guests: HashMap::new(),
                halls: HashMap::new(),
                effects: Vec::new(),
                spare: Vec::new(),
                owes_the_engine_a_wake: false,
                counted,
                forwarded: 0,
                bytes: 0,
                resent: 0,
                next_sweep: Instant::now(),
            }
            .run();
        };
        let thread = std::thread::Builder::new().name(format!("media-{at}")).spawn(run)?;
        let (is_owed_a_wake, dropped, viewers) = (false, 0, 0);
        Ok(Self { feed, orders, waker, is_owed_a_wake, dropped, counters, viewers, thread: Some(thread) })
    }

    /// The thread ended before it was told to.
    pub(in crate::media) fn is_dead(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Packets are lost when it has no room; what keeps its halls right is not.
    pub(in crate::media) fn feed(&mut self, feed: Feed) {
        self.is_owed_a_wake = true;
        let Err(refused) = self.feed.try_send(feed) else { return };
        self.dropped += 1;
        if let TrySendError::Full(feed @ (Feed::Open { .. } | Feed::Begin { .. } | Feed::Shut { .. })) = refused {
            self.dropped -= 1;
            self.wake();
            // It takes what waits without waiting for us, so there is room in a moment.
            let _ = self.feed.send(feed);
        }
    }

    /// A newcomer's offer; it is told when there is no room.
    pub(in crate::media) fn watch(&mut self, watch: Box<Watch>) -> bool {
        self.is_owed_a_wake = true;
        match self.orders.try_send(Order::Watch(watch)) {
            Ok(()) => true,
            Err(TrySendError::Full(order) | TrySendError::Disconnected(order)) => {
                if let Order::Watch(watch) = order {
                    let _ = watch.reply.send(Err(MediaError::Busy));
                }
                false
            }
        }
    }

    /// A datagram of a viewer's; it is lost when there is no room.
    pub(in crate::media) fn datagram(&mut self, slot: Slot, source: SocketAddr, datagram: &[u8]) {
        self.is_owed_a_wake = true;
        let order = Order::Datagram { slot, source, datagram: datagram.to_vec() };
        if self.orders.try_send(order).is_err() {
            self.dropped += 1;
        }
    }

    /// Anything else is not lost.
    pub(in crate::media) fn order(&mut self, order: Order) {
        self.is_owed_a_wake = true;
        if let Err(TrySendError::Full(order)) = self.orders.try_send(order) {
            self.wake();
            let _ = self.orders.send(order);
        }
    }

    /// Wakes it if something was said.
    pub(in crate::media) fn wake(&mut self) {
        if std::mem::take(&mut self.is_owed_a_wake)
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "a media thread cannot be woken");
        }
    }

    /// Ends it; its viewers are told goodbye.
    pub(in crate::media) fn stop(&mut self) {
        self.order(Order::Stop);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // What it panicked of was logged when it did.
            let _ = thread.join();
        }
    }
}
