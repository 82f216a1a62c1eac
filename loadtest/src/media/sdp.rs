//! Pure: offers and answers of the crowd, in the shape that a browser gives them.
//!
//! Owns the texts and what is read of the other side's: who it is (ICE, DTLS), where it is, and which payload types
//! mean what. One picture and one sound, bundled; H.264 and Opus only.

use std::{fmt::Write, net::SocketAddr};

use anyhow::{Context, ensure};

use super::stun::Role;

/// Payload types of our own offers.
const VIDEO_PT: u8 = 102;
const RESENT_PT: u8 = 103;
const SOUND_PT: u8 = 111;
const H264: &str = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
const OPUS: &str = "minptime=10;useinbandfec=1";

/// Our side of a connection.
#[derive(Debug, Clone)]
pub struct Own {
    pub ufrag: String,
    pub pwd: String,
    /// SHA-256 of our certificate.
    pub fingerprint: String,
    pub way: Way,
    /// Said to a server that will not find us by our checks.
    pub candidate: Option<SocketAddr>,
    pub role: Role,
}

/// Which way the media goes, as we see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// We publish, in these streams.
    Send {
        video: u32,
        sound: u32,
    },
    Receive,
}

/// Who begins the DTLS handshake; we always do in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    Either,
    Ours,
}

/// What the payload types mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Types {
    pub video: u8,
    /// Pictures that are sent again; 0 when they are not.
    pub resent: u8,
    pub sound: u8,
}

/// The other side of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    pub ufrag: String,
    pub pwd: String,
    pub fingerprint: String,
    pub addresses: Vec<SocketAddr>,
    pub types: Types,
    /// Whether each of its media is video, and its name.
    media: Vec<(bool, String)>,
}

/// Our offer.
pub fn offer(own: &Own, setup: Setup) -> String {
    let types = Types { video: VIDEO_PT, resent: RESENT_PT, sound: SOUND_PT };
    write(own, &types, &[(true, "0".to_owned()), (false, "1".to_owned())], setup)
}

/// Our answer to an offer.
pub fn answer(own: &Own, remote: &Remote) -> String {
    write(own, &remote.types, &remote.media, Setup::Ours)
}

fn write(own: &Own, types: &Types, media: &[(bool, String)], setup: Setup) -> String {
    let names = media.iter().map(|(_, mid)| mid.as_str()).collect::<Vec<_>>().join(" ");
    let mut text = format!(
        "v=0\r\no=- 4611732911334211937 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {names}\r\n\
         a=msid-semantic: WMS\r\n"
    );
    let (direction, setup) = (
        if own.way == Way::Receive { "recvonly" } else { "sendonly" },
        if setup == Setup::Either { "actpass" } else { "active" },
    );
    for (is_video, mid) in media {
        let (kind, pts) = match (is_video, types.resent) {
            (true, 0) => ("video", types.video.to_string()),
            (true, resent) => ("video", format!("{} {resent}", types.video)),
            (false, _) => ("audio", types.sound.to_string()),
        };
        // Writing into a text cannot fail.
        let _ = write!(
            text,
            "m={kind} 9 UDP/TLS/RTP/SAVPF {pts}\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
             a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:sha-256 {}\r\na=setup:{setup}\r\n\
             a=mid:{mid}\r\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na={direction}\r\na=rtcp-mux\r\na=rtcp-rsize\r\n",
            own.ufrag, own.pwd, own.fingerprint
        );
        text.push_str(&codecs(*is_video, types));
        text.push_str(&match own.candidate {
            Some(at) => {
                format!("a=candidate:1 1 udp 2130706431 {} {} typ host\r\na=end-of-candidates\r\n", at.ip(), at.port())
            }
            None => "a=ice-options:trickle\r\n".to_owned(),
        });
        if let Way::Send { video, sound } = own.way {
            let ssrc = if *is_video { video } else { sound };
            let _ = write!(text, "a=msid:load load{mid}\r\na=ssrc:{ssrc} cname:load\r\n");
        }
    }
    text
}

fn codecs(is_video: bool, Types { video, resent, sound }: &Types) -> String {
    if !is_video {
        return format!("a=rtpmap:{sound} opus/48000/2\r\na=fmtp:{sound} {OPUS}\r\n");
    }
    let again = match resent {
        0 => String::new(),
        resent => format!("a=rtpmap:{resent} rtx/90000\r\na=fmtp:{resent} apt={video}\r\n"),
    };
    format!(
        "a=rtpmap:{video} H264/90000\r\na=rtcp-fb:{video} ccm fir\r\na=rtcp-fb:{video} nack\r\n\
         a=rtcp-fb:{video} nack pli\r\na=fmtp:{video} {H264}\r\n{again}"
    )
}

