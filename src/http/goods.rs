//! Edge: catalogue and stock.

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Body, Created, Items, Page, PathId,
    auth::{BrandMember, Clerk, Guest},
    problem::{Kind, Problem},
};
use crate::{
    app::App,
    commerce::{
        FactAnswer, FactClass, FactKind, Move, NewProduct, Product, SafetyChange, ShelfAfter, ShelfView, Shortage,
        StockFact, find_product, list_products,
    },
    ids::{AuditId, BrandId, LocationId, OrderId, ProductId, PurchaseId, SkuId},
};

/// Creating requests; answers are kept under their Idempotency-Key.
pub(super) fn creating_router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(add_product))
}

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(load))
        .routes(routes!(image))
        .routes(routes!(adjust))
        .routes(routes!(sell))
        .routes(routes!(count))
        .routes(routes!(set_safety))
        .routes(routes!(shortages))
        .routes(routes!(stock))
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

/// Characters of an idempotency key.
const MAX_KEY_CHARS: usize = 255;
/// Units one fact may move of one SKU.
const MAX_DELTA: i64 = 1_000_000;
/// SKUs of one fact.
const MAX_MOVES: usize = 100;

/// A physical fact about one SKU.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
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
    /// Units that left although the books did not know of them.
    found: i64,
    /// Unpaid purchases that were called off because their goods are gone.
    broken: Vec<PurchaseId>,
    /// Paid orders whose goods are gone and stand nowhere else.
    short: Vec<OrderId>,
}

/// Record goods that came, were sold over the counter, counted or returned. The same Idempotency-Key counts once. Goods
/// that are gone are gone: promises that cannot be kept are moved to another location, broken, or marked short.
#[utoipa::path(post, path = "/v1/stock/adjustments", tag = "goods", request_body = NewAdjustment,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Adjusted), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn adjust(
    member: BrandMember,
    State(app): State<App>,
    headers: HeaderMap,
    Body(new): Body<NewAdjustment>,
) -> Result<Created<Adjusted>, Problem> {
    if new.delta == 0 || !(-MAX_DELTA..=MAX_DELTA).contains(&new.delta) {
        return Err(Problem::invalid(format!("delta must be between -{MAX_DELTA} and {MAX_DELTA}, and not 0")));
    }
    match new.reason {
        FactKind::Receive | FactKind::Return if new.delta < 0 => {
            return Err(Problem::invalid("goods that come in have a positive delta"));
        }
        FactKind::TillSale if new.delta > 0 => return Err(Problem::invalid("a sale has a negative delta")),
        FactKind::Receive | FactKind::Return | FactKind::TillSale | FactKind::Count => {}
    }
    let brands = app.checkout.brands_of_skus(&BTreeSet::from([&new.sku_id])).await?;
    let mine = brands.get(&new.sku_id).is_some_and(|brand| member.of(brand).is_ok());
    if !mine {
        return Err(Problem::new(Kind::UnknownSku, "there is no such SKU among yours"));
    }
    let fact = StockFact {
        account: member.person().account.id.clone(),
        key: key_of(&headers)?.unwrap_or_else(|| AuditId::fresh().to_string()),
        body_hash: digest(&new),
        location: new.location_id.clone(),
        kind: FactClass::Adjustment,
        moves: vec![(new.sku_id.clone(), Move::By { delta: new.delta, kind: new.reason })],
    };
    let answer = record(&app, fact).await?;
    let shelf = answer.lines.into_iter().next().ok_or_else(|| Problem::new(Kind::Internal, "no shelf was changed"))?;
    Ok(Created(Adjusted {
        sku_id: new.sku_id,
        location_id: new.location_id,
        on_hand: shelf.on_hand,
        held: shelf.held,
        available: shelf.available,
        stock_version: shelf.stock_version,
        found: shelf.found,
        broken: answer.broken,
        short: answer.short,
    }))
}

/// Which till sold it.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum Channel {
    /// Over the counter.
    #[default]
    Till,
    /// In another shop on the net that shares this stock.
    Ec,
}

/// Units of one SKU that were sold: named by its id or by its JAN.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct SaleLine {
    sku_id: Option<SkuId>,
    jan: Option<String>,
    /// 1 to 1,000,000.
    qty: i64,
}

/// A sale outside of a live.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewSale {
    location_id: LocationId,
    /// 1 to 100, each of another SKU.
    lines: Vec<SaleLine>,
    #[serde(default)]
    channel: Channel,
}

