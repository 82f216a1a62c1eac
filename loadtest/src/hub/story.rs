//! Pure: what frames say, and whether everybody is told the same.
//!
//! A server that finishes a frame once sends the same bytes to everybody, so a frame is decoded once and found again by
//! comparing bytes: checking a delivery costs no more than a look at the frame that comes next. The [`Ledger`] is shared
//! by all threads and codecs: what stands under a number, in whichever codec and frame, must be one event.
//! Does not know who got what: that is the viewer's own count.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use hanamichi::{
    clock::Clock,
    live::Codec,
    wire::{self, ordered::Event, server_frame::Body},
};
use prost::Message as _;
use serde::Deserialize;

use super::figures::hash;

/// Frames remembered; beyond it all are forgotten and decoded again.
const MAX_FRAMES: usize = 16_384;
/// Faults told one by one.
const MAX_FAULTS: usize = 20;

/// How a connection's frames are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tongue {
    /// The product's hub.
    Hub(Codec),
    /// A peer's: JSON texts with the time of their sending.
    Plain,
}

/// What a frame says, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    Snapshot {
        epoch: u64,
        seq: u64,
    },
    Resumed {
        epoch: u64,
        seq: u64,
    },
    Batch(Batch),
    /// About this connection alone, or the connection itself.
    Own,
}

/// News for the room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    pub epoch: u64,
    /// Numbers of its ordered events.
    pub seqs: Vec<u64>,
    /// When those were numbered, in microseconds of the run.
    pub ordered_at: Vec<i64>,
    /// When the requests behind its pins were sent.
    pub asked_at: Vec<i64>,
    /// When its lines of chat were taken.
    pub chat_at: Vec<i64>,
    /// Everything it tells.
    pub events: u64,
}

/// A peer's message.
#[derive(Deserialize)]
struct Plain {
    /// When it was sent, in microseconds of the run.
    t: i64,
}

/// One clock for all times: the server's milliseconds and our own instants.
#[derive(Debug, Clone, Copy)]
pub struct Epoch {
    began: Instant,
    began_unix_ms: i64,
}

impl Epoch {
    /// Begins now. The system's clock is read right after it has ticked, so that the two agree to a few microseconds.
    pub fn begin() -> Self {
        let clock = Clock::system();
        let before = clock.now();
        loop {
            let now = clock.now();
            if now != before {
                return Self { began: Instant::now(), began_unix_ms: now.0 };
            }
            std::hint::spin_loop();
        }
    }

    /// Microseconds since the beginning.
    pub fn micros(self, at: Instant) -> i64 {
        i64::try_from(at.saturating_duration_since(self.began).as_micros()).unwrap_or(i64::MAX)
    }

    fn of_unix(self, ms: i64) -> i64 {
        ms.saturating_sub(self.began_unix_ms).saturating_mul(1_000)
    }
}

/// What everybody must agree on.
#[derive(Debug)]
pub struct Ledger {
    pub epoch: Epoch,
    /// The newest ordered event that anybody has.
    head: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// (epoch, number) → the event.
    told: HashMap<(u64, u64), u64>,
    /// Price → when the request was sent.
    asked: HashMap<i64, i64>,
    /// Names of epochs by their hash.
    epochs: HashMap<u64, String>,
    faults: Vec<String>,
    more_faults: u64,
}

