-- Who watched a live, merged from all nodes: the report's viewers.
CREATE TABLE audiences (
    live_id TEXT PRIMARY KEY REFERENCES lives (id),
    -- Over all viewers.
    watched_ms BIGINT NOT NULL CHECK (watched_ms >= 0),
    -- By HyperLogLog, about 2 % off.
    unique_viewers BIGINT NOT NULL,
    -- Its registers, Base64: what lets nodes and restarts merge.
    uniques TEXT NOT NULL
);

-- Keys that all nodes sign with. Who can read this table can pretend to be anybody for as long as a pass lives.
CREATE TABLE signing_keys (
    name TEXT PRIMARY KEY,
    secret TEXT NOT NULL
);
