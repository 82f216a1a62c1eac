//! Table: what people call the rows of a report; reads all, writes none.

use std::collections::HashMap;

use super::fold::By;
use crate::{
    clock::Millis,
    store::{Kind, Rows, StoreError, Tx},
};

/// Label and what stands below it, by key.
pub(super) type Labels = HashMap<String, (String, String)>;

/// The labels of these keys.
pub(super) async fn of(tx: &mut Tx, by: By, keys: &[String]) -> Result<Labels, StoreError> {
    let statement = match by {
        By::Live => {
            "SELECT l.id, l.title, v.display_name, l.started_at_ms
             FROM rows CROSS JOIN lives l JOIN livers v ON v.id = l.liver_id WHERE l.id = rows.id"
        }
        By::Liver => {
            "SELECT v.id, v.display_name, '', CAST(NULL AS BIGINT) FROM rows CROSS JOIN livers v WHERE v.id = rows.id"
        }
        By::Product => {
            "SELECT p.id, p.title, '', CAST(NULL AS BIGINT) FROM rows CROSS JOIN products p WHERE p.id = rows.id"
        }
        By::Sku => {
            "SELECT s.id, p.title, s.variant, CAST(NULL AS BIGINT)
             FROM rows CROSS JOIN skus s JOIN products p ON p.id = s.product_id WHERE s.id = rows.id"
        }
        By::Store => {
            "SELECT l.id, l.name, '', CAST(NULL AS BIGINT) FROM rows CROSS JOIN locations l WHERE l.id = rows.id"
        }
        By::Brand => "SELECT b.id, b.name, '', CAST(NULL AS BIGINT) FROM rows CROSS JOIN brands b WHERE b.id = rows.id",
        By::Staff => {
            "SELECT s.account_id, MAX(s.display_name), MAX(l.name), CAST(NULL AS BIGINT)
             FROM rows CROSS JOIN staff_codes s JOIN locations l ON l.id = s.location_id
             WHERE s.account_id = rows.id
             GROUP BY s.account_id"
        }
        By::Day | By::Hour | By::Channel | By::Campaign => return Ok(Labels::new()),
    };
    let mut rows = Rows::new(&[("id", Kind::Text)]);
    for key in keys.iter().filter(|key| !key.is_empty()) {
        rows.push([key.as_str().into()]);
    }
    let found: Vec<(String, String, String, Option<Millis>)> = rows.fetch(tx, statement).await?;
    let label = |(id, label, below, at): (String, String, String, Option<Millis>)| {
        let day = at.map(|at| super::fold::day_text(super::fold::day_of(at)));
        let below = day.map_or(below.clone(), |day| format!("{below} · {day}"));
        (id, (label, below))
    };
    Ok(found.into_iter().map(label).collect())
}
