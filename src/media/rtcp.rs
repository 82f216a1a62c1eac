//! Pure: what viewers report, and what we report to them (RFC 3550, RFC 4585, RFC 5104, draft-alvestrand-rmcat-remb-03).
//!
//! Takes and gives plain compound packets. Everything from a peer may be rubbish: what does not add up ends the reading,
//! and nothing is allocated for it.

/// Packet types.
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
/// Kinds of feedback.
const GENERIC_NACK: u8 = 1;
const PICTURE_LOSS: u8 = 1;
const FULL_INTRA: u8 = 4;
const APPLICATION: u8 = 15;
/// The application whose feedback is an estimate.
const ESTIMATE: &[u8] = b"REMB";

const HEADER_BYTES: usize = 4;
const SSRC_BYTES: usize = 4;
const SENDER_INFO_BYTES: usize = 20;
const REPORT_BLOCK_BYTES: usize = 24;
/// Seconds between 1900, where NTP begins, and 1970 (RFC 5905, section 6).
const NTP_OFFSET_S: u64 = 2_208_988_800;
/// The item of a description that names its source.
const CNAME: u8 = 1;
/// One name for everything that we send to a peer: its picture and sound belong together.
const OUR_NAME: &[u8] = b"hanamichi";

/// What a viewer says about a stream of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    /// It cannot decode on: PLI or FIR.
    KeyframeWanted { ssrc: u32 },
    /// Packets that did not come: the first, and which of the sixteen that follow (RFC 4585, section 6.2.1).
    Lost { ssrc: u32, first: u16, others: u16 },
    /// How it receives a stream.
    Received { ssrc: u32, block: Block },
    /// What it thinks that it can get of all streams together.
    Estimate { bits_per_s: u64 },
    /// It leaves.
    Goodbye,
}

/// A report block (RFC 3550, section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// Of 256, since the last report.
    pub(super) fraction_lost: u8,
    /// Since the beginning; late duplicates make it negative.
    pub(super) lost: i32,
    /// In ticks of the stream's clock.
    pub(super) jitter: u32,
    /// The middle of the time in the last sender report of ours, 0 for none.
    pub(super) last_report: u32,
    /// How long ago that came, in 1/65,536 s.
    pub(super) since_report: u32,
}

impl Block {
    /// Round trip in 1/65,536 s, when the report was told at `now` (the middle of an NTP time).
    pub(super) fn round_trip(&self, now: u32) -> Option<u32> {
        let trip = now.wrapping_sub(self.last_report).wrapping_sub(self.since_report);
        // A trip of an hour is a clock that was set.
        (self.last_report != 0 && trip < 3_600 << 16).then_some(trip)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Tells `hear` everything that a compound packet reports.
pub(super) fn read(mut compound: &[u8], mut hear: impl FnMut(Report)) {
    while let Some(packet) = next(&mut compound) {
        // What is cut short says nothing.
        let _ = read_one(packet, &mut hear);
    }
}

/// One packet of a compound.
fn next<'a>(compound: &mut &'a [u8]) -> Option<&'a [u8]> {
    if compound.first()? >> 6 != 2 {
        return None;
    }
    let len = (usize::from(half(compound, 2)?) + 1) * 4;
    let (packet, rest) = compound.split_at_checked(len)?;
    *compound = rest;
    Some(packet)
}

