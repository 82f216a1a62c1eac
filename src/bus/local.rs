//! Edge: the bus inside one process.
//!
//! Invariant: a subscriber hears published facts in order and without loss; offered ones it may miss when it is full.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::Fact;

/// Facts a subscriber may be behind: then `publish` waits for it (the relay, and nobody who holds a lock or a
/// transaction), and `offer` passes it over.
const BACKLOG: usize = 4_096;

/// Everybody who listens. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Local {
    /// Rule: locked only to copy or change the list, never across an await.
    subscribers: Arc<Mutex<Vec<mpsc::Sender<Arc<Fact>>>>>,
}

/// One who listens.
#[derive(Debug)]
pub struct LocalSubscriber {
    facts: mpsc::Receiver<Arc<Fact>>,
}

impl Local {
    pub(super) async fn publish(&self, fact: Arc<Fact>) {
        let subscribers = self.subscribers.lock().clone();
        let mut gone = false;
        for subscriber in subscribers {
            gone |= subscriber.send(Arc::clone(&fact)).await.is_err();
        }
        if gone {
            self.subscribers.lock().retain(|subscriber| !subscriber.is_closed());
        }
    }

    pub(super) fn offer(&self, fact: &Arc<Fact>) {
        for subscriber in self.subscribers.lock().iter() {
            // Full or gone: this class may be lost.
            let _ = subscriber.try_send(Arc::clone(fact));
        }
    }

    pub(super) fn subscribe(&self) -> LocalSubscriber {
        let (tell, facts) = mpsc::channel(BACKLOG);
        self.subscribers.lock().push(tell);
        LocalSubscriber { facts }
    }
}

impl LocalSubscriber {
    pub(super) async fn next(&mut self) -> Option<Arc<Fact>> {
        self.facts.recv().await
    }
}
