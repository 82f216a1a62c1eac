//! Edge: the hub's WebSocket: negotiation, and what clients ask.
//!
//! Close codes, and what a client does next:
//! - 1000 the client left; nothing
//! - 1001 the server stops; a Goodbye came before it and says when to return, with Resume
//! - 1002, 1003, 1007 not RFC 6455, a text frame on protobuf or a binary one on JSON, text that is no UTF-8; do not return
//!   before that is mended
//! - 1008 hundreds of messages a second; return with Resume, and more slowly
//! - 1009 a message over 4 KiB; return with Resume, but not with that message
//! - 4401 the pass ran out and the sign-in is over; return as a guest or signed in anew
//! - 4403 banned from this liver's lives; do not return
//! - 4408 no sign of life for 60 s; return with Resume. Who accepts no byte for 30 s is cut without a word
//!
//! Nobody is closed for being slow: see `live::reader`. Before the upgrade errors are problem+json: 400 for what is no
//! WebSocket or an unknown subprotocol, 404 for an unknown live, 426 for another version of WebSocket, 503 when the room
//! cannot be opened, the hub is full or its threads have died.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{FromRef, FromRequestParts, State},
    http::{HeaderMap, header, request::Parts},
    response::Response,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    PathId,
    auth::{self, CallerAddress, Guest},
    live::visitor,
    problem::{Kind, Problem},
    upgrade::Upgrade,
};
use crate::{
    app::App,
    clock::Millis,
    commerce::{Checkout, Method, PlaceRequest},
    ids::{LiveId, OfferId, ProductId, QuestionId},
    live::{Asked, Codec, Handler, Lives, Member, Visitor},
    people::{Bearer, Passes},
    wire::{self, client_frame::Body as Ask, reply},
};

/// Before a pass among the subprotocols.
const PASS_PREFIX: &str = "pass.";

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(hub))
}

/// The live's WebSocket: state, chat, questions, pins, stock, own purchases. See proto/hanamichi/v1/hub.proto.
#[utoipa::path(get, path = "/v1/lives/{live}/hub", tag = "lives", params(("live" = String, Path)),
    responses((status = 101, description = "Subprotocol hanamichi.v1.json (default) or hanamichi.v1.proto"),
        (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn hub(
    caller: HubCaller,
    State(app): State<App>,
    PathId(live): PathId<LiveId>,
    upgrade: Result<Upgrade, Problem>,
) -> Result<Response, Problem> {
    let desk =
        Desk { lives: app.lives.clone(), checkout: Some(app.checkout.clone()), passes: Some(app.passes.clone()) };
    let handler = app.hub_handler.get_or_init(|| desk.handler());
    admit(&desk, handler, &live, caller.0, upgrade?).await
}

/// Who comes to the hub: by a pass among the subprotocols, which costs no look-up, else by cookie or API key.
struct HubCaller(Caller);

impl<S: Send + Sync> FromRequestParts<S> for HubCaller
where
    App: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let app = App::from_ref(state);
        let Ok(CallerAddress(address)) = CallerAddress::from_request_parts(parts, state).await;
        let protocols = parts.headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
        let mut protocols = protocols.filter_map(|value| value.to_str().ok()).flat_map(|line| line.split(','));
        let pass = protocols.find_map(|name| name.trim().strip_prefix(PASS_PREFIX));
        if let Some(bearer) = pass.and_then(|token| app.passes.check(token)) {
            let sign_in = (bearer.sign_in.clone(), bearer.expires_at);
            let caller = Caller::new(Some(bearer.into()), address, &parts.headers);
            return Ok(Self(Caller { sign_in: Some(sign_in), ..caller }));
        }
        let Guest(person) = Guest::from_request_parts(parts, state).await?;
        // The first pass is due at once.
        let sign_in = person.as_ref().and_then(|_| auth::sign_in_digest(&parts.headers));
        let caller = Caller::new(person.map(visitor), address, &parts.headers);
        Ok(Self(Caller { sign_in: sign_in.map(|digest| (digest, Millis(0))), ..caller }))
    }
}

impl From<Bearer> for Visitor {
    fn from(bearer: Bearer) -> Self {
        Self {
            account_id: bearer.account_id,
            customer_id: bearer.customer_id,
            display_name: bearer.display_name,
            liver_id: bearer.liver_id,
            demo: bearer.demo,
        }
    }
}

/// Who comes, and from where.
pub(super) struct Caller {
    pub(super) visitor: Option<Visitor>,
    pub(super) address: IpAddr,
    /// What tells people apart when they are counted.
    pub(super) who: u64,
    /// The digest of the sign-in, and until when it need not be looked at again.
    pub(super) sign_in: Option<(String, Millis)>,
}