fn read_one(packet: &[u8], hear: &mut impl FnMut(Report)) -> Option<()> {
    let (count, kind) = (packet.first()? & 0x1f, *packet.get(1)?);
    match (kind, count) {
        (SENDER_REPORT, _) => blocks(packet.get(HEADER_BYTES + SSRC_BYTES + SENDER_INFO_BYTES..)?, count, hear),
        (RECEIVER_REPORT, _) => blocks(packet.get(HEADER_BYTES + SSRC_BYTES..)?, count, hear),
        (GOODBYE, _) => hear(Report::Goodbye),
        (TRANSPORT_FEEDBACK, GENERIC_NACK) => {
            let ssrc = word(packet, HEADER_BYTES + SSRC_BYTES)?;
            for item in packet.get(HEADER_BYTES + 2 * SSRC_BYTES..)?.chunks_exact(4) {
                hear(Report::Lost { ssrc, first: half(item, 0)?, others: half(item, 2)? });
            }
        }
        (PAYLOAD_FEEDBACK, PICTURE_LOSS) => {
            hear(Report::KeyframeWanted { ssrc: word(packet, HEADER_BYTES + SSRC_BYTES)? });
        }
        (PAYLOAD_FEEDBACK, FULL_INTRA) => {
            for item in packet.get(HEADER_BYTES + 2 * SSRC_BYTES..)?.chunks_exact(8) {
                hear(Report::KeyframeWanted { ssrc: word(item, 0)? });
            }
        }
        (PAYLOAD_FEEDBACK, APPLICATION) => {
            let feedback = packet.get(HEADER_BYTES + 2 * SSRC_BYTES..)?;
            if feedback.starts_with(ESTIMATE) {
                hear(Report::Estimate { bits_per_s: estimate(word(feedback, ESTIMATE.len())?) });
            }
        }
        _ => {}
    }
    Some(())
}

/// Behind the number of streams six bits of exponent and eighteen of mantissa.
fn estimate(word: u32) -> u64 {
    let (exponent, mantissa) = ((word >> 18) & 0x3f, u128::from(word & 0x3_ffff));
    u64::try_from(mantissa << exponent).unwrap_or(u64::MAX)
}

fn blocks(bytes: &[u8], count: u8, hear: &mut impl FnMut(Report)) {
    for block in bytes.chunks_exact(REPORT_BLOCK_BYTES).take(count.into()) {
        let read = || {
            let losses = word(block, 4)?;
            Some(Report::Received {
                ssrc: word(block, 0)?,
                block: Block {
                    fraction_lost: *block.get(4)?,
                    // 24 bits with a sign.
                    lost: losses.cast_signed() << 8 >> 8,
                    jitter: word(block, 12)?,
                    last_report: word(block, 16)?,
                    since_report: word(block, 20)?,
                },
            })
        };
        if let Some(report) = read() {
            hear(report);
        }
    }
}

/// What we say of a stream of ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) ssrc: u32,
    /// An NTP time: the moment of `ts`.
    pub(super) at_ntp: u64,
    pub(super) ts: u32,
    pub(super) packets: u32,
    pub(super) bytes: u32,
}

/// An NTP time of so many microseconds since 1970, or since whatever a sender counts from.
pub(super) fn ntp(unix_us: u64) -> u64 {
    let fraction = ((unix_us % 1_000_000) << 32) / 1_000_000;
    ((unix_us / 1_000_000 + NTP_OFFSET_S) << 32) | fraction
}

/// The middle of an NTP time, as report blocks give it back.
pub(super) fn middle(ntp: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "the middle 32 bits are what is meant")]
    let middle = (ntp >> 16) as u32;
    middle
}

