//! Edge: the one UDP port, and the TCP port of the same number.
//!
//! Owns the sockets of all sessions and the addresses that answers advertise. One thread receives, any number send, each
//! with a handle of its own; connections belong to the one that receives. It never blocks: what the kernel does not take is
//! dropped and counted, as on any network.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::AsFd,
    time::Instant,
};

use socket2::{Domain, Protocol, Socket, Type};

use super::{
    outbox::Outbox,
    streams::{self, Streams},
};

/// Kernel buffers in each direction; a frame for a thousand viewers fits.
const KERNEL_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// An address of the documentation network: asking for the way there tells our own address; nothing is sent.
const ANYWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// Datagrams for connections that wait for a loop's end.
const MAX_STREAMED: usize = 4_096;

/// Ports that are tried until one is free for both UDP and TCP, when any will do.
const PORTS_TRIED: u32 = 16;

pub(super) struct MediaSocket {
    udp: mio::net::UdpSocket,
    is_ipv6: bool,
    streams: Option<Streams>,
}

/// One thread's way out through the port.
pub(super) struct Sender {
    udp: UdpSocket,
    is_ipv6: bool,
    /// What goes over connections, for the thread that has them.
    pub(super) streamed: Vec<(SocketAddr, Vec<u8>)>,
    pub(super) unsent: u64,
}

impl Sender {
    /// What sends many packets at once. It points into this handle, which must outlive it.
    pub(super) fn outbox(&self) -> Outbox {
        Outbox::new(&self.udp, self.is_ipv6)
    }

    pub(super) fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        if streams::unmarked(to).is_some() {
            if self.streamed.len() < MAX_STREAMED {
                self.streamed.push((to, datagram.to_vec()));
            } else {
                self.unsent += 1;
            }
            return;
        }
        let to = match to.ip() {
            IpAddr::V4(ip) if self.is_ipv6 => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
            _ => to,
        };
        if let Err(error) = self.udp.send_to(datagram, to) {
            self.unsent += 1;
            tracing::trace!(%error, "send");
        }
    }
}

impl MediaSocket {
    /// Binds the port. Returns the socket and the addresses to advertise.
    pub(super) fn bind(bind: SocketAddr, advertise: &[IpAddr]) -> io::Result<(Self, Vec<SocketAddr>)> {
        let socket = Socket::new(Domain::for_address(bind), Type::DGRAM, Some(Protocol::UDP))?;
        if bind.is_ipv6() {
            socket.set_only_v6(!bind.ip().is_unspecified())?;
        }
        // The kernel caps what it grants; less is slower, not wrong.
        let _ = socket.set_recv_buffer_size(KERNEL_BUFFER_BYTES);
        let _ = socket.set_send_buffer_size(KERNEL_BUFFER_BYTES);
        socket.set_nonblocking(true)?;
        socket.bind(&bind.into())?;
        let udp: UdpSocket = socket.into();
        let local = udp.local_addr()?;
        let ips = if advertise.is_empty() { own_addresses(local.ip()) } else { advertise.to_vec() };
        let addresses = ips.into_iter().map(|ip| SocketAddr::new(ip, local.port())).collect();
        let udp = mio::net::UdpSocket::from_std(udp);
        Ok((Self { udp, is_ipv6: bind.is_ipv6(), streams: None }, addresses))
    }

    /// Binds the port for UDP, and when `tcp` is wanted for TCP too.
    pub(super) fn open(
        bind: SocketAddr,
        advertise: &[IpAddr],
        tcp: bool,
        registry: &mio::Registry,
    ) -> io::Result<(Self, Vec<SocketAddr>)> {
        let mut tried = 0;
        loop {
            tried += 1;
            let (mut socket, addresses) = Self::bind(bind, advertise)?;
            if !tcp {
                return Ok((socket, addresses));
            }
            let (local, only_v6) = (socket.udp.local_addr()?, !bind.ip().is_unspecified());
            match Streams::listen(local, only_v6, registry.try_clone()?) {
                Ok(streams) => {
                    socket.streams = Some(streams);
                    return Ok((socket, addresses));
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && bind.port() == 0 && tried < PORTS_TRIED => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What the poll said of connections.
    pub(super) fn hear(&mut self, events: &mio::Events, now: Instant) {
        if let Some(streams) = &mut self.streams {
            streams.hear(events, now);
        }
    }

    /// Sends over a connection, or drops what is too much for it.
    pub(super) fn send_streamed(&mut self, to: SocketAddr, datagram: &[u8]) {
        if let Some(streams) = &mut self.streams {
            streams.send(to, datagram);
        }
    }

    /// Hands connections what waits for them.
    pub(super) fn flush(&mut self, now: Instant) {
        if let Some(streams) = &mut self.streams {
            streams.flush(now);
        }
    }

    /// Packets that connections were too slow for.
    pub(super) fn unsent_by_streams(&self) -> u64 {
        self.streams.as_ref().map_or(0, |streams| streams.unsent)
    }

    /// A handle for one more thread that sends.
    pub(super) fn sender(&self) -> io::Result<Sender> {
        let udp = UdpSocket::from(self.udp.as_fd().try_clone_to_owned()?);
        Ok(Sender { udp, is_ipv6: self.is_ipv6, streamed: Vec::new(), unsent: 0 })
    }

    pub(super) fn source(&mut self) -> &mut mio::net::UdpSocket {
        &mut self.udp
    }

    /// The next datagram; `None` when there is none.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        loop {
            match self.udp.recv_from(buffer) {
                Ok((len, source)) => return Some((len, SocketAddr::new(source.ip().to_canonical(), source.port()))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.streams.as_mut().and_then(|streams| streams.receive(buffer));
                }
                // An earlier datagram could not be delivered (ICMP): says nothing about this one.
                Err(error) => tracing::trace!(%error, "receive"),
            }
        }
    }
}

/// The first address under which others may reach a socket that is bound to `ip`.
#[must_use]
pub fn own_address(ip: IpAddr) -> IpAddr {
    own_addresses(ip).into_iter().next().unwrap_or(ip)
}

/// The addresses under which a peer may reach a socket that is bound to `ip`.
fn own_addresses(ip: IpAddr) -> Vec<IpAddr> {
    if !ip.is_unspecified() {
        return vec![ip];
    }
    let outward = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|probe| {
        probe.connect(ANYWHERE)?;
        Ok(probe.local_addr()?.ip())
    });
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    outward.into_iter().filter(|ip| *ip != loopback && !ip.is_unspecified()).chain([loopback]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_socket_advertises_addresses_that_a_peer_can_reach() {
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let (_, addresses) = MediaSocket::bind(any, &[]).expect("a free port");
        assert!(addresses.iter().any(|address| address.ip() == Ipv4Addr::LOCALHOST));
        assert!(addresses.iter().all(|address| address.port() != 0 && !address.ip().is_unspecified()));
    }

    #[test]
    fn the_operators_addresses_are_taken_as_they_are() {
        let public = IpAddr::from([203, 0, 113, 7]);
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let (_, addresses) = MediaSocket::bind(any, &[public]).expect("a free port");
        assert_eq!(addresses.iter().map(SocketAddr::ip).collect::<Vec<_>>(), [public]);
    }
}
