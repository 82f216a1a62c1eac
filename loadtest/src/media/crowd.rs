//! Engine: everybody at the other end: the publisher, the viewers, and the threads that they live on.
//!
//! The publisher and the full viewers have a thread of their own, so that an age does not grow while other viewers'
//! packets are looked at. Every viewer has its own socket: that is what a server sees in real life.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::Ordering::Relaxed,
        mpsc::{self, Sender},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use mio::{Waker, net::UdpSocket};
use socket2::SockRef;

use super::{
    publisher::Stream,
    sdp::{Own, Remote, Types},
    thread::{self, Counts, Member, Order, Who},
    transport::{Identity, Transport},
    viewer::{Depth, Seen, Viewer},
};

/// A socket holds so much of what its thread has not taken: seconds of one viewer's stream.
const SOCKET_BYTES: usize = 2 * 1024 * 1024;
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A thread of the crowd answers within this, or is stuck.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// What is on its way has come after this, and what is lost counts as lost.
const SETTLE: Duration = Duration::from_millis(1_200);

struct Thread {
    orders: Sender<Order>,
    waker: Waker,
}

/// Which thread somebody lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Front = 0,
    Rest = 1,
}

/// Somebody in the crowd.
#[derive(Debug, Clone, Copy)]
pub struct Name {
    place: Place,
    name: u32,
}

/// The crowd.
pub struct Crowd {
    threads: Vec<Thread>,
    pub counts: Arc<Counts>,
    viewers: usize,
    ports: Vec<u16>,
    next_name: u32,
}

/// A socket that is bound, but belongs to nobody yet.
pub struct Seat {
    socket: std::net::UdpSocket,
    pub address: SocketAddr,
}

impl Seat {
    /// Takes a free port.
    pub fn take(ip: IpAddr) -> anyhow::Result<Self> {
        let socket = std::net::UdpSocket::bind((ip, 0)).context("no free port")?;
        SockRef::from(&socket).set_recv_buffer_size(SOCKET_BYTES)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }
}

impl Crowd {
    /// Starts the threads.
    pub fn new() -> anyhow::Result<Self> {
        let counts = Arc::new(Counts::begin());
        let thread = |name: &str| {
            let (orders, inbox) = mpsc::channel();
            let (poll, waker) = thread::open()?;
            let counts = Arc::clone(&counts);
            std::thread::Builder::new().name(name.to_owned()).spawn(move || thread::run(poll, &inbox, &counts))?;
            anyhow::Ok(Thread { orders, waker })
        };
        let threads = vec![thread("front")?, thread("rest")?];
        Ok(Self { threads, counts, viewers: 0, ports: Vec::new(), next_name: 1 })
    }

    /// Somebody publishes; gives their name.
    pub fn publish(
        &mut self,
        seat: Seat,
        identity: &Identity,
        (own, remote): (Own, Remote),
        stream: Stream,
    ) -> anyhow::Result<Name> {
        let who = Who::Publisher { types: remote.types, stream, publisher: None };
        self.enter(seat, identity, own, remote, who, Place::Front)
    }

    /// Somebody watches who asked to be let in at that time; gives their name.
    pub fn watch(
        &mut self,
        seat: Seat,
        identity: &Identity,
        (own, remote): (Own, Remote),
        depth: Depth,
        posted: Instant,
    ) -> anyhow::Result<Name> {
        let place = if depth == Depth::Sample { Place::Rest } else { Place::Front };
        let who = Who::Viewer(Box::new(Viewer::new(remote.types, depth, self.next_name + 1, posted)));
        self.viewers += 1;
        self.ports.push(seat.address.port());
        self.enter(seat, identity, own, remote, who, place)
    }

    /// Somebody takes what a loop sends that is no server.
    pub fn take(&mut self, seat: Seat, types: Types) -> anyhow::Result<()> {
        let who = Who::Viewer(Box::new(Viewer::new(types, Depth::Headers, 0, Instant::now())));
        self.viewers += 1;
        self.ports.push(seat.address.port());
        let member = Member { name: 0, socket: UdpSocket::from_std(seat.socket), transport: None, who };
        self.order(Place::Rest, Order::Enter(Box::new(member)))
    }

