//! Table: products and SKUs as rows: found by what merchants call them, written one by one or many at once.
//!
//! What is shown to buyers is read by [`super::catalog`]. A row that exists is replaced but for its picture, which stays
//! when none is given; nothing is deleted.
//! Invariant: SKUs are written in the order of their ids, as the sequencer locks them.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::QueryBuilder;

use crate::{
    clock::Millis,
    ids::{BrandId, ProductId, SkuId},
    money::Currency,
    on,
    store::{StoreError, Tx},
};

/// Rows of one statement, far below the number of values either engine takes.
const ROWS_AT_ONCE: usize = 500;

/// A product's own row.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct ProductCard {
    pub(super) id: ProductId,
    pub(super) handle: Option<String>,
    pub(super) title: String,
    pub(super) description: String,
    /// Written when there is one, never read.
    #[sqlx(default)]
    pub(super) image_svg: Option<String>,
}

/// A SKU's own row.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct SkuCard {
    pub(super) id: SkuId,
    pub(super) product_id: ProductId,
    pub(super) variant: String,
    pub(super) code: Option<String>,
    pub(super) jan: Option<String>,
    pub(super) price_minor: i64,
    pub(super) tax_rate_bp: i32,
}

/// A product that stands in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) product: ProductCard,
    /// Oldest first.
    pub(super) skus: Vec<SkuCard>,
}

/// What merchants call their goods.
#[derive(Debug, Default)]
pub(super) struct Names<'a> {
    pub(super) handles: Vec<&'a str>,
    pub(super) codes: Vec<&'a str>,
    pub(super) jans: Vec<&'a str>,
}

/// Every product of a brand that bears one of these handles, or one of whose SKUs bears one of these codes or JANs.
pub(super) async fn find_named(tx: &mut Tx, brand: &BrandId, names: &Names<'_>) -> Result<Vec<Known>, StoreError> {
    let mut ids = BTreeSet::new();
    for (sql, names) in [
        ("SELECT id FROM products WHERE brand_id = $1 AND handle IN (", &names.handles),
        ("SELECT product_id FROM skus WHERE brand_id = $1 AND code IN (", &names.codes),
        ("SELECT product_id FROM skus WHERE brand_id = $1 AND jan IN (", &names.jans),
    ] {
        for chunk in names.chunks(ROWS_AT_ONCE) {
            ids.extend(product_ids(tx, sql, brand, chunk).await?);
        }
    }
    let ids: Vec<ProductId> = ids.into_iter().collect();
    let mut found = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(ROWS_AT_ONCE) {
        found.extend(load(tx, chunk).await?);
    }
    Ok(found)
}

async fn product_ids(
    tx: &mut Tx,
    sql: &'static str,
    brand: &BrandId,
    names: &[&str],
) -> Result<Vec<ProductId>, StoreError> {
    let rows: Vec<(ProductId,)> = on!(tx, |conn| {
        let (before, after) = sql.split_once("$1").expect("the statement names its brand");
        let mut query = QueryBuilder::new(before);
        query.push_bind(brand).push(after);
        let mut list = query.separated(", ");
        for name in names {
            list.push_bind(*name);
        }
        query.push(")");
        query.build_query_as().persistent(false).fetch_all(conn).await?
    });
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

async fn load(tx: &mut Tx, ids: &[ProductId]) -> Result<Vec<Known>, StoreError> {
    const PRODUCTS: &str = "SELECT id, handle, title, description FROM products WHERE id IN (";
    const SKUS: &str = "
        SELECT id, product_id, variant, code, jan, price_minor, tax_rate_bp
        FROM skus
        WHERE product_id IN (";
    let products: Vec<ProductCard> = on!(&mut *tx, |conn| {
        let mut query = QueryBuilder::new(PRODUCTS);
        let mut list = query.separated(", ");
        for id in ids {
            list.push_bind(id);
        }
        query.push(") ORDER BY id");
        query.build_query_as().persistent(false).fetch_all(conn).await?
    });
    let skus: Vec<SkuCard> = on!(tx, |conn| {
        let mut query = QueryBuilder::new(SKUS);
        let mut list = query.separated(", ");
        for id in ids {
            list.push_bind(id);
        }
        query.push(") ORDER BY id");
        query.build_query_as().persistent(false).fetch_all(conn).await?
    });
    let mut by_product: BTreeMap<ProductId, Vec<SkuCard>> = BTreeMap::new();
    for sku in skus {
        by_product.entry(sku.product_id.clone()).or_default().push(sku);
    }
    let with_skus = |product: ProductCard| Known { skus: by_product.remove(&product.id).unwrap_or_default(), product };
    Ok(products.into_iter().map(with_skus).collect())
}

/// Writes products, new ones and known ones.
///
/// # Errors
/// The database's; a unique violation when another product of the brand bears a handle.
pub(super) async fn put_products(
    tx: &mut Tx,
    brand: &BrandId,
    products: &[ProductCard],
    now: Millis,
) -> Result<(), StoreError> {
    for chunk in products.chunks(ROWS_AT_ONCE) {
        on!(&mut *tx, |conn| {
            let mut query = QueryBuilder::new(
                "INSERT INTO products (id, brand_id, handle, title, description, image_svg, created_at_ms) ",
            );
            query.push_values(chunk, |mut row, product| {
                row.push_bind(&product.id)
                    .push_bind(brand)
                    .push_bind(&product.handle)
                    .push_bind(&product.title)
                    .push_bind(&product.description)
                    .push_bind(&product.image_svg)
                    .push_bind(now);
            });
            query.push(
                " ON CONFLICT (id) DO UPDATE SET
                    handle = excluded.handle,
                    title = excluded.title,
                    description = excluded.description,
                    image_svg = COALESCE(excluded.image_svg, products.image_svg)",
            );
            query.build().persistent(false).execute(conn).await.map(drop)
        })?;
    }
    Ok(())
}

/// Writes SKUs, new ones and known ones; their stock is another's.
///
/// # Errors
/// The database's; a unique violation when another SKU of the brand bears a code.
pub(super) async fn put_skus(
    tx: &mut Tx,
    brand: &BrandId,
    mut skus: Vec<&SkuCard>,
    now: Millis,
) -> Result<(), StoreError> {
    skus.sort_unstable_by_key(|sku| &sku.id);
    for chunk in skus.chunks(ROWS_AT_ONCE) {
        on!(&mut *tx, |conn| {
            let mut query = QueryBuilder::new(
                "INSERT INTO skus (id, product_id, brand_id, variant, code, jan, price_minor, currency, tax_rate_bp, \
                 stock_version, created_at_ms) ",
            );
            query.push_values(chunk, |mut row, sku| {
                row.push_bind(&sku.id)
                    .push_bind(&sku.product_id)
                    .push_bind(brand)
                    .push_bind(&sku.variant)
                    .push_bind(&sku.code)
                    .push_bind(&sku.jan)
                    .push_bind(sku.price_minor)
                    .push_bind(Currency::Jpy)
                    .push_bind(sku.tax_rate_bp)
                    .push_bind(0_i64)
                    .push_bind(now);
            });
            query.push(
                " ON CONFLICT (id) DO UPDATE SET
                    variant = excluded.variant,
                    code = excluded.code,
                    jan = excluded.jan,
                    price_minor = excluded.price_minor,
                    tax_rate_bp = excluded.tax_rate_bp",
            );
            query.build().persistent(false).execute(conn).await.map(drop)
        })?;
    }
    Ok(())
}
