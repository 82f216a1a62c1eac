-- What customers hold and own of a product in a live, as a log: a batch writes one row for everybody in it, where it used
-- to write one for each. Memory holds the sums.

CREATE TABLE limit_log (
    live_id TEXT NOT NULL,
    product_id TEXT NOT NULL,
    -- Grows by one; two nodes that write the same next one meet here.
    n BIGINT NOT NULL,
    -- The whole sums instead of changes: what came before is gone.
    base BOOLEAN NOT NULL,
    -- JSON object, customer id -> units.
    changes TEXT NOT NULL,
    PRIMARY KEY (live_id, product_id, n)
);
INSERT INTO limit_log (live_id, product_id, n, base, changes)
SELECT live_id, product_id, 1, true, '{' || string_agg('"' || customer_id || '":' || used, ',') || '}'
FROM limit_usage
WHERE used > 0
GROUP BY live_id, product_id;
DROP TABLE limit_usage;

-- Only a shortage asked by it, which finds its purchases by their states and orders now.
DROP INDEX purchases_by_live;
