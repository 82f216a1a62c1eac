//! Pure: what a capture, a refund and a line of the provider's books move between accounts.
//!
//! A transfer is a pair: so much to the debit of one account and to the credit of another. Debits equal credits in every
//! row, so they do in every sum of rows, at every commit, whatever is added or left out.

use std::collections::BTreeMap;

use super::{commission_paid::CommissionPaid, tax::TaxLine};
use crate::ids::{BrandId, OrderId, PurchaseId, RefundId};

/// An account of the money ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// What the provider owes us.
    ProviderClearing,
    /// What sellers sold, without tax.
    Sales,
    /// Tax that was taken and belongs to the state.
    TaxPayable,
    /// What came back of the sales, without tax.
    Returns,
    /// What buyers are to be given back.
    RefundsPayable,
    /// What the provider keeps.
    Fees,
    /// What livers cost.
    CommissionExpense,
    /// What livers are owed.
    CommissionPayable,
    /// What members' points will cost; nothing is posted here yet.
    Points,
    /// What the provider paid out.
    Bank,
    /// What nobody has explained yet.
    Suspense,
}

impl Account {
    pub(super) const ALL: &[Self] = &[
        Self::ProviderClearing,
        Self::Sales,
        Self::TaxPayable,
        Self::Returns,
        Self::RefundsPayable,
        Self::Fees,
        Self::CommissionExpense,
        Self::CommissionPayable,
        Self::Points,
        Self::Bank,
        Self::Suspense,
    ];

    /// As stored and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProviderClearing => "provider_clearing",
            Self::Sales => "sales",
            Self::TaxPayable => "tax_payable",
            Self::Returns => "returns",
            Self::RefundsPayable => "refunds_payable",
            Self::Fees => "fees",
            Self::CommissionExpense => "commission_expense",
            Self::CommissionPayable => "commission_payable",
            Self::Points => "points",
            Self::Bank => "bank",
            Self::Suspense => "suspense",
        }
    }
}

crate::stored_as_text!(Account);

/// Why money was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Cause {
    /// Money was taken for an order.
    Sale,
    /// What livers earn of it.
    Commission,
    /// Goods came back, or will not be had.
    Refund,
    /// What livers do not earn after all.
    CommissionBack,
    /// The provider gave the money back.
    RefundPaid,
    /// It did not arrive, and is with the provider again.
    RefundReturned,
    /// What the provider keeps.
    Fee,
    /// What the provider paid out.
    Payout,
    /// A difference that somebody set aside.
    Suspense,
    /// A liver was paid.
    CommissionPaid,
}

impl Cause {
    /// As stored.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Sale => "sale",
            Self::Commission => "commission",
            Self::Refund => "refund",
            Self::CommissionBack => "commission_back",
            Self::RefundPaid => "refund_paid",
            Self::RefundReturned => "refund_returned",
            Self::Fee => "fee",
            Self::Payout => "payout",
            Self::Suspense => "suspense",
            Self::CommissionPaid => "commission_paid",
        }
    }
}

/// Which order, refund or line of the provider's books it is about.
#[derive(Debug, Clone, Default)]
pub(super) struct About {
    pub(super) order: Option<OrderId>,
    pub(super) purchase: Option<PurchaseId>,
    pub(super) refund: Option<RefundId>,
    pub(super) entry: Option<String>,
    pub(super) demo: bool,
}

/// A pair.
#[derive(Debug, Clone)]
pub(super) struct Transfer {
    pub(super) cause: Cause,
    /// The cause's name; with `n` it is posted once.
    pub(super) name: String,
    pub(super) n: i32,
    pub(super) debit: Account,
    pub(super) credit: Account,
    pub(super) amount_minor: i64,
    pub(super) rate_bp: Option<i32>,
    pub(super) brand: Option<BrandId>,
    pub(super) about: About,
}

/// A list of transfers of one cause; amounts of 0 leave it out.
struct Page<'a> {
    cause: Cause,
    name: &'a str,
    about: &'a About,
    transfers: Vec<Transfer>,
}

impl<'a> Page<'a> {
    fn new(cause: Cause, name: &'a str, about: &'a About) -> Self {
        Self { cause, name, about, transfers: Vec::new() }
    }

    fn push(&mut self, (debit, credit): (Account, Account), amount_minor: i64, of: (Option<&BrandId>, Option<i32>)) {
        // The place counts also where nothing is posted: the same cause has the same names whatever it comes to.
        let n = i32::try_from(self.transfers.len()).unwrap_or(i32::MAX);
        self.transfers.push(Transfer {
            cause: self.cause,
            name: self.name.to_owned(),
            n,
            debit,
            credit,
            amount_minor,
            rate_bp: of.1,
            brand: of.0.cloned(),
            about: self.about.clone(),
        });
    }

    fn done(mut self) -> Vec<Transfer> {
        self.transfers.retain(|transfer| transfer.amount_minor > 0);
        self.transfers
    }
}

/// By seller, what its document says.
pub(super) type Documents = BTreeMap<BrandId, Vec<TaxLine>>;

/// Money was taken for an order.
pub(super) fn of_sale(order: &OrderId, documents: &Documents, about: &About) -> Vec<Transfer> {
    let mut page = Page::new(Cause::Sale, order.as_str(), about);
    for (brand, line) in documents.iter().flat_map(|(brand, lines)| lines.iter().map(move |line| (brand, line))) {
        let of = (Some(brand), Some(line.rate_bp));
        page.push((Account::ProviderClearing, Account::Sales), line.base_minor, of);
        page.push((Account::ProviderClearing, Account::TaxPayable), line.tax_minor, of);
    }
    page.done()
}

