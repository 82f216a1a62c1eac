//! Edge: a bad network for the stories: a UDP port that stands before the server's and loses, delays and reorders.
//!
//! Each client address has a port of its own towards the server, as behind a NAT; [`Impair::rebind`] gives all of them
//! new ones. What is lost follows from the seed and the order in which datagrams come.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    net::UdpSocket,
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// Larger than any datagram of WebRTC.
const DATAGRAM_BYTES: usize = 2_048;
/// First bytes of RTP and RTCP (RFC 7983).
const MEDIA: std::ops::RangeInclusive<u8> = 128..=191;

/// So long a narrow road keeps a datagram.
const PATIENCE: Duration = Duration::from_millis(200);

/// What the weather strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strikes {
    /// RTP and RTCP; checks and handshakes come through.
    Media,
    Everything,
}

/// How bad the network is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) strikes: Strikes,
    /// Of a thousand datagrams.
    pub(crate) lost_to_server: u64,
    pub(crate) lost_to_client: u64,
    /// Bits of media that go to the clients in a second, all together; what waits longer than [`PATIENCE`] is lost.
    pub(crate) carried_to_client: Option<u64>,
    /// Of every datagram, each way.
    pub(crate) delay: Duration,
    /// Up to so much more; datagrams overtake each other.
    pub(crate) jitter: Duration,
}

impl Weather {
    pub(crate) const FAIR: Self = Self {
        strikes: Strikes::Media,
        lost_to_server: 0,
        lost_to_client: 0,
        carried_to_client: None,
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
    };
}

/// Datagrams so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counted {
    pub(crate) to_server: u64,
    pub(crate) to_client: u64,
    pub(crate) lost_to_server: u64,
    pub(crate) lost_to_client: u64,
}

enum Event {
    FromServer { client: SocketAddr, datagram: Vec<u8> },
    Rebind,
}

/// The bad network. It is gone when it is dropped.
pub(crate) struct Impair {
    address: SocketAddr,
    weather: Arc<Mutex<Weather>>,
    counted: Arc<Mutex<Counted>>,
    events: mpsc::UnboundedSender<Event>,
    _road: JoinSet<()>,
}

impl Impair {
    pub(crate) async fn start(server: SocketAddr, seed: u64, weather: Weather) -> Self {
        let front = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port"));
        let address = front.local_addr().expect("bound");
        let (weather, counted) = (Arc::new(Mutex::new(weather)), Arc::default());
        let (events, heard) = mpsc::unbounded_channel();
        let road = Road {
            front,
            server,
            weather: Arc::clone(&weather),
            counted: Arc::clone(&counted),
            dice: seed,
            events: events.clone(),
            upstream: HashMap::new(),
            under_way: BinaryHeap::new(),
            next: 0,
            free_at: Instant::now(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(road.run(heard));
        Self { address, weather, counted, events, _road: tasks }
    }

    /// Where clients send to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn counted(&self) -> Counted {
        *self.counted.lock()
    }

    pub(crate) fn change(&self, weather: Weather) {
        *self.weather.lock() = weather;
    }

    /// Every client comes from a new port; what the server sends to the old ones reaches nobody.
    pub(crate) fn rebind(&self) {
        let _ = self.events.send(Event::Rebind);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    ToServer,
    ToClient,
}

/// A datagram under way, ordered by when it is due and when it came.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Parcel {
    due: Instant,
    number: u64,
    to_server: bool,
    client: SocketAddr,
    datagram: Vec<u8>,
}

/// A client's port towards the server, and the task that listens there.
struct Upstream {
    socket: Arc<UdpSocket>,
    _ear: JoinSet<()>,
}

struct Road {
    front: Arc<UdpSocket>,
    server: SocketAddr,
    weather: Arc<Mutex<Weather>>,
    counted: Arc<Mutex<Counted>>,
    dice: u64,
    events: mpsc::UnboundedSender<Event>,
    upstream: HashMap<SocketAddr, Upstream>,
    under_way: BinaryHeap<Reverse<Parcel>>,
    next: u64,
    /// When a narrow road to the clients has carried what is on it.
    free_at: Instant,
}

impl Road {
    async fn run(mut self, mut heard: mpsc::UnboundedReceiver<Event>) {
        let front = Arc::clone(&self.front);
        let mut buffer = [0; DATAGRAM_BYTES];
        loop {
            let far = Instant::now() + Duration::from_secs(3_600);
            let due = self.under_way.peek().map_or(far, |Reverse(parcel)| parcel.due);
            tokio::select! {
                biased;
                () = sleep_until(due) => self.deliver().await,
                Some(event) = heard.recv() => match event {
                    Event::FromServer { client, datagram } => self.take(Way::ToClient, client, datagram),
                    Event::Rebind => {
                        let clients: Vec<SocketAddr> = self.upstream.keys().copied().collect();
                        for client in clients {
                            self.connect(client).await;
                        }
                    }
                },
                Ok((len, client)) = front.recv_from(&mut buffer) => {
                    if !self.upstream.contains_key(&client) {
                        self.connect(client).await;
                    }
                    self.take(Way::ToServer, client, buffer[..len].to_vec());
                }
            }
        }
    }

