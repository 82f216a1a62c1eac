//! Table: accounts, grants, customers, identities, brands, livers.

use serde::{Deserialize, Serialize};

use super::{PeopleError, check_name};
use crate::{
    clock::Millis,
    ids::{AccountId, BrandId, CustomerId, LiverId, LocationId},
    on,
    store::{StoreError, Tx},
};

/// A sign-in.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Lower case.
    pub email: String,
    /// What others see.
    pub display_name: String,
    /// Made by `hanamichi demo`.
    pub demo: bool,
}

/// What a new account needs.
#[derive(Debug, Clone)]
pub struct NewPerson {
    /// Sign-in name.
    pub email: String,
    /// In clear; hashed before it is stored.
    pub password: String,
    /// What others see.
    pub display_name: String,
    /// Made by `hanamichi demo`.
    pub demo: bool,
}

/// An account with everything it may do.
#[derive(Debug, Clone)]
pub struct Person {
    /// The sign-in.
    pub account: Account,
    /// The customer it buys as.
    pub customer_id: CustomerId,
    /// The liver it is, if it is one.
    pub liver_id: Option<LiverId>,
    /// The brands it belongs to.
    pub brands: Vec<(BrandId, String)>,
    /// The locations it works at.
    pub locations: Vec<LocationId>,
    /// Runs the whole house.
    pub operator: bool,
}

/// A brand partner.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Brand {
    /// Its id.
    pub id: BrandId,
    /// What people see.
    pub name: String,
    /// T + 13 digits (適格請求書発行事業者登録番号).
    pub invoice_number: Option<String>,
    /// What the liver earns of a credited sale, in basis points.
    pub commission_bp: i32,
}

/// What a new brand needs.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBrand {
    /// 1 to 60 characters.
    pub name: String,
    /// T + 13 digits.
    pub invoice_number: Option<String>,
    /// 0 to 10,000.
    pub commission_bp: i32,
}

/// A streamer.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Liver {
    /// Its id.
    pub id: LiverId,
    /// Who signs in.
    pub account_id: AccountId,
    /// What people see.
    pub display_name: String,
}

impl Brand {
    pub(super) fn parse(new: NewBrand) -> Result<Self, PeopleError> {
        let invalid = |text: &str| Err(PeopleError::Invalid(text.to_owned()));
        if !(0..=10_000).contains(&new.commission_bp) {
            return invalid("commission_bp must be between 0 and 10000");
        }
        if let Some(number) = &new.invoice_number {
            let digits = number.strip_prefix('T').unwrap_or("");
            if digits.len() != 13 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return invalid("invoice_number must be T and 13 digits");
            }
        }
        let name = check_name(&new.name, "name")?;
        Ok(Self { id: BrandId::fresh(), name, invoice_number: new.invoice_number, commission_bp: new.commission_bp })
    }
}

