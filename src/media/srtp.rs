//! Pure: sealing and opening of SRTP and SRTCP (RFC 3711, RFC 7714) towards one peer.
//!
//! The handshake is the library's; what it agreed on comes here as [`Keys`]. A [`Sealer`] writes a packet straight from its
//! shared payload into the caller's buffer: one pass, no copy before it, no allocation. AES-GCM first; AES-CM with SHA-1
//! for peers that offer nothing else.
//! Invariant: an index is used once per stream. Our SRTCP indices begin at [`FIRST_RTCP_INDEX`], far above those that the
//! library uses for its own, so that a nonce is never used twice.

use std::collections::VecDeque;

use str0m::crypto::{
    AeadAes128Gcm, AeadAes128GcmCipher, AeadAes256Gcm, AeadAes256GcmCipher, Aes128CmSha1_80, Aes128CmSha1_80Cipher,
    CryptoProvider, Sha1HmacProvider, dtls::SrtpProfile,
};

/// Where our own SRTCP indices begin; the library counts its own from zero.
pub(super) const FIRST_RTCP_INDEX: u32 = 1 << 30;
/// Bytes that sealing adds at most.
pub(super) const MAX_OVERHEAD: usize = 16;
/// A fixed RTP header, as we send it.
pub(super) const RTP_HEADER_BYTES: usize = 12;
const RTCP_HEADER_BYTES: usize = 8;
const RTCP_INDEX_BYTES: usize = 4;
/// The highest bit of the SRTCP index: the packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;
/// AES in counter mode writes whole blocks.
const BLOCK_BYTES: usize = 16;

/// Sources of one peer's reports; a browser has one for each kind of media.
const MAX_SOURCES: usize = 8;

/// Labels of the key derivation (RFC 3711, section 4.3.2): key, authentication key, salt.
const RTP_LABELS: [u8; 3] = [0, 1, 2];
const RTCP_LABELS: [u8; 3] = [3, 4, 5];

/// What a handshake agreed on.
#[derive(Clone)]
pub(super) struct Keys {
    pub(super) profile: SrtpProfile,
    /// As of RFC 5764, section 4.2: client's key, server's key, client's salt, server's salt.
    pub(super) material: Vec<u8>,
    /// Whether we were the client.
    pub(super) client: bool,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("profile", &self.profile).finish_non_exhaustive()
    }
}

/// Which side's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Ours,
    Theirs,
}

/// A packet that is not the peer's, or damaged.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Forged;

enum Cipher {
    Gcm { cipher: Gcm, salt: [u8; 12] },
    Cm { cipher: Box<dyn Aes128CmSha1_80Cipher>, salt: [u8; 14], key: [u8; 20], sha1: &'static dyn Sha1HmacProvider },
}

/// AES-GCM of either key length: nonces, tags and everything else are the same (RFC 7714).
enum Gcm {
    Short(Box<dyn AeadAes128GcmCipher>),
    Long(Box<dyn AeadAes256GcmCipher>),
}

impl Gcm {
    /// Writes what is encrypted and its tag; `out` has room for just that.
    fn seal(&mut self, nonce: &[u8; 12], associated: &[u8], plain: &[u8], out: &mut [u8]) -> Result<(), Forged> {
        let sealed = match self {
            Self::Short(cipher) => cipher.encrypt(nonce, associated, plain, out),
            Self::Long(cipher) => cipher.encrypt(nonce, associated, plain, out),
        };
        sealed.map_err(|_| Forged)
    }

    fn open(&mut self, nonce: &[u8; 12], associated: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<(), Forged> {
        let opened = match self {
            Self::Short(cipher) => cipher.decrypt(nonce, &[associated], sealed, out),
            Self::Long(cipher) => cipher.decrypt(nonce, &[associated], sealed, out),
        };
        opened.map(drop).map_err(|_| Forged)
    }
}

/// The master key of one side, and what is derived from it.
struct Master<'a> {
    crypto: &'a CryptoProvider,
    key: &'a [u8],
    salt: &'a [u8],
}

impl Master<'_> {
    /// RFC 3711, section 4.3.1, with a key derivation rate of zero.
    fn derive<const N: usize>(&self, label: u8) -> [u8; N] {
        let mut block = [0; BLOCK_BYTES];
        block[..self.salt.len()].copy_from_slice(self.salt);
        block[7] ^= label;
        let mut derived = [0; N];
        for (round, part) in (0u16..).zip(derived.chunks_mut(BLOCK_BYTES)) {
            block[14..].copy_from_slice(&round.to_be_bytes());
            // The provider writes a padded block; the first half is the key stream.
            let mut output = [0; 2 * BLOCK_BYTES];
            if self.key.len() == AeadAes256Gcm::KEY_LEN {
                self.crypto.srtp_provider.srtp_aes_256_ecb_round(self.key, &block, &mut output);
            } else {
                self.crypto.srtp_provider.srtp_aes_128_ecb_round(self.key, &block, &mut output);
            }
            part.copy_from_slice(&output[..part.len()]);
        }
        derived
    }

