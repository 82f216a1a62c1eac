//! Pure: what a busy room shows of what its viewers say.
//!
//! While the room keeps up, a line passes at once. When more is said than [`BUDGET_PER_S`], lines wait for the end of a
//! window of [`WINDOW_MS`], one line a person, and of those as many pass as the budget has: first who was shown longest
//! ago, and among equals whoever the line's id falls to. So it does not help to say more than others. The rest is not
//! shown to the room; the author has the answer, and the archive the line.
//! Invariant: in any second at most the budget and one window's share of it pass, and nobody waits longer than a window.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use super::rate::Bucket;
use crate::{clock::Millis, wire};

/// Viewers' lines that one room shows per second; a person cannot read more.
pub const BUDGET_PER_S: u32 = 40;
/// How long lines wait for each other in a busy room.
pub const WINDOW_MS: i64 = 250;
/// Lines of one window; of more a fair sample waits.
const MAX_WAITING: usize = 2_048;
/// People remembered as having been shown; when full, those shown longest ago are forgotten.
const MAX_SHOWN: usize = 20_000;
/// A window's share of the budget.
const SHARE: u32 = BUDGET_PER_S / 4;

#[derive(Debug)]
struct Waiting {
    /// By the hash of who says it.
    author: u64,
    message: wire::ChatMessage,
}

/// Chooses which lines a room shows.
#[derive(Debug)]
pub(crate) struct Thinner {
    budget: Bucket,
    waiting: Vec<Waiting>,
    /// Lines that came in this window, those included that wait no more.
    came: u64,
    /// When the first of the waiting came.
    since: Millis,
    /// Who was shown, and as the how-manieth.
    shown: HashMap<u64, u64>,
    turn: u64,
}