/// Units of one SKU that somebody counted: named by its id or by its JAN.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct CountLine {
    sku_id: Option<SkuId>,
    jan: Option<String>,
    /// 0 to 1,000,000, promised units that still stand there included.
    counted: i64,
}

/// What somebody counted at a location.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCount {
    location_id: LocationId,
    /// 1 to 100, each of another SKU.
    lines: Vec<CountLine>,
}

/// Record a sale over the counter or in another shop: it moves the same stock. Never refused for lack of stock: what was
/// sold is gone. The same Idempotency-Key counts once and has one answer.
#[utoipa::path(post, path = "/v1/stock/sales", tag = "goods", request_body = NewSale,
    params(("Idempotency-Key" = String, Header, description = "Made by the till for one receipt; 1 to 255 characters")),
    responses((status = 201, body = FactAnswer), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn sell(
    clerk: Clerk,
    State(app): State<App>,
    headers: HeaderMap,
    Body(new): Body<NewSale>,
) -> Result<Created<FactAnswer>, Problem> {
    let mut named = Vec::with_capacity(new.lines.len());
    for line in &new.lines {
        if !(1..=MAX_DELTA).contains(&line.qty) {
            return Err(Problem::invalid(format!("lines.qty must be between 1 and {MAX_DELTA}")));
        }
        let sold = Move::By { delta: -line.qty, kind: FactKind::TillSale };
        named.push((line.sku_id.as_ref(), line.jan.as_deref(), sold));
    }
    let moves = resolve(&app, &clerk, &new.location_id, named).await?;
    fact(&app, &clerk, &headers, &new, FactClass::Sale, new.location_id.clone(), moves).await
}

/// Record what somebody counted. The same Idempotency-Key counts once and has one answer.
#[utoipa::path(post, path = "/v1/stock/counts", tag = "goods", request_body = NewCount,
    params(("Idempotency-Key" = String, Header, description = "Made by the caller for one count; 1 to 255 characters")),
    responses((status = 201, body = FactAnswer), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn count(
    clerk: Clerk,
    State(app): State<App>,
    headers: HeaderMap,
    Body(new): Body<NewCount>,
) -> Result<Created<FactAnswer>, Problem> {
    let mut named = Vec::with_capacity(new.lines.len());
    for line in &new.lines {
        if !(0..=MAX_DELTA).contains(&line.counted) {
            return Err(Problem::invalid(format!("lines.counted must be between 0 and {MAX_DELTA}")));
        }
        named.push((line.sku_id.as_ref(), line.jan.as_deref(), Move::To { counted: line.counted }));
    }
    let moves = resolve(&app, &clerk, &new.location_id, named).await?;
    fact(&app, &clerk, &headers, &new, FactClass::Count, new.location_id.clone(), moves).await
}

/// Finds the SKUs, and judges whether this person may move them here.
async fn resolve(
    app: &App,
    clerk: &Clerk,
    location: &LocationId,
    named: Vec<(Option<&SkuId>, Option<&str>, Move)>,
) -> Result<Vec<(SkuId, Move)>, Problem> {
    if named.is_empty() || named.len() > MAX_MOVES {
        return Err(Problem::invalid(format!("lines must be 1 to {MAX_MOVES}")));
    }
    let jans: BTreeSet<&str> = named.iter().filter_map(|(_, jan, _)| *jan).collect();
    let by_jan = if jans.is_empty() { Vec::new() } else { app.checkout.skus_by_jan(&jans).await? };
    let mut moves: Vec<(SkuId, Move)> = Vec::with_capacity(named.len());
    for (sku, jan, change) in named {
        let sku = match (sku, jan) {
            (Some(sku), None) => sku.clone(),
            (None, Some(jan)) => {
                let mut found =
                    by_jan.iter().filter(|(known, _, brand)| known == jan && clerk.may_move(brand, location));
                let first = found.next().map(|(_, sku, _)| sku.clone());
                if found.next().is_some() {
                    return Err(Problem::new(Kind::Conflict, format!("jan {jan} names several SKUs; send sku_id")));
                }
                first.ok_or_else(|| Problem::new(Kind::UnknownSku, format!("lines.jan: no SKU has JAN {jan}")))?
            }
            _ => return Err(Problem::invalid("each of lines needs either sku_id or jan")),
        };
        if moves.iter().any(|(known, _)| *known == sku) {
            return Err(Problem::invalid(format!("lines.sku_id: {sku} stands there twice; add its units up")));
        }
        moves.push((sku, change));
    }
    let brands = app.checkout.brands_of_skus(&moves.iter().map(|(sku, _)| sku).collect()).await?;
    for (sku, _) in &moves {
        if !brands.get(sku).is_some_and(|brand| clerk.may_move(brand, location)) {
            return Err(Problem::new(Kind::UnknownSku, format!("lines.sku_id: there is no SKU {sku} for you here")));
        }
    }
    Ok(moves)
}

async fn fact<T: Serialize>(
    app: &App,
    clerk: &Clerk,
    headers: &HeaderMap,
    body: &T,
    kind: FactClass,
    location: LocationId,
    moves: Vec<(SkuId, Move)>,
) -> Result<Created<FactAnswer>, Problem> {
    let key = key_of(headers)?.ok_or_else(|| {
        Problem::new(
            Kind::IdempotencyKeyMissing,
            "send a key of your own making, so that a repeated request counts once",
        )
    })?;
    let account = clerk.person().account.id.clone();
    Ok(Created(record(app, StockFact { account, key, body_hash: digest(body), location, kind, moves }).await?))
}

async fn record(app: &App, fact: StockFact) -> Result<FactAnswer, Problem> {
    let (account, kind) = (fact.account.clone(), fact.kind);
    let answer = app.sequencer.record(fact).await?;
    let detail = format!(
        "{} skus={} broken={} short={}",
        kind.as_str(),
        answer.lines.len(),
        answer.broken.len(),
        answer.short.len()
    );
    app.people.note(&account, "stock.fact", answer.id.as_str(), &detail).await?;
    Ok(answer)
}

fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().map_err(|_| Problem::invalid("Idempotency-Key must be visible ASCII"))?;
    if key.is_empty() || key.len() > MAX_KEY_CHARS {
        return Err(Problem::invalid(format!("Idempotency-Key must have 1 to {MAX_KEY_CHARS} characters")));
    }
    Ok(Some(key.to_owned()))
}

fn digest<T: Serialize>(body: &T) -> String {
    let text = serde_json::to_string(body).expect("ids, numbers and names are JSON");
    data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}

/// Units kept for the counter.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewSafety {
    sku_id: SkuId,
    location_id: LocationId,
    /// 0 to 1,000,000: never sold online.
    safety: i64,
}

