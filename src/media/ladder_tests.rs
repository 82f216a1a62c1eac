use super::*;

const RATES: Rates = [Some(150_000), Some(600_000), Some(2_200_000)];
const STEP: Duration = Duration::from_millis(250);

/// A bottleneck with a queue, and a receiver that estimates as browsers do: it grows by 8 % a second up to one and a half
/// times of what comes, and falls below what comes when the queue grows.
struct Network {
    ladder: Ladder,
    now: Instant,
    /// What it carries, in bits per second.
    carries: u64,
    /// Bits that wait, and how many may.
    queued: u64,
    depth: u64,
    /// Losses that have nothing to do with it, of 256.
    noise: u64,
    /// Without estimates there are losses only.
    estimates: bool,
    estimate: u64,
    sent: u64,
    lost: u64,
    steps: u64,
    changes: Vec<u8>,
}

impl Network {
    fn new(carries: u64) -> Self {
        Self {
            ladder: Ladder::default(),
            now: Instant::now(),
            carries,
            queued: 0,
            depth: carries / 4,
            noise: 0,
            estimates: true,
            estimate: 300_000,
            sent: 0,
            lost: 0,
            steps: 0,
            changes: vec![FIRST_LIMIT],
        }
    }

    fn limit(&self) -> u8 {
        *self.changes.last().expect("there is a first")
    }

    fn run(&mut self, seconds: u64, rates: &Rates) {
        for _ in 0..seconds * 4 {
            self.now += STEP;
            self.steps += 1;
            let rate = |limit: u8| rates[..=usize::from(limit)].iter().rev().find_map(|rate| *rate).unwrap_or(0);
            let (sent, room) = (rate(self.limit()) / 4, self.carries / 4);
            let before = self.queued;
            let waits = (before + sent).saturating_sub(room);
            self.queued = waits.min(self.depth);
            self.sent += sent;
            self.lost += waits - self.queued + sent * self.noise / 256;
            let came = (before + sent - waits).min(room) * 4;
            if self.queued > before + 5_000 {
                self.estimate = self.estimate.min(came * 85 / 100);
            } else if self.queued == 0 {
                self.estimate = self.estimate.max((self.estimate * 102 / 100).min(came * 3 / 2));
            }
            if self.steps.is_multiple_of(4) {
                if self.estimates {
                    self.ladder.hear(Word::Estimate(self.estimate), self.now);
                }
                let lost = (self.lost * 256 / self.sent.max(1)).min(255);
                (self.lost, self.sent) = (0, 0);
                self.ladder.hear(Word::Lost(u8::try_from(lost).expect("at most 255")), self.now);
            }
            let limit = self.ladder.decide(rates, self.now);
            if limit != self.limit() {
                self.changes.push(limit);
            }
        }
    }
}

#[test]
fn a_wide_way_leads_to_the_largest_and_stays_there() {
    for estimates in [true, false] {
        let mut network = Network { estimates, ..Network::new(20_000_000) };
        network.run(10, &RATES);
        assert_eq!(network.changes, [1, 2]);
        network.run(600, &RATES);
        assert_eq!(network.changes, [1, 2], "nothing goes wrong");
    }
}

#[test]
fn a_narrow_way_is_found_out_at_once_and_tried_again_ever_more_rarely() {
    for estimates in [true, false] {
        let mut network = Network { estimates, ..Network::new(1_000_000) };
        network.run(600, &RATES);
        let trials = network.changes.windows(2).filter(|two| two[1] > two[0]).count();
        assert!((3..=9).contains(&trials), "estimates {estimates}: {:?}", network.changes);
        assert!(network.changes.iter().all(|layer| *layer >= 1), "the middle fits always: {:?}", network.changes);
        assert_eq!(network.limit(), 1);
    }
}

#[test]
fn a_way_that_narrows_and_widens_is_followed() {
    for estimates in [true, false] {
        let mut network = Network { estimates, ..Network::new(5_000_000) };
        network.run(30, &RATES);
        assert_eq!(network.limit(), 2);
        (network.carries, network.depth) = (300_000, 75_000);
        network.run(6, &RATES);
        assert_eq!(network.limit(), 0, "estimates {estimates}: {:?}", network.changes);
        network.run(30, &RATES);
        (network.carries, network.depth) = (5_000_000, 1_250_000);
        network.run(130, &RATES);
        assert_eq!(network.limit(), 2, "estimates {estimates}: {:?}", network.changes);
    }
}

#[test]
fn a_queue_that_loses_nothing_is_heard_of_by_the_estimate() {
    let mut network = Network { depth: u64::MAX, ..Network::new(1_500_000) };
    network.run(300, &RATES);
    assert_eq!(network.limit(), 1, "{:?}", network.changes);
    let seconds = network.queued / network.carries;
    assert!(seconds < 3, "{seconds} s wait in the queue");
}

#[test]
fn losses_of_the_air_bring_nobody_down() {
    let mut network = Network { noise: 20, ..Network::new(20_000_000) };
    network.run(60, &RATES);
    assert_eq!(network.changes, [1], "eight of a hundred: no time for more, and none for less");
    network.noise = 5;
    network.run(20, &RATES);
    assert_eq!(network.changes, [1, 2]);
}

#[test]
fn what_is_not_sent_is_neither_gone_to_nor_stayed_at() {
    let mut network = Network::new(20_000_000);
    network.run(10, &[Some(150_000), None, None]);
    assert_eq!(network.limit(), 1, "what comes above it is tried by all");
    network.run(10, &[Some(150_000), None, Some(2_000_000)]);
    assert_eq!(network.limit(), 2);
    (network.carries, network.depth) = (300_000, 75_000);
    network.run(6, &[Some(150_000), None, Some(2_000_000)]);
    assert_eq!(network.limit(), 0, "past the one that is not sent: {:?}", network.changes);
    assert_eq!(Ladder::default().decide(&[None; 3], network.now), FIRST_LIMIT);
}

proptest::proptest! {
    #[test]
    fn whatever_is_said_it_goes_up_one_step_at_a_time_and_not_often(
        words in proptest::collection::vec((0u64..3_000_000, 0u8..=255, 0u8..8), 1..400),
    ) {
        let (mut ladder, start) = (Ladder::default(), Instant::now());
        let (mut now, mut limit, mut ups) = (start, FIRST_LIMIT, 0u32);
        for (estimate, lost, sent) in words {
            now += Duration::from_millis(500);
            ladder.hear(Word::Estimate(estimate), now);
            ladder.hear(Word::Lost(lost), now);
            let mut rates = RATES;
            for (at, rate) in rates.iter_mut().enumerate() {
                *rate = rate.filter(|_| sent & (1 << at) != 0);
            }
            let next = ladder.decide(&rates, now);
            proptest::prop_assert!(usize::from(next) < MAX_LAYERS);
            if next > limit {
                let between = &rates[usize::from(limit) + 1..usize::from(next)];
                proptest::prop_assert!(between.iter().all(Option::is_none), "a step was left out");
                ups += 1;
            }
            limit = next;
        }
        let seconds = u32::try_from(now.duration_since(start).as_secs()).expect("minutes");
        proptest::prop_assert!(ups <= seconds / 2 + 1);
        proptest::prop_assert!(ladder.patience <= MAX_PATIENCE);
    }
}
