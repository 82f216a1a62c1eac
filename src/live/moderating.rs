//! Shell: who keeps order: naming moderators, muting, banning, refusing words.
//!
//! People are named by a line or a question of theirs, which is what a moderator sees.

use std::time::Duration;

use serde_json::json;

use super::{
    Appointment, BanRow, Live, LiveError, Lives, ModerationRefusal, Moderator, MuteRow, Step, Visitor, Word,
    WordRefusal,
    act::{Act, Place, about},
    chat::Role,
    inquiries,
    moderation::{MAX_BANS, MAX_MODERATORS, MAX_MUTES, may_sanction, mute_until},
    orders::{self, Subject},
    sanctions::{self, NewSanction},
    talk::{self, Line},
    wordlist::MAX_WORDS,
};
use crate::ids::{AccountId, BanId, ChatId, CustomerId, LiveId, LiverId, MuteId, QuestionId, WordId};

/// Looks for a line that the room shows and another node has not stored yet …
const LINE_LOOKS: u32 = 10;
/// … with this pause between two.
const LINE_PAUSE: Duration = Duration::from_millis(100);

/// By what a person is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Who said this.
    Chat(ChatId),
    /// Who asked this.
    Question(QuestionId),
    /// Who was muted by this.
    Mute(MuteId),
}

/// Somebody is to be muted.
#[derive(Debug, Clone)]
pub struct NewMute {
    /// Who.
    pub target: Target,
    /// For good when absent.
    pub duration_s: Option<i64>,
    /// In all of the liver's lives, not only in this one.
    pub everywhere: bool,
}

/// Somebody is to be banned from all of the liver's lives.
#[derive(Debug, Clone)]
pub struct NewBan {
    /// Who.
    pub target: Target,
    /// Also whoever comes from where this person comes from.
    pub with_address: bool,
    /// What they said and the room still shows is taken away.
    pub delete_lines: bool,
}

impl Lives {
    /// A line of a live, also one that was said a moment ago and is just being stored.
    pub(super) async fn find_line(&self, live: &LiveId, chat: &ChatId) -> Result<Line, LiveError> {
        for look in 0..LINE_LOOKS {
            let mut tx = self.0.db.read("find line").await?;
            let found = talk::find_line(&mut tx, chat).await?;
            drop(tx);
            match found {
                Some(line) if line.live == *live => return Ok(line),
                Some(_) => break,
                None if look == 0 => self.0.scribe.flush().await,
                None => {
                    let stage = self.0.hub.open(live).await?;
                    if !stage.look(|state| state.chat().any(|message| message.id == chat.as_str())) {
                        break;
                    }
                    tokio::time::sleep(LINE_PAUSE).await;
                }
            }
        }
        Err(LiveError::NotFound("message"))
    }

    async fn find_subject(&self, live: &Live, target: &Target) -> Result<Subject, LiveError> {
        let line = match target {
            Target::Chat(chat) => Some(self.find_line(&live.id, chat).await?),
            Target::Question(_) | Target::Mute(_) => None,
        };
        let mut tx = self.0.db.read("find person").await?;
        let found = match (target, line) {
            (Target::Question(question), _) => {
                let question = inquiries::find(&mut tx, question).await?.filter(|found| found.live_id == live.id);
                let question = question.ok_or(LiveError::NotFound("question"))?;
                orders::find_by_customer(&mut tx, &question.customer_id).await?
            }
            (Target::Mute(mute), _) => {
                let customer = sanctions::muted(&mut tx, &live.liver_id, mute).await?;
                orders::find_by_customer(&mut tx, &customer.ok_or(LiveError::NotFound("mute"))?).await?
            }
            (Target::Chat(_), Some(line)) => orders::find_by_account(&mut tx, &line.account).await?,
            (Target::Chat(_), None) => None,
        };
        found.ok_or(LiveError::NotFound("person"))
    }

