use proptest::prelude::*;

use super::*;
use crate::live::mirror::Mirror;

fn live(version: i64) -> wire::Live {
    wire::Live {
        id: "live".into(),
        title: format!("title {version}"),
        state: "live".into(),
        version,
        ..wire::Live::default()
    }
}

/// What comes: news, or an event at its place.
#[derive(Debug, Clone)]
enum Told {
    News(News),
    Event(Event),
}

impl Told {
    fn apply(self, to: &mut State) -> (Option<Event>, Vec<Change>) {
        match self {
            Self::News(news) => (None, to.apply(news)),
            Self::Event(event) => to.apply_ordered(&Fact::Ordered { live: crate::ids::LiveId::fresh(), event }),
        }
    }
}

/// Any object at any version, its content a function of both: so "newest" is one thing.
fn news() -> impl Strategy<Value = Told> {
    let version = 1i64..8;
    prop_oneof![
        version.clone().prop_map(|v| Told::Event(Event::LiveChanged(live(v)))),
        (0u8..3, version.clone()).prop_map(|(n, v)| Told::Event(pin_event(n, v))),
        (0u8..4, version.clone()).prop_map(|(n, v)| question_news(n, v)),
        (0u8..4, version).prop_map(|(n, v)| {
            let available = (v * i64::from(n + 1)) % 3;
            Told::News(News::Stock(wire::Stock { sku_id: format!("sku{n}"), available, version: v }, StockEdge::None))
        }),
        (0u8..6).prop_map(|n| Told::Event(Event::ChatDeleted(wire::ChatDeleted { chat_id: format!("msg{n}") }))),
    ]
}

fn pin_event(n: u8, version: i64) -> Event {
    let id = format!("pin{n}");
    if version % 3 == 0 {
        return Event::Unpinned(wire::Unpinned { pin_id: id, version });
    }
    let offer = |sku: u8| wire::Offer { sku_id: format!("sku{sku}"), version, ..wire::Offer::default() };
    Event::Pinned(wire::Pin {
        id,
        offers: vec![offer(n), offer(n + 1)],
        pinned_at_ms: i64::from(n),
        version,
        ..wire::Pin::default()
    })
}

/// Even versions are votes (state), odd ones transitions (ordered); the fifth and later hide it.
fn question_news(n: u8, version: i64) -> Told {
    let state = match version {
        1..=2 => "open",
        3..=4 => "answering",
        _ => "hidden",
    };
    let question = wire::Question {
        id: format!("qst{n}"),
        votes: i32::try_from(version).expect("small"),
        state: state.into(),
        version,
        ..wire::Question::default()
    };
    if version % 2 == 0 && state != "hidden" {
        Told::News(News::Question(question))
    } else {
        Told::Event(Event::QuestionChanged(question))
    }
}

fn visible(state: &State) -> wire::Snapshot {
    state.snapshot()
}

fn as_batch((event, changes): (Option<Event>, Vec<Change>), seq: &mut u64) -> wire::Batch {
    let mut batch = wire::Batch { epoch: "e".into(), ..wire::Batch::default() };
    let mut order = |batch: &mut wire::Batch, event| {
        *seq += 1;
        batch.ordered.push(wire::Ordered { seq: *seq, at_ms: 0, event: Some(event) });
    };
    if let Some(event) = event {
        order(&mut batch, event);
    }
    for change in changes {
        match change {
            // The bus orders it, and the room hears of it at its place.
            Change::Edge(event) => order(&mut batch, event),
            Change::State(value) => batch.state.push(wire::State { value: Some(value) }),
            Change::Chat(message) => batch.chat.push(message),
        }
    }
    batch
}

proptest! {
    #[test]
    fn facts_in_any_order_and_twice_give_the_same_newest_state(
        facts in prop::collection::vec(news(), 0..40),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..80),
    ) {
        let mut straight = State::new(Loaded { live: live(0), ..Loaded::default() });
        for fact in &facts {
            fact.clone().apply(&mut straight);
        }
        let mut shuffled = State::new(Loaded { live: live(0), ..Loaded::default() });
        // An arbitrary order with repetitions, then every fact once more, backwards.
        if !facts.is_empty() {
            for index in &order {
                facts[index.index(facts.len())].clone().apply(&mut shuffled);
            }
        }
        for fact in facts.iter().rev() {
            fact.clone().apply(&mut shuffled);
        }
        prop_assert_eq!(visible(&straight), visible(&shuffled));
    }

    #[test]
    fn a_snapshot_and_the_events_since_equal_the_state(
        before in prop::collection::vec(news(), 0..30),
        after in prop::collection::vec(news(), 0..30),
        said in prop::collection::vec(0u8..6, 0..10),
    ) {
        let mut state = State::new(Loaded { live: live(0), ..Loaded::default() });
        for fact in before {
            fact.apply(&mut state);
        }
        let mut mirror = Mirror::default();
        let snapshot = wire::Snapshot { epoch: "e".into(), ..state.snapshot() };
        mirror.fold(wire::server_frame::Body::Snapshot(snapshot).into());
        let mut seq = 0;
        let said = said.into_iter().map(|n| Told::News(News::Chat(wire::ChatMessage { id: format!("msg{n}"), ..wire::ChatMessage::default() })));
        for fact in after.into_iter().chain(said) {
            let batch = as_batch(fact.apply(&mut state), &mut seq);
            mirror.fold(wire::server_frame::Body::Batch(batch).into());
        }
        let truth = state.snapshot();
        prop_assert_eq!(mirror.faults, 0);
        prop_assert_eq!(Some(mirror.live), truth.live);
        let by_pinned_at: Vec<_> = mirror.pins.into_values().collect();
        prop_assert_eq!(by_pinned_at, truth.pins);
        prop_assert_eq!(mirror.questions.into_values().collect::<Vec<_>>(), truth.questions);
        prop_assert_eq!(mirror.chat, truth.chat);
        for stock in truth.stock {
            prop_assert_eq!(mirror.stock.get(&stock.sku_id), Some(&stock));
        }
    }
}

