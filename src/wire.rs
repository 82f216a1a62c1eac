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
    use std::path::Path;

    use prost::Message;
    use serde::{Serialize, de::DeserializeOwned};

    use super::*;

    /// The example reads, writes back as it stands, and means the same in protobuf.
    fn round_trip<M>(name: &str, text: &str)
    where
        M: Message + Default + PartialEq + std::fmt::Debug + Serialize + DeserializeOwned,
    {
        let message: M = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let written = serde_json::to_value(&message).expect("it writes");
        let stands: serde_json::Value = serde_json::from_str(text).expect("it is JSON");
        assert_eq!(written, stands, "{name}: canonical JSON");
        let decoded = M::decode(message.encode_to_vec().as_slice()).expect("our own bytes");
        assert_eq!(decoded, message, "{name}: protobuf");
    }

    #[test]
    fn every_example_round_trips_in_both_codecs() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/examples");
        let mut seen = 0;
        for entry in std::fs::read_dir(examples).expect("the examples are there") {
            let path = entry.expect("it can be listed").path();
            let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
            let text = std::fs::read_to_string(&path).expect("it can be read");
            match name.split('-').next() {
                Some("client") => round_trip::<ClientFrame>(&name, &text),
                Some("server") => round_trip::<ServerFrame>(&name, &text),
                _ => panic!("{name}: an example's name begins with client- or server-"),
            }
            seen += 1;
        }
        assert!(seen >= 18, "one of each message");
    }
}
