//! Shell: the provider's books beside ours.
//!
//! Lines of the provider's books are read page by page and kept, each once; fees and payouts are posted as they are read;
//! lines about payments and refunds are claimed by what they are about. What then does not agree is a finding, until it
//! agrees by itself or somebody resolves it. Runs once a day, and whenever it is asked for; running twice does no harm.
//! Invariant: where nothing is open, the clearing account is what the provider says it owes us, but for what was taken and
//! given back since it was last asked.

use std::time::Duration;

use serde::Serialize;

use super::{
    CommerceError, Refusal, attempts,
    findings::{self, Finding, FindingKind, How, Run},
    money_ledger::{self, Balance},
    payment::{Entry, EntryKind, Payment, Trouble},
    provider_books,
    purchase::State,
    refund_book,
    settling::Settling,
    transfers::{self, About, Account, Cause, Transfer},
};
use crate::{
    clock::{Clock, Millis},
    ids::{AccountId, FindingId, RunId},
    money::Money,
    people::{AuditNote, insert_note},
    store::Db,
    tasks::Tasks,
};

/// The books are compared this often …
const RUN_EVERY_MS: i64 = 24 * 3600 * 1000;
/// … and this often it is asked whether it is time.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Lines of this long before the last run are read again: they may have been late.
const OVERLAP_MS: i64 = 24 * 3600 * 1000;
/// A line is judged when it is this old: what it is about may be on its way into our books.
const JUDGED_AFTER_MS: i64 = 10 * 60 * 1000;
/// What the provider's books do not know after this is missing.
const MISSED_AFTER_MS: i64 = 24 * 3600 * 1000;
/// Reserved money that was not taken is told of so long before it runs out.
const LAPSES_WITHIN: Duration = Duration::from_secs(24 * 3600);
/// Whoever asks again about something that is missing has the lines of this long before it was found read again.
const ASKED_BACK_MS: i64 = 7 * 24 * 3600 * 1000;
/// Pages of one run: half a million lines.
const MAX_PAGES: usize = 5_000;
/// Lines that are claimed in one transaction.
const CLAIM_PAGE: i64 = 200;
/// Open findings in the report; the list has all.
const MAX_REPORTED: i64 = 100;
/// Characters of a note.
const MAX_NOTE_CHARS: usize = 500;

/// How the books stand to each other.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct ReconciliationReport {
    /// When it was read.
    pub as_of_ms: Millis,
    /// The last comparison; none before the first.
    pub last_run: Option<Run>,
    /// Every account of the money ledger.
    pub accounts: Vec<Balance>,
    /// What the provider owes us by our books.
    pub clearing_minor: i64,
    /// What it owes us by the lines of its books that were read.
    pub provider_minor: i64,
    /// The first less the second: what was taken and given back since the last run, and what is open.
    pub difference_minor: i64,
    /// Findings that are open.
    pub open: i64,
    /// The newest of them, at most 100.
    pub items: Vec<Finding>,
}

impl ReconciliationReport {
    /// As text for people.
    #[must_use]
    pub fn to_text(&self) -> String {
        use std::fmt::Write as _;
        // Writing to a String cannot fail.
        let mut text = String::new();
        for account in self.accounts.iter().filter(|account| account.debit_minor + account.credit_minor > 0) {
            let _ = writeln!(text, "{:<20} {:>15}", account.account, account.balance_minor);
        }
        let _ = writeln!(text, "the provider says     {:>14}", self.provider_minor);
        let _ = writeln!(text, "difference            {:>14}", self.difference_minor);
        for item in &self.items {
            let _ = writeln!(
                text,
                "OPEN  {} {} {}: ours {}, theirs {}",
                item.id,
                item.kind.as_str(),
                item.subject,
                item.ours_minor,
                item.theirs_minor
            );
        }
        let _ = writeln!(text, "{} open", self.open);
        text
    }
}

impl From<Trouble> for CommerceError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            // What it refuses is a way to pay that it does not know, or not any more.
            Trouble::Refused { .. } => Self::Refused(Refusal::MethodUnavailable),
            trouble => Self::Provider(trouble.to_string()),
        }
    }
}

/// Comparing the books. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reconciler {
    db: Db,
    clock: Clock,
    payment: Payment,
    settling: Settling,
}

