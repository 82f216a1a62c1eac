//! Edge: a merchant's file.

use axum::{
    Json,
    body::Bytes,
    extract::{
        DefaultBodyLimit, FromRequest, Query, Request, State,
        rejection::{BytesRejection, QueryRejection},
    },
    http::{StatusCode, header},
};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    PathId,
    auth::BrandMember,
    problem::{Kind, Problem},
};
use crate::{
    app::App,
    commerce::{ImportError, ImportFile, ImportReport, MAX_IMPORT_BYTES},
    ids::{BrandId, LocationId},
};

/// Waited before an import is tried again.
const IMPORT_RETRY_MS: u64 = 5_000;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(import)).layer(DefaultBodyLimit::max(MAX_IMPORT_BYTES))
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        let text = error.to_string();
        match error {
            ImportError::Busy => Self::new(Kind::Unavailable, text).retry_after_ms(IMPORT_RETRY_MS),
            ImportError::Refused(cause) => cause.into(),
            ImportError::Overtaken { .. } => Self::new(Kind::Conflict, text).retry_after_ms(IMPORT_RETRY_MS),
            ImportError::BrokenOff { cause, .. } => {
                let mut problem = Self::from(cause);
                problem.detail = text.into();
                problem
            }
        }
    }
}

/// A body of CSV text.
struct CsvFile(Bytes);

impl<S: Send + Sync> FromRequest<S> for CsvFile {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind =
            request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("text/csv") {
            return Err(Problem::new(Kind::UnsupportedContentType, "send the file as text/csv"));
        }
        let read: Result<Bytes, BytesRejection> = Bytes::from_request(request, state).await;
        read.map(Self).map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(Kind::TooLarge, format!("the file must have at most {MAX_IMPORT_BYTES} bytes; split it"))
            }
            _ => Problem::invalid(rejection.body_text()),
        })
    }
}

/// How to import.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ImportQuery {
    /// Where the file's stock is counted; without it, no stock is counted.
    location_id: Option<LocationId>,
    /// Writes nothing and gives the same report.
    #[serde(default)]
    dry_run: bool,
}

/// Import products and counted stock from a CSV file: UTF-8, up to 8 MiB and 50,000 rows.
///
/// Columns: our own (`handle, title, description, variant, code, jan, price, tax_rate, stock`), or Shopify's product CSV,
/// classic or newer. Rows with the same `handle` are the variants of one product. Products are found again by handle,
/// SKUs by code, else JAN, else variant; nothing is deleted, and what a file does not say stays. A faulty row is left out
/// and reported; the others are imported.
#[utoipa::path(post, path = "/v1/brands/{brand}/import", tag = "goods", params(("brand" = String, Path), ImportQuery),
    request_body(content = String, content_type = "text/csv"),
    responses((status = 200, body = ImportReport), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn import(
    member: BrandMember,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
    query: Result<Query<ImportQuery>, QueryRejection>,
    CsvFile(bytes): CsvFile,
) -> Result<Json<ImportReport>, Problem> {
    member.of(&brand)?;
    let Query(ImportQuery { location_id: location, dry_run }) = query?;
    let account = member.person().account.id.clone();
    let file = ImportFile { account: account.clone(), brand: brand.clone(), location, dry_run, bytes };
    let report = app.imports.import(file).await?;
    if !dry_run {
        let detail = format!("rows={} errors={} stock={}", report.rows, report.errors.len(), report.stock_counted);
        app.people.note(&account, "goods.import", brand.as_str(), &detail).await?;
    }
    Ok(Json(report))
}
