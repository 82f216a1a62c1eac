-- Money: a ledger in pairs, invoices and credit notes, refunds by line, and what the provider's books say. As in the first
-- file, one list for both engines.

-- What of an order was called off before its money was taken (voided), what is being taken, what was, and what was given
-- back of that. Nobody is given back more than was taken.
ALTER TABLE orders ADD COLUMN voided_minor BIGINT NOT NULL DEFAULT 0 CHECK (voided_minor BETWEEN 0 AND total_minor);
ALTER TABLE orders ADD COLUMN taking_minor BIGINT;
ALTER TABLE orders ADD COLUMN captured_minor BIGINT NOT NULL DEFAULT 0
    CHECK (captured_minor BETWEEN 0 AND total_minor - voided_minor);
ALTER TABLE orders ADD COLUMN refunded_minor BIGINT NOT NULL DEFAULT 0
    CHECK (refunded_minor BETWEEN 0 AND captured_minor);
ALTER TABLE order_lines ADD COLUMN returned_qty INTEGER NOT NULL DEFAULT 0 CHECK (returned_qty BETWEEN 0 AND qty);
ALTER TABLE order_lines ADD COLUMN refunded_minor BIGINT NOT NULL DEFAULT 0
    CHECK (refunded_minor BETWEEN 0 AND amount_minor);
-- Whose money is being taken: the provider was asked, or is about to be.
CREATE INDEX orders_being_taken ON orders (id) WHERE taking_minor IS NOT NULL;
-- A brand's orders, newest first.
CREATE INDEX order_lines_by_brand ON order_lines (brand_id, order_id);

-- Double entry by pairs: each row moves an amount from the credit of one account to the debit of another, so debits equal
-- credits in every row. Append-only. (kind, ref, n) names the cause: a cause is posted once.
CREATE TABLE postings (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('sale', 'commission', 'refund', 'commission_back', 'refund_paid',
                                       'refund_returned', 'fee', 'payout', 'suspense')),
    ref TEXT NOT NULL,
    n INTEGER NOT NULL,
    debit TEXT NOT NULL CHECK (debit IN ('provider_clearing', 'sales', 'tax_payable', 'returns', 'refunds_payable', 'fees',
                                         'commission_expense', 'commission_payable', 'points', 'bank', 'suspense')),
    credit TEXT NOT NULL CHECK (credit IN ('provider_clearing', 'sales', 'tax_payable', 'returns', 'refunds_payable', 'fees',
                                           'commission_expense', 'commission_payable', 'points', 'bank', 'suspense')),
    amount_minor BIGINT NOT NULL CHECK (amount_minor > 0),
    currency TEXT NOT NULL,
    tax_rate_bp INTEGER,
    brand_id TEXT,
    order_id TEXT,
    purchase_id TEXT,
    refund_id TEXT,
    -- The provider's name of the line of its books.
    entry_id TEXT,
    at_ms BIGINT NOT NULL,
    demo BOOLEAN NOT NULL,
    CHECK (debit <> credit),
    UNIQUE (kind, ref, n)
);
CREATE INDEX postings_by_order ON postings (order_id);

