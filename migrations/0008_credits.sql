-- Why a sale is whose: consented touches, the brands' rules, agreed terms, and credits that name all of them. As in the
-- first file, one list for both engines.

-- Whether somebody let us note how they came to what they bought. Append-only; the newest answer counts, and stands with
-- the customer so that touches are filtered by it where they are written. NULL: not asked yet, which is no.
ALTER TABLE customers ADD COLUMN touches_allowed BOOLEAN;
CREATE TABLE consents (
    id TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL REFERENCES customers (id),
    purpose TEXT NOT NULL CHECK (purpose IN ('touches')),
    given BOOLEAN NOT NULL,
    at_ms BIGINT NOT NULL
);
CREATE INDEX consents_by_customer ON consents (customer_id, id);

-- Who serves on the floor, and the code that customers name (or that a QR or link carries).
CREATE TABLE staff_codes (
    code TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    location_id TEXT NOT NULL REFERENCES locations (id),
    display_name TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    ended_at_ms BIGINT,
    UNIQUE (account_id, location_id)
);

-- A link that somebody shares; its clicks are touches of its live and campaign.
CREATE TABLE share_links (
    code TEXT PRIMARY KEY,
    live_id TEXT NOT NULL REFERENCES lives (id),
    product_id TEXT REFERENCES products (id),
    campaign TEXT,
    created_by TEXT NOT NULL REFERENCES accounts (id),
    created_at_ms BIGINT NOT NULL
);
CREATE INDEX share_links_by_live ON share_links (live_id);

-- Touches may be of no live (a code named in a store), name a member of staff or a campaign, and tell when they were
-- written: a touch that arrived after the sale was not looked at.
CREATE TABLE touches_2 (
    id TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL REFERENCES customers (id),
    live_id TEXT,
    kind TEXT NOT NULL CHECK (kind IN ('view', 'click', 'live_purchase', 'replay', 'replay_purchase', 'link', 'coupon',
                                       'staff_code')),
    product_id TEXT,
    -- The code that was followed or named, or the coupon.
    code TEXT,
    campaign TEXT,
    at_ms BIGINT NOT NULL,
    stored_at_ms BIGINT NOT NULL,
    CHECK (live_id IS NOT NULL OR kind = 'staff_code')
);
INSERT INTO touches_2 (id, customer_id, live_id, kind, product_id, at_ms, stored_at_ms)
SELECT MIN(id), customer_id, live_id, kind, product_id, MIN(at_ms), MIN(at_ms)
FROM touches
WHERE kind IN ('view', 'click', 'replay', 'link')
GROUP BY customer_id, live_id, kind, product_id, at_ms / 60000;
INSERT INTO touches_2 (id, customer_id, live_id, kind, product_id, at_ms, stored_at_ms)
SELECT id, customer_id, live_id, kind, product_id, at_ms, at_ms
FROM touches
WHERE kind NOT IN ('view', 'click', 'replay', 'link');
DROP TABLE touches;
ALTER TABLE touches_2 RENAME TO touches;
CREATE INDEX touches_by_customer ON touches (customer_id, at_ms);
CREATE INDEX touches_by_live ON touches (live_id, kind, at_ms);
-- The same once a minute: nobody fills this table by clicking.
CREATE UNIQUE INDEX touches_once_a_minute ON touches (customer_id, kind, COALESCE(live_id, ''), COALESCE(product_id, ''), (at_ms / 60000))
    WHERE kind IN ('view', 'click', 'replay', 'link', 'staff_code');

-- A brand's rule. Append-only: the newest that began before a sale counts. Without a row the house's rule counts, which is
-- version 1 of every brand.
CREATE TABLE attribution_rules (
    brand_id TEXT NOT NULL REFERENCES brands (id),
    version INTEGER NOT NULL CHECK (version > 1),
    -- How long a click on a product, or a followed link, counts.
    click_days INTEGER NOT NULL CHECK (click_days BETWEEN 0 AND 30),
    replay_days INTEGER NOT NULL CHECK (replay_days BETWEEN 0 AND 90),
    staff_days INTEGER NOT NULL CHECK (staff_days BETWEEN 0 AND 30),
    -- What staff earn of what they helped to sell.
    staff_commission_bp INTEGER NOT NULL CHECK (staff_commission_bp BETWEEN 0 AND 10000),
    note TEXT NOT NULL,
    from_ms BIGINT NOT NULL,
    by_account_id TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (brand_id, version)
);

