//! Shell: passwords and secrets.
//!
//! argon2id with the crate's defaults (OWASP's first choice: 19 MiB, 2 passes). Hashing runs off the runtime's threads
//! and at most [`HASHING_THREADS`] at once, so a burst of sign-ins cannot take the cores from a live.
//! Invariant: a secret is stored as its SHA-256 only; it has 160 random bits, so no salt is needed.

use std::sync::{
    Arc,
    mpsc::{SyncSender, sync_channel},
};

use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use super::PeopleError;

/// Passwords hashed at the same time; each takes about 20 ms and 19 MiB.
const HASHING_THREADS: usize = 2;
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
///
/// Threads of its own, not the runtime's pool: each password takes 19 MiB, and an allocator keeps that for every thread
/// that ever hashed one. The threads end when the last clone is dropped.
#[derive(Debug, Clone)]
pub(super) struct Hashing {
    queue: SyncSender<Work>,
}

type Work = Box<dyn FnOnce() + Send>;

impl Hashing {
    pub(super) fn new() -> Self {
        let (queue, waiting) = sync_channel::<Work>(MAX_WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..HASHING_THREADS {
            let waiting = Arc::clone(&waiting);
            std::thread::spawn(move || {
                loop {
                    // The lock is held while waiting for work only: whoever has it takes the next, the others line up.
                    let next = waiting.lock().recv();
                    let Ok(work) = next else { return };
                    work();
                }
            });
        }
        Self { queue }
    }

    async fn off_thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PeopleError> {
        let (answer, answered) = oneshot::channel();
        let work: Work = Box::new(move || {
            // Who went away needs no answer.
            let _ = answer.send(work());
        });
        self.queue.try_send(work).map_err(|_| PeopleError::Busy)?;
        answered.await.map_err(|_| PeopleError::Busy)
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