impl Ledger {
    /// An empty one.
    pub fn new(epoch: Epoch) -> Self {
        Self { epoch, head: AtomicU64::new(0), inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nobody panics between two writes that belong together.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest ordered event that anybody has.
    pub fn head(&self) -> u64 {
        self.head.load(Relaxed)
    }

    /// The liver is about to ask for a pin at this price.
    pub fn asks(&self, price: i64) {
        let now = self.epoch.micros(Instant::now());
        self.lock().asked.insert(price, now);
    }

    /// Notes that something is wrong.
    pub fn fault(&self, what: impl Into<String>) {
        let mut inner = self.lock();
        if inner.faults.len() < MAX_FAULTS {
            inner.faults.push(what.into());
        } else {
            inner.more_faults += 1;
        }
    }

    /// What was wrong.
    pub fn faults(&self) -> Vec<String> {
        let inner = self.lock();
        let mut faults = inner.faults.clone();
        if inner.more_faults > 0 {
            faults.push(format!("and {} more", inner.more_faults));
        }
        faults
    }

    /// The name of an epoch that was told.
    pub fn epoch_name(&self, epoch: u64) -> String {
        self.lock().epochs.get(&epoch).cloned().unwrap_or_default()
    }

    fn note_epoch(&self, name: &str) -> u64 {
        let epoch = hash(name.as_bytes());
        self.lock().epochs.entry(epoch).or_insert_with(|| name.to_owned());
        epoch
    }

    fn enter(&self, batch: &wire::Batch) -> Batch {
        let epoch = self.note_epoch(&batch.epoch);
        let mut news = Batch { epoch, ..Batch::default() };
        news.events = (batch.ordered.len() + batch.state.len() + batch.chat.len()) as u64;
        news.chat_at = batch.chat.iter().map(|line| self.epoch.of_unix(line.at_ms)).collect();
        for ordered in &batch.ordered {
            news.seqs.push(ordered.seq);
            self.head.fetch_max(ordered.seq, Relaxed);
            news.ordered_at.push(self.epoch.of_unix(ordered.at_ms));
            let event = hash(&ordered.encode_to_vec());
            let mut inner = self.lock();
            if *inner.told.entry((epoch, ordered.seq)).or_insert(event) != event {
                drop(inner);
                self.fault(format!("two different events have the number {}", ordered.seq));
                continue;
            }
            if let Some(Event::Pinned(pin)) = &ordered.event
                && let Some(offer) = pin.offers.first()
                && let Some(asked) = inner.asked.get(&offer.price_minor)
            {
                news.asked_at.push(*asked);
            }
        }
        news
    }
}

/// The frames that one thread has seen in one tongue.
#[derive(Debug)]
pub struct Story {
    tongue: Tongue,
    frames: Vec<(Box<[u8]>, Told)>,
    by_hash: HashMap<u64, usize>,
}

impl Story {
    /// Nothing was told yet.
    pub fn new(tongue: Tongue) -> Self {
        Self { tongue, frames: Vec::new(), by_hash: HashMap::new() }
    }

    /// Reads a frame. `at` is the reader's place in the story: the frame after it is the likeliest.
    pub fn read(&mut self, bytes: &[u8], at: &mut usize, ledger: &Ledger) -> Result<&Told, String> {
        let next = *at + 1;
        if self.frames.get(next).is_some_and(|(known, _)| **known == *bytes) {
            *at = next;
        } else {
            *at = self.look_up(bytes, ledger)?;
        }
        Ok(&self.frames[*at].1)
    }

    fn look_up(&mut self, bytes: &[u8], ledger: &Ledger) -> Result<usize, String> {
        let key = hash(bytes);
        if let Some(at) = self.by_hash.get(&key)
            && *self.frames[*at].0 == *bytes
        {
            return Ok(*at);
        }
        let told = decode(self.tongue, bytes, ledger)?;
        if self.frames.len() >= MAX_FRAMES {
            self.frames.clear();
            self.by_hash.clear();
        }
        self.frames.push((bytes.into(), told));
        self.by_hash.insert(key, self.frames.len() - 1);
        Ok(self.frames.len() - 1)
    }
}

fn decode(tongue: Tongue, bytes: &[u8], ledger: &Ledger) -> Result<Told, String> {
    let Tongue::Hub(codec) = tongue else {
        let Plain { t } = serde_json::from_slice(bytes).map_err(|error| format!("a peer's message: {error}"))?;
        return Ok(Told::Batch(Batch { ordered_at: vec![t], events: 1, ..Batch::default() }));
    };
    let frame = codec.decode_server(bytes).map_err(|error| error.to_string())?;
    Ok(match frame.body {
        Some(Body::Snapshot(snapshot)) => {
            Told::Snapshot { epoch: ledger.note_epoch(&snapshot.epoch), seq: snapshot.seq }
        }
        Some(Body::Resumed(resumed)) => Told::Resumed { epoch: ledger.note_epoch(&resumed.epoch), seq: resumed.seq },
        Some(Body::Batch(batch)) => Told::Batch(ledger.enter(&batch)),
        _ => Told::Own,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        Ledger::new(Epoch::begin())
    }

    fn batch(seqs: &[u64], title: &str) -> wire::ServerFrame {
        let live = wire::Live { title: title.to_owned(), ..wire::Live::default() };
        let ordered = |seq: &u64| wire::Ordered { seq: *seq, at_ms: 5, event: Some(Event::LiveChanged(live.clone())) };
        let ordered = seqs.iter().map(ordered).collect();
        Body::Batch(wire::Batch { epoch: "e".to_owned(), ordered, ..wire::Batch::default() }).into()
    }

    #[test]
    fn a_frame_is_decoded_once_and_found_again() {
        let ledger = ledger();
        let mut story = Story::new(Tongue::Hub(Codec::Json));
        let frames = [&[1, 2][..], &[3]].map(|seqs| Codec::Json.encode(&batch(seqs, "a")));
        for _ in 0..3 {
            let mut at = 0;
            for (bytes, seqs) in frames.iter().zip([&[1, 2][..], &[3]]) {
                let told = story.read(bytes, &mut at, &ledger).expect("it reads").clone();
                assert!(matches!(told, Told::Batch(batch) if batch.seqs == seqs));
            }
        }
        assert_eq!(story.frames.len(), 2);
        assert!(ledger.faults().is_empty());
    }

    #[test]
    fn both_codecs_tell_one_story() {
        let ledger = ledger();
        for (codec, seqs) in [(Codec::Json, &[1, 2][..]), (Codec::Proto, &[2]), (Codec::Proto, &[1])] {
            let bytes = codec.encode(&batch(seqs, "a"));
            Story::new(Tongue::Hub(codec)).read(&bytes, &mut 0, &ledger).expect("it reads");
        }
        assert!(ledger.faults().is_empty(), "however they are put into frames");
        let bytes = Codec::Proto.encode(&batch(&[2], "b"));
        Story::new(Tongue::Hub(Codec::Proto)).read(&bytes, &mut 0, &ledger).expect("it reads");
        assert_eq!(ledger.faults(), ["two different events have the number 2"]);
    }

    #[test]
    fn a_peers_message_says_when_it_was_sent() {
        let mut story = Story::new(Tongue::Plain);
        let told = story.read(br#"{"t":42,"pad":"xxx"}"#, &mut 0, &ledger()).expect("it reads").clone();
        assert!(matches!(told, Told::Batch(batch) if batch.ordered_at == [42] && batch.events == 1));
        assert!(story.read(b"nonsense", &mut 0, &ledger()).is_err());
    }

    #[test]
    fn what_is_forgotten_is_read_again() {
        let mut story = Story::new(Tongue::Plain);
        let ledger = ledger();
        let mut at = 0;
        for t in 0..=MAX_FRAMES {
            story.read(format!(r#"{{"t":{t}}}"#).as_bytes(), &mut at, &ledger).expect("it reads");
        }
        assert_eq!((story.frames.len(), at), (1, 0));
        story.read(br#"{"t":1}"#, &mut at, &ledger).expect("it reads");
        assert_eq!(at, 1);
    }
}
