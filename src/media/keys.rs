//! Edge: what the library's handshake agreed on, for our own sealing.
//!
//! The library asks its crypto provider for a DTLS instance while it builds a peer; ours stands around the real one and
//! keeps a copy of the keying material as it passes. See `str0m::crypto::dtls::DtlsInstance`.

use std::{
    cell::RefCell,
    sync::{Arc, OnceLock},
    time::Instant,
};

use str0m::crypto::{
    CryptoError, CryptoProvider,
    dtls::{
        DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, KeyingMaterial, ProtocolVersion,
        SrtpProfile,
    },
};

use super::srtp::Keys;

/// Where one peer's keys will be.
pub(super) type KeyCell = Arc<OnceLock<Keys>>;

thread_local! {
    /// Whose instance is asked for next: a peer is built by one call on one thread.
    static NEXT: RefCell<Option<KeyCell>> = const { RefCell::new(None) };
}

/// Runs `build`, which makes one peer; the keys of its handshake will be in the cell.
pub(super) fn kept_in<T>(cell: &KeyCell, build: impl FnOnce() -> T) -> T {
    NEXT.set(Some(Arc::clone(cell)));
    let built = build();
    NEXT.set(None);
    built
}

/// The library's provider, with our eyes on its handshakes.
pub(super) fn provider() -> CryptoProvider {
    static WATCHED: Watched = Watched;
    CryptoProvider { dtls_provider: &WATCHED, ..str0m_aws_lc_rs::default_provider() }
}

#[derive(Debug)]
struct Watched;

impl DtlsProvider for Watched {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        str0m_aws_lc_rs::default_provider().dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let real = str0m_aws_lc_rs::default_provider().dtls_provider.new_dtls(cert, now, version, mtu)?;
        Ok(match NEXT.take() {
            Some(cell) => Box::new(Handshake { real, cell }),
            None => real,
        })
    }
}

#[derive(Debug)]
struct Handshake {
    real: Box<dyn DtlsInstance>,
    cell: KeyCell,
}

impl Handshake {
    fn keep(cell: &KeyCell, material: &KeyingMaterial, profile: SrtpProfile, client: bool) {
        // A handshake ends once.
        let _ = cell.set(Keys { profile, material: material.to_vec(), client });
    }
}

impl DtlsInstance for Handshake {
    fn set_active(&mut self, active: bool) {
        self.real.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.real.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        let client = self.real.is_active();
        let output = self.real.poll_output(buf);
        if let DtlsOutput::KeyingMaterial(material, profile) = &output {
            Self::keep(&self.cell, material, *profile, client);
        }
        output
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.real.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.real.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.real.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.real.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.real.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.real.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.real.close()
    }
}
