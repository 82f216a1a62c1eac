//! Edge: who is calling. The extractor in a handler's signature is the permission.
//!
//! A call carries a session cookie or `Authorization: Bearer hk_…`. Writes by cookie must come from our own pages:
//! their `Origin` has to be this host (or `public_url`), besides the cookie's `SameSite=Lax`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::{
    extract::{ConnectInfo, FromRef, FromRequestParts, OptionalFromRequestParts},
    http::{HeaderMap, HeaderValue, Method, header, request::Parts},
};

use super::problem::{Kind, Problem};
use crate::{
    app::App,
    ids::{AccountId, BrandId, CustomerId, LiverId, LocationId},
    people::{Person, SESSION_TTL},
};

/// The session's cookie.
pub(super) const COOKIE: &str = "hanamichi_session";

/// Anybody signed in.
#[derive(Debug, Clone)]
pub struct Signed(pub Person);

/// Anybody, signed in or not.
#[derive(Debug, Clone)]
pub struct Guest(pub Option<Person>);

/// Who buys, asks and chats.
#[derive(Debug, Clone)]
pub struct Customer {
    /// The sign-in.
    pub account_id: AccountId,
    /// The person.
    pub customer_id: CustomerId,
    /// What others see.
    pub display_name: String,
    /// Also a liver?
    pub liver_id: Option<LiverId>,
    /// Made by `hanamichi demo`.
    pub demo: bool,
}

/// Who hosts lives.
#[derive(Debug, Clone)]
pub struct Liver {
    /// The liver.
    pub liver_id: LiverId,
    /// Made by `hanamichi demo`.
    pub demo: bool,
}

/// Who reads and runs at least one brand. Ask [`BrandMember::of`] for the brand at hand.
#[derive(Debug, Clone)]
pub struct BrandMember(Person);

/// Who runs the house.
#[derive(Debug, Clone)]
pub struct Operator(pub Person);

/// Whose word on physical stock counts: staff of a location, members of a brand, operators. Ask [`Clerk::may_move`] for
/// the goods at hand.
#[derive(Debug, Clone)]
pub struct Clerk(Person);

/// Who works in a store. Ask [`Staff::of`] for the store at hand.
#[derive(Debug, Clone)]
pub struct Staff(Person);

impl Staff {
    /// The proof that this person works at `location`, or runs the house.
    ///
    /// # Errors
    /// 403 when they do not: that a store is there is no secret.
    pub fn of(&self, location: &LocationId) -> Result<&Person, Problem> {
        if self.0.operator || self.0.locations.contains(location) {
            Ok(&self.0)
        } else {
            Err(Problem::new(Kind::Forbidden, "only staff of this store may do this"))
        }
    }
}

impl Clerk {
    /// Whether this person may say what happened to goods of `brand` at `location`: staff for everything in their
    /// store, members for their brand everywhere.
    #[must_use]
    pub fn may_move(&self, brand: &BrandId, location: &LocationId) -> bool {
        self.0.operator || self.0.locations.contains(location) || self.0.brands.iter().any(|(id, _)| id == brand)
    }

    /// The person.
    #[must_use]
    pub fn person(&self) -> &Person {
        &self.0
    }
}

impl BrandMember {
    /// The proof that this person may see and run `brand`.
    ///
    /// # Errors
    /// 404 when it is another's: a brand's existence is not told to strangers.
    pub fn of(&self, brand: &BrandId) -> Result<(), Problem> {
        if self.0.operator || self.0.brands.iter().any(|(id, _)| id == brand) {
            Ok(())
        } else {
            Err(Problem::not_found("brand"))
        }
    }

    /// The person.
    #[must_use]
    pub fn person(&self) -> &Person {
        &self.0
    }
}

/// Where a caller comes from; the unspecified address when the server does not know.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallerAddress(pub(super) IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for CallerAddress
where
    App: FromRef<S>,
{
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let app = App::from_ref(state);
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
        let peer = peer.map(|peer| through_proxies(peer, &parts.headers, &app.config.trusted_proxies));
        Ok(Self(peer.unwrap_or(Ipv4Addr::UNSPECIFIED.into())))
    }
}

