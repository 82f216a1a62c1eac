//! Edge: accounts, sign-in, API keys, and what an operator sets up.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode, header},
};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Body, Created, Items, PathId,
    auth::{Operator, Signed, cookie, set_cookie},
    problem::Problem,
};
use crate::{
    app::App,
    ids::{AccountId, ApiKeyId, BrandId, CustomerId, LiverId, LocationId},
    people::{ApiKey, Brand, NewBrand, NewPerson, Person},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(sign_up))
        .routes(routes!(sign_in))
        .routes(routes!(sign_out))
        .routes(routes!(me))
        .routes(routes!(add_api_key, list_api_keys))
        .routes(routes!(revoke_api_key))
}

/// What an operator sets up; answers are kept under their Idempotency-Key.
pub(super) fn operator_router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(add_brand))
        .routes(routes!(add_brand_member))
        .routes(routes!(add_liver))
        .routes(routes!(add_staff))
}

/// Who is signed in.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Me {
    account_id: AccountId,
    email: String,
    display_name: String,
    customer_id: CustomerId,
    liver_id: Option<LiverId>,
    brands: Vec<MyBrand>,
    staff_location_ids: Vec<LocationId>,
    operator: bool,
    demo: bool,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct MyBrand {
    id: BrandId,
    name: String,
}

impl From<Person> for Me {
    fn from(person: Person) -> Self {
        Self {
            account_id: person.account.id,
            email: person.account.email,
            display_name: person.account.display_name,
            customer_id: person.customer_id,
            liver_id: person.liver_id,
            brands: person.brands.into_iter().map(|(id, name)| MyBrand { id, name }).collect(),
            staff_location_ids: person.locations,
            operator: person.operator,
            demo: person.account.demo,
        }
    }
}

/// A new account.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignUp {
    email: String,
    /// At least 8 characters.
    #[schema(min_length = 8)]
    password: String,
    /// What others see, 1 to 60 characters.
    display_name: String,
}

impl SignUp {
    fn person(self) -> NewPerson {
        NewPerson { email: self.email, password: self.password, display_name: self.display_name, demo: false }
    }
}

/// An account's credentials.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    email: String,
    password: String,
}

pub(super) type WithCookie<T> = (StatusCode, [(HeaderName, header::HeaderValue); 1], Json<T>);

pub(super) async fn signed_in(app: &App, person: Person, status: StatusCode) -> Result<WithCookie<Me>, Problem> {
    let token = app.people.open_session(&person.account.id).await?;
    let cookie = set_cookie(Some(&token), app.secure_cookies());
    Ok((status, [(header::SET_COOKIE, cookie)], Json(person.into())))
}

/// Make an account and sign in.
#[utoipa::path(post, path = "/v1/sign-up", tag = "people", request_body = SignUp,
    responses((status = 201, body = Me), (status = "4XX", body = Problem)))]
async fn sign_up(State(app): State<App>, Body(new): Body<SignUp>) -> Result<WithCookie<Me>, Problem> {
    let person = app.people.sign_up(new.person()).await?;
    signed_in(&app, person, StatusCode::CREATED).await
}

/// Sign in; sets the session cookie.
#[utoipa::path(post, path = "/v1/sign-in", tag = "people", request_body = SignIn,
    responses((status = 200, body = Me), (status = "4XX", body = Problem)))]
async fn sign_in(State(app): State<App>, Body(given): Body<SignIn>) -> Result<WithCookie<Me>, Problem> {
    app.rates.check_sign_in(&given.email)?;
    let (person, token) = app.people.sign_in(&given.email, given.password).await?;
    let cookie = set_cookie(Some(&token), app.secure_cookies());
    Ok((StatusCode::OK, [(header::SET_COOKIE, cookie)], Json(person.into())))
}

/// End the session.
#[utoipa::path(post, path = "/v1/sign-out", tag = "people", responses((status = 204)))]
async fn sign_out(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<(StatusCode, [(HeaderName, header::HeaderValue); 1]), Problem> {
    if let Some(token) = cookie(&headers) {
        app.people.close_session(&token).await?;
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, set_cookie(None, app.secure_cookies()))]))
}

/// Who is signed in.
#[utoipa::path(get, path = "/v1/me", tag = "people", responses((status = 200, body = Me), (status = 401, body = Problem)))]
async fn me(Signed(person): Signed) -> Json<Me> {
    Json(person.into())
}

/// A new API key.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewApiKey {
    /// What you call it.
    label: String,
}

/// A new API key with its text, which is shown this once.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ShownApiKey {
    id: ApiKeyId,
    label: String,
    /// `hk_…`; send it as `Authorization: Bearer`.
    key: String,
}

