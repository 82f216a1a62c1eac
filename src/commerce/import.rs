//! Shell: a merchant's file into catalogue and stock.
//!
//! Reads the file ([`sheet`]), finds what stands already, decides ([`plan`]), then writes the catalogue in short
//! transactions and sends the counts through the sequencer, so that a live goes on selling meanwhile.
//! Invariant: a file can be imported again at any time; what stands as the file says is not written. Nothing is deleted.

mod cells;
mod html;
mod lines;
mod plan;
mod sheet;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::{
    CommerceError,
    cards::{self, Names, ProductCard, SkuCard},
    facts::{FactClass, StockFact},
    ledger,
    sequencer::Sequencer,
    stock::Move,
};
use crate::{
    clock::Clock,
    ids::{AccountId, BrandId, ImportId, LocationId, ProductId, SkuId},
    people::find_brand,
    store::{Db, StoreError},
};
use plan::{Draft, SkuDraft};
use sheet::{Goods, Sheet};

/// Bytes of a file.
pub const MAX_IMPORT_BYTES: usize = 8 * 1024 * 1024;
/// Imports at the same time on a node; more are told to come back.
const MAX_IMPORTS: usize = 2;
/// Faulty rows that a report lists; more are counted.
const MAX_ERRORS: usize = 1_000;
/// Products of one transaction: SQLite has one writer, and buyers want it too.
const PRODUCTS_AT_ONCE: usize = 200;
/// SKUs of one transaction; a product more may stand above it.
const SKUS_AT_ONCE: usize = 1_000;
/// SKUs of one command to the sequencer.
const COUNTS_AT_ONCE: usize = 100;
/// Tries of a command while the sequencer is full or has no answer …
const TRIES: u32 = 6;
/// … and the first pause between them, doubled each time (6 s in all).
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// A file, and where it goes.
#[derive(Debug, Clone)]
pub struct ImportFile {
    /// Who brings it.
    pub account: AccountId,
    /// Whose goods they are.
    pub brand: BrandId,
    /// Where its stock is counted; `None`: its stock is left alone.
    pub location: Option<LocationId>,
    /// Only says what would happen.
    pub dry_run: bool,
    /// CSV text.
    pub bytes: Bytes,
}

/// What an import did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ImportReport {
    /// Rows below the header that are not blank.
    pub rows: u32,
    /// Of them, rows of drafts and archived products.
    pub skipped: u32,
    /// Products that were not there.
    pub products_created: u32,
    /// Products whose title, description or handle is another now.
    pub products_updated: u32,
    /// SKUs that were not there.
    pub skus_created: u32,
    /// SKUs whose variant, code, JAN, price or tax rate is another now.
    pub skus_updated: u32,
    /// SKUs whose units at the location are as the file says.
    pub stock_counted: u32,
    /// Nothing was written.
    pub dry_run: bool,
    /// What is wrong with rows that were left out, in their order; at most 1,000.
    pub errors: Vec<RowError>,
    /// How many more there are.
    pub errors_left_off: u32,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RowError {
    /// As a spreadsheet shows it; the header is row 1.
    pub row: u32,
    /// Its heading in the file; empty when the file has no such column.
    pub column: String,
    /// Why the row was left out.
    pub message: String,
}

/// Why an import did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Others are at it.
    #[error("{MAX_IMPORTS} other imports are running")]
    Busy,
    /// Nothing was written.
    #[error(transparent)]
    Refused(#[from] CommerceError),
    /// Somebody else made goods with the same handles or codes meanwhile.
    #[error(
        "the same goods were changed meanwhile; {done} of {rows} rows are imported; importing the file again is safe"
    )]
    Overtaken {
        /// Rows whose goods and stock are written.
        done: u32,
        /// Rows of the file.
        rows: u32,
    },
    /// It began, and broke off.
    #[error("{done} of {rows} rows are imported; importing the file again is safe")]
    BrokenOff {
        /// Rows whose goods and stock are written.
        done: u32,
        /// Rows of the file.
        rows: u32,
        /// What happened then.
        #[source]
        cause: CommerceError,
    },
}

