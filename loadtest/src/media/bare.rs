//! Edge: the least that a forwarder can do, to be compared with: a process of its own, started by a hidden subcommand.
//!
//! For every packet of the stream and every viewer it writes a header of twelve bytes, seals the rest with AES-128-GCM
//! under that viewer's key, and gives 64 of them to the kernel at once. With GSO the packets of a frame go out as one
//! message a viewer, which the kernel cuts up. No ICE, no DTLS, no RTCP, nothing is received or remembered.

use std::{
    io::IoSlice,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, addr::SocketAddrArg, sendmmsg};

use super::{
    clip::{self, FRAME_PACKETS},
    rtp::{self, Header},
    sdp::Types,
};

/// Messages for the kernel at once.
const BATCH: usize = 64;
const TAG_BYTES: usize = 16;
const SEALED_BYTES: usize = rtp::HEADER_BYTES + clip::VIDEO_BYTES + TAG_BYTES;
/// What its payload types mean.
pub const TYPES: Types = Types { video: 102, resent: 0, sound: 111 };
const FRAME: Duration = Duration::from_nanos(1_000_000_000 / clip::FRAMES_PER_S);
const SOUND: Duration = Duration::from_nanos(1_000_000_000 / clip::SOUNDS_PER_S);
/// Whoever is so late begins anew at the present.
const TOO_LATE: Duration = Duration::from_millis(200);

/// How to run it.
#[derive(Debug, Clone, clap::Args)]
pub struct BareArgs {
    /// The viewers' ports on this machine.
    #[arg(long, value_delimiter = ',')]
    ports: Vec<u16>,
    /// The packets of a frame as one message.
    #[arg(long)]
    gso: bool,
    /// Microseconds from the first packet of a frame to the last.
    #[arg(long, default_value_t = 0)]
    spread_us: u64,
}

struct Viewer {
    key: LessSafeKey,
    salt: [u8; 12],
    to: SocketAddrAny,
    video_seq: u16,
    sound_seq: u16,
    ssrc: u32,
}

struct Sender {
    socket: UdpSocket,
    viewers: Vec<Viewer>,
    /// Sealed messages, one after the other, and whose they are.
    slab: Vec<u8>,
    ends: Vec<(usize, usize)>,
}

/// Runs until it is killed.
pub fn run(args: &BareArgs) -> anyhow::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    if args.gso {
        setsockopt(&socket, UdpGsoSegment, &i32::try_from(SEALED_BYTES)?).context("the kernel has no UDP_SEGMENT")?;
    }
    let viewers = args.ports.iter().zip(1..).map(|(port, n)| Viewer::new(*port, n)).collect::<Result<_, _>>()?;
    let slab = Vec::with_capacity(BATCH * FRAME_PACKETS * SEALED_BYTES);
    let mut sender = Sender { socket, viewers, slab, ends: Vec::with_capacity(BATCH) };
    let mut plain = vec![0x5a_u8; clip::VIDEO_BYTES];
    let (mut frame_due, mut sound_due) = (Instant::now(), Instant::now());
    let (mut frame_ts, mut sound_ts, mut index) = (0_u32, 0_u32, 0_usize);
    let part = Duration::from_micros(args.spread_us) / u32::try_from(FRAME_PACKETS - 1)?;
    loop {
        let packet_due =
            frame_due + if args.gso { part * u32::try_from(FRAME_PACKETS - 1)? } else { part * u32::try_from(index)? };
        let now = Instant::now();
        if packet_due.min(sound_due) > now {
            std::thread::sleep(packet_due.min(sound_due) - now);
            continue;
        }
        if sound_due <= now {
            plain[0] = plain[0].wrapping_add(1);
            let header = Header { pt: TYPES.sound, marker: true, ts: sound_ts, ..NO_HEADER };
            sender.send(&header, &plain[..clip::SOUND_BYTES], 1)?;
            (sound_due, sound_ts) = step(sound_due, SOUND, sound_ts, clip::SOUND_TICKS, now);
        }
        if packet_due <= now {
            let (first, count) = if args.gso { (0, FRAME_PACKETS) } else { (index, 1) };
            index = first + count;
            plain[0] = plain[0].wrapping_add(1);
            let header = Header { pt: TYPES.video, marker: index == FRAME_PACKETS, ts: frame_ts, ..NO_HEADER };
            sender.send(&header, &plain, count)?;
            if index == FRAME_PACKETS {
                index = 0;
                (frame_due, frame_ts) = step(frame_due, FRAME, frame_ts, clip::FRAME_TICKS, now);
            }
        }
    }
}

const NO_HEADER: Header = Header { pt: 0, marker: false, seq: 0, ts: 0, ssrc: 0, payload_at: rtp::HEADER_BYTES };

