-- Who watched a live for three seconds or more, beside who came at all: what conversion is reckoned by. Of lives before,
-- nobody counted.
ALTER TABLE audiences ADD COLUMN watchers BIGINT NOT NULL DEFAULT 0;
-- Registers of HyperLogLog, Base64, as `uniques`.
ALTER TABLE audiences ADD COLUMN watcher_registers TEXT NOT NULL DEFAULT '';
