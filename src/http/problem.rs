//! Edge: room error -> problem+json (RFC 9457).
//!
//! The one place where a refusal gets a status and a stable `type`. Every match is exhaustive, so a new refusal does
//! not compile until it has both. `proto/problems.md` lists the types; a test holds the two together.
//! Invariant: a 5xx never shows its cause; it is logged here, once.

use std::borrow::Cow;

use axum::{
    Json,
    extract::rejection::{JsonRejection, PathRejection, QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::media::NO_PUBLISHER_RETRY_S;
use crate::{
    attribution::AttributionError,
    commerce::{CommerceError, Refusal},
    live::{ChatRefusal, LiveError, ModerationRefusal, QuestionRefusal, SessionRefusal},
    media::MediaError,
    people::PeopleError,
    settlement::{Refusal as SettlementRefusal, SettlementError},
    store::StoreError,
    webhooks::WebhookError,
};

/// The answer when something cannot be done.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// Stable, relative to this server: `/problems/sold-out`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Short, the same for every case of this type.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong in this case.
    pub detail: Cow<'static, str>,
    /// How long to wait before trying again; absent when trying again does not help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// In a full queue: how many are before you.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
}

/// Name, title and status of every problem.
macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $slug:literal, $status:literal, $title:literal;)*) => {
        /// What kind of problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            /// Every kind, for the documentation test.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable name: the last part of `type`.
            #[must_use]
            pub fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            /// The HTTP status.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// The title.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

problems! {
    /// A field or parameter is wrong.
    InvalidInput = "invalid-input", 400, "The input is not valid";
    /// Nobody is signed in.
    NotSignedIn = "not-signed-in", 401, "Sign in first";
    /// Wrong address or password.
    WrongCredentials = "wrong-credentials", 401, "Email address or password is wrong";
    /// Signed in, but not allowed.
    Forbidden = "forbidden", 403, "You may not do this";
    /// There is no such thing.
    NotFound = "not-found", 404, "Not found";
    /// The method is not spoken here.
    MethodNotAllowed = "method-not-allowed", 405, "This method is not allowed here";
    /// The state does not allow it.
    Conflict = "conflict", 409, "The current state does not allow this";
    /// Another version of WebSocket.
    UpgradeRequired = "upgrade-required", 426, "This version of the protocol is not spoken here";
    /// A creating request needs a key.
    IdempotencyKeyMissing = "idempotency-key-missing", 400, "The Idempotency-Key header is missing";
    /// Another body came under the same key.
    IdempotencyKeyReused = "idempotency-key-reused", 422, "This Idempotency-Key was used for another request";
    /// Too fast.
    RateLimited = "rate-limited", 429, "Too many requests";
    /// The body is too large.
    TooLarge = "too-large", 413, "The request is too large";
    /// Away for a moment.
    Unavailable = "unavailable", 503, "One moment please";
    /// Our fault.
    Internal = "internal", 500, "Something went wrong on our side";
    /// Only a scheduled live can start.
    LiveNotScheduled = "live-not-scheduled", 409, "The live is not waiting to start";
    /// The live is not on.
    LiveNotLive = "live-not-live", 409, "The live is not on";
    /// The live is over.
    LiveEnded = "live-ended", 409, "The live has ended";
    /// ステマ規制: a tie-up live needs its label.
    PrLabelMissing = "pr-label-missing", 409, "A tie-up live cannot start without its PR label";
    /// The person, or where they come from, is banned.
    Banned = "banned", 403, "You are banned from this liver's lives";
    /// The person may watch, and not take part.
    Muted = "muted", 403, "You are muted in this live";
    /// The chat is in slow mode.
    SlowMode = "slow-mode", 429, "The chat is in slow mode";
    /// The chat is for followers of the liver.
    FollowersOnly = "followers-only", 403, "Only followers may talk in this chat";
    /// The liver refuses a word of the text.
    WordRefused = "word-refused", 422, "The liver does not want this word here";
    /// Nothing left.
    SoldOut = "sold-out", 409, "Sold out";
    /// The limit per customer is used up.
    LimitReached = "limit-reached", 409, "The limit per customer is reached";
    /// The offer begins later.
    OfferNotStarted = "offer-not-started", 409, "The offer has not started";
    /// The offer is over.
    OfferEnded = "offer-ended", 409, "The offer has ended";
    /// The sheet shows an old price.
    PriceChanged = "price-changed", 409, "The price or terms have changed; look at them again";
    /// The purchase is past paying.
    PurchaseNotPayable = "purchase-not-payable", 409, "This purchase cannot be paid";
    /// The provider said no.
    PaymentDeclined = "payment-declined", 402, "The payment was declined";
    /// Not this way: not taken here, not for these goods, or the card is gone.
    PaymentMethodUnavailable = "payment-method-unavailable", 422, "This cannot be paid in that way";
    /// The reserved money is gone.
    PaymentLapsed = "payment-lapsed", 409, "The reserved money has run out";
    /// The provider does not answer.
    PaymentProviderAway = "payment-provider-away", 503, "The payment provider does not answer";
    /// A message that is not from the provider.
    SignatureInvalid = "signature-invalid", 400, "The signature of this message is not right";
    /// The hold is over.
    HoldExpired = "hold-expired", 409, "The reservation has expired";
    /// Too many buyers at once.
    QueueFull = "queue-full", 503, "Too many buyers at this moment";
    /// Somebody else publishes.
    PublisherExists = "publisher-exists", 409, "Another publisher is on";
    /// No picture yet.
    NoPublisher = "no-publisher", 409, "There is no picture yet";
    /// No codec in common, or the wrong content type.
    UnsupportedMedia = "unsupported-media", 406, "No usable media";
    /// A body of the wrong content type.
    UnsupportedContentType = "unsupported-content-type", 415, "The content type is not supported";
    /// If-Match is missing.
    EtagMissing = "etag-missing", 428, "If-Match is missing";
    /// If-Match does not match.
    StaleEtag = "stale-etag", 412, "If-Match does not match";
    /// The address is taken.
    EmailTaken = "email-taken", 409, "This email address is taken";
    /// Livers cannot be paid, because nobody knows where to.
    PayeeMissing = "payee-missing", 409, "A liver's bank account is not known";
    /// There is no such SKU.
    UnknownSku = "unknown-sku", 404, "There is no such SKU";
}

impl Problem {
    /// A problem of this kind.
    #[must_use]
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind: format!("/problems/{}", kind.slug()),
            title: kind.title(),
            status: kind.status(),
            detail: detail.into(),
            retry_after_ms: None,
            position: None,
        }
    }

    /// With the time to wait.
    #[must_use]
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }

    /// A field is wrong.
    #[must_use]
    pub fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::InvalidInput, detail)
    }

    /// There is no such thing, or it is not yours to know.
    #[must_use]
    pub fn not_found(what: &'static str) -> Self {
        Self::new(Kind::NotFound, format!("there is no such {what}"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after_ms.map(|ms| HeaderValue::from(ms.div_ceil(1000)));
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(value) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}

/// Waited before asking again when the database is away.
const UNAVAILABLE_RETRY_MS: u64 = 1_000;
/// A buyer's question that goes on to the provider may be asked once a second.
const TOO_OFTEN_RETRY_MS: u64 = 1_000;
/// Waited before asking again when the sales queue is full.
const QUEUE_RETRY_MS: u64 = 1_000;

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_away() {
            tracing::warn!(error = %error, "database away");
            Self::new(Kind::Unavailable, "the database does not answer; try again").retry_after_ms(UNAVAILABLE_RETRY_MS)
        } else {
            tracing::error!(error = %error, "database refused");
            Self::new(Kind::Internal, "please try again; if it stays, tell the operator")
        }
    }
}

