//! Table: waitlist: who wants the next released units, in order of arrival.
//!
//! A place is one wish of one customer for one offer. Units that are released go to the first in line whom they suffice,
//! as a hold that waits to be paid; who wants more than there is keeps the place. Written inside the sequencer's
//! transactions, under the lock of the SKU.

use serde::Serialize;

use super::stock::Wish;
use crate::{
    clock::Millis,
    ids::{CustomerId, LiveId, OfferId, ProductId, PurchaseId, SkuId, WaitId},
    on,
    store::{Kind, Rows, StoreError, Tx},
    wire,
};

/// Places of one SKU that one batch looks at; who is behind them waits for the next batch.
pub(super) const MAX_LOOKED_AT: i64 = 256;

/// Where a place stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitState {
    /// For its turn.
    Waiting,
    /// Units are held for it.
    Offered,
    /// The customer gave it up.
    Left,
    /// The offer it was for is not there any more.
    Lapsed,
}

impl WaitState {
    const ALL: &[Self] = &[Self::Waiting, Self::Offered, Self::Left, Self::Lapsed];

    /// As stored and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Offered => "offered",
            Self::Left => "left",
            Self::Lapsed => "lapsed",
        }
    }
}

crate::stored_as_text!(WaitState);

/// A place on a waitlist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Wait {
    /// Its id; earlier ones arrived earlier.
    pub id: WaitId,
    /// At which terms.
    pub offer_id: OfferId,
    /// What is shown.
    pub product_id: ProductId,
    /// What is counted.
    pub sku_id: SkuId,
    /// In which live.
    pub live_id: LiveId,
    /// Whose.
    #[serde(skip)]
    pub customer_id: CustomerId,
    /// Units.
    pub qty: i64,
    /// The price that was shown on joining.
    pub price_minor: i64,
    /// What was shown on joining.
    #[serde(skip)]
    pub confirmation_hash: String,
    /// Where it stands.
    pub state: WaitState,
    /// A problem's name when it lapsed.
    pub reason: Option<String>,
    /// The purchase whose units are held for it.
    pub purchase_id: Option<PurchaseId>,
    /// When it was taken.
    pub joined_at_ms: Millis,
    /// Grows with every change.
    pub version: i64,
    /// Made by `hanamichi demo`.
    #[serde(skip)]
    pub demo: bool,
}

impl Wait {
    /// As the wish it is.
    pub(super) fn wish(&self) -> Wish {
        Wish {
            offer: self.offer_id.clone(),
            sku: self.sku_id.clone(),
            qty: self.qty,
            seen_price_minor: self.price_minor,
        }
    }

    pub(super) fn to_wire(&self) -> wire::Wait {
        wire::Wait {
            id: self.id.to_string(),
            offer_id: self.offer_id.to_string(),
            sku_id: self.sku_id.to_string(),
            qty: i32::try_from(self.qty).unwrap_or(i32::MAX),
            state: self.state.as_str().to_owned(),
            reason: self.reason.clone().unwrap_or_default(),
            purchase_id: self.purchase_id.as_ref().map(ToString::to_string).unwrap_or_default(),
            joined_at_ms: self.joined_at_ms.0,
            version: self.version,
        }
    }
}

/// Somebody wants a place.
#[derive(Debug, Clone)]
pub(super) struct Join {
    /// Of the place it may become.
    pub(super) id: WaitId,
    pub(super) customer: CustomerId,
    pub(super) wish: Wish,
    pub(super) sheet_hash: String,
    pub(super) sheet: String,
    pub(super) demo: bool,
}

macro_rules! wait_columns {
    () => {
        "w.id, w.offer_id, w.product_id, w.sku_id, w.live_id, w.customer_id, w.qty, w.price_minor, w.confirmation_hash, \
         w.state, w.reason, w.purchase_id, w.joined_at_ms, w.version, w.demo"
    };
}

/// Who waits for these SKUs and wants no more than so many units, in order of arrival.
pub(super) async fn waiting(tx: &mut Tx, skus: &[(SkuId, i64)]) -> Result<Vec<Wait>, StoreError> {
    const NEXT: &str = concat!(
        "SELECT ",
        wait_columns!(),
        " FROM waitlist w WHERE w.state = 'waiting' AND w.sku_id = $1 AND w.qty <= $3 ORDER BY w.id LIMIT $2"
    );
    let mut found = Vec::new();
    for (sku, most) in skus {
        found.extend(on!(tx, |conn| sqlx::query_as::<_, Wait>(NEXT)
            .bind(sku)
            .bind(MAX_LOOKED_AT)
            .bind(most)
            .fetch_all(conn)
            .await?));
    }
    Ok(found)
}

/// The waiting places of these (offer, customer) pairs.
pub(super) async fn waiting_of(tx: &mut Tx, pairs: &[(&OfferId, &CustomerId)]) -> Result<Vec<Wait>, StoreError> {
    const FIND: &str = concat!(
        "SELECT ",
        wait_columns!(),
        " FROM rows CROSS JOIN waitlist w
          WHERE w.offer_id = rows.offer_id AND w.customer_id = rows.customer_id AND w.state = 'waiting'"
    );
    let mut rows = Rows::new(&[("offer_id", Kind::Text), ("customer_id", Kind::Text)]);
    for (offer, customer) in pairs {
        rows.push([(*offer).into(), (*customer).into()]);
    }
    rows.fetch(tx, FIND).await
}

