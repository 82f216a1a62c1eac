//! Pure: how far a credit has come, as SQL that every report and statement reads alike.
//!
//! `estimated`: the goods have not left, or may still come back. `confirmed`: they left, and the days for returns are over.
//! `payable`: it is in a closed statement. `paid`: that statement was paid, or the one that paid off what it carried over.
//! A reversal stands where its order stands until it is in a statement itself.

/// What [`credit_standing!`] reads; stands after `FROM credits c …`, before `WHERE`.
macro_rules! credit_standing_joins {
    () => {
        " JOIN orders so ON so.id = c.order_id
         JOIN purchases sq ON sq.id = so.purchase_id
         LEFT JOIN statement_lines sl ON sl.credit_id = c.id
         LEFT JOIN statements st ON st.id = sl.statement_id
         LEFT JOIN statements sp ON sp.brand_id = st.brand_id AND sp.liver_id = st.liver_id AND sp.run = st.run
                                AND sp.state = 'paid' "
    };
}

/// The standing of `c`, as text. `$before` is the parameter that bears the moment before which goods must have left: now,
/// less the days for returns.
macro_rules! credit_standing {
    ($before:literal) => {
        concat!(
            " CASE WHEN sp.id IS NOT NULL THEN 'paid'
                   WHEN sl.credit_id IS NOT NULL THEN 'payable'
                   WHEN so.captured_minor > 0 AND sq.left_at_ms <= ",
            $before,
            " THEN 'confirmed'
                   ELSE 'estimated' END "
        )
    };
}

pub(crate) use {credit_standing, credit_standing_joins};
