-- Webhooks that leave: what brands' systems are told of (Standard Webhooks).

CREATE TABLE webhook_endpoints (
    id TEXT PRIMARY KEY,
    brand_id TEXT NOT NULL REFERENCES brands (id),
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    -- Names of events, between commas.
    events TEXT NOT NULL,
    -- In base64. Those of before sign beside it for a while, so that a receiver may change without a gap: a JSON array of
    -- objects, secret and until_ms.
    secret TEXT NOT NULL,
    old_secrets TEXT NOT NULL DEFAULT '[]',
    state TEXT NOT NULL CHECK (state IN ('active', 'paused', 'disabled')),
    disabled_because TEXT CHECK (disabled_because IN ('gone', 'failing')),
    -- Since when nothing has come through.
    failing_since_ms BIGINT,
    delivered_at_ms BIGINT,
    created_at_ms BIGINT NOT NULL,
    CHECK ((state = 'disabled') = (disabled_because IS NOT NULL))
);
CREATE INDEX webhook_endpoints_by_brand ON webhook_endpoints (brand_id, id);

-- What was said, byte for byte, so that every try says the same. Written in the transaction that makes it true.
CREATE TABLE webhook_messages (
    id TEXT PRIMARY KEY,
    event TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL
);
CREATE INDEX webhook_messages_to_forget ON webhook_messages (created_at_ms);

-- A message on its way to one address. No foreign key to the address: one that is taken away in the same moment must not
-- refuse the sale that is told to it.
CREATE TABLE webhook_deliveries (
    endpoint_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed')),
    tries INTEGER NOT NULL,
    -- When it is tried next; whoever tries it moves that on first, so nobody else does, and somebody will if they die.
    next_at_ms BIGINT NOT NULL,
    status INTEGER,
    fault TEXT,
    last_at_ms BIGINT,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (endpoint_id, message_id)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_at_ms) WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_failed ON webhook_deliveries (endpoint_id) WHERE state = 'failed';
CREATE INDEX webhook_deliveries_to_forget ON webhook_deliveries (created_at_ms);