impl From<StoreError> for ImportError {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.into())
    }
}

/// Imports. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Imports {
    db: Db,
    clock: Clock,
    sequencer: Sequencer,
    turns: Arc<Semaphore>,
}

/// Products of one transaction, with their new ids.
#[derive(Default)]
struct Chunk {
    rows: u32,
    skus_seen: usize,
    products: Vec<ProductCard>,
    skus: Vec<SkuCard>,
    counts: Vec<(SkuId, i64)>,
    products_seen: usize,
}

impl Imports {
    /// Over this database and sequencer.
    #[must_use]
    pub fn new(db: Db, clock: Clock, sequencer: Sequencer) -> Self {
        Self { db, clock, sequencer, turns: Arc::new(Semaphore::new(MAX_IMPORTS)) }
    }

    /// Imports a file, or says what importing it would do.
    ///
    /// # Errors
    /// [`CommerceError::Invalid`] when no row can be read; [`ImportError::BrokenOff`] says how far it came.
    pub async fn import(&self, file: ImportFile) -> Result<ImportReport, ImportError> {
        let _turn = self.turns.try_acquire().map_err(|_| ImportError::Busy)?;
        let bytes = file.bytes.clone();
        // Reading takes long enough to be felt by whoever shares the thread.
        let read = tokio::task::spawn_blocking(move || sheet::read(&bytes)).await;
        let read = read.map_err(|_| CommerceError::Unknown)?;
        let sheet = read.map_err(|unusable| CommerceError::Invalid(unusable.to_string()))?;
        let Sheet { columns, rows, skipped, goods, mut errors } = sheet;
        let known = self.find_known(&file, &goods).await?;
        let (drafts, refused) = plan::plan(goods, &columns, &known);
        errors.extend(refused);
        let report = report(&file, rows, skipped, &drafts, errors);
        if !file.dry_run {
            self.write(&file, rows, drafts).await?;
        }
        Ok(report)
    }

    async fn find_known(&self, file: &ImportFile, goods: &[Goods]) -> Result<Vec<cards::Known>, CommerceError> {
        let variants = || goods.iter().flat_map(|goods| &goods.variants);
        let names = Names {
            handles: goods.iter().map(|goods| goods.handle.as_str()).collect(),
            codes: variants().filter_map(|variant| variant.code.as_deref()).collect(),
            jans: variants().filter_map(|variant| variant.jan.as_deref()).collect(),
        };
        let mut tx = self.db.read("goods of import").await?;
        if find_brand(&mut tx, &file.brand).await?.is_none() {
            return Err(CommerceError::NotFound("brand"));
        }
        if let Some(location) = &file.location
            && ledger::empty_shelves(&mut tx, &BTreeSet::from([location])).await?.is_empty()
        {
            return Err(CommerceError::NotFound("location"));
        }
        Ok(cards::find_named(&mut tx, &file.brand, &names).await?)
    }

    async fn write(&self, file: &ImportFile, rows: u32, drafts: Vec<Draft>) -> Result<(), ImportError> {
        let import = ImportId::fresh();
        let (mut done, mut facts) = (0, 0);
        for chunk in chunks(drafts) {
            self.write_chunk(file, &import, &mut facts, &chunk).await.map_err(|cause| match cause {
                CommerceError::Store(error) if error.is_unique_violation() => ImportError::Overtaken { done, rows },
                cause => ImportError::BrokenOff { done, rows, cause },
            })?;
            done += chunk.rows;
        }
        Ok(())
    }

