//! Pure: what an offer offers.
//!
//! Owns the reading of SDP that comes before the library sees it: which of our codecs it has and in which direction
//! it wants them. Simulcast is taken out of the offer and put back, in the plainest form, for a publisher.

use super::{layers::MAX_OFFERED, packet::VideoCodec};

/// An offer that we can answer in part at least.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    /// The offer for the library: CRLF lines, no simulcast.
    pub(super) text: String,
    /// Ours, in the order of our preference.
    pub(super) codecs: Vec<VideoCodec>,
    pub(super) sends: bool,
    pub(super) receives: bool,
    /// The media ids in their order, and whether they are video.
    pub(super) mids: Vec<(bool, String)>,
    /// The names of the sizes in which it would send its picture; more than one, or none.
    pub(super) layers: Vec<String>,
    /// The picture comes in more than one size: a publisher says so itself, a viewer is told.
    pub(super) is_layered: bool,
    /// Why it cannot be answered although it has a codec of ours.
    pub(super) fault: Option<&'static str>,
}

/// Why a text is no offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotAnOffer(pub(super) &'static str);

/// One m-line and what belongs to it.
#[derive(Default)]
struct Section<'a> {
    is_video: bool,
    is_audio: bool,
    mid: Option<&'a str>,
    rtpmaps: Vec<(&'a str, String)>,
    fmtps: Vec<(&'a str, &'a str)>,
    direction: Option<&'a str>,
    has_rtcp_mux: bool,
    /// Streams that are named, and those of them that are to be sent at once.
    rids: Vec<&'a str>,
    simulcast: Option<&'a str>,
}

/// Longer names the library would cut.
const MAX_NAME: usize = 8;

impl Offer {
    pub(super) fn parse(sdp: &str) -> Result<Self, NotAnOffer> {
        if !sdp.starts_with("v=0") {
            return Err(NotAnOffer("it does not begin with v=0"));
        }
        let lines = || sdp.lines().map(str::trim_end).filter(|line| !line.is_empty());
        let kept: Vec<&str> = lines().filter(|line| !is_simulcast(line)).collect();
        let text = kept.join("\r\n") + "\r\n";
        let (codecs, mids, layers) = (Vec::new(), Vec::new(), Vec::new());
        let mut offer =
            Self { text, codecs, sends: false, receives: false, mids, layers, is_layered: false, fault: None };
        let (mut h264, mut vp8) = (false, false);
        let mut session_direction = None;
        let mut sections: Vec<Section<'_>> = Vec::new();
        for line in lines() {
            if let Some(media) = line.strip_prefix("m=") {
                sections.push(Section::of(media));
            }
            let Some(attribute) = line.strip_prefix("a=") else {
                continue;
            };
            match sections.last_mut() {
                Some(section) => section.read(attribute),
                None if is_direction(attribute) => session_direction = Some(attribute),
                None => {}
            }
        }
        for section in sections.iter().filter(|section| section.is_video) {
            h264 |= section.has_h264();
            vp8 |= section.has("VP8/90000");
            let direction = section.direction.or(session_direction).unwrap_or("sendrecv");
            offer.sends |= matches!(direction, "sendrecv" | "sendonly");
            offer.receives |= matches!(direction, "sendrecv" | "recvonly");
            offer.layers = section.layers();
        }
        offer.is_layered = !offer.layers.is_empty();
        // Sound that we cannot carry is no reason to carry half (RFC 9725, section 4.4.3).
        let is_mute = |section: &&Section<'_>| section.is_audio && !section.has("OPUS/48000/2");
        if sections.iter().any(|section| is_mute(&section)) {
            (h264, vp8) = (false, false);
        }
        offer.fault = fault(&kept, &sections);
        offer.codecs.extend(h264.then_some(VideoCodec::H264).into_iter().chain(vp8.then_some(VideoCodec::Vp8)));
        for section in sections.iter().filter(|section| section.is_video || section.is_audio) {
            offer.mids.extend(section.mid.map(|mid| (section.is_video, mid.to_owned())));
        }
        if sections.is_empty() {
            return Err(NotAnOffer("it has no media"));
        }
        Ok(offer)
    }

