//! Shell: the cost of forwarding media against the least that it can cost, and whether what arrives is whole.
//!
//! Owns the order of measurements: in each round all contenders by turns, each as a process of its own with the same
//! stream and as many viewers. What is measured goes through WHIP and WHEP only.

mod bare;
pub mod clip;
mod contender;
pub mod crowd;
pub mod endurance;
mod janus;
mod keyframe;
mod measure;
pub mod publisher;
mod report;
pub mod rtp;
pub mod sdp;
mod sent;
pub mod soak;
pub mod stun;
pub mod thread;
pub mod transport;
pub mod viewer;
mod watch;

use std::{path::PathBuf, time::Duration};

use crate::{hub, server};
use contender::Who;
use measure::Load;
use transport::Identity;

pub use bare::{BareArgs, run as run_bare};
pub use report::{Results, as_json, as_table};

/// Files that a process opens besides its viewers' sockets; Janus opens several for each.
const OTHER_FILES: usize = 2_000;

/// What to run.
#[derive(Debug, Clone)]
pub struct Size {
    pub viewers: usize,
    pub rounds: usize,
    pub seconds: u64,
    /// From the first packet of a frame to the last.
    pub spread: Duration,
    /// Everything is sent so many times more rarely.
    pub slowed_by: u32,
    pub joins_per_s: u32,
    pub janus: bool,
    pub bare: bool,
    pub server: Option<PathBuf>,
}

fn say(what: &str) {
    eprintln!("loadtest: {what}");
}

/// Runs everything.
pub async fn run(size: &Size) -> anyhow::Result<Results> {
    hub::allow_files(size.viewers + OTHER_FILES)?;
    let load = Load {
        viewers: size.viewers,
        seconds: size.seconds,
        spread: size.spread,
        slowed_by: size.slowed_by,
        joins_per_s: size.joins_per_s,
        binary: server::find_binary(size.server.as_deref())?,
    };
    let mut whom = vec![Who::Product];
    if size.bare {
        whom.extend([Who::Bare, Who::BareGso]);
    }
    if size.janus && janus::is_installed() {
        whom.push(Who::Janus);
    } else if size.janus {
        say("Janus is not installed, or this host has loopback addresses only: it is left out");
    }
    let identity = Identity::fresh()?;
    let mut results = Results {
        viewers: size.viewers,
        seconds: size.seconds,
        spread: size.spread,
        slowed_by: size.slowed_by,
        rounds: Vec::new(),
    };
    for n in 1..=size.rounds {
        let mut round = Vec::new();
        for who in &whom {
            say(&format!("round {n} of {}: {} with {} viewers", size.rounds, who.name(), size.viewers));
            let passed = match measure::measure(*who, &load, &identity).await {
                Ok(passed) => passed,
                // A peer that cannot be measured here is no fault of the product.
                Err(error) if *who == Who::Janus => {
                    say(&format!("  left out: {error:#}"));
                    continue;
                }
                Err(error) => return Err(error),
            };
            say(&format!(
                "  {:.2} us a packet, {} packets; lost {}, repeated {}, damaged {}",
                passed.us_per_packet(),
                passed.packets,
                passed.lost,
                passed.repeated,
                passed.damaged
            ));
            round.push(passed);
        }
        results.rounds.push(round);
    }
    Ok(results)
}
