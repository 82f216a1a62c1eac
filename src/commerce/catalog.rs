//! Table: offers; products and SKUs as they are shown.
//!
//! Their rows are written by [`super::cards`].
//! An offer is the price and the rules of a SKU in one live. Pinning a product again changes its offers and their version.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sqlx::QueryBuilder;

use super::{
    CommerceError,
    cards::{self, ProductCard, SkuCard},
    waitlist,
};
use crate::{
    clock::Millis,
    ids::{BrandId, LiveId, OfferId, ProductId, SkuId},
    money::{Currency, Money},
    on,
    people::find_brand,
    store::{Kind, Rows, StoreError, Tx},
};

/// SKUs of one product.
pub(super) const MAX_SKUS: usize = 50;
/// Characters of a title or variant.
pub(super) const MAX_TITLE_CHARS: usize = 120;
/// Characters of a description.
pub(super) const MAX_DESCRIPTION_CHARS: usize = 4_000;
/// Bytes of a picture.
const MAX_IMAGE_BYTES: usize = 64 * 1024;

/// What is shown.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// Whose it is.
    pub brand_id: BrandId,
    /// What people see.
    pub brand_name: String,
    /// What people see.
    pub title: String,
    /// Plain text.
    pub description: String,
    /// Path on this server; empty without a picture.
    pub image_path: String,
    /// What is counted; at least one.
    pub skus: Vec<Sku>,
}

/// What is counted.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Sku {
    /// Its id.
    pub id: SkuId,
    /// "M / 白"; empty when the product has one SKU.
    pub variant: String,
    /// Japanese Article Number.
    pub jan: Option<String>,
    /// The shop's price, tax included.
    pub price_minor: i64,
    /// Of the price.
    pub currency: Currency,
    /// 800 (reduced) or 1000 basis points.
    pub tax_rate_bp: i32,
    /// Units that can be bought now.
    pub available: i64,
    /// Grows with every change of the stock.
    pub stock_version: i64,
}

/// What a new product needs.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProduct {
    /// 1 to 120 characters.
    pub title: String,
    /// Plain text, up to 4,000 characters.
    #[serde(default)]
    pub description: String,
    /// An SVG picture, up to 64 KiB, without scripts.
    pub image_svg: Option<String>,
    /// 1 to 50.
    pub skus: Vec<NewSku>,
}

/// What a new SKU needs.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSku {
    /// "M / 白".
    #[serde(default)]
    pub variant: String,
    /// 8 or 13 digits.
    pub jan: Option<String>,
    /// Tax included, in yen.
    pub price_minor: i64,
    /// 800 (reduced rate), 1000, or 0.
    pub tax_rate_bp: i32,
}

/// Price and rules for every SKU of a product in a live.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// `None`: the shop's price.
    pub live_price_minor: Option<i64>,
    /// Over the live and product.
    pub limit_per_customer: Option<i32>,
    /// `None`: at once.
    pub starts_at_ms: Option<Millis>,
    /// `None`: until the pin or the live ends.
    pub ends_at_ms: Option<Millis>,
    /// Units of the shared pool that each SKU's offer may sell in this live; `None`: all.
    pub quota: Option<i64>,
}

/// Price and rules of a SKU in a live.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Offer {
    /// Its id.
    pub id: OfferId,
    /// What is counted.
    pub sku_id: SkuId,
    /// What is shown.
    pub product_id: ProductId,
    /// "M / 白".
    pub variant: String,
    /// Price in this live, tax included.
    pub price_minor: i64,
    /// The shop's price, tax included.
    pub regular_price_minor: i64,
    /// Of both.
    pub currency: Currency,
    /// Basis points.
    pub tax_rate_bp: i32,
    /// Over the live and product.
    pub limit_per_customer: Option<i32>,
    /// First moment it can be bought.
    pub starts_at_ms: Millis,
    /// First moment it cannot be bought.
    pub ends_at_ms: Option<Millis>,
    /// Units of the shared pool that it may sell; all of them when absent.
    pub quota: Option<i64>,
    /// Of the quota, what is left.
    pub left: Option<i64>,
    /// Grows with every change.
    pub version: i64,
}

/// How many can be bought, at a version.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct StockLevel {
    /// What is counted.
    pub sku_id: SkuId,
    /// Units that can be bought now.
    pub available: i64,
    /// Of the SKU's stock.
    pub version: i64,
}

fn invalid<T>(text: impl Into<String>) -> Result<T, CommerceError> {
    Err(CommerceError::Invalid(text.into()))
}

