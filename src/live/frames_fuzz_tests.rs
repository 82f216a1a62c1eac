//! Bytes of hostile clients: what is valid is mutated, cut at random and driven through the inbox and both codecs.
//!
//! See `fuzz_tests.rs` for how long, and from which seed.

use super::*;
use crate::{
    fuzz_tests::{Dice, run},
    live::{Codec, MAX_MESSAGE_BYTES},
};

/// Streams of the brief run: about three seconds.
const BRIEF: u64 = 30_000;
/// A stream has at most so many bytes before it is mutated.
const MAX_STREAM_BYTES: usize = 3 * MAX_MESSAGE_BYTES;

/// As a client sends it.
fn masked(first: u8, payload: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mask = [dice.byte(), dice.byte(), dice.byte(), dice.byte()];
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(short @ 0..=125) => frame.push(0x80 | u8::try_from(short).expect("it is at most 125")),
        Ok(middle) => {
            frame.push(0xFE);
            frame.extend(middle.to_be_bytes());
        }
        Err(_) => {
            frame.push(0xFF);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    let at = frame.len();
    frame.extend_from_slice(payload);
    unmask(&mut frame[at..], mask);
    frame
}

/// Every example of a client's message, whole and in fragments, and every kind of control frame.
fn seeds(dice: &mut Dice) -> Vec<Vec<u8>> {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/proto/examples");
    let mut seeds = Vec::new();
    for entry in std::fs::read_dir(examples).expect("the examples are there") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        if !name.starts_with("client-") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("it reads");
        let (kind, message) = match path.extension().and_then(|kind| kind.to_str()) {
            Some("json") => (0x1, text.into_bytes()),
            _ => {
                let digits: String = text.split_whitespace().collect();
                let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes());
                (0x2, bytes.expect("hexadecimal digits"))
            }
        };
        seeds.push(masked(0x80 | kind, &message, dice));
        let cut = dice.below(message.len());
        let mut fragments = masked(kind, &message[..cut], dice);
        fragments.extend(masked(0x89, b"between", dice));
        fragments.extend(masked(0x80, &message[cut..], dice));
        seeds.push(fragments);
    }
    assert!(seeds.len() >= 40, "an example of each message in both codecs");
    for (first, payload) in [(0x88, &b"\x03\xe8bye"[..]), (0x88, b""), (0x89, b"are you there?"), (0x8A, b"")] {
        seeds.push(masked(first, payload, dice));
    }
    for len in [125, 126, MAX_MESSAGE_BYTES - 1, MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES + 1, 70_000] {
        seeds.push(masked(0x81, &vec![b' '; len], dice));
    }
    seeds
}

/// A few seeds in a row, most of them damaged somewhere.
fn stream(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=dice.below(4) {
        bytes.extend_from_slice(dice.pick::<Vec<u8>>(seeds));
    }
    bytes.truncate(MAX_STREAM_BYTES);
    for _ in 0..dice.below(4) {
        let (at, other) = (dice.below(bytes.len()), dice.below(bytes.len()));
        if bytes.is_empty() {
            break;
        }
        match dice.below(7) {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = *dice.pick(&[0x00, 0x01, 0x7D, 0x7E, 0x7F, 0x80, 0x82, 0xFE, 0xFF, b'{', b'"']),
            2 => bytes.insert(at, dice.byte()),
            3 => drop(bytes.drain(at.min(other)..at.max(other))),
            4 => bytes.extend_from_within(at.min(other)..at.max(other)),
            5 => bytes.truncate(at),
            _ => {
                // Inside of a message, so that what is damaged comes to the codecs.
                let payload: Vec<u8> = bytes[at.min(other)..].iter().take(200).copied().collect();
                bytes.splice(at..at, masked(*dice.pick(&[0x81, 0x82, 0x01, 0x00, 0x80]), &payload, dice));
            }
        }
    }
    bytes
}

/// A message whose text is damaged, in a frame that is not.
fn damaged_message(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut inbox = Inbox::default();
    let mut heard = Vec::new();
    let _ = inbox.take(dice.pick::<Vec<u8>>(seeds), MAX_MESSAGE_BYTES, &mut heard);
    let (first, mut message) = match heard.pop() {
        Some(Heard::Text(message)) => (0x81, message),
        Some(Heard::Binary(message)) => (0x82, message),
        _ => (0x82, vec![dice.byte(), dice.byte()]),
    };
    for _ in 0..=dice.below(3) {
        let at = dice.below(message.len() + 1);
        match dice.below(3) {
            0 => message.insert(at, dice.byte() & 0x7F),
            1 if at < message.len() => message[at] = dice.byte() & 0x7F,
            _ => message.truncate(at),
        }
    }
    masked(first, &message, dice)
}

/// What comes of a stream that arrives in pieces of random size.
fn hear(bytes: &[u8], longest_piece: usize, dice: &mut Dice) -> (Vec<Heard>, Option<Fault>) {
    let (mut inbox, mut heard, mut rest) = (Inbox::default(), Vec::new(), bytes);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((1 + dice.below(longest_piece)).min(rest.len()));
        if let Err(fault) = inbox.take(piece, MAX_MESSAGE_BYTES, &mut heard) {
            return (heard, Some(fault));
        }
        let held = inbox.partial.as_ref().map_or(0, |partial| partial.stash.len() + partial.message.len());
        assert!(held <= 2 * MAX_MESSAGE_BYTES + MAX_HEADER_BYTES, "{held} bytes are kept of one client");
        rest = after;
    }
    (heard, None)
}

/// What a client's bytes go through, and what must hold of it.
fn drive(bytes: &[u8], dice: &mut Dice) -> usize {
    let (heard, fault) = hear(bytes, bytes.len().max(1), dice);
    let again = hear(bytes, 7, dice);
    assert_eq!((&heard, fault), (&again.0, again.1), "how a stream is cut does not matter");
    if let Some(fault) = fault {
        assert!([1002, 1007, 1009].contains(&fault.code()));
        assert!(close(fault.code(), fault.reason()).len() <= 2 + MAX_CONTROL_BYTES);
    }
    let mut understood = 0;
    for message in &heard {
        let (codec, message) = match message {
            Heard::Text(message) => {
                assert!(std::str::from_utf8(message).is_ok());
                (Codec::Json, message)
            }
            Heard::Binary(message) => (Codec::Proto, message),
            Heard::Ping(payload) => {
                assert!(payload.len() <= MAX_CONTROL_BYTES);
                continue;
            }
            Heard::Close(code) => {
                assert!((1000..5000).contains(code));
                continue;
            }
            Heard::Pong => continue,
        };
        assert!(message.len() <= MAX_MESSAGE_BYTES);
        if let Ok(frame) = codec.decode(message) {
            understood += 1;
            let back = codec.decode(&codec.encode_client(&frame)).expect("what was read can be written and read");
            assert_eq!(back, frame);
        }
    }
    understood
}

#[test]
fn no_clients_bytes_do_harm() {
    let (mut seed_frames, mut streams) = (Vec::new(), 0u64);
    let understood = run("frames of the hub", BRIEF, |dice| {
        if seed_frames.is_empty() {
            seed_frames = seeds(dice);
            for whole in &seed_frames {
                drive(whole, dice);
            }
        }
        streams += 1;
        let bytes = if streams % 3 == 0 { damaged_message(&seed_frames, dice) } else { stream(&seed_frames, dice) };
        drive(&bytes, dice)
    });
    assert!(understood > 10, "most streams are not rubbish: {understood} of 100");
}