    /// Gives the client a new port towards the server.
    async fn connect(&mut self, client: SocketAddr) {
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port"));
        let (listening, events) = (Arc::clone(&socket), self.events.clone());
        let mut ear = JoinSet::new();
        ear.spawn(async move {
            let mut buffer = [0; DATAGRAM_BYTES];
            loop {
                // Whatever else goes wrong on a local port says nothing about the next datagram.
                let Ok((len, _)) = listening.recv_from(&mut buffer).await else { continue };
                let _ = events.send(Event::FromServer { client, datagram: buffer[..len].to_vec() });
            }
        });
        self.upstream.insert(client, Upstream { socket, _ear: ear });
    }

    fn take(&mut self, way: Way, client: SocketAddr, datagram: Vec<u8>) {
        let weather = *self.weather.lock();
        let is_media = datagram.first().is_some_and(|first| MEDIA.contains(first));
        let is_struck = is_media || weather.strikes == Strikes::Everything;
        let (luck, haste) = (self.roll(), self.roll());
        let lost = if way == Way::ToServer { weather.lost_to_server } else { weather.lost_to_client };
        let narrow = weather.carried_to_client.filter(|_| is_media && way == Way::ToClient);
        let waits = self.free_at.saturating_duration_since(Instant::now());
        if is_struck && luck % 1_000 < lost || narrow.is_some() && waits > PATIENCE {
            let mut counted = self.counted.lock();
            *(if way == Way::ToServer { &mut counted.lost_to_server } else { &mut counted.lost_to_client }) += 1;
            return;
        }
        let jitter_us = u64::try_from(weather.jitter.as_micros()).expect("short");
        let late = Duration::from_micros(if is_struck { haste % (jitter_us + 1) } else { 0 });
        let mut due = Instant::now() + weather.delay + late;
        if let Some(bits_per_s) = narrow {
            let bits = u64::try_from(datagram.len() * 8).expect("short");
            self.free_at = self.free_at.max(Instant::now()) + Duration::from_micros(bits * 1_000_000 / bits_per_s);
            due = self.free_at + weather.delay;
        }
        self.next += 1;
        let to_server = way == Way::ToServer;
        self.under_way.push(Reverse(Parcel { due, number: self.next, to_server, client, datagram }));
    }

    async fn deliver(&mut self) {
        let now = Instant::now();
        while self.under_way.peek().is_some_and(|Reverse(parcel)| parcel.due <= now) {
            let Some(Reverse(parcel)) = self.under_way.pop() else { return };
            // A peer that is gone takes nothing.
            if parcel.to_server {
                self.counted.lock().to_server += 1;
                let socket = &self.upstream[&parcel.client].socket;
                let _ = socket.send_to(&parcel.datagram, self.server).await;
            } else {
                self.counted.lock().to_client += 1;
                let _ = self.front.send_to(&parcel.datagram, parcel.client).await;
            }
        }
    }

    /// SplitMix64: the same seed, the same luck.
    fn roll(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.dice ^ (self.dice >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
