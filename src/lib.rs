//! Root: the map.
//!
//! Hanamichi is a live-commerce backend: a liver goes live by WebRTC, viewers watch, ask and buy against one shared
//! stock, and every sale is credited in a ledger that brands can reconcile. Facts come in at the edge, a pure core
//! decides, one transaction remembers, one log tells. Read in this order:
//!
//! - [`ids`], [`money`], [`clock`], [`config`], [`ice`], [`tasks`], [`wire`]: values that every room uses
//! - [`store`], [`bus`]: the two databases behind one SQL; how news travels
//! - [`people`]: who somebody is and what they may do
//! - [`live`]: sessions, the room log and its hub, chat, questions, pins
//! - [`media`]: WHIP in, WHEP out
//! - [`commerce`]: catalogue, offers, the stock sequencer, purchases, payment
//! - [`attribution`]: touches, credits, reports
//! - [`settlement`]: contracts, statements, what livers are paid
//! - [`omo`]: where online and offline meet
//! - [`showcase`]: pins joined with offers
//! - [`showcase`]: joins pins and offers
//! - [`http`]: the edge; [`app`]: wires it all; [`demo`]: the server with a demo in it

pub mod app;
pub mod attribution;
pub mod bus;
pub mod cascade;
pub mod clock;
pub mod commerce;
pub mod config;
pub mod demo;
#[cfg(test)]
mod fuzz_tests;
pub mod http;
pub mod ice;
pub mod ids;
pub mod live;
pub mod media;
pub mod money;
pub mod omo;
pub mod people;
pub mod settlement;
pub mod showcase;
pub mod store;
pub mod tasks;
pub mod timekeeping;
pub mod verify;
pub mod webhooks;
pub mod wire;