/// Whom a trusted proxy speaks for: the last address in `X-Forwarded-For` that is none of the proxies. What comes from
/// elsewhere may say what it likes.
pub(super) fn through_proxies(peer: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    if !trusted.contains(&peer) {
        return peer;
    }
    let hops: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(','))
        .collect();
    let hops = hops.iter().rev().map_while(|hop| hop.trim().parse::<IpAddr>().ok());
    let mut last = peer;
    for hop in hops {
        last = hop;
        if !trusted.contains(&hop) {
            break;
        }
    }
    last
}

/// The token of a call: API key first, then cookie.
fn token(headers: &HeaderMap) -> Option<(String, Carrier)> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let key = value.to_str().ok()?.strip_prefix("Bearer ")?.trim();
        // Stream keys are for WHIP alone, which reads them itself.
        return key.starts_with("hk_").then(|| (key.to_owned(), Carrier::Key));
    }
    cookie(headers).map(|token| (token, Carrier::Cookie))
}

/// The digest of the session or API key of a call.
pub(super) fn sign_in_digest(headers: &HeaderMap) -> Option<String> {
    token(headers).map(|(token, _)| crate::people::digest(&token))
}

/// The session cookie's value.
pub(super) fn cookie(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('=').map(str::to_owned))
}

enum Carrier {
    Key,
    Cookie,
}

/// Whether a page of ours sent this write. Clients other than browsers send no Origin, and no cookie by accident.
fn from_our_pages(parts: &Parts, public_url: &str) -> bool {
    if matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS)
        && !parts.headers.contains_key(header::UPGRADE)
    {
        return true;
    }
    let Some(origin) = parts.headers.get(header::ORIGIN).and_then(|value| value.to_str().ok()) else { return true };
    if !public_url.is_empty() && origin.eq_ignore_ascii_case(public_url.trim_end_matches('/')) {
        return true;
    }
    let host = host(parts);
    let origin_host = origin.split_once("://").map_or("", |(_, host)| host);
    !host.is_empty() && origin_host.eq_ignore_ascii_case(&host)
}

/// The authority that was asked: HTTP/2 has it in the address, HTTP/1.1 in a header.
fn host(parts: &Parts) -> String {
    let header = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok());
    parts.uri.authority().map(ToString::to_string).or_else(|| header.map(str::to_owned)).unwrap_or_default()
}

async fn find_person(parts: &Parts, app: &App) -> Result<Option<Person>, Problem> {
    let Some((token, carrier)) = token(&parts.headers) else { return Ok(None) };
    if matches!(carrier, Carrier::Cookie) && !from_our_pages(parts, &app.config.public_url) {
        return Err(Problem::new(Kind::Forbidden, "this request comes from a page of another site"));
    }
    Ok(app.people.find_by_token(&token).await?)
}

async fn load_person(parts: &Parts, app: &App) -> Result<Person, Problem> {
    let found = find_person(parts, app).await?;
    found.ok_or_else(|| Problem::new(Kind::NotSignedIn, "send the session cookie or an API key"))
}

/// Sets or clears the session cookie.
pub(super) fn set_cookie(token: Option<&str>, secure: bool) -> HeaderValue {
    let (value, age) = token.map_or(("", 0), |token| (token, SESSION_TTL.as_secs()));
    let secure = if secure { "; Secure" } else { "" };
    HeaderValue::from_str(&format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age}{secure}"))
        .expect("tokens are base32 text")
}

macro_rules! extractor {
    ($name:ident, |$person:ident| $body:expr) => {
        impl<S> FromRequestParts<S> for $name
        where
            S: Send + Sync,
            App: FromRef<S>,
        {
            type Rejection = Problem;
            async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
                let $person = load_person(parts, &App::from_ref(state)).await?;
                $body
            }
        }
    };
}

