//! Shell: what callers order from the engine: to publish, to watch, to end.
//!
//! Owns the admission of sessions: whether the live, its codec and the bounds allow one.

use std::time::Instant;

use tokio::sync::oneshot;

use super::{Engine, Session};
use crate::{
    ids::{LiveId, MediaSessionId},
    media::{
        Answer, LiveStats, MediaError, MediaEvent, MediaStats, Restarted, VideoCodec,
        fragment::Fragment,
        leg::{Answered, Role},
        restart::Renamed,
        sdp::Offer,
        sfu::{Slot, Stage},
    },
};

/// Commands taken before datagrams get their turn; answering an offer takes about a millisecond.
const COMMAND_BATCH: usize = 16;
/// Candidates taken from one fragment; a browser sends one or a handful.
const MAX_TRICKLED: usize = 32;

/// An order to the engine, with the way back.
#[derive(Debug)]
pub(in crate::media) enum Command {
    Publish { live: LiveId, publisher: String, offer: String, reply: Reply<Answer> },
    Watch { live: LiveId, offer: String, reply: Reply<Answer> },
    Trickle { session: MediaSessionId, etag: String, fragment: String, reply: Reply<Option<Restarted>> },
    LiveOf { session: MediaSessionId, reply: oneshot::Sender<Option<LiveId>> },
    Close { session: MediaSessionId, reply: Reply<()> },
    EndLive { live: LiveId, reply: oneshot::Sender<()> },
    Stats { reply: oneshot::Sender<MediaStats> },
    Stop { reply: oneshot::Sender<()> },
}

type Reply<T> = oneshot::Sender<Result<T, MediaError>>;

impl Engine {
    /// Takes a batch of commands; whether there may be more.
    pub(super) fn take_commands(&mut self, now: Instant) -> bool {
        for _ in 0..COMMAND_BATCH {
            match self.inbox.try_recv() {
                Ok(command) => self.command(command, now),
                Err(_) => return false,
            }
        }
        true
    }