impl Reconciler {
    /// Over this database and provider.
    #[must_use]
    pub fn new(db: Db, clock: Clock, payment: Payment) -> Self {
        let settling = Settling::new(db.clone(), clock.clone(), payment.clone());
        Self { db, clock, payment, settling }
    }

    /// Starts the task that compares once a day.
    pub fn start(&self, tasks: &Tasks) {
        let (reconciler, stopping) = (self.clone(), tasks.stopping());
        tasks.spawn("reconciliation", async move {
            while !stopping.is_cancelled() {
                if let Err(error) = reconciler.run_when_due().await {
                    tracing::warn!(error = %error, "the provider's books cannot be compared");
                }
                tokio::select! {
                    () = reconciler.clock.sleep(LOOK_EVERY) => {}
                    () = stopping.cancelled() => {}
                }
            }
        });
    }

    async fn run_when_due(&self) -> Result<(), CommerceError> {
        let mut tx = self.db.read("last reconciliation").await?;
        let last = findings::last_run(&mut tx).await?;
        drop(tx);
        if last.is_none_or(|last| self.clock.now().since(last.ended_at_ms) >= RUN_EVERY_MS) {
            let report = self.run().await?;
            if report.open > 0 {
                tracing::error!(findings.open = report.open, "the provider's books and ours do not agree");
            }
        }
        Ok(())
    }

    /// Compares the books now.
    ///
    /// # Errors
    /// [`CommerceError::Provider`] when the provider does not answer: what was read is kept.
    pub async fn run(&self) -> Result<ReconciliationReport, CommerceError> {
        let mut tx = self.db.read("last reconciliation").await?;
        let last = findings::last_run(&mut tx).await?;
        drop(tx);
        self.run_from(last.map_or(Millis(0), |last| Millis(last.to_ms.0 - OVERLAP_MS))).await
    }

    async fn run_from(&self, from: Millis) -> Result<ReconciliationReport, CommerceError> {
        let (began_at_ms, to) = (self.clock.now(), Millis(self.clock.now().0 + 1));
        let entries = self.read_books(from, to).await?;
        self.claim().await?;
        let now = self.clock.now();
        let mut tx = self.db.write("reconciliation").await?;
        let judged = Millis(now.0 - JUDGED_AFTER_MS);
        let found = findings::look(&mut tx, judged, Millis(now.0 - MISSED_AFTER_MS), now.plus(LAPSES_WITHIN)).await?;
        findings::put(&mut tx, &found, now).await?;
        let open = findings::open(&mut tx).await?;
        let id = RunId::fresh();
        let run = Run { id, began_at_ms, ended_at_ms: now, from_ms: from, to_ms: to, entries, open };
        findings::note_run(&mut tx, &run).await?;
        tx.commit().await?;
        self.report().await
    }

    /// Reads the provider's books of this time, and keeps what is new. How many lines there were.
    async fn read_books(&self, from: Millis, to: Millis) -> Result<i64, CommerceError> {
        let (mut after, mut entries) = (None::<String>, 0);
        for _ in 0..MAX_PAGES {
            let page = self.payment.entries(from, to, after.as_deref()).await?;
            let now = self.clock.now();
            let mut tx = self.db.write("lines of the provider's books").await?;
            provider_books::keep(&mut tx, &page.entries, now).await?;
            let pairs: Vec<Transfer> = page.entries.iter().flat_map(own_pairs).collect();
            money_ledger::post(&mut tx, &pairs, now).await?;
            tx.commit().await?;
            entries += i64::try_from(page.entries.len()).unwrap_or(i64::MAX);
            after = page.entries.last().map(|entry| entry.id.clone());
            if !page.more || after.is_none() {
                return Ok(entries);
            }
        }
        Err(CommerceError::Provider("its books have more lines than one run reads".to_owned()))
    }

