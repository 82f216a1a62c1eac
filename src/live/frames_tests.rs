use proptest::prelude::*;
use tokio_tungstenite::tungstenite::{self, protocol::Role};

use super::*;

const MAX: usize = 4 * 1024;

/// What a client would send.
fn masked(opcode: Opcode, last: bool, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut head = BytesMut::new();
    put_header(&mut head, opcode, payload.len());
    let mut frame = head.to_vec();
    frame[0] = (frame[0] & 0x0F) | if last { 0x80 } else { 0 };
    frame[1] |= 0x80;
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.into_iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn read(bytes: &[u8]) -> (Vec<Heard>, Result<(), Fault>) {
    let mut heard = Vec::new();
    let outcome = Inbox::default().take(bytes, MAX, &mut heard);
    (heard, outcome)
}

fn continuation(last: bool, payload: &[u8]) -> Vec<u8> {
    let mut frame = masked(Opcode::Binary, last, payload, [1, 2, 3, 4]);
    frame[0] &= 0xF0;
    frame
}

/// A socket of memory for the independent implementation.
struct Memory(std::io::Cursor<Vec<u8>>);

impl std::io::Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl std::io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

proptest! {
    /// Any sequence of messages, in any fragments, with pings between them, cut at any places, is read as it was meant.
    #[test]
    fn messages_come_whole_however_they_are_cut(
        messages in prop::collection::vec((any::<bool>(), "\\PC{0,80}", 1usize..5), 1..8),
        mask in any::<[u8; 4]>(),
        cuts in prop::collection::vec(1usize..40, 1..40),
    ) {
        let (mut wire, mut expected) = (Vec::new(), Vec::new());
        for (is_text, text, parts) in &messages {
            let kind = if *is_text { Opcode::Text } else { Opcode::Binary };
            let bytes = text.as_bytes();
            let size = bytes.len().div_ceil(*parts).max(1);
            let chunks: Vec<&[u8]> = if bytes.is_empty() { vec![&[]] } else { bytes.chunks(size).collect() };
            for (n, chunk) in chunks.iter().enumerate() {
                let last = n + 1 == chunks.len();
                let mut frame = masked(kind, last, chunk, mask);
                if n > 0 {
                    frame[0] &= 0xF0;
                    wire.extend(masked(Opcode::Ping, true, b"p", mask));
                    expected.push(Heard::Ping(b"p".to_vec()));
                }
                wire.extend(frame);
            }
            expected.push(if *is_text { Heard::Text(bytes.to_vec()) } else { Heard::Binary(bytes.to_vec()) });
        }
        let (mut inbox, mut heard) = (Inbox::default(), Vec::new());
        let (mut at, mut cuts) = (0, cuts.iter().cycle());
        while at < wire.len() {
            let end = (at + cuts.next().expect("it goes round")).min(wire.len());
            prop_assert_eq!(inbox.take(&wire[at..end], MAX, &mut heard), Ok(()));
            at = end;
        }
        prop_assert_eq!(heard, expected);
        prop_assert!(inbox.partial.is_none(), "between two messages nothing is kept");
    }

    /// Rubbish ends in a fault or waits for more; it never panics and never fills the memory.
    #[test]
    fn rubbish_is_survived(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..64)) {
        let (mut inbox, mut heard) = (Inbox::default(), Vec::new());
        for chunk in chunks {
            if inbox.take(&chunk, 1_000, &mut heard).is_err() {
                return Ok(());
            }
            let kept = inbox.partial.as_ref().map_or(0, |partial| partial.stash.len() + partial.message.len());
            prop_assert!(kept <= 2 * (1_000 + MAX_HEADER_BYTES), "{kept} bytes");
        }
    }

    /// What we write another implementation reads, and what it writes we read.
    #[test]
    fn another_implementation_agrees(payload in prop::collection::vec(any::<u8>(), 0..70_000)) {
        let ours = finish(Opcode::Binary, &payload);
        prop_assert_eq!(super::payload(&ours), &payload[..]);
        let memory = Memory(std::io::Cursor::new(ours.to_vec()));
        let mut theirs = tungstenite::WebSocket::from_raw_socket(memory, Role::Client, None);
        prop_assert_eq!(theirs.read().expect("a frame"), tungstenite::Message::binary(payload.clone()));
        let frame = tungstenite::protocol::frame::Frame::message(
            payload.clone(),
            tungstenite::protocol::frame::coding::OpCode::Data(tungstenite::protocol::frame::coding::Data::Binary),
            true,
        );
        let mut bytes = Vec::new();
        let mut frame = frame;
        frame.header_mut().mask = Some([7, 0, 255, 1]);
        frame.format(&mut bytes).expect("memory takes it");
        let mut heard = Vec::new();
        prop_assert_eq!(Inbox::default().take(&bytes, 100_000, &mut heard), Ok(()));
        prop_assert_eq!(heard, [Heard::Binary(payload)]);
    }
}

#[test]
fn what_no_client_may_do_is_told_by_its_code() {
    let mask = [9, 8, 7, 6];
    let unmasked = finish(Opcode::Text, b"hi").to_vec();
    let reserved = {
        let mut frame = masked(Opcode::Text, true, b"hi", mask);
        frame[0] |= 0x40;
        frame
    };
    let unknown = {
        let mut frame = masked(Opcode::Text, true, b"hi", mask);
        frame[0] = 0x83;
        frame
    };
    let inside = [masked(Opcode::Text, false, b"a", mask), masked(Opcode::Text, true, b"b", mask)].concat();
    let cases: [(&str, Vec<u8>, u16); 13] = [
        ("unmasked", unmasked, 1002),
        ("reserved bit", reserved, 1002),
        ("unknown opcode", unknown, 1002),
        ("a message inside another", inside, 1002),
        ("a continuation of nothing", continuation(true, b"x"), 1002),
        ("a long ping", masked(Opcode::Ping, true, &[0; 126], mask), 1002),
        ("a fragmented ping", masked(Opcode::Ping, false, b"x", mask), 1002),
        ("half a close code", masked(Opcode::Close, true, &[3], mask), 1002),
        ("a forbidden close code", masked(Opcode::Close, true, &1005u16.to_be_bytes(), mask), 1002),
        ("a close reason of no text", masked(Opcode::Close, true, &[3, 232, 0xFF], mask), 1007),
        ("text of no text", masked(Opcode::Text, true, &[0xC0, 0x80], mask), 1007),
        ("too long", masked(Opcode::Binary, true, &[0; MAX + 1], mask), 1009),
        (
            "too long in parts",
            [masked(Opcode::Binary, false, &[0; MAX], mask), continuation(true, b"x")].concat(),
            1009,
        ),
    ];
    for (name, bytes, code) in cases {
        let (_, outcome) = read(&bytes);
        assert_eq!(outcome.expect_err(name).code(), code, "{name}");
    }
    // A length that no memory has is refused by its header alone.
    let mut endless = vec![0x82, 0xFF];
    endless.extend([0x7F; 8]);
    assert_eq!(read(&endless).1, Err(Fault::TooBig));
}

#[test]
fn who_leaves_says_why_or_does_not() {
    let mask = [0; 4];
    assert_eq!(read(&masked(Opcode::Close, true, b"", mask)).0, [Heard::Close(1005)]);
    assert_eq!(read(&masked(Opcode::Close, true, &1001u16.to_be_bytes(), mask)).0, [Heard::Close(1001)]);
    let frame = close(4408, &"あ".repeat(100));
    assert!(frame.len() <= 127 && std::str::from_utf8(&frame[4..]).is_ok());
}
