//! Edge: where pictures come in, in Redis: a key for each live that goes when it is not said again.

use redis::RedisError;

use super::{Keys, Redis};
use crate::{
    bus::{BusAway, ORIGIN_TTL, Origin},
    ids::LiveId,
};

/// Ours stays, nobody's becomes ours, another's is told. ARGV: ours, milliseconds.
const KEEP: &str = "
local known = redis.call('GET', KEYS[1])
if known and known ~= ARGV[1] then return known end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]";
/// Ours goes. ARGV: ours.
const LEAVE: &str = "
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return ''";

fn ttl_ms() -> u64 {
    u64::try_from(ORIGIN_TTL.as_millis()).unwrap_or(u64::MAX)
}

fn text(origin: &Origin) -> String {
    serde_json::to_string(origin).expect("text")
}

impl Redis {
    async fn ask(&self, command: &redis::Cmd) -> Result<Option<Origin>, BusAway> {
        // Nobody waits for a Redis that is away: pictures go on without it.
        let link = self.link().ok_or(BusAway::Silent)?;
        let answer: Result<Option<String>, RedisError> = command.query_async(&mut link.commands.clone()).await;
        let known = answer.map_err(|error| {
            self.lose(&error);
            BusAway::Silent
        })?;
        // What cannot be read is of a version that we cannot pull from.
        Ok(known.and_then(|known| serde_json::from_str(&known).ok()))
    }

    pub(in crate::bus) async fn claim(&self, live: &LiveId, origin: &Origin) -> Result<(), BusAway> {
        let mut command = redis::cmd("SET");
        command.arg(Keys::origin(live)).arg(text(origin)).arg("PX").arg(ttl_ms());
        self.ask(&command).await.map(drop)
    }

    pub(in crate::bus) async fn keep_claim(&self, live: &LiveId, origin: &Origin) -> Result<Option<Origin>, BusAway> {
        let mut command = redis::cmd("EVAL");
        command.arg(KEEP).arg(1).arg(Keys::origin(live)).arg(text(origin)).arg(ttl_ms());
        self.ask(&command).await
    }

    pub(in crate::bus) async fn leave_claim(&self, live: &LiveId, origin: &Origin) -> Result<(), BusAway> {
        let mut command = redis::cmd("EVAL");
        command.arg(LEAVE).arg(1).arg(Keys::origin(live)).arg(text(origin));
        self.ask(&command).await.map(drop)
    }

    pub(in crate::bus) async fn origin(&self, live: &LiveId) -> Result<Option<Origin>, BusAway> {
        let mut command = redis::cmd("GET");
        command.arg(Keys::origin(live));
        self.ask(&command).await
    }
}
