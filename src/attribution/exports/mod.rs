//! Shell: files of a brand's ledger and of its reports' rows, made in the background by whichever node is free.
//!
//! A file is written from one consistent picture of the ledger, so its sums are those of the report of that moment. It is
//! kept in the database for a day, so every node can give it out. A node that dies loses its work to another, which begins
//! anew. Invariant: a file that can be fetched is whole; its digest and sums are told with it.

mod columns;
mod jobs;
mod source;
mod writers;

use std::{fs::File, io, sync::Arc, time::Duration};

use sha2::{Digest, Sha256};
use tokio::sync::Notify;

pub use jobs::{Export, ExportState};
pub use source::{ExportFilter, ExportTable, TableName};
pub use writers::Format;

use super::{Asked, AttributionError, Reports, SplitRow, rule::DAY_MS};
use crate::{
    clock::{Clock, Millis},
    ids::{AccountId, BrandId, ExportId},
    people::{AuditNote, insert_note},
    store::{Db, StoreError},
    tasks::Tasks,
};
use columns::{LedgerRow, Row};
use jobs::{Claimed, Sums};
use source::Wanted;
use writers::Writer;

/// Files of one brand that may wait or be made at once.
const MAX_WAITING: i64 = 5;
/// Files that are listed: the newest.
const MAX_LISTED: i64 = 50;
/// Bytes of one stored part.
const CHUNK: usize = 256 * 1024;
/// Pages between two words of how far the work is.
const PAGES_PER_WORD: usize = 10;
/// How often a node says that it is at it.
const BEAT_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked whether something waits, also when nobody says so.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The files. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Exports {
    db: Db,
    clock: Clock,
    wake: Arc<Notify>,
    reports: Reports,
    /// Days after the goods left in which they may come back.
    return_days: u32,
    /// This node's name among those that share the work.
    node: Arc<str>,
}

