//! Value: what the media room tells about a live: its publisher's figures, its viewers', one by one and together.
//!
//! Invariants: everything here can be merged, for the sessions of a live may lie with several engines; a session's id is
//! a right and never stands in a report, only its [`ViewerTag`].

use std::{fmt, time::Duration};

use sha2::{Digest, Sha256};

use super::VideoCodec;
use crate::ids::MediaSessionId;

/// Viewers of one page at most.
pub const MAX_VIEWERS_OF_A_PAGE: usize = 1_000;

/// Whether there is a picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PictureState {
    /// There was none yet.
    #[default]
    None,
    /// The publisher is lost; viewers wait.
    Away,
    /// A publisher is on air.
    Up,
}

/// Over which network a peer comes; always UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// One live.
#[derive(Debug, Clone, Default)]
pub struct MediaReport {
    /// Whether there is a picture.
    pub state: PictureState,
    /// The live's codec.
    pub codec: Option<VideoCodec>,
    /// Who is on air, or about to be.
    pub publisher: Option<PublisherFigures>,
    /// Everybody who watches.
    pub viewers: Audience,
}

impl MediaReport {
    /// Adds what another engine knows of the same live.
    pub fn merge(&mut self, other: Self) {
        self.state = self.state.max(other.state);
        self.codec = self.codec.or(other.codec);
        self.publisher = self.publisher.take().or(other.publisher);
        self.viewers.merge(&other.viewers);
    }
}

/// What comes from a publisher. Rates and fractions are those of the last whole second or so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublisherFigures {
    /// Since the session was opened.
    pub open_for: Duration,
    /// Payload of the picture.
    pub video_bits_per_s: u64,
    /// Payload of the sound.
    pub audio_bits_per_s: u64,
    /// Packets of the picture that came.
    pub video_packets: u64,
    /// Packets of the sound that came.
    pub audio_packets: u64,
    /// Packets of the picture that never came.
    pub video_lost: u64,
    /// Packets of the sound that never came: nobody sends them again.
    pub audio_lost: u64,
    /// Packets of both that came after later ones: sent again, or overtaken.
    pub late: u64,
    /// Of ten thousand packets of the picture, those that never came.
    pub loss_bp: u32,
    /// Of ten thousand packets of the picture, those that came late.
    pub late_bp: u32,
    /// How unevenly pictures come (RFC 3550, section 6.4.1).
    pub jitter: Duration,
    /// As the publisher's reports tell it; not all do.
    pub round_trip: Option<Duration>,
    /// Pictures a second.
    pub frames_per_s: u32,
    /// Width and height, once a keyframe told them.
    pub size: Option<(u16, u16)>,
    /// Keyframes that came.
    pub keyframes: u64,
    /// Between the newest two.
    pub keyframe_interval: Option<Duration>,
    /// Since the newest.
    pub since_keyframe: Option<Duration>,
    /// Keyframes that we asked for.
    pub keyframes_asked: u64,
    /// The sizes in which the picture is sent now, from the smallest; all else is said of the largest.
    pub layers: Vec<LayerFigures>,
}

/// A picture in one of its sizes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LayerFigures {
    /// Payload.
    pub bits_per_s: u64,
    /// Width and height, once a keyframe told them.
    pub size: Option<(u16, u16)>,
    /// Pictures a second.
    pub frames_per_s: u32,
}

/// What goes to one viewer, and what it says of it. Rates are those of the last whole second or so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ViewerFigures {
    /// Since the session was opened.
    pub open_for: Duration,
    /// Over which network; nothing before the connection stands.
    pub network: Option<Network>,
    /// Payload, what is sent again included.
    pub bits_per_s: u64,
    /// Packets that were sent.
    pub packets_sent: u64,
    /// Packets that were sent once more.
    pub packets_resent: u64,
    /// Of ten thousand packets of the picture, those lost; in its newest report.
    pub loss_bp: Option<u32>,
    /// Packets of the picture lost so far; in its newest report.
    pub lost: i64,
    /// How unevenly pictures come; in its newest report.
    pub jitter: Option<Duration>,
    /// There and back.
    pub round_trip: Option<Duration>,
    /// Packets that it asked for again.
    pub nacks: u64,
    /// Keyframes that it asked for.
    pub keyframes_asked: u64,
}

