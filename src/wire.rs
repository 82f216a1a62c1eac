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
