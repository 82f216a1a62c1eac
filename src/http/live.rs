//! Edge: lives over HTTP: sessions, pins, chat, sales.

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode, Uri, header},
};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Body, Created, Items, Page, PathId,
    auth::{CallerAddress, Customer, Liver},
    problem::Problem,
};
use crate::{
    app::App,
    clock::Millis,
    commerce::Product,
    ids::{BrandId, ChatId, LiveId, LiverId, OfferId, PinId, ProductId, SkuId},
    live::{Announcement, Edit, Live, ProductFigures, Visitor, Which},
    money::Currency,
    people::Person,
    showcase::{Card, PinTerms, Pinned},
    wire,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(load, edit))
        .routes(routes!(mine))
        .routes(routes!(start))
        .routes(routes!(end))
        .routes(routes!(rotate_stream_key))
        .routes(routes!(catalog))
        .routes(routes!(pins))
        .routes(routes!(unpin))
        .routes(routes!(chat))
        .routes(routes!(sales))
}

/// Creating requests whose answers are kept under their Idempotency-Key. A stream key is not among them: it is shown
/// once and stored nowhere.
pub(super) fn creating_router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(schedule)).routes(routes!(pin)).routes(routes!(say))
}

/// The live room's word for who is signed in.
pub(super) fn visitor(person: Person) -> Visitor {
    Visitor {
        account_id: person.account.id,
        customer_id: person.customer_id,
        display_name: person.account.display_name,
        liver_id: person.liver_id,
        demo: person.account.demo,
    }
}

impl From<Customer> for Visitor {
    fn from(customer: Customer) -> Self {
        Self {
            account_id: customer.account_id,
            customer_id: customer.customer_id,
            display_name: customer.display_name,
            liver_id: customer.liver_id,
            demo: customer.demo,
        }
    }
}

/// A live session.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Live)]
struct LiveView {
    id: LiveId,
    title: String,
    /// scheduled, live or ended.
    state: &'static str,
    liver_id: LiverId,
    liver_name: String,
    tie_up_brand_id: Option<BrandId>,
    tie_up_brand_name: Option<String>,
    /// Every viewer must see it (ステマ規制).
    pr_label: Option<String>,
    /// none, up or away.
    media: String,
    scheduled_at_ms: Millis,
    started_at_ms: Option<Millis>,
    ended_at_ms: Option<Millis>,
    version: i64,
    demo: bool,
    watch_path: String,
    /// Watching at this moment.
    viewers: u32,
}

fn view(app: &App, live: Live) -> LiveView {
    LiveView {
        state: live.session.phase.word(),
        started_at_ms: live.started_at(),
        ended_at_ms: live.ended_at(),
        media: app.lives.media(&live.id),
        viewers: app.lives.audience(&live.id).0,
        watch_path: format!("/watch/{}", live.id),
        id: live.id,
        title: live.session.title,
        liver_id: live.liver_id,
        liver_name: live.liver_name,
        tie_up_brand_id: live.session.tie_up,
        tie_up_brand_name: live.tie_up_brand_name,
        pr_label: live.session.pr_label,
        scheduled_at_ms: live.session.scheduled_at,
        version: live.version,
        demo: live.demo,
    }
}

fn page_of(app: &App, lives: Vec<Live>, page: &Page) -> Json<Items<LiveView>> {
    let items = lives.into_iter().map(|live| view(app, live)).collect();
    Json(Items::page(items, page.limit(), |live| live.id.to_string()))
}

/// Which lives.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct LiveFilter {
    /// live, scheduled or ended; all when absent.
    state: Option<String>,
}

