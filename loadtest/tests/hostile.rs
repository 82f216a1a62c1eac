//! Hostile peers before a whole media room, and honest viewers in it, whose every packet is watched meanwhile.
//!
//! One after the other: a flood beside another one would be told as the other's.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use hanamichi::{
    ids::LiveId,
    media::{Media, MediaConfig, MediaError, MediaEvent, MediaStats},
};
use loadtest::media::{
    crowd::{Crowd, Seat},
    publisher::Stream,
    rtp::{self, Header},
    sdp::{self, Own, Remote, Setup, Way},
    stun,
    transport::{Heard, Identity, Transport},
    viewer::{Depth, Seen},
};
use tokio::sync::{Mutex, MutexGuard, mpsc::Receiver};

static TURN: Mutex<()> = Mutex::const_new(());

const HONEST: usize = 3;
/// How long each attack goes on.
const ATTACK: Duration = Duration::from_secs(2);
/// Datagrams of a flood in each of these, 10,000 a second: what a socket's buffer holds until its thread is there.
const BURST: usize = 100;
const BURST_EVERY: Duration = Duration::from_millis(10);
/// Honest viewers' packets are no older than before by more than these, at the median and for all but a few: a machine
/// that runs other things, too, is late by itself.
const LATER_MS: f64 = 15.0;
const MUCH_LATER_MS: f64 = 200.0;
const PICTURE_WITHIN: Duration = Duration::from_secs(20);
const PICTURE: Way = Way::Send { video: 11, sound: 12 };
/// What the whole process, crowd and all, may grow by for a hostile publisher.
const MAX_GROWN_KIB: u64 = 8 * 1_024;
/// A session that is not connected by then is dropped; and a second for a machine that is late.
const HALF_OPEN_FOR: Duration = Duration::from_secs(17);

/// A room with a live that honest viewers watch.
struct Room {
    media: Media,
    events: Receiver<MediaEvent>,
    live: LiveId,
    identity: Identity,
    crowd: Crowd,
    quiet_ms: (f64, f64),
    turn: Option<MutexGuard<'static, ()>>,
}

fn ages_ms(seen: &[Seen]) -> (f64, f64) {
    let mut ages: Vec<u64> = seen.iter().flat_map(|seen| seen.ages_us.iter().copied()).collect();
    ages.sort_unstable();
    assert!(ages.len() > 300, "somebody watched: {} packets", ages.len());
    #[expect(clippy::cast_precision_loss, reason = "some milliseconds")]
    let at = |percent: usize| ages[(ages.len() - 1) * percent / 100] as f64 / 1_000.0;
    (at(50), at(99))
}

impl Room {
    async fn open(config: MediaConfig) -> Self {
        let turn = TURN.lock().await;
        let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (media, events) = Media::start(MediaConfig { bind, ..config }).expect("a free port");
        let (identity, crowd) = (Identity::fresh().expect("keys"), Crowd::new().expect("threads"));
        let live = LiveId::fresh();
        let mut room = Self { media, events, live, identity, crowd, quiet_ms: (0.0, 0.0), turn: Some(turn) };
        let seat = Seat::take(Ipv4Addr::LOCALHOST.into()).expect("a port");
        let (own, remote, _) = room.publish(&room.live.clone()).await;
        let stream = Stream { ssrcs: (11, 12), spread: Duration::ZERO, slowed_by: 1 };
        room.crowd.publish(seat, &room.identity, (own, remote), stream).expect("a place");
        room.expect_up().await;
        for _ in 0..HONEST {
            room.honest().await;
        }
        room.crowd.until_all_watch(PICTURE_WITHIN).await.expect("a picture");
        tokio::time::sleep(Duration::from_secs(1)).await;
        room.quiet_ms = ages_ms(&room.watched(tokio::time::sleep(Duration::from_secs(1))).await);
        room
    }

    async fn expect_up(&mut self) {
        let event = tokio::time::timeout(Duration::from_secs(10), self.events.recv()).await.expect("in time");
        assert!(matches!(event, Some(MediaEvent::Up(_))), "{event:?}");
    }

    async fn publish(&self, live: &LiveId) -> (Own, Remote, String) {
        let own = self.identity.own(PICTURE);
        let offer = sdp::offer(&own, Setup::Either);
        let answer = self.media.publish(live.clone(), "hana".into(), offer).await.expect("an answer");
        (own, Remote::read(&answer.sdp).expect("an answer"), answer.sdp)
    }

    async fn watch(&self) -> Result<(Own, Remote), MediaError> {
        let own = self.identity.own(Way::Receive);
        let answer = self.media.watch(self.live.clone(), sdp::offer(&own, Setup::Either)).await?;
        Ok((own, Remote::read(&answer.sdp).expect("an answer")))
    }