impl NewProduct {
    fn check(&self) -> Result<(), CommerceError> {
        let title = self.title.trim().chars().count();
        if title == 0 || title > MAX_TITLE_CHARS {
            return invalid(format!("title must have 1 to {MAX_TITLE_CHARS} characters"));
        }
        if self.description.chars().count() > MAX_DESCRIPTION_CHARS {
            return invalid(format!("description must have at most {MAX_DESCRIPTION_CHARS} characters"));
        }
        if self.skus.is_empty() || self.skus.len() > MAX_SKUS {
            return invalid(format!("skus must have 1 to {MAX_SKUS} entries"));
        }
        if let Some(svg) = &self.image_svg
            && (svg.len() > MAX_IMAGE_BYTES || !svg.trim_start().starts_with("<svg"))
        {
            return invalid(format!("image_svg must be an SVG of at most {MAX_IMAGE_BYTES} bytes"));
        }
        self.skus.iter().try_for_each(NewSku::check)
    }
}

impl NewSku {
    fn check(&self) -> Result<(), CommerceError> {
        if self.variant.chars().count() > MAX_TITLE_CHARS {
            return invalid(format!("variant must have at most {MAX_TITLE_CHARS} characters"));
        }
        if self.price_minor < 0 || Money::yen(self.price_minor).is_err() {
            return invalid("price_minor must be between 0 and 1000000000000");
        }
        if ![0, 800, 1000].contains(&self.tax_rate_bp) {
            return invalid("tax_rate_bp must be 800 (reduced), 1000 or 0");
        }
        match &self.jan {
            Some(jan) if ![8, 13].contains(&jan.len()) || !jan.bytes().all(|b| b.is_ascii_digit()) => {
                invalid("jan must have 8 or 13 digits")
            }
            _ => Ok(()),
        }
    }
}

/// Makes a product with its SKUs; no stock yet.
///
/// # Errors
/// [`CommerceError::Invalid`] names the field; [`CommerceError::NotFound`] when there is no such brand.
pub(super) async fn insert(
    tx: &mut Tx,
    brand: &BrandId,
    new: &NewProduct,
    now: Millis,
) -> Result<ProductId, CommerceError> {
    new.check()?;
    if find_brand(tx, brand).await?.is_none() {
        return Err(CommerceError::NotFound("brand"));
    }
    let id = ProductId::fresh();
    let product = ProductCard {
        id: id.clone(),
        handle: None,
        title: new.title.trim().to_owned(),
        description: new.description.clone(),
        image_svg: new.image_svg.clone(),
    };
    let card = |sku: &NewSku| SkuCard {
        id: SkuId::fresh(),
        product_id: id.clone(),
        variant: sku.variant.trim().to_owned(),
        code: None,
        jan: sku.jan.clone(),
        price_minor: sku.price_minor,
        tax_rate_bp: sku.tax_rate_bp,
    };
    let skus: Vec<SkuCard> = new.skus.iter().map(card).collect();
    cards::put_products(tx, brand, &[product], now).await?;
    cards::put_skus(tx, brand, &skus, now).await?;
    Ok(id)
}

#[derive(sqlx::FromRow)]
struct ProductRow {
    id: ProductId,
    brand_id: BrandId,
    brand_name: String,
    title: String,
    description: String,
    has_image: bool,
}

#[derive(sqlx::FromRow)]
struct SkuRow {
    id: SkuId,
    product_id: ProductId,
    variant: String,
    jan: Option<String>,
    price_minor: i64,
    currency: Currency,
    tax_rate_bp: i32,
    stock_version: i64,
    available: i64,
}

/// What the stock rows of a SKU leave to sell online; a SKU without rows has none.
macro_rules! available {
    () => {
        "COALESCE((SELECT CAST(SUM(CASE WHEN s.on_hand - s.held > s.safety THEN s.on_hand - s.held - s.safety ELSE 0 END) AS BIGINT)
                   FROM stock s WHERE s.sku_id = k.id), 0)"
    };
}

/// A product with its SKUs and what can be bought.
///
/// # Errors
/// The database's.
pub async fn find_product(tx: &mut Tx, id: &ProductId) -> Result<Option<Product>, StoreError> {
    const FIND: &str = "
        SELECT p.id, p.brand_id, b.name AS brand_name, p.title, p.description, p.image_svg IS NOT NULL AS has_image
        FROM products p
        JOIN brands b ON b.id = p.brand_id
        WHERE p.id = $1";
    let row = on!(tx, |conn| sqlx::query_as::<_, ProductRow>(FIND).bind(id).fetch_optional(conn).await?);
    match row {
        Some(row) => Ok(with_skus(tx, vec![row]).await?.pop()),
        None => Ok(None),
    }
}

