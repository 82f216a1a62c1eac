//! Edge: files of a brand's ledger and reports: ask for one, look how far it is, fetch it.

use axum::{
    Json,
    body::Body as HttpBody,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Body, Items, PathId,
    auth::BrandMember,
    problem::{Kind, Problem},
};
use crate::{
    app::App,
    attribution::{Export, ExportFilter, ExportState, ExportTable, Format},
    ids::{BrandId, ExportId},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(find)).routes(routes!(file))
}

/// Creating requests whose answers are kept under their Idempotency-Key.
pub(super) fn creating_router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, ask))
}

/// A file that is wanted.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewExport {
    format: Format,
    /// What its rows are: the ledger's lines when absent, else those of the report of that name.
    #[serde(default = "lines")]
    table: ExportTable,
    /// Which of the ledger's lines they are, or are the sums of; all when absent.
    #[serde(default)]
    filter: ExportFilter,
}

fn lines() -> ExportTable {
    ExportTable::Lines
}

/// A brand's files, newest first.
#[utoipa::path(get, path = "/v1/brands/{brand}/exports", tag = "reports", params(("brand" = String, Path)),
    responses((status = 200, body = Items<Export>), (status = "4XX", body = Problem)))]
async fn list(
    member: BrandMember,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
) -> Result<Json<Items<Export>>, Problem> {
    member.of(&brand)?;
    Ok(Json(Items::all(app.exports.list(&brand).await?)))
}

/// Ask for a file of a brand's ledger, or of a report's rows; it is made in the background and kept for a day.
#[utoipa::path(post, path = "/v1/brands/{brand}/exports", tag = "reports", params(("brand" = String, Path)),
    request_body = NewExport, responses((status = 202, body = Export), (status = "4XX", body = Problem)))]
async fn ask(
    member: BrandMember,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
    Body(new): Body<NewExport>,
) -> Result<(StatusCode, Json<Export>), Problem> {
    member.of(&brand)?;
    if !app.people.brand_exists(&brand).await? {
        return Err(Problem::not_found("brand"));
    }
    let export = app.exports.ask(&brand, &member.person().account.id, new.format, (new.table, &new.filter)).await?;
    Ok((StatusCode::ACCEPTED, Json(export)))
}

async fn ours(member: &BrandMember, app: &App, id: &ExportId) -> Result<Export, Problem> {
    let export = app.exports.find(id).await?;
    member.of(&export.brand_id).map_err(|_| Problem::not_found("export"))?;
    Ok(export)
}

/// How far a file is.
#[utoipa::path(get, path = "/v1/exports/{export}", tag = "reports", params(("export" = String, Path)),
    responses((status = 200, body = Export), (status = "4XX", body = Problem)))]
async fn find(
    member: BrandMember,
    State(app): State<App>,
    PathId(id): PathId<ExportId>,
) -> Result<Json<Export>, Problem> {
    Ok(Json(ours(&member, &app, &id).await?))
}

/// The file, when it is done.
#[utoipa::path(get, path = "/v1/exports/{export}/file", tag = "reports", params(("export" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream"), (status = "4XX", body = Problem)))]
async fn file(member: BrandMember, State(app): State<App>, PathId(id): PathId<ExportId>) -> Result<Response, Problem> {
    let export = ours(&member, &app, &id).await?;
    match export.state {
        ExportState::Done => {}
        ExportState::Queued | ExportState::Running => {
            return Err(Problem::new(Kind::Conflict, "the file is still being made; look again in a moment"));
        }
        ExportState::Failed => return Err(Problem::not_found("file: it could not be made")),
        ExportState::Expired => {
            return Err(Problem::not_found("file any more: it was kept for a day; ask for it again"));
        }
    }
    app.people.note(&member.person().account.id, "report.download", export.brand_id.as_str(), id.as_str()).await?;
    let name = format!("attachment; filename=\"hanamichi-{}.{}\"", id, export.format.as_str());
    let headers = [
        (header::CONTENT_TYPE, export.format.content_type().to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (header::CONTENT_LENGTH, export.bytes.to_string()),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
    ];
    let parts = futures_util::stream::try_unfold((app.exports.clone(), id, 0), async |(exports, id, n)| {
        let part = exports.part(&id, n).await.map_err(std::io::Error::other)?;
        Ok::<_, std::io::Error>(part.map(|bytes| (Bytes::from(bytes), (exports, id, n + 1))))
    });
    Ok((headers, HttpBody::from_stream(parts)).into_response())
}