    async fn write_chunk(
        &self,
        file: &ImportFile,
        import: &ImportId,
        facts: &mut u32,
        chunk: &Chunk,
    ) -> Result<(), CommerceError> {
        if !chunk.products.is_empty() || !chunk.skus.is_empty() {
            let now = self.clock.now();
            let mut tx = self.db.write("import goods").await?;
            cards::put_products(&mut tx, &file.brand, &chunk.products, now).await?;
            cards::put_skus(&mut tx, &file.brand, &chunk.skus, now).await?;
            tx.commit().await?;
        }
        let Some(location) = &file.location else { return Ok(()) };
        for counts in chunk.counts.chunks(COUNTS_AT_ONCE) {
            *facts += 1;
            let moves = counts.iter().map(|(sku, counted)| (sku.clone(), Move::To { counted: *counted })).collect();
            self.record(StockFact {
                account: file.account.clone(),
                key: format!("{import}:{facts}"),
                body_hash: digest(counts),
                location: location.clone(),
                kind: FactClass::Count,
                moves,
            })
            .await?;
        }
        Ok(())
    }

    /// Sends a count; again under the same key while the sequencer is full or the answer is lost.
    async fn record(&self, fact: StockFact) -> Result<(), CommerceError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            match self.sequencer.record(fact.clone()).await {
                Err(CommerceError::QueueFull { .. } | CommerceError::Unknown) => {}
                answer => return answer.map(drop),
            }
            // Real time on purpose: the queue does not live by a test's clock.
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.sequencer.record(fact).await.map(drop)
    }
}

/// What a count says, so that another under the same key is noticed.
fn digest(counts: &[(SkuId, i64)]) -> String {
    let mut digest = Sha256::new();
    for (sku, counted) in counts {
        digest.update(format!("{sku} {counted}\n"));
    }
    data_encoding::HEXLOWER.encode(&digest.finalize())
}

fn report(file: &ImportFile, rows: u32, skipped: u32, drafts: &[Draft], mut errors: Vec<RowError>) -> ImportReport {
    let tally = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let skus = || drafts.iter().flat_map(|draft| &draft.skus);
    let counted = skus().filter(|sku| file.location.is_some() && sku.counted.is_some()).count();
    errors.sort_by_key(|error| error.row);
    let left_off = errors.len().saturating_sub(MAX_ERRORS);
    errors.truncate(MAX_ERRORS);
    ImportReport {
        rows,
        skipped,
        products_created: tally(drafts.iter().filter(|draft| draft.id.is_none()).count()),
        products_updated: tally(drafts.iter().filter(|draft| draft.id.is_some() && draft.changed).count()),
        skus_created: tally(skus().filter(|sku| sku.id.is_none()).count()),
        skus_updated: tally(skus().filter(|sku| sku.id.is_some() && sku.changed).count()),
        stock_counted: tally(counted),
        dry_run: file.dry_run,
        errors,
        errors_left_off: tally(left_off),
    }
}

/// Cuts the goods into transactions, and gives ids to what is new.
fn chunks(drafts: Vec<Draft>) -> Vec<Chunk> {
    let mut chunks = vec![Chunk::default()];
    for draft in drafts {
        let full = |chunk: &Chunk| chunk.products_seen >= PRODUCTS_AT_ONCE || chunk.skus_seen >= SKUS_AT_ONCE;
        if chunks.last().is_none_or(full) {
            chunks.push(Chunk::default());
        }
        if let Some(chunk) = chunks.last_mut() {
            chunk.add(draft);
        }
    }
    chunks
}

impl Chunk {
    fn add(&mut self, draft: Draft) {
        let Draft { id, changed, rows, handle, title, description, skus } = draft;
        let id = id.unwrap_or_else(ProductId::fresh);
        self.rows += rows;
        self.products_seen += 1;
        self.skus_seen += skus.len();
        for sku in skus {
            self.add_sku(&id, sku);
        }
        if changed {
            self.products.push(ProductCard { id, handle: Some(handle), title, description, image_svg: None });
        }
    }

    fn add_sku(&mut self, product: &ProductId, draft: SkuDraft) {
        let SkuDraft { id, changed, variant, code, jan, price_minor, tax_rate_bp, counted } = draft;
        let id = id.unwrap_or_else(SkuId::fresh);
        self.counts.extend(counted.map(|units| (id.clone(), units)));
        if changed {
            let product_id = product.clone();
            self.skus.push(SkuCard { id, product_id, variant, code, jan, price_minor, tax_rate_bp });
        }
    }
}
