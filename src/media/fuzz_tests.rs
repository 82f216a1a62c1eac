//! Bytes of hostile peers against everything that reads them: what is valid is damaged, and driven through the parsers.
//!
//! See `fuzz_tests.rs` of the house for how long, and from which seed; `legs` drives whole connections.

use std::net::SocketAddr;

use str0m::crypto::dtls::SrtpProfile;

use super::{
    demux::Demux,
    fragment::Fragment,
    leg::{LegMaker, Role},
    packet::{VideoCodec, starts_keyframe},
    rtcp::{self, Report, Sent},
    sdp::Offer,
    srtp::{Forged, Keys, Opener, Sealer},
    stun,
};
use crate::fuzz_tests::{Dice, damage, run};

#[path = "fuzz_legs_tests.rs"]
mod legs;

/// Turns of the brief runs: about a second each.
const BRIEF: u64 = 60_000;
const BRIEF_SEALED: u64 = 20_000;
const BRIEF_OFFERS: u64 = 300;

/// A packet of RTCP tells no more than it has room for: FCI entries of four bytes.
const LEAST_REPORT_BYTES: usize = 4;

fn one_of(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = dice.pick(seeds).clone();
    damage(&mut bytes, seeds, dice);
    bytes
}

/// Checks as browsers send them: plain, nominating, with attributes that nobody knows; an answer; an indication.
fn stun_seeds() -> Vec<Vec<u8>> {
    let message = |kind: [u8; 2], attributes: &[(u16, &[u8])]| {
        let mut message = kind.to_vec();
        message.extend([0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        for (kind, value) in attributes {
            message.extend(kind.to_be_bytes());
            message.extend(u16::try_from(value.len()).expect("short").to_be_bytes());
            message.extend_from_slice(value);
            message.resize(message.len().next_multiple_of(4), 0);
        }
        let len = u16::try_from(message.len() - 20).expect("short");
        message[2..4].copy_from_slice(&len.to_be_bytes());
        message
    };
    let name: (u16, &[u8]) = (0x0006, b"ours:theirs");
    let signed: (u16, &[u8]) = (0x0008, &[7; 20]);
    vec![
        message([0, 1], &[name, (0x0024, &[1; 4]), (0x802a, &[2; 8]), (0x0025, &[]), signed, (0x8028, &[3; 4])]),
        message([0, 1], &[name, (0xc057, &[0; 4]), (0x8029, &[2; 8]), signed]),
        message([0, 1], &[(0x8022, b"agent"), name, (0x0001, &[9; 8])]),
        message([1, 1], &[(0x0020, &[0, 1, 2, 3, 4, 5, 6, 7]), signed]),
        message([0, 17], &[]),
        message([0, 1], &[(0x0006, b"ours"), (0x0006, b"another:theirs")]),
    ]
}

#[test]
fn checks_are_read_and_belong_to_nobody_else() {
    let seeds = stun_seeds();
    let mut demux = Demux::default();
    demux.add(3, "ours".into());
    demux.add(4, "another".into());
    let known: SocketAddr = "192.0.2.7:5000".parse().expect("an address");
    demux.sent(4, known, &[1, 1], std::time::Instant::now());
    let stranger: SocketAddr = "192.0.2.9:5000".parse().expect("an address");
    let found = run("STUN", BRIEF, |dice| {
        let bytes = one_of(&seeds, dice);
        let slot = demux.find(stranger, &bytes);
        match stun::ufrag(&bytes) {
            // The name stands in the datagram, or the session is another's.
            Some(name) => {
                assert!(bytes.windows(name.len().max(1)).any(|part| part.starts_with(name.as_bytes())));
                assert_eq!(
                    slot,
                    [("ours", 3), ("another", 4)].iter().find(|(ufrag, _)| *ufrag == name).map(|(_, s)| *s)
                );
            }
            None => assert_eq!((slot, demux.find(known, &bytes)), (None, Some(4))),
        }
        assert!(!stun::nominates(&bytes) || bytes.starts_with(&[0, 1]));
        assert!(!stun::is_success(&bytes) || !stun::nominates(&bytes));
        usize::from(slot.is_some())
    });
    assert_eq!(demux.find(stranger, &seeds[0]), Some(3), "a valid check is still known");
    assert!(found > 10, "{found} of 100 checks were somebody's");
}

#[test]
fn any_payload_begins_a_keyframe_or_does_not() {
    let seeds: Vec<Vec<u8>> = vec![
        vec![0x67, 0x42, 0xc0, 0x1f],
        vec![0x78, 0, 4, 0x67, 0x42, 0xc0, 0x1f, 0, 2, 0x68, 0xce, 0, 3, 0x65, 1, 2],
        vec![0x7c, 0x85, 1, 2, 3],
        vec![0x7c, 0x05, 1, 2, 3],
        vec![0x61; 40],
        vec![0x90, 0xf0, 0x81, 0x02, 3, 4, 0x00, 1, 2],
        vec![0x10, 0x00],
    ];
    let found = run("payloads", 4 * BRIEF, |dice| {
        let bytes = one_of(&seeds, dice);
        [VideoCodec::H264, VideoCodec::Vp8].into_iter().filter(|codec| starts_keyframe(*codec, &bytes)).count()
    });
    assert!(found > 10, "{found} of 100");
    assert!(starts_keyframe(VideoCodec::H264, &seeds[1]) && starts_keyframe(VideoCodec::Vp8, &seeds[6]));
}

/// Compounds as viewers send them, and one of ours.
fn rtcp_seeds() -> Vec<Vec<u8>> {
    let mut ours = Vec::new();
    rtcp::write_report(&Sent { ssrc: 9, at_ntp: rtcp::ntp(5), ts: 3, packets: 4, bytes: 5 }, &mut ours);
    let mut report = vec![0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 9, 64, 0xff, 0xff, 0xfe, 0, 1, 0, 5, 0, 0, 0, 77];
    report.extend([0, 2, 0, 0, 0, 0, 0x80, 0]);
    let nack = [0x81, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 9, 0x12, 0x34, 0, 3, 0xff, 0xff, 0x80, 0];
    let pli = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9];
    let fir = [0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 7, 0, 0, 0];
    let goodbye = [0x81, 203, 0, 1, 0, 0, 0, 1];
    let compound = [&report[..], &pli, &nack].concat();
    vec![ours, compound, [&report[..], &fir].concat(), [&report[..], &goodbye].concat(), nack.into(), pli.into()]
}

fn heard(compound: &[u8]) -> Vec<Report> {
    let mut reports = Vec::new();
    rtcp::read(compound, |report| reports.push(report));
    reports
}

#[test]
fn what_is_reported_is_never_more_than_was_sent() {
    let seeds = rtcp_seeds();
    let understood = run("RTCP", BRIEF, |dice| {
        let bytes = one_of(&seeds, dice);
        let reports = heard(&bytes);
        assert!(reports.len() * LEAST_REPORT_BYTES <= bytes.len(), "{reports:?} of {bytes:02x?}");
        for report in &reports {
            if let Report::Received { block, .. } = report {
                let _ = block.round_trip(u32::from_be_bytes([0, dice.byte(), dice.byte(), 0]));
            }
        }
        usize::from(!reports.is_empty())
    });
    assert!(understood > 30, "{understood} of 100");
    assert_eq!(heard(&seeds[1]).len(), 4, "a block, a picture loss, two losses");
}

#[test]
fn only_what_was_sealed_is_opened_and_once() {
    const PROFILES: [(SrtpProfile, usize); 3] = [
        (SrtpProfile::AEAD_AES_128_GCM, 56),
        (SrtpProfile::AEAD_AES_256_GCM, 88),
        (SrtpProfile::AES128_CM_SHA1_80, 60),
    ];
    let crypto = str0m_aws_lc_rs::default_provider();
    let plain = rtcp_seeds();
    let mut ends: Vec<(Sealer, Opener)> = PROFILES
        .map(|(profile, len)| {
            let material: Vec<u8> = (0u8..).take(len).collect();
            let [theirs, ours] = [true, false].map(|client| Keys { profile, material: material.clone(), client });
            (Sealer::new(&crypto, &theirs).expect("keys"), Opener::new(&crypto, &ours).expect("keys"))
        })
        .into();
    let mut out = Vec::new();
    let opened = run("SRTCP", BRIEF_SEALED, |dice| {
        let which = dice.below(ends.len());
        let (sealer, opener) = &mut ends[which];
        let packets: Vec<Vec<u8>> = (0..2)
            .map(|_| {
                let mut sealed = Vec::new();
                sealer.seal_rtcp(dice.pick::<Vec<u8>>(&plain), &mut sealed).expect("sealed");
                sealed
            })
            .collect();
        let mut forged = packets[0].clone();
        damage(&mut forged, &packets, dice);
        let came = packets.iter().position(|sealed| *sealed == forged);
        assert_eq!(opener.open_rtcp(&forged, &mut out).is_ok(), came.is_some(), "{forged:02x?}");
        let mut opened = 0;
        for (n, sealed) in packets.iter().enumerate() {
            let expected = if came == Some(n) { Err(Forged) } else { Ok(()) };
            assert_eq!(opener.open_rtcp(sealed, &mut out), expected, "what is valid is served, and once");
            opened += usize::from(expected.is_ok());
        }
        opened
    });
    assert!(opened > 150, "{opened} of 200");
}

/// Offers that Chromium and Firefox made, and one in the shape of OBS's.
fn offers() -> Vec<Vec<u8>> {
    [
        &include_bytes!("fixtures/chromium-publisher.sdp")[..],
        include_bytes!("fixtures/chromium-viewer.sdp"),
        include_bytes!("fixtures/firefox-publisher.sdp"),
        include_bytes!("fixtures/firefox-viewer.sdp"),
        include_bytes!("fixtures/obs-publisher.sdp"),
    ]
    .map(<[u8]>::to_vec)
    .into()
}

/// A few lines doubled, lost, exchanged or borrowed, and bytes damaged inside of lines.
fn damaged_offer(seeds: &[Vec<u8>], dice: &mut Dice) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let whole = text(dice.pick::<Vec<u8>>(seeds));
    let mut lines: Vec<String> = whole.lines().map(str::to_owned).collect();
    for _ in 0..dice.below(4) {
        let (one, two) = (dice.below(lines.len()), dice.below(lines.len()));
        match dice.below(6) {
            0 => lines.swap(one, two),
            1 => drop(lines.remove(one)),
            2 => lines.insert(one, lines[two].clone()),
            3 => {
                let other = text(dice.pick::<Vec<u8>>(seeds));
                let other: Vec<&str> = other.lines().collect();
                other[dice.below(other.len())].clone_into(&mut lines[one]);
            }
            4 => {
                let mut line = lines[one].clone().into_bytes();
                damage(&mut line, seeds, dice);
                lines[one] = text(&line);
            }
            // A number that is one too many, or far too large.
            _ => {
                let large = dice.pick(&["0", "-1", "256", "65536", "4294967296", "99999999999999999999999"]);
                if let Some(at) = lines[one].find(|letter: char| letter.is_ascii_digit()) {
                    let end = lines[one][at..]
                        .find(|letter: char| !letter.is_ascii_digit())
                        .map_or(lines[one].len(), |len| at + len);
                    lines[one].replace_range(at..end, large);
                }
            }
        }
        if lines.is_empty() {
            break;
        }
    }
    lines.join("\r\n") + "\r\n"
}

