//! Pure: RTP headers and the few RTCP messages that a crowd speaks.
//!
//! Writes what a browser writes (reports, requests for lost packets, requests for a keyframe) and reads what a server
//! writes to it. What is malformed is nothing.

/// Bytes of a header without extensions.
pub const HEADER_BYTES: usize = 12;
/// Bytes of the number that a packet sent again begins with (RFC 4588).
pub const RESENT_HEAD_BYTES: usize = 2;

const VERSION: u8 = 0x80;
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
const NACK: u8 = 1;
const PLI: u8 = 1;
const FIR: u8 = 4;

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub pt: u8,
    pub marker: bool,
    pub seq: u16,
    pub ts: u32,
    pub ssrc: u32,
    /// Where the payload begins.
    pub payload_at: usize,
}

impl Header {
    /// Reads it.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let head = packet.first_chunk::<HEADER_BYTES>()?;
        if head[0] & 0xc0 != VERSION {
            return None;
        }
        let mut payload_at = HEADER_BYTES + 4 * usize::from(head[0] & 0x0f);
        if head[0] & 0x10 != 0 {
            let words = packet.get(payload_at + 2..payload_at + 4)?;
            payload_at += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
        }
        (payload_at <= packet.len()).then_some(Self {
            pt: head[1] & 0x7f,
            marker: head[1] & 0x80 != 0,
            seq: u16::from_be_bytes([head[2], head[3]]),
            ts: word(&head[4..]),
            ssrc: word(&head[8..]),
            payload_at,
        })
    }

    /// Writes it, without extensions.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend([VERSION, self.pt | u8::from(self.marker) << 7]);
        out.extend(self.seq.to_be_bytes());
        out.extend(self.ts.to_be_bytes());
        out.extend(self.ssrc.to_be_bytes());
    }
}

/// Is this one of RTCP's, sealed or not? (RFC 5761)
pub fn is_rtcp(datagram: &[u8]) -> bool {
    datagram.get(1).is_some_and(|kind| (192..=223).contains(kind))
}

/// What a receiver tells about one stream.
#[derive(Debug, Clone, Copy, Default)]
pub struct Block {
    pub ssrc: u32,
    pub lost: u32,
    pub highest: u32,
    /// The middle of the last sender report's time, and the wait since, in 1/65536 s.
    pub last_report: u32,
    pub since: u32,
}

/// A receiver report.
pub fn receiver_report(own: u32, blocks: &[Block], out: &mut Vec<u8>) {
    begin(u8::try_from(blocks.len()).unwrap_or(0), RECEIVER_REPORT, 1 + 6 * blocks.len(), out);
    out.extend(own.to_be_bytes());
    for block in blocks {
        out.extend(block.ssrc.to_be_bytes());
        out.extend(block.lost.min(0x7f_ffff).to_be_bytes());
        out.extend(block.highest.to_be_bytes());
        out.extend([0; 4]);
        out.extend(block.last_report.to_be_bytes());
        out.extend(block.since.to_be_bytes());
    }
}

/// A sender report with the name that has to stand beside it.
pub fn sender_report(ssrc: u32, ntp: u64, ts: u32, packets: u32, bytes: u32, out: &mut Vec<u8>) {
    begin(0, SENDER_REPORT, 6, out);
    out.extend(ssrc.to_be_bytes());
    out.extend(ntp.to_be_bytes());
    for value in [ts, packets, bytes] {
        out.extend(value.to_be_bytes());
    }
    begin(1, SOURCE_DESCRIPTION, 4, out);
    out.extend(ssrc.to_be_bytes());
    out.extend(*b"\x01\x04load\0\0\0\0\0\0");
}

/// A request for packets that did not come.
pub fn nack(own: u32, media: u32, seqs: &[u16], out: &mut Vec<u8>) {
    begin(NACK, TRANSPORT_FEEDBACK, 2 + seqs.len(), out);
    out.extend(own.to_be_bytes());
    out.extend(media.to_be_bytes());
    for seq in seqs {
        out.extend(seq.to_be_bytes());
        out.extend([0, 0]);
    }
}

/// Something that the other side said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    SenderReport { ssrc: u32, middle: u32 },
    Keyframe,
    Again(u16),
}

/// Reads a compound message.
pub fn read(mut compound: &[u8]) -> Vec<Said> {
    let mut said = Vec::new();
    while let Some((head, _)) = compound.split_first_chunk::<4>() {
        let len = 4 + 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
        let Some((message, rest)) = compound.split_at_checked(len) else { break };
        compound = rest;
        let body = &message[4..];
        match (head[1], head[0] & 0x1f) {
            (SENDER_REPORT, _) if body.len() >= 24 => {
                said.push(Said::SenderReport { ssrc: word(body), middle: word(&body[6..]) });
            }
            (PAYLOAD_FEEDBACK, PLI | FIR) => said.push(Said::Keyframe),
            (TRANSPORT_FEEDBACK, NACK) => {
                for entry in body.get(8..).unwrap_or_default().as_chunks::<4>().0 {
                    let (first, mask) = (u16::from_be_bytes([entry[0], entry[1]]), [entry[2], entry[3]]);
                    let others = (0..16).filter(|bit| u16::from_be_bytes(mask) >> bit & 1 == 1).map(|bit| bit + 1);
                    let all = std::iter::once(0).chain(others);
                    said.extend(all.map(|after| Said::Again(first.wrapping_add(after))));
                }
            }
            _ => {}
        }
    }
    said
}

fn begin(count: u8, kind: u8, words: usize, out: &mut Vec<u8>) {
    out.extend([VERSION | count, kind]);
    out.extend(u16::try_from(words).unwrap_or(0).to_be_bytes());
}

fn word(bytes: &[u8]) -> u32 {
    bytes.first_chunk().copied().map_or(0, u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let header = Header { pt: 102, marker: true, seq: 65_535, ts: 9_000, ssrc: 0xdead_beef, payload_at: 12 };
        let mut packet = Vec::new();
        header.write(&mut packet);
        assert_eq!(Header::parse(&packet), Some(header));
        packet[0] |= 0x10;
        packet.extend([0xbe, 0xde, 0, 1, 0x10, b'0', 0, 0, 1, 2]);
        assert_eq!(Header::parse(&packet).map(|h| h.payload_at), Some(20), "an extension is passed over");
        assert_eq!(Header::parse(&packet[..18]), None, "one that is cut off is nothing");
        assert_eq!(Header::parse(&[0; 12]), None);
    }

    #[test]
    fn a_compound_is_read_to_its_end() {
        let mut compound = Vec::new();
        sender_report(1, 0x0001_0002_0003_0004, 5, 6, 7, &mut compound);
        receiver_report(9, &[Block { ssrc: 1, lost: 2, ..Block::default() }], &mut compound);
        nack(9, 1, &[7, 65_535], &mut compound);
        compound.extend([0x81, 206, 0, 2, 0, 0, 0, 9, 0, 0, 0, 1]);
        let expected =
            [Said::SenderReport { ssrc: 1, middle: 0x0002_0003 }, Said::Again(7), Said::Again(65_535), Said::Keyframe];
        assert_eq!(read(&compound), expected);
        assert_eq!(read(&compound[..compound.len() - 1]), expected[..3]);
        assert!(is_rtcp(&compound) && !is_rtcp(&[0x80, 0xe6]));
        let masked = [0x81, 205, 0, 3, 0, 0, 0, 9, 0, 0, 0, 1, 0, 10, 0x80, 1];
        assert_eq!(read(&masked), [Said::Again(10), Said::Again(11), Said::Again(26)]);
    }
}