impl From<PeopleError> for Problem {
    fn from(error: PeopleError) -> Self {
        match error {
            PeopleError::EmailTaken => Self::new(Kind::EmailTaken, "sign in, or use another address"),
            PeopleError::WrongCredentials => Self::new(Kind::WrongCredentials, "check both and try again"),
            PeopleError::Invalid(detail) => Self::invalid(detail),
            PeopleError::NotFound => Self::not_found("person, brand or key"),
            PeopleError::Busy => Self::new(Kind::Unavailable, "too many people sign in at this moment")
                .retry_after_ms(UNAVAILABLE_RETRY_MS),
            PeopleError::Store(error) => error.into(),
        }
    }
}

impl From<CommerceError> for Problem {
    fn from(error: CommerceError) -> Self {
        match error {
            CommerceError::Refused(refusal) => refusal.into(),
            CommerceError::Invalid(detail) => Self::invalid(detail),
            CommerceError::NotFound(what) => Self::not_found(what),
            CommerceError::NotYours(_) => Self::new(Kind::Forbidden, error.to_string()),
            CommerceError::KeyReused => Self::new(Kind::IdempotencyKeyReused, "use a new key for another request"),
            CommerceError::QueueFull { waiting } => {
                let detail = format!("{waiting} buyers are before you; retry with the same Idempotency-Key");
                let full = Self::new(Kind::QueueFull, detail).retry_after_ms(QUEUE_RETRY_MS);
                Self { position: Some(waiting as u64), ..full }
            }
            CommerceError::WrongClock { .. } => {
                Self::new(Kind::Unavailable, format!("{error}; nothing was done, another node can sell"))
                    .retry_after_ms(UNAVAILABLE_RETRY_MS)
            }
            CommerceError::Unknown => {
                Self::new(Kind::Unavailable, "one moment; retry with the same Idempotency-Key to learn what happened")
                    .retry_after_ms(UNAVAILABLE_RETRY_MS)
            }
            CommerceError::TooOften => {
                Self::new(Kind::RateLimited, "wait a moment and try again").retry_after_ms(TOO_OFTEN_RETRY_MS)
            }
            CommerceError::Provider(_) => {
                Self::new(Kind::PaymentProviderAway, "nothing was done; try again in a moment")
                    .retry_after_ms(UNAVAILABLE_RETRY_MS)
            }
            CommerceError::Store(error) => error.into(),
        }
    }
}

