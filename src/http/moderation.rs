//! Edge: keeping order over HTTP: mutes, bans, lines, rules, words, moderators, follows, and where a caller comes from.
//!
//! People are named by what a moderator sees: a line or a question of theirs.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::{
    Json,
    extract::{ConnectInfo, FromRequestParts, Path, State, rejection::PathRejection},
    http::{StatusCode, request::Parts},
};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Body, Created, Items, Page, PathId,
    auth::{Customer, Liver},
    live::ChatMessage,
    problem::Problem,
};
use crate::{
    app::App,
    clock::Millis,
    ids::{AccountId, AuditId, BanId, ChatId, CustomerId, LiveId, LiverId, MuteId, QuestionId, WordId},
    live::{BanRow, Following, Moderator, MuteRow, NewBan, NewMute, Target, Word},
    people::AuditLine,
    wire,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(mutes))
        .routes(routes!(unmute))
        .routes(routes!(bans))
        .routes(routes!(unban))
        .routes(routes!(delete_line))
        .routes(routes!(pin_line, unpin_line))
        .routes(routes!(chat_rules, put_chat_rules))
        .routes(routes!(moderation_log))
        .routes(routes!(words, add_words))
        .routes(routes!(remove_word))
        .routes(routes!(moderators))
        .routes(routes!(remove_moderator))
        .routes(routes!(follow, unfollow))
}

/// Creating requests whose answers are kept under their Idempotency-Key.
pub(super) fn creating_router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(mute)).routes(routes!(ban)).routes(routes!(name_moderator))
}

/// Where a caller comes from; the unspecified address when the server does not know.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallerAddress(pub(super) IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for CallerAddress {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
        Ok(Self(address.unwrap_or(Ipv4Addr::UNSPECIFIED.into())))
    }
}

fn target(chat: Option<ChatId>, question: Option<QuestionId>, mute: Option<MuteId>) -> Result<Target, Problem> {
    match (chat, question, mute) {
        (Some(chat), None, None) => Ok(Target::Chat(chat)),
        (None, Some(question), None) => Ok(Target::Question(question)),
        (None, None, Some(mute)) => Ok(Target::Mute(mute)),
        _ => Err(Problem::invalid("name the person by exactly one of chat_id, question_id and mute_id")),
    }
}

/// Who is to be muted, by exactly one of a line, a question and an earlier mute of theirs.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct MuteWish {
    chat_id: Option<ChatId>,
    question_id: Option<QuestionId>,
    mute_id: Option<MuteId>,
    /// 1 to 2,592,000 (30 days); for good when absent.
    duration_s: Option<i64>,
    /// In all of the liver's lives, not only in this one.
    #[serde(default)]
    everywhere: bool,
}

/// A person who may not chat, ask or vote.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Mute {
    id: MuteId,
    /// In all of the liver's lives when absent.
    live_id: Option<LiveId>,
    customer_id: CustomerId,
    display_name: String,
    by_name: String,
    muted_at_ms: Millis,
    /// For good when absent.
    until_ms: Option<Millis>,
}

impl From<MuteRow> for Mute {
    fn from(row: MuteRow) -> Self {
        let MuteRow { id, live_id, customer_id, display_name, by_name, muted_at_ms, until_ms } = row;
        Self { id, live_id, customer_id, display_name, by_name, muted_at_ms, until_ms }
    }
}

/// Mute a person: they may watch, and not chat, ask or vote. For liver and moderators.
#[utoipa::path(post, path = "/v1/lives/{live}/mutes", tag = "moderation", params(("live" = String, Path)), request_body = MuteWish,
    responses((status = 201, body = Mute), (status = "4XX", body = Problem)))]
async fn mute(
    customer: Customer,
    State(app): State<App>,
    PathId(live): PathId<LiveId>,
    Body(wish): Body<MuteWish>,
) -> Result<Created<Mute>, Problem> {
    let target = target(wish.chat_id, wish.question_id, wish.mute_id)?;
    let new = NewMute { target, duration_s: wish.duration_s, everywhere: wish.everywhere };
    Ok(Created(app.lives.mute(&customer.into(), &live, &new).await?.into()))
}

/// The mutes that hold in a live, newest first. For liver and moderators.
#[utoipa::path(get, path = "/v1/lives/{live}/mutes", tag = "moderation", params(("live" = String, Path), Page),
    responses((status = 200, body = Items<Mute>), (status = "4XX", body = Problem)))]
async fn mutes(
    customer: Customer,
    State(app): State<App>,
    PathId(live): PathId<LiveId>,
    page: Page,
) -> Result<Json<Items<Mute>>, Problem> {
    let before = page.cursor_id(MuteId::parse)?;
    let rows = app.lives.mutes(&customer.into(), &live, before.as_ref(), page.limit() + 1).await?;
    let items = rows.into_iter().map(Mute::from).collect();
    Ok(Json(Items::page(items, page.limit(), |mute: &Mute| mute.id.to_string())))
}