    /// Finds what of ours the lines are about that nobody has claimed.
    async fn claim(&self) -> Result<(), CommerceError> {
        let mut after = String::new();
        loop {
            let mut tx = self.db.write("whose lines these are").await?;
            let page = provider_books::unclaimed(&mut tx, &after, CLAIM_PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after.clone_from(&last.id);
            let mut news = Vec::new();
            for line in &page {
                let purchase = match &line.intent {
                    Some(intent) => provider_books::purchase_of(&mut tx, intent).await?,
                    None => None,
                };
                let mut refund = None;
                if let (true, Some(source)) = (line.kind.starts_with("refund"), &line.source) {
                    refund = refund_book::find_by_provider_ref(&mut tx, source).await?.map(|refund| refund.id);
                    news.extend(refund.is_some().then(|| source.clone()));
                }
                if purchase.is_some() || refund.is_some() {
                    provider_books::claim(&mut tx, &line.id, purchase.as_ref(), refund.as_ref()).await?;
                }
            }
            tx.commit().await?;
            // The books know of it, so there is a word.
            for source in news {
                self.settling.heard(&source).await?;
            }
        }
    }

    /// How the books stand to each other, without asking the provider.
    ///
    /// # Errors
    /// The database's.
    pub async fn report(&self) -> Result<ReconciliationReport, CommerceError> {
        let mut tx = self.db.read("reconciliation report").await?;
        let accounts = money_ledger::balances(&mut tx).await?;
        let clearing = accounts.iter().find(|account| account.account == Account::ProviderClearing.as_str());
        let clearing_minor = clearing.map_or(0, |account| account.balance_minor);
        let provider_minor = provider_books::balance(&mut tx).await?;
        Ok(ReconciliationReport {
            as_of_ms: self.clock.now(),
            last_run: findings::last_run(&mut tx).await?,
            clearing_minor,
            provider_minor,
            difference_minor: clearing_minor - provider_minor,
            open: findings::open(&mut tx).await?,
            items: findings::list(&mut tx, Some("open"), None, MAX_REPORTED).await?,
            accounts,
        })
    }

    /// Findings, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn findings(
        &self,
        state: Option<&str>,
        before: Option<&FindingId>,
        limit: i64,
    ) -> Result<Vec<Finding>, CommerceError> {
        let mut tx = self.db.read("findings").await?;
        Ok(findings::list(&mut tx, state, before, limit).await?)
    }

    /// Resolves a finding in one of its ways. The note is kept in the audit log as well.
    ///
    /// # Errors
    /// [`Refusal::NotResolvable`]; not found; [`CommerceError::Provider`] when the provider refuses or does not answer:
    /// then it stays open.
    pub async fn resolve(
        &self,
        by: &AccountId,
        id: &FindingId,
        how: How,
        note: &str,
    ) -> Result<Finding, CommerceError> {
        let note = note.trim();
        if note.chars().count() > MAX_NOTE_CHARS || (how == How::Accept && note.is_empty()) {
            return Err(CommerceError::Invalid(format!(
                "note must have at most {MAX_NOTE_CHARS} characters, and say why when a finding is accepted"
            )));
        }
        let mut tx = self.db.read("finding").await?;
        let finding = findings::find(&mut tx, id).await?.ok_or(CommerceError::NotFound("finding"))?;
        drop(tx);
        if !finding.ways.contains(&how) {
            return Err(Refusal::NotResolvable.into());
        }
        match how {
            How::RefundCharge => self.refund_stray(&finding).await?,
            How::AskAgain => {
                self.audit(by, &finding, how, note).await?;
                self.ask_again(&finding).await?;
                let mut tx = self.db.read("finding").await?;
                return findings::find(&mut tx, id).await?.ok_or(CommerceError::NotFound("finding"));
            }
            How::BookToSuspense | How::Accept | How::Settled => {}
        }
        let now = self.clock.now();
        let mut tx = self.db.write("resolve a finding").await?;
        if !findings::resolve(&mut tx, id, (how, note), by, now).await? {
            return Err(Refusal::NotResolvable.into());
        }
        if how == How::BookToSuspense {
            let about = About { order: finding.order_id.clone(), entry: finding.entry_id.clone(), ..About::default() };
            let name = (Cause::Suspense, finding.id.as_str(), 0);
            let pair = (Account::ProviderClearing, Account::Suspense);
            let difference = finding.theirs_minor - finding.ours_minor;
            money_ledger::post(&mut tx, &transfers::one(name, pair, difference, &about), now).await?;
        }
        let after = findings::find(&mut tx, id).await?.ok_or(CommerceError::NotFound("finding"))?;
        tx.commit().await?;
        self.audit(by, &finding, how, note).await?;
        Ok(after)
    }

