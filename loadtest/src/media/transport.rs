//! Edge: one client's transport: ICE towards a server with one address, DTLS as client, SRTP.
//!
//! Put together from the pieces of a stack that is not the server's, because a whole peer connection costs more than
//! the server under test. Sans-IO: datagrams and the time go in, datagrams come out.
//! Invariants: DTLS begins only when ICE stands; the server's certificate must be the one that its SDP names.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail};
use rtc_dtls::{
    config::{ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig},
    crypto::Certificate,
    crypto_provider::{RTCCryptoProvider, default_provider},
    endpoint::{Endpoint, EndpointEvent},
    extension::extension_use_srtp::SrtpProtectionProfile,
    state::State,
};
use rtc_srtp::{
    config::{Config, LABEL_EXTRACTOR_DTLS_SRTP},
    context::Context,
    protection_profile::ProtectionProfile,
};

use super::{
    sdp::{Own, Remote, Way},
    stun::{self, Role},
};
use crate::client;

/// A check that is not answered is sent again after this.
const CHECK_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// Consent is asked for so often (RFC 7675: every 5 s, a fifth more or less, so that a crowd does not ask at once).
const CONSENT_EVERY: Duration = Duration::from_millis(4_000);
const CONSENT_SPREAD: Duration = Duration::from_millis(2_000);
/// A part of the handshake that is not answered is sent again after this, as Chromium does; a library's usual second
/// would make of one early packet a second without a picture.
const SHAKE_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// A server that controls takes a moment from our answer to its own readiness, and drops what comes before.
const READY_AFTER: Duration = Duration::from_millis(10);

/// What all clients of a run share: one certificate, one configuration. A browser has one of each connection, but the
/// server sees no difference in cost.
#[derive(Clone)]
pub struct Identity {
    crypto: Arc<dyn RTCCryptoProvider>,
    config: Arc<HandshakeConfig>,
    fingerprint: String,
}

impl Identity {
    /// Makes one.
    pub fn fresh() -> anyhow::Result<Self> {
        let crypto = default_provider().map_err(|error| anyhow!("{error}"))?;
        let certificate = Certificate::generate_self_signed(vec!["load".to_owned()], crypto.crypto())?;
        let der = certificate.certificate.first().context("a certificate without a certificate")?;
        let fingerprint = fingerprint(der);
        let config = ConfigBuilder::default()
            .with_crypto_provider(Arc::clone(&crypto))
            .with_certificates(vec![certificate])
            .with_srtp_protection_profiles(vec![
                SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
                SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
                SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
            ])
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .with_flight_interval(SHAKE_AGAIN_AFTER)
            // Nobody signed it: it is known by its fingerprint, which is compared when the handshake is complete.
            .with_insecure_skip_verify(true)
            .build(true, None)?;
        Ok(Self { crypto, config: Arc::new(config), fingerprint })
    }

    /// Our side of a new connection.
    pub fn own(&self, way: Way) -> Own {
        let pwd: String = client::fresh_name().chars().filter(char::is_ascii_alphanumeric).collect();
        let ufrag = pwd.chars().rev().take(8).collect();
        Own { ufrag, pwd, fingerprint: self.fingerprint.clone(), way, candidate: None, role: Role::Controls }
    }
}

/// SHA-256 of a certificate, as SDP writes it.
fn fingerprint(der: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

struct Keys {
    profile: ProtectionProfile,
    theirs: Context,
    ours: Context,
}

enum Stage {
    Checking,
    Shaking(Box<Endpoint>),
    Up(Box<Keys>),
    Failed(String),
}

/// What a datagram was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Nothing to see for whoever uses the transport.
    Transport,
    /// The keys are there.
    Up,
    /// Sealed RTP or RTCP.
    Media,
}

/// A transport.
pub struct Transport {
    identity: Identity,
    own: Own,
    remote: Remote,
    /// Where the other side is.
    pub to: SocketAddr,
    from: SocketAddr,
    stage: Stage,
    transaction: stun::Transaction,
    checks: u32,
    next_check: Instant,
    tie_breaker: u64,
    /// Of the pair: we were answered; since when it is nominated.
    is_checked: bool,
    nominated: Option<Instant>,
}

impl Transport {
    /// Towards one of the other side's addresses.
    pub fn new(
        identity: &Identity,
        own: Own,
        remote: Remote,
        (from, to): (SocketAddr, SocketAddr),
        now: Instant,
    ) -> Self {
        let nominated = (own.role == Role::Controls).then_some(now);
        Self {
            identity: identity.clone(),
            own,
            remote,
            to,
            from,
            stage: Stage::Checking,
            transaction: [0; 12],
            checks: 0,
            next_check: now,
            tie_breaker: client::fresh_number(),
            is_checked: false,
            nominated,
        }
    }

    /// Why it failed.
    pub fn failure(&self) -> Option<&str> {
        if let Stage::Failed(why) = &self.stage { Some(why) } else { None }
    }