/// All viewers of a live, as sums and spreads.
#[derive(Debug, Clone, Default)]
pub struct Audience {
    /// Connected viewers.
    pub count: u64,
    /// To all of them.
    pub bits_per_s: u64,
    /// Packets sent to those who are here.
    pub packets_sent: u64,
    /// Packets sent to them once more.
    pub packets_resent: u64,
    /// Packets that they asked for again.
    pub nacks: u64,
    /// Keyframes that they asked for.
    pub keyframes_asked: u64,
    /// [`ViewerFigures::loss_bp`] of those who reported.
    pub loss_bp: Spread,
    /// Round trips in microseconds of those of whom one is known.
    pub round_trip_us: Spread,
}

impl Audience {
    /// One more.
    pub fn add(&mut self, viewer: &ViewerFigures) {
        self.count += 1;
        self.bits_per_s += viewer.bits_per_s;
        self.packets_sent += viewer.packets_sent;
        self.packets_resent += viewer.packets_resent;
        self.nacks += viewer.nacks;
        self.keyframes_asked += viewer.keyframes_asked;
        if let Some(loss) = viewer.loss_bp {
            self.loss_bp.add(loss);
        }
        if let Some(trip) = viewer.round_trip {
            self.round_trip_us.add(u32::try_from(trip.as_micros()).unwrap_or(u32::MAX));
        }
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.bits_per_s += other.bits_per_s;
        self.packets_sent += other.packets_sent;
        self.packets_resent += other.packets_resent;
        self.nacks += other.nacks;
        self.keyframes_asked += other.keyframes_asked;
        self.loss_bp.merge(&other.loss_bp);
        self.round_trip_us.merge(&other.round_trip_us);
    }
}

/// Octaves are cut into so many steps: percentiles are right to an eighth.
const STEPS: u32 = 8;
/// Steps of all values up to `u32::MAX`.
const BUCKETS: usize = 240;

/// How values are spread, in bounded room.
#[derive(Clone)]
pub struct Spread {
    buckets: [u32; BUCKETS],
    count: u64,
    least: u32,
    most: u32,
}

impl Default for Spread {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], count: 0, least: u32::MAX, most: 0 }
    }
}

impl fmt::Debug for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spread")
            .field("count", &self.count)
            .field("median", &self.percentile(50))
            .finish_non_exhaustive()
    }
}

/// Values below two octaves of steps have a bucket each.
fn bucket(value: u32) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let octave = value.ilog2() - STEPS.ilog2();
    (octave * STEPS + (value >> octave)) as usize
}

/// The largest value of a bucket.
fn most_of(bucket: usize) -> u32 {
    let bucket = u32::try_from(bucket).unwrap_or(u32::MAX);
    if bucket < 2 * STEPS {
        return bucket;
    }
    let octave = bucket / STEPS - 1;
    let top = u64::from(bucket % STEPS + STEPS + 1) << octave;
    u32::try_from(top - 1).unwrap_or(u32::MAX)
}

impl Spread {
    /// One more value.
    pub fn add(&mut self, value: u32) {
        self.buckets[bucket(value)] += 1;
        self.count += 1;
        self.least = self.least.min(value);
        self.most = self.most.max(value);
    }

    /// What another saw besides.
    pub fn merge(&mut self, other: &Self) {
        for (ours, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *ours += theirs;
        }
        self.count += other.count;
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
    }

    /// A value that so many of a hundred do not exceed, an eighth too large at most; nothing of nothing.
    #[must_use]
    pub fn percentile(&self, of_hundred: u64) -> Option<u32> {
        let rank = (self.count * of_hundred.min(100)).div_ceil(100).max(1);
        let mut seen = 0;
        let found = self.buckets.iter().position(|count| {
            seen += u64::from(*count);
            seen >= rank
        });
        found.filter(|_| self.count > 0).map(|bucket| most_of(bucket).clamp(self.least, self.most))
    }
}

/// What a viewer's session is called in public: its id is the right to end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ViewerTag(u64);

impl ViewerTag {
    /// Of this session.
    #[must_use]
    pub fn of(session: &MediaSessionId) -> Self {
        let digest = Sha256::digest(session.as_str());
        Self(digest.iter().take(8).fold(0, |tag, byte| tag << 8 | u64::from(*byte)))
    }

