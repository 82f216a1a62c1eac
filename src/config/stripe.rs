//! Value: how Stripe is reached.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// A text that is never shown: neither by `Debug` nor in what is serialized.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; for the one who sends it or signs by it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "(none)" } else { "…" })
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0.is_empty() { "" } else { "…" })
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// How Stripe is reached.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StripeConfig {
    /// `sk_…`, or better a restricted `rk_…`. `HANAMICHI_COMMERCE__STRIPE__SECRET_KEY`.
    pub secret_key: Secret,
    /// `pk_…`: for the page.
    pub publishable_key: String,
    /// `whsec_…`: messages signed by any of them are believed, so that a secret can be changed without a gap.
    pub webhook_secrets: Vec<Secret>,
    /// Where Stripe is.
    pub base_url: String,
    /// What the page offers: `card`, `paypay`, `konbini`.
    pub methods: Vec<PayMethod>,
    /// Calls of one kind a second, of this node: share Stripe's 25 among the nodes.
    pub per_endpoint_per_s: NonZeroU32,
    /// Calls of all kinds a second, of this node: share Stripe's 100 among the nodes.
    pub per_account_per_s: NonZeroU32,
    /// How long an answer may take.
    pub timeout_ms: u64,
}

/// What Stripe calls a kind of payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PayMethod {
    /// Money is reserved first.
    Card,
    /// A wallet that leads away and takes the money at once.
    Paypay,
    /// Paid at a convenience store within days; never for flash offers.
    Konbini,
}

impl PayMethod {
    /// As Stripe and the page write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Paypay => "paypay",
            Self::Konbini => "konbini",
        }
    }
}

/// Milliseconds that an answer may take, at least and at most.
const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 1_000..=120_000;

impl Default for StripeConfig {
    fn default() -> Self {
        let per_s = |calls| NonZeroU32::new(calls).expect("not zero");
        Self {
            secret_key: Secret::default(),
            publishable_key: String::new(),
            webhook_secrets: Vec::new(),
            base_url: "https://api.stripe.com".to_owned(),
            methods: vec![PayMethod::Card],
            per_endpoint_per_s: per_s(25),
            per_account_per_s: per_s(100),
            timeout_ms: 20_000,
        }
    }
}

impl StripeConfig {
    /// Why nobody can be paid by it, in words for the operator that show no key.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        let key = self.secret_key.reveal();
        let kind = |text: &str| text.strip_prefix("sk_").or_else(|| text.strip_prefix("rk_")).map(str::to_owned);
        let Some(rest) = kind(key).filter(|_| is_plain(key)) else {
            return Some("secret_key must be Stripe's (sk_… or rk_…)");
        };
        let live = rest.starts_with("live_");
        let https = self.base_url.starts_with("https://");
        let host = self.base_url.strip_prefix("https://").or_else(|| self.base_url.strip_prefix("http://"));
        if host.is_none_or(|host| host.is_empty() || host.contains(['/', '?', '#', '@'])) {
            return Some("base_url must be http(s)://host[:port], without a path");
        }
        if live && !https {
            return Some("a live secret_key is only sent over https: base_url must begin with https://");
        }
        let public = self.publishable_key.strip_prefix("pk_").filter(|_| is_plain(&self.publishable_key));
        let Some(public) = public else {
            return Some("publishable_key must be Stripe's (pk_…)");
        };
        if public.starts_with("live_") != live {
            return Some("secret_key and publishable_key must both be live, or both be for tests");
        }
        let signs = |secret: &Secret| secret.reveal().len() > "whsec_".len() && secret.reveal().starts_with("whsec_");
        if self.webhook_secrets.is_empty() || !self.webhook_secrets.iter().all(signs) {
            return Some("webhook_secrets must hold at least one secret of Stripe's (whsec_…)");
        }
        let twice = |(at, method): (usize, &PayMethod)| self.methods[..at].contains(method);
        if self.methods.is_empty() || self.methods.iter().enumerate().any(twice) {
            return Some("methods must name card, paypay or konbini, each at most once");
        }
        (!TIMEOUT_MS.contains(&self.timeout_ms)).then_some("timeout_ms must be between 1000 and 120000")
    }
}

/// Whether a key can be put into a header.
fn is_plain(key: &str) -> bool {
    key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> StripeConfig {
        StripeConfig {
            secret_key: Secret::new("sk_test_51Nabc"),
            publishable_key: "pk_test_51Nabc".to_owned(),
            webhook_secrets: vec![Secret::new("whsec_old"), Secret::new("whsec_new")],
            ..StripeConfig::default()
        }
    }

    #[test]
    fn what_cannot_work_is_said_and_no_key_with_it() {
        assert_eq!(good().fault(), None);
        let live = |base_url: &str| StripeConfig {
            secret_key: Secret::new("rk_live_51Nabc"),
            publishable_key: "pk_live_51Nabc".to_owned(),
            base_url: base_url.to_owned(),
            ..good()
        };
        assert_eq!(live("https://api.stripe.com").fault(), None);
        let faulty = [
            ("secret_key", StripeConfig { secret_key: Secret::default(), ..good() }),
            ("secret_key", StripeConfig { secret_key: Secret::new("sk_test_a\nb"), ..good() }),
            ("https", live("http://127.0.0.1:1")),
            ("both", StripeConfig { publishable_key: "pk_live_1".to_owned(), ..good() }),
            ("publishable_key", StripeConfig { publishable_key: "sk_test_1".to_owned(), ..good() }),
            ("webhook_secrets", StripeConfig { webhook_secrets: Vec::new(), ..good() }),
            ("webhook_secrets", StripeConfig { webhook_secrets: vec![Secret::new("whsec_")], ..good() }),
            ("base_url", StripeConfig { base_url: "https://api.stripe.com/v1".to_owned(), ..good() }),
            ("base_url", StripeConfig { base_url: "api.stripe.com".to_owned(), ..good() }),
            ("methods", StripeConfig { methods: vec![PayMethod::Card, PayMethod::Card], ..good() }),
            ("timeout_ms", StripeConfig { timeout_ms: 10, ..good() }),
        ];
        for (says, config) in faulty {
            let fault = config.fault().expect(says);
            assert!(fault.contains(says), "{says}: {fault}");
            assert!(!fault.contains("51Nabc"), "{fault}");
        }
    }

    #[test]
    fn secrets_are_never_shown() {
        let shown = format!("{:?} {:#?} {}", good(), good(), serde_json::to_string(&good()).expect("text"));
        assert!(!shown.contains("sk_test") && !shown.contains("whsec"), "{shown}");
    }
}
