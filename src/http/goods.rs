//! Edge: catalogue, stock and locations.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Body, Created, Items, Page, PathId,
    auth::{BrandMember, Guest, Operator, Signed},
    problem::{Kind, Problem},
};
use crate::{
    app::App,
    commerce::{Adjustment, FactKind, NewProduct, Product, ShelfView, find_product, list_products},
    ids::{BrandId, LocationId, ProductId, SkuId},
    omo::{Location, NewLocation, OmoError},
};

/// Creating requests; answers are kept under their Idempotency-Key.
pub(super) fn creating_router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(add_product)).routes(routes!(add_location))
}

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(load))
        .routes(routes!(image))
        .routes(routes!(locations))
        .routes(routes!(adjust))
        .routes(routes!(stock))
}

impl From<OmoError> for Problem {
    fn from(error: OmoError) -> Self {
        match error {
            OmoError::Invalid(detail) => Self::invalid(detail),
            OmoError::Store(error) => error.into(),
        }
    }
}

/// Make a product with its SKUs.
#[utoipa::path(post, path = "/v1/brands/{brand}/products", tag = "goods", params(("brand" = String, Path)), request_body = NewProduct,
    responses((status = 201, body = Product), (status = "4XX", body = Problem)))]
async fn add_product(
    member: BrandMember,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
    Body(new): Body<NewProduct>,
) -> Result<Created<Product>, Problem> {
    member.of(&brand)?;
    Ok(Created(app.checkout.add_product(&brand, &new).await?))
}

/// A brand's products, oldest first.
#[utoipa::path(get, path = "/v1/brands/{brand}/products", tag = "goods", params(("brand" = String, Path), Page),
    responses((status = 200, body = Items<Product>)))]
async fn list(
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
    page: Page,
) -> Result<Json<Items<Product>>, Problem> {
    let after = page.cursor_id(ProductId::parse)?;
    let mut tx = app.db.read("list products").await?;
    let items = list_products(&mut tx, Some(&brand), None, after.as_ref(), page.limit() + 1).await?;
    Ok(Json(Items::page(items, page.limit(), |product| product.id.to_string())))
}

/// A product.
#[utoipa::path(get, path = "/v1/products/{product}", tag = "goods", params(("product" = String, Path)),
    responses((status = 200, body = Product), (status = 404, body = Problem)))]
async fn load(State(app): State<App>, PathId(id): PathId<ProductId>) -> Result<Json<Product>, Problem> {
    let mut tx = app.db.read("load product").await?;
    let product = find_product(&mut tx, &id).await?;
    product.map(Json).ok_or_else(|| Problem::not_found("product"))
}

/// A product's picture.
#[utoipa::path(get, path = "/v1/products/{product}/image", tag = "goods", params(("product" = String, Path)),
    responses((status = 200, content_type = "image/svg+xml"), (status = 404, body = Problem)))]
async fn image(State(app): State<App>, PathId(id): PathId<ProductId>) -> Result<Response, Problem> {
    let svg = app.checkout.image(&id).await?;
    // An SVG from a brand is a picture here, never a page: no script in it may run, whoever opens it.
    let headers = [
        (header::CONTENT_TYPE, "image/svg+xml"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; sandbox"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "public, max-age=300"),
    ];
    Ok((headers, svg).into_response())
}

/// Make a warehouse or store.
#[utoipa::path(post, path = "/v1/locations", tag = "goods", request_body = NewLocation,
    responses((status = 201, body = Location), (status = "4XX", body = Problem)))]
async fn add_location(
    Operator(by): Operator,
    State(app): State<App>,
    Body(new): Body<NewLocation>,
) -> Result<Created<Location>, Problem> {
    let location = app.omo.add_location(new).await?;
    app.people.note(&by.account.id, "location.add", location.id.as_str(), "").await?;
    Ok(Created(location))
}

