//! What goes wrong, by a seed or because a test says so.

use std::{collections::BTreeMap, time::Duration};

/// A question, as far as limits and faults tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    CreateIntent,
    ListIntents,
    ReadIntent,
    Capture,
    Cancel,
    CreateRefund,
    ReadRefund,
    ListRefunds,
    CreateCustomer,
    CreateSetup,
    ReadSetup,
    ReadMethod,
    Detach,
    ListLines,
}

/// What goes wrong with one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 500, and nothing was done. Its key keeps the 500.
    Error,
    /// 500, and it was done. Its key keeps the 500.
    ErrorAfter,
    /// It was done, and nobody ever answers.
    Silence,
    /// It was done, and the connection breaks before the answer.
    Drop,
    /// It was done; the answer is a 200 that cannot be read.
    Garbage,
    /// It was done; the answer has no end.
    Huge,
    /// Something before Stripe says 503; Stripe never heard of it.
    Unavailable,
    /// 429.
    Busy,
    /// It is done after so long; meanwhile its key is in use.
    Slow(Duration),
}

impl Fault {
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "500 before commit",
            Self::ErrorAfter => "500 after commit",
            Self::Silence => "no answer after commit",
            Self::Drop => "connection dropped after commit",
            Self::Garbage => "unreadable 200 after commit",
            Self::Huge => "endless 200 after commit",
            Self::Unavailable => "503 before commit",
            Self::Busy => "429",
            Self::Slow(_) => "slow",
        }
    }
}

/// How often what goes wrong, of a thousand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plan {
    pub seed: u64,
    pub error: u32,
    pub error_after: u32,
    pub silence: u32,
    pub drop: u32,
    pub garbage: u32,
    pub unavailable: u32,
    pub busy: u32,
    /// Of webhooks.
    pub twice: u32,
    pub late: u32,
    pub reordered: u32,
    pub lost: u32,
}

impl Plan {
    /// Everything goes wrong, each so often.
    pub fn everything(seed: u64, each: u32) -> Self {
        Self {
            seed,
            error: each,
            error_after: each,
            silence: each,
            drop: each,
            garbage: each,
            unavailable: each,
            busy: each,
            twice: each,
            late: each,
            reordered: each,
            lost: each,
        }
    }
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Post {
    Once,
    Twice,
    Late,
    Reordered,
    Lost,
}

/// The plan under way.
#[derive(Debug, Default)]
pub struct Faults {
    pub plan: Plan,
    state: u64,
    directed: Vec<(Op, Fault)>,
    pub counts: BTreeMap<&'static str, u64>,
}

impl Faults {
    pub fn new(plan: Plan) -> Self {
        Self { plan, state: plan.seed, ..Self::default() }
    }

    /// Another plan from here on.
    pub fn follow(&mut self, plan: Plan) {
        self.plan = plan;
        self.state = plan.seed;
    }

    /// splitmix64.
    fn roll(&mut self) -> u32 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        u32::try_from((mixed ^ (mixed >> 31)) % 1_000).expect("below a thousand")
    }

    fn pick<T: Copy>(&mut self, odds: &[(u32, T)]) -> Option<T> {
        if odds.iter().all(|(odd, _)| *odd == 0) {
            return None;
        }
        let mut rolled = self.roll();
        for (odd, what) in odds {
            if rolled < *odd {
                return Some(*what);
            }
            rolled -= odd;
        }
        None
    }

    pub fn direct(&mut self, op: Op, fault: Fault) {
        self.directed.push((op, fault));
    }

    pub fn of_question(&mut self, op: Op) -> Option<Fault> {
        let directed = self.directed.iter().position(|(of, _)| *of == op).map(|at| self.directed.remove(at).1);
        let plan = self.plan;
        let fault = directed.or_else(|| {
            self.pick(&[
                (plan.error, Fault::Error),
                (plan.error_after, Fault::ErrorAfter),
                (plan.silence, Fault::Silence),
                (plan.drop, Fault::Drop),
                (plan.garbage, Fault::Garbage),
                (plan.unavailable, Fault::Unavailable),
                (plan.busy, Fault::Busy),
            ])
        });
        if let Some(fault) = fault {
            self.count(fault.name());
        }
        fault
    }

    pub fn of_message(&mut self) -> Post {
        let plan = self.plan;
        let odds = [
            (plan.twice, Post::Twice),
            (plan.late, Post::Late),
            (plan.reordered, Post::Reordered),
            (plan.lost, Post::Lost),
        ];
        let post = self.pick(&odds).unwrap_or(Post::Once);
        match post {
            Post::Once => {}
            Post::Twice => self.count("webhook twice"),
            Post::Late => self.count("webhook late"),
            Post::Reordered => self.count("webhook out of order"),
            Post::Lost => self.count("webhook lost"),
        }
        post
    }

    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}
