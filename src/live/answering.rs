//! Shell: what liver and moderators do with questions: put on air, finish, hide, merge, link to a product.
//!
//! Each verb locks the live, then the question, lets the pure core decide, and writes rows, audit log and facts in one
//! transaction.

use serde_json::json;

use super::{
    LiveError, Lives, Move, Question, Visitor,
    act::Act,
    inquiries, pins,
    questions::{self, State},
};
use crate::{
    bus::Fact,
    ids::{LiveId, ProductId, QuestionId},
    wire::ordered::Event,
};

impl Lives {
    /// In which live a question was asked.
    async fn live_of(&self, question: &QuestionId) -> Result<LiveId, LiveError> {
        let mut tx = self.0.db.read("find question").await?;
        let found = inquiries::find(&mut tx, question).await?.ok_or(LiveError::NotFound("question"))?;
        Ok(found.live_id)
    }

    /// Puts a question on air (and finishes the one that was), finishes it, or hides it.
    ///
    /// # Errors
    /// [`LiveError::NotModerator`]; [`LiveError::Question`] when it is past that.
    pub async fn move_question(&self, by: &Visitor, question: &QuestionId, step: Move) -> Result<Question, LiveError> {
        let live = self.live_of(question).await?;
        // The live's lock first: two questions put on air at once must see each other.
        let mut act = self.begin_act("move question", by, &live).await?;
        let found = act.question(question).await?;
        let Some(next) = found.state.after(step, act.now)? else { return Ok(found) };
        let mut chapter_at_ms = found.chapter_at_ms;
        if let State::Answering { answering_at } = next {
            chapter_at_ms = questions::chapter(act.started_at(), answering_at);
            act.finish_on_air(&live).await?;
        }
        let question = Question { state: next, chapter_at_ms, version: found.version + 1, ..found };
        act.put(&question).await?;
        let action = match step {
            Move::Answer => "question.answer",
            Move::Finish => "question.finish",
            Move::Hide => "question.hide",
        };
        act.note(action, question.id.as_str(), asked_by(&question)).await?;
        act.finish().await?;
        Ok(question)
    }

    /// Gives a question's votes to another one; each voter counts once, its author not at all. A repeated merge changes
    /// nothing. The question that has the votes.
    ///
    /// # Errors
    /// [`LiveError::NotModerator`]; [`LiveError::NotFound`] when they are not of one live; [`LiveError::Question`] when
    /// they are not open any more.
    pub async fn merge_question(
        &self,
        by: &Visitor,
        from: &QuestionId,
        into: &QuestionId,
    ) -> Result<Question, LiveError> {
        let live = self.live_of(from).await?;
        let mut act = self.begin_act("merge question", by, &live).await?;
        let found = act.question(from).await?;
        let target = act.question(into).await?;
        if target.live_id != found.live_id {
            return Err(LiveError::NotFound("question"));
        }
        if found.merged_into() == Some(into) {
            return Ok(target);
        }
        questions::merge((&found.id, &found.state), (&target.id, &target.state))?;
        let votes = inquiries::move_votes(&mut act.tx, from, &target).await?;
        let merged = State::Merged { into: into.clone() };
        let merged = Question { state: merged, votes: 0, version: found.version + 1, ..found };
        let target = Question { votes, version: target.version + 1, ..target };
        let mut detail = asked_by(&merged);
        detail["into"] = json!(into);
        act.put(&merged).await?;
        for follower in inquiries::follow_merge(&mut act.tx, from, into).await? {
            act.tell_question(&follower);
        }
        act.put(&target).await?;
        act.note("question.merge", from.as_str(), detail).await?;
        act.finish().await?;
        Ok(target)
    }

    /// Says which product a question is about; it is pinned in its live, or was.
    ///
    /// # Errors
    /// [`LiveError::NotModerator`]; [`LiveError::NotFound`] when the live never showed the product.
    pub async fn link_question(
        &self,
        by: &Visitor,
        question: &QuestionId,
        product: Option<&ProductId>,
    ) -> Result<Question, LiveError> {
        let live = self.live_of(question).await?;
        let mut act = self.begin_act("link question", by, &live).await?;
        let found = act.question(question).await?;
        if found.product_id.as_ref() == product {
            return Ok(found);
        }
        if let Some(product) = product
            && !pins::was_shown(&mut act.tx, &live, product).await?
        {
            return Err(LiveError::NotFound("product in this live"));
        }
        let question = Question { product_id: product.cloned(), version: found.version + 1, ..found };
        act.put(&question).await?;
        act.note("question.link", question.id.as_str(), json!({ "product_id": product })).await?;
        act.finish().await?;
        Ok(question)
    }
}

/// How a question is written into the audit log.
fn asked_by(question: &Question) -> serde_json::Value {
    json!({ "customer_id": question.customer_id, "name": question.author_name, "text": question.text })
}

impl Act<'_> {
    async fn question(&mut self, question: &QuestionId) -> Result<Question, LiveError> {
        inquiries::find_locked(&mut self.tx, question).await?.ok_or(LiveError::NotFound("question"))
    }

    fn started_at(&self) -> Option<crate::clock::Millis> {
        self.live.as_ref().and_then(super::Live::started_at)
    }

    async fn put(&mut self, question: &Question) -> Result<(), LiveError> {
        inquiries::update(&mut self.tx, question).await?;
        self.tell_question(question);
        Ok(())
    }

    fn tell_question(&mut self, question: &Question) {
        let event = Event::QuestionChanged(question.to_wire());
        self.tell(Fact::Ordered { live: question.live_id.clone(), event });
    }

    /// Finishes the question that is on air.
    async fn finish_on_air(&mut self, live: &LiveId) -> Result<(), LiveError> {
        let Some(on_air) = inquiries::find_on_air(&mut self.tx, live).await? else { return Ok(()) };
        // Its lock, and with it the votes of this moment.
        let on_air = self.question(&on_air.id).await?;
        if let Some(state) = on_air.state.after(Move::Finish, self.now)? {
            self.put(&Question { state, version: on_air.version + 1, ..on_air }).await?;
        }
        Ok(())
    }
}
