//! Shell: proposing, accepting and declining terms.
//!
//! Invariant: nobody changes terms alone. A version that both accepted counts until another one that both accepted does.
//! Each act is noted in the audit log, in its transaction.

use super::{
    Refusal, SettlementError,
    contracts::{self, ContractView, Head, Side, VersionState, VersionView},
    terms::{Terms, invalid},
};
use crate::{
    clock::{Clock, Millis},
    ids::{AccountId, BrandId, ContractId, LiverId},
    people::{AuditNote, Person, find_liver, insert_note},
    store::{Db, Tx},
};

/// Versions of one contract.
const MAX_VERSIONS: i32 = 200;

/// Who speaks, and for whom they may.
#[derive(Debug, Clone)]
pub struct Party<'a>(pub &'a Person);

impl Party<'_> {
    fn account(&self) -> &AccountId {
        &self.0.account.id
    }

    /// The side that this person is on; a liver of this contract speaks as one, whatever else they are.
    fn side(&self, head: &Head) -> Option<Side> {
        if self.0.liver_id.as_ref() == Some(&head.liver_id) {
            return Some(Side::Liver);
        }
        let of_brand = self.0.operator || self.0.brands.iter().any(|(id, _)| *id == head.brand_id);
        of_brand.then_some(Side::Brand)
    }
}

/// Contracts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Contracts {
    db: Db,
    clock: Clock,
}

impl Contracts {
    /// Over this database.
    #[must_use]
    pub fn new(db: Db, clock: Clock) -> Self {
        Self { db, clock }
    }

    /// A brand's contracts, newest first, older than a cursor.
    ///
    /// # Errors
    /// The database's.
    pub async fn of_brand(
        &self,
        brand: &BrandId,
        before: Option<&ContractId>,
        limit: i64,
    ) -> Result<Vec<ContractView>, SettlementError> {
        let mut tx = self.db.read("contracts of a brand").await?;
        let heads = contracts::of_brand(&mut tx, brand, before, limit).await?;
        Ok(contracts::views(&mut tx, heads, self.clock.now()).await?)
    }

    /// A liver's contracts, newest first, older than a cursor.
    ///
    /// # Errors
    /// The database's.
    pub async fn of_liver(
        &self,
        liver: &LiverId,
        before: Option<&ContractId>,
        limit: i64,
    ) -> Result<Vec<ContractView>, SettlementError> {
        let mut tx = self.db.read("contracts of a liver").await?;
        let heads = contracts::of_liver(&mut tx, liver, before, limit).await?;
        Ok(contracts::views(&mut tx, heads, self.clock.now()).await?)
    }

    /// A contract, for its two sides.
    ///
    /// # Errors
    /// [`SettlementError::NotFound`] also for everybody else.
    pub async fn load(&self, by: &Party<'_>, id: &ContractId) -> Result<ContractView, SettlementError> {
        let mut tx = self.db.read("contract").await?;
        let (head, _) = of_party(&mut tx, by, id).await?;
        view(&mut tx, head, self.clock.now()).await
    }

    /// A brand proposes terms to a liver, and accepts them thereby.
    ///
    /// # Errors
    /// [`SettlementError::NotFound`] for a liver that is none; [`SettlementError::Invalid`] naming the field.
    pub async fn offer(
        &self,
        by: &AccountId,
        brand: &BrandId,
        liver: &LiverId,
        terms: Terms,
    ) -> Result<ContractView, SettlementError> {
        let now = self.clock.now();
        let terms = terms.checked(now)?;
        let mut tx = self.db.write("offer a contract").await?;
        if find_liver(&mut tx, liver).await?.is_none() {
            return Err(SettlementError::NotFound("liver"));
        }
        let id = contracts::open(&mut tx, brand, liver, now).await?;
        let head = contracts::head(&mut tx, &id).await?.ok_or(SettlementError::NotFound("brand"))?;
        let view = propose(&mut tx, head, terms, (Side::Brand, by), now).await?;
        tx.commit().await?;
        Ok(view)
    }

    /// Either side proposes other terms, and accepts them thereby; what was open is over.
    ///
    /// # Errors
    /// [`SettlementError::NotFound`] for who is on no side; [`SettlementError::Invalid`] naming the field.
    pub async fn counter(
        &self,
        by: &Party<'_>,
        id: &ContractId,
        terms: Terms,
    ) -> Result<ContractView, SettlementError> {
        let now = self.clock.now();
        let terms = terms.checked(now)?;
        let mut tx = self.db.write("propose terms").await?;
        let (head, side) = of_party(&mut tx, by, id).await?;
        let view = propose(&mut tx, head, terms, (side, by.account()), now).await?;
        tx.commit().await?;
        Ok(view)
    }

