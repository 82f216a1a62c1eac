//! Stripe's side of the wire.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Instant};

use axum::{body::Body, extract::Request, http::Response};
use serde_json::{Value, json};

use super::{
    Inner, Recorded,
    books::Books,
    cards::Kind,
    faults::{Fault, Op},
    form::Params,
    keys::Known,
    refusal::Refusal,
    webhooks,
};

const MAX_BODY: usize = 1024 * 1024;

/// The connection ends here.
#[derive(Debug)]
pub struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("dropped by plan")
    }
}

impl std::error::Error for Broken {}

impl From<Infallible> for Broken {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

struct Answer {
    status: u16,
    body: String,
    replayed: bool,
    retry_after: Option<u32>,
}

impl Answer {
    fn of(status: u16, body: String) -> Self {
        Self { status, body, replayed: false, retry_after: None }
    }

    fn refusal(refusal: &Refusal) -> Self {
        Self::of(refusal.status, refusal.body().to_string())
    }

    fn into_response(self) -> Response<Body> {
        let mut answer = Response::builder()
            .status(self.status)
            .header("content-type", "application/json")
            .header("request-id", "req_s1mulat0r");
        if self.replayed {
            answer = answer.header("idempotent-replayed", "true");
        }
        if let Some(seconds) = self.retry_after {
            answer = answer.header("retry-after", seconds);
        }
        answer.body(Body::from(self.body)).expect("it is well formed")
    }
}

/// The question, the name in its path, and the path as Stripe writes it.
fn route<'a>(method: &str, path: &'a str) -> Option<(Op, &'a str, &'static str)> {
    let steps: Vec<&str> = path.strip_prefix("/v1/")?.split('/').collect();
    Some(match (method, steps.as_slice()) {
        ("POST", ["payment_intents"]) => (Op::CreateIntent, "", "/v1/payment_intents"),
        ("GET", ["payment_intents"]) => (Op::ListIntents, "", "/v1/payment_intents"),
        ("GET", ["payment_intents", id]) => (Op::ReadIntent, id, "/v1/payment_intents/{id}"),
        ("POST", ["payment_intents", id, "capture"]) => (Op::Capture, id, "/v1/payment_intents/{id}/capture"),
        ("POST", ["payment_intents", id, "cancel"]) => (Op::Cancel, id, "/v1/payment_intents/{id}/cancel"),
        ("POST", ["refunds"]) => (Op::CreateRefund, "", "/v1/refunds"),
        ("GET", ["refunds"]) => (Op::ListRefunds, "", "/v1/refunds"),
        ("GET", ["refunds", id]) => (Op::ReadRefund, id, "/v1/refunds/{id}"),
        ("POST", ["customers"]) => (Op::CreateCustomer, "", "/v1/customers"),
        ("POST", ["setup_intents"]) => (Op::CreateSetup, "", "/v1/setup_intents"),
        ("GET", ["setup_intents", id]) => (Op::ReadSetup, id, "/v1/setup_intents/{id}"),
        ("GET", ["payment_methods", id]) => (Op::ReadMethod, id, "/v1/payment_methods/{id}"),
        ("POST", ["payment_methods", id, "detach"]) => (Op::Detach, id, "/v1/payment_methods/{id}/detach"),
        ("GET", ["balance_transactions"]) => (Op::ListLines, "", "/v1/balance_transactions"),
        _ => return None,
    })
}

fn act(books: &mut Books, op: Op, id: &str, params: &Params) -> Result<Value, Refusal> {
    match op {
        Op::CreateIntent => books.create_intent(params),
        Op::ListIntents => books.list_intents(params),
        Op::ReadIntent => books.read_intent(id, params),
        Op::Capture => books.capture(id, params),
        Op::Cancel => books.cancel(id, params),
        Op::CreateRefund => books.create_refund(params),
        Op::ReadRefund => books.read_refund(id, params),
        Op::ListRefunds => books.list_refunds(params),
        Op::CreateCustomer => {
            params.only(&["expand", "metadata"])?;
            Ok(books.customer(params.map("metadata")))
        }
        Op::CreateSetup => books.create_setup(params),
        Op::ReadSetup => books.read_setup(id, params),
        Op::ReadMethod => books.read_method(id),
        Op::Detach => books.detach(id),
        Op::ListLines => books.list_lines(params),
    }
}

