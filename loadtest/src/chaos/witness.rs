//! Pure: what one viewer was told, and whether that can be.
//!
//! Owns the rules that hold at every moment, whatever breaks: within an epoch no ordered event is missing, repeated or out
//! of order; nobody who was away for a moment is given a snapshot instead of the rest; no version ever goes back, also
//! not in the snapshot of a new epoch.

use std::collections::BTreeSet;

use hanamichi::{
    live::Mirror,
    wire::{self, ordered::Event, server_frame::Body},
};

/// Faults kept one by one for each viewer.
const MAX_FAULTS: usize = 5;
/// Lines of chat kept: they are not judged.
const MAX_CHAT: usize = 500;

/// How a connection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beginning {
    /// The first frame has come.
    Over,
    /// It comes next, and nothing was known before.
    Fresh,
    /// It comes next, and must take up where the viewer was.
    Return,
    /// It comes next, from a node whose log may begin later than where the viewer was.
    Excused,
}

/// One viewer's memory.
#[derive(Debug)]
pub struct Witness {
    pub mirror: Mirror,
    pub epochs: BTreeSet<String>,
    beginning: Beginning,
    pub ordered: u64,
    pub lost: u64,
    pub repeated: u64,
    /// Versions that went back.
    pub back: u64,
    /// Snapshots for somebody who was away for a moment only.
    pub jumps: u64,
    /// The same at a node that was killed meanwhile: not as good as it could be, but no lie.
    pub excused: u64,
    /// Snapshots for somebody who was slow: allowed.
    pub behind: u64,
    pub resumed: u64,
    pub faults: Vec<String>,
}

impl Default for Witness {
    fn default() -> Self {
        Self {
            mirror: Mirror::default(),
            epochs: BTreeSet::new(),
            beginning: Beginning::Fresh,
            ordered: 0,
            lost: 0,
            repeated: 0,
            back: 0,
            jumps: 0,
            excused: 0,
            behind: 0,
            resumed: 0,
            faults: Vec::new(),
        }
    }
}

impl Witness {
    /// A new connection; what to resume from. A node that was killed has a log that begins with its new life.
    pub fn connects(&mut self, node_was_killed: bool) -> wire::Resume {
        self.beginning = match (self.mirror.epoch.is_empty(), node_was_killed) {
            (true, _) => Beginning::Fresh,
            (false, false) => Beginning::Return,
            (false, true) => Beginning::Excused,
        };
        wire::Resume { epoch: self.mirror.epoch.clone(), seq: self.mirror.seq }
    }

    /// Has the connection begun?
    pub fn is_inside(&self) -> bool {
        self.beginning == Beginning::Over
    }

    /// How many faults there are.
    pub fn fault_count(&self) -> u64 {
        self.lost + self.repeated + self.back + self.jumps + self.faults.len() as u64
    }

