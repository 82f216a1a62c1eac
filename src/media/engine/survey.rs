//! Shell: looking at a live: what its legs counted, together and one by one.

use std::time::Instant;

use super::{Engine, Session};
use crate::{
    ids::LiveId,
    media::{
        leg::Sample,
        report::{MediaReport, Page, PictureState, Survey, ViewerFigures, ViewerTag},
        sfu::Slot,
    },
};

impl Engine {
    /// What is known of a live, and a page of its viewers when asked for.
    pub(super) fn survey(&self, live: &LiveId, page: Option<Page>, now: Instant) -> Survey {
        let Some(stage) = self.stages.get(live) else { return Survey::default() };
        let state = match (stage.is_up(), stage.had_picture()) {
            (true, _) => PictureState::Up,
            (false, true) => PictureState::Away,
            (false, false) => PictureState::None,
        };
        let mut report = MediaReport { state, codec: stage.codec(), ..MediaReport::default() };
        let mut viewers: Vec<(ViewerTag, Slot)> = Vec::new();
        for (slot, session) in self.sessions.iter().filter(|(_, session)| session.live == *live && session.connected) {
            match session.leg.sample(now) {
                Sample::Publisher(figures) if stage.publisher() == Some(*slot) => report.publisher = Some(figures),
                // It is about to be taken over from.
                Sample::Publisher(_) => {}
                Sample::Viewer(figures) => {
                    report.viewers.add(&figures);
                    if page.is_some() {
                        viewers.push((ViewerTag::of(&session.id), *slot));
                    }
                }
            }
        }
        Survey { report, page: page.map_or_else(Vec::new, |page| self.page(viewers, page, now)) }
    }

    fn page(&self, mut viewers: Vec<(ViewerTag, Slot)>, page: Page, now: Instant) -> Vec<(ViewerTag, ViewerFigures)> {
        viewers.retain(|(tag, _)| page.after.is_none_or(|after| *tag > after));
        viewers.sort_unstable();
        let figures = |session: &Session| match session.leg.sample(now) {
            Sample::Viewer(figures) => Some(figures),
            Sample::Publisher(_) => None,
        };
        let chosen = viewers.into_iter().take(page.limit);
        chosen.filter_map(|(tag, slot)| Some((tag, figures(self.sessions.get(&slot)?)?))).collect()
    }
}