    fn enter(
        &mut self,
        seat: Seat,
        identity: &Identity,
        own: Own,
        remote: Remote,
        who: Who,
        place: Place,
    ) -> anyhow::Result<Name> {
        let to = remote.addresses.iter().find(|to| to.ip() == seat.address.ip());
        let to = *to.with_context(|| format!("the server is not at {}: {:?}", seat.address.ip(), remote.addresses))?;
        seat.socket.connect(to)?;
        let transport = Transport::new(identity, own, remote, (seat.address, to), Instant::now());
        let socket = UdpSocket::from_std(seat.socket);
        self.next_name += 1;
        let member = Member { name: self.next_name, socket, transport: Some(Box::new(transport)), who };
        self.order(place, Order::Enter(Box::new(member)))?;
        Ok(Name { place, name: self.next_name })
    }

    /// Somebody is gone without a word; gives what a viewer saw.
    pub async fn leave(&mut self, who: Name) -> anyhow::Result<Option<Seen>> {
        let (reply, answer) = mpsc::channel();
        self.order(who.place, Order::Leave(who.name, reply))?;
        let answer = tokio::task::spawn_blocking(move || answer.recv_timeout(ANSWER_WITHIN)).await?;
        let seen = answer.context("a thread of the crowd does not answer")?;
        self.viewers -= usize::from(seen.is_some());
        Ok(seen)
    }

    fn order(&self, place: Place, order: Order) -> anyhow::Result<()> {
        let thread = &self.threads[place as usize];
        thread.orders.send(order).ok().context("a thread of the crowd is gone")?;
        Ok(thread.waker.wake()?)
    }

    /// Waits until everybody has a picture.
    pub async fn until_all_watch(&self, within: Duration) -> anyhow::Result<()> {
        let by = Instant::now() + within;
        while self.counts.watching.load(Relaxed) < self.viewers {
            if Instant::now() > by {
                let failures: Vec<String> = self.seen().await?.into_iter().filter_map(|seen| seen.failure).collect();
                let (watching, first) = (self.counts.watching.load(Relaxed), failures.first());
                bail!("{watching} of {} viewers have a picture after {within:?}; {first:?}", self.viewers);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// What every viewer saw, after what is on its way has come.
    pub async fn settled(&self) -> anyhow::Result<Vec<Seen>> {
        tokio::time::sleep(SETTLE).await;
        self.seen().await
    }

    /// What every viewer saw until now. Ages are told once.
    pub async fn seen(&self) -> anyhow::Result<Vec<Seen>> {
        let mut all = Vec::with_capacity(self.viewers);
        for place in [Place::Front, Place::Rest] {
            let (reply, answer) = mpsc::channel();
            self.order(place, Order::Report(reply))?;
            let answer = tokio::task::spawn_blocking(move || answer.recv_timeout(ANSWER_WITHIN)).await?;
            all.extend(answer.context("a thread of the crowd does not answer")?);
        }
        Ok(all)
    }

    /// Datagrams that our own sockets had no room for: the crowd was too slow, not the server.
    pub fn overflown(&self) -> u64 {
        overflown(&std::fs::read_to_string("/proc/net/udp").unwrap_or_default(), &self.ports)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // The channel closes first, so the thread finds it closed.
        let (orders, _) = mpsc::channel();
        self.orders = orders;
        let _ = self.waker.wake();
    }
}

/// The last column of the lines of these ports.
fn overflown(table: &str, ports: &[u16]) -> u64 {
    let drops = |line: &str| {
        let mut fields = line.split_whitespace();
        let port = u16::from_str_radix(fields.nth(1)?.rsplit_once(':')?.1, 16).ok()?;
        ports.contains(&port).then(|| fields.last()?.parse::<u64>().ok())?
    };
    table.lines().skip(1).filter_map(drops).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_read_of_our_own_sockets_only() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
             15: 0100007F:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000  0 0 1 2 0 12\n\
             16: 0100007F:1F91 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  0 0 1 2 0 5\n";
        assert_eq!(overflown(table, &[0x1f91]), 5);
        assert_eq!(overflown(table, &[0x1f90, 0x1f91]), 17);
        assert_eq!(overflown("", &[1]), 0);
    }
}
