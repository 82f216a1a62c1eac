//! Edge: how one pays: what is taken here, saved cards, what a bank asks, and the provider's messages.
//!
//! No answer of these routes is kept: some bear a secret of one payment, for its buyer's page alone.

use axum::{
    Json,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode},
};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Body, Created, Items, PathId,
    auth::Customer,
    problem::{Kind, Problem},
};
use crate::{
    app::App,
    commerce::{
        Action, MAX_WEBHOOK_BYTES, Method, PurchaseView, SandboxOutcome, SavedCard, SetupView, TestMethod, WebhookFault,
    },
    ids::{CardId, PurchaseId},
};

/// Characters of a provider's name of something.
const MAX_NAME: usize = 255;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(options))
        .routes(routes!(cards))
        .routes(routes!(remove_card))
        .routes(routes!(begin_setup))
        .routes(routes!(setup))
        .routes(routes!(action))
        .routes(routes!(refresh))
        .routes(routes!(act_in_sandbox))
        .merge(OpenApiRouter::new().routes(routes!(webhook)).layer(DefaultBodyLimit::max(MAX_WEBHOOK_BYTES)))
}

/// How one can pay here.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct PaymentOptions {
    /// `sandbox` or `stripe`.
    provider: &'static str,
    /// No money moves: every page that shows a price must say so.
    sandbox: bool,
    /// The shop's public key at the provider.
    publishable_key: Option<String>,
    /// `card`, `paypay`, `konbini` (never for offers that end).
    methods: Vec<String>,
    /// What the sandbox takes.
    test_methods: Vec<TestMethodView>,
}

/// A test method of the sandbox.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct TestMethodView {
    /// Give it as `payment_method`.
    method: &'static str,
    /// The number that stands for it in a page; empty for what is no card. It is never sent.
    number: &'static str,
    label_ja: &'static str,
    label_en: &'static str,
    /// Whether it can be saved.
    saves: bool,
}

/// How one can pay here.
#[utoipa::path(get, path = "/v1/payment-options", tag = "payments", responses((status = 200, body = PaymentOptions)))]
async fn options(State(app): State<App>) -> Json<PaymentOptions> {
    let payment = app.checkout.payment();
    let sandbox = payment.is_sandbox();
    let tests = if sandbox { TestMethod::ALL } else { &[] };
    let view = |test: &TestMethod| TestMethodView {
        method: test.as_str(),
        number: test.number(),
        label_ja: test.label_ja(),
        label_en: test.label_en(),
        saves: test.is_card(),
    };
    Json(PaymentOptions {
        provider: payment.name(),
        sandbox,
        publishable_key: payment.publishable_key().map(str::to_owned),
        methods: payment.methods(),
        test_methods: tests.iter().map(view).collect(),
    })
}

/// Your saved cards, newest first.
#[utoipa::path(get, path = "/v1/payment-methods", tag = "payments", responses((status = 200, body = Items<SavedCard>)))]
async fn cards(customer: Customer, State(app): State<App>) -> Result<Json<Items<SavedCard>>, Problem> {
    Ok(Json(Items::all(app.checkout.wallet().cards(&customer.customer_id).await?)))
}