-- One seller's part of one order, as it was called then; written when the money is taken.
CREATE TABLE invoices (
    id TEXT PRIMARY KEY,
    number TEXT NOT NULL UNIQUE,
    order_id TEXT NOT NULL,
    brand_id TEXT NOT NULL,
    seller_name TEXT NOT NULL,
    -- T + 13 digits; without it the document is a receipt.
    registration TEXT,
    total_minor BIGINT NOT NULL CHECK (total_minor >= 0),
    currency TEXT NOT NULL,
    issued_at_ms BIGINT NOT NULL,
    UNIQUE (order_id, brand_id)
);
CREATE TABLE invoice_rates (
    invoice_id TEXT NOT NULL REFERENCES invoices (id),
    tax_rate_bp INTEGER NOT NULL,
    total_minor BIGINT NOT NULL,
    tax_minor BIGINT NOT NULL,
    PRIMARY KEY (invoice_id, tax_rate_bp),
    CHECK (tax_minor BETWEEN 0 AND total_minor)
);
-- What a refund takes back of an invoice (適格返還請求書).
CREATE TABLE credit_notes (
    id TEXT PRIMARY KEY,
    number TEXT NOT NULL UNIQUE,
    invoice_id TEXT NOT NULL REFERENCES invoices (id),
    refund_id TEXT NOT NULL,
    total_minor BIGINT NOT NULL CHECK (total_minor >= 0),
    issued_at_ms BIGINT NOT NULL,
    UNIQUE (refund_id, invoice_id)
);
CREATE INDEX credit_notes_by_invoice ON credit_notes (invoice_id);
CREATE TABLE credit_note_rates (
    credit_note_id TEXT NOT NULL REFERENCES credit_notes (id),
    tax_rate_bp INTEGER NOT NULL,
    total_minor BIGINT NOT NULL,
    tax_minor BIGINT NOT NULL,
    PRIMARY KEY (credit_note_id, tax_rate_bp),
    CHECK (tax_minor BETWEEN 0 AND total_minor)
);

-- Money given back, or not taken (`void`: before it was taken). The key is the return's name within its order.
CREATE TABLE refunds (
    id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL REFERENCES orders (id),
    purchase_id TEXT NOT NULL,
    key TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('refund', 'void')),
    state TEXT NOT NULL CHECK (state IN ('pending', 'succeeded', 'failed')),
    amount_minor BIGINT NOT NULL CHECK (amount_minor >= 0),
    currency TEXT NOT NULL,
    -- Never left the shelf and are back in the pool; came back to a shelf; did not come back to be sold.
    goods TEXT NOT NULL CHECK (goods IN ('unsent', 'restocked', 'gone')),
    reason TEXT NOT NULL,
    by_account_id TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    settled_at_ms BIGINT,
    -- The provider's code.
    failure TEXT,
    -- What the provider calls it; of the newest try.
    provider_ref TEXT,
    -- Tries at the provider, each with a key of its own; when the newest began, and when it is asked about next.
    tries INTEGER NOT NULL,
    tried_at_ms BIGINT NOT NULL,
    asks INTEGER NOT NULL,
    ask_at_ms BIGINT NOT NULL,
    UNIQUE (order_id, key)
);
CREATE INDEX refunds_to_ask ON refunds (ask_at_ms) WHERE state = 'pending';
CREATE INDEX refunds_by_provider_ref ON refunds (provider_ref) WHERE provider_ref IS NOT NULL;
CREATE TABLE refund_lines (
    refund_id TEXT NOT NULL REFERENCES refunds (id),
    order_line_id TEXT NOT NULL,
    qty INTEGER NOT NULL CHECK (qty > 0),
    amount_minor BIGINT NOT NULL CHECK (amount_minor >= 0),
    PRIMARY KEY (refund_id, order_line_id)
);
CREATE INDEX refund_lines_by_line ON refund_lines (order_line_id);

-- Credits know their cause, so that a line may be reversed in several parts: '' for a sale, a refund's id for a reversal.
CREATE TABLE credits_2 (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('sale', 'reversal')),
    cause_id TEXT NOT NULL,
    order_id TEXT NOT NULL,
    order_line_id TEXT NOT NULL,
    brand_id TEXT NOT NULL,
    live_id TEXT NOT NULL,
    pool TEXT NOT NULL CHECK (pool IN ('liver', 'staff')),
    party_id TEXT NOT NULL,
    -- Units and amounts of a reversal are negative.
    qty INTEGER NOT NULL,
    base_minor BIGINT NOT NULL,
    share_bp INTEGER NOT NULL CHECK (share_bp BETWEEN 0 AND 10000),
    commission_bp INTEGER NOT NULL,
    commission_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    rule TEXT NOT NULL,
    rule_version INTEGER NOT NULL,
    evidence TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    UNIQUE (order_line_id, pool, party_id, kind, cause_id),
    CHECK ((kind = 'sale') = (cause_id = ''))
);
INSERT INTO credits_2 (id, kind, cause_id, order_id, order_line_id, brand_id, live_id, pool, party_id, qty, base_minor,
                       share_bp, commission_bp, commission_minor, currency, rule, rule_version, evidence, at_ms)
