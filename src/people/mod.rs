//! Door: who somebody is and what they may do.
//!
//! Owns accounts, grants, sessions, API keys, brands, livers, customers and their identities. Every other room is given ids.

mod accounts;
mod audit;
mod consents;
mod familiar;
mod passes;
mod passwords;
mod seals;
mod sessions;

pub use accounts::{
    Account, Brand, Liver, NewBrand, NewPerson, Person, add_moderator, find_brand, find_customer_name, find_liver,
    load_person, remove_moderator,
};
pub use audit::{AuditLine, AuditNote, insert_note};
pub use passes::{Bearer, PASS_TTL, Passes};
pub use passwords::PasswordTooShort;
pub(crate) use passwords::digest;
pub use seals::{Seal, verify_audit};
pub use sessions::{ApiKey, SESSION_TTL};

use familiar::Familiar;

use crate::{
    clock::{Clock, Millis},
    ids::{AccountId, ApiKeyId, AuditId, BrandId, CustomerId, LiveId, LiverId, LocationId},
    store::{Db, StoreError},
    tasks::Tasks,
};

/// What can be refused here.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// Somebody has this address already.
    #[error("this email address is taken")]
    EmailTaken,
    /// Unknown address or wrong password; which one is not told.
    #[error("email address or password is wrong")]
    WrongCredentials,
    /// A field of the form is wrong.
    #[error("{0}")]
    Invalid(String),
    /// No such brand, key or person.
    #[error("not found")]
    NotFound,
    /// Too many passwords are being checked right now.
    #[error("too many sign-ins at once")]
    Busy,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The room. Cheap to clone.
#[derive(Debug, Clone)]
pub struct People {
    db: Db,
    clock: Clock,
    hashing: passwords::Hashing,
    familiar: Familiar,
}

/// How soon a line of the audit log is sealed.
const SEAL_EVERY: std::time::Duration = std::time::Duration::from_millis(500);
/// Longest name people see.
const MAX_NAME_CHARS: usize = 60;
/// Longest email address (RFC 5321, 4.5.3.1).
const MAX_EMAIL_BYTES: usize = 254;

fn check_email(email: &str) -> Result<String, PeopleError> {
    let email = email.trim().to_lowercase();
    let well_formed =
        email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.len() > 2 && !host.contains('@'));
    if !well_formed || email.len() > MAX_EMAIL_BYTES || email.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(PeopleError::Invalid("email is not an email address".to_owned()));
    }
    Ok(email)
}

/// A name people will see: trimmed, 1 to 60 characters, none of them a control character.
pub(crate) fn check_name(name: &str, field: &str) -> Result<String, PeopleError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) {
        return Err(PeopleError::Invalid(format!("{field} must have 1 to {MAX_NAME_CHARS} characters")));
    }
    Ok(name.to_owned())
}

impl People {
    /// The room over this database.
    #[must_use]
    pub fn new(db: Db, clock: Clock) -> Self {
        Self { db, clock, hashing: passwords::Hashing::new(), familiar: Familiar::default() }
    }

    /// Makes an account and the customer behind it.
    ///
    /// # Errors
    /// [`PeopleError::EmailTaken`], or [`PeopleError::Invalid`] naming the field.
    pub async fn sign_up(&self, new: NewPerson) -> Result<Person, PeopleError> {
        let email = check_email(&new.email)?;
        let display_name = check_name(&new.display_name, "display_name")?;
        let hash = self.hashing.hash(new.password).await?;
        let now = self.clock.now();
        let mut tx = self.db.write("sign up").await?;
        let account = Account { id: AccountId::fresh(), email, display_name, demo: new.demo };
        accounts::insert(&mut tx, &account, &hash, now).await?;
        tx.commit().await?;
        self.load(&account.id).await
    }