/// Remove a saved card. Purchases that are under way with it go on.
#[utoipa::path(delete, path = "/v1/payment-methods/{card}", tag = "payments", params(("card" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
async fn remove_card(
    customer: Customer,
    State(app): State<App>,
    PathId(card): PathId<CardId>,
) -> Result<StatusCode, Problem> {
    app.checkout.wallet().remove(&customer.customer_id, &card).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which card, in the sandbox.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct BeginSetup {
    /// A test card of the sandbox; nothing with a real provider, whose form in the page asks for the card.
    #[schema(value_type = Option<String>, example = "sandbox_card")]
    test_method: Option<Method>,
}

/// Begin to save a card, so that a purchase is two taps: the bank asks its questions now, not during the drop.
#[utoipa::path(post, path = "/v1/payment-methods/setup", tag = "payments", request_body = BeginSetup,
    responses((status = 201, body = SetupView), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn begin_setup(
    customer: Customer,
    State(app): State<App>,
    Body(begin): Body<BeginSetup>,
) -> Result<Created<SetupView>, Problem> {
    Ok(Created(app.checkout.wallet().begin(&customer.customer_id, begin.test_method.as_ref()).await?))
}

/// How the saving of a card stands; ask when the page comes back from its bank.
#[utoipa::path(get, path = "/v1/payment-methods/setup/{setup}", tag = "payments", params(("setup" = String, Path)),
    responses((status = 200, body = SetupView), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn setup(
    customer: Customer,
    State(app): State<App>,
    Path(setup): Path<String>,
) -> Result<Json<SetupView>, Problem> {
    if !is_name(&setup) {
        return Err(Problem::not_found("card setup"));
    }
    Ok(Json(app.checkout.wallet().setup(&customer.customer_id, &setup).await?))
}

/// What the bank asks of you for a purchase in `requires_action`.
#[utoipa::path(get, path = "/v1/purchases/{purchase}/action", tag = "payments", params(("purchase" = String, Path)),
    responses((status = 200, body = Action), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn action(
    customer: Customer,
    State(app): State<App>,
    PathId(id): PathId<PurchaseId>,
) -> Result<Json<Action>, Problem> {
    let action = app.checkout.action(&customer.customer_id, &id).await?;
    action.map(Json).ok_or_else(|| Problem::new(Kind::Conflict, "nothing is asked of you for this purchase"))
}

/// The purchase, after the provider was asked how its payment stands: for when you come back from your bank.
#[utoipa::path(post, path = "/v1/purchases/{purchase}/refresh", tag = "payments", params(("purchase" = String, Path)),
    responses((status = 200, body = PurchaseView), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn refresh(
    customer: Customer,
    State(app): State<App>,
    PathId(id): PathId<PurchaseId>,
) -> Result<Json<PurchaseView>, Problem> {
    let purchase = app.checkout.refresh(&customer.customer_id, &id).await?;
    Ok(Json(app.checkout.view(purchase)))
}

/// What one does on the sandbox's page, where a bank or a shop would be.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct SandboxAct {
    /// Of the page's address.
    intent: String,
    outcome: SandboxOutcome,
}

/// Do what a bank (or a convenience store's till) asks, in the sandbox.
#[utoipa::path(post, path = "/v1/sandbox/actions", tag = "payments", request_body = SandboxAct,
    responses((status = 204), (status = "4XX", body = Problem)))]
async fn act_in_sandbox(
    _: Customer,
    State(app): State<App>,
    Body(act): Body<SandboxAct>,
) -> Result<StatusCode, Problem> {
    if !is_name(&act.intent) {
        return Err(Problem::not_found("payment"));
    }
    if app.checkout.act_in_sandbox(&act.intent, act.outcome).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::new(Kind::Conflict, "nothing is asked for this payment any more"))
    }
}

/// Messages of the payment provider. Answered with success only once they are kept.
#[utoipa::path(post, path = "/v1/webhooks/{provider}", tag = "payments", params(("provider" = String, Path),
        ("Stripe-Signature" = String, Header, description = "`t=…,v1=…`, over the bytes of the body")),
    request_body(content = String, content_type = "application/json"),
    responses((status = 200), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn webhook(
    State(app): State<App>,
    Path(provider): Path<String>,
    headers: HeaderMap,
    raw: Bytes,
) -> Result<StatusCode, Problem> {
    let webhooks = app.checkout.webhooks();
    if provider != webhooks.provider() {
        return Err(Problem::not_found("payment provider"));
    }
    let signature = headers.get("stripe-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
    webhooks.take(&raw, signature).await?;
    Ok(StatusCode::OK)
}

impl From<WebhookFault> for Problem {
    fn from(fault: WebhookFault) -> Self {
        match fault {
            WebhookFault::Signature(fault) => Self::new(Kind::SignatureInvalid, fault.to_string()),
            WebhookFault::Store(error) => error.into(),
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(|byte| byte.is_ascii_graphic())
}
