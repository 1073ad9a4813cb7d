-- A census asks a tool which cases there still are. Where the one under way goes on, and when the last one that was
-- whole began; when each case was last shown, and since when it is gone: deleted, moved away or hidden.
ALTER TABLE streams ADD COLUMN census jsonb;
ALTER TABLE streams ADD COLUMN census_at timestamptz;
ALTER TABLE cases ADD COLUMN seen_at timestamptz;
ALTER TABLE cases ADD COLUMN gone_at timestamptz;

CREATE INDEX cases_gone ON cases (tenant_id, connection_id) WHERE gone_at IS NOT NULL;