/// Say how many units a location keeps for its counter.
#[utoipa::path(put, path = "/v1/stock/safety", tag = "goods", request_body = NewSafety,
    responses((status = 200, body = ShelfAfter), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn set_safety(
    clerk: Clerk,
    State(app): State<App>,
    Body(new): Body<NewSafety>,
) -> Result<Json<ShelfAfter>, Problem> {
    if !(0..=MAX_DELTA).contains(&new.safety) {
        return Err(Problem::invalid(format!("safety must be between 0 and {MAX_DELTA}")));
    }
    let brands = app.checkout.brands_of_skus(&BTreeSet::from([&new.sku_id])).await?;
    if !brands.get(&new.sku_id).is_some_and(|brand| clerk.may_move(brand, &new.location_id)) {
        return Err(Problem::new(Kind::UnknownSku, "sku_id: there is no such SKU for you here"));
    }
    let change = SafetyChange { sku: new.sku_id.clone(), location: new.location_id, safety: new.safety };
    let shelf = app.sequencer.set_safety(change).await?;
    let detail = format!("safety={}", new.safety);
    app.people.note(&clerk.person().account.id, "stock.safety", new.sku_id.as_str(), &detail).await?;
    Ok(Json(shelf))
}

/// Paid orders whose goods are gone, oldest first, at most 1,000: of your brands, or of all for operators.
#[utoipa::path(get, path = "/v1/stock/shortages", tag = "goods", responses((status = 200, body = Items<Shortage>)))]
async fn shortages(member: BrandMember, State(app): State<App>) -> Result<Json<Items<Shortage>>, Problem> {
    let person = member.person();
    let mine = person.brands.iter().map(|(brand, _)| brand.clone()).collect();
    let items = app.checkout.shortages((!person.operator).then_some(&mine)).await?;
    Ok(Json(Items::all(items)))
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
    let brand = app.checkout.brands_of_skus(&BTreeSet::from([&sku])).await?.remove(&sku);
    let insider = person.is_some_and(|p| {
        p.operator || !p.locations.is_empty() || p.brands.iter().any(|(id, _)| Some(id) == brand.as_ref())
    });
    let locations = if insider { shelves } else { Vec::new() };
    let stock = SkuStock { sku_id: sku, available: level.available, stock_version: level.version, locations };
    Ok((StatusCode::OK, Json(stock)))
}
