//! Pure: what goes wrong, to whom, and for how long; all of it from one seed.
//!
//! Invariant: the same seed makes the same episodes in the same order. How they fall in with the server's own time is
//! not repeated: that is what the episodes are for.

use std::time::Duration;

/// A stream of numbers from a seed (SplitMix64): small, and the same everywhere.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Dice of their own, for somebody who throws at their own pace.
    pub fn split(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below this; 0 when there is nothing below it.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound.max(1) as u64;
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    /// Happens so often in a hundred.
    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// Between two times.
    pub fn between(&mut self, least_ms: u64, most_ms: u64) -> Duration {
        let spread = usize::try_from(most_ms.saturating_sub(least_ms)).unwrap_or(0) + 1;
        Duration::from_millis(least_ms + self.below(spread) as u64)
    }
}

/// What a viewer is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Cut the connection without a word, and come back after a while.
    Cut { away: Duration },
    /// Read nothing for a while.
    Pause { length: Duration },
    /// Leave the connection as it is, unread, and come back by another.
    HalfOpen,
    /// Read two kilobytes a second for a while.
    Drip { length: Duration },
}

/// The kinds of episodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Cuts,
    Pauses,
    HalfOpen,
    Drips,
    /// Everybody is cut in the same moment.
    Storm,
    /// A node is killed and started again.
    Kill,
    /// A node is killed while everything else goes on.
    Everything,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Cuts, Self::Pauses, Self::HalfOpen, Self::Drips, Self::Storm, Self::Kill, Self::Everything];

    /// Its name, as in every result.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cuts => "cuts",
            Self::Pauses => "pauses",
            Self::HalfOpen => "half-open",
            Self::Drips => "2 KB/s",
            Self::Storm => "storm",
            Self::Kill => "kill -9",
            Self::Everything => "everything",
        }
    }
}

/// Something that happens after a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Tell { viewer: usize, manner: Manner },
    Kill { node: usize, down: Duration },
}

/// One episode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Episode {
    pub kind: Kind,
    pub length: Duration,
    /// In order of time, from its beginning.
    pub acts: Vec<(Duration, Act)>,
}

/// How much longer an episode is in which a node is killed while everything goes on.
const AFTER_KILL: Duration = Duration::from_secs(2);

/// Draws the next episode. Every kind comes once before any comes again.
#[derive(Debug)]
pub struct Plan {
    dice: Dice,
    viewers: usize,
    nodes: usize,
    left: Vec<Kind>,
}

impl Plan {
    /// Nothing has happened yet.
    pub fn new(dice: Dice, viewers: usize, nodes: usize) -> Self {
        Self { dice, viewers, nodes, left: Vec::new() }
    }

    /// What happens next.
    pub fn draw(&mut self) -> Episode {
        if self.left.is_empty() {
            self.left = Kind::ALL.to_vec();
        }
        let kind = self.left.swap_remove(self.dice.below(self.left.len()));
        let mut length = self.dice.between(1_500, 3_500);
        if kind == Kind::Everything {
            // A node that was killed needs a while, in which nobody is there to be cut.
            length += AFTER_KILL;
        }
        let mut acts = Vec::new();
        for viewer in 0..self.viewers {
            match kind {
                Kind::Cuts => self.often(length, 600, viewer, &mut acts, cut),
                Kind::Pauses if self.dice.percent(60) => self.once(length, viewer, &mut acts, pause),
                Kind::HalfOpen if self.dice.percent(40) => self.once(length, viewer, &mut acts, |_| Manner::HalfOpen),
                Kind::Drips if self.dice.percent(60) => self.once(length, viewer, &mut acts, drip),
                Kind::Storm => {
                    let cut = Manner::Cut { away: self.dice.between(0, 50) };
                    acts.push((length / 2, Act::Tell { viewer, manner: cut }));
                }
                Kind::Everything => self.often(length, 1_500, viewer, &mut acts, |dice| match dice.below(4) {
                    0 => pause(dice),
                    1 => Manner::HalfOpen,
                    2 => drip(dice),
                    _ => cut(dice),
                }),
                Kind::Kill | Kind::Pauses | Kind::HalfOpen | Kind::Drips => {}
            }
        }
        if matches!(kind, Kind::Kill | Kind::Everything) {
            let node = self.dice.below(self.nodes);
            acts.push((self.dice.between(200, 1_200), Act::Kill { node, down: self.dice.between(0, 1_500) }));
        }
        acts.sort_by_key(|(at, _)| *at);
        Episode { kind, length, acts }
    }

    fn once(
        &mut self,
        length: Duration,
        viewer: usize,
        acts: &mut Vec<(Duration, Act)>,
        manner: impl Fn(&mut Dice) -> Manner,
    ) {
        let most = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        let at = self.dice.between(0, most);
        acts.push((at, Act::Tell { viewer, manner: manner(&mut self.dice) }));
    }

    fn often(
        &mut self,
        length: Duration,
        gap_ms: u64,
        viewer: usize,
        acts: &mut Vec<(Duration, Act)>,
        manner: impl Fn(&mut Dice) -> Manner,
    ) {
        let mut at = self.dice.between(0, gap_ms);
        while at < length {
            acts.push((at, Act::Tell { viewer, manner: manner(&mut self.dice) }));
            at += self.dice.between(gap_ms / 3, gap_ms * 2);
        }
    }
}

fn cut(dice: &mut Dice) -> Manner {
    Manner::Cut { away: dice.between(0, 300) }
}

fn pause(dice: &mut Dice) -> Manner {
    Manner::Pause { length: dice.between(300, 4_000) }
}

fn drip(dice: &mut Dice) -> Manner {
    Manner::Drip { length: dice.between(500, 4_000) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_episodes_and_every_kind_comes() {
        let draw = |seed: u64| {
            let mut plan = Plan::new(Dice::new(seed), 10, 2);
            (0..14).map(|_| plan.draw()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let mut kinds: Vec<_> = draw(7).iter().take(7).map(|episode| episode.kind).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, Kind::ALL);
    }

    #[test]
    fn acts_come_in_order_and_within_the_episode() {
        let mut plan = Plan::new(Dice::new(1), 20, 1);
        for episode in (0..50).map(|_| plan.draw()) {
            assert!(episode.acts.is_sorted_by_key(|(at, _)| *at));
            assert!(episode.acts.iter().all(|(at, _)| *at <= episode.length));
            assert!(!episode.acts.is_empty(), "{:?}", episode.kind);
        }
    }

    #[test]
    fn dice_stay_in_their_bounds() {
        let mut dice = Dice::new(3);
        assert!((0..1_000).all(|_| dice.below(6) < 6));
        assert_eq!((dice.below(0), dice.between(5, 5)), (0, Duration::from_millis(5)));
    }
}
