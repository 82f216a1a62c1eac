//! Pure: as much of RFC 6455 as a load client and a bare server need.
//!
//! Finds finished frames in bytes, without copying them; writes masked and unmasked ones; the two halves of the upgrade.
//! Invariant: a frame is given once all of it is there, and what is wrong with the bytes is said, never skipped.
//! Does not put fragments together: the servers here send none, and one that does is reported.

use std::ops::Range;

/// A text message.
pub const TEXT: u8 = 1;
/// A binary message.
pub const BINARY: u8 = 2;
/// The end of the connection.
pub const CLOSE: u8 = 8;
/// A sign of life is asked for.
pub const PING: u8 = 9;
/// A sign of life.
pub const PONG: u8 = 10;

/// The client's nonce, the one of the standard's example: it proves nothing here, so one serves all.
const NONCE: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What a server answers to it.
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// Masks hide nothing on loopback; zero would be one, too, but some servers skip it.
const MASK: [u8; 4] = [0x5a, 0xa5, 0x3c, 0xc3];
/// Longer frames and heads than this are taken for garbage.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// A frame in a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// One of the constants above.
    pub opcode: u8,
    /// Where its payload is.
    pub payload: Range<usize>,
}

/// The first frame in the bytes, once it is there as a whole.
pub fn first(bytes: &[u8]) -> Result<Option<Frame>, &'static str> {
    let [head, length, rest @ ..] = bytes else { return Ok(None) };
    if head & 0x70 != 0 {
        return Err("a frame with reserved bits");
    }
    if head & 0x80 == 0 || head & 0x0f == 0 {
        return Err("a fragment of a message");
    }
    if length & 0x80 != 0 {
        return Err("a masked frame of a server");
    }
    let (len, start) = match length & 0x7f {
        126 => match rest.first_chunk::<2>() {
            Some(len) => (usize::from(u16::from_be_bytes(*len)), 4),
            None => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(len) => (usize::try_from(u64::from_be_bytes(*len)).unwrap_or(usize::MAX), 10),
            None => return Ok(None),
        },
        short => (usize::from(short), 2),
    };
    if len > MAX_BYTES {
        return Err("a frame that is too long");
    }
    let payload = start..start + len;
    Ok((bytes.len() >= payload.end).then_some(Frame { opcode: head & 0x0f, payload }))
}

fn head(opcode: u8, len: usize, mask: u8, out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short @ 0..126), _) => out.push(mask | short),
        (_, Ok(middle)) => {
            out.push(mask | 126);
            out.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            out.push(mask | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

/// Appends a client's frame.
pub fn push_masked(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    head(opcode, payload.len(), 0x80, out);
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// Appends a server's frame.
pub fn push_plain(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    head(opcode, payload.len(), 0, out);
    out.extend_from_slice(payload);
}

/// What a client says first.
#[derive(Debug, Clone, Default)]
pub struct Upgrade {
    /// `host:port`.
    pub host: String,
    pub path: String,
    /// The subprotocol; empty: none.
    pub protocol: String,
    /// The session; empty: none.
    pub cookie: String,
}

impl Upgrade {
    /// Its bytes.
    pub fn request(&self) -> Vec<u8> {
        let Self { host, path, protocol, cookie } = self;
        let mut text = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {NONCE}\r\nSec-WebSocket-Version: 13\r\n"
        );
        for (name, value) in [("Sec-WebSocket-Protocol", protocol), ("Cookie", cookie)] {
            if !value.is_empty() {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}

/// Length of the server's answer, once it is there and says yes.
pub fn answered(bytes: &[u8]) -> Result<Option<usize>, String> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() > MAX_BYTES { Err("an endless answer".to_owned()) } else { Ok(None) };
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status != "101" {
        return Err(format!("the upgrade was answered {status}"));
    }
    if !head.contains(ACCEPT) {
        return Err("the upgrade was answered with another key".to_owned());
    }
    Ok(Some(end + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_are_found_when_they_are_whole() {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let payload = vec![7_u8; len];
            let mut bytes = Vec::new();
            push_plain(BINARY, &payload, &mut bytes);
            assert_eq!(first(&bytes[..bytes.len() - 1]), Ok(None), "{len}");
            let whole = bytes.len();
            push_plain(TEXT, b"next", &mut bytes);
            let frame = first(&bytes).expect("well-formed").expect("whole");
            assert_eq!((frame.opcode, frame.payload.len(), frame.payload.end), (BINARY, len, whole));
            assert_eq!(first(&bytes[whole..]).expect("well-formed").expect("whole").opcode, TEXT);
        }
        assert_eq!(first(&[]), Ok(None));
    }

    #[test]
    fn what_a_server_must_not_send_is_said() {
        assert!(first(&[0x01, 0]).is_err() && first(&[0x80, 0]).is_err(), "fragments");
        assert!(first(&[0xc1, 0]).is_err() && first(&[0x81, 0x80]).is_err());
        assert!(first(&[0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn a_masked_frame_reads_as_it_was() {
        let mut bytes = Vec::new();
        push_masked(TEXT, b"hello there", &mut bytes);
        assert_eq!((bytes[0], bytes[1]), (0x81, 0x80 | 11));
        let unmasked: Vec<u8> = bytes[6..].iter().zip(bytes[2..6].iter().cycle()).map(|(b, m)| b ^ m).collect();
        assert_eq!(unmasked, b"hello there");
    }

    #[test]
    fn only_the_right_answer_is_taken() {
        let yes = format!("HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {ACCEPT}\r\n\r\nrest");
        assert_eq!(answered(yes.as_bytes()), Ok(Some(yes.len() - 4)));
        assert_eq!(answered(b"HTTP/1.1 101 Switch"), Ok(None));
        assert!(answered(b"HTTP/1.1 429 Too Many Requests\r\n\r\n").is_err_and(|why| why.contains("429")));
        assert!(answered(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").is_err());
    }

    #[test]
    fn an_upgrade_names_only_what_there_is() {
        let upgrade = Upgrade { host: "h:1".to_owned(), path: "/x".to_owned(), ..Upgrade::default() };
        let text = String::from_utf8(upgrade.request()).expect("text");
        assert!(text.starts_with("GET /x HTTP/1.1\r\nHost: h:1\r\n") && text.ends_with("13\r\n\r\n"), "{text}");
        let text = String::from_utf8(Upgrade { cookie: "a=b".to_owned(), ..upgrade }.request()).expect("text");
        assert!(text.ends_with("Cookie: a=b\r\n\r\n"), "{text}");
    }
}