impl From<LiveError> for Problem {
    fn from(error: LiveError) -> Self {
        match error {
            LiveError::NotFound(what) => Self::not_found(what),
            LiveError::NotYours => Self::new(Kind::Forbidden, error.to_string()),
            LiveError::Session(refusal) => refusal.into(),
            LiveError::Chat(refusal) => refusal.into(),
            LiveError::Question(refusal) => refusal.into(),
            LiveError::Moderation(refusal) => refusal.into(),
            LiveError::NotModerator => Self::new(Kind::Forbidden, error.to_string()),
            LiveError::Ended => Self::new(Kind::LiveEnded, error.to_string()),
            LiveError::TooManyPins { .. } | LiveError::ForeignProduct => Self::new(Kind::Conflict, error.to_string()),
            LiveError::UnknownReaction | LiveError::Terms(_) => Self::invalid(error.to_string()),
            LiveError::Busy => Self::new(Kind::Unavailable, error.to_string()).retry_after_ms(UNAVAILABLE_RETRY_MS),
            LiveError::Store(error) => error.into(),
        }
    }
}

impl From<MediaError> for Problem {
    fn from(error: MediaError) -> Self {
        let text = error.to_string();
        match error {
            MediaError::UnsupportedMedia => Self::new(Kind::UnsupportedMedia, text),
            MediaError::BadOffer(_) | MediaError::BadFragment(_) => Self::invalid(text),
            MediaError::WrongContentType(_) => Self::new(Kind::UnsupportedContentType, text),
            MediaError::OfferTooLarge => Self::new(Kind::TooLarge, text),
            MediaError::PublisherExists => Self::new(Kind::PublisherExists, text),
            MediaError::NoPublisher => Self::new(Kind::NoPublisher, text).retry_after_ms(NO_PUBLISHER_RETRY_S * 1000),
            MediaError::Full | MediaError::Busy | MediaError::Stopped => {
                Self::new(Kind::Unavailable, text).retry_after_ms(UNAVAILABLE_RETRY_MS)
            }
            MediaError::NoSuchSession => Self::new(Kind::NotFound, text),
            MediaError::MissingEtag => Self::new(Kind::EtagMissing, text),
            MediaError::StaleEtag => Self::new(Kind::StaleEtag, text),
            MediaError::RestartRefused => Self::new(Kind::Conflict, text),
            MediaError::CannotOpen(_) => {
                tracing::error!(error = %text, "media room");
                Self::new(Kind::Internal, "please try again; if it stays, tell the operator")
            }
        }
    }
}

impl From<SessionRefusal> for Problem {
    fn from(refusal: SessionRefusal) -> Self {
        let kind = match refusal {
            SessionRefusal::NotScheduled => Kind::LiveNotScheduled,
            SessionRefusal::NotLive => Kind::LiveNotLive,
            SessionRefusal::Ended => Kind::LiveEnded,
            SessionRefusal::PrLabelMissing => Kind::PrLabelMissing,
            SessionRefusal::Title(_) | SessionRefusal::PrLabel(_) | SessionRefusal::Time => Kind::InvalidInput,
        };
        Self::new(kind, refusal.to_string())
    }
}

