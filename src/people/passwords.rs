//! Shell: passwords and secrets.
//!
//! argon2id with the crate's defaults (OWASP's first choice: 19 MiB, 2 passes). Hashing runs off the runtime's threads
//! and at most [`MAX_HASHING`] at once, so a burst of sign-ins cannot take the cores from a live.
//! Invariant: a secret is stored as its SHA-256 only; it has 160 random bits, so no salt is needed.

use std::sync::Arc;

use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::PeopleError;

/// Passwords hashed at the same time; each takes about 20 ms and 19 MiB.
const MAX_HASHING: usize = 2;
/// Callers that may wait for one of those places (some 10 s of work); more are told to come back.
const MAX_WAITING: usize = 1_024;
/// Shortest password (NIST SP 800-63B).
const MIN_PASSWORD_CHARS: usize = 8;
/// Longest: hashing time must not depend on what is sent.
const MAX_PASSWORD_BYTES: usize = 256;

/// Too short to be a password.
#[derive(Debug, thiserror::Error)]
#[error("password must have at least {MIN_PASSWORD_CHARS} characters")]
pub struct PasswordTooShort;

/// Bounded hashing.
#[derive(Debug, Clone)]
pub(super) struct Hashing {
    places: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Hashing {
    pub(super) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(MAX_HASHING)), waiting: Arc::new(Semaphore::new(MAX_WAITING)) }
    }

    async fn off_thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PeopleError> {
        let _waiting = self.waiting.try_acquire().map_err(|_| PeopleError::Busy)?;
        let _place = self.places.acquire().await.map_err(|_| PeopleError::Busy)?;
        tokio::task::spawn_blocking(work).await.map_err(|_| PeopleError::Busy)
    }

    /// A stored form of the password.
    pub(super) async fn hash(&self, password: String) -> Result<String, PeopleError> {
        if password.chars().count() < MIN_PASSWORD_CHARS {
            return Err(PeopleError::Invalid(PasswordTooShort.to_string()));
        }
        if password.len() > MAX_PASSWORD_BYTES {
            return Err(PeopleError::Invalid(format!("password must have at most {MAX_PASSWORD_BYTES} bytes")));
        }
        self.off_thread(move || Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()))
            .await?
            .map_err(|error| PeopleError::Invalid(format!("password cannot be used: {error}")))
    }

    /// Whether it is the password; without a stored form it takes as long and is not.
    pub(super) async fn verify(&self, password: String, stored: Option<String>) -> Result<bool, PeopleError> {
        if password.len() > MAX_PASSWORD_BYTES {
            return Ok(false);
        }
        self.off_thread(move || match &stored {
            Some(stored) => PasswordHash::new(stored)
                .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()),
            None => {
                // The result is thrown away: only the time matters.
                let _ = Argon2::default().hash_password(password.as_bytes());
                false
            }
        })
        .await
    }
}

/// A new secret with 160 random bits.
pub(crate) fn fresh_secret(prefix: &str) -> String {
    let mut bytes = [0u8; 20];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    format!("{prefix}_{}", data_encoding::BASE32_NOPAD.encode(&bytes).to_lowercase())
}

/// The stored form of a secret.
pub(crate) fn digest(secret: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(secret.as_bytes()))
}