extractor!(Signed, |person| Ok(Self(person)));
extractor!(Customer, |person| Ok(Self {
    account_id: person.account.id,
    customer_id: person.customer_id,
    display_name: person.account.display_name,
    liver_id: person.liver_id,
    demo: person.account.demo,
}));
extractor!(Liver, |person| match person.liver_id {
    Some(liver_id) => Ok(Self { liver_id, demo: person.account.demo }),
    None => Err(Problem::new(Kind::Forbidden, "only a liver may do this")),
});
extractor!(BrandMember, |person| if person.operator || !person.brands.is_empty() {
    Ok(Self(person))
} else {
    Err(Problem::new(Kind::Forbidden, "only a member of a brand may do this"))
});
extractor!(Clerk, |person| if person.operator || !person.brands.is_empty() || !person.locations.is_empty() {
    Ok(Self(person))
} else {
    Err(Problem::new(Kind::Forbidden, "only staff of a location or a member of a brand may do this"))
});
extractor!(Staff, |person| if person.operator || !person.locations.is_empty() {
    Ok(Self(person))
} else {
    Err(Problem::new(Kind::Forbidden, "only staff of a store may do this"))
});
extractor!(Operator, |person| if person.operator {
    Ok(Self(person))
} else {
    Err(Problem::new(Kind::Forbidden, "only an operator may do this"))
});

impl<S> FromRequestParts<S> for Guest
where
    S: Send + Sync,
    App: FromRef<S>,
{
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Ok(Self(find_person(parts, &App::from_ref(state)).await?))
    }
}

impl<S> OptionalFromRequestParts<S> for Liver
where
    S: Send + Sync,
    App: FromRef<S>,
{
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Problem> {
        let found = find_person(parts, &App::from_ref(state)).await?;
        Ok(found.and_then(|person| Some(Self { liver_id: person.liver_id?, demo: person.account.demo })))
    }
}

impl<S> OptionalFromRequestParts<S> for Signed
where
    S: Send + Sync,
    App: FromRef<S>,
{
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Problem> {
        Ok(find_person(parts, &App::from_ref(state)).await?.map(Self))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{Request, Version};

    use super::*;

    fn write(uri: &str, version: Version, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(Method::POST).uri(uri).version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn a_trusted_proxy_says_whom_it_speaks_for_and_nobody_else_may() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let trusted = [address("10.0.0.1"), address("10.0.0.2")];
        let through = |peer: &str, forwarded: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", HeaderValue::from_str(forwarded).expect("text"));
            through_proxies(address(peer), &headers, &trusted)
        };
        assert_eq!(through("10.0.0.1", "198.51.100.7"), address("198.51.100.7"));
        assert_eq!(
            through("10.0.0.1", "1.1.1.1, 198.51.100.7, 10.0.0.2"),
            address("198.51.100.7"),
            "what is before is a claim"
        );
        assert_eq!(through("203.0.113.9", "198.51.100.7"), address("203.0.113.9"));
        assert_eq!(through("10.0.0.1", "rubbish"), address("10.0.0.1"));
        assert_eq!(through_proxies(address("10.0.0.1"), &HeaderMap::new(), &trusted), address("10.0.0.1"));
    }

    #[test]
    fn our_pages_are_known_over_both_versions_of_http() {
        let ours = ("origin", "https://live.example:8443");
        let one = write("/v1/x", Version::HTTP_11, &[("host", "live.example:8443"), ours]);
        assert!(from_our_pages(&one, ""));
        let two = write("https://live.example:8443/v1/x", Version::HTTP_2, &[ours]);
        assert!(from_our_pages(&two, ""));
        let proxied = write("/v1/x", Version::HTTP_11, &[("host", "127.0.0.1:8080"), ours]);
        assert!(from_our_pages(&proxied, "https://live.example:8443/") && !from_our_pages(&proxied, ""));
        let foreign = write("https://live.example:8443/v1/x", Version::HTTP_2, &[("origin", "https://evil.example")]);
        assert!(!from_our_pages(&foreign, ""));
    }
}