/// Waits are positive by construction; a negative one would mean now.
fn wait_ms(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

impl From<ChatRefusal> for Problem {
    fn from(refusal: ChatRefusal) -> Self {
        match refusal {
            ChatRefusal::Text(text) => Self::invalid(text.to_string()),
            ChatRefusal::TooFast { retry_after_ms } => {
                Self::new(Kind::RateLimited, refusal.to_string()).retry_after_ms(wait_ms(retry_after_ms))
            }
            ChatRefusal::SlowMode { retry_after_ms } => {
                Self::new(Kind::SlowMode, refusal.to_string()).retry_after_ms(wait_ms(retry_after_ms))
            }
        }
    }
}

impl From<ModerationRefusal> for Problem {
    fn from(refusal: ModerationRefusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            ModerationRefusal::Banned => Self::new(Kind::Banned, text),
            ModerationRefusal::Muted { retry_after_ms: None } => Self::new(Kind::Muted, text),
            ModerationRefusal::Muted { retry_after_ms: Some(ms) } => {
                Self::new(Kind::Muted, text).retry_after_ms(wait_ms(ms))
            }
            ModerationRefusal::FollowersOnly => Self::new(Kind::FollowersOnly, text),
            ModerationRefusal::WordRefused => Self::new(Kind::WordRefused, text),
            ModerationRefusal::Protected | ModerationRefusal::Full(_) => Self::new(Kind::Conflict, text),
            ModerationRefusal::Word(_) | ModerationRefusal::Terms(_) => Self::invalid(text),
        }
    }
}

impl From<QuestionRefusal> for Problem {
    fn from(refusal: QuestionRefusal) -> Self {
        match refusal {
            QuestionRefusal::Text(text) => Self::invalid(text.to_string()),
            QuestionRefusal::TooFast { retry_after_ms } => {
                Self::new(Kind::RateLimited, refusal.to_string()).retry_after_ms(wait_ms(retry_after_ms))
            }
            QuestionRefusal::TooManyOpen
            | QuestionRefusal::Own
            | QuestionRefusal::Hidden
            | QuestionRefusal::Answered
            | QuestionRefusal::Merged
            | QuestionRefusal::NotMergeable => Self::new(Kind::Conflict, refusal.to_string()),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::SoldOut => Kind::SoldOut,
            Refusal::LimitReached => Kind::LimitReached,
            Refusal::OfferNotStarted => Kind::OfferNotStarted,
            Refusal::OfferEnded => Kind::OfferEnded,
            Refusal::UnknownOffer => Kind::NotFound,
            Refusal::PriceChanged => Kind::PriceChanged,
            Refusal::NotPayable => Kind::PurchaseNotPayable,
            Refusal::HoldExpired => Kind::HoldExpired,
            Refusal::PaymentDeclined => Kind::PaymentDeclined,
            Refusal::MethodUnavailable => Kind::PaymentMethodUnavailable,
            Refusal::PaymentLapsed => Kind::PaymentLapsed,
            Refusal::UnknownSku => Kind::UnknownSku,
            Refusal::NotShippable
            | Refusal::NotCancellable
            | Refusal::NotReturnable
            | Refusal::MoneyBeingTaken
            | Refusal::NotFailed
            | Refusal::NotResolvable => Kind::Conflict,
        };
        Self::new(kind, refusal.to_string())
    }
}

impl From<AttributionError> for Problem {
    fn from(error: AttributionError) -> Self {
        match error {
            AttributionError::Invalid(detail) => Self::invalid(detail),
            AttributionError::NotFound(what) => Self::not_found(what),
            AttributionError::Store(error) => error.into(),
        }
    }
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::Invalid(detail) => Self::invalid(detail),
            WebhookError::NotFound(what) => Self::not_found(what),
            WebhookError::Conflict(detail) => Self::new(Kind::Conflict, detail),
            WebhookError::Store(error) => error.into(),
        }
    }
}

impl From<SettlementError> for Problem {
    fn from(error: SettlementError) -> Self {
        match error {
            SettlementError::Invalid(detail) => Self::invalid(detail),
            SettlementError::NotFound(what) => Self::not_found(what),
            SettlementError::PayeesMissing(_) => Self::new(Kind::PayeeMissing, error.to_string()),
            SettlementError::Refused(SettlementRefusal::NotThePayer) => Self::new(Kind::Forbidden, error.to_string()),
            SettlementError::Refused(refusal) => Self::new(Kind::Conflict, refusal.to_string()),
            SettlementError::Store(error) => error.into(),
        }
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let kind = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Kind::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Kind::UnsupportedContentType,
            _ => Kind::InvalidInput,
        };
        Self::new(kind, rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(_: PathRejection) -> Self {
        // A malformed id names nothing.
        Self::new(Kind::NotFound, "the address names nothing")
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_documented_and_every_documented_problem_exists() {
        let page = include_str!("../../proto/problems.md");
        let documented: Vec<&str> = page.lines().filter_map(|l| l.strip_prefix("| `")?.split('`').next()).collect();
        let known: Vec<&str> = Kind::ALL.iter().map(|k| k.slug()).collect();
        assert_eq!(documented, known, "proto/problems.md lists the problems in the order of the code");
    }
}
