//! Table: products and SKUs as rows: found by what merchants call them, written one by one or many at once.
//!
//! What is shown to buyers is read by [`super::catalog`]. A row that exists is replaced but for its picture, which stays
//! when none is given; nothing is deleted.
//! Invariant: SKUs are written in the order of their ids, as the sequencer locks them.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    clock::Millis,
    ids::{BrandId, ProductId, SkuId},
    money::Currency,
    store::{Kind, Rows, StoreError, Tx},
};

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
///
/// # Errors
/// The database's.
pub(super) async fn find_named(tx: &mut Tx, brand: &BrandId, names: &Names<'_>) -> Result<Vec<Known>, StoreError> {
    const BY_HANDLE: &str = "
        SELECT p.id
        FROM rows CROSS JOIN products p
        WHERE p.brand_id = rows.brand_id AND p.handle = rows.name";
    const BY_CODE: &str = "
        SELECT k.product_id
        FROM rows CROSS JOIN skus k
        WHERE k.brand_id = rows.brand_id AND k.code = rows.name";
    const BY_JAN: &str = "
        SELECT k.product_id
        FROM rows CROSS JOIN skus k
        WHERE k.jan = rows.name AND k.brand_id = rows.brand_id";
    let mut ids = BTreeSet::new();
    for (find, names) in [(BY_HANDLE, &names.handles), (BY_CODE, &names.codes), (BY_JAN, &names.jans)] {
        let mut rows = Rows::new(&[("brand_id", Kind::Text), ("name", Kind::Text)]);
        for name in names {
            rows.push([brand.into(), (*name).into()]);
        }
        let found: Vec<(ProductId,)> = rows.fetch(tx, find).await?;
        ids.extend(found.into_iter().map(|(id,)| id));
    }
    load(tx, &ids).await
}

async fn load(tx: &mut Tx, ids: &BTreeSet<ProductId>) -> Result<Vec<Known>, StoreError> {
    const PRODUCTS: &str = "
        SELECT p.id, p.handle, p.title, p.description
        FROM rows CROSS JOIN products p
        WHERE p.id = rows.id";
    const SKUS: &str = "
        SELECT k.id, k.product_id, k.variant, k.code, k.jan, k.price_minor, k.tax_rate_bp
        FROM rows CROSS JOIN skus k
        WHERE k.product_id = rows.id";
    let mut rows = Rows::new(&[("id", Kind::Text)]);
    for id in ids {
        rows.push([id.into()]);
    }
    let mut products: Vec<ProductCard> = rows.fetch(tx, PRODUCTS).await?;
    let mut skus: Vec<SkuCard> = rows.fetch(tx, SKUS).await?;
    products.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    skus.sort_unstable_by(|a, b| a.id.cmp(&b.id));
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
    const PUT: &str = "
        INSERT INTO products (id, brand_id, handle, title, description, image_svg, created_at_ms)
        SELECT id, brand_id, handle, title, description, image_svg, created_at_ms FROM rows WHERE true
        ON CONFLICT (id) DO UPDATE SET
            handle = excluded.handle,
            title = excluded.title,
            description = excluded.description,
            image_svg = COALESCE(excluded.image_svg, products.image_svg)";
    let mut rows = Rows::new(&[
        ("id", Kind::Text),
        ("brand_id", Kind::Text),
        ("handle", Kind::Text),
        ("title", Kind::Text),
        ("description", Kind::Text),
        ("image_svg", Kind::Text),
        ("created_at_ms", Kind::Number),
    ]);
    for product in products {
        rows.push([
            (&product.id).into(),
            brand.into(),
            product.handle.as_deref().into(),
            product.title.as_str().into(),
            product.description.as_str().into(),
            product.image_svg.as_deref().into(),
            now.into(),
        ]);
    }
    rows.execute(tx, PUT).await.map(drop)
}

/// Writes SKUs, new ones and known ones; their stock is another's.
///
/// # Errors
/// The database's; a unique violation when another SKU of the brand bears a code.
pub(super) async fn put_skus(tx: &mut Tx, brand: &BrandId, skus: &[SkuCard], now: Millis) -> Result<(), StoreError> {
    const PUT: &str = "
        INSERT INTO skus (id, product_id, brand_id, variant, code, jan, price_minor, currency, tax_rate_bp, stock_version,
                          created_at_ms)
        SELECT id, product_id, brand_id, variant, code, jan, price_minor, currency, tax_rate_bp, 0, created_at_ms
        FROM rows WHERE true
        ON CONFLICT (id) DO UPDATE SET
            variant = excluded.variant,
            code = excluded.code,
            jan = excluded.jan,
            price_minor = excluded.price_minor,
            tax_rate_bp = excluded.tax_rate_bp";
    let mut rows = Rows::new(&[
        ("id", Kind::Text),
        ("product_id", Kind::Text),
        ("brand_id", Kind::Text),
        ("variant", Kind::Text),
        ("code", Kind::Text),
        ("jan", Kind::Text),
        ("price_minor", Kind::Number),
        ("currency", Kind::Text),
        ("tax_rate_bp", Kind::Number),
        ("created_at_ms", Kind::Number),
    ]);
    let mut in_order: Vec<&SkuCard> = skus.iter().collect();
    in_order.sort_unstable_by_key(|sku| &sku.id);
    for sku in in_order {
        rows.push([
            (&sku.id).into(),
            (&sku.product_id).into(),
            brand.into(),
            sku.variant.as_str().into(),
            sku.code.as_deref().into(),
            sku.jan.as_deref().into(),
            sku.price_minor.into(),
            Currency::Jpy.as_str().into(),
            sku.tax_rate_bp.into(),
            now.into(),
        ]);
    }
    rows.execute(tx, PUT).await.map(drop)
}
