//! Edge: a connection whose client has to say something soon.
//!
//! HTTP's own limit for headers begins when it is known which HTTP is spoken. Until then a client could say nothing, or the
//! half of a first word, and hold its descriptor for ever; over TLS also after a perfect handshake.
//! Invariant: a client that has said its first word is never in the way of this again.

use std::{
    io::{Error, ErrorKind, IoSlice, Result},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// Bytes of HTTP/2's preface: with so many it is known what is spoken. No request of HTTP/1.1 is shorter.
const FIRST_WORD_BYTES: usize = 24;

#[derive(Debug)]
struct Awaited {
    bytes: usize,
    until: Pin<Box<Sleep>>,
}

/// A stream that fails when its client has not said a first word in time.
#[derive(Debug)]
pub(crate) struct FirstWord<S> {
    stream: S,
    awaited: Option<Awaited>,
}

impl<S> FirstWord<S> {
    /// From now on the client has so long.
    pub(crate) fn within(stream: S, time: Duration) -> Self {
        let awaited = Awaited { bytes: FIRST_WORD_BYTES, until: Box::pin(tokio::time::sleep(time)) };
        Self { stream, awaited: Some(awaited) }
    }

    /// The stream itself, of a client that has said enough.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstWord<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut this.stream).poll_read(context, buffer);
        if let Some(awaited) = &mut this.awaited {
            let said = buffer.filled().len() - before;
            if said >= awaited.bytes {
                this.awaited = None;
            } else {
                awaited.bytes -= said;
                if outcome.is_pending() && awaited.until.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Err(Error::from(ErrorKind::TimedOut)));
                }
            }
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstWord<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
