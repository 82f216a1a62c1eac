-- Stores that open and close, and orders that are picked up there. One list for both engines.

ALTER TABLE locations ADD COLUMN phone TEXT NOT NULL DEFAULT '';
ALTER TABLE locations ADD COLUMN map_url TEXT NOT NULL DEFAULT '';
-- JSON array of `pickup`, `try_on`, `ship_from_store`.
ALTER TABLE locations ADD COLUMN services TEXT NOT NULL DEFAULT '[]';
-- JSON object: weekly [{day, opens, closes}], closed_dates. Nothing weekly: not told.
ALTER TABLE locations ADD COLUMN hours TEXT NOT NULL DEFAULT '{"weekly":[],"closed_dates":[]}';
-- What every store did before it could say otherwise.
UPDATE locations SET services = '["pickup","ship_from_store"]' WHERE kind = 'store';

CREATE TABLE pickups (
    order_id TEXT PRIMARY KEY,
    location_id TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'preparing', 'ready', 'handed_over', 'returned')),
    placed_at_ms BIGINT NOT NULL,
    -- When the store could begin: it was open. Not known of orders of before.
    due_from_ms BIGINT,
    -- Promised when it was placed.
    ready_by_ms BIGINT NOT NULL,
    preparing_at_ms BIGINT,
    ready_at_ms BIGINT,
    -- How long it took, while the store was open.
    prepared_ms BIGINT,
    -- From when on there is a code: what it is made of, and the digest by which its store finds it.
    code_token TEXT,
    code_digest TEXT,
    -- Until when it is kept, and when its customer is reminded of that.
    collect_by_ms BIGINT,
    remind_at_ms BIGINT,
    reminded_at_ms BIGINT,
    -- Who is handing it over, under which key and since when; who did, once that is its state.
    handed_by TEXT,
    handed_key TEXT,
    handing_at_ms BIGINT,
    handed_over_at_ms BIGINT,
    returned_at_ms BIGINT,
    version BIGINT NOT NULL,
    demo BOOLEAN NOT NULL,
    CHECK ((state = 'handed_over') = (handed_over_at_ms IS NOT NULL)),
    CHECK ((state = 'returned') = (returned_at_ms IS NOT NULL)),
    CHECK (state <> 'ready' OR (ready_at_ms IS NOT NULL AND code_digest IS NOT NULL AND collect_by_ms IS NOT NULL))
);
CREATE INDEX pickups_by_location ON pickups (location_id, state, order_id);
CREATE INDEX pickups_prepared ON pickups (location_id, ready_at_ms) WHERE prepared_ms IS NOT NULL;
CREATE UNIQUE INDEX pickups_by_code ON pickups (location_id, code_digest) WHERE code_digest IS NOT NULL;
CREATE UNIQUE INDEX pickups_by_key ON pickups (handed_by, handed_key) WHERE handed_key IS NOT NULL;
CREATE INDEX pickups_to_remind ON pickups (remind_at_ms) WHERE state = 'ready' AND reminded_at_ms IS NULL;
CREATE INDEX pickups_to_return ON pickups (collect_by_ms) WHERE state = 'ready';

-- Orders of before: who was to pick them up still is.
INSERT INTO pickups (order_id, location_id, customer_id, state, placed_at_ms, ready_by_ms,
                     handed_over_at_ms, returned_at_ms, version, demo)
SELECT o.id, p.pickup_location_id, o.customer_id,
       CASE WHEN p.left_at_ms IS NOT NULL THEN 'handed_over'
            WHEN p.state IN ('cancelled', 'refunded') THEN 'returned'
            ELSE 'waiting' END,
       o.placed_at_ms, o.placed_at_ms + 1800000,
       p.left_at_ms,
       CASE WHEN p.left_at_ms IS NULL AND p.state IN ('cancelled', 'refunded') THEN o.placed_at_ms END,
       1, o.demo
FROM orders o
JOIN purchases p ON p.id = o.purchase_id
WHERE p.pickup_location_id IS NOT NULL;
