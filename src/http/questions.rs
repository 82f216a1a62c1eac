//! Edge: questions over HTTP: asking, voting, the queue, answering, merging, chapters.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Body, Created, Items, Page, PathId, auth::Customer, live::known, moderation::CallerAddress, problem::Problem,
};
use crate::{
    app::App,
    clock::Millis,
    ids::{InvalidId, LiveId, ProductId, QuestionId},
    live::{Move, Question},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(questions))
        .routes(routes!(chapters))
        .routes(routes!(upvote))
        .routes(routes!(answering))
        .routes(routes!(answered))
        .routes(routes!(hide))
        .routes(routes!(merge))
        .routes(routes!(link))
}

/// Creating requests whose answers are kept under their Idempotency-Key.
pub(super) fn creating_router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(ask))
}

/// A viewer's question.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Question)]
struct QuestionView {
    id: QuestionId,
    author_name: String,
    text: String,
    votes: i32,
    /// open, answering, answered, hidden or merged.
    state: &'static str,
    asked_at_ms: Millis,
    answering_at_ms: Option<Millis>,
    answered_at_ms: Option<Millis>,
    /// Since the live went on air: where its answer begins in the replay.
    chapter_at_ms: Option<i64>,
    /// What it is about.
    product_id: Option<ProductId>,
    /// The question that carries its votes.
    merged_into: Option<QuestionId>,
    version: i64,
    demo: bool,
}

impl From<Question> for QuestionView {
    fn from(question: Question) -> Self {
        Self {
            state: question.state.word(),
            answering_at_ms: question.answering_at(),
            answered_at_ms: question.answered_at(),
            merged_into: question.merged_into().cloned(),
            chapter_at_ms: question.chapter_at_ms,
            product_id: question.product_id,
            id: question.id,
            author_name: question.author_name,
            text: question.text,
            votes: question.votes,
            asked_at_ms: question.asked_at,
            version: question.version,
            demo: question.demo,
        }
    }
}

/// Which questions.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct QuestionFilter {
    /// open, answering or answered; all that are shown when absent.
    state: Option<String>,
    /// votes: most votes first, of equal ones the oldest. Newest first when absent.
    order: Option<String>,
}

/// A place in a list that is ordered by a number, then by id: `{number}.{id}`.
fn place(cursor: &str) -> Result<(i64, QuestionId), InvalidId> {
    let (number, id) = cursor.split_once('.').unwrap_or(("", cursor));
    let number = number.parse().map_err(|_| InvalidId { prefix: QuestionId::PREFIX })?;
    Ok((number, QuestionId::parse(id)?))
}

/// Questions, newest first or by votes.
#[utoipa::path(get, path = "/v1/lives/{live}/questions", tag = "lives", params(("live" = String, Path), QuestionFilter, Page),
    responses((status = 200, body = Items<QuestionView>), (status = "4XX", body = Problem)))]
async fn questions(
    State(app): State<App>,
    PathId(id): PathId<LiveId>,
    filter: Result<Query<QuestionFilter>, QueryRejection>,
    page: Page,
) -> Result<Json<Items<QuestionView>>, Problem> {
    let Query(filter) = filter?;
    let state = known(filter.state.as_deref(), &["open", "answering", "answered"])?;
    app.lives.load(&id).await?;
    match filter.order.as_deref() {
        None => {}
        Some("votes") => {
            let after = page.cursor_id(place)?;
            let found = app.lives.question_queue(&id, state, after.as_ref(), page.limit() + 1).await?;
            let items = found.into_iter().map(QuestionView::from).collect();
            return Ok(Json(Items::page(items, page.limit(), |q: &QuestionView| format!("{}.{}", q.votes, q.id))));
        }
        Some(_) => return Err(Problem::invalid("order must be votes, or absent")),
    }
    let before = page.cursor_id(QuestionId::parse)?;
    let found = app.lives.questions(&id, state, before.as_ref(), page.limit() + 1).await?;
    let items = found.into_iter().map(QuestionView::from).collect();
    Ok(Json(Items::page(items, page.limit(), |question| question.id.to_string())))
}

/// What was answered on air, in order of the replay: its chapters.
#[utoipa::path(get, path = "/v1/lives/{live}/chapters", tag = "lives", params(("live" = String, Path), Page),
    responses((status = 200, body = Items<QuestionView>), (status = "4XX", body = Problem)))]
async fn chapters(
    State(app): State<App>,
    PathId(id): PathId<LiveId>,
    page: Page,
) -> Result<Json<Items<QuestionView>>, Problem> {
    let after = page.cursor_id(place)?;
    app.lives.load(&id).await?;
    let found = app.lives.chapters(&id, after.as_ref(), page.limit() + 1).await?;
    let items = found.into_iter().map(QuestionView::from).collect();
    let cursor = |q: &QuestionView| format!("{}.{}", q.chapter_at_ms.unwrap_or_default(), q.id);
    Ok(Json(Items::page(items, page.limit(), cursor)))
}