#[test]
fn every_offer_is_answered_or_refused() {
    let maker = LegMaker::new(vec!["192.0.2.1:4000".parse().expect("an address")], true).expect("a certificate");
    let seeds = offers();
    let answer = |text: &str| {
        let offer = Offer::parse(text).ok()?;
        let codec = offer.choose(None)?;
        let role = if offer.sends { Role::Publisher } else { Role::Viewer };
        let credentials = str0m::IceCreds::new();
        let ufrag = credentials.ufrag.clone();
        maker.answer(role, codec, &offer, credentials, std::time::Instant::now()).ok().map(|answered| (answered, ufrag))
    };
    for seed in &seeds {
        let text = std::str::from_utf8(seed).expect("text");
        assert!(answer(text).is_some(), "{text}");
    }
    let answered = run("offers", BRIEF_OFFERS, |dice| {
        let text = damaged_offer(&seeds, dice);
        let candidates = Fragment::parse(&text, 32).map(|read| read.candidates).unwrap_or_default();
        for candidate in &candidates {
            assert!(candidate.starts_with("candidate:") && text.contains(candidate));
        }
        let Some((mut answered, ufrag)) = answer(&text) else { return 0 };
        assert!(answered.sdp.contains(&format!("a=ice-ufrag:{ufrag}")));
        for candidate in candidates {
            answered.leg.add_candidate(candidate);
        }
        1
    });
    assert!(answered > 20, "{answered} of 100 offers were answered");
    let whole = std::str::from_utf8(&seeds[0]).expect("text");
    assert!(answer(whole).is_some(), "a valid offer is still answered");
}