/// Products in the order they were made: of one brand or all, whose title contains `query`, after a cursor.
///
/// # Errors
/// The database's.
pub async fn list_products(
    tx: &mut Tx,
    brand: Option<&BrandId>,
    query: Option<&str>,
    after: Option<&ProductId>,
    limit: i64,
) -> Result<Vec<Product>, StoreError> {
    const LIST: &str = "
        SELECT p.id, p.brand_id, b.name AS brand_name, p.title, p.description, p.image_svg IS NOT NULL AS has_image
        FROM products p
        JOIN brands b ON b.id = p.brand_id
        WHERE ($1 = '' OR p.brand_id = $1)
          AND ($2 = '' OR LOWER(p.title) LIKE $2 ESCAPE '!' OR LOWER(b.name) LIKE $2 ESCAPE '!')
          AND p.id > $3
        ORDER BY p.id
        LIMIT $4";
    let brand = brand.map_or("", BrandId::as_str);
    let after = after.map_or("", ProductId::as_str);
    let pattern = query.map(str::trim).filter(|text| !text.is_empty()).map_or_else(String::new, |text| {
        let escaped: String =
            text.to_lowercase().chars().flat_map(|c| "!%_".contains(c).then_some('!').into_iter().chain([c])).collect();
        format!("%{escaped}%")
    });
    let rows = on!(tx, |conn| sqlx::query_as::<_, ProductRow>(LIST)
        .bind(brand)
        .bind(&pattern)
        .bind(after)
        .bind(limit)
        .fetch_all(conn)
        .await?);
    with_skus(tx, rows).await
}

async fn with_skus(tx: &mut Tx, rows: Vec<ProductRow>) -> Result<Vec<Product>, StoreError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    const SKUS: &str = concat!(
        "SELECT k.id, k.product_id, k.variant, k.jan, k.price_minor, k.currency, k.tax_rate_bp, k.stock_version, ",
        available!(),
        " AS available FROM skus k WHERE k.product_id IN ("
    );
    let skus: Vec<SkuRow> = on!(tx, |conn| {
        let mut query = QueryBuilder::new(SKUS);
        let mut ids = query.separated(", ");
        for row in &rows {
            ids.push_bind(&row.id);
        }
        query.push(") ORDER BY k.id");
        query.build_query_as().persistent(false).fetch_all(conn).await?
    });
    let mut products: Vec<Product> = rows
        .into_iter()
        .map(|row| Product {
            image_path: if row.has_image { format!("/v1/products/{}/image", row.id) } else { String::new() },
            id: row.id,
            brand_id: row.brand_id,
            brand_name: row.brand_name,
            title: row.title,
            description: row.description,
            skus: Vec::new(),
        })
        .collect();
    for sku in skus {
        if let Some(product) = products.iter_mut().find(|product| product.id == sku.product_id) {
            product.skus.push(Sku {
                id: sku.id,
                variant: sku.variant,
                jan: sku.jan,
                price_minor: sku.price_minor,
                currency: sku.currency,
                tax_rate_bp: sku.tax_rate_bp,
                available: sku.available,
                stock_version: sku.stock_version,
            });
        }
    }
    Ok(products)
}

/// The SKUs with these JANs; a JAN may be used by several brands.
///
/// # Errors
/// The database's.
pub(super) async fn find_by_jan(
    tx: &mut Tx,
    jans: &BTreeSet<&str>,
) -> Result<Vec<(String, SkuId, BrandId)>, StoreError> {
    const FIND: &str = "SELECT k.jan, k.id, k.brand_id FROM rows CROSS JOIN skus k WHERE k.jan = rows.jan";
    let mut rows = Rows::new(&[("jan", Kind::Text)]);
    for jan in jans {
        rows.push([(*jan).into()]);
    }
    rows.fetch(tx, FIND).await
}

/// A product's picture.
///
/// # Errors
/// The database's.
pub(super) async fn find_image(tx: &mut Tx, id: &ProductId) -> Result<Option<String>, StoreError> {
    let row: Option<(Option<String>,)> = on!(tx, |conn| sqlx::query_as("SELECT image_svg FROM products WHERE id = $1")
        .bind(id)
        .fetch_optional(conn)
        .await?);
    Ok(row.and_then(|(svg,)| svg))
}

