//! Shell: what viewers do: join, chat, ask, vote, react, look at a product.

use std::{net::IpAddr, sync::Arc};

use super::{
    Codec, Following, Handler, LiveError, Lives, Member, Phase, Question, Seat, TouchKind, Visitor, Wire, archive,
    follows, inquiries, orders,
    questions::{self, QuestionRefusal, State},
    shard::Arrival,
    talk::Entry,
};
use crate::{
    bus::{self, Fact, Voice},
    ids::{LiveId, LiverId, ProductId, QuestionId},
    store::Tx,
    wire,
};

/// How often a vote follows a question that was merged meanwhile.
const MAX_MERGES_FOLLOWED: usize = 4;

/// Whether there is a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picture {
    /// The publisher sends.
    Up,
    /// The publisher was lost; it may come back.
    Away,
}

impl Lives {
    /// Whether somebody may enter a live from an address. Waits for the database only when the room is not open.
    ///
    /// # Errors
    /// [`LiveError::Moderation`] when they are banned, [`LiveError::NotFound`], [`LiveError::Busy`].
    pub async fn may_enter(&self, live: &LiveId, visitor: Option<&Visitor>, address: IpAddr) -> Result<(), LiveError> {
        let from = self.0.hub.note_place(visitor, address);
        Ok(self.0.hub.open(live).await?.may_enter(visitor, from)?)
    }

    /// Takes a seat in the room, for a task that reads it. Opening the room is the only thing here that waits for the
    /// database. `who` tells people apart in the count of different ones.
    ///
    /// # Errors
    /// [`LiveError::NotFound`], or [`LiveError::Busy`] when too many rooms are open or connections seated.
    pub async fn join(
        &self,
        live: &LiveId,
        visitor: Option<Visitor>,
        codec: Codec,
        who: u64,
    ) -> Result<Seat, LiveError> {
        self.0.hub.join(live, visitor, codec, who).await
    }

    /// Takes a seat for a connection that is about to be upgraded; then [`Lives::connect`] it.
    ///
    /// # Errors
    /// As [`Lives::join`]; also [`LiveError::Busy`] when no shard lives that could serve it.
    pub async fn board(&self, live: &LiveId, visitor: Option<Visitor>, who: u64) -> Result<Arc<Member>, LiveError> {
        self.0.hub.board(live, visitor, who).await
    }

    /// Looks whether the sign-in of a connection still holds: tells the next pass, or ends the connection.
    ///
    /// # Errors
    /// The database's.
    pub async fn renew_pass(&self, member: &Member) -> Result<(), LiveError> {
        let Some(sign_in) = member.sign_in() else { return Ok(()) };
        match self.0.hub.renew_pass(sign_in).await? {
            Some(pass) => member.put_pass(pass),
            None => member.dismiss(super::Dismissal::PassExpired),
        }
        Ok(())
    }

    /// Seats an upgraded connection; `early` is what came with its request.
    pub fn connect(&self, member: Arc<Member>, wire: Wire, early: bytes::Bytes, codec: Codec, handler: Handler) {
        let lane = Arc::clone(&member.lane);
        // The lane rings this door and no other.
        if let Some(door) = lane.door() {
            door.arrive(Arrival { wire, early, member, codec, handler });
        }
    }

    /// Says something in the chat: told at once, archived a moment later.
    ///
    /// # Errors
    /// [`LiveError::Chat`] when it is too fast or cannot be used, [`LiveError::Moderation`] when the author or the text is
    /// not wanted, [`LiveError::Ended`].
    pub async fn chat(&self, live: &LiveId, author: &Visitor, text: &str) -> Result<wire::ChatMessage, LiveError> {
        let message = loop {
            // A room that was dropped meanwhile is opened again.
            if let Ok(said) = self.0.hub.open(live).await?.say(author, text) {
                break said?;
            }
        };
        self.spread(live, author, &message);
        Ok(message)
    }

    /// Says something from a seat: at once, so that one's lines stay in their order.
    ///
    /// # Errors
    /// As [`Lives::chat`].
    pub fn say(&self, member: &Member, author: &Visitor, text: &str) -> Result<wire::ChatMessage, LiveError> {
        // Who is seated keeps the room open.
        let message = member.stage.say(author, text).unwrap_or(Err(LiveError::Busy))?;
        self.spread(member.live(), author, &message);
        Ok(message)
    }