/// When the next is due, and its time in ticks: after one interval, or after as many as were missed.
fn step(mut due: Instant, every: Duration, mut ts: u32, ticks: u32, now: Instant) -> (Instant, u32) {
    loop {
        due += every;
        ts = ts.wrapping_add(ticks);
        if due + TOO_LATE >= now {
            return (due, ts);
        }
    }
}

impl Viewer {
    fn new(port: u16, n: u32) -> anyhow::Result<Self> {
        let mut secret = [0; 16];
        secret[..4].copy_from_slice(&n.to_be_bytes());
        let key = UnboundKey::new(&AES_128_GCM, &secret).map_err(|_| anyhow!("no AES-128-GCM"))?;
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port)).as_any();
        Ok(Self { key: LessSafeKey::new(key), salt: [7; 12], to, video_seq: 1, sound_seq: 1, ssrc: 2 * n })
    }

    /// Puts a sealed packet behind the others.
    fn seal(&mut self, template: &Header, plain: &[u8], slab: &mut Vec<u8>) -> anyhow::Result<()> {
        let is_video = template.pt == TYPES.video;
        let seq = if is_video { &mut self.video_seq } else { &mut self.sound_seq };
        let header = Header { seq: *seq, ssrc: self.ssrc | u32::from(!is_video), ..*template };
        *seq = seq.wrapping_add(1);
        let at = slab.len();
        header.write(slab);
        slab.extend_from_slice(plain);
        let mut nonce = self.salt;
        for (byte, with) in nonce[2..6].iter_mut().zip(header.ssrc.to_be_bytes()) {
            *byte ^= with;
        }
        for (byte, with) in nonce[10..].iter_mut().zip(header.seq.to_be_bytes()) {
            *byte ^= with;
        }
        let (head, body) = slab[at..].split_at_mut(rtp::HEADER_BYTES);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag =
            self.key.seal_in_place_separate_tag(nonce, Aad::from(head), body).map_err(|_| anyhow!("cannot seal"))?;
        slab.extend_from_slice(tag.as_ref());
        Ok(())
    }
}

impl Sender {
    /// Sends everybody so many packets; only the last of a frame has the marker.
    fn send(&mut self, header: &Header, plain: &[u8], count: usize) -> anyhow::Result<()> {
        let mut from = 0;
        while from < self.viewers.len() {
            let batch = from..(from + BATCH).min(self.viewers.len());
            self.slab.clear();
            self.ends.clear();
            for viewer in &mut self.viewers[batch.clone()] {
                let begin = self.slab.len();
                for n in 1..=count {
                    let header = Header { marker: header.marker && n == count, ..*header };
                    viewer.seal(&header, plain, &mut self.slab)?;
                }
                self.ends.push((begin, self.slab.len()));
            }
            self.flush(&self.viewers[batch.clone()])?;
            from = batch.end;
        }
        Ok(())
    }

    fn flush(&self, viewers: &[Viewer]) -> anyhow::Result<()> {
        let slices: Vec<[IoSlice<'_>; 1]> =
            self.ends.iter().map(|(begin, end)| [IoSlice::new(&self.slab[*begin..*end])]).collect();
        let mut controls: Vec<SendAncillaryBuffer<'_, '_, '_>> = slices.iter().map(|_| Default::default()).collect();
        let mut messages: Vec<MMsgHdr<'_>> = viewers
            .iter()
            .zip(&slices)
            .zip(&mut controls)
            .map(|((viewer, slice), control)| MMsgHdr::new_with_addr(&viewer.to, slice, control))
            .collect();
        let mut rest = &mut messages[..];
        while !rest.is_empty() {
            match sendmmsg(&self.socket, rest, SendFlags::empty()) {
                Ok(sent) => rest = &mut rest[sent..],
                // A viewer is gone, and the kernel says so here.
                Err(rustix::io::Errno::CONNREFUSED | rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).context("cannot send"),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::media::crowd::{Crowd, Seat};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_crowd_gets_every_packet_of_a_bare_loop() {
        for gso in [false, true] {
            let mut crowd = Crowd::new().expect("threads");
            let seats: Vec<Seat> =
                (0..5).map(|_| Seat::take(IpAddr::from(Ipv4Addr::LOCALHOST)).expect("a port")).collect();
            let ports = seats.iter().map(|seat| seat.address.port()).collect();
            for seat in seats {
                crowd.take(seat, TYPES).expect("a thread");
            }
            // It runs until the tests are over.
            std::thread::spawn(move || run(&BareArgs { ports, gso, spread_us: 0 }));
            crowd.until_all_watch(Duration::from_secs(10)).await.expect("they get something");
            tokio::time::sleep(Duration::from_millis(500)).await;
            let seen = crowd.seen().await.expect("the threads live");
            assert_eq!(seen.len(), 5);
            for seen in seen {
                assert!(seen.packets > 50, "{seen:?}");
                assert_eq!((seen.holes, seen.repeated, seen.disordered, seen.cut, seen.damaged), (0, 0, 0, 0, 0));
            }
        }
    }
}