fn pinned(sku: &str) -> State {
    let mut state = State::new(Loaded { live: live(1), ..Loaded::default() });
    let offer = wire::Offer { sku_id: sku.into(), ..wire::Offer::default() };
    let pin = wire::Pin { id: "pin".into(), offers: vec![offer], version: 1, ..wire::Pin::default() };
    Told::Event(Event::Pinned(pin)).apply(&mut state);
    state
}

fn stock(sku: &str, available: i64, version: i64) -> wire::Stock {
    wire::Stock { sku_id: sku.into(), available, version }
}

#[test]
fn an_edge_is_told_in_order_and_a_number_as_state() {
    let mut state = pinned("a");
    assert_eq!(
        state.apply(News::Stock(stock("a", 3, 1), StockEdge::None)),
        [Change::State(Value::Stock(stock("a", 3, 1)))]
    );
    let sold_out = state.apply(News::Stock(stock("a", 0, 5), StockEdge::None));
    assert_eq!(
        sold_out[0],
        Change::Edge(Event::SoldOut(stock("a", 0, 5))),
        "even when the versions between are missing"
    );
    assert!(state.apply(News::Stock(stock("a", 1, 4), StockEdge::None)).is_empty(), "an older number is no news");
    let restocked = state.apply(News::Stock(stock("a", 2, 6), StockEdge::Restocked));
    assert_eq!(restocked[0], Change::Edge(Event::Restocked(stock("a", 2, 6))));
    assert!(state.apply(News::Stock(stock("b", 2, 6), StockEdge::SoldOut)).is_empty(), "not shown here");
}

#[test]
fn stock_that_came_before_its_pin_is_told_with_it() {
    let mut state = State::new(Loaded { live: live(1), ..Loaded::default() });
    assert!(state.apply(News::Stock(stock("a", 3, 9), StockEdge::None)).is_empty());
    let offer = wire::Offer { sku_id: "a".into(), ..wire::Offer::default() };
    let pin = wire::Pin { id: "pin".into(), offers: vec![offer], version: 1, ..wire::Pin::default() };
    let (event, changes) = Told::Event(Event::Pinned(pin)).apply(&mut state);
    assert!(matches!(event, Some(Event::Pinned(_))));
    assert_eq!(changes[0], Change::State(Value::Stock(stock("a", 3, 9))));
}

#[test]
fn the_picture_survives_a_change_of_the_row() {
    let mut state = State::new(Loaded { live: live(1), ..Loaded::default() });
    let up = Fact::Media { live: crate::ids::LiveId::fresh(), media: "up".into() };
    let (event, _) = state.apply_ordered(&up);
    assert!(matches!(event, Some(Event::LiveChanged(live)) if live.media == "up"));
    Told::Event(Event::LiveChanged(live(2))).apply(&mut state);
    assert_eq!((state.live().media.as_str(), state.live().version), ("up", 2));
}

#[test]
fn the_question_on_air_is_always_shown() {
    let mut state = State::default();
    let question = |n: usize, state: &str| wire::Question {
        id: format!("qst{n:05}"),
        state: state.into(),
        version: 1,
        ..wire::Question::default()
    };
    Told::Event(Event::QuestionChanged(question(0, "answering"))).apply(&mut state);
    for n in 1..1_000 {
        state.apply(News::Question(question(n, "open")));
    }
    let shown = state.snapshot().questions;
    assert_eq!(shown.len(), QUESTIONS_SHOWN + 1);
    assert_eq!(shown[0].id, "qst00000");
    assert!(state.questions.len() <= QUESTIONS_KEPT);
}

#[test]
fn a_fact_that_comes_late_tells_what_is_known() {
    let mut state = pinned("a");
    let old = wire::Pin { id: "pin".into(), version: 0, ..wire::Pin::default() };
    let (event, _) = Told::Event(Event::Pinned(old.clone())).apply(&mut state);
    assert!(matches!(&event, Some(Event::Pinned(pin)) if pin.version == 1), "{event:?}");
    let gone = wire::Unpinned { pin_id: "pin".into(), version: 3 };
    Told::Event(Event::Unpinned(gone.clone())).apply(&mut state);
    let (event, _) = Told::Event(Event::Pinned(wire::Pin { version: 2, ..old })).apply(&mut state);
    assert_eq!(event, Some(Event::Unpinned(gone)), "nobody sees it come back");
}