/// A new question.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewQuestion {
    /// 1 to 200 characters.
    text: String,
    /// The pinned product it is about.
    product_id: Option<ProductId>,
}

/// Ask: one question per ten seconds, five waiting at once.
#[utoipa::path(post, path = "/v1/lives/{live}/questions", tag = "lives", params(("live" = String, Path)), request_body = NewQuestion,
    responses((status = 201, body = QuestionView), (status = "4XX", body = Problem)))]
async fn ask(
    customer: Customer,
    State(app): State<App>,
    PathId(id): PathId<LiveId>,
    CallerAddress(address): CallerAddress,
    Body(new): Body<NewQuestion>,
) -> Result<Created<QuestionView>, Problem> {
    let author = customer.into();
    app.lives.may_enter(&id, Some(&author), address).await?;
    let question = app.lives.ask(&id, &author, &new.text, new.product_id.as_ref()).await?;
    Ok(Created(question.into()))
}

/// Want to know too; a second vote changes nothing. A vote for a merged question goes to the one that carries its votes.
#[utoipa::path(post, path = "/v1/questions/{question}/upvote", tag = "lives", params(("question" = String, Path)),
    responses((status = 200, body = QuestionView), (status = "4XX", body = Problem)))]
async fn upvote(
    customer: Customer,
    State(app): State<App>,
    PathId(id): PathId<QuestionId>,
) -> Result<Json<QuestionView>, Problem> {
    Ok(Json(app.lives.upvote(&id, &customer.into()).await?.into()))
}

/// Put it on air; the one that was is finished. For liver and moderators.
#[utoipa::path(post, path = "/v1/questions/{question}/answering", tag = "lives", params(("question" = String, Path)),
    responses((status = 200, body = QuestionView), (status = "4XX", body = Problem)))]
async fn answering(
    customer: Customer,
    State(app): State<App>,
    PathId(id): PathId<QuestionId>,
) -> Result<Json<QuestionView>, Problem> {
    Ok(Json(app.lives.move_question(&customer.into(), &id, Move::Answer).await?.into()))
}

/// Finish it: a chapter of the replay. For liver and moderators.
#[utoipa::path(post, path = "/v1/questions/{question}/answered", tag = "lives", params(("question" = String, Path)),
    responses((status = 200, body = QuestionView), (status = "4XX", body = Problem)))]
async fn answered(
    customer: Customer,
    State(app): State<App>,
    PathId(id): PathId<QuestionId>,
) -> Result<Json<QuestionView>, Problem> {
    Ok(Json(app.lives.move_question(&customer.into(), &id, Move::Finish).await?.into()))
}

/// Take it away. For liver and moderators.
#[utoipa::path(post, path = "/v1/questions/{question}/hide", tag = "lives", params(("question" = String, Path)),
    responses((status = 200, body = QuestionView), (status = "4XX", body = Problem)))]
async fn hide(
    customer: Customer,
    State(app): State<App>,
    PathId(id): PathId<QuestionId>,
) -> Result<Json<QuestionView>, Problem> {
    Ok(Json(app.lives.move_question(&customer.into(), &id, Move::Hide).await?.into()))
}

/// Where the votes go.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Merge {
    /// The question that will carry the votes.
    into: QuestionId,
}

/// Merge an open question into another one, which has the votes of both: each voter counts once. For liver and moderators.
#[utoipa::path(post, path = "/v1/questions/{question}/merge", tag = "lives", params(("question" = String, Path)), request_body = Merge,
    responses((status = 200, body = QuestionView, description = "The question that carries the votes"), (status = "4XX", body = Problem)))]
async fn merge(
    customer: Customer,
    State(app): State<App>,
    PathId(id): PathId<QuestionId>,
    Body(merge): Body<Merge>,
) -> Result<Json<QuestionView>, Problem> {
    Ok(Json(app.lives.merge_question(&customer.into(), &id, &merge.into).await?.into()))
}

/// What a question is about.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Link {
    /// Pinned in this live, now or earlier; nothing when absent.
    product_id: Option<ProductId>,
}

/// Say which product a question is about. For liver and moderators.
#[utoipa::path(put, path = "/v1/questions/{question}/product", tag = "lives", params(("question" = String, Path)), request_body = Link,
    responses((status = 200, body = QuestionView), (status = "4XX", body = Problem)))]
async fn link(
    customer: Customer,
    State(app): State<App>,
    PathId(id): PathId<QuestionId>,
    Body(link): Body<Link>,
) -> Result<Json<QuestionView>, Problem> {
    Ok(Json(app.lives.link_question(&customer.into(), &id, link.product_id.as_ref()).await?.into()))
}