    /// Mutes somebody: they may watch, and not chat, ask or vote.
    ///
    /// # Errors
    /// [`LiveError::NotModerator`]; [`LiveError::NotFound`] when the target is not of this live;
    /// [`LiveError::Moderation`] for whom it protects, or a duration that cannot be.
    pub async fn mute(&self, by: &Visitor, live: &LiveId, new: &NewMute) -> Result<MuteRow, LiveError> {
        let who = self.find_subject(&self.load_moderated(by, live).await?, &new.target).await?;
        let mut act = self.begin_ordering("mute", by, Place::Live(live)).await?;
        act.check_sanction(&who).await?;
        let until = mute_until(new.duration_s, act.now)?;
        if sanctions::count(&mut act.tx, &act.liver, act.now).await?.0 >= MAX_MUTES {
            return Err(ModerationRefusal::Full("mutes").into());
        }
        let only = (!new.everywhere).then(|| live.clone());
        let sanction = NewSanction { liver: &act.liver, customer: &who.customer_id, by: &by.account_id, at: act.now };
        let id = sanctions::mute(&mut act.tx, &sanction, only.as_ref(), until).await?;
        let mut detail = about(&who);
        detail["until_ms"] = json!(until);
        detail["everywhere"] = json!(new.everywhere);
        act.note("moderation.mute", id.as_str(), detail).await?;
        let muted_at_ms = act.now;
        act.finish().await?;
        Ok(MuteRow {
            id,
            live_id: only,
            customer_id: who.customer_id,
            display_name: who.display_name,
            by_name: by.display_name.clone(),
            muted_at_ms,
            until_ms: until,
        })
    }

    /// Ends a mute.
    ///
    /// # Errors
    /// [`LiveError::NotModerator`]; [`LiveError::NotFound`] when it does not hold.
    pub async fn unmute(&self, by: &Visitor, live: &LiveId, mute: &MuteId) -> Result<(), LiveError> {
        let mut act = self.begin_ordering("unmute", by, Place::Live(live)).await?;
        let customer = sanctions::unmute(&mut act.tx, &act.liver, mute, act.now).await?;
        act.note_lifted("moderation.unmute", mute.as_str(), &customer.ok_or(LiveError::NotFound("mute"))?).await?;
        act.finish().await
    }

    /// Bans somebody from all of the liver's lives; their connections there end. A moderator whom the liver bans is none any
    /// more. How many lines were taken away stands beside the ban.
    ///
    /// # Errors
    /// As [`Lives::mute`].
    pub async fn ban(&self, by: &Visitor, live: &LiveId, new: &NewBan) -> Result<(BanRow, usize), LiveError> {
        let who = self.find_subject(&self.load_moderated(by, live).await?, &new.target).await?;
        if new.delete_lines {
            self.0.scribe.flush().await;
        }
        let mut act = self.begin_ordering("ban", by, Place::Live(live)).await?;
        if act.check_sanction(&who).await? == Role::Moderator {
            self.appoint(&mut act, &who, Step::Removed).await?;
        }
        if sanctions::count(&mut act.tx, &act.liver, act.now).await?.1 >= MAX_BANS {
            return Err(ModerationRefusal::Full("bans").into());
        }
        let sanction = NewSanction { liver: &act.liver, customer: &who.customer_id, by: &by.account_id, at: act.now };
        let id = sanctions::ban(&mut act.tx, &sanction, new.with_address).await?;
        if new.with_address {
            for network in self.0.hub.places_of(&who.customer_id) {
                sanctions::add_network(&mut act.tx, &id, network).await?;
            }
        }
        let deleted = if new.delete_lines { self.delete_lines(&mut act, live, &who.customer_id).await? } else { 0 };
        let mut detail = about(&who);
        detail["with_address"] = json!(new.with_address);
        detail["deleted_lines"] = json!(deleted);
        act.note("moderation.ban", id.as_str(), detail).await?;
        let banned_at_ms = act.now;
        act.finish().await?;
        let ban = BanRow {
            id,
            customer_id: who.customer_id,
            display_name: who.display_name,
            with_address: new.with_address,
            by_name: by.display_name.clone(),
            banned_at_ms,
        };
        Ok((ban, deleted))
    }