/// Puts every SKU of `product` on offer in `live` under these terms; replaces terms that stand, with a new version.
///
/// # Errors
/// The database's.
pub async fn put_offers(
    tx: &mut Tx,
    live: &LiveId,
    product: &Product,
    terms: &Terms,
    now: Millis,
) -> Result<Vec<Offer>, StoreError> {
    const PUT: &str = "
        INSERT INTO offers (id, live_id, product_id, sku_id, price_minor, limit_per_customer, starts_at_ms, ends_at_ms, quota,
                            version)
        SELECT id, live_id, product_id, sku_id, price_minor, limit_per_customer, starts_at_ms, ends_at_ms, quota, 1
        FROM rows
        WHERE true
        ON CONFLICT (live_id, sku_id) DO UPDATE SET
            price_minor = excluded.price_minor,
            limit_per_customer = excluded.limit_per_customer,
            starts_at_ms = excluded.starts_at_ms,
            ends_at_ms = excluded.ends_at_ms,
            quota = excluded.quota,
            version = offers.version + 1";
    let mut rows = Rows::new(&[
        ("id", Kind::Text),
        ("live_id", Kind::Text),
        ("product_id", Kind::Text),
        ("sku_id", Kind::Text),
        ("price_minor", Kind::Number),
        ("limit_per_customer", Kind::Number),
        ("starts_at_ms", Kind::Number),
        ("ends_at_ms", Kind::Number),
        ("quota", Kind::Number),
    ]);
    for sku in &product.skus {
        rows.push([
            OfferId::fresh().to_string().into(),
            live.into(),
            (&product.id).into(),
            (&sku.id).into(),
            terms.live_price_minor.unwrap_or(sku.price_minor).into(),
            terms.limit_per_customer.map(i64::from).into(),
            terms.starts_at_ms.unwrap_or(now).into(),
            terms.ends_at_ms.into(),
            terms.quota.into(),
        ]);
    }
    rows.execute(tx, PUT).await?;
    let mut offers = offers_of_live(tx, live).await?;
    offers.retain(|offer| offer.product_id == product.id);
    Ok(offers)
}

/// Writes what the offers have sold.
pub(super) async fn write_taken(tx: &mut Tx, taken: &BTreeMap<OfferId, i64>) -> Result<(), StoreError> {
    const TAKE: &str = "UPDATE offers SET taken = offers.taken + rows.change FROM rows WHERE offers.id = rows.offer_id";
    let mut rows = Rows::new(&[("offer_id", Kind::Text), ("change", Kind::Number)]);
    for (offer, change) in taken.iter().filter(|(_, change)| **change != 0) {
        rows.push([offer.into(), (*change).into()]);
    }
    rows.execute(tx, TAKE).await?;
    Ok(())
}

/// Ends the offers of one product in a live.
///
/// # Errors
/// The database's.
pub async fn end_offers(tx: &mut Tx, live: &LiveId, product: &ProductId, now: Millis) -> Result<(), StoreError> {
    const END: &str = "
        UPDATE offers SET ends_at_ms = $3, version = version + 1
        WHERE live_id = $1 AND product_id = $2 AND (ends_at_ms IS NULL OR ends_at_ms > $3)";
    on!(tx, |conn| sqlx::query(END).bind(live).bind(product).bind(now).execute(conn).await.map(drop))?;
    waitlist::lapse(tx, live, Some(product)).await
}

/// Ends every offer of a live: nothing can be bought in it any more.
///
/// # Errors
/// The database's.
pub async fn end_all_offers(tx: &mut Tx, live: &LiveId, now: Millis) -> Result<(), StoreError> {
    const END: &str = "
        UPDATE offers SET ends_at_ms = $2, version = version + 1
        WHERE live_id = $1 AND (ends_at_ms IS NULL OR ends_at_ms > $2)";
    on!(tx, |conn| sqlx::query(END).bind(live).bind(now).execute(conn).await.map(drop))?;
    waitlist::lapse(tx, live, None).await
}

/// Every offer a live ever made, in the order of products and SKUs.
///
/// # Errors
/// The database's.
pub async fn offers_of_live(tx: &mut Tx, live: &LiveId) -> Result<Vec<Offer>, StoreError> {
    const LIST: &str = "
        SELECT o.id, o.sku_id, o.product_id, k.variant, o.price_minor, k.price_minor AS regular_price_minor, k.currency,
               k.tax_rate_bp, o.limit_per_customer, o.starts_at_ms, o.ends_at_ms, o.quota,
               CASE WHEN o.quota - o.taken < 0 THEN 0 ELSE o.quota - o.taken END AS left, o.version
        FROM offers o
        JOIN skus k ON k.id = o.sku_id
        WHERE o.live_id = $1
        ORDER BY o.product_id, o.sku_id";
    Ok(on!(tx, |conn| sqlx::query_as::<_, Offer>(LIST).bind(live).fetch_all(conn).await?))
}

/// What can be bought of these SKUs, with versions.
///
/// # Errors
/// The database's.
pub async fn stock_of(tx: &mut Tx, skus: &[SkuId]) -> Result<Vec<StockLevel>, StoreError> {
    if skus.is_empty() {
        return Ok(Vec::new());
    }
    const LEVELS: &str = concat!(
        "SELECT k.id AS sku_id, k.stock_version AS version, ",
        available!(),
        " AS available FROM skus k WHERE k.id IN ("
    );
    Ok(on!(tx, |conn| {
        let mut query = QueryBuilder::new(LEVELS);
        let mut ids = query.separated(", ");
        for sku in skus {
            ids.push_bind(sku);
        }
        query.push(")");
        query.build_query_as().persistent(false).fetch_all(conn).await?
    }))
}