    /// The offer as if everything in it went one way: an answer must not send both ways (RFC 9725, section 4.2).
    pub(super) fn one_way(&self, peer_sends: bool) -> String {
        let way = if peer_sends { "a=sendonly" } else { "a=recvonly" };
        let mut text = String::with_capacity(self.text.len() + 32);
        let (mut is_media, mut has_way) = (false, true);
        let finish = |text: &mut String, has_way: bool| {
            if !has_way {
                text.push_str(way);
                text.push_str("\r\n");
            }
        };
        for line in self.text.lines() {
            if line.starts_with("m=") {
                finish(&mut text, has_way);
                (is_media, has_way) = (true, !(line.starts_with("m=video ") || line.starts_with("m=audio ")));
            }
            let is_way = line.strip_prefix("a=").is_some_and(is_direction);
            // What stands before the media would be said of all of them.
            if is_way && (!is_media || line == "a=sendrecv") {
                continue;
            }
            has_way |= is_way;
            text.push_str(line);
            text.push_str("\r\n");
            if peer_sends && line.strip_prefix("a=mid:").is_some_and(|mid| self.is_video(mid)) {
                self.write_layers(&mut text);
            }
        }
        finish(&mut text, has_way);
        text
    }

    fn is_video(&self, mid: &str) -> bool {
        self.mids.iter().any(|(is_video, known)| *is_video && known == mid)
    }

    fn write_layers(&self, text: &mut String) {
        for name in &self.layers {
            text.extend(["a=rid:", name, " send\r\n"]);
        }
        if !self.layers.is_empty() {
            text.extend(["a=simulcast:send ", &self.layers.join(";"), "\r\n"]);
        }
    }

    /// Whether the peer wants to be told what did not come (RFC 4585, section 4.2).
    pub(super) fn takes_nacks(&self) -> bool {
        self.text.lines().any(|line| line.starts_with("a=rtcp-fb:") && line.ends_with(" nack"))
    }

    /// The codec to use: the one that the live has, else H.264 before VP8.
    pub(super) fn choose(&self, fixed: Option<VideoCodec>) -> Option<VideoCodec> {
        self.codecs.iter().copied().find(|codec| fixed.is_none_or(|fixed| fixed == *codec))
    }
}

impl<'a> Section<'a> {
    fn of(media: &str) -> Self {
        Self { is_video: media.starts_with("video "), is_audio: media.starts_with("audio "), ..Self::default() }
    }

    fn read(&mut self, attribute: &'a str) {
        if let Some((pt, codec)) = attribute.strip_prefix("rtpmap:").and_then(|rest| rest.split_once(' ')) {
            self.rtpmaps.push((pt, codec.to_ascii_uppercase()));
        } else if let Some((pt, format)) = attribute.strip_prefix("fmtp:").and_then(|rest| rest.split_once(' ')) {
            self.fmtps.push((pt, format));
        } else if let Some(mid) = attribute.strip_prefix("mid:") {
            self.mid = Some(mid);
        } else if let Some(rid) = attribute.strip_prefix("rid:").and_then(|rest| rest.split_once(" send")) {
            self.rids.push(rid.0);
        } else if let Some(simulcast) = attribute.strip_prefix("simulcast:") {
            self.simulcast = Some(simulcast);
        } else if attribute == "rtcp-mux" {
            self.has_rtcp_mux = true;
        } else if is_direction(attribute) {
            self.direction = Some(attribute);
        }
    }

