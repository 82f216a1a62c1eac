//! Value: the hub's messages, generated from `proto/hanamichi/v1/hub.proto`.
//!
//! The same types speak protobuf (prost) and canonical proto JSON (pbjson). Nothing here is written by hand but the
//! small conversions at the end; whoever wants another field changes the proto.

#[allow(unreachable_pub, missing_docs, clippy::all, clippy::pedantic, reason = "generated code keeps its own style")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/hanamichi.v1.rs"));
    include!(concat!(env!("OUT_DIR"), "/hanamichi.v1.serde.rs"));
}

pub use generated::*;

impl From<server_frame::Body> for ServerFrame {
    fn from(body: server_frame::Body) -> Self {
        Self { body: Some(body) }
    }
}

impl From<personal::Body> for ServerFrame {
    fn from(body: personal::Body) -> Self {
        server_frame::Body::Personal(Personal { body: Some(body) }).into()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use data_encoding::HEXLOWER;
    use prost::Message;
    use serde::{Serialize, de::DeserializeOwned};

    use super::*;

    /// The example reads, writes back as it stands, and is exactly the bytes that stand beside it.
    fn read<M>(name: &str, text: &str, hex: &str) -> M
    where
        M: Message + Default + PartialEq + std::fmt::Debug + Serialize + DeserializeOwned,
    {
        let message: M = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let written = serde_json::to_value(&message).expect("it writes");
        let stands: serde_json::Value = serde_json::from_str(text).expect("it is JSON");
        assert_eq!(written, stands, "{name}: canonical JSON");
        assert_eq!(HEXLOWER.encode(&message.encode_to_vec()), hex.trim(), "{name}: protobuf");
        let bytes = HEXLOWER.decode(hex.trim().as_bytes()).expect("it is hexadecimal");
        assert_eq!(M::decode(bytes.as_slice()).expect("it is the message's bytes"), message, "{name}: protobuf, read");
        message
    }

    /// The cases of a oneof: a new one does not compile until it stands here, and then fails until it has an example.
    macro_rules! cases {
        ($($of:ident = $module:ident::$oneof:ident { $($case:ident),+ $(,)? })+) => {
            $(fn $of(case: &$module::$oneof) -> &'static str {
                match case {
                    $($module::$oneof::$case(..) => concat!(stringify!($of), ".", stringify!($case)),)+
                }
            })+
            const ALL: &[&str] = &[$($(concat!(stringify!($of), ".", stringify!($case)),)+)+];
        };
    }

    cases! {
        command = client_frame::Body { Resume, SendChat, Ask, Upvote, React, Click, Ping, Buy, Refresh }
        frame = server_frame::Body { Snapshot, Resumed, Batch, Reply, Personal, Pong, Goodbye }
        event = ordered::Event {
            LiveChanged, Pinned, Unpinned, QuestionChanged, SoldOut, Restocked, ChatDeleted, ChatRulesChanged, ChatPinned,
        }
        state = state::Value { Stock, Question, Viewers, Reactions, OfferLeft }
        personal = personal::Body { Purchase, Sales, Wait, Standing, Pass, Pickup }
        result = reply::Result { Problem, Chat, Question, Done, Purchase }
    }

    fn cases_of(frame_body: &server_frame::Body) -> Vec<&'static str> {
        let mut shown = vec![frame(frame_body)];
        match frame_body {
            server_frame::Body::Batch(batch) => {
                shown.extend(batch.ordered.iter().filter_map(|one| one.event.as_ref()).map(event));
                shown.extend(batch.state.iter().filter_map(|one| one.value.as_ref()).map(state));
            }
            server_frame::Body::Personal(told) => shown.extend(told.body.as_ref().map(personal)),
            server_frame::Body::Reply(reply) => shown.extend(reply.result.as_ref().map(result)),
            _ => {}
        }
        shown
    }

    #[test]
    fn every_case_has_an_example_that_means_the_same_in_both_codecs() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/examples");
        let mut shown = BTreeSet::new();
        for entry in fs::read_dir(examples).expect("the examples are there") {
            let path = entry.expect("it can be listed").path();
            let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
            match path.extension().and_then(|kind| kind.to_str()) {
                Some("json") => {}
                Some("hex") if path.with_extension("json").exists() => continue,
                _ => panic!("{name}: an example is a .json with its .hex"),
            }
            let text = fs::read_to_string(&path).expect("it can be read");
            let hex =
                fs::read_to_string(path.with_extension("hex")).unwrap_or_else(|error| panic!("{name}.hex: {error}"));
            match name.split('-').next() {
                Some("client") => shown.extend(read::<ClientFrame>(&name, &text, &hex).body.as_ref().map(command)),
                Some("server") => {
                    shown.extend(
                        read::<ServerFrame>(&name, &text, &hex).body.as_ref().map(cases_of).unwrap_or_default(),
                    );
                }
                _ => panic!("{name}: an example's name begins with client- or server-"),
            }
        }
        let missing: Vec<_> = ALL.iter().filter(|case| !shown.contains(*case)).collect();
        assert!(missing.is_empty(), "no example shows {missing:?}");
    }
}
