//! Pure: what may happen to a live session: scheduled → live → ended.
//!
//! Transitions consume the session and give the next one; each phase carries its own times.
//! Invariant: a tie-up live that is on air bears a PR label (ステマ規制), and every moment of it is covered by a label
//! interval. The shell stores what is decided here; nothing here knows rows or messages.

use super::words::{LineRefusal, line};
use crate::{clock::Millis, ids::BrandId};

/// Longest title, in characters: two lines on a phone.
pub const MAX_TITLE_CHARS: usize = 80;
/// Longest PR label, in characters: it must be readable at a glance.
pub const MAX_PR_LABEL_CHARS: usize = 40;

/// Where a session is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Announced; nobody sees a picture.
    Scheduled,
    /// On air.
    Live {
        /// Since when.
        started_at: Millis,
    },
    /// Over; the replay remains.
    Ended {
        /// When it began.
        started_at: Millis,
        /// When it was over.
        ended_at: Millis,
    },
}

impl Phase {
    /// The word of the contract.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Live { .. } => "live",
            Self::Ended { .. } => "ended",
        }
    }
}

/// A live session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// What it is called.
    pub title: String,
    /// The brand that pays for it, if one does.
    pub tie_up: Option<BrandId>,
    /// What every viewer must see while it is a tie-up; never empty text.
    pub pr_label: Option<String>,
    /// When it is announced for.
    pub scheduled_at: Millis,
    /// Where it is.
    pub phase: Phase,
}

/// What a liver announces.
#[derive(Debug, Clone, Default)]
pub struct Announcement {
    /// What it is called.
    pub title: String,
    /// The brand that pays for it.
    pub tie_up: Option<BrandId>,
    /// The PR label; empty counts as none.
    pub pr_label: Option<String>,
    /// When; now when not given.
    pub scheduled_at: Option<Millis>,
}

/// What a liver changes; `None` leaves as is.
#[derive(Debug, Clone, Default)]
pub struct Edit {
    /// A new title.
    pub title: Option<String>,
    /// A new PR label; empty removes it.
    pub pr_label: Option<String>,
    /// Another time.
    pub scheduled_at: Option<Millis>,
}

/// What follows for the record of labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelChange {
    /// The running interval, if any, ends.
    Closed,
    /// An interval begins with this label.
    Opened(String),
}

/// Why a transition is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionRefusal {
    /// It was started before.
    #[error("the live has been started before")]
    NotScheduled,
    /// It has not begun.
    #[error("the live is not on air")]
    NotLive,
    /// It is over.
    #[error("the live has ended")]
    Ended,
    /// A tie-up must bear its label.
    #[error("a tie-up live must bear a PR label")]
    PrLabelMissing,
    /// The title cannot be used.
    #[error("title: {0}")]
    Title(LineRefusal),
    /// Not a time people mean.
    #[error("scheduled_at_ms must be a time between the years 2000 and 2100, in Unix milliseconds")]
    Time,
    /// The label cannot be used.
    #[error("PR label: {0}")]
    PrLabel(LineRefusal),
}

/// 2000-01-01 and 2100-01-01, UTC: outside of it somebody sent seconds, or rubbish.
const TIMES: std::ops::Range<i64> = 946_684_800_000..4_102_444_800_000;

fn checked_time(at: Millis) -> Result<Millis, SessionRefusal> {
    if TIMES.contains(&at.0) { Ok(at) } else { Err(SessionRefusal::Time) }
}

fn checked_label(label: &str) -> Result<Option<String>, SessionRefusal> {
    if label.trim().is_empty() {
        return Ok(None);
    }
    line(label, MAX_PR_LABEL_CHARS).map(Some).map_err(SessionRefusal::PrLabel)
}

impl Session {
    /// Announces a live.
    ///
    /// # Errors
    /// When title or label cannot be used.
    pub fn schedule(plan: Announcement, now: Millis) -> Result<Self, SessionRefusal> {
        let pr_label = plan.pr_label.as_deref().map_or(Ok(None), checked_label)?;
        Ok(Self {
            title: line(&plan.title, MAX_TITLE_CHARS).map_err(SessionRefusal::Title)?,
            tie_up: plan.tie_up,
            pr_label,
            scheduled_at: plan.scheduled_at.map_or(Ok(now), checked_time)?,
            phase: Phase::Scheduled,
        })
    }

    /// Goes on air.
    ///
    /// # Errors
    /// Unless it is scheduled and, for a tie-up, bears its label.
    pub fn start(self, now: Millis) -> Result<(Self, Vec<LabelChange>), SessionRefusal> {
        match self.phase {
            Phase::Scheduled => {}
            Phase::Live { .. } => return Err(SessionRefusal::NotScheduled),
            Phase::Ended { .. } => return Err(SessionRefusal::Ended),
        }
        if self.tie_up.is_some() && self.pr_label.is_none() {
            return Err(SessionRefusal::PrLabelMissing);
        }
        let labels = self.pr_label.clone().map(LabelChange::Opened).into_iter().collect();
        Ok((Self { phase: Phase::Live { started_at: now }, ..self }, labels))
    }

