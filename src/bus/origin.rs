//! Value: where the picture of a live comes in.

use serde::{Deserialize, Serialize};

use crate::clock::Millis;

/// The node that has the publisher of a live. The bus keeps one for each live, the newest, and forgets it when its node
/// does not say it again within [`ORIGIN_TTL`](super::ORIGIN_TTL).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Which process.
    pub node: String,
    /// Where its HTTP is, without a slash at its end.
    pub url: String,
    /// Who publishes: the same may go on at another node.
    pub publisher: String,
    /// Different each time that a picture comes in.
    pub claim: String,
    /// When it came in: of two claims that met no bus, the older one gives way.
    #[serde(default)]
    pub since: Millis,
}

impl Origin {
    /// A picture that comes in now.
    #[must_use]
    pub fn new(node: &str, url: &str, publisher: &str, since: Millis) -> Self {
        let (node, url, publisher) = (node.to_owned(), url.to_owned(), publisher.to_owned());
        Self { node, url, publisher, claim: super::fresh_epoch(), since }
    }
}