    /// Callers that have gone away do not want their answer; that is no error.
    fn command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Publish { live, publisher, offer, reply } => {
                drop(reply.send(self.publish(&live, publisher, &offer, now)));
            }
            Command::Watch { live, offer, reply } => drop(reply.send(self.watch(&live, &offer, now))),
            Command::Trickle { session, etag, fragment, reply } => {
                drop(reply.send(self.trickle(&session, &etag, &fragment, now)));
            }
            Command::LiveOf { session, reply } => {
                let found = self.by_id.get(&session).and_then(|slot| self.sessions.get(slot));
                drop(reply.send(found.map(|session| session.live.clone())));
            }
            Command::Close { session, reply } => {
                let slot = self.by_id.get(&session).copied().ok_or(MediaError::NoSuchSession);
                drop(reply.send(slot.map(|slot| self.end_session(slot, now))));
            }
            Command::EndLive { live, reply } => {
                self.end_live(&live, now);
                let _ = reply.send(());
            }
            Command::Stats { reply } => drop(reply.send(self.count())),
            Command::Stop { reply } => self.stopped = Some(reply),
        }
    }

    fn publish(&mut self, live: &LiveId, identity: String, offer: &str, now: Instant) -> Result<Answer, MediaError> {
        let offer = parse(offer)?;
        let stage = self.stages.get(live);
        if stage.is_some_and(|stage| stage.admit(&identity).is_err()) {
            return Err(MediaError::PublisherExists);
        }
        let fixed = stage.filter(|stage| stage.had_picture()).and_then(Stage::codec);
        let codec = offer.choose(fixed).ok_or(MediaError::UnsupportedMedia)?;
        check_transport(&offer)?;
        if !offer.sends {
            return Err(MediaError::BadOffer("a publisher sends its video".into()));
        }
        let (slot, answer) = self.open_session(live, Role::Publisher, codec, &offer, now)?;
        self.stages.entry(live.clone()).or_default().publish(slot, identity, codec, &mut self.effects);
        self.settle(live, now);
        Ok(answer)
    }

    fn watch(&mut self, live: &LiveId, offer: &str, now: Instant) -> Result<Answer, MediaError> {
        let offer = parse(offer)?;
        let stage = self.stages.get(live).filter(|stage| stage.had_picture());
        let fixed = stage.ok_or(MediaError::NoPublisher)?.codec();
        let codec = offer.choose(fixed).ok_or(MediaError::UnsupportedMedia)?;
        check_transport(&offer)?;
        if !offer.receives {
            return Err(MediaError::BadOffer("a viewer receives its video".into()));
        }
        Ok(self.open_session(live, Role::Viewer, codec, &offer, now)?.1)
    }

    fn open_session(
        &mut self,
        live: &LiveId,
        role: Role,
        codec: VideoCodec,
        offer: &Offer,
        now: Instant,
    ) -> Result<(Slot, Answer), MediaError> {
        let of_live = || self.sessions.values().filter(|session| session.live == *live).count();
        if self.sessions.len() >= self.config.max_sessions || of_live() >= self.config.max_sessions_per_live {
            return Err(MediaError::Full);
        }
        let answered = self.maker.answer(role, codec, offer, now);
        let Answered { leg, sdp, ufrag } = answered.map_err(|refused| MediaError::BadOffer(refused.0))?;
        let slot = self.next_slot;
        self.next_slot += 1;
        let (id, etag) = (MediaSessionId::fresh(), tag(&ufrag));
        self.demux.add(slot, ufrag);
        self.by_id.insert(id.clone(), slot);
        let answer = Answer { session: id.clone(), sdp, etag: etag.clone(), codec };
        let session = Session {
            id,
            live: live.clone(),
            role,
            leg,
            etag,
            since: now,
            connected: false,
            last_heard: now,
            due: now,
            armed: None,
        };
        self.sessions.insert(slot, session);
        self.pump(slot, now);
        Ok((slot, answer))
    }

    fn trickle(
        &mut self,
        session: &MediaSessionId,
        etag: &str,
        fragment: &str,
        now: Instant,
    ) -> Result<Option<Restarted>, MediaError> {
        let slot = self.by_id.get(session).copied().ok_or(MediaError::NoSuchSession)?;
        let session = self.sessions.get_mut(&slot).ok_or(MediaError::NoSuchSession)?;
        let named = |tag: &str| etag.split(',').any(|named| named.trim() == tag);
        // The RFC's text has a bare asterisk, its example one in quotes.
        let is_any = named("*") || named("\"*\"");
        if !is_any && !named(&session.etag) {
            return Err(MediaError::StaleEtag);
        }
        let read = Fragment::parse(fragment, MAX_TRICKLED).map_err(|reason| MediaError::BadFragment(reason.0))?;
        match read.credentials {
            // New credentials are a restart whatever the tag (RFC 9725, section 4.3.3).
            Some(theirs) if !session.leg.knows(&theirs) => {
                let Renamed { ufrag, over, fragment } =
                    session.leg.restart(theirs).ok_or(MediaError::RestartRefused)?;
                session.etag = tag(&ufrag);
                let etag = session.etag.clone();
                self.demux.rename(slot, ufrag, over.as_deref());
                return Ok(Some(Restarted { etag, fragment }));
            }
            None if is_any => return Err(MediaError::BadFragment("a restart has a new ice-ufrag and ice-pwd")),
            Some(_) | None => {}
        }
        for candidate in read.candidates {
            if let Some(session) = self.sessions.get_mut(&slot) {
                session.leg.add_candidate(candidate);
                self.pump(slot, now);
            }
        }
        Ok(None)
    }

    fn end_live(&mut self, live: &LiveId, now: Instant) {
        let of_live = |session: &Session| session.live == *live;
        let slots: Vec<Slot> = self.sessions.iter().filter(|(_, s)| of_live(s)).map(|(slot, _)| *slot).collect();
        let is_known = self.stages.remove(live).is_some();
        for slot in slots {
            self.end_session(slot, now);
        }
        if is_known {
            self.untold.push_back(MediaEvent::Ended(live.clone()));
        }
    }

    fn count(&self) -> MediaStats {
        let lives = self.stages.iter().map(|(live, stage)| LiveStats {
            live: live.clone(),
            up: stage.is_up(),
            viewers: stage.viewers(),
            codec: stage.codec(),
        });
        let lives = lives.collect();
        let (sessions, datagrams_unsent) =
            (self.sessions.len(), self.socket.unsent + self.outbox.unsent + self.socket.unsent_by_streams());
        MediaStats { lives, sessions, datagrams_unsent, ..self.stats.clone() }
    }
}

/// The tag of an ICE session: its own name, which is new with every restart.
fn tag(ufrag: &str) -> String {
    format!("\"{ufrag}\"")
}

fn check_transport(offer: &Offer) -> Result<(), MediaError> {
    offer.fault.map_or(Ok(()), |fault| Err(MediaError::BadOffer(fault.into())))
}

fn parse(offer: &str) -> Result<Offer, MediaError> {
    Offer::parse(offer).map_err(|reason| MediaError::BadOffer(reason.0.into()))
}