    fn fault(&mut self, what: String) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(what);
        }
    }

    /// Hears a frame.
    pub fn hear(&mut self, frame: wire::ServerFrame) {
        match &frame.body {
            Some(Body::Snapshot(snapshot)) => self.hear_snapshot(snapshot),
            Some(Body::Resumed(resumed)) => {
                if (&resumed.epoch, resumed.seq) != (&self.mirror.epoch, self.mirror.seq) {
                    let (from, at) = (self.mirror.seq, resumed.seq);
                    self.fault(format!("resumed at {at} instead of {from}, or in another epoch"));
                }
                self.resumed += 1;
                self.beginning = Beginning::Over;
            }
            Some(Body::Batch(batch)) => self.hear_batch(batch),
            _ => {}
        }
        self.mirror.fold(frame);
        if self.mirror.chat.len() > MAX_CHAT {
            self.mirror.chat.clear();
        }
    }

    fn hear_snapshot(&mut self, snapshot: &wire::Snapshot) {
        if snapshot.epoch == self.mirror.epoch {
            match self.beginning {
                Beginning::Return => {
                    self.jumps += 1;
                    let at = (self.mirror.seq, snapshot.seq);
                    self.fault(format!("back at {} after a moment, and given a snapshot at {}", at.0, at.1));
                }
                Beginning::Excused => self.excused += 1,
                Beginning::Over => self.behind += 1,
                Beginning::Fresh => {}
            }
            if snapshot.seq < self.mirror.seq {
                self.back += 1;
                self.fault(format!("a snapshot at {} after {}", snapshot.seq, self.mirror.seq));
            }
        }
        self.beginning = Beginning::Over;
        self.epochs.insert(snapshot.epoch.clone());
        let mut back = Vec::new();
        let mut compare = |what: &str, id: &str, known: Option<i64>, told: i64| {
            if let Some(known) = known.filter(|known| told < *known) {
                back.push(format!("{what} {id} went from version {known} back to {told} in a snapshot"));
            }
        };
        let mirror = &self.mirror;
        if let Some(live) = snapshot.live.as_ref().filter(|live| live.id == mirror.live.id) {
            compare("live", &live.id, Some(mirror.live.version), live.version);
        }
        for pin in &snapshot.pins {
            compare("pin", &pin.id, mirror.pins.get(&pin.id).map(|known| known.version), pin.version);
        }
        for question in &snapshot.questions {
            let known = mirror.questions.get(&question.id).map(|known| known.version);
            compare("question", &question.id, known, question.version);
        }
        for stock in &snapshot.stock {
            let known = mirror.stock.get(&stock.sku_id).map(|known| known.version);
            compare("stock", &stock.sku_id, known, stock.version);
        }
        self.went_back(back);
    }

    fn went_back(&mut self, back: Vec<String>) {
        self.back += back.len() as u64;
        back.into_iter().for_each(|what| self.fault(what));
    }

    fn hear_batch(&mut self, batch: &wire::Batch) {
        if !self.is_inside() || batch.epoch != self.mirror.epoch {
            self.fault("news of another epoch, or before the first frame".to_owned());
            return;
        }
        let mut high = self.mirror.seq;
        let mut back = Vec::new();
        for ordered in &batch.ordered {
            if ordered.seq <= high {
                self.repeated += 1;
            } else {
                self.lost += ordered.seq - high - 1;
                high = ordered.seq;
            }
            self.ordered += 1;
            let (what, id, known, told) = match &ordered.event {
                Some(Event::Pinned(pin)) => {
                    ("pin", &pin.id, self.mirror.pins.get(&pin.id).map(|known| known.version), pin.version)
                }
                Some(Event::Unpinned(pin)) => {
                    ("pin", &pin.pin_id, self.mirror.pins.get(&pin.pin_id).map(|known| known.version), pin.version)
                }
                Some(Event::QuestionChanged(question)) => {
                    let known = self.mirror.questions.get(&question.id).map(|known| known.version);
                    ("question", &question.id, known, question.version)
                }
                Some(Event::LiveChanged(live)) => ("live", &live.id, Some(self.mirror.live.version), live.version),
                _ => continue,
            };
            if let Some(known) = known.filter(|known| told < *known) {
                back.push(format!("{what} {id} went from version {known} back to {told}"));
            }
        }
        self.went_back(back);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(epoch: &str, seq: u64, pin_version: i64) -> wire::ServerFrame {
        let pin = wire::Pin { id: "p".to_owned(), version: pin_version, ..wire::Pin::default() };
        Body::Snapshot(wire::Snapshot { epoch: epoch.to_owned(), seq, pins: vec![pin], ..wire::Snapshot::default() })
            .into()
    }

    fn pinned(epoch: &str, seqs: &[u64], version: i64) -> wire::ServerFrame {
        let pin = wire::Pin { id: "p".to_owned(), version, ..wire::Pin::default() };
        let ordered = |seq: &u64| wire::Ordered { seq: *seq, at_ms: 0, event: Some(Event::Pinned(pin.clone())) };
        let ordered = seqs.iter().map(ordered).collect();
        Body::Batch(wire::Batch { epoch: epoch.to_owned(), ordered, ..wire::Batch::default() }).into()
    }

    fn resumed(epoch: &str, seq: u64) -> wire::ServerFrame {
        Body::Resumed(wire::Resumed { epoch: epoch.to_owned(), seq, ..wire::Resumed::default() }).into()
    }

    fn at(seq: u64) -> Witness {
        let mut witness = Witness::default();
        assert_eq!(witness.connects(false), wire::Resume::default());
        witness.hear(snapshot("e", seq, 3));
        witness
    }

    #[test]
    fn an_honest_server_makes_no_faults() {
        let mut witness = at(5);
        witness.hear(pinned("e", &[6, 7], 4));
        assert_eq!(witness.connects(false), wire::Resume { epoch: "e".to_owned(), seq: 7 });
        witness.hear(resumed("e", 7));
        witness.hear(pinned("e", &[8], 5));
        witness.connects(false);
        witness.hear(snapshot("f", 0, 5));
        witness.hear(pinned("f", &[1], 6));
        assert_eq!((witness.fault_count(), witness.mirror.faults, witness.resumed), (0, 0, 1), "{:?}", witness.faults);
        assert_eq!(witness.epochs.len(), 2);
    }

    #[test]
    fn every_kind_of_lie_is_found() {
        let lie = |frames: Vec<wire::ServerFrame>, returns: bool| {
            let mut witness = at(5);
            if returns {
                witness.connects(false);
            }
            frames.into_iter().for_each(|frame| witness.hear(frame));
            assert!(witness.fault_count() > 0);
            witness
        };
        assert_eq!(lie(vec![pinned("e", &[7], 4)], false).lost, 1);
        assert_eq!(lie(vec![pinned("e", &[5], 4)], false).repeated, 1);
        assert_eq!(lie(vec![pinned("e", &[7, 6], 4)], false).repeated, 1);
        assert_eq!(lie(vec![pinned("e", &[6], 2)], false).back, 1);
        assert_eq!(lie(vec![snapshot("f", 0, 2)], true).back, 1);
        assert_eq!(lie(vec![snapshot("e", 4, 3)], false).back, 1);
        assert_eq!(lie(vec![snapshot("e", 9, 3)], true).jumps, 1);
        lie(vec![resumed("e", 4)], true);
        lie(vec![pinned("e", &[6], 4)], true);
        lie(vec![pinned("f", &[6], 4)], false);
    }

    #[test]
    fn a_node_that_was_killed_may_begin_with_a_snapshot() {
        let mut witness = at(5);
        witness.connects(true);
        witness.hear(snapshot("e", 9, 3));
        assert_eq!((witness.fault_count(), witness.excused, witness.is_inside()), (0, 1, true));
    }

    #[test]
    fn who_was_slow_may_be_given_a_snapshot() {
        let mut witness = at(5);
        witness.hear(snapshot("e", 9, 3));
        assert_eq!((witness.fault_count(), witness.behind), (0, 1));
    }
}