-- What a brand and a liver agreed on. A version is never changed; it counts from when both have accepted it.
CREATE TABLE contracts (
    id TEXT PRIMARY KEY,
    brand_id TEXT NOT NULL REFERENCES brands (id),
    liver_id TEXT NOT NULL REFERENCES livers (id),
    created_at_ms BIGINT NOT NULL,
    UNIQUE (brand_id, liver_id)
);
CREATE INDEX contracts_by_liver ON contracts (liver_id);
CREATE TABLE contract_versions (
    contract_id TEXT NOT NULL REFERENCES contracts (id),
    version INTEGER NOT NULL CHECK (version > 0),
    -- Of every product that has no rate of its own.
    rate_bp INTEGER NOT NULL CHECK (rate_bp BETWEEN 0 AND 10000),
    -- Sales of these moments.
    from_ms BIGINT NOT NULL,
    to_ms BIGINT CHECK (to_ms > from_ms),
    -- Where these are NULL the brand's rule counts.
    click_days INTEGER CHECK (click_days BETWEEN 0 AND 30),
    replay_days INTEGER CHECK (replay_days BETWEEN 0 AND 90),
    -- What a tie-up live must bear.
    pr_label TEXT NOT NULL,
    -- `reverse`: what comes back is not earned, and is taken off the next statement when it was paid.
    refund_rule TEXT NOT NULL CHECK (refund_rule IN ('reverse')),
    -- From the day of the stream, that day counted (Freelance Act, Article 4: at most 60).
    pay_within_days INTEGER NOT NULL CHECK (pay_within_days BETWEEN 1 AND 60),
    note TEXT NOT NULL,
    proposed_by TEXT NOT NULL CHECK (proposed_by IN ('brand', 'liver')),
    proposed_by_account_id TEXT NOT NULL,
    proposed_at_ms BIGINT NOT NULL,
    brand_accepted_at_ms BIGINT,
    brand_accepted_by TEXT,
    liver_accepted_at_ms BIGINT,
    liver_accepted_by TEXT,
    -- Withdrawn or declined before both had accepted.
    ended_at_ms BIGINT,
    PRIMARY KEY (contract_id, version),
    CHECK (ended_at_ms IS NULL OR brand_accepted_at_ms IS NULL OR liver_accepted_at_ms IS NULL)
);
CREATE TABLE contract_rates (
    contract_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    product_id TEXT NOT NULL REFERENCES products (id),
    rate_bp INTEGER NOT NULL CHECK (rate_bp BETWEEN 0 AND 10000),
    PRIMARY KEY (contract_id, version, product_id),
    FOREIGN KEY (contract_id, version) REFERENCES contract_versions (contract_id, version)
);

-- Credits name what was sold, where, and by which terms, so that a report is a sum over this table alone.
CREATE TABLE credits_2 (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('sale', 'reversal')),
    cause_id TEXT NOT NULL,
    order_id TEXT NOT NULL,
    order_line_id TEXT NOT NULL,
    brand_id TEXT NOT NULL,
    -- NULL: a member of staff sold it without a live.
    live_id TEXT,
    pool TEXT NOT NULL CHECK (pool IN ('liver', 'staff')),
    -- A liver, or a member of staff's account.
    party_id TEXT NOT NULL,
    product_id TEXT NOT NULL,
    sku_id TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    channel TEXT NOT NULL CHECK (channel IN ('live', 'replay', 'shop', 'store')),
    -- The store it was sold in, or whose staff helped.
    location_id TEXT,
    campaign TEXT,
    -- Units and amounts of a reversal are negative.
    qty INTEGER NOT NULL,
    base_minor BIGINT NOT NULL,
    share_bp INTEGER NOT NULL CHECK (share_bp BETWEEN 0 AND 10000),
    commission_bp INTEGER NOT NULL CHECK (commission_bp BETWEEN 0 AND 10000),
    commission_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    rule TEXT NOT NULL,
    rule_version INTEGER NOT NULL,
    -- NULL: no terms were agreed; the brand's rate counts.
    contract_id TEXT,
    contract_version INTEGER,
    evidence TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    UNIQUE (order_line_id, pool, party_id, kind, cause_id),
    CHECK ((kind = 'sale') = (cause_id = '')),
    CHECK ((contract_id IS NULL) = (contract_version IS NULL)),
    CHECK (live_id IS NOT NULL OR pool = 'staff')
);
INSERT INTO credits_2 (id, kind, cause_id, order_id, order_line_id, brand_id, live_id, pool, party_id, product_id, sku_id,
                       customer_id, channel, qty, base_minor, share_bp, commission_bp, commission_minor, currency, rule,
                       rule_version, evidence, at_ms)
SELECT c.id, c.kind, c.cause_id, c.order_id, c.order_line_id, c.brand_id, c.live_id, c.pool, c.party_id, n.product_id,
       n.sku_id, o.customer_id, 'live', c.qty, c.base_minor, c.share_bp, c.commission_bp, c.commission_minor, c.currency,
       c.rule, c.rule_version, c.evidence, c.at_ms
FROM credits c
JOIN order_lines n ON n.id = c.order_line_id
JOIN orders o ON o.id = c.order_id;
DROP TABLE credits;
ALTER TABLE credits_2 RENAME TO credits;
CREATE INDEX credits_by_brand ON credits (brand_id, at_ms, id);
CREATE INDEX credits_by_live ON credits (live_id, at_ms);
CREATE INDEX credits_by_party ON credits (party_id, at_ms, id);
CREATE INDEX credits_by_order ON credits (order_id);