/// End a mute. For liver and moderators.
#[utoipa::path(delete, path = "/v1/lives/{live}/mutes/{mute}", tag = "moderation",
    params(("live" = String, Path), ("mute" = String, Path)), responses((status = 204), (status = "4XX", body = Problem)))]
async fn unmute(
    customer: Customer,
    State(app): State<App>,
    ids: Result<Path<(LiveId, MuteId)>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path((live, mute)) = ids?;
    app.lives.unmute(&customer.into(), &live, &mute).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who is to be banned, by exactly one of a line, a question and a mute of theirs.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct BanWish {
    chat_id: Option<ChatId>,
    question_id: Option<QuestionId>,
    mute_id: Option<MuteId>,
    /// Also whoever comes from where this person comes from: an IPv4 address, or a /64 of IPv6. It may be shared.
    #[serde(default)]
    with_address: bool,
    /// What they said in this live and the room still shows is taken away.
    #[serde(default)]
    delete_lines: bool,
}

/// A person who may not enter any of the liver's lives.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Ban {
    id: BanId,
    customer_id: CustomerId,
    display_name: String,
    with_address: bool,
    by_name: String,
    banned_at_ms: Millis,
}

impl From<BanRow> for Ban {
    fn from(row: BanRow) -> Self {
        let BanRow { id, customer_id, display_name, with_address, by_name, banned_at_ms } = row;
        Self { id, customer_id, display_name, with_address, by_name, banned_at_ms }
    }
}

/// A ban that was made.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct MadeBan {
    #[serde(flatten)]
    ban: Ban,
    /// Lines that were taken away.
    deleted_lines: usize,
}

/// Ban a person from all of the liver's lives; their connections there end. A moderator whom the liver bans is none any
/// more. For liver and moderators.
#[utoipa::path(post, path = "/v1/lives/{live}/bans", tag = "moderation", params(("live" = String, Path)), request_body = BanWish,
    responses((status = 201, body = MadeBan), (status = "4XX", body = Problem)))]
async fn ban(
    customer: Customer,
    State(app): State<App>,
    PathId(live): PathId<LiveId>,
    Body(wish): Body<BanWish>,
) -> Result<Created<MadeBan>, Problem> {
    let target = target(wish.chat_id, wish.question_id, wish.mute_id)?;
    let new = NewBan { target, with_address: wish.with_address, delete_lines: wish.delete_lines };
    let (row, deleted_lines) = app.lives.ban(&customer.into(), &live, &new).await?;
    Ok(Created(MadeBan { ban: row.into(), deleted_lines }))
}

/// The bans of the live's liver that hold, newest first. For liver and moderators.
#[utoipa::path(get, path = "/v1/lives/{live}/bans", tag = "moderation", params(("live" = String, Path), Page),
    responses((status = 200, body = Items<Ban>), (status = "4XX", body = Problem)))]
async fn bans(
    customer: Customer,
    State(app): State<App>,
    PathId(live): PathId<LiveId>,
    page: Page,
) -> Result<Json<Items<Ban>>, Problem> {
    let before = page.cursor_id(BanId::parse)?;
    let rows = app.lives.bans(&customer.into(), &live, before.as_ref(), page.limit() + 1).await?;
    let items = rows.into_iter().map(Ban::from).collect();
    Ok(Json(Items::page(items, page.limit(), |ban: &Ban| ban.id.to_string())))
}

/// End a ban. For liver and moderators.
#[utoipa::path(delete, path = "/v1/lives/{live}/bans/{ban}", tag = "moderation",
    params(("live" = String, Path), ("ban" = String, Path)), responses((status = 204), (status = "4XX", body = Problem)))]
async fn unban(
    customer: Customer,
    State(app): State<App>,
    ids: Result<Path<(LiveId, BanId)>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path((live, ban)) = ids?;
    app.lives.unban(&customer.into(), &live, &ban).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete a line of the chat. For liver and moderators.
#[utoipa::path(delete, path = "/v1/lives/{live}/chat/{message}", tag = "moderation",
    params(("live" = String, Path), ("message" = String, Path)), responses((status = 204), (status = "4XX", body = Problem)))]
async fn delete_line(
    customer: Customer,
    State(app): State<App>,
    ids: Result<Path<(LiveId, ChatId)>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path((live, chat)) = ids?;
    app.lives.delete_line(&customer.into(), &live, &chat).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which line goes on top.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct LineWish {
    chat_id: ChatId,
}

/// Put a line on top of the chat, in place of the one that is there. For liver and moderators.
#[utoipa::path(put, path = "/v1/lives/{live}/chat-pin", tag = "moderation", params(("live" = String, Path)), request_body = LineWish,
    responses((status = 200, body = ChatMessage), (status = "4XX", body = Problem)))]
