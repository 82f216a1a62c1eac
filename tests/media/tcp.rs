//! ICE over TCP (RFC 6544): peers that have nothing else, and connections that mean no good.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use hanamichi::media::{MediaConfig, MediaEvent};
use reqwest::StatusCode;

use crate::{Server, obs::Obs, peer::Watcher};

/// Strangers are sent away after five seconds, looked for once a second.
const STRANGERS_GO: Duration = Duration::from_secs(8);

impl Server {
    fn dial(&self) -> TcpStream {
        let stream = TcpStream::connect(self.media.addresses()[0]).expect("it listens");
        stream.set_read_timeout(Some(STRANGERS_GO)).expect("a socket");
        stream
    }
}

/// Whether the other side closes; nothing else may come.
async fn is_closed(mut stream: TcpStream) -> bool {
    let read = move || stream.read(&mut [0; 16]);
    let read = tokio::task::spawn_blocking(read).await.expect("it is waited for");
    matches!(&read, Ok(0)) || read.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_without_udp_publish_and_watch() {
    let mut server = Server::start().await;
    let publisher = Obs::start_by_tcp(&server.whip(), "hana").await.expect("on air");
    server.expect(MediaEvent::Up(server.live.clone())).await;
    let by_udp = server.watcher().await;
    let by_tcp = Watcher::start_by_tcp(&server.whep()).await.expect("a picture");
    for watcher in [&by_tcp, &by_udp] {
        assert!(watcher.session.answer.contains(" tcp ") || watcher.session.answer.contains(" udp "));
        watcher.until("three seconds of picture", |w| w.frames() > 72).await;
        watcher.until("sound", |w| w.audio_packets() > 50).await;
        assert_eq!(watcher.gaps_and_repeats(), (0, 0));
    }
    assert!(!by_tcp.session.answer.contains(" udp "), "there was no other way");
    assert!(!publisher.session.answer.contains(" udp "), "there was no other way");
    assert_eq!(by_tcp.end().await, StatusCode::OK);
    assert_eq!(publisher.end().await, StatusCode::OK);
    server.expect(MediaEvent::Away(server.live.clone())).await;
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_strangers_are_closed() {
    let mut server = Server::start().await;
    let publisher = server.publisher().await;
    let watcher = server.watcher().await;
    let (silent, mut half, mut rubbish, mut large) = (server.dial(), server.dial(), server.dial(), server.dial());
    let mut gone = server.dial();
    half.write_all(&[0, 20, 0, 1]).expect("sent");
    for _ in 0..50 {
        rubbish.write_all(&[0, 4, 0, 1, 2, 3, 0, 0, 0, 3, 0x80, 0x60, 7]).expect("sent");
    }
    gone.write_all(&[0, 1]).expect("sent");
    drop(gone);
    large.write_all(&[0xff, 0xff]).expect("sent");
    let since = Instant::now();
    assert!(is_closed(large).await && since.elapsed() < Duration::from_secs(2), "no datagram is so long");
    for (what, stream) in [("silent", silent), ("half a frame", half), ("rubbish", rubbish)] {
        assert!(is_closed(stream).await, "{what}");
        assert!(since.elapsed() < STRANGERS_GO, "{what}: {:?}", since.elapsed());
    }
    let frames = watcher.frames();
    watcher.until("the picture goes on", |w| w.frames() > frames + 24).await;
    assert_eq!(watcher.gaps_and_repeats(), (0, 0));
    publisher.end().await;
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_stops_reading_costs_nobody_else() {
    let mut server = Server::start().await;
    let publisher = server.publisher().await;
    let pipe = Pipe::start(&server);
    let stuck = Watcher::start_by_tcp_with(&server.whep(), |answer| pipe.rewrite(&answer)).await.expect("a picture");
    let other = server.watcher().await;
    stuck.until("a picture", |w| w.frames() > 24).await;
    pipe.stop_reading();
    let before = other.frames();
    // The kernel's buffers fill, then ours, then it is cut off, long before the peer itself gives up.
    let since = Instant::now();
    while !pipe.is_cut() {
        assert!(since.elapsed() < Duration::from_secs(25), "it is still connected");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eprintln!("cut off after {:?}", since.elapsed());
    assert!(server.media.stats().await.datagrams_unsent > 0, "what did not fit was dropped");
    let expected = usize::try_from(since.elapsed().as_millis() * 24 / 1_000).expect("small");
    assert!(other.frames() - before + 24 > expected, "the others saw everything");
    assert_eq!(other.gaps_and_repeats(), (0, 0));
    publisher.end().await;
    server.media.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tcp_there_is_no_candidate_and_no_port() {
    let server = Server::with(MediaConfig { tcp: false, ..MediaConfig::default() }).await;
    let obs = Obs::start(&server.whip(), "hana", 0).await.expect("on air");
    assert!(!obs.session.answer.contains(" tcp "));
    assert!(TcpStream::connect(server.media.addresses()[0]).is_err());
    obs.end().await;
    server.media.stop().await;
}

/// A way between a peer and the server on which reading can stop.
struct Pipe {
    port: u16,
    theirs: u16,
    stopped: Arc<AtomicBool>,
    cut: Arc<AtomicBool>,
}

impl Pipe {
    fn start(server: &Server) -> Self {
        let address = server.media.addresses()[0];
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (stopped, cut) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (stop, end) = (Arc::clone(&stopped), Arc::clone(&cut));
        std::thread::spawn(move || carry(&listener, address, &stop, &end));
        Self { port, theirs: address.port(), stopped, cut }
    }

    fn rewrite(&self, answer: &str) -> String {
        answer.replace(&format!(" {} typ host tcptype", self.theirs), &format!(" {} typ host tcptype", self.port))
    }

    fn stop_reading(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }
}

fn carry(listener: &TcpListener, server: std::net::SocketAddr, stopped: &AtomicBool, cut: &AtomicBool) {
    let (peer, _) = listener.accept().expect("the peer comes");
    let up = TcpStream::connect(server).expect("it listens");
    let (mut from_peer, mut to_server) = (peer.try_clone().expect("a socket"), up.try_clone().expect("a socket"));
    // The peer's own words go on: only its reading stops.
    let upward = std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_peer, &mut to_server);
        // Fails when the server has closed.
        to_server.shutdown(Shutdown::Write)
    });
    let (mut up, mut peer, mut buffer) = (up, peer, [0; 4_096]);
    while !stopped.load(Ordering::SeqCst) {
        match up.read(&mut buffer) {
            Ok(len @ 1..) if peer.write_all(&buffer[..len]).is_ok() => {}
            _ => break,
        }
    }
    // The upward way ends when the server has closed: by then writing to it fails.
    let _ = upward.join();
    cut.store(true, Ordering::SeqCst);
}
