//! Pure: the columns of a ledger file: the same in every format.

use crate::{
    clock::Millis,
    ids::{ContractId, CreditId, LiveId, LiverId, LocationId, OrderId, OrderLineId, ProductId, SkuId},
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
    pub(super) live_id: LiveId,
    pub(super) live_title: String,
    pub(super) liver_id: LiverId,
    pub(super) liver_name: String,
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

/// A column.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) holds: Holds,
    /// Whether every row has a value.
    pub(super) always: bool,
    pub(super) get: for<'a> fn(&'a LedgerRow) -> Value<'a>,
}

const fn column(name: &'static str, holds: Holds, get: for<'a> fn(&'a LedgerRow) -> Value<'a>) -> Column {
    Column { name, holds, always: true, get }
}

const fn sometimes(name: &'static str, holds: Holds, get: for<'a> fn(&'a LedgerRow) -> Value<'a>) -> Column {
    Column { name, holds, always: false, get }
}

fn text(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Nothing, Value::Text)
}

/// In the order of every file. Columns are only added at the end.
pub(super) const COLUMNS: [Column; 27] = [
    column("credit_id", Holds::Word, |row| Value::Text(row.credit_id.as_str())),
    column("at", Holds::Time, |row| Value::Time(row.at_ms)),
    column("kind", Holds::Word, |row| Value::Text(&row.kind)),
    column("order_id", Holds::Word, |row| Value::Text(row.order_id.as_str())),
    column("order_number", Holds::Word, |row| Value::Text(&row.order_number)),
    column("order_line_id", Holds::Word, |row| Value::Text(row.order_line_id.as_str())),
    column("live_id", Holds::Word, |row| Value::Text(row.live_id.as_str())),
    column("live", Holds::Text, |row| Value::Text(&row.live_title)),
    column("liver_id", Holds::Word, |row| Value::Text(row.liver_id.as_str())),
    column("liver", Holds::Text, |row| Value::Text(&row.liver_name)),
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
    sometimes("contract_version", Holds::Number, |row| {
        row.contract_version.map_or(Value::Nothing, |version| Value::Number(version.into()))
    }),
    column("state", Holds::Word, |row| Value::Text(&row.state)),
];