async fn pin_line(
    customer: Customer,
    State(app): State<App>,
    PathId(live): PathId<LiveId>,
    Body(wish): Body<LineWish>,
) -> Result<Json<ChatMessage>, Problem> {
    let pinned = app.lives.pin_line(&customer.into(), &live, &wish.chat_id).await?;
    Ok(Json(pinned.message.unwrap_or_default().into()))
}

/// Take down the line on top of the chat. For liver and moderators.
#[utoipa::path(delete, path = "/v1/lives/{live}/chat-pin", tag = "moderation", params(("live" = String, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
async fn unpin_line(
    customer: Customer,
    State(app): State<App>,
    PathId(live): PathId<LiveId>,
) -> Result<StatusCode, Problem> {
    app.lives.unpin_line(&customer.into(), &live).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What holds for the viewers' chat; liver and moderators are free of it.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct ChatRules {
    /// Seconds between two lines of one person, up to 120; 0 = no slow mode.
    slow_mode_s: i32,
    /// Only who follows the liver may talk.
    followers_only: bool,
}

impl From<wire::ChatRules> for ChatRules {
    fn from(rules: wire::ChatRules) -> Self {
        Self { slow_mode_s: rules.slow_mode_s, followers_only: rules.followers_only }
    }
}

/// What holds for the viewers' chat.
#[utoipa::path(get, path = "/v1/lives/{live}/chat-rules", tag = "moderation", params(("live" = String, Path)),
    responses((status = 200, body = ChatRules), (status = 404, body = Problem)))]
async fn chat_rules(State(app): State<App>, PathId(live): PathId<LiveId>) -> Result<Json<ChatRules>, Problem> {
    Ok(Json(app.lives.chat_rules(&live).await?.into()))
}

/// Change what holds for the viewers' chat. For liver and moderators.
#[utoipa::path(put, path = "/v1/lives/{live}/chat-rules", tag = "moderation", params(("live" = String, Path)), request_body = ChatRules,
    responses((status = 200, body = ChatRules), (status = "4XX", body = Problem)))]
async fn put_chat_rules(
    customer: Customer,
    State(app): State<App>,
    PathId(live): PathId<LiveId>,
    Body(rules): Body<ChatRules>,
) -> Result<Json<ChatRules>, Problem> {
    let ChatRules { slow_mode_s, followers_only } = rules;
    let rules = wire::ChatRules { slow_mode_s, followers_only, ..wire::ChatRules::default() };
    Ok(Json(app.lives.put_chat_rules(&customer.into(), &live, rules).await?.into()))
}

/// What somebody who keeps order did.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Deed {
    id: AuditId,
    at_ms: Millis,
    by_account_id: Option<AccountId>,
    by_name: Option<String>,
    /// moderation.mute, moderation.ban, question.hide, …
    action: String,
    /// What it was done to: an id.
    subject_id: String,
    /// It concerned all of the liver's lives when absent.
    live_id: Option<LiveId>,
    /// About whom, and what else is worth knowing.
    #[schema(value_type = Object)]
    detail: serde_json::Value,
}

impl From<AuditLine> for Deed {
    fn from(line: AuditLine) -> Self {
        Self {
            id: line.id,
            at_ms: line.at_ms,
            by_account_id: line.account_id,
            by_name: line.by_name,
            action: line.action,
            subject_id: line.subject_id,
            live_id: line.live_id,
            detail: serde_json::from_str(&line.detail).unwrap_or_default(),
        }
    }
}

/// What those who keep order did in this live and in all of its liver's, newest first. For liver and moderators.
#[utoipa::path(get, path = "/v1/lives/{live}/moderation-log", tag = "moderation", params(("live" = String, Path), Page),
    responses((status = 200, body = Items<Deed>), (status = "4XX", body = Problem)))]
async fn moderation_log(
    customer: Customer,
    State(app): State<App>,
    PathId(live): PathId<LiveId>,
    page: Page,
) -> Result<Json<Items<Deed>>, Problem> {
    let before = page.cursor_id(AuditId::parse)?;
    let live = app.lives.load_moderated(&customer.into(), &live).await?;
    let lines = app.people.moderation_log((&live.liver_id, &live.id), before.as_ref(), page.limit() + 1).await?;
    let items = lines.into_iter().map(Deed::from).collect();
    Ok(Json(Items::page(items, page.limit(), |deed: &Deed| deed.id.to_string())))
}

/// A word that the liver refuses.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct RefusedWord {
    id: WordId,
    word: String,
}

