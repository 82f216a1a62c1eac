//! What all fuzzing shares: dice that a seed loads, damage as a network or a liar does it, and how long it goes on.
//!
//! `make fuzz SECONDS=…` goes on for long, from a seed that it prints; `cargo test` is brief, and always the same.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

/// For how many seconds instead of a brief run.
const SECONDS: &str = "HANAMICHI_FUZZ_S";
/// Where a run begins, to have it again.
const SEED: &str = "HANAMICHI_FUZZ_SEED";
/// A single input never takes so long, however slow and busy the machine is.
const MAX_TURN: Duration = Duration::from_secs(5);

/// xorshift64*: a run is given by its seed.
pub(crate) struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() >> 33).expect("31 bits") % n.max(1)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Turns until it is over: so many when it is brief, else for as long as was asked. A turn gives how much was
/// understood, as a measure of how deep the inputs come.
pub(crate) fn run(what: &str, brief: u64, mut turn: impl FnMut(&mut Dice) -> usize) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "how long, and from where, is said by whoever starts it")]
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let long = number(SECONDS).map(Duration::from_secs);
    let fresh = || u64::from(getrandom::u32().expect("randomness"));
    let seed = number(SEED).unwrap_or_else(|| if long.is_some() { fresh() } else { 1 });
    let (mut dice, began) = (Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1), Instant::now());
    let (mut turns, mut understood, mut now) = (0, 0, began);
    while long.map_or(turns < brief, |long| now - began < long) {
        let outcome = catch_unwind(AssertUnwindSafe(|| turn(&mut dice)));
        understood += outcome.unwrap_or_else(|_| panic!("{what}: seed {seed}, turn {turns}")) as u64;
        let after = Instant::now();
        assert!(after - now < MAX_TURN, "{what}: seed {seed}, turn {turns} took {:?}", after - now);
        (now, turns) = (after, turns + 1);
    }
    eprintln!("{what}: seed {seed}, {turns} turns, {understood} understood, in {:?}", now - began);
    understood * 100 / turns.max(1)
}

/// A few bits turned, bytes lost, doubled or borrowed, a length that lies.
pub(crate) fn damage(bytes: &mut Vec<u8>, others: &[Vec<u8>], dice: &mut Dice) {
    for _ in 0..=dice.below(3) {
        if bytes.is_empty() {
            return;
        }
        let (one, two) = (dice.below(bytes.len()), dice.below(bytes.len()));
        let (from, to) = (one.min(two), one.max(two));
        match dice.below(9) {
            0 => bytes[one] ^= 1 << dice.below(8),
            1 => bytes[one] = *dice.pick(&[0, 1, 0x7F, 0x80, 0xFF]),
            2 => bytes.insert(one, dice.byte()),
            3 => drop(bytes.drain(from..to)),
            4 => bytes.extend_from_within(from..to),
            5 => bytes.truncate(one),
            6 => lie(bytes, one, dice),
            7 => {
                let other = dice.pick(others);
                let part = dice.below(other.len());
                bytes.truncate(one);
                bytes.extend_from_slice(&other[part..]);
            }
            // What is in the middle stays at its place, so that only a part of a known kind is foreign.
            _ => {
                let other = dice.pick(others);
                for (at, byte) in bytes.iter_mut().enumerate().take(to).skip(from) {
                    *byte = other.get(at).copied().unwrap_or_default();
                }
            }
        }
    }
}

/// Two bytes that may be a length say something else.
fn lie(bytes: &mut [u8], at: usize, dice: &mut Dice) {
    if let Some(place) = bytes.get_mut(at..at + 2) {
        let told = u16::from_be_bytes([place[0], place[1]]);
        let lie = *dice.pick(&[0, 1, told.wrapping_add(1), told.wrapping_sub(1), told.wrapping_mul(2), 0x7FFF, 0xFFFF]);
        place.copy_from_slice(&lie.to_be_bytes());
    }
}