/// Money is to be given back.
pub(super) fn of_refund(refund: &RefundId, documents: &Documents, about: &About) -> Vec<Transfer> {
    let mut page = Page::new(Cause::Refund, refund.as_str(), about);
    for (brand, line) in documents.iter().flat_map(|(brand, lines)| lines.iter().map(move |line| (brand, line))) {
        let of = (Some(brand), Some(line.rate_bp));
        page.push((Account::Returns, Account::RefundsPayable), line.base_minor, of);
        page.push((Account::TaxPayable, Account::RefundsPayable), line.tax_minor, of);
    }
    page.done()
}

/// What livers earn of an order.
pub(super) fn of_commission(order: &OrderId, by_brand: &BTreeMap<BrandId, i64>, about: &About) -> Vec<Transfer> {
    let mut page = Page::new(Cause::Commission, order.as_str(), about);
    for (brand, amount) in by_brand {
        page.push((Account::CommissionExpense, Account::CommissionPayable), *amount, (Some(brand), None));
    }
    page.done()
}

/// What livers do not earn after all.
pub(super) fn of_commission_back(refund: &RefundId, by_brand: &BTreeMap<BrandId, i64>, about: &About) -> Vec<Transfer> {
    let mut page = Page::new(Cause::CommissionBack, refund.as_str(), about);
    for (brand, amount) in by_brand {
        page.push((Account::CommissionPayable, Account::CommissionExpense), *amount, (Some(brand), None));
    }
    page.done()
}

/// A liver was paid. The tax on it is taken off what the state is owed, as far as it can be deducted.
pub(super) fn of_commission_paid(paid: &CommissionPaid, about: &About) -> Vec<Transfer> {
    let mut page = Page::new(Cause::CommissionPaid, paid.statement.as_str(), about);
    let (brand, rate) = (Some(&paid.brand), Some(paid.tax_rate_bp));
    page.push((Account::CommissionPayable, Account::Bank), paid.commission_minor, (brand, None));
    page.push((Account::TaxPayable, Account::Bank), paid.deductible_minor, (brand, rate));
    page.push((Account::CommissionExpense, Account::Bank), paid.tax_minor - paid.deductible_minor, (brand, rate));
    page.done()
}

/// One pair by itself: money that changed place without anything being sold. A negative amount goes the other way.
pub(super) fn one(
    (cause, name, n): (Cause, &str, i32),
    (debit, credit): (Account, Account),
    amount_minor: i64,
    about: &About,
) -> Vec<Transfer> {
    let (debit, credit) = if amount_minor < 0 { (credit, debit) } else { (debit, credit) };
    let transfer = Transfer {
        cause,
        name: name.to_owned(),
        n,
        debit,
        credit,
        amount_minor: amount_minor.abs(),
        rate_bp: None,
        brand: None,
        about: about.clone(),
    };
    if amount_minor == 0 { Vec::new() } else { vec![transfer] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commerce::tax::{ByRate, by_document, of_credit_note, of_document};
    use proptest::prelude::*;

    fn balances(transfers: &[Transfer]) -> BTreeMap<Account, i64> {
        let mut sums = BTreeMap::new();
        for transfer in transfers {
            *sums.entry(transfer.debit).or_default() += transfer.amount_minor;
            *sums.entry(transfer.credit).or_default() -= transfer.amount_minor;
        }
        sums
    }

    proptest! {
        #[test]
        fn a_sale_and_its_full_return_leave_nothing_but_what_was_sold_and_came_back(
            lines in prop::collection::vec((0usize..3, prop::sample::select(vec![0, 800, 1_000]), 1i64..100_000), 1..12),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut brands: Vec<BrandId> = (0..3).map(|_| BrandId::fresh()).collect();
            brands.sort();
            let amounts = |lines: &[(usize, i32, i64)]| -> BTreeMap<BrandId, ByRate> {
                by_document(lines.iter().map(|(brand, rate, amount)| (brands[*brand].clone(), *rate, *amount)))
            };
            let (order, about) = (OrderId::fresh(), About::default());
            let whole = amounts(&lines);
            let sold: Documents = whole.iter().map(|(brand, by_rate)| (brand.clone(), of_document(by_rate))).collect();
            let mut transfers = of_sale(&order, &sold, &about);
            let total: i64 = lines.iter().map(|(_, _, amount)| amount).sum();
            prop_assert_eq!(balances(&transfers)[&Account::ProviderClearing], total);
            prop_assert!(transfers.iter().all(|t| t.amount_minor > 0 && t.debit != t.credit));
            // In two parts.
            let (first, second) = lines.split_at(cut.index(lines.len()));
            let mut left = whole;
            for part in [first, second] {
                let refund = RefundId::fresh();
                let back = amounts(part);
                let notes: Documents =
                    back.iter().map(|(brand, by_rate)| (brand.clone(), of_credit_note(&left[brand], by_rate))).collect();
                for (brand, by_rate) in &back {
                    for (rate, amount) in by_rate {
                        *left.get_mut(brand).expect("sold").get_mut(rate).expect("sold") -= amount;
                    }
                }
                let amount: i64 = part.iter().map(|(_, _, amount)| amount).sum();
                transfers.extend(of_refund(&refund, &notes, &about));
                let paid = (Account::RefundsPayable, Account::ProviderClearing);
                transfers.extend(one((Cause::RefundPaid, refund.as_str(), 1), paid, amount, &about));
            }
            let sums = balances(&transfers);
            let of = |account| sums.get(&account).copied().unwrap_or(0);
            prop_assert_eq!(of(Account::ProviderClearing), 0);
            prop_assert_eq!(of(Account::TaxPayable), 0);
            prop_assert_eq!(of(Account::RefundsPayable), 0);
            prop_assert_eq!(of(Account::Sales) + of(Account::Returns), 0);
            prop_assert_eq!(sums.values().sum::<i64>(), 0);
        }
    }
}