    async fn honest(&mut self) {
        let (seat, posted) = (Seat::take(Ipv4Addr::LOCALHOST.into()).expect("a port"), Instant::now());
        let entry = self.watch().await.expect("let in");
        let depth = Depth::Full { pretends: false };
        self.crowd.watch(seat, &self.identity, entry, depth, posted).expect("a place");
    }

    /// What the honest saw while something happened: all of it.
    async fn watched(&self, happens: impl Future<Output = ()>) -> Vec<Seen> {
        let _ = self.crowd.seen().await.expect("ages until now");
        self.crowd.counts.timed.store(true, Relaxed);
        happens.await;
        self.crowd.counts.timed.store(false, Relaxed);
        let all = self.crowd.settled().await.expect("an answer");
        assert_eq!(all.len(), HONEST);
        for seen in &all {
            let faults = [seen.lost, seen.hidden, seen.repeated, seen.damaged, seen.disordered, seen.shifted];
            assert_eq!((faults, &seen.failure), ([0; 6], &None), "{seen:?}");
        }
        all
    }

    /// Watches while a flood goes on, on a thread of its own; what the room has counted since.
    async fn under(&self, mut attack: impl FnMut() + Send + 'static) -> MediaStats {
        let before = self.media.stats().await;
        let flood = async move {
            let attack = tokio::task::spawn_blocking(move || {
                let (began, mut next) = (Instant::now(), Instant::now());
                while began.elapsed() < ATTACK {
                    attack();
                    next += BURST_EVERY;
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            });
            attack.await.expect("the attack goes on");
        };
        let (p50, p99) = ages_ms(&self.watched(flood).await);
        let ((quiet_p50, quiet_p99), after) = (self.quiet_ms, self.media.stats().await);
        eprintln!("ages {quiet_p50:.1} and {quiet_p99:.1} ms, under attack {p50:.1} and {p99:.1}");
        assert!(p50 < quiet_p50 + LATER_MS && p99 < quiet_p99 + MUCH_LATER_MS, "{p50} {p99}");
        MediaStats {
            packets_received: after.packets_received - before.packets_received,
            packets_forwarded: after.packets_forwarded - before.packets_forwarded,
            packets_resent: after.packets_resent - before.packets_resent,
            keyframes_asked: after.keyframes_asked - before.keyframes_asked,
            datagrams_unknown: after.datagrams_unknown - before.datagrams_unknown,
            ..after
        }
    }

    fn port(&self) -> SocketAddr {
        self.media.addresses()[0]
    }

    /// A peer whose transport stands, and which does not do what it should.
    fn mallory(&self, own: Own, remote: Remote) -> Mallory {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        socket.connect(self.port()).expect("a route");
        socket.set_read_timeout(Some(Duration::from_millis(5))).expect("a socket");
        let way = (socket.local_addr().expect("bound"), self.port());
        let transport = Transport::new(&self.identity, own, remote, way, Instant::now());
        let mut mallory = Mallory { transport, socket, media_ssrc: 0, newest: 0 };
        let by = Instant::now() + Duration::from_secs(10);
        while mallory.transport.profile().is_none() {
            assert!(Instant::now() < by && mallory.transport.failure().is_none(), "no connection");
            mallory.turn();
        }
        mallory
    }

    async fn stop(self) {
        self.media.stop().await;
    }
}

struct Mallory {
    transport: Transport,
    socket: UdpSocket,
    /// Of the picture that comes, and its newest number.
    media_ssrc: u32,
    newest: u16,
}

impl Mallory {
    /// Keeps the connection alive, and takes what comes.
    fn turn(&mut self) {
        let (mut out, mut buffer, now) = (Vec::new(), [0; 2_048], Instant::now());
        self.transport.tick(now, &mut out);
        while let Ok(len) = self.socket.recv(&mut buffer) {
            let heard = self.transport.receive(now, &buffer[..len], &mut out);
            if heard == Heard::Media
                && !rtp::is_rtcp(&buffer[..len])
                && let Some(header) = Header::parse(&buffer[..len])
                && len > 1_000
            {
                (self.media_ssrc, self.newest) = (header.ssrc, header.seq);
            }
            if heard == Heard::Up || now.elapsed() > BURST_EVERY {
                break;
            }
        }
        out.iter().for_each(|datagram| self.send(datagram));
    }

    fn send(&self, datagram: &[u8]) {
        // What the kernel does not take is not sent; nobody here minds.
        let _ = self.socket.send(datagram);
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom(&mut bytes);
    bytes
}

fn getrandom(bytes: &mut [u8]) {
    use aws_lc_rs::rand::SecureRandom;
    aws_lc_rs::rand::SystemRandom::new().fill(bytes).expect("randomness");
}

/// Sockets of many addresses.
fn crowd_of_strangers(to: SocketAddr) -> Vec<UdpSocket> {
    let stranger = |n: u8| {
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 1, n), 0)).expect("a port");
        socket.connect(to).expect("a route");
        socket.set_nonblocking(true).expect("a socket");
        socket
    };
    (1..=100).map(stranger).collect()
}