    /// Changes what is announced or shown.
    ///
    /// # Errors
    /// When it has ended, when a value cannot be used, or when the label of a tie-up on air would vanish.
    pub fn edit(self, edit: Edit) -> Result<(Self, Vec<LabelChange>), SessionRefusal> {
        let on_air = match self.phase {
            Phase::Scheduled => false,
            Phase::Live { .. } => true,
            Phase::Ended { .. } => return Err(SessionRefusal::Ended),
        };
        if on_air && edit.scheduled_at.is_some() {
            return Err(SessionRefusal::NotScheduled);
        }
        let title = match edit.title {
            Some(title) => line(&title, MAX_TITLE_CHARS).map_err(SessionRefusal::Title)?,
            None => self.title,
        };
        let pr_label = match edit.pr_label {
            Some(label) => checked_label(&label)?,
            None => self.pr_label.clone(),
        };
        if on_air && self.tie_up.is_some() && pr_label.is_none() {
            return Err(SessionRefusal::PrLabelMissing);
        }
        let mut labels = Vec::new();
        if on_air && pr_label != self.pr_label {
            labels.push(LabelChange::Closed);
            labels.extend(pr_label.clone().map(LabelChange::Opened));
        }
        let scheduled_at = edit.scheduled_at.map_or(Ok(self.scheduled_at), checked_time)?;
        Ok((Self { title, pr_label, scheduled_at, ..self }, labels))
    }

    /// Ends the live.
    ///
    /// # Errors
    /// Unless it is on air.
    pub fn end(self, now: Millis) -> Result<(Self, Vec<LabelChange>), SessionRefusal> {
        match self.phase {
            Phase::Scheduled => Err(SessionRefusal::NotLive),
            Phase::Ended { .. } => Err(SessionRefusal::Ended),
            Phase::Live { started_at } => {
                let ended_at = now.max(started_at);
                Ok((Self { phase: Phase::Ended { started_at, ended_at }, ..self }, vec![LabelChange::Closed]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Start,
        End,
        Label(String),
        Title(String),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Start),
            Just(Step::End),
            "( |PR|広告){0,2}".prop_map(Step::Label),
            "[a-c ]{0,4}".prop_map(Step::Title),
        ]
    }

    proptest! {
        #[test]
        fn a_tie_up_on_air_is_always_labelled(tie_up: bool, label in "( |PR){0,2}", steps in prop::collection::vec(step(), 0..20)) {
            let plan = Announcement {
                title: "夏のスキンケア".to_owned(),
                tie_up: tie_up.then(BrandId::fresh),
                pr_label: Some(label),
                scheduled_at: None,
            };
            let mut session = Session::schedule(plan, Millis(0)).expect("the title is fine");
            let mut open: Option<String> = None;
            let mut ended = false;
            for (at, step) in steps.into_iter().enumerate() {
                let now = Millis(i64::try_from(at).expect("few steps"));
                let before = session.clone();
                let next = match step {
                    Step::Start => session.start(now),
                    Step::End => session.end(now),
                    Step::Label(text) => session.edit(Edit { pr_label: Some(text), ..Edit::default() }),
                    Step::Title(text) => session.edit(Edit { title: Some(text), ..Edit::default() }),
                };
                session = match next {
                    Ok((session, labels)) => {
                        for change in labels {
                            open = match change {
                                LabelChange::Closed => None,
                                LabelChange::Opened(label) => { prop_assert_eq!(&open, &None); Some(label) }
                            };
                        }
                        prop_assert!(!ended, "nothing happens after the end");
                        session
                    }
                    Err(_) => before,
                };
                ended = matches!(session.phase, Phase::Ended { .. });
                if matches!(session.phase, Phase::Live { .. }) {
                    prop_assert!(session.tie_up.is_none() || session.pr_label.is_some());
                    prop_assert_eq!(&open, &session.pr_label, "the open interval is the label shown");
                } else {
                    prop_assert_eq!(&open, &None);
                }
            }
        }
    }

    #[test]
    fn a_live_goes_one_way() {
        let plan = Announcement { title: "x".to_owned(), ..Announcement::default() };
        let session = Session::schedule(plan, Millis(5)).expect("fine");
        assert_eq!(session.clone().end(Millis(6)), Err(SessionRefusal::NotLive));
        let (session, _) = session.start(Millis(7)).expect("scheduled");
        assert_eq!(session.clone().start(Millis(8)), Err(SessionRefusal::NotScheduled));
        let (session, _) = session.end(Millis(9)).expect("live");
        assert_eq!(session.phase, Phase::Ended { started_at: Millis(7), ended_at: Millis(9) });
        assert_eq!(session.clone().end(Millis(9)), Err(SessionRefusal::Ended));
        assert_eq!(session.edit(Edit::default()), Err(SessionRefusal::Ended));
    }
}