/// Make an API key; it may do what its account may do. Shown once and stored nowhere, so an Idempotency-Key has no effect
/// here.
#[utoipa::path(post, path = "/v1/api-keys", tag = "people", request_body = NewApiKey,
    responses((status = 201, body = ShownApiKey), (status = "4XX", body = Problem)))]
async fn add_api_key(
    Signed(person): Signed,
    State(app): State<App>,
    Body(new): Body<NewApiKey>,
) -> Result<Created<ShownApiKey>, Problem> {
    let (key, text) = app.people.add_api_key(&person.account.id, &new.label).await?;
    app.people.note(&person.account.id, "api_key.add", key.id.as_str(), "").await?;
    Ok(Created(ShownApiKey { id: key.id, label: key.label, key: text }))
}

/// List your API keys.
#[utoipa::path(get, path = "/v1/api-keys", tag = "people", responses((status = 200, body = Items<ApiKey>)))]
async fn list_api_keys(Signed(person): Signed, State(app): State<App>) -> Result<Json<Items<ApiKey>>, Problem> {
    Ok(Json(Items::all(app.people.api_keys(&person.account.id).await?)))
}

/// Revoke an API key.
#[utoipa::path(delete, path = "/v1/api-keys/{key}", tag = "people", params(("key" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
async fn revoke_api_key(
    Signed(person): Signed,
    State(app): State<App>,
    PathId(key): PathId<ApiKeyId>,
) -> Result<StatusCode, Problem> {
    app.people.revoke_api_key(&person.account.id, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make a brand.
#[utoipa::path(post, path = "/v1/brands", tag = "operator", request_body = NewBrand,
    responses((status = 201, body = Brand), (status = "4XX", body = Problem)))]
async fn add_brand(
    Operator(by): Operator,
    State(app): State<App>,
    Body(new): Body<NewBrand>,
) -> Result<Created<Brand>, Problem> {
    let brand = app.people.add_brand(new).await?;
    let terms = format!("commission_bp={}", brand.commission_bp);
    app.people.note(&by.account.id, "brand.add", brand.id.as_str(), &terms).await?;
    Ok(Created(brand))
}

/// An account that was made.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct MadeAccount {
    account_id: AccountId,
}

/// Make an account that reads and runs a brand.
#[utoipa::path(post, path = "/v1/brands/{brand}/members", tag = "operator", params(("brand" = String, Path)), request_body = SignUp,
    responses((status = 201, body = MadeAccount), (status = "4XX", body = Problem)))]
async fn add_brand_member(
    Operator(by): Operator,
    State(app): State<App>,
    PathId(brand): PathId<BrandId>,
    Body(new): Body<SignUp>,
) -> Result<Created<MadeAccount>, Problem> {
    if !app.people.brand_exists(&brand).await? {
        return Err(Problem::not_found("brand"));
    }
    let person = app.people.sign_up(new.person()).await?;
    app.people.add_brand_member(&brand, &person.account.id).await?;
    app.people.note(&by.account.id, "brand.add_member", brand.as_str(), person.account.id.as_str()).await?;
    Ok(Created(MadeAccount { account_id: person.account.id }))
}

/// Make an account that works at a location: what it says of the goods there counts (tills, counts).
#[utoipa::path(post, path = "/v1/locations/{location}/staff", tag = "operator", params(("location" = String, Path)), request_body = SignUp,
    responses((status = 201, body = MadeAccount), (status = "4XX", body = Problem)))]
async fn add_staff(
    Operator(by): Operator,
    State(app): State<App>,
    PathId(location): PathId<LocationId>,
    Body(new): Body<SignUp>,
) -> Result<Created<MadeAccount>, Problem> {
    app.omo.location(&location).await?;
    let person = app.people.sign_up(new.person()).await?;
    app.people.add_staff(&location, &person.account.id).await?;
    app.people.note(&by.account.id, "location.add_staff", location.as_str(), person.account.id.as_str()).await?;
    Ok(Created(MadeAccount { account_id: person.account.id }))
}

/// A liver that was made.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct MadeLiver {
    liver_id: LiverId,
    account_id: AccountId,
    display_name: String,
}

/// Make a liver's account.
#[utoipa::path(post, path = "/v1/livers", tag = "operator", request_body = SignUp,
    responses((status = 201, body = MadeLiver), (status = "4XX", body = Problem)))]
async fn add_liver(
    Operator(by): Operator,
    State(app): State<App>,
    Body(new): Body<SignUp>,
) -> Result<Created<MadeLiver>, Problem> {
    let person = app.people.sign_up(new.person()).await?;
    let display_name = person.account.display_name.clone();
    let liver_id = app.people.add_liver(&person.account.id, &display_name).await?;
    app.people.note(&by.account.id, "liver.add", liver_id.as_str(), person.account.id.as_str()).await?;
    Ok(Created(MadeLiver { liver_id, account_id: person.account.id, display_name }))
}
