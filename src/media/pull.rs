//! Edge: what one pull from another server needs of its own: a port, because two lives may come from the same place.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use mio::{Interest, Registry, Token};

use super::{
    leg::Pulling,
    socket::{MediaSocket, Sender},
};

/// A pull's port, and its leg until the other server has answered.
pub(super) struct Pull {
    pub(super) socket: MediaSocket,
    pub(super) sender: Sender,
    pub(super) unanswered: Option<Pulling>,
}

impl Pull {
    /// Opens a port on this host's address, or addresses. Returns it with the candidates of the offer.
    pub(super) fn open(ip: IpAddr, registry: &Registry, token: Token) -> io::Result<(Self, Vec<SocketAddr>)> {
        let (mut socket, addresses) = MediaSocket::bind(SocketAddr::new(ip, 0), &[])?;
        registry.register(socket.source(), token, Interest::READABLE)?;
        let sender = socket.sender()?;
        Ok((Self { socket, sender, unanswered: None }, addresses))
    }
}