/// Answers one request, or breaks its connection.
pub async fn serve(inner: Arc<Inner>, request: Request) -> Result<Response<Body>, Broken> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, MAX_BODY).await.map_err(|_| Broken)?;
    let text = String::from_utf8_lossy(&body).into_owned();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let path = head.uri.path().to_owned();
    if let Some(rest) = path.strip_prefix("/_test/") {
        return Ok(test(&inner, rest, head.uri.query().unwrap_or_default()).into_response());
    }
    if header("authorization").is_none_or(|sent| sent != format!("Bearer {}", inner.settings.secret_key)) {
        return Ok(Answer::refusal(&Refusal::unauthorized()).into_response());
    }
    let method = head.method.as_str().to_owned();
    let Some((op, id, template)) = route(&method, &path) else {
        return Ok(Answer::refusal(&Refusal::unknown_path(&path)).into_response());
    };
    let params = Params::parse(if method == "GET" { head.uri.query().unwrap_or_default() } else { &text });
    let key = header("idempotency-key").filter(|_| method == "POST");
    inner.recorded.lock().push(Recorded {
        op,
        method: method.clone(),
        template,
        params: params.clone(),
        body: text,
        key: key.clone(),
        version: header("stripe-version"),
    });
    if is_too_much(&inner, op) {
        inner.faults.lock().count("429 by the limit");
        return Ok(Answer::refusal(&Refusal::too_many()).into_response());
    }
    let fault = inner.faults.lock().of_question(op);
    match fault {
        Some(Fault::Unavailable) => {
            return Ok(Answer::of(503, "<html>503 Service Unavailable</html>".to_owned()).into_response());
        }
        Some(Fault::Busy) => {
            return Ok(Answer { retry_after: Some(2), ..Answer::refusal(&Refusal::too_many()) }.into_response());
        }
        _ => {}
    }
    let (doing, id) = (Arc::clone(&inner), id.to_owned());
    // What was begun is ended, also when who asked has gone.
    let answer = tokio::spawn(async move { answer(&doing, op, &path, &id, &params, key, fault).await });
    let answer = answer.await.map_err(|_| Broken)?;
    match fault {
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::Drop) => Err(Broken),
        Some(Fault::Garbage) => Ok(Answer::of(200, r#"{"id": "pi_3Sim0000, "object""#.to_owned()).into_response()),
        Some(Fault::Huge) => Ok(Answer::of(200, answer.body + &" ".repeat(2 * MAX_BODY)).into_response()),
        _ => Ok(answer.into_response()),
    }
}

async fn answer(
    inner: &Arc<Inner>,
    op: Op,
    path: &str,
    id: &str,
    params: &Params,
    key: Option<String>,
    fault: Option<Fault>,
) -> Answer {
    let now_ms = (inner.settings.now)();
    if let Some(key) = &key {
        let of = format!("{path} {}", params.fingerprint());
        match inner.keys.lock().begin(key, of, now_ms) {
            Known::New => {}
            Known::InUse => return Answer::refusal(&Refusal::key_in_use()),
            Known::OtherParameters => return Answer::refusal(&Refusal::other_parameters()),
            Known::Answered(status, body) => return Answer { replayed: true, ..Answer::of(status, body) },
        }
    }
    if let Some(Fault::Slow(wait)) = fault {
        tokio::time::sleep(wait).await;
    }
    let (mut done, happened) = if fault == Some(Fault::Error) {
        (Err(Refusal::api(500)), Vec::new())
    } else {
        let mut books = inner.books.lock();
        books.now_ms = now_ms;
        books.lapse();
        let done = act(&mut books, op, id, params);
        (done, std::mem::take(&mut books.happened))
    };
    webhooks::tell(inner, happened);
    if fault == Some(Fault::ErrorAfter) {
        done = Err(Refusal::api(500));
    }
    let (answer, kept) = match &done {
        Ok(shown) => (Answer::of(200, shown.to_string()), true),
        Err(refusal) => (Answer::refusal(refusal), refusal.executed),
    };
    if let Some(key) = &key {
        inner.keys.lock().end(key, kept.then(|| (answer.status, answer.body.clone())));
    }
    answer
}

fn is_too_much(inner: &Inner, op: Op) -> bool {
    let limit = inner.settings.per_endpoint_per_s;
    if limit == 0 {
        return false;
    }
    let mut lately = inner.lately.lock();
    let asked: &mut VecDeque<Instant> = lately.entry(op).or_default();
    while asked.front().is_some_and(|at| at.elapsed().as_secs() >= 1) {
        asked.pop_front();
    }
    if asked.len() >= limit {
        return true;
    }
    asked.push_back(Instant::now());
    false
}

/// What the buyer does, for those who only reach the simulator by HTTP.
fn test(inner: &Arc<Inner>, path: &str, query: &str) -> Answer {
    let params = Params::parse(query);
    let kind = || params.text("method").and_then(Kind::parse).unwrap_or(Kind::CARD);
    let done = |yes: bool| Answer::of(if yes { 200 } else { 409 }, json!({ "done": yes }).to_string());
    let steps: Vec<&str> = path.split('/').collect();
    match steps.as_slice() {
        ["intents", id, "approve"] => done(inner.change(|books| books.approve(id))),
        ["intents", id, "refuse"] => done(inner.change(|books| books.refuse(id))),
        ["setups", id, "confirm"] => done(inner.change(|books| books.confirm_setup(id, kind()))),
        ["setups", id, "approve"] => done(inner.change(|books| books.answer_setup(id, true))),
        ["setups", id, "refuse"] => done(inner.change(|books| books.answer_setup(id, false))),
        ["tokens"] => Answer::of(200, json!({ "id": inner.change(|books| books.add_token(kind())) }).to_string()),
        ["redirect" | "voucher", id] => Answer::of(200, json!({ "intent": id }).to_string()),
        _ => Answer::of(404, "{}".to_owned()),
    }
}
