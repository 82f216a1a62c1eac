//! Edge: what sellers give back, and the documents of an order.

use axum::{Json, extract::State, http::HeaderMap};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Body, Created, Items, Page, PathId,
    auth::{BrandMember, Operator, Signed},
    problem::{Kind, Problem},
};
use crate::{
    app::App,
    commerce::{BrandOrder, Giver, OrderInvoice, Refund, ReturnRequest},
    ids::{BrandId, OrderId, RefundId},
    people::Person,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(give_back, list))
        .routes(routes!(load))
        .routes(routes!(retry))
        .routes(routes!(orders))
        .routes(routes!(invoice))
}

/// What a person sees of an order: everything as its buyer or an operator, else what their brands sold of it.
enum Sight {
    All,
    Brands(std::collections::BTreeSet<BrandId>),
}

fn brands(person: &Person) -> std::collections::BTreeSet<BrandId> {
    person.brands.iter().map(|(id, _)| id.clone()).collect()
}

/// What this person may see of the order.
async fn sight(app: &App, person: &Person, order: &OrderId) -> Result<Sight, Problem> {
    let found = app.refunds.order(order).await?;
    if person.operator || found.is_of(&person.customer_id) {
        return Ok(Sight::All);
    }
    let mine = brands(person);
    if found.lines.iter().any(|line| mine.contains(&line.brand_id)) {
        Ok(Sight::Brands(mine))
    } else {
        Err(Problem::not_found("order"))
    }
}

/// Leaves of a refund what this person may see; nothing when that is nothing.
async fn seen(app: &App, sight: &Sight, mut refund: Refund) -> Result<Option<Refund>, Problem> {
    let Sight::Brands(mine) = sight else { return Ok(Some(refund)) };
    let order = app.refunds.order(&refund.order_id).await?;
    let own: Vec<_> = order.lines.iter().filter(|line| mine.contains(&line.brand_id)).map(|line| &line.id).collect();
    let whole = refund.lines.len();
    refund.lines.retain(|line| own.contains(&&line.order_line_id));
    if refund.lines.len() < whole {
        refund.amount_minor = refund.lines.iter().map(|line| line.amount_minor).sum();
        // Of all sellers together; each seller's own stands on its documents.
        refund.tax.clear();
    }
    Ok((!refund.lines.is_empty()).then_some(refund))
}

/// Give back a part of an order, or everything that is left of it: by a member of the brands of all these lines, or an
/// operator. The Idempotency-Key is the return's name: within its order it counts once. Before the order's money is taken,
/// nothing is paid back and less will be taken (`void`).
#[utoipa::path(post, path = "/v1/orders/{order}/refunds", tag = "money", params(("order" = String, Path),
    ("Idempotency-Key" = String, Header, description = "The return's name; 1 to 255 characters")), request_body = ReturnRequest,
    responses((status = 201, body = Refund), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn give_back(
    member: BrandMember,
    State(app): State<App>,
    PathId(order): PathId<OrderId>,
    headers: HeaderMap,
    Body(request): Body<ReturnRequest>,
) -> Result<Created<Refund>, Problem> {
    let key = headers.get("idempotency-key").ok_or_else(|| {
        Problem::new(Kind::IdempotencyKeyMissing, "send the return's name, so that a repeated return counts once")
    })?;
    let key = key.to_str().map_err(|_| Problem::invalid("Idempotency-Key must be visible ASCII"))?;
    let person = member.person();
    let by = Giver { account: person.account.id.clone(), brands: (!person.operator).then(|| brands(person)) };
    Ok(Created(app.refunds.give_back(&by, &order, key, &request).await?))
}

/// What was given back of an order, oldest first: for its buyer, its sellers (their own lines) and operators.
#[utoipa::path(get, path = "/v1/orders/{order}/refunds", tag = "money", params(("order" = String, Path)),
    responses((status = 200, body = Items<Refund>), (status = 404, body = Problem)))]
async fn list(
    Signed(person): Signed,
    State(app): State<App>,
    PathId(order): PathId<OrderId>,
) -> Result<Json<Items<Refund>>, Problem> {
    let sight = sight(&app, &person, &order).await?;
    let mut items = Vec::new();
    for refund in app.refunds.of_order(&order).await? {
        items.extend(seen(&app, &sight, refund).await?);
    }
    Ok(Json(Items::all(items)))
}

/// A refund.
#[utoipa::path(get, path = "/v1/refunds/{refund}", tag = "money", params(("refund" = String, Path)),
    responses((status = 200, body = Refund), (status = 404, body = Problem)))]
async fn load(
    Signed(person): Signed,
    State(app): State<App>,
    PathId(id): PathId<RefundId>,
) -> Result<Json<Refund>, Problem> {
    let refund = app.refunds.load(&id).await?;
    let sight = sight(&app, &person, &refund.order_id).await.map_err(|_| Problem::not_found("refund"))?;
    seen(&app, &sight, refund).await?.map(Json).ok_or_else(|| Problem::not_found("refund"))
}

/// Try a refund again that did not arrive.
#[utoipa::path(post, path = "/v1/refunds/{refund}/retry", tag = "money", params(("refund" = String, Path)),
    responses((status = 200, body = Refund), (status = "4XX", body = Problem)))]
async fn retry(
    Operator(by): Operator,
    State(app): State<App>,
    PathId(id): PathId<RefundId>,
) -> Result<Json<Refund>, Problem> {
    Ok(Json(app.refunds.retry(&by.account.id, &id).await?))
}

/// A brand's orders, newest first; only its own lines.
#[utoipa::path(get, path = "/v1/brands/{brand}/orders", tag = "money", params(("brand" = String, Path), Page),
    responses((status = 200, body = Items<BrandOrder>), (status = "4XX", body = Problem)))]
async fn orders(
    member: BrandMember,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
    page: Page,
) -> Result<Json<Items<BrandOrder>>, Problem> {
    member.of(&brand)?;
    let before = page.cursor_id(OrderId::parse)?;
    let items = app.refunds.orders_of_brand(&brand, before.as_ref(), page.limit() + 1).await?;
    Ok(Json(Items::page(items, page.limit(), |order| order.id.to_string())))
}

/// The documents of an order, one for each seller, with the credit notes of what came back: for its buyer, its sellers
/// (each its own) and operators.
#[utoipa::path(get, path = "/v1/orders/{order}/invoice", tag = "money", params(("order" = String, Path)),
    responses((status = 200, body = OrderInvoice), (status = 404, body = Problem)))]
async fn invoice(
    Signed(person): Signed,
    State(app): State<App>,
    PathId(order): PathId<OrderId>,
) -> Result<Json<OrderInvoice>, Problem> {
    let sight = sight(&app, &person, &order).await?;
    let mut invoice = app.refunds.invoice(&order).await?;
    if let Sight::Brands(mine) = sight {
        invoice.documents.retain(|document| mine.contains(&document.brand_id));
    }
    Ok(Json(invoice))
}
