//! Edge: frames of the hub, as JSON text and as protobuf.
//!
//! Owns the two subprotocols and nothing of what the messages mean. A frame is encoded once per codec, however many
//! connections it goes to; the personal part of a snapshot is spliced into the shared bytes.
//! Invariant: both codecs carry the same message; unknown fields and cases are ignored, never refused.

use bytes::Bytes;
use prost::Message as _;

use super::{
    frames::{self, Opcode},
    log::CODECS,
};
use crate::wire;

/// How a connection's frames are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Canonical proto JSON in text frames.
    Json,
    /// Protobuf in binary frames.
    Proto,
}

/// A frame that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Not JSON of a client's frame.
    #[error("not a frame in JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Not protobuf of a client's frame.
    #[error("not a frame in protobuf: {0}")]
    Proto(#[from] prost::DecodeError),
}

/// Field number of `Snapshot.upvoted_question_ids`.
const UPVOTED_TAG: u32 = 11;
/// Field number of `ServerFrame.snapshot`.
const SNAPSHOT_TAG: u32 = 1;

impl Codec {
    /// All of them, the default first.
    pub const ALL: [Self; CODECS] = [Self::Json, Self::Proto];

    /// The WebSocket subprotocol.
    #[must_use]
    pub fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "hanamichi.v1.json",
            Self::Proto => "hanamichi.v1.proto",
        }
    }

    /// The codec of a subprotocol.
    #[must_use]
    pub fn of_subprotocol(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.subprotocol() == name)
    }

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Json => 0,
            Self::Proto => 1,
        }
    }

    /// The kind of WebSocket frame.
    #[must_use]
    pub fn opcode(self) -> Opcode {
        match self {
            Self::Json => Opcode::Text,
            Self::Proto => Opcode::Binary,
        }
    }

    /// Finishes a frame as it goes into the socket.
    #[must_use]
    pub fn finish(self, frame: &wire::ServerFrame) -> Bytes {
        frames::finish(self.opcode(), &self.encode(frame))
    }

    /// Writes a message.
    #[must_use]
    pub fn encode(self, frame: &wire::ServerFrame) -> Bytes {
        match self {
            Self::Json => serde_json::to_vec(frame).expect("our messages have no maps with odd keys").into(),
            Self::Proto => frame.encode_to_vec().into(),
        }
    }

    /// Reads what a client sent.
    ///
    /// # Errors
    /// When the bytes are no frame of this codec.
    pub fn decode(self, bytes: &[u8]) -> Result<wire::ClientFrame, CodecError> {
        Ok(match self {
            Self::Json => serde_json::from_slice(bytes)?,
            Self::Proto => wire::ClientFrame::decode(bytes)?,
        })
    }

    /// Reads what a server sent: for clients in tests and the load test.
    ///
    /// # Errors
    /// When the bytes are no frame of this codec.
    pub fn decode_server(self, bytes: &[u8]) -> Result<wire::ServerFrame, CodecError> {
        Ok(match self {
            Self::Json => serde_json::from_slice(bytes)?,
            Self::Proto => wire::ServerFrame::decode(bytes)?,
        })
    }

    /// Writes what a client sends: for clients in tests and the load test.
    #[must_use]
    pub fn encode_client(self, frame: &wire::ClientFrame) -> Bytes {
        match self {
            Self::Json => serde_json::to_vec(frame).expect("our messages have no maps with odd keys").into(),
            Self::Proto => frame.encode_to_vec().into(),
        }
    }

    /// The shared part of a snapshot, made once for everybody.
    pub(crate) fn encode_snapshot(self, snapshot: &wire::Snapshot) -> SnapshotBytes {
        let body = match self {
            Self::Json => serde_json::to_vec(snapshot).expect("our messages have no maps with odd keys").into(),
            Self::Proto => snapshot.encode_to_vec().into(),
        };
        SnapshotBytes { codec: self, body }
    }
}

/// A snapshot without its personal part.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotBytes {
    codec: Codec,
    body: Bytes,
}

impl SnapshotBytes {
    /// The finished frame for one customer: the shared bytes and the questions they voted for.
    pub(crate) fn frame(&self, upvoted: &[String]) -> Bytes {
        frames::finish(self.codec.opcode(), &self.message(upvoted))
    }

    fn message(&self, upvoted: &[String]) -> Bytes {
        match self.codec {
            Codec::Json => self.json_frame(upvoted),
            Codec::Proto => self.proto_frame(upvoted),
        }
    }

    fn json_frame(&self, upvoted: &[String]) -> Bytes {
        let mut text = Vec::with_capacity(self.body.len() + 64 + upvoted.len() * 40);
        text.extend_from_slice(br#"{"snapshot":"#);
        let open = self.body.strip_suffix(b"}").expect("an object ends with a brace");
        text.extend_from_slice(open);
        if !upvoted.is_empty() {
            // An empty object has no member to be separated from.
            if open.len() > 1 {
                text.push(b',');
            }
            text.extend_from_slice(br#""upvotedQuestionIds":"#);
            serde_json::to_writer(&mut text, upvoted).expect("strings into memory");
        }
        text.extend_from_slice(b"}}");
        text.into()
    }

    fn proto_frame(&self, upvoted: &[String]) -> Bytes {
        use prost::encoding::{WireType, encode_key, encode_varint, string};
        let personal_len = string::encoded_len_repeated(UPVOTED_TAG, upvoted);
        let len = self.body.len() + personal_len;
        let mut frame = Vec::with_capacity(len + 12);
        encode_key(SNAPSHOT_TAG, WireType::LengthDelimited, &mut frame);
        encode_varint(len as u64, &mut frame);
        frame.extend_from_slice(&self.body);
        string::encode_repeated(UPVOTED_TAG, upvoted, &mut frame);
        frame.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::server_frame::Body;

    #[test]
    fn a_spliced_snapshot_reads_as_if_it_had_been_whole() {
        let snapshot = wire::Snapshot {
            epoch: "e".to_owned(),
            seq: 7,
            live: Some(wire::Live { title: "\"}夏".to_owned(), ..wire::Live::default() }),
            ..wire::Snapshot::default()
        };
        for codec in Codec::ALL {
            for (shared, upvoted) in [
                (snapshot.clone(), vec![]),
                (snapshot.clone(), vec!["qst_1".to_owned(), "qst_2".to_owned()]),
                (wire::Snapshot::default(), vec!["qst_1".to_owned()]),
            ] {
                let bytes = codec.encode_snapshot(&shared).message(&upvoted);
                let whole = wire::Snapshot { upvoted_question_ids: upvoted, ..shared };
                let read = codec.decode_server(&bytes).expect("it reads");
                assert_eq!(read.body, Some(Body::Snapshot(whole)));
            }
        }
    }

    #[test]
    fn what_is_unknown_is_ignored() {
        let frame = Codec::Json.decode(br#"{"id":"3","ping":{"clientAtMs":"5","colour":"red"},"later":1}"#);
        let frame = frame.expect("unknown members are no error");
        assert_eq!((frame.id, frame.body.is_some()), (3, true));
        let empty = Codec::Json.decode(br#"{"id":3,"teleport":{}}"#).expect("an unknown case is no error");
        assert!(empty.body.is_none());
        // Field 99, varint 1.
        let frame = Codec::Proto.decode(&[0x08, 0x03, 0x98, 0x06, 0x01]).expect("unknown fields are no error");
        assert_eq!(frame.id, 3);
        assert!(Codec::Json.decode(b"{").is_err() && Codec::Proto.decode(&[0xff]).is_err());
    }
}