    /// Makes a customer for a visitor of a demo server. Nobody knows its password; the session is the way in.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_demo_viewer(&self) -> Result<Person, PeopleError> {
        let id = AccountId::fresh();
        let tail = id.as_str()[id.as_str().len() - 4..].to_uppercase();
        let email = format!("viewer-{id}@demo.invalid");
        let account = Account { id, email, display_name: format!("デモ視聴者 {tail}"), demo: true };
        let mut tx = self.db.write("add demo viewer").await?;
        // No argon2 form: it verifies against nothing.
        accounts::insert(&mut tx, &account, "-", self.clock.now()).await?;
        tx.commit().await?;
        self.load(&account.id).await
    }

    /// Checks a password and opens a session.
    ///
    /// # Errors
    /// [`PeopleError::WrongCredentials`]; the time it takes does not tell whether the address exists.
    pub async fn sign_in(&self, email: &str, password: String) -> Result<(Person, String), PeopleError> {
        let email = email.trim().to_lowercase();
        let mut tx = self.db.read("find account").await?;
        let found = accounts::find_by_email(&mut tx, &email).await?;
        drop(tx);
        let (id, hash) = found.unzip();
        let right = self.hashing.verify(password, hash).await?;
        match id {
            Some(id) if right => Ok((self.load(&id).await?, self.open_session(&id).await?)),
            _ => Err(PeopleError::WrongCredentials),
        }
    }

    /// A new session's token, shown once; only its digest is stored.
    ///
    /// # Errors
    /// The database's.
    pub async fn open_session(&self, account: &AccountId) -> Result<String, PeopleError> {
        let token = passwords::fresh_secret("hs");
        let mut tx = self.db.write("open session").await?;
        sessions::open(&mut tx, &passwords::digest(&token), account, self.clock.now()).await?;
        tx.commit().await?;
        Ok(token)
    }

    /// Ends a session; an unknown one is ended already.
    ///
    /// # Errors
    /// The database's.
    pub async fn close_session(&self, token: &str) -> Result<(), PeopleError> {
        let mut tx = self.db.write("close session").await?;
        sessions::close(&mut tx, &passwords::digest(token)).await?;
        tx.commit().await?;
        self.familiar.forget_all();
        Ok(())
    }

    /// Whose session or API key this is.
    ///
    /// # Errors
    /// The database's.
    pub async fn find_by_token(&self, token: &str) -> Result<Option<Person>, PeopleError> {
        let digest = passwords::digest(token);
        let now = self.clock.now();
        if let Some(person) = self.familiar.get(&digest, now) {
            return Ok(Some(person));
        }
        let mut tx = self.db.read("who is it").await?;
        let account = if token.starts_with("hk_") {
            sessions::find_api_key(&mut tx, &digest).await?
        } else {
            sessions::find(&mut tx, &digest, now).await?
        };
        let Some(account) = account else { return Ok(None) };
        let person = load_person(&mut tx, &account).await?;
        if let Some(person) = &person {
            self.familiar.put(digest, person, now);
        }
        Ok(person)
    }

    /// Whose session or API key has this digest, if it still holds: asked of the database, not of memory.
    ///
    /// # Errors
    /// The database's.
    pub async fn find_by_digest(&self, digest: &str) -> Result<Option<Person>, StoreError> {
        let mut tx = self.db.read("does it still hold").await?;
        let account = match sessions::find(&mut tx, digest, self.clock.now()).await? {
            Some(account) => Some(account),
            None => sessions::find_api_key(&mut tx, digest).await?,
        };
        match account {
            Some(account) => load_person(&mut tx, &account).await,
            None => Ok(None),
        }
    }

    /// What signs and checks passes, with the key of all nodes.
    ///
    /// # Errors
    /// The database's.
    pub async fn passes(&self) -> Result<Passes, StoreError> {
        let mut tx = self.db.write("load signing key").await?;
        let key = passes::load_key(&mut tx).await?;
        tx.commit().await?;
        Ok(Passes::new(&key, self.clock.clone()))
    }

    /// The person of an account.
    ///
    /// # Errors
    /// [`PeopleError::NotFound`].
    pub async fn load(&self, account: &AccountId) -> Result<Person, PeopleError> {
        let mut tx = self.db.read("load person").await?;
        load_person(&mut tx, account).await?.ok_or(PeopleError::NotFound)
    }

    /// The account behind an address.
    ///
    /// # Errors
    /// The database's.
    pub async fn find_by_email(&self, email: &str) -> Result<Option<AccountId>, PeopleError> {
        let mut tx = self.db.read("find account").await?;
        Ok(accounts::find_by_email(&mut tx, email).await?.map(|(id, _)| id))
    }

    /// Makes a brand.
    ///
    /// # Errors
    /// [`PeopleError::Invalid`] naming the field.
    pub async fn add_brand(&self, new: NewBrand) -> Result<Brand, PeopleError> {
        let brand = Brand::parse(new)?;
        let mut tx = self.db.write("add brand").await?;
        accounts::insert_brand(&mut tx, &brand, self.clock.now()).await?;
        tx.commit().await?;
        Ok(brand)
    }

    /// Whether there is such a brand.
    ///
    /// # Errors
    /// The database's.
    pub async fn brand_exists(&self, brand: &BrandId) -> Result<bool, PeopleError> {
        let mut tx = self.db.read("find brand").await?;
        Ok(find_brand(&mut tx, brand).await?.is_some())
    }

    /// Lets an account read and run a brand.
    ///
    /// # Errors
    /// [`PeopleError::NotFound`] when there is no such brand.
    pub async fn add_brand_member(&self, brand: &BrandId, account: &AccountId) -> Result<(), PeopleError> {
        let mut tx = self.db.write("add brand member").await?;
        if find_brand(&mut tx, brand).await?.is_none() {
            return Err(PeopleError::NotFound);
        }
        accounts::grant(&mut tx, account, "brand_member", brand.as_str(), self.clock.now()).await?;
        tx.commit().await?;
        self.familiar.forget_all();
        Ok(())
    }

    /// Makes an account staff of a location, which the caller knows to exist.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_staff(&self, location: &LocationId, account: &AccountId) -> Result<(), PeopleError> {
        let mut tx = self.db.write("add staff").await?;
        accounts::grant(&mut tx, account, "staff", location.as_str(), self.clock.now()).await?;
        tx.commit().await?;
        self.familiar.forget_all();
        Ok(())
    }

    /// Makes an account a liver.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_liver(&self, account: &AccountId, display_name: &str) -> Result<LiverId, PeopleError> {
        let name = check_name(display_name, "display_name")?;
        let mut tx = self.db.write("add liver").await?;
        let liver = accounts::insert_liver(&mut tx, account, &name, self.clock.now()).await?;
        tx.commit().await?;
        self.familiar.forget_all();
        Ok(liver)
    }

    /// Makes an account an operator.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_operator(&self, account: &AccountId) -> Result<(), PeopleError> {
        let mut tx = self.db.write("add operator").await?;
        accounts::grant(&mut tx, account, "operator", "", self.clock.now()).await?;
        tx.commit().await?;
        self.familiar.forget_all();
        Ok(())
    }

    /// A new API key; the text is shown once.
    ///
    /// # Errors
    /// [`PeopleError::Invalid`] when the label is empty or the account has too many keys.
    pub async fn add_api_key(&self, account: &AccountId, label: &str) -> Result<(ApiKey, String), PeopleError> {
        let label = check_name(label, "label")?;
        let secret = passwords::fresh_secret("hk");
        let key = ApiKey { id: ApiKeyId::fresh(), label, created_at_ms: self.clock.now() };
        let mut tx = self.db.write("add api key").await?;
        sessions::insert_api_key(&mut tx, account, &key, &passwords::digest(&secret)).await?;
        tx.commit().await?;
        Ok((key, secret))
    }

    /// The account's keys, without their text.
    ///
    /// # Errors
    /// The database's.
    pub async fn api_keys(&self, account: &AccountId) -> Result<Vec<ApiKey>, PeopleError> {
        let mut tx = self.db.read("list api keys").await?;
        Ok(sessions::list_api_keys(&mut tx, account).await?)
    }

    /// Makes a key useless.
    ///
    /// # Errors
    /// [`PeopleError::NotFound`] when it is not this account's.
    pub async fn revoke_api_key(&self, account: &AccountId, key: &ApiKeyId) -> Result<(), PeopleError> {
        let mut tx = self.db.write("revoke api key").await?;
        if !sessions::revoke_api_key(&mut tx, account, key, self.clock.now()).await? {
            return Err(PeopleError::NotFound);
        }
        tx.commit().await?;
        self.familiar.forget_all();
        Ok(())
    }

    /// The name others see of a customer.
    ///
    /// # Errors
    /// The database's.
    pub async fn customer_name(&self, customer: &CustomerId) -> Result<Option<String>, PeopleError> {
        let mut tx = self.db.read("customer name").await?;
        Ok(find_customer_name(&mut tx, customer).await?)
    }

    /// Whether a customer lets touches be noted, and since when; `None` before they were asked.
    ///
    /// # Errors
    /// The database's.
    pub async fn touches_allowed(&self, customer: &CustomerId) -> Result<Option<(bool, Millis)>, PeopleError> {
        let mut tx = self.db.read("consent").await?;
        Ok(consents::newest(&mut tx, customer).await?)
    }

    /// A customer allows it, or takes it back. Gives the moment.
    ///
    /// # Errors
    /// The database's.
    pub async fn allow_touches(&self, customer: &CustomerId, given: bool) -> Result<Millis, PeopleError> {
        let mut tx = self.db.write("consent").await?;
        // The customer's row first: it is the lock that puts two answers in one order.
        accounts::allow_touches(&mut tx, customer, given).await?;
        let now = self.clock.now();
        consents::insert(&mut tx, customer, given, now).await?;
        tx.commit().await?;
        Ok(now)
    }

    /// Writes into the audit log: who did what to what. Every money, rule and export action is noted.
    ///
    /// # Errors
    /// The database's.
    pub async fn note(
        &self,
        by: &AccountId,
        action: &'static str,
        subject: &str,
        detail: &str,
    ) -> Result<(), PeopleError> {
        let mut tx = self.db.write("audit").await?;
        let note = AuditNote::of(by, action, subject, detail, self.clock.now());
        insert_note(&mut tx, &note).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Starts the task that seals the audit log.
    pub fn start_sealing(&self, tasks: &Tasks) {
        let (this, stopping) = (self.clone(), tasks.stopping());
        tasks.spawn("audit seals", async move {
            loop {
                tokio::select! {
                    () = stopping.cancelled() => return,
                    () = tokio::time::sleep(SEAL_EVERY) => {}
                }
                if let Err(error) = this.seal().await {
                    tracing::debug!(error = %error, "the audit log is sealed later");
                }
            }
        });
    }

    async fn seal(&self) -> Result<(), StoreError> {
        loop {
            let mut tx = self.db.write("seal audit").await?;
            let sealed = seals::seal(&mut tx, self.clock.now()).await?;
            tx.commit().await?;
            if sealed == 0 {
                return Ok(());
            }
        }
    }

    /// The audit log, of one subject or all, newest first before `before`, with the seal that vouches for it.
    ///
    /// # Errors
    /// The database's.
    pub async fn audit(
        &self,
        subject: Option<&str>,
        before: Option<&AuditId>,
        limit: i64,
    ) -> Result<(Vec<AuditLine>, Option<Seal>), PeopleError> {
        let mut tx = self.db.read("audit log").await?;
        Ok((audit::list(&mut tx, subject, before, limit).await?, seals::newest(&mut tx).await?))
    }

    /// What was done by those who keep order in a live, and in all of its liver's; newest first, before `before`.
    ///
    /// # Errors
    /// The database's.
    pub async fn moderation_log(
        &self,
        of: (&LiverId, &LiveId),
        before: Option<&AuditId>,
        limit: i64,
    ) -> Result<Vec<AuditLine>, PeopleError> {
        let mut tx = self.db.read("moderation log").await?;
        Ok(audit::of_live(&mut tx, of, before, limit).await?)
    }

    /// Removes sessions that are over.
    ///
    /// # Errors
    /// The database's.
    pub async fn sweep(&self) -> Result<(), PeopleError> {
        let mut tx = self.db.write("sweep sessions").await?;
        sessions::sweep(&mut tx, self.clock.now()).await?;
        tx.commit().await?;
        Ok(())
    }
}
