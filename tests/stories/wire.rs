//! The wire between server and PostgreSQL, which breaks exactly at a COMMIT.
//!
//! It reads the frames that pass. When a transaction that has written commits, it is cut off either before PostgreSQL
//! hears of it (nothing happened), or after PostgreSQL has done it and before anybody hears of that.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// Of the sequencer's connections, each is cut at its third COMMIT …
const SEQUENCER_NTH: usize = 3;
/// … of the others at the fifth.
const OTHERS_NTH: usize = 5;
/// How the sequencer's connections call themselves at the start.
const SEQUENCER: &[u8] = b"application_name\0hanamichi-sequencer\0";

/// Cuts of one kind of connections.
#[derive(Debug, Default)]
pub struct Cuts {
    next: AtomicUsize,
    before: AtomicUsize,
    after: AtomicUsize,
}

impl Cuts {
    /// Cuts before PostgreSQL heard of the COMMIT, and after it had done it.
    pub fn both(&self) -> (usize, usize) {
        (self.before.load(Ordering::Relaxed), self.after.load(Ordering::Relaxed))
    }
}

#[derive(Debug, Default)]
struct Scissors {
    out: AtomicBool,
    sequencer: Cuts,
    others: Cuts,
}

pub struct Wire {
    pub port: u16,
    scissors: Arc<Scissors>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Wire {
    /// A wire to the server at this `host:port`; whole until [`Wire::cut`].
    pub async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let scissors = Arc::<Scissors>::default();
        let of_all = scissors.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, scissors) = (server.clone(), of_all.clone());
                tokio::spawn(async move {
                    // Whichever end goes, the other is let go too.
                    let _ = carry(client, &server, &scissors).await;
                });
            }
        });
        Self { port, scissors, accepting }
    }

    pub fn cut(&self, cut: bool) {
        self.scissors.out.store(cut, Ordering::Relaxed);
    }

    pub fn sequencer(&self) -> &Cuts {
        &self.scissors.sequencer
    }

    pub fn others(&self) -> &Cuts {
        &self.scissors.others
    }
}

async fn carry(client: TcpStream, server: &str, scissors: &Scissors) -> io::Result<()> {
    let server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, mut to_client): (_, OwnedWriteHalf) = client.into_split();
    let (from_server, mut to_server): (_, OwnedWriteHalf) = server.into_split();
    let mut asked = Frames { from: from_client, buffer: BytesMut::new(), typed: false };
    let mut answered = Frames { from: from_server, buffer: BytesMut::new(), typed: true };
    let (mut cuts, mut nth) = (&scissors.others, OTHERS_NTH);
    let (mut wrote, mut commits, mut swallow) = (false, 0, false);
    loop {
        tokio::select! {
            frame = asked.next() => {
                let Some(frame) = frame? else { return Ok(()) };
                if frame.kind == 0 && frame.bytes.windows(SEQUENCER.len()).any(|part| part == SEQUENCER) {
                    (cuts, nth) = (&scissors.sequencer, SEQUENCER_NTH);
                }
                if frame.is_commit() && std::mem::take(&mut wrote) && scissors.out.load(Ordering::Relaxed) {
                    commits += 1;
                    if commits == nth {
                        if cuts.next.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
                            cuts.before.fetch_add(1, Ordering::Relaxed);
                            return Ok(());
                        }
                        swallow = true;
                    }
                }
                to_server.write_all(&frame.bytes).await?;
            }
            frame = answered.next() => {
                let Some(frame) = frame? else { return Ok(()) };
                match frame.tag() {
                    Some(b"COMMIT") if swallow => {
                        cuts.after.fetch_add(1, Ordering::Relaxed);
                        return Ok(());
                    }
                    Some(tag) => wrote |= is_write(tag),
                    None => {}
                }
                to_client.write_all(&frame.bytes).await?;
            }
        }
    }
}

/// Whether this tells of changed rows: `INSERT 0 3`, `UPDATE 1`.
fn is_write(tag: &[u8]) -> bool {
    [&b"INSERT"[..], b"UPDATE", b"DELETE"].iter().any(|verb| tag.starts_with(verb)) && !tag.ends_with(b" 0")
}

/// A message of the protocol, as it passes: its kind (0 for the first one, which has none) and all its bytes.
struct Frame {
    kind: u8,
    bytes: Bytes,
}

impl Frame {
    /// A simple query that commits.
    fn is_commit(&self) -> bool {
        self.kind == b'Q' && self.bytes[5..].eq_ignore_ascii_case(b"COMMIT\0")
    }

    /// What a CommandComplete says.
    fn tag(&self) -> Option<&[u8]> {
        if self.kind == b'C' { self.bytes[5..].strip_suffix(b"\0") } else { None }
    }
}

struct Frames {
    from: OwnedReadHalf,
    buffer: BytesMut,
    /// Every message but the client's first begins with its kind.
    typed: bool,
}

impl Frames {
    /// The next message; `None` when there are no more. May be dropped and called again.
    async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.take() {
                return Ok(Some(frame));
            }
            if self.from.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let start = usize::from(self.typed);
        let mut length = self.buffer.get(start..start + 4)?;
        let whole = start + usize::try_from(length.get_u32()).expect("64 bits");
        if self.buffer.len() < whole {
            return None;
        }
        let bytes = self.buffer.split_to(whole).freeze();
        let kind = if self.typed { bytes[0] } else { 0 };
        self.typed = true;
        Some(Frame { kind, bytes })
    }
}