fn hash(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

impl Thinner {
    pub(crate) fn new(now: Millis) -> Self {
        Self {
            budget: Bucket::new(BUDGET_PER_S, SHARE, now),
            waiting: Vec::new(),
            came: 0,
            since: now,
            shown: HashMap::new(),
            turn: 0,
        }
    }

    /// Takes a viewer's line; gives it back when the room shows it at once. `author` tells people apart.
    pub(crate) fn offer(
        &mut self,
        author: impl Hash,
        message: wire::ChatMessage,
        now: Millis,
    ) -> Option<wire::ChatMessage> {
        let author = hash(author);
        if self.waiting.is_empty() {
            if self.budget.take(now).is_ok() {
                self.note_shown(author);
                return Some(message);
            }
            (self.since, self.came) = (now, 0);
        }
        self.wait(Waiting { author, message });
        None
    }

    /// The first line of a person stands for them in this window. Of more lines than there are places each has the same
    /// chance of one (Vitter's algorithm R, with the line's id for the dice).
    fn wait(&mut self, line: Waiting) {
        if self.waiting.iter().any(|other| other.author == line.author) {
            return;
        }
        self.came += 1;
        if self.waiting.len() < MAX_WAITING {
            return self.waiting.push(line);
        }
        let at = usize::try_from(hash(&line.message.id) % self.came).unwrap_or(usize::MAX);
        if let Some(place) = self.waiting.get_mut(at) {
            *place = line;
        }
    }

    /// In how many milliseconds [`Thinner::settle`] has something to give.
    pub(crate) fn due_in_ms(&self, now: Millis) -> Option<u64> {
        let left = WINDOW_MS - now.since(self.since);
        (!self.waiting.is_empty()).then(|| u64::try_from(left).unwrap_or(0))
    }

    /// At the end of a window: the lines that are shown, in the order in which they came.
    pub(crate) fn settle(&mut self, now: Millis) -> Vec<wire::ChatMessage> {
        if self.due_in_ms(now) != Some(0) {
            return Vec::new();
        }
        let mut places = 0;
        while places < self.waiting.len() && self.budget.take(now).is_ok() {
            places += 1;
        }
        let mut order: Vec<usize> = (0..self.waiting.len()).collect();
        order.sort_by_cached_key(|at| {
            let line = &self.waiting[*at];
            (self.shown.get(&line.author).copied(), hash(&line.message.id))
        });
        order.truncate(places);
        order.sort_unstable();
        let mut chosen = order.into_iter().peekable();
        let waiting = std::mem::take(&mut self.waiting);
        let mut told = Vec::with_capacity(places);
        for (at, line) in waiting.into_iter().enumerate() {
            if chosen.next_if_eq(&at).is_some() {
                self.note_shown(line.author);
                told.push(line.message);
            }
        }
        told
    }

    fn note_shown(&mut self, author: u64) {
        self.turn += 1;
        self.shown.insert(author, self.turn);
        if self.shown.len() > MAX_SHOWN {
            let long_ago = self.turn - MAX_SHOWN as u64 / 2;
            self.shown.retain(|_, turn| *turn > long_ago);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn line(author: usize, n: usize) -> wire::ChatMessage {
        wire::ChatMessage { id: format!("msg{author}-{n}"), author_name: author.to_string(), ..Default::default() }
    }

    /// Says `lines` (milliseconds, author) in a room that settles whenever it is due; when each line was shown.
    fn shown(lines: &[(i64, usize)]) -> Vec<(i64, wire::ChatMessage)> {
        let mut thinner = Thinner::new(Millis(0));
        let mut told = Vec::new();
        let until = lines.last().map_or(0, |(at, _)| *at) + 2 * WINDOW_MS;
        let mut lines = lines.iter().enumerate().peekable();
        for now in 0..=until {
            told.extend(thinner.settle(Millis(now)).into_iter().map(|message| (now, message)));
            while let Some((n, (_, author))) = lines.next_if(|(_, (at, _))| *at <= now) {
                told.extend(thinner.offer(author, line(*author, n), Millis(now)).map(|message| (now, message)));
            }
        }
        told
    }

    fn by_author(told: &[(i64, wire::ChatMessage)]) -> BTreeMap<usize, usize> {
        let mut counts = BTreeMap::new();
        for (_, message) in told {
            *counts.entry(message.author_name.parse().expect("a number")).or_default() += 1;
        }
        counts
    }

    #[test]
    fn a_room_that_keeps_up_shows_everything_at_once() {
        let lines: Vec<_> = (0..300).map(|n| (i64::try_from(n).expect("few") * 30, n % 7)).collect();
        let told = shown(&lines);
        assert_eq!(told.len(), 300);
        assert!(told.iter().zip(&lines).all(|((at, _), (said, _))| at == said), "without waiting");
    }

    #[test]
    fn a_short_rush_is_late_and_whole() {
        let lines: Vec<_> = (0..20).map(|author| (5, author)).collect();
        let told = shown(&lines);
        assert_eq!(told.len(), 20);
        assert!(told.iter().all(|(at, _)| *at <= 5 + WINDOW_MS));
    }

    #[test]
    fn whoever_says_more_is_not_shown_more() {
        // Ten flood the room with a line each in every millisecond, fifty say one line a second.
        let seconds = 20;
        let mut lines = Vec::new();
        for now in 0..seconds * 1_000 {
            lines.extend((0..10).map(|author| (now, author)));
            let quiet = usize::try_from(now % 1_000).expect("small");
            lines.extend((quiet % 20 == 0).then_some((now, 100 + quiet / 20)));
        }
        let counts = by_author(&shown(&lines));
        let most = counts.iter().filter(|(author, _)| **author < 10).map(|(_, count)| *count).max();
        let least = (100..150).map(|author| counts.get(&author).copied().unwrap_or(0)).min();
        let seconds = usize::try_from(seconds).expect("few");
        assert!(least >= Some(seconds / 3), "the quiet are heard: {counts:?}");
        assert!(most <= Some(2 * seconds), "the loud are not heard in their place: {counts:?}");
    }

    #[test]
    fn equals_are_shown_equally() {
        // A hundred, a line each in every window: ten places for a hundred.
        let windows = 80;
        let lines: Vec<_> = (0..windows).flat_map(|n| (0..100).map(move |author| (n * 251, author))).collect();
        let counts = by_author(&shown(&lines));
        let (least, most) = (counts.values().min(), counts.values().max());
        assert_eq!(counts.len(), 100);
        assert!(most.copied().unwrap_or(0) - least.copied().unwrap_or(0) <= 1, "{counts:?}");
    }

    #[test]
    fn a_flood_of_people_is_sampled_from_its_whole_length() {
        let crowd = 10 * MAX_WAITING;
        let mut thinner = Thinner::new(Millis(0));
        for author in 0..crowd {
            thinner.offer(author, line(author, 0), Millis(0));
        }
        assert_eq!(thinner.waiting.len(), MAX_WAITING);
        let late = thinner
            .waiting
            .iter()
            .filter(|line| line.message.author_name.parse::<usize>().is_ok_and(|n| n >= crowd / 2));
        let late = late.count();
        assert!((MAX_WAITING / 3..2 * MAX_WAITING / 3).contains(&late), "half came in the second half, got {late}");
        assert_eq!(thinner.settle(Millis(WINDOW_MS)).len(), SHARE as usize);
        for author in 0..3 * MAX_SHOWN as u64 {
            thinner.note_shown(author);
        }
        assert!(thinner.shown.len() <= MAX_SHOWN);
    }

    proptest! {
        #[test]
        fn no_second_shows_more_than_the_budget(gaps in prop::collection::vec((0i64..40, 0usize..30), 1..400)) {
            let mut now = 0;
            let lines: Vec<_> = gaps.into_iter().map(|(gap, author)| { now += gap; (now, author) }).collect();
            let told = shown(&lines);
            let at_most = (BUDGET_PER_S + SHARE) as usize;
            for (from, _) in &told {
                prop_assert!(told.iter().filter(|(at, _)| (*from..from + 1_000).contains(at)).count() <= at_most);
            }
            for (at, message) in &told {
                let n: usize = message.id.split('-').nth(1).and_then(|n| n.parse().ok()).expect("as it was named");
                prop_assert!((0..=WINDOW_MS).contains(&(at - lines[n].0)), "nobody waits longer than a window");
            }
        }
    }
}