    async fn audit(&self, by: &AccountId, finding: &Finding, how: How, note: &str) -> Result<(), CommerceError> {
        let detail = format!("{} {} {note}", finding.kind.as_str(), how.as_str());
        let (subject, at) = (finding.id.as_str(), self.clock.now());
        let action = "reconciliation.resolve";
        let mut tx = self.db.write("audit of a finding").await?;
        insert_note(&mut tx, &AuditNote::of(by, action, subject, &detail, at)).await?;
        Ok(tx.commit().await?)
    }

    /// Gives a charge back that belongs to no order; under a key of the charge's own, so once.
    async fn refund_stray(&self, finding: &Finding) -> Result<(), CommerceError> {
        let intent = finding.intent.as_deref().ok_or(Refusal::NotResolvable)?;
        let amount = Money::yen(finding.theirs_minor).map_err(|_| Refusal::NotResolvable)?;
        let mut tx = self.db.write("stray charge").await?;
        if let Some(attempt) = attempts::find_by_intent(&mut tx, intent).await? {
            // It may have been sold since it was found.
            let unsold = |state: State| !state.is_paid();
            if !attempts::begin_to_let_go(&mut tx, &attempt.purchase_id, unsold, self.clock.now()).await? {
                return Err(Refusal::NotResolvable.into());
            }
        }
        tx.commit().await?;
        let key = format!("refund:stray:{}", finding.subject);
        // Whatever it says instead is for the operator to read.
        let refused = |trouble: Trouble| CommerceError::Provider(trouble.to_string());
        self.payment.refund(intent, amount, &key).await.map(drop).map_err(refused)
    }

    async fn ask_again(&self, finding: &Finding) -> Result<(), CommerceError> {
        if let (FindingKind::RefundFailed, Some(refund)) = (finding.kind, &finding.refund_id) {
            self.settling.try_anew(refund).await?;
            return self.run().await.map(drop);
        }
        self.run_from(Millis(finding.found_at_ms.0 - ASKED_BACK_MS)).await.map(drop)
    }
}

/// What a line moves by itself: what the provider keeps, and what it paid out.
fn own_pairs(entry: &Entry) -> Vec<Transfer> {
    let about = About { entry: Some(entry.id.clone()), ..About::default() };
    let fees = (Account::Fees, Account::ProviderClearing);
    let mut pairs = transfers::one((Cause::Fee, &entry.id, 0), fees, entry.fee_minor, &about);
    match entry.kind {
        EntryKind::Fee => pairs.extend(transfers::one((Cause::Fee, &entry.id, 1), fees, -entry.amount_minor, &about)),
        EntryKind::Payout => {
            let bank = (Account::Bank, Account::ProviderClearing);
            pairs.extend(transfers::one((Cause::Payout, &entry.id, 0), bank, -entry.amount_minor, &about));
        }
        EntryKind::Charge | EntryKind::Refund | EntryKind::RefundFailure | EntryKind::Dispute | EntryKind::Other => {}
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(kind: EntryKind, amount_minor: i64, fee_minor: i64) -> i64 {
        let entry = Entry {
            id: "txn_1".to_owned(),
            kind,
            amount_minor,
            fee_minor,
            net_minor: amount_minor - fee_minor,
            source: None,
            intent: None,
            at: Millis(0),
        };
        let signed = |pair: Transfer| match (pair.debit, pair.credit) {
            (Account::ProviderClearing, _) => pair.amount_minor,
            (_, Account::ProviderClearing) => -pair.amount_minor,
            _ => 0,
        };
        own_pairs(&entry).into_iter().map(signed).sum()
    }

    #[test]
    fn fees_and_payouts_move_the_clearing_account_as_they_move_the_providers_balance() {
        assert_eq!(moved(EntryKind::Fee, -300, 0), -300);
        assert_eq!(moved(EntryKind::Payout, -9_000, 0), -9_000);
        assert_eq!(moved(EntryKind::Payout, 9_000, 0), 9_000, "one that came back");
        // What was taken is posted with its order; here only what the provider keeps of it.
        assert_eq!(moved(EntryKind::Charge, 1_000, 36), -36);
        assert_eq!(moved(EntryKind::Refund, -1_000, -36), 36, "a fee that is given back");
        assert_eq!(moved(EntryKind::Dispute, -1_000, 1_300), -1_300);
    }
}