    /// How packets are sealed, once that is known.
    pub fn profile(&self) -> Option<&'static str> {
        let Stage::Up(keys) = &self.stage else { return None };
        Some(match keys.profile {
            ProtectionProfile::AeadAes128Gcm => "AES-128-GCM",
            ProtectionProfile::AeadAes256Gcm => "AES-256-GCM",
            _ => "AES-128-CM, SHA-1",
        })
    }

    /// What is due by now.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Vec<u8>>) {
        if let Stage::Shaking(endpoint) = &mut self.stage {
            let result = endpoint.handle_timeout(self.to, now);
            drain(endpoint, out);
            if let Err(error) = result {
                self.stage = Stage::Failed(format!("the handshake: {error}"));
            }
        }
        self.begin(now, out);
        if self.next_check <= now {
            self.check(now, out);
        }
    }

    /// Begins the handshake when the pair stands.
    fn begin(&mut self, now: Instant, out: &mut Vec<Vec<u8>>) {
        let is_ready = self.is_checked && self.nominated.is_some_and(|at| at <= now);
        if is_ready && matches!(self.stage, Stage::Checking) {
            self.shake(now, out);
        }
    }

    fn check(&mut self, now: Instant, out: &mut Vec<Vec<u8>>) {
        self.next_check = match &self.stage {
            // As long as the handshake goes on, too: a first check may come before the server knows who we are.
            Stage::Checking | Stage::Shaking(_) => now + CHECK_AGAIN_AFTER,
            _ => now + CONSENT_EVERY + CONSENT_SPREAD.mul_f64(f64::from(self.checks.wrapping_mul(37) % 100) / 100.0),
        };
        self.checks = self.checks.wrapping_add(1);
        self.transaction[..4].copy_from_slice(&self.checks.to_be_bytes());
        self.transaction[4..].copy_from_slice(&self.tie_breaker.to_be_bytes());
        let username = format!("{}:{}", self.remote.ufrag, self.own.ufrag);
        out.push(stun::check(self.transaction, &username, &self.remote.pwd, self.own.role, self.tie_breaker));
    }

    /// Takes a datagram.
    pub fn receive(&mut self, now: Instant, datagram: &[u8], out: &mut Vec<Vec<u8>>) -> Heard {
        match datagram.first() {
            Some(128..=191) => return Heard::Media,
            Some(0..=3) => {
                if let Some((transaction, nominates)) = stun::asked(datagram) {
                    out.push(stun::answer(transaction, self.to, &self.own.pwd));
                    if nominates {
                        self.nominated.get_or_insert(now + READY_AFTER);
                    }
                }
                self.is_checked |=
                    stun::answered(datagram).is_some_and(|answered| answered[4..] == self.transaction[4..]);
                self.begin(now, out);
            }
            Some(20..=63) => {
                if let Stage::Shaking(endpoint) = &mut self.stage {
                    let events = endpoint.read(now, self.to, None, datagram.into());
                    drain(endpoint, out);
                    match events.map_err(anyhow::Error::from).and_then(|events| self.complete(&events)) {
                        Ok(true) => return Heard::Up,
                        Ok(false) => {}
                        Err(error) => self.stage = Stage::Failed(format!("the handshake: {error:#}")),
                    }
                }
            }
            _ => {}
        }
        Heard::Transport
    }

    fn shake(&mut self, now: Instant, out: &mut Vec<Vec<u8>>) {
        let mut endpoint = Box::new(Endpoint::new(self.from, Default::default(), None));
        let begun = endpoint.connect(now, self.to, Arc::clone(&self.identity.config), None);
        drain(&mut endpoint, out);
        self.stage = match begun {
            Ok(()) => Stage::Shaking(endpoint),
            Err(error) => Stage::Failed(format!("the handshake: {error}")),
        };
    }

    /// Takes the keys when the handshake is complete; whether it is.
    fn complete(&mut self, events: &[EndpointEvent]) -> anyhow::Result<bool> {
        let Stage::Shaking(endpoint) = &self.stage else { return Ok(false) };
        if !events.iter().any(|event| matches!(event, EndpointEvent::HandshakeComplete)) {
            return Ok(false);
        }
        let state = endpoint.get_connection_state(self.to).context("a connection without a state")?;
        let theirs = state.peer_certificates.first().context("a server without a certificate")?;
        if fingerprint(theirs) != self.remote.fingerprint {
            bail!("the certificate is not the one that was announced");
        }
        self.stage = Stage::Up(Box::new(Keys::of(state, self.identity.crypto.as_ref())?));
        Ok(true)
    }

    /// Opens a packet; `None` when it is not authentic or there are no keys yet.
    pub fn open(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let Stage::Up(keys) = &mut self.stage else { return None };
        keys.theirs.decrypt_rtp(packet).ok().map(Vec::from)
    }

    /// Opens RTCP.
    pub fn open_rtcp(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let Stage::Up(keys) = &mut self.stage else { return None };
        keys.theirs.decrypt_rtcp(packet).ok().map(Vec::from)
    }

    /// Seals a packet.
    pub fn seal(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let Stage::Up(keys) = &mut self.stage else { return None };
        keys.ours.encrypt_rtp(packet).ok().map(Vec::from)
    }

    /// Seals RTCP.
    pub fn seal_rtcp(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let Stage::Up(keys) = &mut self.stage else { return None };
        keys.ours.encrypt_rtcp(packet).ok().map(Vec::from)
    }
}

impl Keys {
    fn of(state: &State, crypto: &dyn RTCCryptoProvider) -> anyhow::Result<Self> {
        let profile = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => ProtectionProfile::AeadAes128Gcm,
            SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm => ProtectionProfile::AeadAes256Gcm,
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
            other => bail!("the server chose {other:?}"),
        };
        let mut config = Config { profile, ..Config::default() };
        let material = state.export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], config.keying_material_len())?;
        config.set_session_keys_from_keying_material(material.as_ref(), state.is_client())?;
        // No replay protection: repeats are what we look for, and the watch over the headers sees them.
        let context = |key: &[u8], salt: &[u8]| Context::new(key, salt, profile, None, None, crypto.crypto());
        Ok(Self {
            profile,
            theirs: context(&config.keys.remote_master_key, &config.keys.remote_master_salt)?,
            ours: context(&config.keys.local_master_key, &config.keys.local_master_salt)?,
        })
    }
}

fn drain(endpoint: &mut Endpoint, out: &mut Vec<Vec<u8>>) {
    while let Some(transmit) = endpoint.poll_transmit() {
        out.push(transmit.message.to_vec());
    }
}