    fn spread(&self, live: &LiveId, author: &Visitor, message: &wire::ChatMessage) {
        let account = author.account_id.clone();
        self.0.scribe.note(Entry::Chat { live: live.clone(), author: account.clone(), message: message.clone() });
        self.0.bus.offer(Fact::Chat { live: live.clone(), author: Some(account), message: message.clone() });
    }

    /// The newest messages that the room was shown, oldest first.
    ///
    /// # Errors
    /// [`LiveError::NotFound`].
    pub async fn newest_chat(&self, live: &LiveId) -> Result<Vec<wire::ChatMessage>, LiveError> {
        let stage = self.0.hub.open(live).await?;
        Ok(stage.look(|state| state.chat().cloned().collect()))
    }

    /// Counts a reaction.
    ///
    /// # Errors
    /// [`LiveError::UnknownReaction`], or [`LiveError::Ended`].
    pub fn react(&self, member: &Member, kind: &str) -> Result<(), LiveError> {
        member.stage.react(kind)
    }

    /// Remembers that a customer opened the card of a pinned product.
    ///
    /// # Errors
    /// [`LiveError::NotFound`] when it is not pinned here.
    pub fn click(&self, member: &Member, pin_id: &str) -> Result<(), LiveError> {
        let product = member.stage.look(|state| {
            let pin = state.pin(pin_id)?;
            ProductId::parse(&pin.product.as_ref()?.id).ok()
        });
        let product = product.ok_or(LiveError::NotFound("pin"))?;
        member.stage.note_tap(pin_id, member.id);
        if let Some(visitor) = member.visitor() {
            self.0.hub.touch(&member.stage.live, &visitor.customer_id, TouchKind::Click, Some(product));
        }
        Ok(())
    }

    /// Asks a question, about a pinned product or in general.
    ///
    /// # Errors
    /// [`LiveError::Question`] when it cannot be used or too many wait, [`LiveError::Moderation`] when the author or the text
    /// is not wanted, [`LiveError::NotFound`] when the product is not pinned, [`LiveError::Ended`].
    pub async fn ask(
        &self,
        live: &LiveId,
        author: &Visitor,
        text: &str,
        product: Option<&ProductId>,
    ) -> Result<Question, LiveError> {
        let now = self.0.clock.now();
        self.0.hub.open(live).await?.may_ask(author, text, product.map(ProductId::as_str))?;
        let mut tx = self.0.db.write("ask question").await?;
        let found = archive::find(&mut tx, live).await?.ok_or(LiveError::NotFound("live"))?;
        if matches!(found.session.phase, Phase::Ended { .. }) {
            return Err(LiveError::Ended);
        }
        let asked = inquiries::asked(&mut tx, live, &author.customer_id).await?;
        let question = Question {
            id: QuestionId::fresh(),
            live_id: live.clone(),
            customer_id: author.customer_id.clone(),
            author_name: author.display_name.clone(),
            text: questions::ask(text, asked, now)?,
            votes: 0,
            state: State::Open,
            asked_at: now,
            chapter_at_ms: None,
            product_id: product.cloned(),
            version: 1,
            demo: author.demo,
        };
        inquiries::insert(&mut tx, &question).await?;
        self.commit_with(tx, &question, Voice::Asked(author.customer_id.clone())).await?;
        Ok(question)
    }

    /// Votes for a question, or for the one that it was merged into; a second vote of the same customer changes nothing.
    ///
    /// # Errors
    /// [`LiveError::Question`] for one's own, or one that does not wait any more; [`LiveError::Moderation`] for somebody who
    /// may not take part.
    pub async fn upvote(&self, question: &QuestionId, voter: &Visitor) -> Result<Question, LiveError> {
        let mut tx = self.0.db.read("find question").await?;
        let found = inquiries::find(&mut tx, question).await?.ok_or(LiveError::NotFound("question"))?;
        drop(tx);
        self.0.hub.open(&found.live_id).await?.may_vote(voter)?;
        let mut question = found.merged_into().cloned().unwrap_or(found.id);
        for _ in 0..MAX_MERGES_FOLLOWED {
            let voted = self.vote(&question, voter).await?;
            // It was merged this moment. One question at a time is locked, so that votes and merges cannot lock each other.
            let Some(into) = voted.merged_into() else { return Ok(voted) };
            question = into.clone();
        }
        Err(QuestionRefusal::Merged.into())
    }

