//! Pure: the columns of a file, of the ledger and of reports: the same in every format.

use crate::{
    attribution::SplitRow,
    clock::Millis,
    ids::{AccountId, ContractId, CreditId, LiveId, LiverId, LocationId, OrderId, OrderLineId, ProductId, SkuId},
};

/// A row of the ledger as a file tells it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct LedgerRow {
    pub(super) credit_id: CreditId,
    pub(super) at_ms: Millis,
    pub(super) kind: String,
    pub(super) order_id: OrderId,
    pub(super) order_number: String,
    pub(super) order_line_id: OrderLineId,
    pub(super) live_id: Option<LiveId>,
    pub(super) live_title: Option<String>,
    pub(super) liver_id: Option<LiverId>,
    pub(super) liver_name: Option<String>,
    pub(super) staff_id: Option<AccountId>,
    pub(super) staff_name: Option<String>,
    pub(super) product_id: ProductId,
    pub(super) product_title: String,
    pub(super) variant: String,
    pub(super) sku_id: SkuId,
    pub(super) channel: String,
    pub(super) location_id: Option<LocationId>,
    pub(super) campaign: Option<String>,
    pub(super) qty: i32,
    pub(super) base_minor: i64,
    pub(super) share_bp: i32,
    pub(super) commission_bp: i32,
    pub(super) commission_minor: i64,
    pub(super) rule: String,
    pub(super) rule_version: i32,
    pub(super) contract_id: Option<ContractId>,
    pub(super) contract_version: Option<i32>,
    pub(super) state: String,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// An id or a word of ours: no spreadsheet takes it for a formula.
    Word,
    /// What people wrote.
    Text,
    /// A whole number.
    Number,
    /// A moment.
    Time,
}

/// A cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Number(i64),
    Time(Millis),
    Nothing,
}

/// A row of a file.
pub(super) trait Row: Clone + Send + 'static {
    /// In the order of every file. Columns are only added at the end.
    const COLUMNS: &'static [Column<Self>];
}

/// A column.
pub(super) struct Column<R> {
    pub(super) name: &'static str,
    pub(super) holds: Holds,
    /// Whether every row has a value.
    pub(super) always: bool,
    pub(super) get: for<'a> fn(&'a R) -> Value<'a>,
}

const fn column<R>(name: &'static str, holds: Holds, get: for<'a> fn(&'a R) -> Value<'a>) -> Column<R> {
    Column { name, holds, always: true, get }
}

const fn sometimes<R>(name: &'static str, holds: Holds, get: for<'a> fn(&'a R) -> Value<'a>) -> Column<R> {
    Column { name, holds, always: false, get }
}

fn text(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Nothing, Value::Text)
}

fn number(number: Option<i64>) -> Value<'static> {
    number.map_or(Value::Nothing, Value::Number)
}

impl Row for LedgerRow {
    const COLUMNS: &'static [Column<Self>] = &[
        column("credit_id", Holds::Word, |row| Value::Text(row.credit_id.as_str())),
        column("at", Holds::Time, |row| Value::Time(row.at_ms)),
        column("kind", Holds::Word, |row| Value::Text(&row.kind)),
        column("order_id", Holds::Word, |row| Value::Text(row.order_id.as_str())),
        column("order_number", Holds::Word, |row| Value::Text(&row.order_number)),
        column("order_line_id", Holds::Word, |row| Value::Text(row.order_line_id.as_str())),
        sometimes("live_id", Holds::Word, |row| text(row.live_id.as_ref().map(LiveId::as_str))),
        sometimes("live", Holds::Text, |row| text(row.live_title.as_deref())),
        sometimes("liver_id", Holds::Word, |row| text(row.liver_id.as_ref().map(LiverId::as_str))),
        sometimes("liver", Holds::Text, |row| text(row.liver_name.as_deref())),
        column("product_id", Holds::Word, |row| Value::Text(row.product_id.as_str())),
        column("product", Holds::Text, |row| Value::Text(&row.product_title)),
        column("variant", Holds::Text, |row| Value::Text(&row.variant)),
        column("sku_id", Holds::Word, |row| Value::Text(row.sku_id.as_str())),
        column("channel", Holds::Word, |row| Value::Text(&row.channel)),
        sometimes("location_id", Holds::Word, |row| text(row.location_id.as_ref().map(LocationId::as_str))),
        sometimes("campaign", Holds::Text, |row| text(row.campaign.as_deref())),
        column("qty", Holds::Number, |row| Value::Number(row.qty.into())),
        column("net_jpy", Holds::Number, |row| Value::Number(row.base_minor)),
        column("share_bp", Holds::Number, |row| Value::Number(row.share_bp.into())),
        column("commission_bp", Holds::Number, |row| Value::Number(row.commission_bp.into())),
        column("commission_jpy", Holds::Number, |row| Value::Number(row.commission_minor)),
        column("rule", Holds::Word, |row| Value::Text(&row.rule)),
        column("rule_version", Holds::Number, |row| Value::Number(row.rule_version.into())),
        sometimes("contract_id", Holds::Word, |row| text(row.contract_id.as_ref().map(ContractId::as_str))),
        sometimes("contract_version", Holds::Number, |row| number(row.contract_version.map(i64::from))),
        column("state", Holds::Word, |row| Value::Text(&row.state)),
        sometimes("staff_id", Holds::Word, |row| text(row.staff_id.as_ref().map(AccountId::as_str))),
        sometimes("staff", Holds::Text, |row| text(row.staff_name.as_deref())),
    ];
}

/// The heads are the ledger file's where they say the same. What too few people are behind stays empty.
impl Row for SplitRow {
    const COLUMNS: &'static [Column<Self>] = &[
        column("key", Holds::Text, |row| Value::Text(&row.key)),
        column("label", Holds::Text, |row| Value::Text(&row.label)),
        column("label_sub", Holds::Text, |row| Value::Text(&row.label_sub)),
        column("orders", Holds::Number, |row| Value::Number(row.figures.orders)),
        column("qty", Holds::Number, |row| Value::Number(row.figures.units)),
        column("gross_jpy", Holds::Number, |row| Value::Number(row.figures.gross_minor)),
        column("cancelled_jpy", Holds::Number, |row| Value::Number(row.figures.cancelled_minor)),
        column("net_jpy", Holds::Number, |row| Value::Number(row.figures.net_minor)),
        column("commission_jpy", Holds::Number, |row| Value::Number(row.figures.commission_minor)),
        column("aov_jpy", Holds::Number, |row| Value::Number(row.figures.aov_minor)),
        sometimes("buyers", Holds::Number, |row| number(row.figures.buyers)),
        sometimes("new_buyers", Holds::Number, |row| number(row.figures.new_buyers)),
        sometimes("returning_buyers", Holds::Number, |row| number(row.figures.returning_buyers)),
        column("refund_rate_bp", Holds::Number, |row| Value::Number(row.figures.refund_rate_bp)),
    ];
}
