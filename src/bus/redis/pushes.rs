//! Edge: what Redis pushes, as it is heard.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use redis::{
    PushInfo, PushKind, Value,
    aio::{AsyncPushSender, SendError},
};
use tokio::sync::mpsc;

use crate::{
    bus::{Fact, Heard, Place},
    clock::Millis,
};

/// Messages that may wait for the rooms; beyond, the node listens anew and catches up from streams and rows.
const MAX_WAITING: usize = 65_536;

pub(super) struct Sender {
    pushes: mpsc::Sender<PushInfo>,
    overrun: Arc<AtomicBool>,
}

impl AsyncPushSender for Sender {
    fn send(&self, info: PushInfo) -> Result<(), SendError> {
        self.pushes.try_send(info).map_err(|_| {
            self.overrun.store(true, Ordering::Release);
            SendError
        })
    }
}

/// What one connection was told.
pub(super) struct Pushes {
    pushes: mpsc::Receiver<PushInfo>,
    overrun: Arc<AtomicBool>,
}

pub(super) fn channel() -> (Sender, Pushes) {
    let (sender, pushes) = mpsc::channel(MAX_WAITING);
    let overrun = Arc::new(AtomicBool::new(false));
    (Sender { pushes: sender, overrun: Arc::clone(&overrun) }, Pushes { pushes, overrun })
}

impl Pushes {
    /// What comes next; `None` when the connection is lost, or could not be listened to fast enough.
    pub(super) async fn next(&mut self) -> Option<Heard> {
        loop {
            if self.overrun.load(Ordering::Acquire) {
                return None;
            }
            let push = self.pushes.recv().await?;
            match push.kind {
                PushKind::Disconnection => return None,
                PushKind::SMessage => {
                    let heard = read(&push.data);
                    if heard.is_none() {
                        tracing::warn!("a message of a newer version is not understood; passed over");
                    }
                    if let Some(heard) = heard {
                        return Some(heard);
                    }
                }
                _ => {}
            }
        }
    }
}

/// `f <fact>`, or `o <live> <epoch> <seq> <at> <fact>`.
fn read(data: &[Value]) -> Option<Heard> {
    let [_, Value::BulkString(bytes)] = data else { return None };
    let text = std::str::from_utf8(bytes).ok()?;
    if let Some(fact) = text.strip_prefix("f ") {
        return Some(Heard::Fact(Arc::new(serde_json::from_str::<Fact>(fact).ok()?), None));
    }
    let mut parts = text.strip_prefix("o ")?.splitn(5, ' ');
    let (_live, epoch, seq, at) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let place = Place { epoch: epoch.into(), seq: seq.parse().ok()?, at: Millis(at.parse().ok()?) };
    Some(Heard::Fact(Arc::new(serde_json::from_str(parts.next()?).ok()?), Some(place)))
}