    /// The streams to be sent at once (RFC 8853, section 5.1), of each its first form, whether it is paused or not.
    fn layers(&self) -> Vec<String> {
        let mut words = self.simulcast.unwrap_or_default().split_whitespace();
        let sent = words.find(|word| *word == "send").and_then(|_| words.next()).unwrap_or_default();
        let first = |stream: &'a str| stream.split(',').next().unwrap_or_default().trim_start_matches('~');
        let is_usable = |name: &&str| {
            (1..=MAX_NAME).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
                && self.rids.contains(name)
        };
        let mut names: Vec<String> = Vec::new();
        for name in sent.split(';').map(first).filter(is_usable) {
            if names.len() < MAX_OFFERED && !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        if names.len() > 1 { names } else { Vec::new() }
    }

    fn has(&self, codec: &str) -> bool {
        self.rtpmaps.iter().any(|(_, name)| name == codec)
    }

    /// Baseline or constrained baseline, packetization-mode 1.
    fn has_h264(&self) -> bool {
        let payload_types = self.rtpmaps.iter().filter(|(_, name)| name == "H264/90000").map(|(pt, _)| *pt);
        payload_types.into_iter().any(|pt| {
            let format = self.fmtps.iter().find(|(of, _)| *of == pt).map_or("", |(_, format)| format);
            let format = format.to_ascii_lowercase().replace(' ', "");
            let mut parameters = format.split(';');
            let profile = parameters.clone().find_map(|parameter| parameter.strip_prefix("profile-level-id="));
            parameters.any(|parameter| parameter == "packetization-mode=1")
                && profile.is_none_or(|profile| profile.starts_with("42"))
        })
    }
}

/// What a transport for all media needs (RFC 9725, sections 4.4.1 and 4.4.2).
fn fault(lines: &[&str], sections: &[Section<'_>]) -> Option<&'static str> {
    let groups = lines.iter().filter_map(|line| line.strip_prefix("a=group:BUNDLE"));
    let bundled: Vec<&str> = groups.flat_map(str::split_whitespace).collect();
    let media = || sections.iter().filter(|section| section.is_audio || section.is_video);
    let is_alone = |section: &Section<'_>| !section.mid.is_some_and(|mid| bundled.contains(&mid));
    match () {
        () if sections.len() > 1 && media().any(is_alone) => {
            Some("its media are not one BUNDLE group, and there is one transport for all")
        }
        // What is bundled has the attributes of the first.
        () if !sections.iter().any(|section| section.has_rtcp_mux) => {
            Some("it has no rtcp-mux, and there is one port for RTP and RTCP")
        }
        () if media().filter(|section| section.is_video).count() > 1 => Some("it has more than one video"),
        () if media().filter(|section| section.is_audio).count() > 1 => Some("it has more than one audio"),
        () => None,
    }
}

fn is_direction(attribute: &str) -> bool {
    matches!(attribute, "sendrecv" | "sendonly" | "recvonly" | "inactive")
}

fn is_simulcast(line: &str) -> bool {
    line.starts_with("a=simulcast:") || line.starts_with("a=rid:")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n\
        a=mid:0\r\na=sendonly\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97 98\r\na=mid:1\r\na=sendonly\r\n\
        a=rtpmap:96 VP8/90000\r\na=rtpmap:97 h264/90000\r\n\
        a=fmtp:97 level-asymmetry-allowed=1; packetization-mode=1;profile-level-id=42E01F\r\n\
        a=rid:h send\r\na=simulcast:send h;l\r\n";

    #[test]
    fn h264_is_preferred_and_simulcast_is_taken_out() {
        let offer = Offer::parse(OFFER).expect("an offer");
        assert!(offer.sends && !offer.receives);
        assert_eq!(offer.mids, [(false, "0".into()), (true, "1".into())]);
        assert_eq!(offer.choose(None), Some(VideoCodec::H264));
        assert_eq!(offer.choose(Some(VideoCodec::Vp8)), Some(VideoCodec::Vp8));
        assert!(!offer.text.contains("simulcast") && !offer.text.contains("a=rid"));
        assert!(offer.layers.is_empty(), "l has no a=rid");
    }

    #[test]
    fn a_publishers_sizes_are_offered_plainly_and_a_viewers_never() {
        let three = OFFER.replace(
            "a=rid:h send\r\na=simulcast:send h;l\r\n",
            "a=rid:h send pt=97\r\na=rid:l send\r\na=rid:m send max-width=640\r\na=rid:x recv\r\n\
             a=simulcast:recv x send ~h;m,l;l\r\n",
        );
        let offer = Offer::parse(&three).expect("an offer");
        assert_eq!(offer.layers, ["h", "m", "l"]);
        let lines = |peer_sends| {
            let text = offer.one_way(peer_sends);
            text.lines().filter(|line| is_simulcast(line)).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(lines(true), ["a=rid:h send", "a=rid:m send", "a=rid:l send", "a=simulcast:send h;m;l"]);
        assert!(lines(false).is_empty());
        let names = |simulcast: &str| {
            let offer = three.replace("recv x send ~h;m,l;l", simulcast);
            Offer::parse(&offer).expect("an offer").layers.join(" ")
        };
        assert_eq!(names("send h;h"), "", "one size needs no name");
        assert_eq!(names("send h;y"), "", "a name that stands for nothing");
        assert_eq!(names("recv h;m"), "");
        assert_eq!(names("send l;h;m;l"), "l h m");
        assert_eq!(names("send"), "");
    }

    #[test]
    fn what_has_no_one_transport_is_named() {
        let fault = |offer: &str| Offer::parse(offer).expect("an offer").fault;
        assert_eq!(fault(OFFER), None);
        assert!(fault(&OFFER.replace("BUNDLE 0 1", "BUNDLE 0")).is_some_and(|fault| fault.contains("BUNDLE")));
        assert!(fault(&OFFER.replace("a=group:BUNDLE 0 1\r\n", "")).is_some());
        assert!(fault(&OFFER.replace("a=rtcp-mux\r\n", "")).is_some_and(|fault| fault.contains("rtcp-mux")));
        let second = OFFER.replace("m=audio 9 UDP/TLS/RTP/SAVPF 111", "m=video 9 UDP/TLS/RTP/SAVPF 96");
        assert!(fault(&second).is_some_and(|fault| fault.contains("one video")));
        assert_eq!(Offer::parse(&OFFER.replace("opus", "PCMU")).expect("an offer").choose(None), None);
    }

    #[test]
    fn everything_goes_one_way() {
        let ways = |offer: &str, sends: bool| {
            let text = Offer::parse(offer).expect("an offer").one_way(sends);
            text.lines().filter(|line| is_direction(&line[2..])).map(str::to_owned).collect::<Vec<_>>()
        };
        let both = OFFER.replace("a=sendonly", "a=sendrecv");
        assert_eq!(ways(&both, true), ["a=sendonly"; 2]);
        assert_eq!(ways(&OFFER.replace("a=sendonly\r\n", ""), false), ["a=recvonly"; 2]);
        assert_eq!(ways(OFFER, false), ["a=sendonly"; 2], "what was said stays");
        let above = OFFER.replace("a=sendonly\r\n", "").replace("t=0 0\r\n", "t=0 0\r\na=sendrecv\r\n");
        assert_eq!(ways(&above, true), ["a=sendonly"; 2]);
    }

    #[test]
    fn nacks_are_not_requests_for_keyframes() {
        let takes_nacks = |line: &str| Offer::parse(&format!("{OFFER}{line}\r\n")).expect("an offer").takes_nacks();
        assert!(takes_nacks("a=rtcp-fb:97 nack") && takes_nacks("a=rtcp-fb:* nack"));
        assert!(!takes_nacks("a=rtcp-fb:97 nack pli") && !takes_nacks("a=ice-lite"));
    }

    #[test]
    fn other_profiles_and_modes_are_not_ours() {
        for other in
            [("packetization-mode=1", "packetization-mode=0"), ("42E01F", "64001f"), ("h264/90000", "H265/90000")]
        {
            let offer = Offer::parse(&OFFER.replace(other.0, other.1)).expect("an offer");
            assert_eq!(offer.choose(None), Some(VideoCodec::Vp8), "{other:?}");
            assert_eq!(offer.choose(Some(VideoCodec::H264)), None);
        }
    }

    #[test]
    fn rubbish_is_no_offer() {
        for rubbish in ["", "hello", "v=0", "{\"type\":\"offer\"}"] {
            assert!(Offer::parse(rubbish).is_err(), "{rubbish}");
        }
    }
}
