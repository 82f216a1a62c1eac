//! What is forged, against legs that stand.

use std::net::SocketAddr;

use str0m::crypto::dtls::SrtpProfile;

use super::{
    super::{
        keys,
        leg::Role,
        peer::Pair,
        srtp::{Keys, Sealer},
    },
    *,
};

const FORGED_SSRC: [u8; 4] = [0xfe, 0xed, 0xfa, 0xce];

/// A publisher whose stream is known, and its last packet of media as it was sealed.
fn on_air() -> (Pair, Vec<u8>) {
    let mut pair = Pair::connected(&mut None, Role::Publisher);
    assert!(pair.publish() && pair.publish());
    let mut last = Vec::new();
    pair.client.send_picture(pair.now, &[0x61; 100]);
    pair.exchange(|datagram| {
        if datagram[0] == 0x90 && !(192..=223).contains(&datagram[1]) {
            last.clone_from(&datagram);
        }
        vec![datagram]
    });
    assert!(!last.is_empty(), "media with an extension");
    (pair, last)
}

/// A browser names its medium (MID) in the first packets only.
#[test]
fn one_forged_packet_does_not_put_a_publisher_off_air() {
    let (mut pair, sealed) = on_air();
    assert!(pair.seal_unnamed(), "a packet that only its stream's name leads home");
    let mut forged = sealed;
    forged[8..12].copy_from_slice(&FORGED_SSRC);
    for seq in 0..=255 {
        forged[3] = seq;
        pair.receive(&forged);
    }
    for _ in 0..5 {
        assert!(pair.seal_unnamed(), "the stream keeps its name");
    }
    assert!(pair.publish());
}

#[test]
fn a_peers_own_streams_are_let_in_and_counted() {
    let crypto = Arc::new(keys::provider());
    let material: Vec<u8> = (0..56).collect();
    let of = |client| Keys { profile: SrtpProfile::AEAD_AES_128_GCM, material: material.clone(), client };
    let mut sealer = Sealer::new(&crypto, &of(true)).expect("keys");
    let sealed: Vec<Vec<u8>> = (1..=100u8)
        .map(|ssrc| {
            let mut sealed = Vec::new();
            let header = [0x80, 96, 0, 7, 0, 0, 0, 1, 0, 0, 0, ssrc];
            sealer.seal_rtp(&header, 7, b"picture", &mut sealed).expect("sealed");
            sealed
        })
        .collect();
    let cell = KeyCell::default();
    let mut gate = Gate::new(crypto, Arc::clone(&cell));
    assert!(!gate.admits_media(&sealed[0]), "before the handshake is over nobody has sealed anything");
    cell.set(of(false)).expect("the handshake ends once");
    let admitted = |gate: &mut Gate| sealed.iter().filter(|packet| gate.admits_media(packet)).count();
    assert_eq!((admitted(&mut gate), admitted(&mut gate)), (MAX_STREAMS, MAX_STREAMS));
    assert!(!gate.admits_media(&sealed[0][..11]));
}

#[test]
fn checks_come_from_a_bounded_number_of_addresses() {
    for role in [Role::Publisher, Role::Viewer] {
        let mut pair = Pair::connected(&mut None, role);
        let mut check = Vec::new();
        while check.is_empty() {
            pair.exchange(|datagram| {
                if datagram[0] == 0 {
                    check.clone_from(&datagram);
                }
                vec![datagram]
            });
        }
        let address = |n: u16| SocketAddr::from(([192, 0, 2, 1], 1_000 + n));
        let answers =
            |pair: &mut Pair, from: u16, to: u16| (from..to).filter(|n| pair.is_answered(address(*n), &check)).count();
        let mut damaged = check.clone();
        damaged[25] ^= 1;
        assert!((0..200).all(|n| !pair.is_answered(address(n), &damaged)), "nothing is learned of a forger");
        assert_eq!(answers(&mut pair, 0, 10), 10, "a peer tries a few");
        let kept = allocation_counter::measure(|| {
            assert!(answers(&mut pair, 10, 5_000) <= MAX_ADDRESSES);
        });
        assert!(kept.bytes_current < 128 * 1_024, "{} bytes are kept", kept.bytes_current);
        assert_eq!(answers(&mut pair, 0, 10), 10, "who is known is answered");
    }
}
