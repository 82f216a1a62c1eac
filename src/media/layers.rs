//! Pure: which of a publisher's streams is which size of its picture.
//!
//! A publisher names its sizes in its offer, in an order that says nothing. Until keyframes have told how large each is,
//! the usual names count. Invariant: each stream's first size is taken, so the order stands once each has told one.

use super::packet::MAX_LAYERS;

/// Sizes that are agreed on: OBS offers up to four and goes on air with no fewer. Of four the second largest is not used.
pub(super) const MAX_OFFERED: usize = 4;

/// The sizes in which a publisher may send its picture, by their place in its offer.
#[derive(Debug, Clone, Default)]
pub(super) struct Layers {
    names: Vec<String>,
    /// Places in the offer, from the smallest to the largest.
    order: Vec<usize>,
    /// What each told first, in pixels.
    areas: Vec<Option<u32>>,
}

impl Layers {
    /// Those of an offer; an offer without any has one stream without a name.
    pub(super) fn new(names: &[String]) -> Self {
        let names = names[..names.len().min(MAX_OFFERED)].to_vec();
        let mut order: Vec<usize> = (0..names.len()).collect();
        if let Some(ranks) = names.iter().map(|name| rank(name)).collect::<Option<Vec<u32>>>() {
            order.sort_by_key(|at| ranks[*at]);
        }
        Self { areas: vec![None; names.len()], order, names }
    }

    /// The stream of this name.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// Of a stream, which layer it is; nothing when it is one too many.
    pub(super) fn layer(&self, stream: usize) -> Option<u8> {
        if self.names.is_empty() {
            return Some(0);
        }
        self.used().position(|at| at == stream).and_then(|layer| u8::try_from(layer).ok())
    }

    /// The name of a layer's stream.
    pub(super) fn name(&self, layer: u8) -> Option<&str> {
        let stream = self.used().nth(usize::from(layer))?;
        self.names.get(stream).map(String::as_str)
    }

    /// The smaller ones and the largest.
    fn used(&self) -> impl Iterator<Item = usize> {
        let (smaller, largest) = self.order.split_at(self.order.len().saturating_sub(1));
        smaller.iter().take(MAX_LAYERS - 1).chain(largest).copied()
    }

    /// A stream's keyframe is so large; whether that changes which layer is which.
    pub(super) fn note(&mut self, stream: usize, (width, height): (u16, u16)) -> bool {
        match self.areas.get_mut(stream) {
            Some(area @ None) => *area = Some(u32::from(width) * u32::from(height)),
            Some(Some(_)) | None => return false,
        }
        // Who has not told stays at its place.
        let is_known = |stream: &usize| self.areas[*stream].is_some();
        let mut known: Vec<usize> = self.order.iter().copied().filter(is_known).collect();
        known.sort_by_key(|stream| self.areas[*stream]);
        let mut known = known.into_iter();
        let before = self.order.clone();
        for stream in self.order.iter_mut().filter(|stream| self.areas[**stream].is_some()) {
            *stream = known.next().unwrap_or(*stream);
        }
        self.order != before
    }
}

/// Names that say how large: quarter, half, full; low, middle, high; a number at the end.
fn rank(name: &str) -> Option<u32> {
    let digits = name.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    if !digits.is_empty() {
        return digits.parse().ok();
    }
    match name.chars().next()?.to_ascii_lowercase() {
        'q' | 'l' => Some(0),
        'm' => Some(1),
        'h' => Some(2),
        'f' => Some(3),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(names: &[&str]) -> Layers {
        Layers::new(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    fn order(layers: &Layers) -> Vec<&str> {
        (0..3).filter_map(|layer| layers.name(layer)).collect()
    }

    #[test]
    fn the_usual_names_tell_before_any_picture_came() {
        assert_eq!(order(&layers(&["f", "q", "h"])), ["q", "h", "f"]);
        assert_eq!(order(&layers(&["high", "low", "mid"])), ["low", "mid", "high"]);
        assert_eq!(order(&layers(&["r2", "r0", "r1"])), ["r0", "r1", "r2"]);
        assert_eq!(order(&layers(&["b", "f", "a"])), ["b", "f", "a"], "one name says nothing, so none does");
        let four = layers(&["0", "1", "2", "3"]);
        assert_eq!(order(&four), ["0", "1", "3"], "one more than we carry");
        assert_eq!([0, 1, 2, 3].map(|stream| four.layer(stream)), [Some(0), Some(1), None, Some(2)]);
        assert_eq!(order(&layers(&["h", "f"])), ["h", "f"]);
        assert_eq!((layers(&[]).layer(0), layers(&[]).name(0)), (Some(0), None));
    }

    #[test]
    fn sizes_count_more_than_names_and_only_once() {
        // OBS numbers its sizes from the largest.
        let mut layers = layers(&["0", "1", "2"]);
        assert!(!layers.note(0, (1_280, 720)), "the first alone contradicts nobody");
        assert!(layers.note(1, (852, 480)));
        assert_eq!(order(&layers), ["1", "0", "2"], "of the last nothing is known");
        assert!(layers.note(2, (426, 240)));
        assert_eq!(order(&layers), ["2", "1", "0"]);
        assert_eq!([0, 1, 2].map(|stream| layers.layer(stream)), [Some(2), Some(1), Some(0)]);
        assert!(!layers.note(2, (4_000, 4_000)), "an encoder that changes its mind changes no order");
        assert_eq!(layers.find("2"), Some(2));
        assert_eq!(layers.find("9"), None);
    }

    proptest::proptest! {
        #[test]
        fn every_layer_is_always_one_stream(told in proptest::collection::vec((0usize..5, 1u16..2_000), 0..12)) {
            let mut layers = layers(&["w", "x", "y", "z"]);
            let mut first = [None; 4];
            for (stream, side) in told {
                layers.note(stream, (side, side));
                if let Some(first) = first.get_mut(stream) {
                    first.get_or_insert(side);
                }
                let mut seen = [0, 1, 2, 3].map(|stream| layers.layer(stream));
                let sides: Vec<u16> = layers.order.iter().filter_map(|stream| first[*stream]).collect();
                proptest::prop_assert!(sides.is_sorted());
                seen.sort_unstable();
                proptest::prop_assert_eq!(seen, [None, Some(0), Some(1), Some(2)]);
            }
        }
    }
}
