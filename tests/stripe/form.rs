//! Parameters of a request, as Stripe reads them: `a=1&metadata[x]=y&list[0]=z`.

use std::collections::BTreeMap;

use super::refusal::Refusal;

/// Parameters in the order in which they came.
#[derive(Debug, Clone, Default)]
pub struct Params(pub Vec<(String, String)>);

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|two| std::str::from_utf8(two).ok());
        match (bytes[at], hex.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(byte)) => {
                plain.push(byte);
                at += 3;
            }
            (b'+', _) => {
                plain.push(b' ');
                at += 1;
            }
            (byte, _) => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

impl Params {
    /// Reads a form or a query.
    pub fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decode(k), decode(v))).collect(),
        )
    }

    /// The same text for the same parameters, in whatever order.
    pub fn fingerprint(&self) -> String {
        let mut pairs = self.0.clone();
        pairs.sort();
        format!("{pairs:?}")
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn must(&self, name: &'static str) -> Result<&str, Refusal> {
        self.text(name).filter(|value| !value.is_empty()).ok_or_else(|| Refusal::missing(name))
    }

    pub fn whole(&self, name: &'static str) -> Result<Option<i64>, Refusal> {
        self.text(name).map(|value| value.parse().map_err(|_| Refusal::invalid(name, "Invalid integer"))).transpose()
    }

    pub fn list(&self, name: &str) -> Vec<&str> {
        let of = |key: &str| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('[') && rest.ends_with(']'));
        self.0.iter().filter(|(key, _)| of(key)).map(|(_, value)| value.as_str()).collect()
    }

    pub fn map(&self, name: &str) -> BTreeMap<String, String> {
        let key = |key: &str| Some(key.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?.to_owned());
        self.0.iter().filter_map(|(name, value)| Some((key(name)?, value.clone()))).collect()
    }

    /// What is to be shown whole; in a list below `data.`.
    pub fn expand(&self, below: &str) -> Vec<String> {
        self.list("expand").iter().filter_map(|path| path.strip_prefix(below)).map(str::to_owned).collect()
    }

    /// Refuses what this question does not know, as Stripe does.
    pub fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        let root = |key: &str| key.split('[').next().unwrap_or_default().to_owned();
        match self.0.iter().map(|(key, _)| root(key)).find(|root| !known.contains(&root.as_str())) {
            Some(root) => Err(Refusal::unknown(&root)),
            None => Ok(()),
        }
    }
}