    /// Reads what [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_ours = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        u64::from_str_radix(text, 16).ok().filter(|_| is_ours).map(Self)
    }
}

impl fmt::Display for ViewerTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Which viewers are asked for: so many, in the order of their tags, after this one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub(super) after: Option<ViewerTag>,
    pub(super) limit: usize,
}

/// What one thread knows of a live.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) report: MediaReport,
    /// The page that was asked for, in order.
    pub(super) page: Vec<(ViewerTag, ViewerFigures)>,
}

impl Survey {
    /// Adds what another thread knows; both were asked for the same page.
    pub(super) fn merge(&mut self, other: Self, page: Option<Page>) {
        self.report.merge(other.report);
        self.page.extend(other.page);
        self.page.sort_unstable_by_key(|(tag, _)| *tag);
        self.page.truncate(page.map_or(0, |page| page.limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn viewer(loss: Option<u32>, trip_ms: u64) -> ViewerFigures {
        let round_trip = Some(Duration::from_millis(trip_ms));
        ViewerFigures { bits_per_s: 1_000, packets_sent: 5, loss_bp: loss, round_trip, ..ViewerFigures::default() }
    }

    #[test]
    fn two_halves_of_an_audience_are_the_audience() {
        let everybody: Vec<ViewerFigures> =
            (0..200).map(|n| viewer((n % 3 != 0).then_some(n), u64::from(n) * 2)).collect();
        let all = |viewers: &[ViewerFigures]| {
            let mut audience = Audience::default();
            for viewer in viewers {
                audience.add(viewer);
            }
            audience
        };
        let whole = all(&everybody);
        let mut halves = MediaReport { viewers: all(&everybody[..70]), ..MediaReport::default() };
        let state = PictureState::Up;
        halves.merge(MediaReport { state, viewers: all(&everybody[70..]), ..MediaReport::default() });
        assert_eq!(halves.state, PictureState::Up);
        assert_eq!(
            (halves.viewers.count, halves.viewers.bits_per_s, halves.viewers.packets_sent),
            (200, 200_000, 1_000)
        );
        for of_hundred in [0, 50, 95, 100] {
            let spreads = |audience: &Audience| {
                (audience.loss_bp.percentile(of_hundred), audience.round_trip_us.percentile(of_hundred))
            };
            assert_eq!(spreads(&halves.viewers), spreads(&whole));
        }
        assert_eq!(whole.loss_bp.percentile(100), Some(199));
        assert_eq!(whole.loss_bp.percentile(0), Some(1));
    }

    #[test]
    fn pages_of_two_engines_are_one_page() {
        let survey = |tags: &[u64]| Survey {
            page: tags.iter().map(|tag| (ViewerTag(*tag), ViewerFigures::default())).collect(),
            ..Survey::default()
        };
        let mut one = survey(&[1, 4, 9]);
        one.merge(survey(&[2, 3, 20]), Some(Page { after: None, limit: 3 }));
        let tags: Vec<u64> = one.page.iter().map(|(tag, _)| tag.0).collect();
        assert_eq!(tags, [1, 2, 3]);
    }

    #[test]
    fn a_tag_is_read_as_it_is_written_and_is_not_the_id() {
        let session = MediaSessionId::fresh();
        let tag = ViewerTag::of(&session);
        assert_eq!(ViewerTag::parse(&tag.to_string()), Some(tag));
        assert_ne!(tag, ViewerTag::of(&MediaSessionId::fresh()));
        for rubbish in ["", "+123456789abcdef", "0123456789ABCDEF", "0123", session.as_str()] {
            assert_eq!(ViewerTag::parse(rubbish), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn percentiles_are_right_to_an_eighth(mut values in proptest::collection::vec(0u32..=u32::MAX, 1..60), of_hundred in 1u64..=100) {
            let mut spread = Spread::default();
            for value in &values {
                spread.add(*value);
            }
            values.sort_unstable();
            let rank = (values.len() as u64 * of_hundred).div_ceil(100);
            let exact = u64::from(values[usize::try_from(rank).expect("small") - 1]);
            let told = u64::from(spread.percentile(of_hundred).expect("there are values"));
            proptest::prop_assert!(told >= exact && told <= exact + exact / 8 , "{} for {}", told, exact);
        }
    }
}
