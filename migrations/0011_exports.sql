-- Files that are made in the background. As in the first file, one list for both engines.

CREATE TABLE exports (
    id TEXT PRIMARY KEY,
    brand_id TEXT NOT NULL REFERENCES brands (id),
    account_id TEXT NOT NULL REFERENCES accounts (id),
    format TEXT NOT NULL CHECK (format IN ('csv', 'xlsx', 'parquet', 'json')),
    -- What was asked for, as JSON.
    filter TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'expired')),
    -- Which node makes it, and when that last said so: one that says nothing for a while has lost it to another.
    node TEXT,
    beat_at_ms BIGINT,
    tries INTEGER NOT NULL DEFAULT 0,
    rows_total BIGINT,
    rows_done BIGINT NOT NULL DEFAULT 0,
    -- Sums over the file's rows, to be held against the report.
    units BIGINT NOT NULL DEFAULT 0,
    net_minor BIGINT NOT NULL DEFAULT 0,
    commission_minor BIGINT NOT NULL DEFAULT 0,
    bytes BIGINT NOT NULL DEFAULT 0,
    -- Of the whole file, hexadecimal.
    sha256 TEXT,
    failure TEXT,
    created_at_ms BIGINT NOT NULL,
    done_at_ms BIGINT,
    expires_at_ms BIGINT
);
CREATE INDEX exports_by_brand ON exports (brand_id, id);
CREATE INDEX exports_to_make ON exports (id) WHERE state IN ('queued', 'running');
CREATE INDEX exports_to_forget ON exports (expires_at_ms) WHERE state = 'done';

-- The file, so that every node can give it out.
CREATE TABLE export_chunks (
    export_id TEXT NOT NULL REFERENCES exports (id),
    n INTEGER NOT NULL,
    bytes BYTEA NOT NULL,
    PRIMARY KEY (export_id, n)
);

-- The audit log as a chain: each seal's digest holds the one before, so no line is changed, added in between or taken out
-- unseen. Sealed right after the commit, in the order of sealing, so that no transaction waits for another's line.
CREATE TABLE audit_unsealed (
    audit_id TEXT PRIMARY KEY REFERENCES audit_log (id)
);
INSERT INTO audit_unsealed (audit_id) SELECT id FROM audit_log;
CREATE TABLE audit_seals (
    n BIGINT PRIMARY KEY,
    audit_id TEXT NOT NULL UNIQUE,
    -- SHA-256 of the digest before and the line, hexadecimal.
    digest TEXT NOT NULL,
    sealed_at_ms BIGINT NOT NULL
);
-- What a brand's people did about it.
CREATE INDEX audit_log_by_subject ON audit_log (subject_id, id);

-- Roles of PostgreSQL that may read a brand's reporting views (see src/store/reporting.sql); SQLite has no roles.
CREATE TABLE reporting_readers (
    role TEXT NOT NULL,
    brand_id TEXT NOT NULL REFERENCES brands (id),
    allowed_at_ms BIGINT NOT NULL,
    -- Who was a reader once is never taken for the server.
    ended_at_ms BIGINT,
    PRIMARY KEY (role, brand_id)
);