    /// Ends a ban.
    ///
    /// # Errors
    /// [`LiveError::NotModerator`]; [`LiveError::NotFound`] when it does not hold.
    pub async fn unban(&self, by: &Visitor, live: &LiveId, ban: &BanId) -> Result<(), LiveError> {
        let mut act = self.begin_ordering("unban", by, Place::Live(live)).await?;
        let customer = sanctions::unban(&mut act.tx, &act.liver, ban, act.now).await?;
        act.note_lifted("moderation.unban", ban.as_str(), &customer.ok_or(LiveError::NotFound("ban"))?).await?;
        act.finish().await
    }

    /// Holding mutes that matter in a live, newest first, those made before `before`.
    ///
    /// # Errors
    /// [`LiveError::NotModerator`].
    pub async fn mutes(
        &self,
        by: &Visitor,
        live: &LiveId,
        before: Option<&MuteId>,
        limit: i64,
    ) -> Result<Vec<MuteRow>, LiveError> {
        let live = self.load_moderated(by, live).await?;
        let mut tx = self.0.db.read("list mutes").await?;
        let place = (&live.liver_id, &live.id);
        Ok(sanctions::list_mutes(&mut tx, place, before, limit, self.0.clock.now()).await?)
    }

    /// Holding bans of the liver of a live, newest first, those made before `before`.
    ///
    /// # Errors
    /// [`LiveError::NotModerator`].
    pub async fn bans(
        &self,
        by: &Visitor,
        live: &LiveId,
        before: Option<&BanId>,
        limit: i64,
    ) -> Result<Vec<BanRow>, LiveError> {
        let live = self.load_moderated(by, live).await?;
        let mut tx = self.0.db.read("list bans").await?;
        Ok(sanctions::list_bans(&mut tx, &live.liver_id, before, limit).await?)
    }

    /// The liver's refused words, oldest first.
    ///
    /// # Errors
    /// [`LiveError::NotModerator`].
    pub async fn words(&self, by: &Visitor, liver: &LiverId) -> Result<Vec<Word>, LiveError> {
        let mut tx = self.0.db.read("list words").await?;
        if by.liver_id.as_ref() != Some(liver) && !orders::is_moderator(&mut tx, liver, &by.account_id).await? {
            return Err(LiveError::NotModerator);
        }
        Ok(orders::words(&mut tx, liver).await?)
    }

    /// Refuses words from here on; all of the list.
    ///
    /// # Errors
    /// [`LiveError::NotModerator`]; [`LiveError::Moderation`] for a word that cannot be, or when the list is full.
    pub async fn add_words(&self, by: &Visitor, liver: &LiverId, texts: &[String]) -> Result<Vec<Word>, LiveError> {
        let mut act = self.begin_ordering("refuse words", by, Place::House(liver)).await?;
        let mut known = orders::words(&mut act.tx, liver).await?;
        for text in texts {
            let word = Word::parse(text).map_err(ModerationRefusal::from)?;
            if known.iter().any(|other| other.folded == word.folded) {
                continue;
            }
            if known.len() >= MAX_WORDS {
                return Err(ModerationRefusal::from(WordRefusal::Full).into());
            }
            orders::add_word(&mut act.tx, liver, &word, act.now).await?;
            act.note("moderation.word_add", word.id.as_str(), json!({ "word": word.word })).await?;
            known.push(word);
        }
        act.finish().await?;
        Ok(known)
    }

    /// Refuses a word no more.
    ///
    /// # Errors
    /// [`LiveError::NotModerator`], [`LiveError::NotFound`].
    pub async fn remove_word(&self, by: &Visitor, liver: &LiverId, word: &WordId) -> Result<(), LiveError> {
        let mut act = self.begin_ordering("allow word", by, Place::House(liver)).await?;
        let text = orders::remove_word(&mut act.tx, liver, word).await?.ok_or(LiveError::NotFound("word"))?;
        act.note("moderation.word_remove", word.as_str(), json!({ "word": text })).await?;
        act.finish().await
    }

