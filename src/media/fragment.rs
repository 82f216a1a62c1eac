//! Pure: trickle fragments (RFC 8840, section 4.4): what a peer says of its ICE after the offer, and what we answer.

use str0m::{Candidate, IceCreds};

/// What one side may be called by: 4 to 256 and 22 to 256 characters (RFC 8839, section 5.4).
const UFRAG_CHARS: std::ops::RangeInclusive<usize> = 4..=256;
const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 22..=256;

/// What a fragment says.
#[derive(Debug)]
pub(super) struct Fragment<'a> {
    pub(super) credentials: Option<IceCreds>,
    /// Without their `a=`.
    pub(super) candidates: Vec<&'a str>,
}

/// Why a text is no fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotAFragment(pub(super) &'static str);

impl<'a> Fragment<'a> {
    /// At most so many candidates are taken.
    pub(super) fn parse(text: &'a str, max_candidates: usize) -> Result<Self, NotAFragment> {
        let mut lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).peekable();
        if lines.peek().is_none() {
            return Err(NotAFragment("it is empty"));
        }
        let mut candidates = Vec::new();
        for line in lines {
            match line.as_bytes() {
                [letter, b'=', _, ..] if letter.is_ascii_lowercase() => {}
                _ => return Err(NotAFragment("a line of it is not SDP")),
            }
            let attribute = line.strip_prefix("a=").filter(|attribute| attribute.starts_with("candidate:"));
            candidates.extend(attribute.filter(|_| candidates.len() < max_candidates));
        }
        Ok(Self { credentials: credentials(text)?, candidates })
    }
}

/// The first user fragment and password; bundled media have the same.
fn named(sdp: &str) -> (Option<&str>, Option<&str>) {
    let value = |name: &str| sdp.lines().find_map(|line| line.trim_end().strip_prefix(name));
    (value("a=ice-ufrag:"), value("a=ice-pwd:"))
}

/// What an offer calls its side. The library has read it; odd names have worked, so they are taken.
pub(super) fn offered(sdp: &str) -> Option<IceCreds> {
    let (ufrag, pass) = named(sdp);
    Some(IceCreds { ufrag: ufrag?.to_owned(), pass: pass?.to_owned() })
}

/// What a fragment calls it.
fn credentials(sdp: &str) -> Result<Option<IceCreds>, NotAFragment> {
    match named(sdp) {
        (None, None) => Ok(None),
        (Some(ufrag), Some(pass)) if is_name(ufrag, &UFRAG_CHARS) && is_name(pass, &PASSWORD_CHARS) => {
            Ok(Some(IceCreds { ufrag: ufrag.to_owned(), pass: pass.to_owned() }))
        }
        _ => Err(NotAFragment("its ice-ufrag and ice-pwd are not such as RFC 8839 asks for")),
    }
}

/// `ice-char`s only: the text goes into our own answers and tables.
fn is_name(name: &str, chars: &std::ops::RangeInclusive<usize>) -> bool {
    let is_ice_char = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    chars.contains(&name.len()) && name.bytes().all(is_ice_char)
}

/// Our side after a restart: new credentials, the same addresses and the same options as in the answer. `kind` and `mid` are the first media's, which stands
/// for all that are bundled with it.
pub(super) fn write(kind: &str, mid: &str, ours: &IceCreds, candidates: &[Candidate]) -> String {
    let IceCreds { ufrag, pass } = ours;
    let mut text = format!(
        "a=ice-lite\r\na=ice-options:trickle\r\nm={kind} 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:{mid}\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{pass}\r\n"
    );
    for candidate in candidates {
        text.extend(["a=", &candidate.to_sdp_string(), "\r\n"]);
    }
    text + "a=end-of-candidates\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "abcdefghijklmnopqrstuv";

    #[test]
    fn a_restart_and_a_trickle_are_told_apart() {
        let candidate = "candidate:1 1 udp 1 192.0.2.1 9 typ host";
        let trickle = format!("m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na={candidate}\r\na=end-of-candidates\r\n");
        let read = Fragment::parse(&trickle, 8).expect("a fragment");
        assert_eq!((read.credentials, read.candidates), (None, vec![candidate]));
        let restart = format!("a=ice-ufrag:abcd\r\na=ice-pwd:{PASSWORD}\r\na={candidate}\r\na={candidate}\r\n");
        let read = Fragment::parse(&restart, 1).expect("a fragment");
        assert_eq!(read.credentials, Some(IceCreds { ufrag: "abcd".into(), pass: PASSWORD.into() }));
        assert_eq!(read.candidates.len(), 1);
    }

    #[test]
    fn rubbish_is_no_fragment() {
        let half = |ufrag: &str, pass: &str| format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pass}\r\n");
        for rubbish in [
            String::new(),
            "\r\n".into(),
            "hello".into(),
            "{}".into(),
            "a=ice-ufrag:abcd\r\n".into(),
            format!("a=ice-pwd:{PASSWORD}\r\n"),
            half("abc", PASSWORD),
            half("abcd", "short"),
            half("ab:d", PASSWORD),
            half(&"a".repeat(257), PASSWORD),
        ] {
            assert!(Fragment::parse(&rubbish, 8).is_err(), "{rubbish:?}");
        }
    }

    #[test]
    fn what_we_write_can_be_read() {
        let ours = IceCreds { ufrag: "ours".into(), pass: PASSWORD.into() };
        let candidate = Candidate::host("192.0.2.1:9".parse().expect("an address"), "udp").expect("a candidate");
        let text = write("video", "1", &ours, &[candidate]);
        let read = Fragment::parse(&text, 8).expect("a fragment");
        assert_eq!(read.credentials, Some(ours));
        assert!(read.candidates[0].contains(" 192.0.2.1 9 typ host"), "{text}");
    }
}
