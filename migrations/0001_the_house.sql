-- One list for SQLite and PostgreSQL. Ids are prefixed TEXT, money BIGINT minor units, times BIGINT Unix milliseconds,
-- states TEXT with CHECK. A landed migration is never edited.

-- People ------------------------------------------------------------------------------------------------------------

CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    demo BOOLEAN NOT NULL,
    created_at_ms BIGINT NOT NULL
);

CREATE TABLE grants (
    account_id TEXT NOT NULL REFERENCES accounts (id),
    role TEXT NOT NULL CHECK (role IN ('liver', 'moderator', 'brand_member', 'staff', 'operator')),
    subject_id TEXT NOT NULL,
    granted_at_ms BIGINT NOT NULL,
    PRIMARY KEY (account_id, role, subject_id)
);

CREATE TABLE sessions (
    token_hash TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL
);
CREATE INDEX sessions_by_expiry ON sessions (expires_at_ms);

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    label TEXT NOT NULL,
    key_hash TEXT NOT NULL UNIQUE,
    created_at_ms BIGINT NOT NULL,
    revoked_at_ms BIGINT
);

-- One person in every channel; identities (account, app, store card, …) resolve to it.
CREATE TABLE customers (
    id TEXT PRIMARY KEY,
    display_name TEXT NOT NULL,
    demo BOOLEAN NOT NULL,
    created_at_ms BIGINT NOT NULL
);

CREATE TABLE identities (
    kind TEXT NOT NULL CHECK (kind IN ('account', 'app', 'ec', 'store_card', 'line')),
    value TEXT NOT NULL,
    customer_id TEXT NOT NULL REFERENCES customers (id),
    linked_at_ms BIGINT NOT NULL,
    PRIMARY KEY (kind, value)
);
CREATE INDEX identities_by_customer ON identities (customer_id);

CREATE TABLE brands (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    -- T + 13 digits (適格請求書発行事業者登録番号)
    invoice_number TEXT,
    commission_bp INTEGER NOT NULL CHECK (commission_bp BETWEEN 0 AND 10000),
    created_at_ms BIGINT NOT NULL
);

CREATE TABLE livers (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL UNIQUE REFERENCES accounts (id),
    display_name TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL
);

CREATE TABLE locations (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('warehouse', 'store')),
    name TEXT NOT NULL,
    address TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL
);

-- Every money, rule and export action.
CREATE TABLE audit_log (
    id TEXT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    account_id TEXT,
    action TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    detail TEXT NOT NULL
);

-- The first answer to a creating request, kept under its Idempotency-Key.
CREATE TABLE idempotency_keys (
    account_id TEXT NOT NULL,
    key TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    status INTEGER,
    answer TEXT,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (account_id, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at_ms);

-- Lives -------------------------------------------------------------------------------------------------------------

CREATE TABLE lives (
    id TEXT PRIMARY KEY,
    liver_id TEXT NOT NULL REFERENCES livers (id),
    title TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('scheduled', 'live', 'ended')),
    tie_up_brand_id TEXT REFERENCES brands (id),
    pr_label TEXT,
    stream_key_hash TEXT,
    scheduled_at_ms BIGINT NOT NULL,
    started_at_ms BIGINT,
    ended_at_ms BIGINT,
    peak_viewers BIGINT NOT NULL DEFAULT 0,
    version BIGINT NOT NULL,
    demo BOOLEAN NOT NULL,
    created_at_ms BIGINT NOT NULL,
    -- ステマ規制: a tie-up live that has started bears its label.
    CHECK (tie_up_brand_id IS NULL OR state = 'scheduled' OR (pr_label IS NOT NULL AND pr_label <> ''))
);
CREATE INDEX lives_by_state ON lives (state, scheduled_at_ms);
CREATE INDEX lives_by_liver ON lives (liver_id, id);

-- Intervals in which a tie-up live ran under its label.
CREATE TABLE pr_label_intervals (
    live_id TEXT NOT NULL REFERENCES lives (id),
    label TEXT NOT NULL,
    from_ms BIGINT NOT NULL,
    to_ms BIGINT,
    PRIMARY KEY (live_id, from_ms)
);

CREATE TABLE pins (
    id TEXT PRIMARY KEY,
    live_id TEXT NOT NULL REFERENCES lives (id),
    product_id TEXT NOT NULL,
    pinned_at_ms BIGINT NOT NULL,
    unpinned_at_ms BIGINT,
    version BIGINT NOT NULL
);
CREATE INDEX pins_by_live ON pins (live_id, pinned_at_ms);
CREATE UNIQUE INDEX pins_shown ON pins (live_id, product_id) WHERE unpinned_at_ms IS NULL;