/// Locks places and reads them.
pub(super) async fn lock(tx: &mut Tx, ids: &[&WaitId]) -> Result<Vec<Wait>, StoreError> {
    const LOCK: &str =
        concat!("SELECT ", wait_columns!(), " FROM rows CROSS JOIN waitlist w WHERE w.id = rows.id ORDER BY w.id");
    let mut rows = Rows::new(&[("id", Kind::Text)]);
    for id in ids {
        rows.push([(*id).into()]);
    }
    let locking = tx.locking("w");
    rows.fetch(tx, &format!("{LOCK}{locking}")).await
}

/// Writes new places; how many were new.
pub(super) async fn insert(tx: &mut Tx, places: &[&Wait]) -> Result<u64, StoreError> {
    const INSERT: &str = "
        INSERT INTO waitlist (id, offer_id, product_id, sku_id, live_id, customer_id, qty, price_minor, confirmation_hash,
                              state, reason, purchase_id, joined_at_ms, version, demo)
        SELECT id, offer_id, product_id, sku_id, live_id, customer_id, qty, price_minor, confirmation_hash, state, reason,
               purchase_id, joined_at_ms, version, demo
        FROM rows WHERE true
        ON CONFLICT DO NOTHING";
    let mut rows = Rows::new(&[
        ("id", Kind::Text),
        ("offer_id", Kind::Text),
        ("product_id", Kind::Text),
        ("sku_id", Kind::Text),
        ("live_id", Kind::Text),
        ("customer_id", Kind::Text),
        ("qty", Kind::Number),
        ("price_minor", Kind::Number),
        ("confirmation_hash", Kind::Text),
        ("state", Kind::Text),
        ("reason", Kind::Text),
        ("purchase_id", Kind::Text),
        ("joined_at_ms", Kind::Number),
        ("version", Kind::Number),
        ("demo", Kind::Flag),
    ]);
    for place in places {
        rows.push([
            (&place.id).into(),
            (&place.offer_id).into(),
            (&place.product_id).into(),
            (&place.sku_id).into(),
            (&place.live_id).into(),
            (&place.customer_id).into(),
            place.qty.into(),
            place.price_minor.into(),
            place.confirmation_hash.as_str().into(),
            place.state.as_str().into(),
            place.reason.as_deref().into(),
            place.purchase_id.as_ref().into(),
            place.joined_at_ms.into(),
            place.version.into(),
            place.demo.into(),
        ]);
    }
    rows.execute(tx, INSERT).await
}

/// Writes how places stand now that waited when they were read; how many still did.
pub(super) async fn update(tx: &mut Tx, places: &[&Wait]) -> Result<u64, StoreError> {
    const UPDATE: &str = "
        UPDATE waitlist SET state = rows.state, reason = rows.reason, purchase_id = rows.purchase_id, version = rows.version
        FROM rows
        WHERE waitlist.id = rows.id AND waitlist.state = 'waiting'";
    let mut rows = Rows::new(&[
        ("id", Kind::Text),
        ("state", Kind::Text),
        ("reason", Kind::Text),
        ("purchase_id", Kind::Text),
        ("version", Kind::Number),
    ]);
    for place in places {
        rows.push([
            (&place.id).into(),
            place.state.as_str().into(),
            place.reason.as_deref().into(),
            place.purchase_id.as_ref().into(),
            place.version.into(),
        ]);
    }
    rows.execute(tx, UPDATE).await
}

/// SKUs that somebody waits for and that have units: an offer began, or its terms changed, since they were looked at.
pub(super) async fn servable(tx: &mut Tx) -> Result<Vec<SkuId>, StoreError> {
    const LIST: &str = "
        SELECT DISTINCT w.sku_id
        FROM waitlist w
        WHERE w.state = 'waiting'
          AND EXISTS (SELECT 1 FROM stock s WHERE s.sku_id = w.sku_id AND s.on_hand - s.held - s.safety > 0)
        LIMIT 16";
    let rows: Vec<(SkuId,)> = on!(tx, |conn| sqlx::query_as(LIST).fetch_all(conn).await?);
    Ok(rows.into_iter().map(|(sku,)| sku).collect())
}

/// The places of a live whose offers have ended, of one product or of all.
pub(super) async fn lapse(tx: &mut Tx, live: &LiveId, product: Option<&ProductId>) -> Result<(), StoreError> {
    const LAPSE: &str = "
        UPDATE waitlist SET state = 'lapsed', reason = 'offer-ended', version = version + 1
        WHERE live_id = $1 AND ($2 = '' OR product_id = $2) AND state = 'waiting'";
    let product = product.map_or("", ProductId::as_str);
    on!(tx, |conn| sqlx::query(LAPSE).bind(live).bind(product).execute(conn).await.map(drop))?;
    Ok(())
}

/// A customer's places, newest first.
pub(super) async fn list(
    tx: &mut Tx,
    customer: &CustomerId,
    before: Option<&WaitId>,
    limit: i64,
) -> Result<Vec<Wait>, StoreError> {
    const LIST: &str = concat!(
        "SELECT ",
        wait_columns!(),
        " FROM waitlist w WHERE w.customer_id = $1 AND ($2 = '' OR w.id < $2) ORDER BY w.id DESC LIMIT $3"
    );
    let before = before.map_or("", WaitId::as_str);
    Ok(on!(tx, |conn| sqlx::query_as::<_, Wait>(LIST).bind(customer).bind(before).bind(limit).fetch_all(conn).await?))
}
