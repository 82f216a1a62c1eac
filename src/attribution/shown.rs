//! Table: reads which lives showed which products (pins).

use std::collections::{BTreeSet, HashMap};

use super::{rule::Touch, touch::TouchKind};
use crate::{
    clock::Millis,
    ids::{LiveId, ProductId},
    store::{Kind, Rows, StoreError, Tx},
};

/// Of a product that no live showed.
pub(super) static NOWHERE: &BTreeSet<LiveId> = &BTreeSet::new();

/// By product, which of the lives that were followed or watched again without a product had shown it by `until`.
pub(super) async fn of(
    tx: &mut Tx,
    touches: impl Iterator<Item = &Touch>,
    until: Millis,
) -> Result<HashMap<ProductId, BTreeSet<LiveId>>, StoreError> {
    const SHOWN: &str = "
        SELECT DISTINCT p.product_id, p.live_id
        FROM rows CROSS JOIN pins p
        WHERE p.live_id = rows.live_id AND p.pinned_at_ms <= rows.until_ms";
    let mut rows = Rows::new(&[("live_id", Kind::Text), ("until_ms", Kind::Number)]);
    let open = touches.filter(|t| matches!(t.kind, TouchKind::Replay | TouchKind::Link) && t.product.is_none());
    let lives: BTreeSet<&LiveId> = open.filter_map(|touch| touch.live.as_ref()).map(|(live, _)| live).collect();
    let mut shown: HashMap<ProductId, BTreeSet<LiveId>> = HashMap::new();
    if lives.is_empty() {
        return Ok(shown);
    }
    for live in lives {
        rows.push([live.into(), until.into()]);
    }
    for (product, live) in rows.fetch::<(ProductId, LiveId)>(tx, SHOWN).await? {
        shown.entry(product).or_default().insert(live);
    }
    Ok(shown)
}
