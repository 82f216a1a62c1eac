//! Pure: one viewer's place in the story, and what it has missed.
//!
//! Owns the count of ordered events that are missing or come twice; no sockets here.
//! Invariant: within an epoch the position moves by one; a snapshot sets it, and is a jump when the viewer had a place
//! that the server should have kept.

use hanamichi::live::{Codec, Mirror};

use super::story::{Batch, Ledger, Story, Told, Tongue};

/// What a frame did to a viewer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Step {
    pub lost: u64,
    pub repeated: u64,
    pub jumps: u64,
    /// The frame began the connection.
    pub began: bool,
    /// The frame was news for the room.
    pub news: bool,
}

/// A viewer.
#[derive(Debug, Default)]
pub struct Viewer {
    pub epoch: u64,
    pub seq: u64,
    /// Its place among its thread's frames.
    at: usize,
    /// A first frame came over this connection.
    begun: bool,
    /// Was ever inside.
    known: bool,
    /// The whole picture, when this viewer keeps one.
    pub mirror: Option<Box<Mirror>>,
}

impl Viewer {
    /// One that was never inside.
    pub fn new(mirror: Option<Box<Mirror>>) -> Self {
        Self { mirror, ..Self::default() }
    }

    /// A new connection has begun.
    pub fn connects(&mut self) {
        self.begun = false;
    }

    /// Was it inside before, so that it has a place to come back to?
    pub fn is_known(&self) -> bool {
        self.known
    }

    /// Hears a frame; gives what it did, and its news for the room.
    pub fn hear<'story>(
        &mut self,
        tongue: Tongue,
        bytes: &[u8],
        story: &'story mut Story,
        ledger: &Ledger,
    ) -> Result<(Step, Option<&'story Batch>), String> {
        if let (Some(mirror), Tongue::Hub(codec)) = (&mut self.mirror, tongue) {
            fold(mirror, codec, bytes)?;
        }
        let told = story.read(bytes, &mut self.at, ledger)?;
        let mut step = Step::default();
        match told {
            Told::Snapshot { epoch, seq } => {
                step.jumps = u64::from(self.known);
                step.began = !std::mem::replace(&mut self.begun, true);
                (self.epoch, self.seq, self.known) = (*epoch, *seq, true);
            }
            Told::Resumed { epoch, seq } => {
                step.began = !std::mem::replace(&mut self.begun, true);
                if (*epoch, *seq) != (self.epoch, self.seq) {
                    return Err(format!("resumed at {seq} instead of {}", self.seq));
                }
            }
            Told::Batch(batch) => {
                if tongue != Tongue::Plain && (!self.begun || batch.epoch != self.epoch) {
                    return Err("news of another epoch, or before the first frame".to_owned());
                }
                step.news = true;
                for seq in &batch.seqs {
                    if *seq <= self.seq {
                        step.repeated += 1;
                    } else {
                        step.lost += seq - self.seq - 1;
                        self.seq = *seq;
                    }
                }
                return Ok((step, Some(batch)));
            }
            Told::Own => {}
        }
        Ok((step, None))
    }
}

fn fold(mirror: &mut Mirror, codec: Codec, bytes: &[u8]) -> Result<(), String> {
    mirror.fold(codec.decode_server(bytes).map_err(|error| error.to_string())?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use hanamichi::wire::{self, server_frame::Body};

    use super::*;
    use crate::hub::story::Epoch;

    struct Scene {
        story: Story,
        ledger: Ledger,
        viewer: Viewer,
    }

    impl Scene {
        fn new() -> Self {
            let viewer = Viewer { mirror: Some(Box::default()), ..Viewer::default() };
            Self { story: Story::new(Tongue::Hub(Codec::Proto)), ledger: Ledger::new(Epoch::begin()), viewer }
        }

        fn hear(&mut self, body: Body) -> Result<Step, String> {
            let bytes = Codec::Proto.encode(&body.into());
            let heard = self.viewer.hear(Tongue::Hub(Codec::Proto), &bytes, &mut self.story, &self.ledger);
            heard.map(|(step, _)| step)
        }

        fn news(&mut self, seqs: &[u64]) -> Result<Step, String> {
            let ordered = seqs.iter().map(|seq| wire::Ordered { seq: *seq, ..wire::Ordered::default() }).collect();
            self.hear(Body::Batch(wire::Batch { epoch: "e".to_owned(), ordered, ..wire::Batch::default() }))
        }

        fn snapshot(&mut self, seq: u64) -> Result<Step, String> {
            self.hear(Body::Snapshot(wire::Snapshot { epoch: "e".to_owned(), seq, ..wire::Snapshot::default() }))
        }

        fn resumed(&mut self, seq: u64) -> Result<Step, String> {
            self.viewer.connects();
            self.hear(Body::Resumed(wire::Resumed { epoch: "e".to_owned(), seq, ..wire::Resumed::default() }))
        }
    }

    #[test]
    fn holes_repetitions_and_jumps_are_counted_apart() {
        let mut scene = Scene::new();
        assert_eq!(scene.snapshot(10), Ok(Step { began: true, ..Step::default() }));
        let news = Step { news: true, ..Step::default() };
        assert_eq!(scene.news(&[11, 12]), Ok(news));
        assert_eq!(scene.news(&[12]), Ok(Step { repeated: 1, ..news }));
        assert_eq!(scene.news(&[13, 16]), Ok(Step { lost: 2, ..news }));
        assert_eq!(scene.resumed(16), Ok(Step { began: true, ..Step::default() }));
        assert_eq!(scene.news(&[17]), Ok(news));
        assert_eq!(scene.snapshot(20), Ok(Step { jumps: 1, ..Step::default() }));
        assert_eq!(scene.viewer.mirror.as_ref().map(|mirror| (mirror.seq, mirror.faults)), Some((20, 2)));
    }

    #[test]
    fn a_viewer_is_resumed_where_it_was() {
        let mut scene = Scene::new();
        assert!(scene.news(&[1]).is_err(), "news before the first frame");
        scene.snapshot(3).expect("a first frame");
        assert!(scene.resumed(2).is_err());
    }
}
