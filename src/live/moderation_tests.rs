use proptest::prelude::*;

use super::*;

fn mute(customer: &CustomerId, live: Option<&LiveId>, until: Option<i64>) -> Mute {
    Mute { id: MuteId::fresh(), live: live.cloned(), customer: customer.clone(), until: until.map(Millis) }
}

fn ban(customer: &CustomerId, networks: &[&str]) -> Ban {
    let networks: Vec<_> = networks.iter().filter_map(|text| Network::parse(text)).collect();
    Ban { id: BanId::fresh(), customer: customer.clone(), with_address: !networks.is_empty(), networks }
}

#[test]
fn a_household_is_one_network() {
    let of = |text: &str| Network::parse(text);
    assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::9"));
    assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"), "a mapped address is the address");
    assert_ne!(of("192.0.2.7"), of("192.0.2.8"));
    assert_eq!(of("0.0.0.0"), None);
    assert_eq!(of(&of("2001:db8:1:2:3::1").expect("a network").to_string()), of("2001:db8:1:2::"));
}

#[test]
fn who_is_banned_stays_out_and_a_neighbour_of_the_liver_locks_nobody_in() {
    let (banned, moderator, stranger) = (CustomerId::fresh(), CustomerId::fresh(), CustomerId::fresh());
    let order = Moderation::new(Orders {
        moderators: vec![moderator.clone()],
        bans: vec![ban(&banned, &["192.0.2.7"])],
        ..Orders::default()
    });
    let (there, elsewhere) = (Network::parse("192.0.2.7"), Network::parse("192.0.2.8"));
    let refused = Err(ModerationRefusal::Banned);
    assert_eq!(order.may_enter(Some((&banned, Role::Viewer)), elsewhere), refused);
    assert_eq!(order.may_enter(Some((&stranger, Role::Viewer)), there), refused);
    assert_eq!(order.may_enter(None, there), refused);
    assert_eq!(order.may_enter(Some((&stranger, Role::Viewer)), elsewhere), Ok(()));
    assert_eq!(order.may_enter(None, elsewhere), Ok(()));
    assert_eq!(order.may_enter(Some((&moderator, order.role(&moderator))), there), Ok(()));
    assert_eq!(order.may_enter(Some((&stranger, Role::Liver)), there), Ok(()));
}

#[test]
fn a_mute_holds_where_and_as_long_as_it_says() {
    let (here, there) = (LiveId::fresh(), LiveId::fresh());
    let (a, b, c) = (CustomerId::fresh(), CustomerId::fresh(), CustomerId::fresh());
    let order = Moderation::new(Orders {
        mutes: vec![mute(&a, Some(&here), Some(1_000)), mute(&a, None, Some(500)), mute(&b, None, None)],
        ..Orders::default()
    });
    assert_eq!(order.silence(&a, &here, Millis(0)), Silence::Until(Millis(1_000)));
    assert_eq!(order.silence(&a, &there, Millis(0)), Silence::Until(Millis(500)));
    assert_eq!(order.silence(&a, &there, Millis(500)), Silence::None);
    assert_eq!(order.silence(&b, &there, Millis(i64::MAX)), Silence::ForGood);
    assert_eq!(order.silence(&c, &here, Millis(0)), Silence::None);
    let part = |who, role, now| order.may_take_part(who, role, &here, Millis(now));
    assert_eq!(part(&a, Role::Viewer, 400), Err(ModerationRefusal::Muted { retry_after_ms: Some(600) }));
    assert_eq!(part(&b, Role::Viewer, 0), Err(ModerationRefusal::Muted { retry_after_ms: None }));
    assert_eq!(part(&b, Role::Liver, 0), Ok(()));
    assert_eq!(order.standing(&b, Role::Viewer, &here, true, Millis(0)).muted_until_ms, -1);
}

#[test]
fn moderators_answer_to_the_liver_alone() {
    assert_eq!(may_sanction(Role::Moderator, Role::Viewer), Ok(()));
    assert_eq!(may_sanction(Role::Liver, Role::Moderator), Ok(()));
    for (by, about) in [(Role::Moderator, Role::Moderator), (Role::Moderator, Role::Liver), (Role::Liver, Role::Liver)]
    {
        assert_eq!(may_sanction(by, about), Err(ModerationRefusal::Protected));
    }
}

#[test]
fn rules_bind_viewers_only() {
    let rules = wire::ChatRules { followers_only: true, ..wire::ChatRules::default() };
    assert_eq!(may_talk(&rules, Role::Viewer, || false), Err(ModerationRefusal::FollowersOnly));
    assert_eq!(may_talk(&rules, Role::Viewer, || true), Ok(()));
    assert_eq!(may_talk(&rules, Role::Moderator, || false), Ok(()));
    assert_eq!(may_talk(&wire::ChatRules::default(), Role::Viewer, || false), Ok(()));
    assert!(check_rules(120).is_ok() && check_rules(121).is_err() && check_rules(-1).is_err());
    assert_eq!(mute_until(Some(2), Millis(10)), Ok(Some(Millis(2_010))));
    assert!(mute_until(Some(0), Millis(10)).is_err() && mute_until(Some(MAX_MUTE_S + 1), Millis(10)).is_err());
}

#[test]
fn a_ban_by_address_learns_where_its_person_is() {
    let (there, here) = (CustomerId::fresh(), CustomerId::fresh());
    let mut bans = vec![ban(&there, &["192.0.2.7"]), ban(&here, &[])];
    bans[0].with_address = true;
    let order = Moderation::new(Orders { bans, ..Orders::default() });
    let seen = |_: &CustomerId| vec!["192.0.2.7", "192.0.2.9"].into_iter().filter_map(Network::parse).collect();
    let learned: Vec<_> = order.places_to_learn(seen).into_iter().map(|(_, network)| network.to_string()).collect();
    assert_eq!(learned, ["192.0.2.9"], "only what is new, and only for a ban by address");
}

proptest! {
    /// The longest mute that holds here decides, in whatever order they were written.
    #[test]
    fn the_longest_mute_decides(
        mutes in prop::collection::vec((prop::option::of(0i64..100), 0u8..3), 0..8),
        now in 0i64..100,
    ) {
        let (customer, here, there) = (CustomerId::fresh(), LiveId::fresh(), LiveId::fresh());
        let place = |n: u8| match n { 0 => None, 1 => Some(&here), _ => Some(&there) };
        let order = Moderation::new(Orders {
            mutes: mutes.iter().map(|(until, n)| mute(&customer, place(*n), *until)).collect(),
            ..Orders::default()
        });
        let holding = mutes.iter().filter(|(_, n)| *n < 2).map(|(until, _)| until.unwrap_or(i64::MAX));
        let expected = match holding.filter(|until| *until > now).max() {
            None => Silence::None,
            Some(i64::MAX) => Silence::ForGood,
            Some(until) => Silence::Until(Millis(until)),
        };
        prop_assert_eq!(order.silence(&customer, &here, Millis(now)), expected);
    }
}
