//! Errors in Stripe's shape.

use serde_json::{Value, json};

/// Why a request is refused.
#[derive(Debug, Clone, Default)]
pub struct Refusal {
    pub status: u16,
    pub kind: &'static str,
    pub code: Option<&'static str>,
    pub decline_code: Option<&'static str>,
    pub message: String,
    pub param: Option<String>,
    /// What exists all the same.
    pub intent: Option<Value>,
    pub setup: Option<Value>,
    /// Whether the question got so far that its key keeps this answer.
    pub executed: bool,
}

impl Refusal {
    fn of(status: u16, code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { status, kind: "invalid_request_error", code, message: message.into(), ..Self::default() }
    }

    pub fn missing(param: &str) -> Self {
        let it = Self::of(400, Some("parameter_missing"), format!("Missing required param: {param}."));
        Self { param: Some(param.to_owned()), ..it }
    }

    pub fn unknown(param: &str) -> Self {
        let it = Self::of(400, Some("parameter_unknown"), format!("Received unknown parameter: {param}"));
        Self { param: Some(param.to_owned()), ..it }
    }

    pub fn invalid(param: &str, why: &str) -> Self {
        let it = Self::of(400, Some("parameter_invalid_integer"), format!("{why}: {param}"));
        Self { param: Some(param.to_owned()), ..it }
    }

    /// A name that nothing has: 404 in a path, 400 in a parameter.
    pub fn no_such(status: u16, what: &str, id: &str) -> Self {
        Self::of(status, Some("resource_missing"), format!("No such {what}: '{id}'"))
    }

    /// A question that is well formed and comes at the wrong time.
    pub fn state(code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { executed: true, ..Self::of(400, code, message) }
    }

    pub fn unauthorized() -> Self {
        Self::of(401, None, "Invalid API Key provided: sk_test_****")
    }

    pub fn unknown_path(path: &str) -> Self {
        Self::of(404, None, format!("Unrecognized request URL ({path})."))
    }

    pub fn too_many() -> Self {
        Self::of(429, Some("rate_limit"), "Request rate limit exceeded.")
    }

    pub fn key_in_use() -> Self {
        let message = "There is currently another in-progress request using this Idempotent Key.";
        Self { kind: "idempotency_error", ..Self::of(409, Some("idempotency_key_in_use"), message) }
    }

    pub fn other_parameters() -> Self {
        let message =
            "Keys for idempotent requests can only be used with the same parameters they were first used with.";
        Self { kind: "idempotency_error", ..Self::of(400, None, message) }
    }

    /// Stripe's own fault.
    pub fn api(status: u16) -> Self {
        let message = "An unknown error occurred. Please contact Stripe.";
        Self { kind: "api_error", executed: true, ..Self::of(status, None, message) }
    }

    /// The bank says no.
    pub fn card(code: &'static str, decline_code: Option<&'static str>) -> Self {
        let it = Self::of(402, Some(code), "Your card was declined.");
        Self { kind: "card_error", decline_code, executed: true, ..it }
    }

    pub fn body(&self) -> Value {
        let mut error = json!({ "type": self.kind, "message": self.message });
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                error[name] = value;
            }
        };
        put("code", self.code.map(Value::from));
        put("decline_code", self.decline_code.map(Value::from));
        put("param", self.param.clone().map(Value::from));
        put("payment_intent", self.intent.clone());
        put("setup_intent", self.setup.clone());
        put("doc_url", self.code.map(|code| format!("https://docs.stripe.com/error-codes#{code}").into()));
        json!({ "error": error })
    }
}
