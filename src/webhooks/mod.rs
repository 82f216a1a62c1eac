//! Door: webhooks that leave: what brands' systems are told of, signed, tried again, and sent again when asked.
//!
//! Standard Webhooks 1.0.0 (standardwebhooks.com). At least once, in no order; a receiver tells repetitions by `webhook-id`.

mod address;
mod endpoints;
mod event;
mod messages;
mod postman;
mod schedule;
mod sender;
mod service;
mod signature;

pub use endpoints::{DisabledBecause, EndpointState, WebhookEndpoint};
pub use event::{EventKind, News};
pub use messages::{Delivery, DeliveryWithBody, announce};
pub use schedule::{DeliveryState, Fault};
pub use service::{EndpointChange, NewEndpoint, NewSecret, WebhookError, Webhooks};