/// Writes a sender report and our name into `out`, replacing what it held.
pub(super) fn write_report(sent: &Sent, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&[0x80, SENDER_REPORT, 0, 6]);
    out.extend_from_slice(&sent.ssrc.to_be_bytes());
    out.extend_from_slice(&sent.at_ntp.to_be_bytes());
    out.extend_from_slice(&sent.ts.to_be_bytes());
    out.extend_from_slice(&sent.packets.to_be_bytes());
    out.extend_from_slice(&sent.bytes.to_be_bytes());
    let item = 2 + OUR_NAME.len();
    // An item list ends with at least one zero, on a whole word.
    let padded = (item + 1).next_multiple_of(4);
    let words = u16::try_from((SSRC_BYTES + padded) / 4).expect("a short name");
    out.extend_from_slice(&[0x81, DESCRIPTION]);
    out.extend_from_slice(&words.to_be_bytes());
    out.extend_from_slice(&sent.ssrc.to_be_bytes());
    out.extend_from_slice(&[CNAME, u8::try_from(OUR_NAME.len()).expect("a short name")]);
    out.extend_from_slice(OUR_NAME);
    out.resize(out.len() + padded - item, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(compound: &[u8]) -> Vec<Report> {
        let mut reports = Vec::new();
        read(compound, |report| reports.push(report));
        reports
    }

    /// A compound as a browser sends it: a report without a block, a picture loss, a NACK, a report with a block.
    const COMPOUND: [u8; 8 + 12 + 20 + 32] = [
        0x80, 201, 0, 1, 0, 0, 0, 1, //
        0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9, //
        0x81, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 9, 0x12, 0x34, 0, 3, 0xff, 0xff, 0x80, 0, //
        0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 9, 64, 0xff, 0xff, 0xfe, 0, 1, 0, 5, 0, 0, 0, 77, 0, 2, 0, 0, 0, 0, 0x80,
        0,
    ];

    #[test]
    fn a_compound_is_read_to_its_end() {
        let block = Block { fraction_lost: 64, lost: -2, jitter: 77, last_report: 0x2_0000, since_report: 0x8000 };
        assert_eq!(
            heard(&COMPOUND),
            [
                Report::KeyframeWanted { ssrc: 9 },
                Report::Lost { ssrc: 9, first: 0x1234, others: 3 },
                Report::Lost { ssrc: 9, first: 0xffff, others: 0x8000 },
                Report::Received { ssrc: 9, block },
            ]
        );
        assert_eq!(block.round_trip(0x4_0000), Some(0x1_8000), "one and a half seconds");
        assert_eq!(Block { last_report: 0, ..block }.round_trip(5), None);
        let fir = [0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 7, 0, 0, 0];
        assert_eq!(heard(&fir), [Report::KeyframeWanted { ssrc: 9 }]);
        let remb = |word: [u8; 4]| {
            let head = [0x8f, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B'];
            heard(&[&head[..], &word, &[0, 0, 0, 9]].concat())
        };
        // The draft's own layout: one stream, 2^3 times 0x2abcd.
        assert_eq!(remb([1, 0x0e, 0xab, 0xcd]), [Report::Estimate { bits_per_s: 0x2_abcd << 3 }]);
        assert_eq!(remb([1, 0xff, 0xff, 0xff]), [Report::Estimate { bits_per_s: u64::MAX }]);
        assert_eq!(heard(&[0x8f, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, b'A', b'F', b'B', b' ', 1, 2, 3, 4]), []);
        assert_eq!(heard(&[0x81, 203, 0, 1, 0, 0, 0, 1]), [Report::Goodbye]);
    }

    #[test]
    fn what_we_report_can_be_read() {
        let sent = Sent { ssrc: 9, at_ntp: ntp(1_500_000), ts: 3, packets: 4, bytes: 5 };
        let mut out = Vec::new();
        write_report(&sent, &mut out);
        assert_eq!(out.len() % 4, 0);
        assert!(heard(&out).is_empty(), "no block in it");
        assert_eq!(&out[8..16], &[0x83, 0xaa, 0x7e, 0x81, 0x80, 0, 0, 0], "half past one second, 1970");
        assert_eq!(&out[28..30], &[0x81, 202]);
        let mut rest = &out[..];
        assert_eq!([next(&mut rest).map(<[u8]>::len), next(&mut rest).map(<[u8]>::len)], [Some(28), Some(20)]);
        assert!(rest.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn rubbish_is_survived(bytes in proptest::collection::vec(0u8..=255, 0..200), at in 0usize..72, bit in 0u32..8) {
            heard(&bytes);
            let mut damaged = COMPOUND;
            damaged[at] ^= 1 << bit;
            for len in 0..damaged.len() {
                proptest::prop_assert!(heard(&damaged[..len]).len() <= 30);
            }
        }
    }
}
