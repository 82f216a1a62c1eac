//! Root: checks of what livers are owed and were paid.

use super::{Check, by_query};
use crate::store::{StoreError, Tx};

/// A statement is the sum of its lines, which are credits of its brand and liver.
pub(super) async fn statements(tx: &mut Tx) -> Result<Check, StoreError> {
    const ALL: &str = "SELECT COUNT(*) FROM statements";
    const FAULTY: &str = "
        SELECT s.id || ' earned', s.earned_minor, CAST(COALESCE(w.earned, 0) AS BIGINT)
        FROM statements s
        LEFT JOIN (SELECT t.statement_id, SUM(CASE WHEN c.kind = 'sale' THEN t.commission_minor ELSE 0 END) AS earned
                   FROM statement_lines t JOIN credits c ON c.id = t.credit_id
                   GROUP BY t.statement_id) w ON w.statement_id = s.id
        WHERE s.earned_minor <> COALESCE(w.earned, 0)
        UNION ALL
        SELECT s.id || ' reversed', s.reversed_minor, CAST(COALESCE(w.reversed, 0) AS BIGINT)
        FROM statements s
        LEFT JOIN (SELECT t.statement_id, SUM(CASE WHEN c.kind = 'sale' THEN 0 ELSE t.commission_minor END) AS reversed
                   FROM statement_lines t JOIN credits c ON c.id = t.credit_id
                   GROUP BY t.statement_id) w ON w.statement_id = s.id
        WHERE s.reversed_minor <> COALESCE(w.reversed, 0)
        UNION ALL
        SELECT s.id || ' has lines', s.lines, COUNT(t.credit_id)
        FROM statements s
        LEFT JOIN statement_lines t ON t.statement_id = s.id
        GROUP BY s.id, s.lines
        HAVING s.lines <> COUNT(t.credit_id)
        UNION ALL
        SELECT t.credit_id || ' is as it was when it was closed', t.commission_minor, COALESCE(c.commission_minor, 0)
        FROM statement_lines t
        LEFT JOIN credits c ON c.id = t.credit_id
        WHERE c.id IS NULL OR c.commission_minor <> t.commission_minor
        UNION ALL
        SELECT t.credit_id || ' is another brand''s or liver''s, or not captured', CAST(1 AS BIGINT), CAST(0 AS BIGINT)
        FROM statement_lines t
        JOIN statements s ON s.id = t.statement_id
        JOIN credits c ON c.id = t.credit_id
        JOIN orders o ON o.id = c.order_id
        WHERE c.pool <> 'liver' OR c.brand_id <> s.brand_id OR c.party_id <> s.liver_id OR o.captured_minor = 0
        UNION ALL
        SELECT id || ' comes to', earned_minor + reversed_minor + carried_in_minor,
               payable_minor - tax_minor + carried_out_minor
        FROM statements
        WHERE earned_minor + reversed_minor + carried_in_minor <> payable_minor - tax_minor + carried_out_minor
        UNION ALL
        SELECT id || ' rounds its tax once', (payable_minor - tax_minor) * tax_rate_bp / 10000, tax_minor
        FROM statements
        WHERE tax_minor <> (payable_minor - tax_minor) * tax_rate_bp / 10000";
    by_query(tx, "each closed statement is the sum of its lines", ALL, FAULTY).await
}

/// What one statement carries out, the next one carries in; and what is carried is paid off by one statement.
pub(super) async fn carried(tx: &mut Tx) -> Result<Check, StoreError> {
    const ALL: &str = "SELECT COUNT(*) FROM statements WHERE carried_out_minor <> 0";
    const FAULTY: &str = "
        SELECT s.id || ' carries in', COALESCE(b.carried_out_minor, 0), s.carried_in_minor
        FROM statements s
        LEFT JOIN statements b ON b.brand_id = s.brand_id AND b.liver_id = s.liver_id
             AND b.period = (SELECT MAX(m.period) FROM statements m
                             WHERE m.brand_id = s.brand_id AND m.liver_id = s.liver_id AND m.period < s.period)
        WHERE s.carried_in_minor <> COALESCE(b.carried_out_minor, 0)
        UNION ALL
        SELECT s.id || ' is paid off by statement', COALESCE(CAST(b.run AS BIGINT), 0)
                    + CASE WHEN b.state IS NULL OR b.state <> 'carried' THEN 1 ELSE 0 END, CAST(s.run AS BIGINT)
        FROM statements s
        LEFT JOIN statements b ON b.brand_id = s.brand_id AND b.liver_id = s.liver_id
             AND b.period = (SELECT MAX(m.period) FROM statements m
                             WHERE m.brand_id = s.brand_id AND m.liver_id = s.liver_id AND m.period < s.period)
        WHERE s.run <> COALESCE(b.run, 0) + CASE WHEN b.state IS NULL OR b.state <> 'carried' THEN 1 ELSE 0 END
        UNION ALL
        SELECT s.id || ' is of a month that is closed', CAST(1 AS BIGINT), CAST(0 AS BIGINT)
        FROM statements s
        LEFT JOIN statement_closes k ON k.brand_id = s.brand_id AND k.period = s.period
        WHERE k.brand_id IS NULL";
    by_query(tx, "what is carried over arrives", ALL, FAULTY).await
}

/// What was paid is in the money ledger, once.
pub(super) async fn paid(tx: &mut Tx) -> Result<Check, StoreError> {
    const ALL: &str = "SELECT COUNT(*) FROM statements WHERE state = 'paid'";
    const FAULTY: &str = "
        SELECT s.id || ' is paid and posted', CASE WHEN s.state = 'paid' THEN s.payable_minor ELSE 0 END,
               CAST(COALESCE(p.amount, 0) AS BIGINT)
        FROM statements s
        LEFT JOIN (SELECT ref, SUM(amount_minor) AS amount FROM postings
                   WHERE kind = 'commission_paid' AND credit = 'bank' GROUP BY ref) p ON p.ref = s.id
        WHERE CASE WHEN s.state = 'paid' THEN s.payable_minor ELSE 0 END <> COALESCE(p.amount, 0)
        UNION ALL
        SELECT p.id || ' pays a statement', CAST(1 AS BIGINT), CAST(0 AS BIGINT)
        FROM postings p
        LEFT JOIN statements s ON s.id = p.ref
        WHERE p.kind = 'commission_paid' AND s.id IS NULL";
    by_query(tx, "what livers were paid is in the ledger", ALL, FAULTY).await
}