    /// Says yes to a version. Saying it twice changes nothing.
    ///
    /// # Errors
    /// [`Refusal::NotOpen`] for one that is over; [`SettlementError::NotFound`].
    pub async fn accept(&self, by: &Party<'_>, id: &ContractId, version: i32) -> Result<ContractView, SettlementError> {
        let mut tx = self.db.write("accept terms").await?;
        let (head, side) = of_party(&mut tx, by, id).await?;
        let found = locked_version(&mut tx, &head, version, self.clock.now()).await?;
        // Once the lock is had: a sale that was written while this waited was not under these terms.
        let now = self.clock.now();
        let accepted = match side {
            Side::Brand => found.brand_accepted_at_ms,
            Side::Liver => found.liver_accepted_at_ms,
        };
        match (found.state, accepted) {
            (VersionState::Ended, _) => return Err(Refusal::NotOpen.into()),
            (_, Some(_)) => {}
            (_, None) if found.terms.to_ms.is_some_and(|to| to <= now) => return Err(Refusal::PeriodOver.into()),
            (_, None) => {
                contracts::accept(&mut tx, (id, version), (side, by.account()), now).await?;
                note(&mut tx, by.account(), "contract.accept", id, &detail(version, side), now).await?;
            }
        }
        let view = view(&mut tx, head, now).await?;
        tx.commit().await?;
        Ok(view)
    }

    /// Says no to a version, or takes one's own back. Saying it twice changes nothing.
    ///
    /// # Errors
    /// [`Refusal::NotOpen`] for one that both accepted; [`SettlementError::NotFound`].
    pub async fn decline(
        &self,
        by: &Party<'_>,
        id: &ContractId,
        version: i32,
    ) -> Result<ContractView, SettlementError> {
        let now = self.clock.now();
        let mut tx = self.db.write("decline terms").await?;
        let (head, side) = of_party(&mut tx, by, id).await?;
        match locked_version(&mut tx, &head, version, now).await?.state {
            VersionState::Agreed => return Err(Refusal::NotOpen.into()),
            VersionState::Ended => {}
            VersionState::Proposed => {
                contracts::end(&mut tx, id, version, now).await?;
                note(&mut tx, by.account(), "contract.decline", id, &detail(version, side), now).await?;
            }
        }
        let view = view(&mut tx, head, now).await?;
        tx.commit().await?;
        Ok(view)
    }
}

fn detail(version: i32, side: Side) -> String {
    serde_json::json!({ "version": version, "side": side.as_str() }).to_string()
}

async fn note(
    tx: &mut Tx,
    by: &AccountId,
    action: &'static str,
    id: &ContractId,
    detail: &str,
    at: Millis,
) -> Result<(), SettlementError> {
    Ok(insert_note(tx, &AuditNote::of(by, action, id.as_str(), detail, at)).await?)
}

async fn of_party(tx: &mut Tx, by: &Party<'_>, id: &ContractId) -> Result<(Head, Side), SettlementError> {
    let head = contracts::head(tx, id).await?;
    let found = head.and_then(|head| by.side(&head).map(|side| (head, side)));
    found.ok_or(SettlementError::NotFound("contract"))
}

async fn view(tx: &mut Tx, head: Head, now: Millis) -> Result<ContractView, SettlementError> {
    contracts::views(tx, vec![head], now).await?.pop().ok_or(SettlementError::NotFound("contract"))
}

/// A version as it stands, under the contract's lock.
async fn locked_version(tx: &mut Tx, head: &Head, version: i32, now: Millis) -> Result<VersionView, SettlementError> {
    contracts::lock(tx, &head.id).await?;
    let contract = view(tx, head.clone(), now).await?;
    let found = contract.versions.into_iter().find(|one| one.version == version);
    found.ok_or(SettlementError::NotFound("version of this contract"))
}

async fn propose(
    tx: &mut Tx,
    head: Head,
    terms: Terms,
    (side, by): (Side, &AccountId),
    now: Millis,
) -> Result<ContractView, SettlementError> {
    if let Some(product) = contracts::foreign_product(tx, &head.brand_id, &terms.product_rates).await? {
        return invalid(format!("product_rates: {product} is no product of this brand"));
    }
    let version = contracts::lock(tx, &head.id).await? + 1;
    if version > MAX_VERSIONS {
        return Err(Refusal::TooManyVersions.into());
    }
    contracts::propose(tx, (&head.id, version), &terms, (side, by), now).await?;
    let mut said = serde_json::json!({ "version": version, "side": side.as_str() });
    said["terms"] = serde_json::to_value(&terms).unwrap_or_default();
    note(tx, by, "contract.propose", &head.id, &said.to_string(), now).await?;
    view(tx, head, now).await
}