fn all(words: Vec<Word>) -> Json<Items<RefusedWord>> {
    Json(Items::all(words.into_iter().map(|Word { id, word, .. }| RefusedWord { id, word }).collect()))
}

/// The words that a liver refuses, all of them, oldest first. For liver and moderators.
#[utoipa::path(get, path = "/v1/livers/{liver}/words", tag = "moderation", params(("liver" = String, Path)),
    responses((status = 200, body = Items<RefusedWord>), (status = "4XX", body = Problem)))]
async fn words(
    customer: Customer,
    State(app): State<App>,
    PathId(liver): PathId<LiverId>,
) -> Result<Json<Items<RefusedWord>>, Problem> {
    Ok(all(app.lives.words(&customer.into(), &liver).await?))
}

/// Words to be refused.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewWords {
    /// Each 1 to 40 characters; 500 in all. Width, case, kana, blanks and signs make no difference.
    words: Vec<String>,
}

/// Refuse words in chat and questions from here on; answers with the whole list. For liver and moderators.
#[utoipa::path(post, path = "/v1/livers/{liver}/words", tag = "moderation", params(("liver" = String, Path)), request_body = NewWords,
    responses((status = 200, body = Items<RefusedWord>), (status = "4XX", body = Problem)))]
async fn add_words(
    customer: Customer,
    State(app): State<App>,
    PathId(liver): PathId<LiverId>,
    Body(new): Body<NewWords>,
) -> Result<Json<Items<RefusedWord>>, Problem> {
    Ok(all(app.lives.add_words(&customer.into(), &liver, &new.words).await?))
}

/// Refuse a word no more. For liver and moderators.
#[utoipa::path(delete, path = "/v1/livers/{liver}/words/{word}", tag = "moderation",
    params(("liver" = String, Path), ("word" = String, Path)), responses((status = 204), (status = "4XX", body = Problem)))]
async fn remove_word(
    customer: Customer,
    State(app): State<App>,
    ids: Result<Path<(LiverId, WordId)>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path((liver, word)) = ids?;
    app.lives.remove_word(&customer.into(), &liver, &word).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who keeps order for you.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct MyModerator {
    account_id: AccountId,
    display_name: String,
    email: String,
    named_at_ms: Millis,
}

impl From<Moderator> for MyModerator {
    fn from(moderator: Moderator) -> Self {
        let Moderator { account_id, display_name, email, named_at_ms, .. } = moderator;
        Self { account_id, display_name, email, named_at_ms }
    }
}

/// Your moderators, in order of naming.
#[utoipa::path(get, path = "/v1/me/moderators", tag = "moderation",
    responses((status = 200, body = Items<MyModerator>), (status = "4XX", body = Problem)))]
async fn moderators(liver: Liver, State(app): State<App>) -> Result<Json<Items<MyModerator>>, Problem> {
    let moderators = app.lives.moderators(&liver.liver_id).await?;
    Ok(Json(Items::all(moderators.into_iter().map(MyModerator::from).collect())))
}

/// Who is to keep order.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewModerator {
    /// Of their account.
    email: String,
}

/// Name a moderator: they may do in your lives what keeps order, but name others.
#[utoipa::path(post, path = "/v1/me/moderators", tag = "moderation", request_body = NewModerator,
    responses((status = 201, body = MyModerator), (status = "4XX", body = Problem)))]
async fn name_moderator(
    _: Liver,
    customer: Customer,
    State(app): State<App>,
    Body(new): Body<NewModerator>,
) -> Result<Created<MyModerator>, Problem> {
    Ok(Created(app.lives.name_moderator(&customer.into(), &new.email).await?.into()))
}

/// Take a naming back.
#[utoipa::path(delete, path = "/v1/me/moderators/{account}", tag = "moderation", params(("account" = String, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
async fn remove_moderator(
    _: Liver,
    customer: Customer,
    State(app): State<App>,
    PathId(account): PathId<AccountId>,
) -> Result<StatusCode, Problem> {
    app.lives.remove_moderator(&customer.into(), &account).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Follow a liver; following again changes nothing.
#[utoipa::path(put, path = "/v1/livers/{liver}/follow", tag = "lives", params(("liver" = String, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
async fn follow(
    customer: Customer,
    State(app): State<App>,
    PathId(liver): PathId<LiverId>,
) -> Result<StatusCode, Problem> {
    app.lives.follow(&liver, &customer.into(), Following::Yes).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Follow a liver no more.
#[utoipa::path(delete, path = "/v1/livers/{liver}/follow", tag = "lives", params(("liver" = String, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
async fn unfollow(
    customer: Customer,
    State(app): State<App>,
    PathId(liver): PathId<LiverId>,
) -> Result<StatusCode, Problem> {
    app.lives.follow(&liver, &customer.into(), Following::No).await?;
    Ok(StatusCode::NO_CONTENT)
}