SELECT id, kind, '', order_id, order_line_id, brand_id, live_id, pool, party_id, qty, base_minor,
       share_bp, commission_bp, commission_minor, currency, rule, rule_version, evidence, at_ms
FROM credits
WHERE kind = 'sale';
DROP TABLE credits;
ALTER TABLE credits_2 RENAME TO credits;
CREATE INDEX credits_by_brand ON credits (brand_id, at_ms, id);
CREATE INDEX credits_by_live ON credits (live_id);
CREATE INDEX credits_by_order ON credits (order_id);

-- Lines of the provider's books, each once, as the provider wrote them.
CREATE TABLE provider_entries (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('charge', 'refund', 'refund_failure', 'fee', 'payout', 'dispute', 'other')),
    amount_minor BIGINT NOT NULL,
    fee_minor BIGINT NOT NULL,
    net_minor BIGINT NOT NULL,
    source TEXT,
    intent TEXT,
    at_ms BIGINT NOT NULL,
    read_at_ms BIGINT NOT NULL,
    -- What of ours it is.
    purchase_id TEXT,
    refund_id TEXT
);
CREATE INDEX provider_entries_by_time ON provider_entries (at_ms, id);
CREATE INDEX provider_entries_by_purchase ON provider_entries (purchase_id) WHERE purchase_id IS NOT NULL;
CREATE INDEX provider_entries_by_refund ON provider_entries (refund_id) WHERE refund_id IS NOT NULL;
CREATE INDEX provider_entries_by_intent ON provider_entries (intent) WHERE intent IS NOT NULL;

-- What the provider's books and ours do not agree on, until somebody has dealt with it.
CREATE TABLE findings (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('unknown_charge', 'unknown_refund', 'amount_differs', 'missing_charge',
                                       'missing_refund', 'refund_failed', 'dispute', 'other_entry', 'capture_due')),
    -- What it is about: a line of the provider's books, a purchase or a refund.
    subject TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'resolved')),
    ours_minor BIGINT NOT NULL,
    theirs_minor BIGINT NOT NULL,
    entry_id TEXT,
    intent TEXT,
    order_id TEXT,
    refund_id TEXT,
    found_at_ms BIGINT NOT NULL,
    resolved_at_ms BIGINT,
    -- `settled` by itself, or what somebody chose.
    how TEXT,
    note TEXT,
    by_account_id TEXT,
    UNIQUE (kind, subject)
);
CREATE INDEX findings_open ON findings (id) WHERE state = 'open';

CREATE TABLE reconciliation_runs (
    id TEXT PRIMARY KEY,
    began_at_ms BIGINT NOT NULL,
    ended_at_ms BIGINT NOT NULL,
    from_ms BIGINT NOT NULL,
    to_ms BIGINT NOT NULL,
    entries BIGINT NOT NULL,
    open BIGINT NOT NULL
);

-- The sandbox gives money back too, and keeps books that can be read.
CREATE TABLE sandbox_refunds (
    key TEXT PRIMARY KEY,
    intent TEXT NOT NULL,
    amount_minor BIGINT NOT NULL CHECK (amount_minor > 0),
    state TEXT NOT NULL CHECK (state IN ('pending', 'succeeded', 'failed')),
    failure TEXT,
    created_at_ms BIGINT NOT NULL
);
CREATE INDEX sandbox_refunds_by_intent ON sandbox_refunds (intent);
CREATE TABLE sandbox_entries (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    fee_minor BIGINT NOT NULL,
    source TEXT NOT NULL,
    intent TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    UNIQUE (kind, source)
);
CREATE INDEX sandbox_entries_by_time ON sandbox_entries (at_ms, id);
-- What it took before this version.
INSERT INTO sandbox_entries (id, kind, amount_minor, fee_minor, source, intent, at_ms)
SELECT 'txn_' || substr(key, 8, 26), 'charge', amount_minor, amount_minor * 360 / 10000, key, key, created_at_ms
FROM sandbox_payments
WHERE state = 'captured' AND amount_minor > 0;