pub(super) fn known(word: Option<&str>, words: &[&'static str]) -> Result<Option<&'static str>, Problem> {
    let Some(word) = word else { return Ok(None) };
    let found = words.iter().find(|known| **known == word);
    found.map(|word| Some(*word)).ok_or_else(|| Problem::invalid(format!("state must be one of {}", words.join(", "))))
}

/// Lives, newest first.
#[utoipa::path(get, path = "/v1/lives", tag = "lives", params(LiveFilter, Page), responses((status = 200, body = Items<LiveView>)))]
async fn list(
    State(app): State<App>,
    filter: Result<Query<LiveFilter>, QueryRejection>,
    page: Page,
) -> Result<Json<Items<LiveView>>, Problem> {
    let state = known(filter?.state.as_deref(), &["live", "scheduled", "ended"])?;
    let before = page.cursor_id(LiveId::parse)?;
    let lives = app.lives.list(&Which::State(state), before.as_ref(), page.limit() + 1).await?;
    Ok(page_of(&app, lives, &page))
}

/// Your own lives, newest first.
#[utoipa::path(get, path = "/v1/livers/me/lives", tag = "lives", params(Page), responses((status = 200, body = Items<LiveView>)))]
async fn mine(liver: Liver, State(app): State<App>, page: Page) -> Result<Json<Items<LiveView>>, Problem> {
    let before = page.cursor_id(LiveId::parse)?;
    let lives = app.lives.list(&Which::Of(liver.liver_id), before.as_ref(), page.limit() + 1).await?;
    Ok(page_of(&app, lives, &page))
}

/// What a new live needs.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewLive {
    /// 1 to 80 characters.
    title: String,
    /// Now when absent.
    scheduled_at_ms: Option<Millis>,
    /// The brand that pays for it.
    tie_up_brand_id: Option<BrandId>,
    /// Up to 40 characters; a tie-up cannot start without it.
    pr_label: Option<String>,
}

/// Announce a live.
#[utoipa::path(post, path = "/v1/lives", tag = "lives", request_body = NewLive,
    responses((status = 201, body = LiveView), (status = "4XX", body = Problem)))]
async fn schedule(
    liver: Liver,
    State(app): State<App>,
    Body(new): Body<NewLive>,
) -> Result<Created<LiveView>, Problem> {
    let plan = Announcement {
        title: new.title,
        tie_up: new.tie_up_brand_id,
        pr_label: new.pr_label,
        scheduled_at: new.scheduled_at_ms,
    };
    let live = app.lives.schedule(&liver.liver_id, plan, liver.demo).await?;
    Ok(Created(view(&app, live)))
}

/// A live.
#[utoipa::path(get, path = "/v1/lives/{live}", tag = "lives", params(("live" = String, Path)),
    responses((status = 200, body = LiveView), (status = 404, body = Problem)))]
async fn load(State(app): State<App>, PathId(id): PathId<LiveId>) -> Result<Json<LiveView>, Problem> {
    let live = app.lives.load(&id).await?;
    Ok(Json(view(&app, live)))
}

/// What changes; what is absent stays.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct LiveChange {
    title: Option<String>,
    /// Empty removes it; never while a tie-up is on air.
    pr_label: Option<String>,
    scheduled_at_ms: Option<Millis>,
}

/// Change title, PR label or time.
#[utoipa::path(patch, path = "/v1/lives/{live}", tag = "lives", params(("live" = String, Path)), request_body = LiveChange,
    responses((status = 200, body = LiveView), (status = "4XX", body = Problem)))]
async fn edit(
    liver: Liver,
    State(app): State<App>,
    PathId(id): PathId<LiveId>,
    Body(change): Body<LiveChange>,
) -> Result<Json<LiveView>, Problem> {
    let edit = Edit { title: change.title, pr_label: change.pr_label, scheduled_at: change.scheduled_at_ms };
    let live = app.lives.edit(&liver.liver_id, &id, edit).await?;
    Ok(Json(view(&app, live)))
}

/// Go on air.
#[utoipa::path(post, path = "/v1/lives/{live}/start", tag = "lives", params(("live" = String, Path)),
    responses((status = 200, body = LiveView), (status = "4XX", body = Problem)))]