impl Caller {
    /// A person is told apart by their id, a guest by address and browser.
    pub(super) fn new(visitor: Option<Visitor>, address: IpAddr, headers: &HeaderMap) -> Self {
        let browser = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        let text = match &visitor {
            Some(visitor) => visitor.customer_id.to_string(),
            None => format!("{address} {browser}"),
        };
        let digest = crate::people::digest(&text);
        let who = u64::from_str_radix(&digest[..16], 16).expect("hexadecimal digits");
        Self { visitor, address, who, sign_in: None }
    }
}

/// Takes a seat, then upgrades.
async fn admit(
    desk: &Desk,
    handler: &Handler,
    live: &LiveId,
    caller: Caller,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    let (lives, handler) = (desk.lives.clone(), Arc::clone(handler));
    let (codec, protocol) = negotiate(&upgrade.protocols)?;
    lives.may_enter(live, caller.visitor.as_ref(), caller.address).await?;
    let member = lives.board(live, caller.visitor, caller.who).await?;
    member.came_from(caller.address);
    if let Some((sign_in, expires_at)) = caller.sign_in {
        member.rest_on(&sign_in, expires_at);
        if expires_at == Millis(0)
            && let Some(pass) = desk.first_pass(&member, &sign_in)
        {
            member.put_pass(pass);
        }
    }
    let served = lives.clone();
    Ok(upgrade.answer(protocol, lives.tasks(), move |wire, early| served.connect(member, wire, early, codec, handler)))
}

/// JSON when nothing is asked for; of several, protobuf.
fn negotiate(asked: &[String]) -> Result<(Codec, Option<&'static str>), Problem> {
    if asked.iter().all(|name| name.starts_with(PASS_PREFIX)) {
        return Ok((Codec::Json, None));
    }
    let known = [Codec::Proto, Codec::Json].into_iter();
    let known =
        known.map(|codec| (codec, codec.subprotocol())).find(|(_, name)| asked.iter().any(|asked| asked == name));
    let (codec, name) =
        known.ok_or_else(|| Problem::invalid("subprotocol must be hanamichi.v1.json or hanamichi.v1.proto"))?;
    Ok((codec, Some(name)))
}

type Answer = Result<reply::Result, Problem>;

/// Answers what clients ask. What needs the database goes to a task.
#[derive(Clone)]
struct Desk {
    lives: Lives,
    /// A hub without people's sign-ins has none.
    passes: Option<Passes>,
    /// Where taps go; a hub without a shop has none.
    checkout: Option<Checkout>,
}

impl Desk {
    /// One for every connection.
    fn handler(&self) -> Handler {
        let desk = self.clone();
        Arc::new(move |member, asked| desk.take(member, asked))
    }

    /// Of somebody whose sign-in was looked at a moment ago.
    fn first_pass(&self, member: &Member, sign_in: &str) -> Option<wire::Pass> {
        let visitor = member.visitor()?;
        let (token, expires_at) = self.passes.as_ref()?.issue_to(&bearer_of(&visitor, sign_in));
        Some(wire::Pass { token, expires_at_ms: expires_at.0 })
    }

    /// Goes on with a newer pass of the same person, or has the sign-in looked at.
    async fn refresh(&self, member: &Member, visitor: &Visitor, refresh: &wire::Refresh) -> Answer {
        if refresh.pass.is_empty() {
            self.lives.renew_pass(member).await?;
            return Ok(done(()));
        }
        let bearer = self.passes.as_ref().and_then(|passes| passes.check(&refresh.pass));
        let bearer = bearer.ok_or_else(|| Problem::new(Kind::NotSignedIn, "this pass is not good, or not any more"))?;
        if bearer.customer_id != visitor.customer_id {
            return Err(Problem::new(Kind::Conflict, "this pass is another person's: reconnect with it"));
        }
        member.put_pass(wire::Pass { token: refresh.pass.clone(), expires_at_ms: bearer.expires_at.0 });
        Ok(done(()))
    }

    fn take(&self, member: &Arc<Member>, asked: Asked) {
        let (id, answer) = match asked {
            Asked::Frame(frame) => (frame.id, self.frame(member, frame)),
            Asked::Unreadable(error) => {
                // It could not even be read, so its number is not known: 0 is answered all the same.
                let problem = to_wire(Problem::invalid(error.to_string()));
                return member.reply_unasked(reply::Result::Problem(problem));
            }
            Asked::TooFast { id, wait_ms } => {
                let problem = Problem::new(Kind::RateLimited, "too many messages on this connection");
                (id, Some(Err(problem.retry_after_ms(u64::try_from(wait_ms).unwrap_or(0)))))
            }
        };
        if let Some(answer) = answer {
            member.reply(id, answer.unwrap_or_else(|problem| reply::Result::Problem(to_wire(problem))));
        }
    }

