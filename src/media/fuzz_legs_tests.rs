//! Whole connections among liars: damaged copies of a client's own datagrams come from its own address, before, during
//! and after the handshake. What comes after must never end a connection that stands.

use std::net::UdpSocket;

use super::{
    super::peer::{Pair, TICK},
    LegMaker, Role, damage, rtcp_seeds, run, stun_seeds,
};

/// Connections of the brief runs, and damaged datagrams for each.
const BRIEF: u64 = 60;
const FORGED: usize = 150;
/// What a leg may keep of rubbish that the peer itself has sealed: what may be asked for again, and statistics.
const MAX_KEPT_OF_PEER_BYTES: i64 = 1024 * 1024;
/// Reports as a publisher's side gets them, besides what viewers send: transport-wide feedback, an extended report.
const TRANSPORT_FEEDBACK: [u8; 24] = [0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 9, 0, 1, 0, 2, 0, 0, 5, 0, 0x20, 2, 4, 8];
const EXTENDED_REPORT: [u8; 20] = [0x80, 207, 0, 4, 0, 0, 0, 1, 4, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
/// Ticks within which an undisturbed handshake is over several times.
const MAX_TICKS: usize = 100;
/// What a leg may keep of any number of damaged datagrams.
const MAX_KEPT_BYTES: i64 = 64 * 1024;

/// Before, during and after a handshake. Gives whether the handshake came to its end in spite of it.
fn a_life(maker: &mut Option<(LegMaker, UdpSocket)>, role: Role, dice: &mut super::Dice, is_mild: bool) -> usize {
    let mut pair = Pair::open(maker, role);
    let mut heard = stun_seeds();
    heard.push(vec![0x80; 40]);
    for _ in 0..FORGED {
        let mut forged = dice.pick(&heard).clone();
        damage(&mut forged, &heard, dice);
        pair.receive(&forged);
    }
    for _ in 0..MAX_TICKS {
        pair.exchange(|datagram| {
            heard.push(datagram.clone());
            if is_mild && dice.below(4) > 0 {
                return vec![datagram];
            }
            let mut forged = datagram.clone();
            damage(&mut forged, &heard, dice);
            if dice.below(2) == 0 { vec![forged, datagram] } else { vec![datagram, forged] }
        });
        if pair.is_over || pair.client.is_broken || (pair.is_connected && pair.client.is_connected()) {
            break;
        }
    }
    if pair.is_over || !pair.is_connected || !pair.client.is_connected() {
        return 0;
    }
    serve(&mut pair, role, &mut heard);
    for round in 0..2 {
        let kept = allocation_counter::measure(|| {
            for n in 0..FORGED {
                let mut forged = dice.pick(&heard).clone();
                damage(&mut forged, &heard, dice);
                // Only the newest counts: a damaged copy is never the datagram itself.
                if heard.contains(&forged) {
                    continue;
                }
                pair.receive(&forged);
                if n % 50 == 0 {
                    pair.exchange(|datagram| vec![datagram]);
                }
            }
        });
        assert!(round == 0 || kept.bytes_current < MAX_KEPT_BYTES, "{} bytes are kept", kept.bytes_current);
        assert!(!pair.is_over, "a connection that stands is not ended by who cannot seal");
    }
    serve(&mut pair, role, &mut heard);
    1
}

/// The connection carries media.
fn serve(pair: &mut Pair, role: Role, heard: &mut Vec<Vec<u8>>) {
    for _ in 0..3 {
        pair.exchange(|datagram| {
            heard.push(datagram.clone());
            vec![datagram]
        });
    }
    for _ in 0..5 {
        match role {
            Role::Publisher | Role::Relay => assert!(pair.publish(), "what is published comes"),
            Role::Viewer => {
                let next = pair.client.came.last().map_or(1, |last| last + 1);
                assert!(pair.show(next), "what is delivered comes");
                pair.now += TICK;
            }
        }
    }
}

fn lives(what: &str, role: Role) {
    let mut maker = None;
    let mut turns = 0u64;
    let stood = run(what, BRIEF, |dice| {
        turns += 1;
        a_life(&mut maker, role, dice, !turns.is_multiple_of(3))
    });
    assert!(stood > 30, "{stood} of 100 handshakes came to their end among liars");
    assert!(Pair::connected(&mut maker, role).is_connected, "who is not lied to connects");
}

#[test]
fn a_publisher_outlives_all_that_is_forged() {
    lives("publishers", Role::Publisher);
}

#[test]
fn a_viewer_outlives_all_that_is_forged() {
    lives("viewers", Role::Viewer);
}

/// A peer that holds its keys and sends nothing but rubbish. Gives whether its leg outlived it.
fn an_insiders_life(maker: &mut Option<(LegMaker, UdpSocket)>, role: Role, dice: &mut super::Dice) -> usize {
    let mut pair = Pair::connected(maker, role);
    let mut reports = rtcp_seeds();
    reports.extend([TRANSPORT_FEEDBACK.to_vec(), EXTENDED_REPORT.to_vec()]);
    let kept = allocation_counter::measure(|| {
        for n in 0..2 * FORGED {
            let mut plain = dice.pick(&reports).clone();
            damage(&mut plain, &reports, dice);
            let sealed = match n % 3 {
                0 if role == Role::Publisher => {
                    let seq = u8::try_from(n % 200).expect("small");
                    let any = dice.byte() & 0x7f;
                    let pt = *dice.pick(&[108, 109, 127, 121, 111, any]);
                    let (padded, ssrc) = (dice.byte() & 0x20, dice.byte() % 40);
                    pair.client.sealed_media(&[0x80 | padded, pt, 0, seq, 0, 0, seq, 0, 0, 0, 0, ssrc], &plain)
                }
                _ => pair.client.sealed_reports(&plain),
            };
            if let Some(datagram) = sealed {
                pair.receive(&datagram);
            }
            if n % 20 == 0 {
                pair.exchange(|datagram| vec![datagram]);
            }
        }
    });
    assert!(kept.bytes_current < MAX_KEPT_OF_PEER_BYTES, "{} bytes are kept", kept.bytes_current);
    usize::from(!pair.is_over)
}

#[test]
fn who_holds_the_keys_ends_nothing_but_its_own_leg() {
    let mut maker = None;
    let mut turns = 0u64;
    let outlived = run("insiders", BRIEF, |dice| {
        turns += 1;
        let role = if turns.is_multiple_of(2) { Role::Publisher } else { Role::Viewer };
        an_insiders_life(&mut maker, role, dice)
    });
    assert!(outlived > 90, "{outlived} of 100 legs outlived their own peer's rubbish");
    let mut pair = Pair::connected(&mut maker, Role::Viewer);
    assert!(pair.show(1), "others are served");
}