async fn start(liver: Liver, State(app): State<App>, PathId(id): PathId<LiveId>) -> Result<Json<LiveView>, Problem> {
    let live = app.lives.go_live(&liver.liver_id, &id).await?;
    Ok(Json(view(&app, live)))
}

/// End it; its offers end with it.
#[utoipa::path(post, path = "/v1/lives/{live}/end", tag = "lives", params(("live" = String, Path)),
    responses((status = 200, body = LiveView), (status = "4XX", body = Problem)))]
async fn end(liver: Liver, State(app): State<App>, PathId(id): PathId<LiveId>) -> Result<Json<LiveView>, Problem> {
    let live = app.lives.end(&liver.liver_id, &id).await?;
    Ok(Json(view(&app, live)))
}

/// Where and with what OBS publishes.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct StreamKey {
    whip_url: String,
    /// Shown once.
    stream_key: String,
}

/// A new stream key; the old one stops working. Shown once and stored nowhere, so an Idempotency-Key has no effect here.
#[utoipa::path(post, path = "/v1/lives/{live}/stream-key", tag = "lives", params(("live" = String, Path)),
    responses((status = 201, body = StreamKey), (status = "4XX", body = Problem)))]
async fn rotate_stream_key(
    liver: Liver,
    State(app): State<App>,
    PathId(id): PathId<LiveId>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Created<StreamKey>, Problem> {
    let stream_key = app.lives.rotate_stream_key(&liver.liver_id, &id).await?;
    let base = if app.config.public_url.is_empty() {
        let header = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        // HTTP/2 has the authority in the address, HTTP/1.1 in a header.
        let host = uri.authority().map_or_else(|| header.unwrap_or("localhost"), |authority| authority.as_str());
        format!("{}://{host}", if app.secure_cookies() { "https" } else { "http" })
    } else {
        app.config.public_url.trim_end_matches('/').to_owned()
    };
    Ok(Created(StreamKey { whip_url: format!("{base}/v1/lives/{id}/whip"), stream_key }))
}

/// Which products.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ProductFilter {
    /// Part of a title.
    q: Option<String>,
}

/// Bytes of a search.
const MAX_QUERY_BYTES: usize = 400;

/// Products you may pin here.
#[utoipa::path(get, path = "/v1/lives/{live}/catalog", tag = "lives", params(("live" = String, Path), ProductFilter, Page),
    responses((status = 200, body = Items<Product>), (status = "4XX", body = Problem)))]
async fn catalog(
    liver: Liver,
    State(app): State<App>,
    PathId(id): PathId<LiveId>,
    filter: Result<Query<ProductFilter>, QueryRejection>,
    page: Page,
) -> Result<Json<Items<Product>>, Problem> {
    let live = app.lives.load_own(&liver.liver_id, &id).await?;
    let after = page.cursor_id(ProductId::parse)?;
    let query = filter?.0.q;
    if query.as_ref().is_some_and(|text| text.contains('\0') || text.len() > MAX_QUERY_BYTES) {
        return Err(Problem::invalid("q must be a short text"));
    }
    let products = app.showcase.products(&live, query.as_deref(), after.as_ref(), page.limit() + 1).await?;
    Ok(Json(Items::page(products, page.limit(), |product| product.id.to_string())))
}

