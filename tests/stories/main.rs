//! Stories of people, on both engines, over real sockets.

#![expect(clippy::disallowed_methods, reason = "a test spawns and reads the environment")]

mod attribution;
mod buying;
mod cluster;
mod crash;
mod crowd;
mod drop;
mod edge;
mod exports;
mod faults;
mod flow;
mod guarded;
mod harness;
mod hub;
mod import;
mod late_money;
mod lives;
mod media;
mod media_seen;
mod moderation;
mod nodes;
mod passes;
mod payment_faults;
mod payments;
mod peer;
mod pickup;
mod python;
mod race;
mod raw;
mod reconcile;
mod redis;
mod refunds;
mod relay;
mod relay_faults;
mod reports;
mod reports_live;
mod reports_people;
mod reports_sums;
mod rooms_nodes;
mod rooms_redis;
mod settlement_contracts;
mod settlement_earnings;
mod settlement_payouts;
mod settlement_statements;
mod slow;
mod stock;
#[path = "../stripe/mod.rs"]
mod stripe;
mod tenants;
mod tls;
mod upgrade;
mod viewer;
mod webhooks;
mod whip;
mod wire;
