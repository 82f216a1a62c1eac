-- Reports: sums over the credit ledger, kept by the day and the minute. As in the first file, one list for both engines.

-- Sales and reversals that are not yet in the sums below: written with their credits, taken away in the transaction that
-- adds them. A report reads the sums and what still stands here.
CREATE TABLE sales_to_fold (
    order_id TEXT NOT NULL,
    cause_id TEXT NOT NULL,
    PRIMARY KEY (order_id, cause_id)
);
INSERT INTO sales_to_fold (order_id, cause_id) SELECT DISTINCT order_id, cause_id FROM credits;

-- Its one row is the lock of everybody who adds to the sums, and gives buyers their numbers.
CREATE TABLE folding (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    next_buyer BIGINT NOT NULL,
    turns BIGINT NOT NULL
);
INSERT INTO folding (id, next_buyer, turns) VALUES (1, 0, 0);

-- Sets of people are sets of small numbers.
CREATE TABLE buyer_numbers (
    customer_id TEXT PRIMARY KEY,
    n BIGINT NOT NULL
);

-- The day (Japan's, counted from 1970-01-01) of somebody's first order with a brand; brand '': with anybody.
CREATE TABLE first_orders (
    brand_id TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    day BIGINT NOT NULL,
    PRIMARY KEY (brand_id, customer_id)
);

-- Sums of one brand (brand '': of all) and day by what a report may be split by. An order counts once in each row.
CREATE TABLE sales_days (
    brand_id TEXT NOT NULL,
    by_what TEXT NOT NULL CHECK (by_what IN ('live', 'liver', 'product', 'sku', 'day', 'hour', 'store', 'channel', 'campaign',
                                             'staff', 'staff_day', 'brand', 'first')),
    day BIGINT NOT NULL,
    key TEXT NOT NULL,
    orders BIGINT NOT NULL,
    units BIGINT NOT NULL,
    gross_minor BIGINT NOT NULL,
    cancelled_minor BIGINT NOT NULL,
    commission_minor BIGINT NOT NULL,
    -- Who bought: numbers in rising order, as differences, seven bits a byte, Base64.
    people TEXT NOT NULL,
    PRIMARY KEY (brand_id, by_what, day, key)
);

-- Sums of one brand, live and minute (counted from 1970-01-01); product '': of all.
CREATE TABLE sales_minutes (
    live_id TEXT NOT NULL,
    brand_id TEXT NOT NULL,
    minute BIGINT NOT NULL,
    product_id TEXT NOT NULL,
    orders BIGINT NOT NULL,
    units BIGINT NOT NULL,
    gross_minor BIGINT NOT NULL,
    cancelled_minor BIGINT NOT NULL,
    commission_minor BIGINT NOT NULL,
    PRIMARY KEY (live_id, brand_id, minute, product_id)
);

-- Who watched, minute by minute (counted from 1970-01-01).
CREATE TABLE audience_minutes (
    live_id TEXT NOT NULL,
    minute BIGINT NOT NULL,
    peak BIGINT NOT NULL,
    watched_ms BIGINT NOT NULL,
    PRIMARY KEY (live_id, minute)
);

-- To how many different people a pin was shown for a second or more, and how many of them tapped it: registers of
-- HyperLogLog, Base64, as in `audiences`.
CREATE TABLE pin_audiences (
    pin_id TEXT PRIMARY KEY,
    shown_to BIGINT NOT NULL,
    shown TEXT NOT NULL,
    tapped_by BIGINT NOT NULL,
    tapped TEXT NOT NULL
);

-- Whether somebody is new to a brand, and what they buy later.
CREATE INDEX credits_by_customer ON credits (customer_id, brand_id, at_ms);
