//! Table: payees, payers.

use std::collections::HashSet;

use super::payee::{Payee, Payer};
use crate::{
    clock::Millis,
    ids::{BrandId, LiverId},
    on,
    store::{Kind, Rows, StoreError, Tx},
};

/// Where a liver's money goes, when that is known.
pub(super) async fn payee(tx: &mut Tx, liver: &LiverId) -> Result<Option<Payee>, StoreError> {
    const FIND: &str = "
        SELECT name_kana, bank_code, branch_code, account_type, account_number, holder_kana, registration
        FROM payees
        WHERE liver_id = $1";
    Ok(on!(tx, |conn| sqlx::query_as(FIND).bind(liver).fetch_optional(conn).await?))
}

/// Of these livers, those whose account is known.
pub(super) async fn known<'a>(
    tx: &mut Tx,
    livers: impl Iterator<Item = &'a LiverId>,
) -> Result<HashSet<LiverId>, StoreError> {
    const KNOWN: &str = "SELECT p.liver_id FROM rows CROSS JOIN payees p WHERE p.liver_id = rows.id";
    let mut rows = Rows::new(&[("id", Kind::Text)]);
    for liver in livers {
        rows.push([liver.into()]);
    }
    let found: Vec<(LiverId,)> = rows.fetch(tx, KNOWN).await?;
    Ok(found.into_iter().map(|(liver,)| liver).collect())
}

/// Keeps where a liver's money goes.
pub(super) async fn put_payee(tx: &mut Tx, liver: &LiverId, payee: &Payee, now: Millis) -> Result<(), StoreError> {
    const PUT: &str = "
        INSERT INTO payees (liver_id, name_kana, bank_code, branch_code, account_type, account_number, holder_kana,
                            registration, updated_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (liver_id) DO UPDATE SET name_kana = $2, bank_code = $3, branch_code = $4, account_type = $5,
            account_number = $6, holder_kana = $7, registration = $8, updated_at_ms = $9";
    on!(tx, |conn| sqlx::query(PUT)
        .bind(liver)
        .bind(&payee.name_kana)
        .bind(&payee.bank_code)
        .bind(&payee.branch_code)
        .bind(payee.account_type)
        .bind(&payee.account_number)
        .bind(&payee.holder_kana)
        .bind(&payee.registration)
        .bind(now)
        .execute(conn)
        .await
        .map(drop))?;
    Ok(())
}

/// From which account a brand pays, when that is known.
pub(super) async fn payer(tx: &mut Tx, brand: &BrandId) -> Result<Option<Payer>, StoreError> {
    const FIND: &str = "
        SELECT consignor_code, name_kana, bank_code, branch_code, account_type, account_number
        FROM payers
        WHERE brand_id = $1";
    Ok(on!(tx, |conn| sqlx::query_as(FIND).bind(brand).fetch_optional(conn).await?))
}

/// Keeps from which account a brand pays.
pub(super) async fn put_payer(tx: &mut Tx, brand: &BrandId, payer: &Payer, now: Millis) -> Result<(), StoreError> {
    const PUT: &str = "
        INSERT INTO payers (brand_id, consignor_code, name_kana, bank_code, branch_code, account_type, account_number,
                            updated_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (brand_id) DO UPDATE SET consignor_code = $2, name_kana = $3, bank_code = $4, branch_code = $5,
            account_type = $6, account_number = $7, updated_at_ms = $8";
    on!(tx, |conn| sqlx::query(PUT)
        .bind(brand)
        .bind(&payer.consignor_code)
        .bind(&payer.name_kana)
        .bind(&payer.bank_code)
        .bind(&payer.branch_code)
        .bind(payer.account_type)
        .bind(&payer.account_number)
        .bind(now)
        .execute(conn)
        .await
        .map(drop))?;
    Ok(())
}