pub(super) async fn insert(tx: &mut Tx, account: &Account, hash: &str, now: Millis) -> Result<(), PeopleError> {
    const INSERT: &str = "
        INSERT INTO accounts (id, email, display_name, password_hash, demo, created_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (email) DO NOTHING";
    let inserted = on!(tx, |conn| sqlx::query(INSERT)
        .bind(&account.id)
        .bind(&account.email)
        .bind(&account.display_name)
        .bind(hash)
        .bind(account.demo)
        .bind(now)
        .execute(conn)
        .await
        .map_err(StoreError::from)?
        .rows_affected());
    if inserted == 0 {
        return Err(PeopleError::EmailTaken);
    }
    let customer = CustomerId::fresh();
    on!(tx, |conn| sqlx::query(
        "INSERT INTO customers (id, display_name, demo, created_at_ms) VALUES ($1, $2, $3, $4)"
    )
    .bind(&customer)
    .bind(&account.display_name)
    .bind(account.demo)
    .bind(now)
    .execute(conn)
    .await
    .map(drop))
    .map_err(StoreError::from)?;
    const LINK: &str = "
        INSERT INTO identities (kind, value, customer_id, linked_at_ms)
        VALUES ('account', $1, $2, $3)";
    on!(tx, |conn| sqlx::query(LINK).bind(&account.id).bind(&customer).bind(now).execute(conn).await.map(drop))
        .map_err(StoreError::from)?;
    Ok(())
}

/// Whether touches of a customer are noted: asked with every batch of them, so it stands with the customer.
pub(super) async fn allow_touches(tx: &mut Tx, customer: &CustomerId, given: bool) -> Result<(), StoreError> {
    const ALLOW: &str = "UPDATE customers SET touches_allowed = $2 WHERE id = $1";
    on!(tx, |conn| sqlx::query(ALLOW).bind(customer).bind(given).execute(conn).await.map(drop))?;
    Ok(())
}

pub(super) async fn find_by_email(tx: &mut Tx, email: &str) -> Result<Option<(AccountId, String)>, StoreError> {
    Ok(on!(tx, |conn| sqlx::query_as("SELECT id, password_hash FROM accounts WHERE email = $1")
        .bind(email)
        .fetch_optional(conn)
        .await?))
}

/// The account with everything it may do; `None` when there is none.
///
/// # Errors
/// The database's.
pub async fn load_person(tx: &mut Tx, id: &AccountId) -> Result<Option<Person>, StoreError> {
    const ACCOUNT: &str = "
        SELECT a.email, a.display_name, a.demo, i.customer_id, l.id
        FROM accounts a
        JOIN identities i ON i.kind = 'account' AND i.value = a.id
        LEFT JOIN livers l ON l.account_id = a.id
        WHERE a.id = $1";
    type Row = (String, String, bool, CustomerId, Option<LiverId>);
    let row: Option<Row> = on!(tx, |conn| sqlx::query_as(ACCOUNT).bind(id).fetch_optional(conn).await?);
    let Some((email, display_name, demo, customer_id, liver_id)) = row else { return Ok(None) };
    const GRANTS: &str = "
        SELECT g.role, g.subject_id, b.name
        FROM grants g
        LEFT JOIN brands b ON b.id = g.subject_id
        WHERE g.account_id = $1
        ORDER BY g.granted_at_ms, g.subject_id";
    let grants: Vec<(String, String, Option<String>)> =
        on!(tx, |conn| sqlx::query_as(GRANTS).bind(id).fetch_all(conn).await?);
    let account = Account { id: id.clone(), email, display_name, demo };
    let mut person =
        Person { account, customer_id, liver_id, brands: Vec::new(), locations: Vec::new(), operator: false };
    for (role, subject, brand_name) in grants {
        match role.as_str() {
            "brand_member" => {
                if let Ok(brand) = BrandId::parse(&subject) {
                    person.brands.push((brand, brand_name.unwrap_or_default()));
                }
            }
            "staff" => person.locations.extend(LocationId::parse(&subject)),
            "operator" => person.operator = true,
            _ => {}
        }
    }
    Ok(Some(person))
}

pub(super) async fn grant(
    tx: &mut Tx,
    account: &AccountId,
    role: &str,
    subject: &str,
    now: Millis,
) -> Result<(), StoreError> {
    const GRANT: &str = "
        INSERT INTO grants (account_id, role, subject_id, granted_at_ms)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (account_id, role, subject_id) DO NOTHING";
    on!(tx, |conn| sqlx::query(GRANT).bind(account).bind(role).bind(subject).bind(now).execute(conn).await.map(drop))?;
    Ok(())
}

/// Lets an account keep order in a liver's lives.
///
/// # Errors
/// The database's.
pub async fn add_moderator(tx: &mut Tx, liver: &LiverId, account: &AccountId, now: Millis) -> Result<(), StoreError> {
    grant(tx, account, "moderator", liver.as_str(), now).await
}

/// Takes that back.
///
/// # Errors
/// The database's.
pub async fn remove_moderator(tx: &mut Tx, liver: &LiverId, account: &AccountId) -> Result<(), StoreError> {
    const REVOKE: &str = "DELETE FROM grants WHERE account_id = $1 AND role = 'moderator' AND subject_id = $2";
    on!(tx, |conn| sqlx::query(REVOKE).bind(account).bind(liver).execute(conn).await.map(drop))?;
    Ok(())
}

pub(super) async fn insert_brand(tx: &mut Tx, brand: &Brand, now: Millis) -> Result<(), StoreError> {
    const INSERT: &str = "
        INSERT INTO brands (id, name, invoice_number, commission_bp, created_at_ms)
        VALUES ($1, $2, $3, $4, $5)";
    on!(tx, |conn| sqlx::query(INSERT)
        .bind(&brand.id)
        .bind(&brand.name)
        .bind(&brand.invoice_number)
        .bind(brand.commission_bp)
        .bind(now)
        .execute(conn)
        .await
        .map(drop))?;
    Ok(())
}

/// A brand by id.
///
/// # Errors
/// The database's.
pub async fn find_brand(tx: &mut Tx, id: &BrandId) -> Result<Option<Brand>, StoreError> {
    const FIND: &str = "SELECT id, name, invoice_number, commission_bp FROM brands WHERE id = $1";
    Ok(on!(tx, |conn| sqlx::query_as::<_, Brand>(FIND).bind(id).fetch_optional(conn).await?))
}

pub(super) async fn insert_liver(
    tx: &mut Tx,
    account: &AccountId,
    name: &str,
    now: Millis,
) -> Result<LiverId, StoreError> {
    const INSERT: &str = "
        INSERT INTO livers (id, account_id, display_name, created_at_ms)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (account_id) DO UPDATE SET display_name = excluded.display_name
        RETURNING id";
    let (id,): (LiverId,) = on!(tx, |conn| sqlx::query_as(INSERT)
        .bind(LiverId::fresh())
        .bind(account)
        .bind(name)
        .bind(now)
        .fetch_one(conn)
        .await?);
    Ok(id)
}

/// A liver by id.
///
/// # Errors
/// The database's.
pub async fn find_liver(tx: &mut Tx, id: &LiverId) -> Result<Option<Liver>, StoreError> {
    const FIND: &str = "SELECT id, account_id, display_name FROM livers WHERE id = $1";
    Ok(on!(tx, |conn| sqlx::query_as::<_, Liver>(FIND).bind(id).fetch_optional(conn).await?))
}

/// The name others see of a customer.
///
/// # Errors
/// The database's.
pub async fn find_customer_name(tx: &mut Tx, id: &CustomerId) -> Result<Option<String>, StoreError> {
    let row: Option<(String,)> = on!(tx, |conn| sqlx::query_as("SELECT display_name FROM customers WHERE id = $1")
        .bind(id)
        .fetch_optional(conn)
        .await?);
    Ok(row.map(|(name,)| name))
}