CREATE TABLE questions (
    id TEXT PRIMARY KEY,
    live_id TEXT NOT NULL REFERENCES lives (id),
    customer_id TEXT NOT NULL REFERENCES customers (id),
    author_name TEXT NOT NULL,
    text TEXT NOT NULL,
    votes INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'answering', 'answered', 'hidden')),
    asked_at_ms BIGINT NOT NULL,
    answering_at_ms BIGINT,
    answered_at_ms BIGINT,
    version BIGINT NOT NULL,
    demo BOOLEAN NOT NULL
);
CREATE INDEX questions_by_live ON questions (live_id, id);
CREATE UNIQUE INDEX questions_one_on_air ON questions (live_id) WHERE state = 'answering';

CREATE TABLE question_votes (
    question_id TEXT NOT NULL REFERENCES questions (id),
    customer_id TEXT NOT NULL REFERENCES customers (id),
    voted_at_ms BIGINT NOT NULL,
    PRIMARY KEY (question_id, customer_id)
);

CREATE TABLE chat (
    id TEXT PRIMARY KEY,
    live_id TEXT NOT NULL REFERENCES lives (id),
    account_id TEXT NOT NULL REFERENCES accounts (id),
    author_name TEXT NOT NULL,
    author_role TEXT NOT NULL CHECK (author_role IN ('viewer', 'liver', 'moderator')),
    text TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    deleted_at_ms BIGINT,
    demo BOOLEAN NOT NULL
);
CREATE INDEX chat_by_live ON chat (live_id, id);

CREATE TABLE reactions (
    live_id TEXT NOT NULL REFERENCES lives (id),
    kind TEXT NOT NULL,
    total BIGINT NOT NULL,
    PRIMARY KEY (live_id, kind)
);

-- Events that must leave the database: written in the transaction that makes them true, told from here.
CREATE TABLE outbox (
    id TEXT PRIMARY KEY,
    payload TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    told_at_ms BIGINT
);
CREATE INDEX outbox_untold ON outbox (id) WHERE told_at_ms IS NULL;

-- Commerce ----------------------------------------------------------------------------------------------------------

CREATE TABLE products (
    id TEXT PRIMARY KEY,
    brand_id TEXT NOT NULL REFERENCES brands (id),
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    image_svg TEXT,
    created_at_ms BIGINT NOT NULL
);
CREATE INDEX products_by_brand ON products (brand_id, id);

CREATE TABLE skus (
    id TEXT PRIMARY KEY,
    product_id TEXT NOT NULL REFERENCES products (id),
    brand_id TEXT NOT NULL REFERENCES brands (id),
    variant TEXT NOT NULL,
    jan TEXT,
    price_minor BIGINT NOT NULL CHECK (price_minor >= 0),
    currency TEXT NOT NULL,
    tax_rate_bp INTEGER NOT NULL CHECK (tax_rate_bp IN (0, 800, 1000)),
    -- Grows with every change of the SKU's stock; its UPDATE is also the lock of all its stock rows.
    stock_version BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL
);
CREATE INDEX skus_by_product ON skus (product_id, id);

CREATE TABLE stock (
    sku_id TEXT NOT NULL REFERENCES skus (id),
    location_id TEXT NOT NULL REFERENCES locations (id),
    on_hand BIGINT NOT NULL,
    held BIGINT NOT NULL,
    safety BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (sku_id, location_id),
    -- The backstop under the sequencer: nothing is ever sold twice.
    CHECK (held >= 0 AND on_hand - held >= 0)
);

-- Append-only: explains every unit. Σ on_hand_delta and Σ held_delta equal the row in stock, at every commit.
CREATE TABLE stock_entries (
    id TEXT PRIMARY KEY,
    sku_id TEXT NOT NULL,
    location_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('hold', 'release', 'expire', 'sell', 'receive', 'till_sale', 'count', 'return')),
    on_hand_delta BIGINT NOT NULL,
    held_delta BIGINT NOT NULL,
    -- What caused it: a batch of the sequencer (its purchases name the same batch).
    batch_id TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    UNIQUE (batch_id, sku_id, location_id, kind)
);
CREATE INDEX stock_entries_by_sku ON stock_entries (sku_id, location_id);

-- A price and rules of a SKU in one live; pinning the product again changes the row and its version.
CREATE TABLE offers (
    id TEXT PRIMARY KEY,
    live_id TEXT NOT NULL REFERENCES lives (id),
    product_id TEXT NOT NULL REFERENCES products (id),
    sku_id TEXT NOT NULL REFERENCES skus (id),
    price_minor BIGINT NOT NULL CHECK (price_minor >= 0),
    limit_per_customer INTEGER CHECK (limit_per_customer > 0),
    starts_at_ms BIGINT NOT NULL,
    ends_at_ms BIGINT,
    version BIGINT NOT NULL,
    UNIQUE (live_id, sku_id)
);

