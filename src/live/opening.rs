//! Shell: what a room starts from, read in one transaction.

use std::sync::Arc;

use super::{
    LiveError, archive,
    followers::Followers,
    follows,
    household::Household,
    hub::HubInner,
    inquiries::{self, Question},
    moderation::Moderation,
    orders, podium,
    presence::Presence,
    room::{CHAT_SHOWN, Loaded, QUESTIONS_SHOWN, State},
    talk,
    uniques::Uniques,
    votes::{MAX_VOTES, Votes},
};
use crate::{
    clock::Millis,
    ids::LiveId,
    store::{StoreError, Tx},
    wire,
};

fn rows(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A live, what its room shows, who watched it, and the people it remembers.
pub(super) type Opened = (archive::Live, State, Presence, Household);

/// Reads a live, what its room shows, and the people it remembers.
pub(super) async fn load(hub: &HubInner, live: &LiveId) -> Result<Opened, LiveError> {
    let mut tx = hub.db.read("open room").await?;
    let found = archive::find(&mut tx, live).await?.ok_or(LiveError::NotFound("live"))?;
    let shown = (hub.shown)(&mut tx, live).await?;
    let mut questions = inquiries::list(&mut tx, live, None, None, rows(QUESTIONS_SHOWN)).await?;
    if let Some(on_air) = inquiries::find_on_air(&mut tx, live).await?
        && !questions.contains(&on_air)
    {
        questions.push(on_air);
    }
    let chat = talk::newest(&mut tx, live, rows(CHAT_SHOWN)).await?;
    let reactions = talk::reactions(&mut tx, live).await?;
    let household = load_household(&mut tx, &found, &questions, hub.clock.now()).await?;
    let (top, version) = podium::pinned(&mut tx, live).await?;
    let top = match &top {
        Some(chat) => talk::find_line(&mut tx, chat).await?.filter(|line| !line.deleted),
        None => None,
    };
    let state = State::new(Loaded {
        live: found.to_wire(),
        pins: shown.pins,
        stock: shown.stock,
        left: shown.left,
        questions: questions.iter().map(Question::to_wire).collect(),
        chat,
        reactions,
        chat_rules: podium::rules(&mut tx, live).await?,
        chat_pinned: wire::ChatPinned { message: top.map(|line| line.message), version },
    });
    let (watched_ms, uniques) = talk::audience(&mut tx, live).await?;
    let uniques = Uniques::from_text(&uniques);
    let presence = Presence::new(found.peak_viewers, uniques, watched_ms, hub.clock.now());
    Ok((found, state, presence, household))
}

async fn load_household(
    tx: &mut Tx,
    live: &archive::Live,
    questions: &[Question],
    now: Millis,
) -> Result<Household, StoreError> {
    let order = Arc::new(Moderation::new(orders::load(tx, &live.liver_id, now).await?));
    let followers = Followers::new(follows::newest(tx, &live.liver_id).await?);
    let mut votes = Votes::default();
    for question in questions {
        votes.asked(question.id.to_string(), question.customer_id.clone());
    }
    if let Some(oldest) = questions.iter().map(|question| &question.id).min() {
        for (question, voter) in inquiries::voters(tx, &live.id, oldest, rows(MAX_VOTES)).await? {
            votes.put(question.as_str(), &voter, |_| true);
        }
    }
    Ok(Household { order, followers, votes })
}
