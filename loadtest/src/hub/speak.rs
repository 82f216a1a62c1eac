//! Edge: who fills the chat: the liver over several connections, and some customers.
//!
//! A connection may send twenty messages a second and a customer five lines in ten seconds, and of the customers' lines
//! a room shows forty a second. So the liver, whose lines always pass, says most: what is sent is what is told.

use std::time::Duration;

use futures_util::StreamExt;
use hanamichi::wire::{self, client_frame, reply, server_frame::Body};
use prost::Message as _;
use tokio::{sync::watch, task::JoinSet, time::MissedTickBehavior};
use tokio_tungstenite::tungstenite::Message;

use crate::viewer::{self, Plan};

/// Connections of the liver.
const MOUTHS: u32 = 12;
/// How often a customer talks.
const CUSTOMER_EVERY: Duration = Duration::from_millis(2_200);
/// Customers that talk.
pub const CUSTOMERS: usize = 22;
/// First byte of a reply in protobuf: field 4.
const REPLY: u8 = 0x22;

/// What was said.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said {
    pub by_liver: u64,
    pub by_customers: u64,
    pub refused: u64,
}

/// Everybody talks until told to stop: so many lines a second, together.
pub async fn talk(liver: Plan, customers: Vec<Plan>, per_s: u32, stop: watch::Receiver<bool>) -> anyhow::Result<Said> {
    let mut talking = JoinSet::new();
    let customers_ms = u32::try_from(customers.len() * 1_000)?;
    let by_customers = customers_ms / u32::try_from(CUSTOMER_EVERY.as_millis())?;
    let liver_every = Duration::from_secs(1) * MOUTHS / per_s.saturating_sub(by_customers).max(1);
    for n in 0..MOUTHS {
        talking.spawn(speak(liver.clone(), true, liver_every, liver_every * n / MOUTHS, stop.clone()));
    }
    let count = u32::try_from(customers.len().max(1))?;
    for (n, plan) in (0..).zip(customers) {
        talking.spawn(speak(plan, false, CUSTOMER_EVERY, CUSTOMER_EVERY * n / count, stop.clone()));
    }
    let mut said = Said::default();
    while let Some(one) = talking.join_next().await {
        let one = one??;
        said.by_liver += one.by_liver;
        said.by_customers += one.by_customers;
        said.refused += one.refused;
    }
    Ok(said)
}

async fn speak(
    plan: Plan,
    is_liver: bool,
    every: Duration,
    first: Duration,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<Said> {
    let mut socket = viewer::join(&plan, &hanamichi::live::Mirror::default()).await?;
    let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + first, every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut sent, mut refused) = (0, 0);
    loop {
        tokio::select! {
            _ = tick.tick() => {
                sent += 1;
                let text = format!("{sent} 本目、いい色ですね");
                viewer::send(&mut socket, plan.codec, sent, client_frame::Body::SendChat(wire::SendChat { text })).await?;
            }
            heard = socket.next() => match heard {
                Some(heard) => refused += u64::from(is_refusal(&heard?)),
                None => anyhow::bail!("the hub closed the connection of somebody who talks"),
            },
            _ = stop.changed() => break,
        }
    }
    let (by_liver, by_customers) = if is_liver { (sent, 0) } else { (0, sent) };
    Ok(Said { by_liver, by_customers, refused })
}

/// Only replies are read: the rest is the crowd's business.
fn is_refusal(heard: &Message) -> bool {
    let Message::Binary(bytes) = heard else { return false };
    if bytes.first() != Some(&REPLY) {
        return false;
    }
    let frame = wire::ServerFrame::decode(bytes.clone());
    matches!(frame.map(|frame| frame.body), Ok(Some(Body::Reply(told))) if matches!(told.result, Some(reply::Result::Problem(_))))
}

#[cfg(test)]
mod tests {
    use hanamichi::live::Codec;

    use super::*;

    #[test]
    fn a_refusal_is_told_from_an_answer() {
        let frame = |result| Codec::Proto.encode(&Body::Reply(wire::Reply { id: 1, result: Some(result) }).into());
        assert!(is_refusal(&Message::Binary(frame(reply::Result::Problem(wire::Problem::default())))));
        assert!(!is_refusal(&Message::Binary(frame(reply::Result::Done(wire::Done {})))));
        assert!(!is_refusal(&Message::text("x")));
    }
}
