//! Pure: the STUN and TURN servers that peers are told of.
//!
//! Owns what a configured server must be and how it is written in a `Link` (RFC 9725, section 4.6). Credentials are
//! either fixed, or made for each peer and good for a time, as coturn's `use-auth-secret` wants them.
//! Invariant: what is written can be read again: no configured text leaves its place in the header.

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};

use crate::clock::Millis;

/// Servers in one configuration; each makes a header of every answer.
pub const MAX_SERVERS: usize = 8;
/// How long made credentials may live: long enough to connect, not for ever.
const TTL_S: std::ops::RangeInclusive<u32> = 60..=604_800;
const DEFAULT_TTL_S: u32 = 43_200;

/// A STUN or TURN server, or several addresses of one.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IceServer {
    /// `stun:host[:port]`, `turn:host[:port][?transport=udp|tcp]`, or `stuns:` and `turns:`.
    pub urls: Vec<String>,
    /// A TURN server's fixed user.
    pub username: String,
    /// And the password.
    pub credential: String,
    /// Instead of them: what is shared with the TURN server, from which credentials are made.
    pub secret: String,
    /// Seconds that such credentials are good for; 0: twelve hours.
    pub ttl_s: u32,
}

impl std::fmt::Debug for IceServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceServer").field("urls", &self.urls).finish_non_exhaustive()
    }
}

impl IceServer {
    /// What is wrong with it, in words for the operator.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        if self.urls.is_empty() {
            return Some("a server needs urls".to_owned());
        }
        if let Some(url) = self.urls.iter().find(|url| !is_url(url)) {
            return Some(format!("{url:?} is not a stun:, stuns:, turn: or turns: address"));
        }
        let (has_fixed, has_secret) =
            (!self.username.is_empty() && !self.credential.is_empty(), !self.secret.is_empty());
        let is_half = self.username.is_empty() != self.credential.is_empty();
        let is_turn = |url: &String| url.starts_with("turn");
        match () {
            () if is_half => Some("username and credential go together".to_owned()),
            () if has_fixed && has_secret => Some("either username and credential, or a secret".to_owned()),
            () if self.urls.iter().any(is_turn) && !has_fixed && !has_secret => {
                Some("a turn: server needs username and credential, or a secret".to_owned())
            }
            () if !self.urls.iter().any(is_turn) && (has_fixed || has_secret) => {
                Some("only a turn: server has credentials".to_owned())
            }
            () if self.ttl_s != 0 && !TTL_S.contains(&self.ttl_s) => {
                Some(format!("ttl_s must be between {} and {}", TTL_S.start(), TTL_S.end()))
            }
            () if [&self.username, &self.credential].iter().any(|text| !is_plain(text)) => {
                Some("username and credential are printable ASCII without , ; \" and \\".to_owned())
            }
            () => None,
        }
    }

    /// Without what only peers are told.
    pub fn hide_secrets(&mut self) {
        for secret in [&mut self.credential, &mut self.secret] {
            if !secret.is_empty() {
                "…".clone_into(secret);
            }
        }
    }

    /// Its `Link` values for a peer. `peer` is a name for the TURN server's log.
    pub fn links(&self, peer: &str, now: Millis) -> impl Iterator<Item = String> {
        let (username, credential) = self.credentials(peer, now);
        self.urls.iter().map(move |url| {
            let link = format!("<{url}>; rel=\"ice-server\"");
            if !url.starts_with("turn") {
                return link;
            }
            format!("{link}; username=\"{username}\"; credential=\"{credential}\"; credential-type=\"password\"")
        })
    }

    /// By coturn's rule the user is `expiry:name`, and the password its HMAC-SHA-1 under the shared secret, in base 64.
    fn credentials(&self, peer: &str, now: Millis) -> (String, String) {
        if self.secret.is_empty() {
            return (self.username.clone(), self.credential.clone());
        }
        let ttl_s = if self.ttl_s == 0 { DEFAULT_TTL_S } else { self.ttl_s };
        let username = format!("{}:{peer}", now.0 / 1_000 + i64::from(ttl_s));
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.secret.as_bytes());
        let credential = data_encoding::BASE64.encode(hmac::sign(&key, username.as_bytes()).as_ref());
        (username, credential)
    }
}

/// As far as a header is concerned; whether anybody is there, only a client can tell.
fn is_url(url: &str) -> bool {
    let rest = ["stun:", "stuns:", "turn:", "turns:"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let is_of_url = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]?=%".contains(&byte);
    rest.is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[') && rest.bytes().all(is_of_url)
    })
}

/// Nothing that needs an escape, and no `,` or `;`: OBS cuts the header at them wherever they stand.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte == b' ' || (byte.is_ascii_graphic() && !b",;\"\\".contains(&byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn() -> IceServer {
        let urls = vec!["turn:turn.example.jp:3478?transport=udp".to_owned()];
        IceServer { urls, username: "hana".into(), credential: "s3 cret".into(), ..IceServer::default() }
    }

    #[test]
    fn a_link_says_who_and_how() {
        let stun = IceServer { urls: vec!["stun:192.0.2.1".into()], ..IceServer::default() };
        let links = |server: &IceServer| server.links("peer", Millis(0)).collect::<Vec<_>>();
        assert_eq!(links(&stun), ["<stun:192.0.2.1>; rel=\"ice-server\""]);
        let expected = "<turn:turn.example.jp:3478?transport=udp>; rel=\"ice-server\"; username=\"hana\"; \
            credential=\"s3 cret\"; credential-type=\"password\"";
        assert_eq!(links(&turn()), [expected]);
    }

    #[test]
    fn made_credentials_are_those_of_coturn() {
        let server = IceServer {
            username: String::new(),
            credential: String::new(),
            secret: "north".into(),
            ttl_s: 3_600,
            ..turn()
        };
        assert_eq!(server.fault(), None);
        // printf 1800003600:live_1 | openssl dgst -sha1 -hmac north -binary | base64
        let expected = ("1800003600:live_1".to_owned(), "4gzZaMmDBrhj271gi23RQo9MoFQ=".to_owned());
        assert_eq!(server.credentials("live_1", Millis(1_800_000_000_000)), expected);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        assert_eq!(turn().fault(), None);
        let with = |change: fn(&mut IceServer)| {
            let mut server = turn();
            change(&mut server);
            server.fault()
        };
        for fault in [
            with(|server| server.urls.clear()),
            with(|server| server.urls.push("https://turn.example.jp".into())),
            with(|server| server.urls.push("turn:a>; rel=\"x\"".into())),
            with(|server| server.urls.push("turn:".into())),
            with(|server| server.credential.clear()),
            with(|server| server.secret = "north".into()),
            with(|server| (server.username, server.credential) = (String::new(), String::new())),
            with(|server| server.urls = vec!["stun:192.0.2.1".into()]),
            with(|server| server.ttl_s = 5),
            with(|server| server.username = "a\r\nb".into()),
        ] {
            assert!(fault.is_some());
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let mut server = turn();
        assert!(!format!("{server:?}").contains("s3 cret"));
        server.secret = "north".into();
        server.hide_secrets();
        assert_eq!((server.credential.as_str(), server.secret.as_str()), ("…", "…"));
    }
}
