//! Shell: looking at a live: what its legs counted, together and one by one, gathered from all threads.

use std::{sync::Arc, time::Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::Engine;
use crate::{
    ids::LiveId,
    media::{
        fanout::Order,
        leg::Sample,
        report::{MediaReport, Page, PictureState, Survey},
    },
};

/// A look at a live on its way through the threads. Whoever lets go of it last, having seen it or not, answers.
#[derive(Debug)]
pub(in crate::media) struct Gathering {
    pub(in crate::media) live: LiveId,
    pub(in crate::media) page: Option<Page>,
    found: Mutex<Survey>,
    reply: Option<oneshot::Sender<Survey>>,
}

impl Gathering {
    /// What one thread found.
    pub(in crate::media) fn add(&self, found: Survey) {
        self.found.lock().merge(found, self.page);
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            // Who asked may have gone away.
            let _ = reply.send(std::mem::take(self.found.get_mut()));
        }
    }
}

impl Engine {
    /// What is known of a live, and a page of its viewers when asked for.
    pub(super) fn survey(&mut self, live: LiveId, page: Option<Page>, reply: oneshot::Sender<Survey>, now: Instant) {
        let mut report = MediaReport::default();
        let mut threads = Vec::new();
        if let Some(of_live) = self.lives.get(&live) {
            let stage = &of_live.stage;
            report.state = match (stage.is_up(), stage.had_picture()) {
                (true, _) => PictureState::Up,
                (false, true) => PictureState::Away,
                (false, false) => PictureState::None,
            };
            report.codec = stage.codec();
            let on_air = self.peers.connected(&live).find(|(slot, _)| stage.source() == Some(*slot));
            if let Some(Sample::Publisher(figures)) = on_air.map(|(_, leg)| leg.sample(now)) {
                report.publisher = Some(figures);
            }
            threads.extend(of_live.seats.iter().zip(0usize..).filter(|(seats, _)| **seats > 0).map(|(_, at)| at));
        }
        let found = Mutex::new(Survey { report, ..Survey::default() });
        let gathering = Arc::new(Gathering { live, page, found, reply: Some(reply) });
        for at in threads {
            self.links[at].order(Order::Survey(Arc::clone(&gathering)));
        }
    }
}
