//! Pure: statements and payments as CSV: UTF-8 with BOM, CRLF, text guarded against formulas.

use super::{
    payee::Payee,
    statements::{Statement, StatementLine},
};
use crate::attribution::{civil, guard};

/// A sheet in memory.
struct Sheet(csv::Writer<Vec<u8>>);

impl Sheet {
    fn new(header: &[&str]) -> Self {
        let csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(b"\xef\xbb\xbf".to_vec());
        let mut sheet = Self(csv);
        sheet.row(header);
        sheet
    }

    fn row<T: AsRef<[u8]>>(&mut self, cells: &[T]) {
        self.0.write_record(cells).expect("writing to memory does not fail");
    }

    fn done(self) -> Vec<u8> {
        self.0.into_inner().expect("flushing to memory does not fail")
    }
}

/// The lines of a statement.
pub(super) struct Lines(Sheet);

impl Lines {
    pub(super) fn new() -> Self {
        Self(Sheet::new(&[
            "credit_id",
            "at",
            "kind",
            "order_number",
            "order_line_id",
            "live_id",
            "live",
            "product",
            "variant",
            "qty",
            "credited_sales_jpy",
            "share_bp",
            "commission_bp",
            "commission_jpy",
            "rule",
            "contract_id",
            "contract_version",
            "refund_id",
        ]))
    }

    pub(super) fn push(&mut self, line: &StatementLine) {
        self.0.row(&[
            line.credit_id.to_string(),
            civil(line.at_ms),
            line.kind.clone(),
            line.order_number.clone(),
            line.order_line_id.to_string(),
            line.live_id.to_string(),
            guard(&line.live_title),
            guard(&line.product_title),
            guard(&line.variant),
            line.qty.to_string(),
            line.base_minor.to_string(),
            line.share_bp.to_string(),
            line.commission_bp.to_string(),
            line.commission_minor.to_string(),
            format!("{}/{}", line.rule, line.rule_version),
            line.contract_id.as_ref().map(ToString::to_string).unwrap_or_default(),
            line.contract_version.map(|version| version.to_string()).unwrap_or_default(),
            line.refund_id.clone().unwrap_or_default(),
        ]);
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0.done()
    }
}

/// What is to be paid, and where.
pub(super) fn payouts(due: &[(Statement, Option<Payee>)]) -> Vec<u8> {
    let mut sheet = Sheet::new(&[
        "statement_id",
        "period",
        "liver_id",
        "liver",
        "status",
        "pay_by",
        "bank_code",
        "branch_code",
        "account_type",
        "account_number",
        "holder_kana",
        "amount_jpy",
        "tax_jpy",
        "registration",
    ]);
    for (statement, payee) in due {
        let of = |field: fn(&Payee) -> &str| payee.as_ref().map(field).unwrap_or_default().to_owned();
        sheet.row(&[
            statement.statement_id.to_string(),
            statement.period.clone(),
            statement.liver_id.to_string(),
            guard(&statement.liver_name),
            if payee.is_some() { "ready" } else { "payee_missing" }.to_owned(),
            statement.pay_by_ms.map(civil).unwrap_or_default(),
            of(|payee| &payee.bank_code),
            of(|payee| &payee.branch_code),
            of(|payee| payee.account_type.as_str()),
            of(|payee| &payee.account_number),
            guard(&of(|payee| &payee.holder_kana)),
            statement.payable_minor.to_string(),
            statement.tax_minor.to_string(),
            statement.registration.clone().unwrap_or_default(),
        ]);
    }
    sheet.done()
}