fn unanswered(strangers: &[UdpSocket]) -> bool {
    strangers.iter().all(|socket| socket.recv(&mut [0; 100]).is_err())
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_cost_a_look_and_are_counted() {
    let room = Room::open(MediaConfig::default()).await;
    let strangers = crowd_of_strangers(room.port());
    let ours: Vec<UdpSocket> = strangers.iter().map(|socket| socket.try_clone().expect("a socket")).collect();
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = std::sync::Arc::clone(&sent);
    let seen = room
        .under(move || {
            for stranger in strangers.iter().take(BURST) {
                let mut rubbish = random::<200>();
                let len = 1 + usize::from(rubbish[1]) % 199;
                rubbish[0] = [0, 1, 3, 22, 63, 100, 128, 144, 191, 255][usize::from(rubbish[1]) % 10];
                counted.fetch_add(u64::from(stranger.send(&rubbish[..len]).is_ok()), Relaxed);
            }
        })
        .await;
    let sent = sent.load(Relaxed);
    assert!(sent > 5_000 && seen.datagrams_unknown <= sent, "{sent} {seen:?}");
    assert!(seen.datagrams_unknown * 100 > sent * 80, "{sent} were sent, {} counted", seen.datagrams_unknown);
    assert!(unanswered(&ours), "nobody answers strangers");
    assert_eq!((seen.sessions, seen.packets_resent), (HONEST + 1, 0));
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_with_wrong_names_and_passwords_are_not_answered() {
    let room = Room::open(MediaConfig::default()).await;
    let (own, remote) = room.watch().await.expect("let in");
    let strangers = crowd_of_strangers(room.port());
    let ours: Vec<UdpSocket> = strangers.iter().map(|socket| socket.try_clone().expect("a socket")).collect();
    let right = format!("{}:{}", remote.ufrag, own.ufrag);
    let seen = room
        .under(move || {
            for (n, stranger) in strangers.iter().enumerate() {
                let name = if n % 2 == 0 { "nobody:knows" } else { &right };
                let check = stun::check(random(), name, "a wrong password of 24 c", stun::Role::Controls, 1);
                let _ = stranger.send(&check);
            }
        })
        .await;
    assert!(unanswered(&ours), "only who has the password is answered");
    assert!(seen.datagrams_unknown > 1_500, "every other name is nobody's: {seen:?}");
    // The session that was named can still be taken by whom it belongs to.
    let mut mallory = room.mallory(own, remote);
    let by = Instant::now() + Duration::from_secs(5);
    while mallory.media_ssrc == 0 && Instant::now() < by {
        mallory.turn();
    }
    assert_ne!(mallory.media_ssrc, 0, "it has a picture");
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_asks_without_end_gets_its_share() {
    let room = Room::open(MediaConfig::default()).await;
    let (own, remote) = room.watch().await.expect("let in");
    let mut mallory = room.mallory(own, remote);
    let seen = room
        .under(move || {
            mallory.turn();
            let (own, media) = (99, mallory.media_ssrc);
            for n in 0..BURST {
                let mut compound = Vec::new();
                rtp::receiver_report(own, &[], &mut compound);
                match n % 4 {
                    // Everything of the last second.
                    0 => {
                        let seqs: Vec<u16> = (0..200).map(|n| mallory.newest.wrapping_sub(n)).collect();
                        rtp::nack(own, media, &seqs, &mut compound);
                    }
                    1 => {
                        compound.extend([0x81, 206, 0, 2, 0, 0, 0, 99]);
                        compound.extend(media.to_be_bytes());
                    }
                    2 => compound.extend(random::<400>()),
                    _ => {
                        let mut forged = random::<100>();
                        (forged[0], forged[1]) = (0x81, 201);
                        mallory.send(&forged);
                        continue;
                    }
                }
                if let Some(sealed) = mallory.transport.seal_rtcp(&compound) {
                    mallory.send(&sealed);
                }
            }
        })
        .await;
    eprintln!("{} keyframes, {} again of {}", seen.keyframes_asked, seen.packets_resent, seen.packets_forwarded);
    assert!(seen.keyframes_asked <= 2 * ATTACK.as_secs() + 2, "{seen:?}");
    // A fifth of what it gets, and what may be sent at once.
    let share = seen.packets_forwarded / (HONEST as u64 + 1) / 5;
    assert!(seen.packets_resent > 10 && seen.packets_resent <= share + 200, "{seen:?}");
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_of_rubbish_harms_itself_only() {
    let mut room = Room::open(MediaConfig::default()).await;
    let live = LiveId::fresh();
    let (own, remote, _) = room.publish(&live).await;
    let types = remote.types;
    let mut mallory = room.mallory(own, remote);
    let before = loadtest::server::rss_kib(std::process::id());
    let seen = room
        .under(move || {
            mallory.turn();
            for n in 0..BURST {
                let mut packet = Vec::new();
                let [pt, a, b, c, d, e, f, g] = random();
                let pt = [types.video, types.resent, types.sound, pt & 0x7f][n % 4];
                let ssrc = if n % 3 == 0 { 11 } else { u32::from_be_bytes([a, b, c, d]) };
                let (seq, ts) = (u16::from_be_bytes([e, f]), u32::from_be_bytes([g, a, b, c]));
                let header = Header { pt, marker: n % 5 == 0, seq, ts, ssrc, payload_at: rtp::HEADER_BYTES };
                header.write(&mut packet);
                if n % 2 == 0 {
                    // With the name of the first medium, by which a library finds home what it does not know.
                    packet[0] |= 0x10;
                    packet.extend([0xbe, 0xde, 0, 1, 4 << 4, b'0', 0, 0]);
                }
                packet.extend(&random::<300>()[..usize::from(a) + 1]);
                let sealed = match n % 8 {
                    // Not sealed at all.
                    0 => Some(packet),
                    1 => {
                        let mut compound = random::<120>();
                        (compound[0], compound[1]) = (0x80 | a & 0x1f, 200 + b % 8);
                        mallory.transport.seal_rtcp(&compound)
                    }
                    _ => mallory.transport.seal(&packet),
                };
                if let Some(sealed) = sealed {
                    mallory.send(&sealed);
                }
            }
        })
        .await;
    let grown = loadtest::server::rss_kib(std::process::id()).saturating_sub(before);
    eprintln!("{} packets of everybody were taken; {grown} KiB more", seen.packets_received);
    assert!(grown < MAX_GROWN_KIB, "{grown} KiB");
    // Somebody else with the same key does it right.
    let _ = room.events.try_recv();
    let (own, remote, _) = room.publish(&live).await;
    let seat = Seat::take(Ipv4Addr::LOCALHOST.into()).expect("a port");
    let stream = Stream { ssrcs: (11, 12), spread: Duration::ZERO, slowed_by: 1 };
    let mut others = Crowd::new().expect("threads");
    others.publish(seat, &room.identity, (own, remote), stream).expect("a place");
    room.live = live;
    let by = Instant::now() + Duration::from_secs(10);
    while room.watch().await.is_err() {
        assert!(Instant::now() < by, "the honest successor is on air");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (seat, posted) = (Seat::take(Ipv4Addr::LOCALHOST.into()).expect("a port"), Instant::now());
    let entry = room.watch().await.expect("let in");
    others.watch(seat, &room.identity, entry, Depth::Full { pretends: false }, posted).expect("a place");
    others.until_all_watch(PICTURE_WITHIN).await.expect("a picture");
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_are_never_used_are_bounded_and_expire() {
    const MAX: usize = 60;
    const ASKED: usize = 2_000;
    let mut room = Room::open(MediaConfig { max_sessions: MAX, ..MediaConfig::default() }).await;
    let (mut open, mut full) = (0, 0);
    let asked = Instant::now();
    let flood = async {
        for n in 0..ASKED {
            match room.watch().await {
                Ok(_) => open += 1,
                Err(MediaError::Full) => full += 1,
                Err(error) => panic!("{error}"),
            }
            // As fast as one host asks: 1,000 a second.
            if n % 10 == 0 {
                tokio::time::sleep(BURST_EVERY).await;
            }
        }
    };
    let (p50, p99) = ages_ms(&room.watched(flood).await);
    eprintln!("{open} open, {full} refused in {:?}; ages {p50:.1} and {p99:.1} ms", asked.elapsed());
    assert!(p50 < room.quiet_ms.0 + LATER_MS && p99 < room.quiet_ms.1 + MUCH_LATER_MS, "{p50} {p99}");
    assert_eq!((open + HONEST + 1, open + full), (MAX, ASKED));
    assert_eq!(room.media.stats().await.sessions, MAX);
    // Nobody is disturbed by waiting.
    room.turn = None;
    tokio::time::sleep(HALF_OPEN_FOR.saturating_sub(asked.elapsed())).await;
    assert_eq!(room.media.stats().await.sessions, HONEST + 1, "who never came is forgotten");
    room.honest().await;
    room.crowd.until_all_watch(PICTURE_WITHIN).await.expect("there is room again");
    room.stop().await;
}