-- Held + sold − returned by one customer of one product in one live.
CREATE TABLE limit_usage (
    live_id TEXT NOT NULL,
    product_id TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    used BIGINT NOT NULL CHECK (used >= 0),
    PRIMARY KEY (live_id, product_id, customer_id)
);

CREATE TABLE purchases (
    id TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL REFERENCES customers (id),
    idempotency_key TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    live_id TEXT NOT NULL,
    offer_id TEXT NOT NULL,
    product_id TEXT NOT NULL,
    sku_id TEXT NOT NULL,
    -- JSON object, location id -> units: where the held units stand.
    allocation TEXT NOT NULL,
    qty INTEGER NOT NULL CHECK (qty > 0),
    unit_price_minor BIGINT NOT NULL,
    total_minor BIGINT NOT NULL,
    tax_rate_bp INTEGER NOT NULL,
    currency TEXT NOT NULL,
    confirmation_hash TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('held', 'paying', 'requires_action', 'authorized', 'captured', 'fulfilled',
                                         'refused', 'expired', 'failed', 'cancelled', 'refunded')),
    reason TEXT,
    hold_expires_at_ms BIGINT NOT NULL,
    placed_at_ms BIGINT NOT NULL,
    batch_id TEXT NOT NULL,
    order_id TEXT,
    version BIGINT NOT NULL,
    demo BOOLEAN NOT NULL,
    UNIQUE (customer_id, idempotency_key)
);
CREATE INDEX purchases_to_expire ON purchases (hold_expires_at_ms) WHERE state = 'held';
CREATE INDEX purchases_to_settle ON purchases (placed_at_ms) WHERE state IN ('paying', 'requires_action');
CREATE INDEX purchases_by_live ON purchases (live_id, state);

-- What the buyer was shown on the sheet with the buy button (特定商取引法 final confirmation).
CREATE TABLE confirmations (
    hash TEXT PRIMARY KEY,
    shown TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL
);

CREATE TABLE payment_attempts (
    id TEXT PRIMARY KEY,
    purchase_id TEXT NOT NULL REFERENCES purchases (id),
    n INTEGER NOT NULL,
    provider TEXT NOT NULL,
    method TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('created', 'submitting', 'requires_action', 'authorized', 'captured', 'failed',
                                         'unknown', 'cancelled', 'refunded')),
    updated_at_ms BIGINT NOT NULL,
    UNIQUE (purchase_id, n)
);

-- The sandbox provider's own memory: what it answered under which key. Stands for the books of a real provider.
CREATE TABLE sandbox_payments (
    key TEXT PRIMARY KEY,
    amount_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('authorized', 'captured', 'declined', 'cancelled')),
    created_at_ms BIGINT NOT NULL
);

CREATE TABLE orders (
    id TEXT PRIMARY KEY,
    number TEXT NOT NULL UNIQUE,
    purchase_id TEXT NOT NULL UNIQUE REFERENCES purchases (id),
    customer_id TEXT NOT NULL REFERENCES customers (id),
    live_id TEXT NOT NULL,
    total_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    placed_at_ms BIGINT NOT NULL,
    demo BOOLEAN NOT NULL
);
CREATE INDEX orders_by_live ON orders (live_id);

CREATE TABLE order_lines (
    id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL REFERENCES orders (id),
    brand_id TEXT NOT NULL,
    product_id TEXT NOT NULL,
    sku_id TEXT NOT NULL,
    product_title TEXT NOT NULL,
    variant TEXT NOT NULL,
    qty INTEGER NOT NULL CHECK (qty > 0),
    unit_price_minor BIGINT NOT NULL,
    amount_minor BIGINT NOT NULL,
    tax_rate_bp INTEGER NOT NULL
);
CREATE INDEX order_lines_by_order ON order_lines (order_id);

-- Attribution -------------------------------------------------------------------------------------------------------

CREATE TABLE touches (
    id TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL REFERENCES customers (id),
    live_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('view', 'click', 'live_purchase', 'replay', 'link', 'coupon', 'staff_code')),
    product_id TEXT,
    at_ms BIGINT NOT NULL
);
CREATE INDEX touches_by_customer ON touches (customer_id, at_ms);

-- Append-only ledger of attributed amounts. A refund writes negative rows; nothing is updated.
CREATE TABLE credits (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('sale', 'reversal')),
    order_id TEXT NOT NULL,
    order_line_id TEXT NOT NULL,
    brand_id TEXT NOT NULL,
    live_id TEXT NOT NULL,
    pool TEXT NOT NULL CHECK (pool IN ('liver', 'staff')),
    party_id TEXT NOT NULL,
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
    UNIQUE (order_line_id, pool, party_id, kind)
);
CREATE INDEX credits_by_brand ON credits (brand_id, at_ms, id);
CREATE INDEX credits_by_live ON credits (live_id);
