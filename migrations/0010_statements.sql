-- Settlement: what livers are owed by month, and how they are paid. As in the first file, one list for both engines.

-- Where a liver's money goes, and whether they issue invoices.
CREATE TABLE payees (
    liver_id TEXT PRIMARY KEY REFERENCES livers (id),
    name_kana TEXT NOT NULL,
    bank_code TEXT NOT NULL CHECK (length(bank_code) = 4),
    branch_code TEXT NOT NULL CHECK (length(branch_code) = 3),
    account_type TEXT NOT NULL CHECK (account_type IN ('ordinary', 'current', 'savings')),
    account_number TEXT NOT NULL CHECK (length(account_number) = 7),
    holder_kana TEXT NOT NULL,
    -- T + 13 digits (適格請求書発行事業者登録番号); NULL: not registered.
    registration TEXT,
    updated_at_ms BIGINT NOT NULL
);
-- From which account a brand pays, as its bank knows it.
CREATE TABLE payers (
    brand_id TEXT PRIMARY KEY REFERENCES brands (id),
    -- 委託者コード
    consignor_code TEXT NOT NULL CHECK (length(consignor_code) = 10),
    name_kana TEXT NOT NULL,
    bank_code TEXT NOT NULL CHECK (length(bank_code) = 4),
    branch_code TEXT NOT NULL CHECK (length(branch_code) = 3),
    account_type TEXT NOT NULL CHECK (account_type IN ('ordinary', 'current')),
    account_number TEXT NOT NULL CHECK (length(account_number) = 7),
    updated_at_ms BIGINT NOT NULL
);

-- One row a brand: the lock under which its months are closed, in order.
CREATE TABLE statement_books (
    brand_id TEXT PRIMARY KEY REFERENCES brands (id),
    -- The last month that is closed; '' before the first.
    last_period TEXT NOT NULL,
    closes BIGINT NOT NULL
);
CREATE TABLE statement_closes (
    brand_id TEXT NOT NULL REFERENCES brands (id),
    period TEXT NOT NULL,
    closed_at_ms BIGINT NOT NULL,
    by_account_id TEXT NOT NULL,
    PRIMARY KEY (brand_id, period)
);

-- What a brand owes a liver at the end of a month. Never changed, but that it is paid.
CREATE TABLE statements (
    id TEXT PRIMARY KEY,
    brand_id TEXT NOT NULL REFERENCES brands (id),
    liver_id TEXT NOT NULL REFERENCES livers (id),
    -- Japan's month: 2026-11.
    period TEXT NOT NULL,
    -- Statements that are carried over have the number of the one that pays them off.
    run INTEGER NOT NULL CHECK (run > 0),
    state TEXT NOT NULL CHECK (state IN ('payable', 'paid', 'carried')),
    -- As they were called then.
    brand_name TEXT NOT NULL,
    brand_registration TEXT,
    liver_name TEXT NOT NULL,
    registration TEXT,
    lines BIGINT NOT NULL CHECK (lines > 0),
    -- Commission without tax; what came back is negative.
    earned_minor BIGINT NOT NULL CHECK (earned_minor >= 0),
    reversed_minor BIGINT NOT NULL CHECK (reversed_minor <= 0),
    carried_in_minor BIGINT NOT NULL CHECK (carried_in_minor <= 0),
    carried_out_minor BIGINT NOT NULL CHECK (carried_out_minor <= 0),
    tax_rate_bp INTEGER NOT NULL,
    tax_minor BIGINT NOT NULL CHECK (tax_minor >= 0),
    -- Of the tax, basis points that the brand may deduct from its own.
    deductible_bp INTEGER NOT NULL CHECK (deductible_bp BETWEEN 0 AND 10000),
    -- With tax.
    payable_minor BIGINT NOT NULL CHECK (payable_minor >= 0),
    currency TEXT NOT NULL,
    closed_at_ms BIGINT NOT NULL,
    -- The last moment of the day; NULL where nothing is paid.
    pay_by_ms BIGINT,
    paid_at_ms BIGINT,
    payment_reference TEXT,
    paid_by_account_id TEXT,
    demo BOOLEAN NOT NULL,
    UNIQUE (brand_id, liver_id, period),
    CHECK (earned_minor + reversed_minor + carried_in_minor = payable_minor - tax_minor + carried_out_minor),
    CHECK ((state = 'carried') = (payable_minor = 0)),
    CHECK (carried_out_minor = 0 OR payable_minor = 0),
    CHECK ((state = 'paid') = (paid_at_ms IS NOT NULL)),
    CHECK ((state = 'carried') = (pay_by_ms IS NULL))
);
CREATE INDEX statements_by_brand ON statements (brand_id, id);
CREATE INDEX statements_by_liver ON statements (liver_id, id);
CREATE INDEX statements_by_run ON statements (brand_id, liver_id, run);
-- A credit is in one statement for ever. The lines come first, for the statement is their sum. Credits are append-only, so
-- they are not referred to by a key that would be checked for every sale.
CREATE TABLE statement_lines (
    credit_id TEXT PRIMARY KEY,
    statement_id TEXT NOT NULL REFERENCES statements (id) DEFERRABLE INITIALLY DEFERRED,
    commission_minor BIGINT NOT NULL
);
CREATE INDEX statement_lines_by_statement ON statement_lines (statement_id, credit_id);

-- Paying a liver is a cause of its own.
CREATE TABLE postings_2 (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('sale', 'commission', 'refund', 'commission_back', 'refund_paid',
                                       'refund_returned', 'fee', 'payout', 'suspense', 'commission_paid')),
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
INSERT INTO postings_2 (id, kind, ref, n, debit, credit, amount_minor, currency, tax_rate_bp, brand_id, order_id,
                        purchase_id, refund_id, entry_id, at_ms, demo)
SELECT id, kind, ref, n, debit, credit, amount_minor, currency, tax_rate_bp, brand_id, order_id, purchase_id, refund_id,
       entry_id, at_ms, demo
FROM postings;
DROP TABLE postings;
ALTER TABLE postings_2 RENAME TO postings;
CREATE INDEX postings_by_order ON postings (order_id);