/// A product that is shown, with its offers and what is left.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Pin)]
struct PinView {
    id: PinId,
    product: PinnedProduct,
    offers: Vec<PinnedOffer>,
    pinned_at_ms: Millis,
    version: i64,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct PinnedProduct {
    id: ProductId,
    brand_id: BrandId,
    brand_name: String,
    title: String,
    description: String,
    image_path: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct PinnedOffer {
    id: OfferId,
    sku_id: SkuId,
    variant: String,
    price_minor: i64,
    regular_price_minor: i64,
    currency: Currency,
    tax_rate_bp: i32,
    limit_per_customer: Option<i32>,
    /// First moment it can be bought.
    starts_at_ms: Millis,
    ends_at_ms: Option<Millis>,
    /// Units of the shared stock that it may sell; all of them when absent.
    quota: Option<i64>,
    /// Of the quota, what is left.
    left: Option<i64>,
    version: i64,
    available: i64,
    stock_version: i64,
}

impl From<Card> for PinView {
    fn from(card: Card) -> Self {
        let Card { pin, product, offers, stock } = card;
        let offer = |offer: crate::commerce::Offer| {
            let level = stock.get(&offer.sku_id);
            PinnedOffer {
                available: level.map_or(0, |level| level.available),
                stock_version: level.map_or(0, |level| level.version),
                id: offer.id,
                sku_id: offer.sku_id,
                variant: offer.variant,
                price_minor: offer.price_minor,
                regular_price_minor: offer.regular_price_minor,
                currency: offer.currency,
                tax_rate_bp: offer.tax_rate_bp,
                limit_per_customer: offer.limit_per_customer,
                starts_at_ms: offer.starts_at_ms,
                ends_at_ms: offer.ends_at_ms,
                quota: offer.quota,
                left: offer.left,
                version: offer.version,
            }
        };
        Self {
            id: pin.id,
            offers: offers.into_iter().map(offer).collect(),
            product: PinnedProduct {
                id: product.id,
                brand_id: product.brand_id,
                brand_name: product.brand_name,
                title: product.title,
                description: product.description,
                image_path: product.image_path,
            },
            pinned_at_ms: pin.pinned_at_ms,
            version: pin.version,
        }
    }
}

/// What is shown now, oldest pin first.
#[utoipa::path(get, path = "/v1/lives/{live}/pins", tag = "lives", params(("live" = String, Path)),
    responses((status = 200, body = Items<PinView>), (status = 404, body = Problem)))]
async fn pins(State(app): State<App>, PathId(id): PathId<LiveId>) -> Result<Json<Items<PinView>>, Problem> {
    app.lives.load(&id).await?;
    let cards = app.showcase.pins(&id).await?;
    Ok(Json(Items::all(cards.into_iter().map(PinView::from).collect())))
}

/// What to show, and on which terms.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPin {
    product_id: ProductId,
    /// For every SKU, tax included; the shop's price when absent.
    live_price_minor: Option<i64>,
    /// Over the live and product.
    limit_per_customer: Option<i32>,
    /// A flash offer: it ends so many seconds from now.
    ends_in_s: Option<i64>,
    /// A countdown: nothing can be bought before so many seconds from now.
    starts_in_s: Option<i64>,
    /// Units of the shared stock that each SKU may sell in this live, in all; 1 to 1,000,000.
    quota: Option<i64>,
}

/// Show a product; 200 when it is shown already and its offers are replaced.
#[utoipa::path(post, path = "/v1/lives/{live}/pins", tag = "lives", params(("live" = String, Path)), request_body = NewPin,
    responses((status = 201, body = PinView), (status = 200, body = PinView), (status = "4XX", body = Problem)))]
async fn pin(
    liver: Liver,
    State(app): State<App>,
    PathId(id): PathId<LiveId>,
    Body(new): Body<NewPin>,
) -> Result<(StatusCode, Json<PinView>), Problem> {
    let terms = PinTerms {
        live_price_minor: new.live_price_minor,
        limit_per_customer: new.limit_per_customer,
        ends_in_s: new.ends_in_s,
        starts_in_s: new.starts_in_s,
        quota: new.quota,
    };
    let (card, pinned) = app.showcase.pin(&liver.liver_id, &id, &new.product_id, &terms).await?;
    let status = match pinned {
        Pinned::Fresh => StatusCode::CREATED,
        Pinned::Again => StatusCode::OK,
    };
    Ok((status, Json(card.into())))
}

