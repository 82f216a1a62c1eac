-- Who keeps order in a liver's lives, and how: moderators, mutes, bans, refused words, chat rules, a line on top. And
-- questions that were merged, are about a product, or begin a chapter.

-- Moderators are grants. The version grows with every change of a liver's moderators, mutes, bans and words; raising it is
-- also their lock.
CREATE TABLE moderation (
    liver_id TEXT PRIMARY KEY REFERENCES livers (id),
    version BIGINT NOT NULL
);

CREATE TABLE mutes (
    id TEXT PRIMARY KEY,
    liver_id TEXT NOT NULL REFERENCES livers (id),
    -- Only there; in all of the liver's lives when NULL.
    live_id TEXT REFERENCES lives (id),
    customer_id TEXT NOT NULL REFERENCES customers (id),
    by_account_id TEXT NOT NULL REFERENCES accounts (id),
    muted_at_ms BIGINT NOT NULL,
    -- For good when NULL.
    until_ms BIGINT,
    lifted_at_ms BIGINT
);
CREATE INDEX mutes_by_liver ON mutes (liver_id, id) WHERE lifted_at_ms IS NULL;

CREATE TABLE bans (
    id TEXT PRIMARY KEY,
    liver_id TEXT NOT NULL REFERENCES livers (id),
    customer_id TEXT NOT NULL REFERENCES customers (id),
    -- Also whoever comes from where this person came from: see ban_networks.
    with_address BOOLEAN NOT NULL,
    by_account_id TEXT NOT NULL REFERENCES accounts (id),
    banned_at_ms BIGINT NOT NULL,
    lifted_at_ms BIGINT
);
CREATE UNIQUE INDEX bans_once ON bans (liver_id, customer_id) WHERE lifted_at_ms IS NULL;

CREATE TABLE ban_networks (
    ban_id TEXT NOT NULL REFERENCES bans (id),
    -- An IPv4 address, or the /64 of an IPv6 address.
    network TEXT NOT NULL,
    PRIMARY KEY (ban_id, network)
);

CREATE TABLE refused_words (
    id TEXT PRIMARY KEY,
    liver_id TEXT NOT NULL REFERENCES livers (id),
    word TEXT NOT NULL,
    -- As it is compared.
    folded TEXT NOT NULL,
    added_at_ms BIGINT NOT NULL,
    UNIQUE (liver_id, folded)
);

-- Who left stays as a row, so that a late word cannot bring the follower back.
CREATE TABLE follows (
    liver_id TEXT NOT NULL REFERENCES livers (id),
    customer_id TEXT NOT NULL REFERENCES customers (id),
    following BOOLEAN NOT NULL,
    version BIGINT NOT NULL,
    changed_at_ms BIGINT NOT NULL,
    PRIMARY KEY (liver_id, customer_id)
);
CREATE INDEX follows_newest ON follows (liver_id, changed_at_ms);

CREATE TABLE chat_rules (
    live_id TEXT PRIMARY KEY REFERENCES lives (id),
    slow_mode_s INTEGER NOT NULL CHECK (slow_mode_s BETWEEN 0 AND 120),
    followers_only BOOLEAN NOT NULL,
    version BIGINT NOT NULL
);

CREATE TABLE chat_pins (
    live_id TEXT PRIMARY KEY REFERENCES lives (id),
    -- NULL: it was taken down.
    chat_id TEXT,
    version BIGINT NOT NULL
);

-- Whose house it concerns, so that a liver's moderators can read what was done there.
ALTER TABLE audit_log ADD COLUMN liver_id TEXT;
ALTER TABLE audit_log ADD COLUMN live_id TEXT;
CREATE INDEX audit_log_by_liver ON audit_log (liver_id, id) WHERE liver_id IS NOT NULL;

-- Questions know one state more, which their CHECK must allow.
CREATE TABLE questions_2 (
    id TEXT PRIMARY KEY,
    live_id TEXT NOT NULL REFERENCES lives (id),
    customer_id TEXT NOT NULL REFERENCES customers (id),
    author_name TEXT NOT NULL,
    text TEXT NOT NULL,
    votes INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'answering', 'answered', 'hidden', 'merged')),
    asked_at_ms BIGINT NOT NULL,
    answering_at_ms BIGINT,
    answered_at_ms BIGINT,
    -- Since the live went on air: where its answer begins.
    chapter_at_ms BIGINT,
    product_id TEXT,
    -- The question that carries its votes.
    merged_into TEXT,
    version BIGINT NOT NULL,
    demo BOOLEAN NOT NULL,
    CHECK ((state = 'merged') = (merged_into IS NOT NULL))
);
INSERT INTO questions_2 (id, live_id, customer_id, author_name, text, votes, state, asked_at_ms, answering_at_ms,
                         answered_at_ms, chapter_at_ms, version, demo)
SELECT q.id, q.live_id, q.customer_id, q.author_name, q.text, q.votes, q.state, q.asked_at_ms, q.answering_at_ms,
       q.answered_at_ms,
       CASE WHEN q.answering_at_ms > l.started_at_ms THEN q.answering_at_ms - l.started_at_ms
            WHEN q.answering_at_ms <= l.started_at_ms THEN 1 END,
       q.version, q.demo
FROM questions q
JOIN lives l ON l.id = q.live_id;
CREATE TABLE question_votes_2 (
    question_id TEXT NOT NULL REFERENCES questions_2 (id),
    customer_id TEXT NOT NULL REFERENCES customers (id),
    voted_at_ms BIGINT NOT NULL,
    PRIMARY KEY (question_id, customer_id)
);
INSERT INTO question_votes_2 (question_id, customer_id, voted_at_ms)
SELECT question_id, customer_id, voted_at_ms FROM question_votes;
DROP TABLE question_votes;
DROP TABLE questions;
ALTER TABLE questions_2 RENAME TO questions;
ALTER TABLE question_votes_2 RENAME TO question_votes;
CREATE INDEX questions_by_live ON questions (live_id, id);
CREATE UNIQUE INDEX questions_one_on_air ON questions (live_id) WHERE state = 'answering';
CREATE INDEX questions_by_votes ON questions (live_id, votes, id) WHERE state NOT IN ('hidden', 'merged');
CREATE INDEX questions_chapters ON questions (live_id, chapter_at_ms) WHERE chapter_at_ms IS NOT NULL;