/// Why a file was not made.
#[derive(Debug, thiserror::Error)]
enum Fault {
    /// Another node has it now, or this one stops.
    #[error("somebody else makes it")]
    Lost,
    /// It cannot be made, whoever tries.
    #[error("{0}")]
    Cannot(String),
    /// The disk's or the writer's.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The database's.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Exports {
    /// Over this database; starts the task that makes files.
    #[must_use]
    pub fn start(db: Db, clock: Clock, return_days: u32, tasks: &Tasks) -> Self {
        let node = format!("{}", ExportId::fresh()).into();
        let reports = Reports::new(db.clone(), clock.clone(), return_days);
        let exports = Self { db, clock, wake: Arc::new(Notify::new()), reports, return_days, node };
        let (this, stopping) = (exports.clone(), tasks.stopping());
        tasks.spawn("exports", async move {
            loop {
                match this.make_next(&stopping).await {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(error) => tracing::warn!(error = %error, "exports are not made right now"),
                }
                tokio::select! {
                    () = stopping.cancelled() => return,
                    () = this.wake.notified() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
        });
        exports
    }

    /// Asks for a file.
    ///
    /// # Errors
    /// [`AttributionError::Invalid`] for a period that ends before it begins, a format this server has not, or too many
    /// files at once.
    pub async fn ask(
        &self,
        brand: &BrandId,
        by: &AccountId,
        format: Format,
        (table, filter): (ExportTable, &ExportFilter),
    ) -> Result<Export, AttributionError> {
        if filter.from_ms.zip(filter.to_ms).is_some_and(|(from, to)| from > to) {
            return Err(AttributionError::Invalid("from_ms must not be after to_ms".to_owned()));
        }
        if format == Format::Parquet && !cfg!(feature = "parquet") {
            return Err(AttributionError::Invalid("this server was built without Parquet".to_owned()));
        }
        let mut tx = self.db.write("ask for export").await?;
        if jobs::waiting(&mut tx, brand).await? >= MAX_WAITING {
            let detail = format!("{MAX_WAITING} files are being made for this brand; wait for one of them");
            return Err(AttributionError::Invalid(detail));
        }
        let (id, now) = (ExportId::fresh(), self.clock.now());
        let wanted = Wanted { table, filter: filter.clone() };
        jobs::insert(&mut tx, &id, (brand, by), format, &wanted, now).await?;
        let detail =
            serde_json::json!({ "export": id, "format": format, "table": table, "filter": filter }).to_string();
        insert_note(&mut tx, &AuditNote::of(by, "report.export", brand.as_str(), &detail, now)).await?;
        let export = jobs::find(&mut tx, &id).await?.ok_or(AttributionError::NotFound("export"))?;
        tx.commit().await?;
        self.wake.notify_one();
        Ok(export)
    }

    /// A file, or how far it is.
    ///
    /// # Errors
    /// [`AttributionError::NotFound`].
    pub async fn find(&self, id: &ExportId) -> Result<Export, AttributionError> {
        let mut tx = self.db.read("find export").await?;
        jobs::find(&mut tx, id).await?.ok_or(AttributionError::NotFound("export"))
    }

    /// A brand's files, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn list(&self, brand: &BrandId) -> Result<Vec<Export>, AttributionError> {
        let mut tx = self.db.read("list exports").await?;
        Ok(jobs::list(&mut tx, brand, MAX_LISTED).await?)
    }

    /// A part of a file that is done, beginning with 0; `None` after the last.
    ///
    /// # Errors
    /// The database's.
    pub async fn part(&self, id: &ExportId, n: i32) -> Result<Option<Vec<u8>>, StoreError> {
        let mut tx = self.db.read("export part").await?;
        jobs::part(&mut tx, id, n).await
    }

    /// Makes the next file that waits; whether there was one.
    async fn make_next(&self, stopping: &tokio_util::sync::CancellationToken) -> Result<bool, StoreError> {
        let mut tx = self.db.write("claim export").await?;
        jobs::forget_old(&mut tx, self.clock.now()).await?;
        let claimed = jobs::claim(&mut tx, &self.node, self.clock.now()).await?;
        tx.commit().await?;
        let Some(claimed) = claimed else { return Ok(false) };
        let made = tokio::select! {
            made = self.make(&claimed, stopping) => made,
            () = self.say_it_goes_on(&claimed.id) => Err(Fault::Lost),
        };
        let mut tx = self.db.write("end export").await?;
        match made {
            Ok((sums, bytes, digest)) => {
                jobs::end(&mut tx, &claimed.id, &self.node, &sums, bytes, &digest, self.clock.now()).await?;
            }
            Err(Fault::Lost) => jobs::give_up_claim(&mut tx, &claimed.id, &self.node).await?,
            Err(fault) => {
                tracing::warn!(error = %fault, export.id = %claimed.id, "an export failed");
                let cannot = matches!(fault, Fault::Cannot(_));
                jobs::fail(&mut tx, &claimed, &self.node, &fault.to_string(), cannot, self.clock.now()).await?;
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Says every few seconds that this node is at it, whatever the work itself waits for (a count, a page, a workbook that
    /// is packed); ends when the work is another's.
    async fn say_it_goes_on(&self, id: &ExportId) {
        loop {
            tokio::time::sleep(BEAT_EVERY).await;
            let said = async {
                let mut tx = self.db.write("export goes on").await?;
                let ours = jobs::beat(&mut tx, id, &self.node, self.clock.now()).await?;
                tx.commit().await?;
                Ok::<bool, StoreError>(ours)
            };
            match said.await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::debug!(%error, "an export's beat was lost"),
            }
        }
    }

    /// Writes a file and stores it. Gives its sums, bytes and digest.
    async fn make(
        &self,
        job: &Claimed,
        stopping: &tokio_util::sync::CancellationToken,
    ) -> Result<(Sums, i64, String), Fault> {
        let (file, sums) = self.write(job, stopping).await?;
        let (mut file, mut n, mut bytes, mut digest) = (Some(file), 0i32, 0i64, Sha256::new());
        loop {
            let mut taken = file.take().expect("given back below");
            let (back, chunk) = blocking(move || {
                let chunk = next_chunk(&mut taken)?;
                Ok((taken, chunk))
            })
            .await?;
            file = Some(back);
            if chunk.is_empty() {
                return Ok((sums, bytes, data_encoding::HEXLOWER.encode(&digest.finalize())));
            }
            digest.update(&chunk);
            bytes += i64::try_from(chunk.len()).unwrap_or(0);
            let mut tx = self.db.write("store export").await?;
            if stopping.is_cancelled() || !jobs::progress(&mut tx, &job.id, &self.node, sums.rows).await? {
                return Err(Fault::Lost);
            }
            jobs::store_part(&mut tx, &job.id, n, &chunk).await?;
            tx.commit().await?;
            n += 1;
        }
    }

    /// Writes a file on this machine, from one picture of the ledger.
    async fn write(
        &self,
        job: &Claimed,
        stopping: &tokio_util::sync::CancellationToken,
    ) -> Result<(File, Sums), Fault> {
        let wanted = job.wanted.as_ref().ok_or_else(|| Fault::Io(io::Error::other("another version asked for it")))?;
        match wanted.report(&job.brand_id) {
            Some(asked) => self.write_report(job, &asked, wanted.table).await,
            None => self.write_ledger(job, &wanted.filter, stopping).await,
        }
    }

    /// Writes the rows of a report: as many as fit memory, which the report bounds.
    async fn write_report(&self, job: &Claimed, asked: &Asked, table: ExportTable) -> Result<(File, Sums), Fault> {
        let report = self.reports.whole(asked).await.map_err(|error| match error {
            AttributionError::Store(error) => Fault::Store(error),
            error => Fault::Cannot(error.to_string()),
        })?;
        let mut sums = Sums::default();
        sums.add(&report.rows);
        self.begin(job, sums.rows).await?;
        let format = job.format;
        let file = blocking(move || {
            let mut writer = Writer::begin(format, table.as_str(), tempfile::tempfile()?)?;
            writer.write(&report.rows)?;
            from_the_start(writer.end()?)
        })
        .await?;
        Ok((file, sums))
    }

    async fn begin(&self, job: &Claimed, rows: i64) -> Result<(), Fault> {
        let mut tx = self.db.write("begin export").await?;
        jobs::begin(&mut tx, &job.id, &self.node, rows).await?;
        Ok(tx.commit().await?)
    }

    async fn write_ledger(
        &self,
        job: &Claimed,
        filter: &ExportFilter,
        stopping: &tokio_util::sync::CancellationToken,
    ) -> Result<(File, Sums), Fault> {
        let mut ledger = self.db.read("export ledger").await?;
        source::begin(&mut ledger).await?;
        let sent_before = Millis(self.clock.now().0 - i64::from(self.return_days) * DAY_MS);
        let total = source::count(&mut ledger, &job.brand_id, filter).await?;
        if job.format == Format::Xlsx && total > writers::MAX_XLSX_ROWS {
            return Err(Fault::Cannot(format!("{total} rows do not fit a worksheet; choose a shorter period or csv")));
        }
        self.begin(job, total).await?;
        let format = job.format;
        let mut writer = Some(blocking(move || Writer::begin(format, "ledger", tempfile::tempfile()?)).await?);
        let (mut sums, mut after, mut pages) = (Sums::default(), None, 0usize);
        loop {
            let rows = source::page(&mut ledger, &job.brand_id, (filter, sent_before), after.as_ref()).await?;
            let Some(last) = rows.last() else { break };
            after = Some((last.at_ms, last.credit_id.clone()));
            sums.add(&rows);
            let mut taken = writer.take().expect("given back below");
            let write = move || {
                taken.write(&rows)?;
                Ok(taken)
            };
            writer = Some(blocking(write).await?);
            pages += 1;
            if pages.is_multiple_of(PAGES_PER_WORD) {
                let mut tx = self.db.write("export progress").await?;
                let ours = jobs::progress(&mut tx, &job.id, &self.node, sums.rows).await?;
                tx.commit().await?;
                if stopping.is_cancelled() || !ours {
                    return Err(Fault::Lost);
                }
            }
        }
        drop(ledger);
        let writer = writer.take().expect("given back above");
        let file = blocking(move || from_the_start(writer.end()?)).await?;
        Ok((file, sums))
    }
}

fn from_the_start(mut file: File) -> io::Result<File> {
    io::Seek::rewind(&mut file)?;
    Ok(file)
}

fn next_chunk(file: &mut File) -> io::Result<Vec<u8>> {
    let mut chunk = Vec::with_capacity(CHUNK);
    io::Read::read_to_end(&mut io::Read::take(file, u64::try_from(CHUNK).expect("256 KiB fit")), &mut chunk)?;
    Ok(chunk)
}

/// Runs what waits for the disk or computes for long beside the runtime.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|error| Fault::Io(io::Error::other(error)))??)
}

/// What a row adds to its file's sums.
trait Summed: Row {
    /// Units, net and commission.
    fn sums(&self) -> (i64, i64, i64);
}

impl Summed for LedgerRow {
    fn sums(&self) -> (i64, i64, i64) {
        (self.qty.into(), self.base_minor, self.commission_minor)
    }
}

impl Summed for SplitRow {
    fn sums(&self) -> (i64, i64, i64) {
        (self.figures.units, self.figures.net_minor, self.figures.commission_minor)
    }
}

impl Sums {
    fn add(&mut self, rows: &[impl Summed]) {
        for row in rows {
            let (units, net, commission) = row.sums();
            self.rows += 1;
            self.units += units;
            self.net_minor += net;
            self.commission_minor += commission;
        }
    }
}