impl Remote {
    /// Reads an offer or an answer.
    pub fn read(text: &str) -> anyhow::Result<Self> {
        ensure!(text.starts_with("v=0"), "this is no session description: {text:?}");
        let lines = || text.lines().map(str::trim_end);
        let first = |name: &str| lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
        let needed = |name: &str| first(name).with_context(|| format!("no {name} in {text:?}"));
        let fingerprint = needed("a=fingerprint:sha-256 ")?.to_ascii_uppercase();
        let addresses: Vec<SocketAddr> = lines().filter_map(candidate).collect();
        ensure!(!addresses.is_empty(), "no candidate in {text:?}");
        let mut remote = Self {
            ufrag: needed("a=ice-ufrag:")?,
            pwd: needed("a=ice-pwd:")?,
            fingerprint,
            addresses,
            types: Types::default(),
            media: Vec::new(),
        };
        for line in lines() {
            if let Some(media) = line.strip_prefix("m=") {
                remote.media.push((media.starts_with("video "), String::new()));
            } else if let Some(((_, mid), name)) = remote.media.last_mut().zip(line.strip_prefix("a=mid:")) {
                name.clone_into(mid);
            } else if let Some((pt, codec)) = line.strip_prefix("a=rtpmap:").and_then(|rest| rest.split_once(' ')) {
                remote.learn(pt.parse().unwrap_or(0), &codec.to_ascii_lowercase());
            }
        }
        ensure!(remote.types.video != 0, "no H.264 in {text:?}");
        Ok(remote)
    }

    fn learn(&mut self, pt: u8, codec: &str) {
        let place = match codec {
            "h264/90000" => &mut self.types.video,
            "rtx/90000" => &mut self.types.resent,
            "opus/48000/2" => &mut self.types.sound,
            _ => return,
        };
        // The first one is the one that is preferred.
        if *place == 0 {
            *place = pt;
        }
    }
}

/// The address of a UDP host candidate.
fn candidate(line: &str) -> Option<SocketAddr> {
    let fields: Vec<&str> = line.strip_prefix("a=candidate:")?.split_whitespace().collect();
    let [_, "1", transport, _, ip, port, "typ", "host", ..] = fields[..] else { return None };
    let is_udp = transport.eq_ignore_ascii_case("udp");
    is_udp.then(|| Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(way: Way) -> Own {
        Own {
            ufrag: "abcd".to_owned(),
            pwd: "p".repeat(24),
            fingerprint: "AB:CD".to_owned(),
            way,
            candidate: None,
            role: Role::Controls,
        }
    }

    const CANDIDATES: &str = "a=candidate:1 1 udp 2130706431 127.0.0.1 4000 typ host\r\n\
        a=candidate:2 1 tcp 1 127.0.0.1 4001 typ host tcptype passive\r\na=candidate:3 1 UDP 1 203.0.113.7 9 typ srflx\r\n";

    #[test]
    fn an_offer_says_who_we_are_and_what_we_take() {
        let text = offer(&own(Way::Receive), Setup::Either) + CANDIDATES;
        let remote = Remote::read(&text).expect("it is one");
        assert_eq!((remote.ufrag.as_str(), remote.fingerprint.as_str()), ("abcd", "AB:CD"));
        assert_eq!(remote.addresses, ["127.0.0.1:4000".parse::<SocketAddr>().expect("an address")]);
        assert_eq!(remote.types, Types { video: VIDEO_PT, resent: RESENT_PT, sound: SOUND_PT });
        assert_eq!(remote.media, [(true, "0".to_owned()), (false, "1".to_owned())]);
        assert!(text.contains("a=recvonly") && text.contains("a=setup:actpass") && !text.contains("a=ssrc"));
        let here = Own { candidate: Some(remote.addresses[0]), ..own(Way::Receive) };
        let told = Remote::read(&offer(&here, Setup::Ours)).expect("it is one");
        assert_eq!(told.addresses, [remote.addresses[0]; 2], "once of each media");
        let text = offer(&own(Way::Send { video: 5, sound: 6 }), Setup::Ours);
        assert!(text.contains("a=sendonly") && text.contains("a=ssrc:5 ") && text.contains("a=setup:active"));
    }

    #[test]
    fn an_answer_keeps_the_offers_names_order_and_types() {
        let theirs = "v=0\r\na=ice-ufrag:x\r\na=ice-pwd:y\r\na=fingerprint:sha-256 ab\r\nm=audio 9 X 96\r\na=mid:a\r\n\
                      a=rtpmap:96 opus/48000/2\r\nm=video 9 X 97 98\r\na=mid:v\r\na=rtpmap:97 H264/90000\r\n";
        let remote = Remote::read(&(theirs.to_owned() + CANDIDATES)).expect("an offer");
        let text = answer(&own(Way::Receive), &remote);
        assert!(text.find("m=audio 9 UDP/TLS/RTP/SAVPF 96\r\n") < text.find("m=video 9 UDP/TLS/RTP/SAVPF 97\r\n"));
        assert!(text.contains("BUNDLE a v") && text.contains("a=setup:active") && !text.contains("rtx"));
        assert!(Remote::read(theirs).is_err(), "nowhere to send to");
        assert!(Remote::read("hello").is_err());
    }
}