    /// The answer, when it is known at once.
    fn frame(&self, member: &Arc<Member>, frame: wire::ClientFrame) -> Option<Answer> {
        match frame.body {
            Some(Ask::React(react)) => Some(self.lives.react(member, &react.kind).map(done).map_err(Problem::from)),
            Some(Ask::Click(click)) => Some(self.lives.click(member, &click.pin_id).map(done).map_err(Problem::from)),
            Some(Ask::Resume(_)) => {
                Some(Err(Problem::new(Kind::Conflict, "resume is the first message of a connection")))
            }
            None => Some(Err(Problem::invalid("an empty frame, or a body this server does not know"))),
            Some(Ask::SendChat(chat)) => Some(self.say(member, &chat.text)),
            Some(body) => self.begin(member, frame.id, body).err().map(Err),
        }
    }

    fn say(&self, member: &Member, text: &str) -> Answer {
        Ok(reply::Result::Chat(self.lives.say(member, &*signed(member)?, text)?))
    }

    /// Begins what takes its time; its reply comes through the lane.
    fn begin(&self, member: &Arc<Member>, id: u64, body: Ask) -> Result<(), Problem> {
        let visitor = signed(member)?;
        if !member.begin() {
            return Err(Problem::new(Kind::RateLimited, "wait for the answers to your other messages"));
        }
        let (desk, member) = (self.clone(), Arc::clone(member));
        self.lives.tasks().spawn("hub command", async move {
            let answer = desk.answer(&member, &visitor, body).await;
            member.reply(id, answer.unwrap_or_else(|problem| reply::Result::Problem(to_wire(problem))));
            member.done();
        });
        Ok(())
    }

    async fn answer(&self, member: &Member, visitor: &Visitor, body: Ask) -> Answer {
        match body {
            Ask::Ask(ask) => {
                let product = match ask.product_id.as_str() {
                    "" => None,
                    id => Some(ProductId::parse(id).map_err(|_| Problem::not_found("pin"))?),
                };
                let question = self.lives.ask(member.live(), visitor, &ask.text, product.as_ref()).await?;
                Ok(reply::Result::Question(question.to_wire()))
            }
            Ask::Upvote(upvote) => {
                let id = QuestionId::parse(&upvote.question_id).map_err(|_| Problem::not_found("question"))?;
                Ok(reply::Result::Question(self.lives.upvote(&id, visitor).await?.to_wire()))
            }
            Ask::Buy(buy) => self.buy(visitor, buy).await,
            // Answered before they come here.
            Ask::Refresh(refresh) => self.refresh(member, visitor, &refresh).await,
            Ask::Ping(_) | Ask::React(_) | Ask::Click(_) | Ask::Resume(_) | Ask::SendChat(_) => Ok(done(())),
        }
    }

    /// The reply comes when the reservation is durable.
    async fn buy(&self, visitor: &Visitor, buy: wire::Buy) -> Answer {
        let checkout = self.checkout.as_ref().ok_or_else(|| Problem::not_found("shop"))?;
        let method = match buy.payment_method.as_str() {
            "" => None,
            name => Some(Method::parse(name).map_err(|error| Problem::invalid(error.to_string()))?),
        };
        let request = PlaceRequest {
            offer_id: Some(OfferId::parse(&buy.offer_id).map_err(|_| Problem::not_found("offer"))?),
            qty: Some(u32::try_from(buy.qty).map_err(|_| Problem::invalid("qty must be positive"))?),
            confirmation_hash: (!buy.confirmation_hash.is_empty()).then_some(buy.confirmation_hash),
            payment_method: method,
            ..PlaceRequest::default()
        };
        let purchase = checkout.place(&visitor.customer_id, visitor.demo, &buy.key, &request).await?;
        Ok(reply::Result::Purchase(checkout.status(&purchase)))
    }
}

fn bearer_of(visitor: &Visitor, sign_in: &str) -> Bearer {
    Bearer {
        account_id: visitor.account_id.clone(),
        customer_id: visitor.customer_id.clone(),
        display_name: visitor.display_name.clone(),
        liver_id: visitor.liver_id.clone(),
        demo: visitor.demo,
        sign_in: sign_in.to_owned(),
        expires_at: Millis(0),
    }
}

fn signed(member: &Member) -> Result<Arc<Visitor>, Problem> {
    let guest = || Problem::new(Kind::NotSignedIn, "guests may watch; sign in to take part");
    member.visitor().ok_or_else(guest)
}

fn done((): ()) -> reply::Result {
    reply::Result::Done(wire::Done {})
}

fn to_wire(problem: Problem) -> wire::Problem {
    wire::Problem {
        r#type: problem.kind,
        title: problem.title.to_owned(),
        status: problem.status.into(),
        detail: problem.detail.into_owned(),
        retry_after_ms: problem.retry_after_ms.and_then(|ms| i64::try_from(ms).ok()).unwrap_or(0),
    }
}

#[cfg(test)]
#[path = "ws_tests.rs"]
mod tests;
