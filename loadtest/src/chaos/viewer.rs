//! Edge: one viewer who is made to misbehave.
//!
//! Reads the socket itself, so that it can stop reading, read slowly, or leave a connection lying about. Its receive
//! buffer is small, so that the server feels it soon. Comes back whenever it can, until the run is over.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, bail};
use hanamichi::{
    live::Codec,
    wire::{self, client_frame},
};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::watch,
    time::Instant,
};

use super::{
    plan::{Dice, Manner},
    witness::Witness,
};
use crate::hub::frame::{self, Upgrade};

/// Receive buffer of a viewer.
const RECEIVE_BUFFER: usize = 8 * 1024;
/// Read at once by somebody who reads slowly, and how often: two kilobytes a second.
const DRIP_BYTES: usize = 256;
const DRIP_EVERY: Duration = Duration::from_millis(125);
/// A connection that was left lying about is closed after this, if the server has not.
const GRAVE: Duration = Duration::from_secs(45);
/// A server that does not take an upgrade within this counts as gone.
const UPGRADE_WITHIN: Duration = Duration::from_secs(10);
/// Bytes read at once.
const SCRATCH: usize = 16 * 1024;

/// What the run tells a viewer; the number tells one order from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    pub number: u64,
    pub manner: Option<Manner>,
}

/// Who a viewer is.
#[derive(Debug, Clone)]
pub struct Person {
    pub nodes: Arc<[SocketAddr]>,
    pub live: String,
    pub codec: Codec,
    /// The node it goes to first; after that to any.
    pub node: usize,
    /// Which of them were ever killed.
    pub killed: Arc<[AtomicBool]>,
}

/// The viewer's memory, which the run may look into.
pub type Memory = Arc<Mutex<Witness>>;

/// A look into a memory.
pub fn remember<T>(memory: &Memory, look: impl FnOnce(&mut Witness) -> T) -> T {
    // A viewer that fell over is a fault by itself; its memory is as good as it was.
    look(&mut memory.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Why a connection is over.
enum Over {
    Cut { away: Duration },
    Left,
    Broken,
}

/// Watches until the run is over, which is when nobody tells it anything any more.
pub async fn watch(mut person: Person, memory: Memory, mut told: watch::Receiver<Told>, mut dice: Dice) {
    let mut graves: Vec<(Instant, TcpStream)> = Vec::new();
    loop {
        graves.retain(|(until, _)| *until > Instant::now());
        let over = match tokio::time::timeout(UPGRADE_WITHIN, enter(&person, &memory)).await {
            Ok(Ok(line)) => line.stay(&memory, &mut told, &mut graves).await,
            Ok(Err(_)) | Err(_) => Over::Broken,
        };
        person.node = dice.below(person.nodes.len());
        let away = match over {
            Over::Left => return,
            Over::Cut { away } => away,
            Over::Broken => dice.between(50, 200),
        };
        tokio::time::sleep(away).await;
        if told.has_changed().is_err() {
            return;
        }
    }
}

/// A connection.
struct Line {
    stream: TcpStream,
    codec: Codec,
    inbox: Vec<u8>,
}

async fn enter(person: &Person, memory: &Memory) -> anyhow::Result<Line> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(u32::try_from(RECEIVE_BUFFER)?)?;
    let to = *person.nodes.get(person.node).context("a node")?;
    let mut stream = socket.connect(to).await?;
    SockRef::from(&stream).set_tcp_nodelay(true)?;
    let upgrade = Upgrade {
        host: to.to_string(),
        path: format!("/v1/lives/{}/hub", person.live),
        protocol: person.codec.subprotocol().to_owned(),
        cookie: String::new(),
    };
    stream.write_all(&upgrade.request()).await?;
    let mut inbox = Vec::new();
    let head = loop {
        if stream.read_buf(&mut inbox).await? == 0 {
            bail!("closed before the upgrade");
        }
        if let Some(head) = frame::answered(&inbox).map_err(anyhow::Error::msg)? {
            break head;
        }
    };
    inbox.drain(..head);
    let killed = person.killed[person.node].load(Relaxed);
    let resume = remember(memory, |witness| witness.connects(killed));
    let mut line = Line { stream, codec: person.codec, inbox };
    let frame = wire::ClientFrame { id: 0, body: Some(client_frame::Body::Resume(resume)) };
    let opcode = if person.codec == Codec::Json { frame::TEXT } else { frame::BINARY };
    line.say(opcode, &person.codec.encode_client(&frame)).await?;
    Ok(line)
}

impl Line {
    async fn say(&mut self, opcode: u8, payload: &[u8]) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        frame::push_masked(opcode, payload, &mut bytes);
        self.stream.write_all(&bytes).await
    }

    async fn stay(
        mut self,
        memory: &Memory,
        told: &mut watch::Receiver<Told>,
        graves: &mut Vec<(Instant, TcpStream)>,
    ) -> Over {
        let mut drip_until = Instant::now();
        let mut scratch = vec![0; SCRATCH];
        loop {
            let slow = Instant::now() < drip_until;
            let most = if slow { DRIP_BYTES } else { SCRATCH };
            let read = tokio::select! {
                changed = told.changed() => {
                    if changed.is_err() {
                        return Over::Left;
                    }
                    let Told { manner, .. } = *told.borrow_and_update();
                    match manner {
                        Some(Manner::Cut { away }) => return Over::Cut { away },
                        Some(Manner::HalfOpen) => {
                            graves.push((Instant::now() + GRAVE, self.stream));
                            return Over::Cut { away: Duration::ZERO };
                        }
                        Some(Manner::Pause { length }) => tokio::time::sleep(length).await,
                        Some(Manner::Drip { length }) => drip_until = Instant::now() + length,
                        None => {}
                    }
                    continue;
                }
                read = async {
                    if slow {
                        tokio::time::sleep(DRIP_EVERY).await;
                    }
                    self.stream.read(&mut scratch[..most]).await
                } => read,
            };
            match read {
                Ok(read @ 1..) => self.inbox.extend_from_slice(&scratch[..read]),
                Ok(0) | Err(_) => return Over::Broken,
            }
            match self.take(memory).await {
                Ok(true) => {}
                Ok(false) => return Over::Broken,
                Err(why) => {
                    remember(memory, |witness| witness.faults.push(format!("{why:#}")));
                    return Over::Broken;
                }
            }
        }
    }

    /// Takes everything that is whole; `false` when the server says goodbye.
    async fn take(&mut self, memory: &Memory) -> anyhow::Result<bool> {
        let mut used = 0;
        let mut pongs = Vec::new();
        while let Some(found) = frame::first(&self.inbox[used..]).map_err(anyhow::Error::msg)? {
            let payload = &self.inbox[used + found.payload.start..used + found.payload.end];
            match found.opcode {
                frame::TEXT | frame::BINARY => {
                    let told = self.codec.decode_server(payload).context("a frame that cannot be read")?;
                    remember(memory, |witness| witness.hear(told));
                }
                frame::PING => pongs.push(payload.to_vec()),
                frame::CLOSE => return Ok(false),
                _ => {}
            }
            used += found.payload.end;
        }
        self.inbox.drain(..used);
        for payload in pongs {
            if self.say(frame::PONG, &payload).await.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
