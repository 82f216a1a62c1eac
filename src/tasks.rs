//! Value: where every background task starts and how it is told to stop.
//!
//! Invariant: nothing else spawns on the runtime, so a stop waits for all there is.

use std::future::Future;

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

/// Starts named tasks and stops them all. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    /// First word: finish what you have, take nothing new.
    stopping: CancellationToken,
}

impl Tasks {
    /// None running.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `future` to its end; [`Tasks::stop`] waits for it.
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tracker.spawn(future.instrument(tracing::info_span!("task", task.name = name)));
    }

    /// Fires when the server begins to stop. Whoever loops must watch it.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// Tells every task to finish and waits until all have.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}
