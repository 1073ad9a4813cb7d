-- A census asks a tool which cases there still are. Where the one under way goes on, and when the last one that was
-- whole began; when each case was last shown, and since when it is gone: deleted, moved away or hidden.
ALTER TABLE streams ADD COLUMN census TEXT;
ALTER TABLE streams ADD COLUMN census_at TEXT;
ALTER TABLE cases ADD COLUMN seen_at TEXT;
ALTER TABLE cases ADD COLUMN gone_at TEXT;

CREATE INDEX cases_gone ON cases (tenant_id, connection_id) WHERE gone_at IS NOT NULL;
