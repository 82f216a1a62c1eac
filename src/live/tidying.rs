//! Shell: a tidy chat: deleting lines, the line on top, the rules of the chat.

use serde_json::json;

use super::{
    LiveError, Lives, Visitor,
    act::{Act, about},
    moderation::check_rules,
    orders, podium, talk,
};
use crate::{
    bus::Fact,
    ids::{ChatId, CustomerId, LiveId},
    wire::{self, ordered::Event},
};

impl Lives {
    /// Takes a line away.
    ///
    /// # Errors
    /// [`LiveError::NotModerator`]; [`LiveError::NotFound`] when it is not of this live.
    pub async fn delete_line(&self, by: &Visitor, live: &LiveId, chat: &ChatId) -> Result<(), LiveError> {
        self.load_moderated(by, live).await?;
        let line = self.find_line(live, chat).await?;
        let mut act = self.begin_act("delete line", by, live).await?;
        if !talk::delete(&mut act.tx, chat, act.now).await? {
            // It was deleted before: a repeated tap is harmless.
            return Ok(());
        }
        act.tell_deleted(live, std::slice::from_ref(chat)).await?;
        let who = orders::find_by_account(&mut act.tx, &line.account).await?;
        act.note("moderation.delete_line", chat.as_str(), who.as_ref().map_or_else(|| json!({}), about)).await?;
        act.finish().await
    }

    /// Takes away what a person said and the room still shows; how many lines those were.
    pub(super) async fn delete_lines(
        &self,
        act: &mut Act<'_>,
        live: &LiveId,
        customer: &CustomerId,
    ) -> Result<usize, LiveError> {
        // A room that is not in memory shows what it would load: everything here is newer than nothing.
        let oldest =
            self.0.hub.find(live).map(|stage| {
                stage.look(|state| state.chat().map(|message| message.id.clone()).min().unwrap_or_default())
            });
        let deleted = talk::delete_since(&mut act.tx, live, customer, &oldest.unwrap_or_default(), act.now).await?;
        act.tell_deleted(live, &deleted).await?;
        Ok(deleted.len())
    }

    /// Puts a line on top of the chat, in place of the one that is there.
    ///
    /// # Errors
    /// [`LiveError::NotModerator`]; [`LiveError::NotFound`] when it is not of this live or was deleted.
    pub async fn pin_line(&self, by: &Visitor, live: &LiveId, chat: &ChatId) -> Result<wire::ChatPinned, LiveError> {
        self.load_moderated(by, live).await?;
        self.find_line(live, chat).await?;
        let mut act = self.begin_act("pin line", by, live).await?;
        // Read again under the live's lock: it may have been deleted meanwhile.
        let line = talk::find_line(&mut act.tx, chat).await?.filter(|line| !line.deleted);
        let line = line.ok_or(LiveError::NotFound("message"))?;
        let version = podium::pin(&mut act.tx, live, Some(chat)).await?;
        let pinned = wire::ChatPinned { message: Some(line.message), version };
        act.tell(Fact::Ordered { live: live.clone(), event: Event::ChatPinned(pinned.clone()) });
        act.note("moderation.pin_line", chat.as_str(), json!({})).await?;
        act.finish().await?;
        Ok(pinned)
    }

    /// Takes down the line on top of the chat; harmless when there is none.
    ///
    /// # Errors
    /// [`LiveError::NotModerator`].
    pub async fn unpin_line(&self, by: &Visitor, live: &LiveId) -> Result<(), LiveError> {
        let mut act = self.begin_act("unpin line", by, live).await?;
        let (Some(chat), _) = podium::pinned(&mut act.tx, live).await? else { return Ok(()) };
        act.take_down(live).await?;
        act.note("moderation.unpin_line", chat.as_str(), json!({})).await?;
        act.finish().await
    }

    /// What holds for the viewers' chat.
    ///
    /// # Errors
    /// [`LiveError::NotFound`].
    pub async fn chat_rules(&self, live: &LiveId) -> Result<wire::ChatRules, LiveError> {
        Ok(self.0.hub.open(live).await?.look(super::room::State::chat_rules))
    }

    /// Changes what holds for the viewers' chat.
    ///
    /// # Errors
    /// [`LiveError::NotModerator`]; [`LiveError::Moderation`] when a number is out of bounds.
    pub async fn put_chat_rules(
        &self,
        by: &Visitor,
        live: &LiveId,
        rules: wire::ChatRules,
    ) -> Result<wire::ChatRules, LiveError> {
        check_rules(rules.slow_mode_s)?;
        let mut act = self.begin_act("change chat rules", by, live).await?;
        let rules = podium::put_rules(&mut act.tx, live, rules).await?;
        act.tell(Fact::Ordered { live: live.clone(), event: Event::ChatRulesChanged(rules) });
        let detail = json!({ "slow_mode_s": rules.slow_mode_s, "followers_only": rules.followers_only });
        act.note("moderation.chat_rules", live.as_str(), detail).await?;
        act.finish().await?;
        Ok(rules)
    }
}

impl Act<'_> {
    /// Tells that lines are gone, also from the top of the chat.
    async fn tell_deleted(&mut self, live: &LiveId, lines: &[ChatId]) -> Result<(), LiveError> {
        for chat in lines {
            let event = Event::ChatDeleted(wire::ChatDeleted { chat_id: chat.to_string() });
            self.tell(Fact::Ordered { live: live.clone(), event });
        }
        let (top, _) = podium::pinned(&mut self.tx, live).await?;
        if top.is_some_and(|top| lines.contains(&top)) {
            self.take_down(live).await?;
        }
        Ok(())
    }

    async fn take_down(&mut self, live: &LiveId) -> Result<(), LiveError> {
        let version = podium::pin(&mut self.tx, live, None).await?;
        let event = Event::ChatPinned(wire::ChatPinned { message: None, version });
        self.tell(Fact::Ordered { live: live.clone(), event });
        Ok(())
    }
}
