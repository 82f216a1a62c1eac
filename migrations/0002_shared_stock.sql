-- Baskets, quotas, waitlists, shortages. As in the first file, one list for both engines.

-- Purchases: several lines, one row. The old single line becomes the first one.

ALTER TABLE offers ADD COLUMN quota BIGINT CHECK (quota > 0);
-- Units held and sold under this offer, less what was given back.
ALTER TABLE offers ADD COLUMN taken BIGINT NOT NULL DEFAULT 0;
UPDATE offers SET taken = (
    SELECT COALESCE(SUM(p.qty), 0) FROM purchases p
    WHERE p.offer_id = offers.id AND p.state IN ('held', 'paying', 'requires_action', 'authorized', 'captured', 'fulfilled'));

-- JSON array: offer_id, product_id, sku_id, qty, unit_price_minor, tax_rate_bp, allocation (location id -> units).
ALTER TABLE purchases ADD COLUMN lines TEXT NOT NULL DEFAULT '[]';
UPDATE purchases SET lines =
    '[{"offer_id":"' || offer_id || '","product_id":"' || product_id || '","sku_id":"' || sku_id || '","qty":' || qty
    || ',"unit_price_minor":' || unit_price_minor || ',"tax_rate_bp":' || tax_rate_bp || ',"allocation":' || allocation
    || '}]';
ALTER TABLE purchases DROP COLUMN offer_id;
ALTER TABLE purchases DROP COLUMN product_id;
ALTER TABLE purchases DROP COLUMN sku_id;
ALTER TABLE purchases DROP COLUMN allocation;
ALTER TABLE purchases DROP COLUMN qty;
ALTER TABLE purchases DROP COLUMN unit_price_minor;
ALTER TABLE purchases DROP COLUMN tax_rate_bp;
-- When the goods left the shelf; until then they stand there, promised (stock.held). Before this version they left when
-- they were paid for.
ALTER TABLE purchases ADD COLUMN left_at_ms BIGINT;
UPDATE purchases SET left_at_ms = placed_at_ms WHERE state IN ('authorized', 'captured', 'fulfilled', 'refunded');
-- Units of a paid purchase that stand nowhere: a physical fact took them.
ALTER TABLE purchases ADD COLUMN short_units BIGINT NOT NULL DEFAULT 0;
-- Picked up here; shipped when NULL.
ALTER TABLE purchases ADD COLUMN pickup_location_id TEXT;
-- The place on the waitlist that this hold was given for.
ALTER TABLE purchases ADD COLUMN wait_id TEXT;
-- The batch of the sequencer that changed it last; batch_id is the one that reserved the units.
ALTER TABLE purchases ADD COLUMN last_batch_id TEXT NOT NULL DEFAULT '';
UPDATE purchases SET last_batch_id = batch_id;
CREATE INDEX purchases_short ON purchases (id) WHERE short_units > 0;

-- The ledger has more causes.

CREATE TABLE stock_entries_2 (
    id TEXT PRIMARY KEY,
    sku_id TEXT NOT NULL,
    location_id TEXT NOT NULL,
    -- `sell` until the first file's version: paid goods left the shelf at once. Now `ship`, when they leave it.
    kind TEXT NOT NULL CHECK (kind IN ('hold', 'release', 'expire', 'sell', 'ship', 'receive', 'till_sale', 'count',
                                       'return', 'found', 'break', 'move', 'short', 'fill')),
    on_hand_delta BIGINT NOT NULL,
    held_delta BIGINT NOT NULL,
    -- What caused it: a batch of the sequencer (its purchases name the same batch), or a fact of stock_facts.
    batch_id TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    UNIQUE (batch_id, sku_id, location_id, kind)
);
INSERT INTO stock_entries_2 (id, sku_id, location_id, kind, on_hand_delta, held_delta, batch_id, at_ms)
SELECT id, sku_id, location_id, kind, on_hand_delta, held_delta, batch_id, at_ms FROM stock_entries;
DROP TABLE stock_entries;
ALTER TABLE stock_entries_2 RENAME TO stock_entries;
CREATE INDEX stock_entries_by_sku ON stock_entries (sku_id, location_id);

-- What tills, counts and goods-in said, each once under its caller's key; `answer` is the one answer.
CREATE TABLE stock_facts (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    key TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('adjustment', 'sale', 'count')),
    location_id TEXT NOT NULL,
    answer TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    UNIQUE (account_id, key)
);

-- Who wants the next released units, in order of arrival (the id grows).
CREATE TABLE waitlist (
    id TEXT PRIMARY KEY,
    offer_id TEXT NOT NULL,
    product_id TEXT NOT NULL,
    sku_id TEXT NOT NULL,
    live_id TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    qty BIGINT NOT NULL CHECK (qty > 0),
    -- The price and the sheet that were shown on joining; another price lapses the place.
    price_minor BIGINT NOT NULL,
    confirmation_hash TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'offered', 'left', 'lapsed')),
    reason TEXT,
    purchase_id TEXT,
    joined_at_ms BIGINT NOT NULL,
    version BIGINT NOT NULL,
    demo BOOLEAN NOT NULL
);
CREATE UNIQUE INDEX waitlist_once ON waitlist (offer_id, customer_id) WHERE state = 'waiting';
CREATE INDEX waitlist_next ON waitlist (sku_id, id) WHERE state = 'waiting';
CREATE INDEX waitlist_by_customer ON waitlist (customer_id, id);

-- Where a location is, in millionths of a degree: nearest first.
ALTER TABLE locations ADD COLUMN latitude_e6 BIGINT CHECK (latitude_e6 BETWEEN -90000000 AND 90000000);
ALTER TABLE locations ADD COLUMN longitude_e6 BIGINT CHECK (longitude_e6 BETWEEN -180000000 AND 180000000);

-- What merchants call their goods: how an import finds them again.
ALTER TABLE products ADD COLUMN handle TEXT;
CREATE UNIQUE INDEX products_by_handle ON products (brand_id, handle) WHERE handle IS NOT NULL;
ALTER TABLE skus ADD COLUMN code TEXT;
CREATE UNIQUE INDEX skus_by_code ON skus (brand_id, code) WHERE code IS NOT NULL;
CREATE INDEX skus_by_jan ON skus (jan) WHERE jan IS NOT NULL;