/// Every warehouse and store.
#[utoipa::path(get, path = "/v1/locations", tag = "goods", responses((status = 200, body = Items<Location>)))]
async fn locations(_: Signed, State(app): State<App>) -> Result<Json<Items<Location>>, Problem> {
    Ok(Json(Items::all(app.omo.locations().await?)))
}

/// A physical fact about stock.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewAdjustment {
    sku_id: SkuId,
    location_id: LocationId,
    /// How many more (or fewer); up to a million.
    delta: i64,
    reason: FactKind,
}

/// The shelf after it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Adjusted {
    sku_id: SkuId,
    location_id: LocationId,
    on_hand: i64,
    held: i64,
    available: i64,
    stock_version: i64,
}

/// Units one adjustment may move.
const MAX_DELTA: i64 = 1_000_000;

/// Record goods that came, were sold over the counter, counted or returned. The same Idempotency-Key counts once.
#[utoipa::path(post, path = "/v1/stock/adjustments", tag = "goods", request_body = NewAdjustment,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Adjusted), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn adjust(
    member: BrandMember,
    State(app): State<App>,
    headers: HeaderMap,
    Body(new): Body<NewAdjustment>,
) -> Result<Created<Adjusted>, Problem> {
    if new.delta == 0 || new.delta.abs() > MAX_DELTA {
        return Err(Problem::invalid(format!("delta must be between -{MAX_DELTA} and {MAX_DELTA}, and not 0")));
    }
    match new.reason {
        FactKind::Receive | FactKind::Return if new.delta < 0 => {
            return Err(Problem::invalid("goods that come in have a positive delta"));
        }
        FactKind::TillSale if new.delta > 0 => return Err(Problem::invalid("a sale has a negative delta")),
        FactKind::Receive | FactKind::Return | FactKind::TillSale | FactKind::Count => {}
    }
    let brand = app.checkout.brand_of(&new.sku_id).await?;
    member.of(&brand).map_err(|_| Problem::new(Kind::UnknownSku, "there is no such SKU among yours"))?;
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok());
    let adjustment = Adjustment {
        account: member.person().account.id.clone(),
        key: key.map_or_else(|| crate::ids::AuditId::fresh().to_string(), str::to_owned),
        sku: new.sku_id.clone(),
        location: new.location_id.clone(),
        delta: new.delta,
        kind: new.reason,
    };
    let (on_hand, held, available, stock_version) = app.sequencer.adjust(adjustment).await?;
    let detail = format!("delta={} on_hand={on_hand}", new.delta);
    app.people.note(&member.person().account.id, "stock.adjust", new.sku_id.as_str(), &detail).await?;
    Ok(Created(Adjusted { sku_id: new.sku_id, location_id: new.location_id, on_hand, held, available, stock_version }))
}

/// What can be bought of a SKU.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct SkuStock {
    sku_id: SkuId,
    available: i64,
    stock_version: i64,
    /// Where it stands; only for the brand, staff and operators.
    locations: Vec<ShelfView>,
}

/// What can be bought of a SKU, and, for those who run it, where it stands.
#[utoipa::path(get, path = "/v1/skus/{sku}/stock", tag = "goods", params(("sku" = String, Path)),
    responses((status = 200, body = SkuStock), (status = 404, body = Problem)))]
async fn stock(
    Guest(person): Guest,
    State(app): State<App>,
    PathId(sku): PathId<SkuId>,
) -> Result<(StatusCode, Json<SkuStock>), Problem> {
    let (level, shelves) = app.checkout.stock(&sku).await?;
    let brand = app.checkout.brand_of(&sku).await?;
    let insider =
        person.is_some_and(|p| p.operator || !p.locations.is_empty() || p.brands.iter().any(|(id, _)| *id == brand));
    let locations = if insider { shelves } else { Vec::new() };
    let stock = SkuStock { sku_id: sku, available: level.available, stock_version: level.version, locations };
    Ok((StatusCode::OK, Json(stock)))
}
