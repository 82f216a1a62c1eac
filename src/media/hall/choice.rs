//! Pure: which of the layers each viewer of a hall is to see: as large as it chose, or as its network carries.

use std::time::Instant;

use super::{Effect, Hall, Viewer};
use crate::media::{
    ladder::{Rates, Word},
    packet::MAX_LAYERS,
    stage::Slot,
};

/// How large a viewer wants the picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// As large as its network carries.
    #[default]
    Auto,
    /// The smallest that is sent.
    Low,
    /// The one in the middle; of two the larger.
    Middle,
    /// The largest that is sent.
    High,
}

/// The sizes that a viewer may choose from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Choices {
    /// In how many sizes the picture is sent now.
    pub layers: usize,
    /// The one that it sees: `low`, `middle` or `high`. Absent before it sees any; of one size `high`.
    pub current: Option<Choice>,
    /// What it chose.
    pub chosen: Choice,
}

impl Hall {
    /// How large a viewer wants the picture from now on.
    pub(in crate::media) fn set_choice(&mut self, slot: Slot, choice: Choice, now: Instant, effects: &mut Vec<Effect>) {
        let Some(viewer) = self.viewers.iter_mut().find(|viewer| viewer.slot == slot) else { return };
        viewer.choice = choice;
        self.next_choice = None;
        self.poll(now, effects);
    }

    /// A viewer says something of its network.
    pub(in crate::media) fn hear(&mut self, slot: Slot, word: Word, now: Instant) {
        if !self.has_layers() {
            return;
        }
        let Some(viewer) = self.viewers.iter_mut().find(|viewer| viewer.slot == slot) else { return };
        // While it waits for another layer it loses what is of the one before.
        if viewer.layer == viewer.target || matches!(word, Word::Estimate(_)) {
            viewer.ladder.hear(word, now);
        }
    }

    /// What a viewer may choose from, and what it sees.
    pub(in crate::media) fn choices(&self, slot: Slot, now: Instant) -> Choices {
        let sent: Vec<u8> = (0u8..).zip(&self.layers).filter(|(_, l)| l.is_sent(now)).map(|(at, _)| at).collect();
        let viewer = self.viewers.iter().find(|viewer| viewer.slot == slot);
        let seen = viewer.and_then(|viewer| sent.iter().position(|layer| *layer == viewer.layer));
        let current = seen.map(|at| match at {
            at if at + 1 == sent.len() => Choice::High,
            0 => Choice::Low,
            _ => Choice::Middle,
        });
        let chosen = viewer.map_or(Choice::Auto, |viewer| viewer.choice);
        Choices { layers: sent.len(), current, chosen }
    }

    /// More than one layer was ever sent.
    pub(super) fn has_layers(&self) -> bool {
        self.layers[1..].iter().any(|layer| layer.last_video.is_some())
    }

    /// Everybody's layer is the largest that is sent and that it may see.
    pub(super) fn choose(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let rates: Rates = self.layers.each_ref().map(|layer| layer.is_sent(now).then_some(layer.bits_per_s));
        let sent: Vec<u8> = (0u8..).zip(&rates).filter(|(_, rate)| rate.is_some()).map(|(at, _)| at).collect();
        // While nothing is sent everything stays as it is.
        let Some(smallest) = sent.first().copied() else { return };
        let mut wanted = [false; MAX_LAYERS];
        for viewer in &mut self.viewers {
            let limit = viewer.limit(&rates, &sent, now);
            viewer.target = sent.iter().copied().rfind(|layer| *layer <= limit).unwrap_or(smallest);
            wanted[usize::from(viewer.target)] |= viewer.target != viewer.layer;
        }
        for (at, layer) in (0u8..).zip(&mut self.layers).filter(|(at, _)| wanted[usize::from(*at)]) {
            layer.want_keyframe(at, now, effects);
        }
    }
}

impl Viewer {
    /// The largest layer that it may see.
    fn limit(&mut self, rates: &Rates, sent: &[u8], now: Instant) -> u8 {
        match self.choice {
            Choice::Low => 0,
            Choice::Middle => sent[sent.len() / 2],
            Choice::High => u8::MAX,
            // Its own viewers shall not get less because it is far away.
            Choice::Auto if self.relays => u8::MAX,
            Choice::Auto => self.ladder.decide(rates, now),
        }
    }
}