    fn cipher(&self, profile: SrtpProfile, labels: [u8; 3], encrypt: bool) -> Option<Cipher> {
        let [key, authentication, salt] = labels;
        let srtp = self.crypto.srtp_provider;
        Some(match profile {
            SrtpProfile::AEAD_AES_128_GCM => Cipher::Gcm {
                cipher: Gcm::Short(srtp.aead_aes_128_gcm().create_cipher(self.derive(key), encrypt)),
                salt: self.derive(salt),
            },
            SrtpProfile::AEAD_AES_256_GCM => Cipher::Gcm {
                cipher: Gcm::Long(srtp.aead_aes_256_gcm().create_cipher(self.derive(key), encrypt)),
                salt: self.derive(salt),
            },
            SrtpProfile::AES128_CM_SHA1_80 => Cipher::Cm {
                cipher: srtp.aes_128_cm_sha1_80().create_cipher(self.derive(key), encrypt),
                salt: self.derive(salt),
                key: self.derive(authentication),
                sha1: self.crypto.sha1_hmac_provider,
            },
            _ => return None,
        })
    }
}

impl Keys {
    /// `None` for a profile that we do not know, or material of the wrong length.
    fn master<'a>(&'a self, crypto: &'a CryptoProvider, side: Side) -> Option<Master<'a>> {
        let (key, salt) = match self.profile {
            SrtpProfile::AEAD_AES_128_GCM => (AeadAes128Gcm::KEY_LEN, AeadAes128Gcm::SALT_LEN),
            SrtpProfile::AEAD_AES_256_GCM => (AeadAes256Gcm::KEY_LEN, AeadAes256Gcm::SALT_LEN),
            SrtpProfile::AES128_CM_SHA1_80 => (Aes128CmSha1_80::KEY_LEN, Aes128CmSha1_80::SALT_LEN),
            _ => return None,
        };
        let (keys, salts) = self.material.split_at_checked(2 * key).filter(|(_, salts)| salts.len() == 2 * salt)?;
        let first = self.client == (side == Side::Ours);
        let of = |all: &'a [u8], len: usize| if first { &all[..len] } else { &all[len..] };
        Some(Master { crypto, key: of(keys, key), salt: of(salts, salt) })
    }
}

/// Seals what we send.
pub(super) struct Sealer {
    rtp: Cipher,
    rtcp: Cipher,
    rtcp_index: u32,
}

impl Sealer {
    /// `None` when nothing can be made of the keys.
    pub(super) fn new(crypto: &CryptoProvider, keys: &Keys) -> Option<Self> {
        let master = keys.master(crypto, Side::Ours)?;
        Some(Self {
            rtp: master.cipher(keys.profile, RTP_LABELS, true)?,
            rtcp: master.cipher(keys.profile, RTCP_LABELS, true)?,
            rtcp_index: FIRST_RTCP_INDEX,
        })
    }

