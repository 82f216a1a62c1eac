//! Edge: the sockets of a shard.

use std::io::{self, IoSlice, Read as _, Write as _};

use mio::{Interest, Registry, Token};
use socket2::SockRef;

/// Unsent bytes that the kernel may hold of one connection: more would be stock numbers that are no longer true.
const NOTSENT_LOWAT_BYTES: u32 = 16 * 1024;
/// Bytes on their way and unsent, together; the kernel doubles it.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// A connection's socket: TCP as it is, or the near end of a pair whose far end somebody copies from and to TLS.
#[derive(Debug)]
pub enum Wire {
    /// Plain.
    Tcp(mio::net::TcpStream),
    /// Through a copying task.
    Pair(mio::net::UnixStream),
}

impl Wire {
    /// A TCP connection, with small kernel buffers and without delay.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn tcp(stream: std::net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let options = SockRef::from(&stream);
        options.set_tcp_notsent_lowat(NOTSENT_LOWAT_BYTES)?;
        options.set_send_buffer_size(SEND_BUFFER_BYTES)?;
        Ok(Self::Tcp(mio::net::TcpStream::from_std(stream)))
    }

    /// One end of a socket pair.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn pair(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES)?;
        Ok(Self::Pair(mio::net::UnixStream::from_std(stream)))
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        match self {
            Self::Tcp(stream) => registry.register(stream, token, both),
            Self::Pair(stream) => registry.register(stream, token, both),
        }
    }

    pub(super) fn deregister(&mut self, registry: &Registry) {
        // It closes with its descriptor anyway.
        let _ = match self {
            Self::Tcp(stream) => registry.deregister(stream),
            Self::Pair(stream) => registry.deregister(stream),
        };
    }

    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(into),
            Self::Pair(stream) => stream.read(into),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Pair(stream) => stream.write(bytes),
        }
    }

    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(slices),
            Self::Pair(stream) => stream.write_vectored(slices),
        }
    }
}
