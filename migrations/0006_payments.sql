-- Payments with a provider that is asked over a network: what a try to collect money is called there, saved cards, and
-- what the provider says of its own accord. As in the first file, one list for both engines.

CREATE TABLE payment_attempts_2 (
    id TEXT PRIMARY KEY,
    purchase_id TEXT NOT NULL REFERENCES purchases (id),
    n INTEGER NOT NULL,
    provider TEXT NOT NULL,
    -- A test method, a saved card's id, or what the provider's form made.
    method TEXT NOT NULL,
    -- Whether methods are allowed that take days.
    slow BOOLEAN NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('created', 'unknown', 'requires_action', 'processing', 'failed', 'authorized',
                                         'cancelled', 'captured', 'returned')),
    -- Of the state; never replaced by a lower one.
    rank INTEGER NOT NULL,
    -- The provider's name of it, where it is not our key (`pi:{purchase}:{n}`), and what its books call the money.
    intent_id TEXT,
    charge_id TEXT,
    captured_minor BIGINT NOT NULL DEFAULT 0,
    decline_code TEXT,
    -- Until when reserved money can be taken.
    capture_before_ms BIGINT,
    -- Until when the buyer may do what is asked.
    action_until_ms BIGINT,
    created_at_ms BIGINT NOT NULL,
    -- When its turn with the provider was reckoned to come.
    turn_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    -- When it was decided that nothing is sold for its money: written under the purchase's lock before the provider is asked
    -- to call it off or to give it back.
    let_go_at_ms BIGINT,
    -- How often the provider was asked about it without a last word, and when it is asked next.
    asks INTEGER NOT NULL DEFAULT 0,
    ask_at_ms BIGINT NOT NULL,
    UNIQUE (purchase_id, n),
    CHECK (captured_minor BETWEEN 0 AND amount_minor)
);
INSERT INTO payment_attempts_2 (id, purchase_id, n, provider, method, slow, amount_minor, currency, state, rank,
                                captured_minor, created_at_ms, turn_at_ms, updated_at_ms, ask_at_ms)
SELECT a.id, a.purchase_id, a.n, a.provider, a.method, false, a.amount_minor, a.currency,
       CASE a.state WHEN 'submitting' THEN 'created' WHEN 'refunded' THEN 'returned' ELSE a.state END,
       CASE a.state WHEN 'created' THEN 0 WHEN 'submitting' THEN 0 WHEN 'unknown' THEN 1 WHEN 'requires_action' THEN 2
                    WHEN 'failed' THEN 3 WHEN 'authorized' THEN 4 WHEN 'cancelled' THEN 5 WHEN 'captured' THEN 6 ELSE 7 END,
       CASE WHEN a.state IN ('captured', 'refunded') THEN a.amount_minor ELSE 0 END,
       p.placed_at_ms, p.placed_at_ms, a.updated_at_ms, a.updated_at_ms
FROM payment_attempts a
JOIN purchases p ON p.id = a.purchase_id;
DROP TABLE payment_attempts;
ALTER TABLE payment_attempts_2 RENAME TO payment_attempts;
CREATE UNIQUE INDEX payment_attempts_by_intent ON payment_attempts (intent_id) WHERE intent_id IS NOT NULL;

-- Tries whose purchase is over: whatever money they may still bring is to be let go. A list of its own, since an index by
-- state over all tries would cost every purchase something.
CREATE TABLE payments_to_end (
    purchase_id TEXT NOT NULL REFERENCES purchases (id),
    n INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    try_at_ms BIGINT NOT NULL,
    PRIMARY KEY (purchase_id, n)
);
CREATE INDEX payments_to_end_next ON payments_to_end (try_at_ms);
INSERT INTO payments_to_end (purchase_id, n, tries, try_at_ms)
SELECT a.purchase_id, a.n, 0, a.updated_at_ms
FROM payment_attempts a
JOIN purchases p ON p.id = a.purchase_id
WHERE a.rank <= 2 AND p.state IN ('refused', 'expired', 'failed', 'cancelled');

-- Why the bank said no, as far as the buyer may know.
ALTER TABLE purchases ADD COLUMN decline_code TEXT;

-- What the provider calls a customer.
CREATE TABLE provider_customers (
    provider TEXT NOT NULL,
    customer_id TEXT NOT NULL REFERENCES customers (id),
    ref TEXT NOT NULL,
    PRIMARY KEY (provider, customer_id)
);
CREATE INDEX provider_customers_by_ref ON provider_customers (provider, ref);

-- Cards that can be bought with again: a name of ours, the provider's, and what may be shown. No number.
CREATE TABLE saved_cards (
    id TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL REFERENCES customers (id),
    provider TEXT NOT NULL,
    ref TEXT NOT NULL,
    brand TEXT NOT NULL,
    last4 TEXT NOT NULL,
    exp_month INTEGER NOT NULL,
    exp_year INTEGER NOT NULL,
    saved_at_ms BIGINT NOT NULL,
    removed_at_ms BIGINT,
    UNIQUE (provider, ref)
);
CREATE INDEX saved_cards_by_customer ON saved_cards (customer_id, id) WHERE removed_at_ms IS NULL;

-- Cards that are being saved: whose they will be.
CREATE TABLE card_setups (
    provider TEXT NOT NULL,
    ref TEXT NOT NULL,
    customer_id TEXT NOT NULL REFERENCES customers (id),
    begun_at_ms BIGINT NOT NULL,
    PRIMARY KEY (provider, ref)
);

-- What the provider said, each once: kept before it is answered. Names only; what is true now is asked when it is handled.
CREATE TABLE provider_events (
    provider TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    object_kind TEXT NOT NULL CHECK (object_kind IN ('intent', 'refund', 'setup', 'other')),
    object_id TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    received_at_ms BIGINT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    try_at_ms BIGINT NOT NULL,
    handled_at_ms BIGINT,
    PRIMARY KEY (provider, id)
);
CREATE INDEX provider_events_open ON provider_events (try_at_ms) WHERE handled_at_ms IS NULL;

-- The sandbox asks buyers too, takes at once, and takes in part.
CREATE TABLE sandbox_payments_2 (
    key TEXT PRIMARY KEY,
    method TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('requires_action', 'authorized', 'captured', 'declined', 'cancelled')),
    captured_minor BIGINT NOT NULL CHECK (captured_minor BETWEEN 0 AND amount_minor),
    created_at_ms BIGINT NOT NULL
);
INSERT INTO sandbox_payments_2 (key, method, amount_minor, currency, state, captured_minor, created_at_ms)
SELECT key, CASE state WHEN 'declined' THEN 'sandbox_declined' ELSE 'sandbox_card' END, amount_minor, currency, state,
       CASE state WHEN 'captured' THEN amount_minor ELSE 0 END, created_at_ms
FROM sandbox_payments;
DROP TABLE sandbox_payments;
ALTER TABLE sandbox_payments_2 RENAME TO sandbox_payments;

CREATE TABLE sandbox_setups (
    id TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    method TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('requires_action', 'saved', 'failed')),
    created_at_ms BIGINT NOT NULL
);