    /// Appends the sealed packet. `index` is the sequence number with its roll-overs (RFC 3711, section 3.3.1).
    pub(super) fn seal_rtp(
        &mut self,
        header: &[u8; RTP_HEADER_BYTES],
        index: u64,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Forged> {
        let ssrc = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        let seq = u16::from_be_bytes([header[2], header[3]]);
        // A stream of 2^48 packets does not exist.
        let rolled = u32::try_from(index >> 16).map_err(|_| Forged)?;
        let start = out.len();
        out.extend_from_slice(header);
        let body = out.len();
        match &mut self.rtp {
            Cipher::Gcm { cipher, salt } => {
                out.resize(body + payload.len() + AeadAes128Gcm::TAG_LEN, 0);
                let nonce = AeadAes128Gcm::rtp_iv(*salt, ssrc, rolled, seq);
                cipher.seal(&nonce, header, payload, &mut out[body..])
            }
            Cipher::Cm { cipher, salt, key, sha1 } => {
                out.resize(body + payload.len() + BLOCK_BYTES, 0);
                let iv = Aes128CmSha1_80::rtp_iv(*salt, ssrc, index);
                cipher.encrypt(&iv, payload, &mut out[body..]).map_err(|_| Forged)?;
                out.truncate(body + payload.len());
                let tag = sha1.sha1_hmac(&key[..], &[&out[start..], &rolled.to_be_bytes()]);
                out.extend_from_slice(&tag[..Aes128CmSha1_80::HMAC_TAG_LEN]);
                Ok(())
            }
        }
    }

    /// Appends a sealed compound packet; `plain` begins with the header of its first packet.
    pub(super) fn seal_rtcp(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Forged> {
        let (header, body) = plain.split_first_chunk::<RTCP_HEADER_BYTES>().ok_or(Forged)?;
        let ssrc = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        let index = self.rtcp_index;
        self.rtcp_index = (index + 1) % ENCRYPTED;
        let trailer = (index | ENCRYPTED).to_be_bytes();
        let start = out.len();
        out.extend_from_slice(header);
        let at = out.len();
        match &mut self.rtcp {
            Cipher::Gcm { cipher, salt } => {
                out.resize(at + body.len() + AeadAes128Gcm::TAG_LEN, 0);
                let nonce = AeadAes128Gcm::rtcp_iv(*salt, ssrc, index);
                cipher.seal(&nonce, &associated(*header, trailer), body, &mut out[at..])?;
                out.extend_from_slice(&trailer);
            }
            Cipher::Cm { cipher, salt, key, sha1 } => {
                out.resize(at + body.len() + BLOCK_BYTES, 0);
                let iv = Aes128CmSha1_80::rtp_iv(*salt, ssrc, index.into());
                cipher.encrypt(&iv, body, &mut out[at..]).map_err(|_| Forged)?;
                out.truncate(at + body.len());
                out.extend_from_slice(&trailer);
                let tag = sha1.sha1_hmac(&key[..], &[&out[start..]]);
                out.extend_from_slice(&tag[..Aes128CmSha1_80::HMAC_TAG_LEN]);
            }
        }
        Ok(())
    }
}

/// RFC 7714, section 9.2: the header and the index with its flag.
fn associated(header: [u8; RTCP_HEADER_BYTES], trailer: [u8; RTCP_INDEX_BYTES]) -> [u8; AeadAes128Gcm::RTCP_AAD_LEN] {
    let mut associated = [0; AeadAes128Gcm::RTCP_AAD_LEN];
    associated[..RTCP_HEADER_BYTES].copy_from_slice(&header);
    associated[RTCP_HEADER_BYTES..].copy_from_slice(&trailer);
    associated
}

/// Opens the peer's SRTCP.
pub(super) struct Opener {
    rtcp: Cipher,
    /// Of each of the peer's sources: they count apart (RFC 3711, section 3.2.3). The oldest is forgotten.
    windows: VecDeque<(u32, Window)>,
}

/// Which indices of one source have come.
#[derive(Debug, Default)]
struct Window {
    /// The highest index so far, and which of the 63 before it were seen.
    newest: u32,
    seen: u64,
}

impl Opener {
    /// `None` when nothing can be made of the keys.
    pub(super) fn new(crypto: &CryptoProvider, keys: &Keys) -> Option<Self> {
        let rtcp = keys.master(crypto, Side::Theirs)?.cipher(keys.profile, RTCP_LABELS, false)?;
        Some(Self { rtcp, windows: VecDeque::new() })
    }

    /// Writes the plain compound packet into `out`, replacing what it held.
    pub(super) fn open_rtcp(&mut self, sealed: &[u8], out: &mut Vec<u8>) -> Result<(), Forged> {
        let header: &[u8; RTCP_HEADER_BYTES] = sealed.first_chunk().ok_or(Forged)?;
        let ssrc = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        out.clear();
        let index = match &mut self.rtcp {
            Cipher::Gcm { cipher, salt } => {
                let (body, trailer) = gcm_parts(sealed)?;
                let index = u32::from_be_bytes(trailer) & !ENCRYPTED;
                out.extend_from_slice(header);
                out.resize(RTCP_HEADER_BYTES + body.len() - AeadAes128Gcm::TAG_LEN, 0);
                let nonce = AeadAes128Gcm::rtcp_iv(*salt, ssrc, index);
                cipher.open(&nonce, &associated(*header, trailer), body, &mut out[RTCP_HEADER_BYTES..])?;
                index
            }
            Cipher::Cm { cipher, salt, key, sha1 } => {
                let (signed, tag) = sealed.split_last_chunk::<{ Aes128CmSha1_80::HMAC_TAG_LEN }>().ok_or(Forged)?;
                let hmac = |key: &[u8], parts: &[&[u8]]| sha1.sha1_hmac(key, parts);
                if !Aes128CmSha1_80::rtcp_verify(hmac, &key[..], signed, tag) {
                    return Err(Forged);
                }
                let (rest, trailer) = signed.split_last_chunk::<RTCP_INDEX_BYTES>().ok_or(Forged)?;
                let body = rest.get(RTCP_HEADER_BYTES..).ok_or(Forged)?;
                let word = u32::from_be_bytes(*trailer);
                let index = word & !ENCRYPTED;
                out.extend_from_slice(header);
                if word & ENCRYPTED == 0 {
                    out.extend_from_slice(body);
                } else {
                    out.resize(RTCP_HEADER_BYTES + body.len() + BLOCK_BYTES, 0);
                    let iv = Aes128CmSha1_80::rtp_iv(*salt, ssrc, index.into());
                    cipher.decrypt(&iv, body, &mut out[RTCP_HEADER_BYTES..]).map_err(|_| Forged)?;
                    out.truncate(RTCP_HEADER_BYTES + body.len());
                }
                index
            }
        };
        self.window(ssrc).admit(index)
    }

    fn window(&mut self, ssrc: u32) -> &mut Window {
        let at = self.windows.iter().position(|(known, _)| *known == ssrc).unwrap_or_else(|| {
            if self.windows.len() == MAX_SOURCES {
                self.windows.pop_front();
            }
            self.windows.push_back((ssrc, Window::default()));
            self.windows.len() - 1
        });
        &mut self.windows[at].1
    }
}

impl Window {
    /// RFC 3711, section 3.3.2: each index once.
    fn admit(&mut self, index: u32) -> Result<(), Forged> {
        if index > self.newest || self.seen == 0 {
            let by = index.saturating_sub(self.newest);
            self.seen = self.seen.checked_shl(by).unwrap_or(0) | 1;
            self.newest = index;
            return Ok(());
        }
        let behind = self.newest - index;
        if behind >= u64::BITS || self.seen & (1 << behind) != 0 {
            return Err(Forged);
        }
        self.seen |= 1 << behind;
        Ok(())
    }
}

/// Tells what a peer sealed from what was forged, before the peer's streams are known.
pub(super) struct Witness {
    rtp: Cipher,
    opened: Vec<u8>,
}

impl Witness {
    /// `None` when nothing can be made of the keys.
    pub(super) fn new(crypto: &CryptoProvider, keys: &Keys) -> Option<Self> {
        let rtp = keys.master(crypto, Side::Theirs)?.cipher(keys.profile, RTP_LABELS, false)?;
        Some(Self { rtp, opened: Vec::new() })
    }

    /// Whether the peer sealed this packet, the first that comes of its stream: nothing has rolled over.
    pub(super) fn has_sealed_first(&mut self, packet: &[u8]) -> bool {
        self.opens(packet).is_some()
    }

    fn opens(&mut self, packet: &[u8]) -> Option<()> {
        match &mut self.rtp {
            Cipher::Gcm { cipher, salt } => {
                let (header, sealed) = packet.split_at_checked(header_bytes(packet)?)?;
                let (seq, ssrc) = (*header.get(2..)?.first_chunk()?, *header.get(8..)?.first_chunk()?);
                self.opened.resize(sealed.len().checked_sub(AeadAes128Gcm::TAG_LEN)?, 0);
                let nonce = AeadAes128Gcm::rtp_iv(*salt, u32::from_be_bytes(ssrc), 0, u16::from_be_bytes(seq));
                cipher.open(&nonce, header, sealed, &mut self.opened).ok()
            }
            Cipher::Cm { key, sha1, .. } => {
                let (signed, tag) = packet.split_last_chunk::<{ Aes128CmSha1_80::HMAC_TAG_LEN }>()?;
                let hmac = |key: &[u8], parts: &[&[u8]]| sha1.sha1_hmac(key, parts);
                Aes128CmSha1_80::rtp_verify(hmac, &key[..], signed, 0, tag).then_some(())
            }
        }
    }
}

/// How long an RTP header is: sources and an extension make it longer (RFC 3550, section 5.1).
fn header_bytes(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    let fixed = RTP_HEADER_BYTES + 4 * usize::from(first & 0x0f);
    if first & 0x10 == 0 {
        return Some(fixed);
    }
    let words = u16::from_be_bytes(*packet.get(fixed + 2..)?.first_chunk()?);
    Some(fixed + 4 + 4 * usize::from(words))
}

/// What is encrypted, with its tag, and the index. Every peer of ours encrypts (RFC 8827, section 6.5).
fn gcm_parts(sealed: &[u8]) -> Result<(&[u8], [u8; RTCP_INDEX_BYTES]), Forged> {
    let (rest, trailer) = sealed.split_last_chunk::<RTCP_INDEX_BYTES>().ok_or(Forged)?;
    let body = rest.get(RTCP_HEADER_BYTES..).filter(|body| body.len() >= AeadAes128Gcm::TAG_LEN).ok_or(Forged)?;
    if u32::from_be_bytes(*trailer) & ENCRYPTED == 0 {
        return Err(Forged);
    }
    Ok((body, *trailer))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILES: [(SrtpProfile, usize); 3] = [
        (SrtpProfile::AEAD_AES_128_GCM, 56),
        (SrtpProfile::AEAD_AES_256_GCM, 88),
        (SrtpProfile::AES128_CM_SHA1_80, 60),
    ];

    fn crypto() -> CryptoProvider {
        str0m_aws_lc_rs::default_provider()
    }

    /// Both ends of a connection.
    fn ends(profile: SrtpProfile, len: usize) -> [Keys; 2] {
        let material: Vec<u8> = (0u8..).take(len).map(|n| n.wrapping_mul(37) ^ 0x5a).collect();
        [true, false].map(|client| Keys { profile, material: material.clone(), client })
    }

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        std::array::from_fn(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hexadecimal digits"))
    }

    #[test]
    fn keys_are_derived_as_in_rfc_3711_appendix_b_3() {
        let (key, salt) = (hex::<16>("E1F97A0D3E018BE0D64FA32C06DE4139"), hex::<14>("0EC675AD498AFEEBB6960B3AABE6"));
        let crypto = crypto();
        let master = Master { crypto: &crypto, key: &key, salt: &salt };
        assert_eq!(master.derive(0), hex::<16>("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(master.derive(2), hex::<14>("30CBBC08863D8C85D49DB34A9AE1"));
        assert_eq!(master.derive(1), hex::<20>("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
    }

    /// The packet and the session keys of RFC 7714, section 16.1.1.
    #[test]
    fn a_packet_is_sealed_as_in_rfc_7714() {
        let crypto = crypto();
        let gcm = crypto.srtp_provider.aead_aes_128_gcm();
        let key = || std::array::from_fn(|at| u8::try_from(at).expect("small"));
        let cipher = |encrypt| Cipher::Gcm {
            cipher: Gcm::Short(gcm.create_cipher(key(), encrypt)),
            salt: hex("517569642070726f2071756f"),
        };
        let mut sealer = Sealer { rtp: cipher(true), rtcp: cipher(true), rtcp_index: 0 };
        let header = hex::<12>("8040f17b8041f8d35501a0b2");
        let payload = *b"Gallia est omnis divisa in partes tres";
        let mut out = Vec::new();
        sealer.seal_rtp(&header, 0xf17b, &payload[..], &mut out).expect("sealed");
        let sealed = hex::<66>(
            "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce",
        );
        assert_eq!(out, sealed);
    }

    #[test]
    fn what_one_end_seals_the_other_opens_once() {
        let crypto = crypto();
        let plain =
            [0x80, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 9, 64, 0, 0, 2, 0, 1, 0, 5, 0, 0, 0, 77, 0, 2, 0, 0, 0, 0, 0x80, 0];
        for (profile, len) in PROFILES {
            let [client, server] = ends(profile, len);
            for (from, to) in [(&client, &server), (&server, &client)] {
                let mut sealer = Sealer::new(&crypto, from).expect("keys of the right length");
                let mut opener = Opener::new(&crypto, to).expect("keys of the right length");
                let mut packets = Vec::new();
                for _ in 0..100 {
                    let mut sealed = Vec::new();
                    sealer.seal_rtcp(&plain, &mut sealed).expect("sealed");
                    assert!(sealed.len() <= plain.len() + RTCP_INDEX_BYTES + MAX_OVERHEAD);
                    assert_ne!(sealed[8..32], plain[8..32], "{profile:?}");
                    packets.push(sealed);
                }
                let mut out = Vec::new();
                // Two change places, one comes again, one is far too old.
                packets.swap(10, 11);
                for sealed in &packets[1..] {
                    assert_eq!(opener.open_rtcp(sealed, &mut out), Ok(()), "{profile:?}");
                    assert_eq!(out, plain);
                }
                assert_eq!(opener.open_rtcp(&packets[99], &mut out), Err(Forged));
                assert_eq!(opener.open_rtcp(&packets[0], &mut out), Err(Forged));
                assert_eq!(Opener::new(&crypto, from).expect("keys").open_rtcp(&packets[1], &mut out), Err(Forged));
                // Another source of the same peer counts for itself, as a browser's picture and sound do.
                let mut sound = Sealer::new(&crypto, from).expect("keys of the right length");
                let mut other = plain;
                other[7] = 2;
                for again in [false, true] {
                    let mut sealed = Vec::new();
                    sound.seal_rtcp(&other, &mut sealed).expect("sealed");
                    assert_eq!(opener.open_rtcp(&sealed, &mut out), Ok(()), "{profile:?} {again}");
                }
            }
        }
    }

    #[test]
    fn the_first_packet_of_a_stream_is_the_peers_or_not() {
        let crypto = crypto();
        for (profile, len) in PROFILES {
            let [client, server] = ends(profile, len);
            let mut witness = Witness::new(&crypto, &server).expect("keys");
            let mut sealed = Vec::new();
            let header = [0x80, 96, 0xff, 0xfe, 0, 0, 0, 1, 0, 0, 0, 9];
            Sealer::new(&crypto, &client)
                .expect("keys")
                .seal_rtp(&header, 0xfffe, b"picture", &mut sealed)
                .expect("sealed");
            assert!(witness.has_sealed_first(&sealed), "{profile:?}");
            for at in 0..sealed.len() {
                assert!(!witness.has_sealed_first(&sealed[..at]));
                sealed[at] ^= 1;
                assert!(!witness.has_sealed_first(&sealed), "{profile:?}, byte {at}");
                sealed[at] ^= 1;
            }
            assert!(!Witness::new(&crypto, &client).expect("keys").has_sealed_first(&sealed), "our own");
        }
    }

    #[test]
    fn keys_of_the_wrong_length_are_none() {
        let [keys, _] = ends(SrtpProfile::AEAD_AES_128_GCM, 55);
        assert!(Sealer::new(&crypto(), &keys).is_none());
    }

    proptest::proptest! {
        #[test]
        fn what_is_damaged_or_cut_is_not_opened(at in 0usize..52, bit in 0u32..8, which in 0usize..3, rubbish in proptest::collection::vec(0u8..=255, 0..60)) {
            let (crypto, (profile, len)) = (crypto(), PROFILES[which]);
            let [client, server] = ends(profile, len);
            let mut sealed = Vec::new();
            let plain = [0x80, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 9, 64, 0, 0, 2, 0, 1, 0, 5, 0, 0, 0, 77, 0, 2, 0, 0, 0, 0, 0x80, 0];
            Sealer::new(&crypto, &client).expect("keys").seal_rtcp(&plain, &mut sealed).expect("sealed");
            let mut opener = Opener::new(&crypto, &server).expect("keys");
            let mut out = Vec::new();
            for len in 0..sealed.len() {
                proptest::prop_assert_eq!(opener.open_rtcp(&sealed[..len], &mut out), Err(Forged));
            }
            proptest::prop_assert_eq!(opener.open_rtcp(&rubbish, &mut out), Err(Forged));
            if let Some(byte) = sealed.get_mut(at) {
                *byte ^= 1 << bit;
                proptest::prop_assert_eq!(opener.open_rtcp(&sealed, &mut out), Err(Forged));
                sealed[at] ^= 1 << bit;
            }
            proptest::prop_assert_eq!(opener.open_rtcp(&sealed, &mut out), Ok(()));
        }
    }
}
