use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Act {
    Append(u8),
    Read(usize, bool),
    Reconnect(u64),
}

fn append(log: &mut Log, n: u64, size: usize, class: Class) {
    let text = format!("{n:>size$}");
    log.append([(Opcode::Text, text.as_bytes()), (Opcode::Binary, text.as_bytes())], class, Millis(0));
}

fn number(frame: &Bytes) -> u64 {
    let payload = frames::payload(frame);
    std::str::from_utf8(&payload).expect("we wrote it").trim().parse().expect("a number")
}

fn wish(max_bytes: usize, ordered_only: bool) -> Wish {
    Wish { codec: 0, max_bytes, ordered_only }
}

proptest! {
    /// One reader that reads, is cut and resumes in any interleaving sees each ordered event once, in order; it
    /// jumps only when the log has dropped what it needs. Another node may have cut the batches elsewhere, so it may
    /// come back with any seq it could have seen.
    #[test]
    fn every_ordered_event_is_seen_once_and_in_order(
        max_entries in 1usize..12,
        base in 0u64..5,
        acts in prop::collection::vec(
            prop_oneof![
                (0u8..4).prop_map(Act::Append),
                (1usize..200, any::<bool>()).prop_map(|(bytes, only)| Act::Read(bytes, only)),
                (0u64..3).prop_map(Act::Reconnect),
            ],
            1..200,
        ),
    ) {
        let mut log = Log::bounded(base, max_entries, 400);
        let (mut appended, mut seq) = (0u64, base);
        let mut entries: Vec<Class> = Vec::new();
        let (mut cursor, mut seen) = (log.end(), seq);
        for act in acts {
            match act {
                Act::Append(ordered) => {
                    let class = match u64::from(ordered) {
                        0 => Class::Loose,
                        more => Class::Ordered { first: seq + 1, last: seq + more },
                    };
                    seq += u64::from(ordered);
                    append(&mut log, appended, 20, class);
                    entries.push(class);
                    appended += 1;
                }
                Act::Read(max_bytes, ordered_only) => match log.read(cursor, wish(max_bytes, ordered_only)) {
                    Read::UpToDate => prop_assert_eq!(seen, seq),
                    Read::Behind => {
                        prop_assert!(appended > max_entries as u64 || appended * 44 > 400);
                        // A snapshot at the head.
                        (cursor, seen) = (log.end(), seq);
                    }
                    Read::Frames(read, next) => {
                        let mut expected = cursor.0;
                        for (frame, after) in &read {
                            let at = number(frame);
                            prop_assert_eq!(after.0, at + 1);
                            for passed in expected..at {
                                prop_assert!(ordered_only);
                                prop_assert_eq!(entries[usize::try_from(passed).expect("small")], Class::Loose);
                            }
                            if let Class::Ordered { first, last } = entries[usize::try_from(at).expect("small")] {
                                prop_assert!(first <= seen + 1 && last > seen);
                                seen = last;
                            }
                            expected = at + 1;
                        }
                        prop_assert!(next.0 >= expected);
                        cursor = next;
                    }
                },
                Act::Reconnect(back) => {
                    let from = seen.saturating_sub(back).max(base);
                    match log.resume(from) {
                        Some(Place::At(place)) => {
                            let place_at = usize::try_from(place.0).expect("small");
                            let last = |class: &Class| match class {
                                Class::Ordered { last, .. } => Some(*last),
                                Class::Loose => None,
                            };
                            prop_assert_eq!(entries[..place_at].iter().filter_map(last).max().unwrap_or(base), from);
                            (cursor, seen) = (place, from);
                        }
                        Some(Place::Within { entry, then }) => {
                            let at = usize::try_from(number(&entry[1])).expect("small");
                            let Class::Ordered { first, last } = entries[at] else { panic!("a loose entry") };
                            prop_assert!(first <= from && from < last);
                            prop_assert_eq!(then.0, at as u64 + 1);
                            // The rest of the entry is sent by whoever resumes.
                            (cursor, seen) = (then, last);
                        }
                        None => {
                            prop_assert!(appended > max_entries as u64 || appended * 44 > 400);
                            (cursor, seen) = (log.end(), seq);
                        }
                    }
                }
            }
            let (all, ordered) = log.lag(log.end(), 0).expect("the end is never behind");
            prop_assert_eq!((all, ordered), (0, 0));
        }
    }
}

#[test]
fn a_foreign_position_is_refused() {
    let mut log = Log::bounded(0, 10, 10_000);
    assert_eq!(log.resume(0), Some(Place::At(Cursor(0))));
    append(&mut log, 0, 5, Class::Ordered { first: 1, last: 3 });
    assert_eq!(log.resume(3), Some(Place::At(Cursor(1))));
    assert!(matches!(log.resume(2), Some(Place::Within { then: Cursor(1), .. })), "another node's batches");
    assert_eq!(log.resume(4), None, "ahead of the log");
    assert_eq!(log.resume(0), Some(Place::At(Cursor(0))));
    let later = Log::bounded(7, 10, 10_000);
    assert_eq!((later.resume(6), later.resume(7)), (None, Some(Place::At(Cursor(0)))));
}

#[test]
fn an_entry_larger_than_the_log_is_kept_alone() {
    let mut log = Log::bounded(0, 10, 100);
    append(&mut log, 0, 5, Class::Loose);
    append(&mut log, 1, 500, Class::Ordered { first: 1, last: 1 });
    assert_eq!(log.len(), 1);
    assert_eq!(log.read(Cursor(0), wish(1, false)), Read::Behind);
    assert!(matches!(log.read(Cursor(1), wish(1, false)), Read::Frames(f, Cursor(2)) if f.len() == 1));
    assert_eq!(log.resume(0), Some(Place::At(Cursor(1))), "nothing ordered has fallen out");
}

#[test]
fn what_is_old_falls_out_and_lag_counts_what_is_left() {
    let mut log = Log::after(0);
    for n in 0..10 {
        let class = if n % 2 == 0 { Class::Ordered { first: n + 1, last: n + 1 } } else { Class::Loose };
        let text = [b'x'; 98];
        let at = Millis(i64::try_from(n).expect("small") * 1_000);
        log.append([(Opcode::Text, &text), (Opcode::Binary, &text[..48])], class, at);
    }
    assert_eq!(log.lag(Cursor(0), 0), Some((1_000, 500)));
    assert_eq!(log.lag(Cursor(9), 1), Some((50, 0)));
    log.trim(MAX_BYTES, Millis(4_000));
    assert_eq!((log.len(), log.lag(Cursor(3), 0), log.lag(Cursor(4), 0)), (6, None, Some((600, 300))));
    log.trim(0, Millis(0));
    assert_eq!((log.len(), log.bytes()), (1, 150));
}
