//! Pure: who keeps order in a liver's lives, and what that means for everybody else.
//!
//! [`Moderation`] is a liver's whole order as a room remembers it: moderators, mutes, bans, refused words. It is replaced as
//! a whole when its version grows; see `orders` for its rows.
//! Invariant: the liver is never muted or banned; a moderator neither by another moderator. Liver and moderators are free
//! of chat rules, and of bans by address, so that nobody is locked out by a neighbour.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use super::{
    chat::Role,
    wordlist::{WordList, WordRefusal},
};
use crate::{
    clock::Millis,
    ids::{BanId, CustomerId, LiveId, MuteId},
    wire,
};

/// Longest slow mode, in seconds.
pub const MAX_SLOW_MODE_S: i32 = 120;
/// Longest mute that ends by itself: 30 days.
pub const MAX_MUTE_S: i64 = 30 * 24 * 3600;
/// Mutes of one liver that hold at once; beyond, one must be lifted first. Every room remembers them all.
pub const MAX_MUTES: i64 = 2_000;
/// Bans of one liver that hold at once; beyond, one must be lifted first.
pub const MAX_BANS: i64 = 5_000;
/// Addresses of one ban.
pub const MAX_NETWORKS: i64 = 8;
/// Moderators of one liver.
pub const MAX_MODERATORS: i64 = 50;

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ModerationRefusal {
    /// The person, or where they come from, is banned.
    #[error("you are banned from this liver's lives")]
    Banned,
    /// The person may watch and not talk.
    #[error("you are muted in this live")]
    Muted {
        /// When it ends by itself.
        retry_after_ms: Option<i64>,
    },
    /// The chat is for followers.
    #[error("only who follows the liver may talk in this chat")]
    FollowersOnly,
    /// The text holds a word that the liver refuses.
    #[error("the liver does not want a word of this text here")]
    WordRefused,
    /// The liver, or a moderator for a moderator.
    #[error("the liver cannot be muted or banned, and moderators only by the liver")]
    Protected,
    /// A word that cannot be on the list.
    #[error(transparent)]
    Word(#[from] WordRefusal),
    /// A number out of bounds.
    #[error("{0}")]
    Terms(&'static str),
    /// Too many hold at once.
    #[error("too many {0}; take one back first")]
    Full(&'static str),
}

/// Where somebody comes from, as bans see it: an IPv4 address, or the /64 that a household has of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network(IpAddr);

impl Network {
    /// The network of an address; `None` when the address says nothing.
    #[must_use]
    pub fn of(address: IpAddr) -> Option<Self> {
        let network = match address.to_canonical() {
            IpAddr::V4(v4) => IpAddr::V4(v4),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        };
        (!network.is_unspecified()).then_some(Self(network))
    }

    /// As it was stored.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::of(text.parse().ok()?)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A person who may not talk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mute {
    /// Its id.
    pub id: MuteId,
    /// Only there; in all of the liver's lives when absent.
    pub live: Option<LiveId>,
    /// Who.
    pub customer: CustomerId,
    /// For good when absent.
    pub until: Option<Millis>,
}

/// A person who may not enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// Its id.
    pub id: BanId,
    /// Who.
    pub customer: CustomerId,
    /// Also whoever comes from where this person came from.
    pub with_address: bool,
    /// Where the person came from.
    pub networks: Vec<Network>,
}

/// How long somebody may not talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// They may.
    None,
    /// Until then.
    Until(Millis),
    /// For good.
    ForGood,
}

/// What a room starts its order from.
#[derive(Debug, Clone, Default)]
pub struct Orders {
    /// Grows with every change.
    pub version: i64,
    /// Who moderates for the liver.
    pub moderators: Vec<CustomerId>,
    /// Those that hold.
    pub mutes: Vec<Mute>,
    /// Those that hold.
    pub bans: Vec<Ban>,
    /// Folded.
    pub words: Vec<String>,
}

/// A liver's order, as a room remembers it.
#[derive(Debug, Default)]
pub struct Moderation {
    version: i64,
    moderators: HashSet<CustomerId>,
    mutes: HashMap<CustomerId, Vec<Mute>>,
    bans: HashMap<CustomerId, Ban>,
    networks: HashSet<Network>,
    words: WordList,
}

impl Moderation {
    /// From what was stored.
    #[must_use]
    pub fn new(orders: Orders) -> Self {
        let mut mutes: HashMap<_, Vec<_>> = HashMap::new();
        for mute in orders.mutes {
            mutes.entry(mute.customer.clone()).or_default().push(mute);
        }
        Self {
            version: orders.version,
            moderators: orders.moderators.into_iter().collect(),
            mutes,
            networks: orders.bans.iter().flat_map(|ban| ban.networks.iter().copied()).collect(),
            bans: orders.bans.into_iter().map(|ban| (ban.customer.clone(), ban)).collect(),
            words: WordList::new(orders.words),
        }
    }

    /// Grows with every change.
    #[must_use]
    pub fn version(&self) -> i64 {
        self.version
    }

    /// Who somebody is to this liver's rooms, who is not the liver.
    #[must_use]
    pub fn role(&self, customer: &CustomerId) -> Role {
        if self.moderators.contains(customer) { Role::Moderator } else { Role::Viewer }
    }

    /// Whether somebody may enter.
    ///
    /// # Errors
    /// [`ModerationRefusal::Banned`].
    pub fn may_enter(&self, who: Option<(&CustomerId, Role)>, from: Option<Network>) -> Result<(), ModerationRefusal> {
        if let Some((_, Role::Liver)) = who {
            return Ok(());
        }
        let by_person = who.is_some_and(|(customer, _)| self.bans.contains_key(customer));
        let is_moderator = who.is_some_and(|(_, role)| role == Role::Moderator);
        let by_address = !is_moderator && from.is_some_and(|from| self.networks.contains(&from));
        if by_person || by_address { Err(ModerationRefusal::Banned) } else { Ok(()) }
    }

    /// How long this person may not talk in a live.
    #[must_use]
    pub fn silence(&self, customer: &CustomerId, live: &LiveId, now: Millis) -> Silence {
        let here = self.mutes.get(customer).into_iter().flatten();
        let here = here.filter(|mute| mute.live.as_ref().is_none_or(|only| only == live));
        here.fold(Silence::None, |longest, mute| match (longest, mute.until) {
            (Silence::ForGood, _) | (_, None) => Silence::ForGood,
            (_, Some(until)) if until <= now => longest,
            (Silence::Until(known), Some(until)) => Silence::Until(known.max(until)),
            (Silence::None, Some(until)) => Silence::Until(until),
        })
    }

    /// Whether this person may talk, ask and vote in a live.
    ///
    /// # Errors
    /// [`ModerationRefusal::Banned`] or [`ModerationRefusal::Muted`].
    pub fn may_take_part(
        &self,
        customer: &CustomerId,
        role: Role,
        live: &LiveId,
        now: Millis,
    ) -> Result<(), ModerationRefusal> {
        self.may_enter(Some((customer, role)), None)?;
        if role == Role::Liver {
            return Ok(());
        }
        match self.silence(customer, live, now) {
            Silence::None => Ok(()),
            Silence::Until(until) => Err(ModerationRefusal::Muted { retry_after_ms: Some(until.since(now)) }),
            Silence::ForGood => Err(ModerationRefusal::Muted { retry_after_ms: None }),
        }
    }

    /// Whether a text may be said; the liver's own may hold anything.
    ///
    /// # Errors
    /// [`ModerationRefusal::WordRefused`].
    pub fn may_be_said(&self, role: Role, text: &str) -> Result<(), ModerationRefusal> {
        if role != Role::Liver && self.words.refuses(text) { Err(ModerationRefusal::WordRefused) } else { Ok(()) }
    }

    /// What a person is told of themselves.
    #[must_use]
    pub fn standing(
        &self,
        customer: &CustomerId,
        role: Role,
        live: &LiveId,
        following: bool,
        now: Millis,
    ) -> wire::Standing {
        let silence = if role == Role::Liver { Silence::None } else { self.silence(customer, live, now) };
        let muted_until_ms = match silence {
            Silence::None => 0,
            Silence::Until(until) => until.0,
            Silence::ForGood => -1,
        };
        wire::Standing { role: role.word().to_owned(), muted_until_ms, following }
    }

    /// Bans by address whose person was seen at places the ban does not know yet.
    pub fn places_to_learn(&self, seen: impl Fn(&CustomerId) -> Vec<Network>) -> Vec<(BanId, Network)> {
        let bans = self.bans.values().filter(|ban| ban.with_address);
        let places = bans.flat_map(|ban| {
            let room = usize::try_from(MAX_NETWORKS).unwrap_or(0).saturating_sub(ban.networks.len());
            let fresh = seen(&ban.customer).into_iter().filter(|network| !ban.networks.contains(network));
            fresh.take(room).map(|network| (ban.id.clone(), network)).collect::<Vec<_>>()
        });
        places.collect()
    }
}

/// Whether `by` may mute or ban somebody.
///
/// # Errors
/// [`ModerationRefusal::Protected`].
pub fn may_sanction(by: Role, about: Role) -> Result<(), ModerationRefusal> {
    match (by, about) {
        (_, Role::Liver) | (Role::Moderator | Role::Viewer, Role::Moderator) => Err(ModerationRefusal::Protected),
        _ => Ok(()),
    }
}

/// When a mute that begins now ends.
///
/// # Errors
/// [`ModerationRefusal::Terms`].
pub fn mute_until(duration_s: Option<i64>, now: Millis) -> Result<Option<Millis>, ModerationRefusal> {
    match duration_s {
        None => Ok(None),
        Some(s) if (1..=MAX_MUTE_S).contains(&s) => Ok(Some(Millis(now.0 + s * 1_000))),
        Some(_) => {
            Err(ModerationRefusal::Terms("duration_s must be between 1 and 2592000; leave it out to mute for good"))
        }
    }
}

/// Checks new rules of a chat.
///
/// # Errors
/// [`ModerationRefusal::Terms`].
pub fn check_rules(slow_mode_s: i32) -> Result<(), ModerationRefusal> {
    if (0..=MAX_SLOW_MODE_S).contains(&slow_mode_s) {
        Ok(())
    } else {
        Err(ModerationRefusal::Terms("slow_mode_s must be between 0 and 120"))
    }
}

/// Whether the rules of a chat let somebody talk.
///
/// # Errors
/// [`ModerationRefusal::FollowersOnly`].
pub fn may_talk(rules: &wire::ChatRules, role: Role, follows: impl FnOnce() -> bool) -> Result<(), ModerationRefusal> {
    if rules.followers_only && role == Role::Viewer && !follows() {
        return Err(ModerationRefusal::FollowersOnly);
    }
    Ok(())
}

#[cfg(test)]
#[path = "moderation_tests.rs"]
mod tests;