    /// A liver's moderators, in order of naming.
    ///
    /// # Errors
    /// The database's.
    pub async fn moderators(&self, liver: &LiverId) -> Result<Vec<Moderator>, LiveError> {
        let mut tx = self.0.db.read("list moderators").await?;
        Ok(orders::moderators(&mut tx, liver).await?)
    }

    /// The liver names a moderator by email address; who is one already stays one.
    ///
    /// # Errors
    /// [`LiveError::NotYours`] for anybody but a liver; [`LiveError::NotFound`] when nobody has the address;
    /// [`LiveError::Moderation`] for the liver themselves, or too many.
    pub async fn name_moderator(&self, by: &Visitor, email: &str) -> Result<Moderator, LiveError> {
        let liver = by.liver_id.as_ref().ok_or(LiveError::NotYours)?;
        let email = email.trim().to_lowercase();
        let mut act = self.begin_ordering("name moderator", by, Place::House(liver)).await?;
        let who = orders::find_by_email(&mut act.tx, &email).await?.ok_or(LiveError::NotFound("account"))?;
        let known = orders::moderators(&mut act.tx, liver).await?;
        if let Some(moderator) = known.iter().find(|moderator| moderator.account_id == who.account_id) {
            return Ok(moderator.clone());
        }
        if who.customer_id == by.customer_id {
            return Err(ModerationRefusal::Terms("a liver needs no naming").into());
        }
        if known.len() >= usize::try_from(MAX_MODERATORS).unwrap_or(0) {
            return Err(ModerationRefusal::Full("moderators").into());
        }
        self.appoint(&mut act, &who, Step::Named).await?;
        let named_at_ms = act.now;
        act.finish().await?;
        let Subject { account_id, customer_id, display_name } = who;
        Ok(Moderator { account_id, customer_id, display_name, email, named_at_ms })
    }

    /// The liver takes back a naming.
    ///
    /// # Errors
    /// [`LiveError::NotYours`] for anybody but a liver, [`LiveError::NotFound`].
    pub async fn remove_moderator(&self, by: &Visitor, account: &AccountId) -> Result<(), LiveError> {
        let liver = by.liver_id.as_ref().ok_or(LiveError::NotYours)?;
        let mut act = self.begin_ordering("remove moderator", by, Place::House(liver)).await?;
        if !orders::is_moderator(&mut act.tx, liver, account).await? {
            return Err(LiveError::NotFound("moderator"));
        }
        let who = orders::find_by_account(&mut act.tx, account).await?.ok_or(LiveError::NotFound("moderator"))?;
        self.appoint(&mut act, &who, Step::Removed).await?;
        act.finish().await
    }

    async fn appoint(&self, act: &mut Act<'_>, who: &Subject, step: Step) -> Result<(), LiveError> {
        let (liver, account) = (act.liver.clone(), who.account_id.clone());
        let appointment = Appointment { liver, account, step, at: act.now };
        (self.0.registry.appoint)(&mut act.tx, &appointment).await?;
        let action = match step {
            Step::Named => "moderation.name_moderator",
            Step::Removed => "moderation.remove_moderator",
        };
        act.note(action, who.account_id.as_str(), about(who)).await
    }
}

impl Act<'_> {
    /// Whether this person may be muted or banned here; who they are to the liver.
    async fn check_sanction(&mut self, who: &Subject) -> Result<Role, LiveError> {
        let role = orders::role_of(&mut self.tx, &self.liver, &who.customer_id).await?;
        may_sanction(self.role, role)?;
        Ok(role)
    }

    async fn note_lifted(
        &mut self,
        action: &'static str,
        subject: &str,
        customer: &CustomerId,
    ) -> Result<(), LiveError> {
        let who = orders::find_by_customer(&mut self.tx, customer).await?;
        let detail = who.as_ref().map_or_else(|| json!({ "customer_id": customer }), about);
        self.note(action, subject, detail).await
    }
}