/// Show it no longer.
#[utoipa::path(delete, path = "/v1/lives/{live}/pins/{pin}", tag = "lives", params(("live" = String, Path), ("pin" = String, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
async fn unpin(
    liver: Liver,
    State(app): State<App>,
    ids: Result<Path<(LiveId, PinId)>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path((live, pin)) = ids?;
    app.showcase.unpin(&liver.liver_id, &live, &pin).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Something typed.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Typed {
    /// 1 to 200 characters.
    text: String,
}

/// A message of the chat.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ChatMessage {
    #[schema(value_type = ChatId)]
    id: String,
    author_name: String,
    /// viewer, liver or moderator.
    author_role: String,
    text: String,
    at_ms: i64,
    demo: bool,
}

impl From<wire::ChatMessage> for ChatMessage {
    fn from(message: wire::ChatMessage) -> Self {
        Self {
            id: message.id,
            author_name: message.author_name,
            author_role: message.author_role,
            text: message.text,
            at_ms: message.at_ms,
            demo: message.demo,
        }
    }
}

/// Say something: five lines in ten seconds.
#[utoipa::path(post, path = "/v1/lives/{live}/chat", tag = "lives", params(("live" = String, Path)), request_body = Typed,
    responses((status = 201, body = ChatMessage), (status = "4XX", body = Problem)))]
async fn say(
    customer: Customer,
    State(app): State<App>,
    PathId(id): PathId<LiveId>,
    CallerAddress(address): CallerAddress,
    Body(typed): Body<Typed>,
) -> Result<Created<ChatMessage>, Problem> {
    let author = customer.into();
    app.lives.may_enter(&id, Some(&author), address).await?;
    let message = app.lives.chat(&id, &author, &typed.text).await?;
    Ok(Created(message.into()))
}

/// The newest 100 lines, oldest first.
#[utoipa::path(get, path = "/v1/lives/{live}/chat", tag = "lives", params(("live" = String, Path)),
    responses((status = 200, body = Items<ChatMessage>), (status = 404, body = Problem)))]
async fn chat(State(app): State<App>, PathId(id): PathId<LiveId>) -> Result<Json<Items<ChatMessage>>, Problem> {
    let messages = app.lives.newest_chat(&id).await?;
    Ok(Json(Items::all(messages.into_iter().map(ChatMessage::from).collect())))
}

/// What a live has sold, and to how many it was shown.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Sales {
    orders: i64,
    units: i64,
    /// Tax included, less what was given back.
    gross_minor: i64,
    /// What was given back or called off.
    refunded_minor: i64,
    currency: Currency,
    viewers: u32,
    peak_viewers: i64,
    products: Vec<SoldProduct>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct SoldProduct {
    product_id: ProductId,
    title: String,
    units: i64,
    gross_minor: i64,
}

impl From<ProductFigures> for SoldProduct {
    fn from(sold: ProductFigures) -> Self {
        Self { product_id: sold.product_id, title: sold.title, units: sold.units, gross_minor: sold.gross_minor }
    }
}

/// Your live's sales.
#[utoipa::path(get, path = "/v1/lives/{live}/sales", tag = "lives", params(("live" = String, Path)),
    responses((status = 200, body = Sales), (status = "4XX", body = Problem)))]
async fn sales(liver: Liver, State(app): State<App>, PathId(id): PathId<LiveId>) -> Result<Json<Sales>, Problem> {
    let live = app.lives.load_own(&liver.liver_id, &id).await?;
    let figures = app.lives.sales(&id).await?;
    let (viewers, peak) = app.lives.audience(&id);
    Ok(Json(Sales {
        orders: figures.orders,
        units: figures.units,
        gross_minor: figures.gross_minor,
        refunded_minor: figures.refunded_minor,
        currency: Currency::Jpy,
        viewers,
        peak_viewers: live.peak_viewers.max(peak.into()),
        products: figures.products.into_iter().map(SoldProduct::from).collect(),
    }))
}
