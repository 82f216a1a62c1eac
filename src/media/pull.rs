//! Edge: what one pull from another server needs of its own: a port, because two lives may come from the same place.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use mio::{Interest, Registry, Token};

use super::{
    leg::Pulling,
    socket::{MediaSocket, Sender},
};

/// The other server has to answer within this time.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// A pull's port, and its leg until the other server has answered.
pub(super) struct Pull {
    pub(super) socket: MediaSocket,
    pub(super) sender: Sender,
    pub(super) unanswered: Option<Pulling>,
    since: Instant,
}

impl Pull {
    /// Opens a port on this host's address, or addresses. Returns it with the candidates of the offer.
    pub(super) fn open(
        ip: IpAddr,
        registry: &Registry,
        token: Token,
        now: Instant,
    ) -> io::Result<(Self, Vec<SocketAddr>)> {
        let (mut socket, addresses) = MediaSocket::bind(SocketAddr::new(ip, 0), &[])?;
        registry.register(socket.source(), token, Interest::READABLE)?;
        let sender = socket.sender()?;
        Ok((Self { socket, sender, unanswered: None, since: now }, addresses))
    }

    /// Nobody answered.
    pub(super) fn is_forgotten(&self, now: Instant) -> bool {
        self.unanswered.is_some() && now.saturating_duration_since(self.since) > ANSWER_LIMIT
    }
}