    async fn vote(&self, question: &QuestionId, voter: &Visitor) -> Result<Question, LiveError> {
        let mut tx = self.0.db.write("upvote question").await?;
        // Its lock first: a vote and a merge of the same question must see each other.
        let found = inquiries::find_locked(&mut tx, question).await?.ok_or(LiveError::NotFound("question"))?;
        if found.merged_into().is_some() {
            return Ok(found);
        }
        match questions::vote(&found.state, &found.customer_id, &voter.customer_id) {
            // A vote that comes when the answer has begun and ended is no mistake of the voter's.
            Err(QuestionRefusal::Answered) => return Ok(found),
            decided => decided?,
        }
        match inquiries::vote(&mut tx, &found.id, &voter.customer_id, self.0.clock.now()).await? {
            None => Ok(found),
            Some(question) => {
                self.commit_with(tx, &question, Voice::Voted(voter.customer_id.clone())).await?;
                Ok(question)
            }
        }
    }

    /// Follows a liver, or does no more; followers may talk where only they may.
    ///
    /// # Errors
    /// [`LiveError::NotFound`] when there is no such liver.
    pub async fn follow(&self, liver: &LiverId, visitor: &Visitor, following: Following) -> Result<(), LiveError> {
        let now = self.0.clock.now();
        let mut tx = self.0.db.write("follow liver").await?;
        if !orders::liver_exists(&mut tx, liver).await? {
            return Err(LiveError::NotFound("liver"));
        }
        let follow = follows::put(&mut tx, liver, &visitor.customer_id, following, now).await?;
        let fact = Fact::Follow {
            liver: liver.clone(),
            customer: follow.customer.clone(),
            following: follow.following,
            version: follow.version,
        };
        let written = bus::append(&mut tx, fact, now).await?;
        tx.commit().await?;
        self.0.relay.tell(vec![written]);
        // Their next line on this node need not wait for the news.
        self.0.hub.heard_of_follow(liver, &follow);
        Ok(())
    }

    async fn commit_with(&self, mut tx: Tx, question: &Question, by: Voice) -> Result<(), LiveError> {
        let live = question.live_id.clone();
        let fact = Fact::Question { live, question: question.to_wire(), by: Some(by) };
        let written = bus::append(&mut tx, fact, self.0.clock.now()).await?;
        tx.commit().await?;
        self.0.relay.tell(vec![written]);
        Ok(())
    }

    /// Questions, newest first; of one state, or all that are shown.
    ///
    /// # Errors
    /// The database's.
    pub async fn questions(
        &self,
        live: &LiveId,
        state: Option<&'static str>,
        before: Option<&QuestionId>,
        limit: i64,
    ) -> Result<Vec<Question>, LiveError> {
        let mut tx = self.0.db.read("list questions").await?;
        Ok(inquiries::list(&mut tx, live, state, before, limit).await?)
    }

    /// Questions with the most votes first, of equal ones the oldest; those after the votes and id of `after`.
    ///
    /// # Errors
    /// The database's.
    pub async fn question_queue(
        &self,
        live: &LiveId,
        state: Option<&'static str>,
        after: Option<&(i64, QuestionId)>,
        limit: i64,
    ) -> Result<Vec<Question>, LiveError> {
        let mut tx = self.0.db.read("question queue").await?;
        Ok(inquiries::queue(&mut tx, live, state, after, limit).await?)
    }

    /// What was answered on air, in order of the replay; those after the place and id of `after`.
    ///
    /// # Errors
    /// The database's.
    pub async fn chapters(
        &self,
        live: &LiveId,
        after: Option<&(i64, QuestionId)>,
        limit: i64,
    ) -> Result<Vec<Question>, LiveError> {
        let mut tx = self.0.db.read("chapters").await?;
        Ok(inquiries::chapters(&mut tx, live, after, limit).await?)
    }

    /// The picture came or went.
    pub async fn media_changed(&self, live: &LiveId, picture: Picture) {
        let media = match picture {
            Picture::Up => "up",
            Picture::Away => "away",
        };
        let fact = Fact::Media { live: live.clone(), media: media.to_owned() };
        if self.0.bus.publish(fact).await.is_err() {
            tracing::warn!(live.id = %live, live.media = media, "the bus is away; viewers are not told of the picture");
        }
    }

    /// Whether there is a picture: `none`, `up` or `away`.
    #[must_use]
    pub fn media(&self, live: &LiveId) -> String {
        self.0.hub.media(live)
    }

    /// How many watch, and the most there were since the room was opened.
    #[must_use]
    pub fn audience(&self, live: &LiveId) -> (u32, u32) {
        self.0.hub.find(live).map_or((0, 0), |stage| stage.audience())
    }
}
