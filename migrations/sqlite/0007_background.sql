-- Scans in the background. A scan is due at a time and has a rank among others; it may wait for that time in between, be
-- cancelled, or be quarantined after ending its worker too often.
DROP INDEX one_active_scan;
ALTER TABLE scans ADD COLUMN stands TEXT NOT NULL DEFAULT 'queued' CHECK (stands IN
    ('queued', 'running', 'waiting', 'complete', 'partial', 'deferred', 'suspicious_empty', 'failed', 'cancelled',
    'quarantined'));
UPDATE scans SET stands = state;
ALTER TABLE scans DROP COLUMN state;
ALTER TABLE scans RENAME COLUMN stands TO state;
-- Not before.
ALTER TABLE scans ADD COLUMN due_at TEXT NOT NULL DEFAULT '1970-01-01T00:00:00+00:00';
-- Why it is there, the smaller first: 0 a person asked, 1 its schedule, 2 a backfill.
ALTER TABLE scans ADD COLUMN rank INTEGER NOT NULL DEFAULT 0 CHECK (rank BETWEEN 0 AND 2);
-- How often it ended its worker since it last kept a page.
ALTER TABLE scans ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;
-- How often it failed as a whole for a reason that may pass.
ALTER TABLE scans ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
-- The kind of what went wrong, in a word.
ALTER TABLE scans ADD COLUMN error TEXT;
-- What a backfill reads again: what changed from here on, up to there.
ALTER TABLE scans ADD COLUMN since TEXT;
ALTER TABLE scans ADD COLUMN upto TEXT;

-- One under way for each connection, and one backfill beside it. Who is quarantined holds the place until a person acts.
CREATE UNIQUE INDEX one_active_scan ON scans (tenant_id, connection_id)
    WHERE state IN ('queued', 'running', 'waiting', 'quarantined') AND rank < 2;
CREATE UNIQUE INDEX one_active_backfill ON scans (tenant_id, connection_id)
    WHERE state IN ('queued', 'running', 'waiting', 'quarantined') AND rank = 2;

-- How a scan's stream stands while it is read: for who looks on.
ALTER TABLE scan_streams ADD COLUMN doing TEXT;
-- Where a backfill goes on; what the connection follows has its own cursor.
ALTER TABLE scan_streams ADD COLUMN cursor TEXT;

-- When each connection is scanned next: every so often, or by the wall clock of a time zone.
CREATE TABLE schedules (
    tenant_id     BLOB NOT NULL,
    connection_id BLOB NOT NULL,
    spec          TEXT NOT NULL DEFAULT 'every 15m',
    zone          TEXT NOT NULL DEFAULT 'UTC',
    jitter_s      INTEGER CHECK (jitter_s >= 0),
    -- Never, where it is null.
    next_at       TEXT,
    paused_at     TEXT,
    PRIMARY KEY (tenant_id, connection_id),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
) STRICT;

INSERT INTO schedules (tenant_id, connection_id, next_at)
    -- A pause that a tool asked for is kept.
    SELECT tenant_id, id, coalesce((SELECT max(s.until) FROM scans s WHERE s.tenant_id = c.tenant_id
        AND s.connection_id = c.id AND s.state = 'deferred'), '1970-01-01T00:00:00+00:00')
    FROM connections c WHERE disconnected_at IS NULL;

CREATE INDEX scans_due ON scans (tenant_id, rank, due_at) WHERE state IN ('queued', 'waiting');
CREATE INDEX scans_running ON scans (tenant_id) WHERE state = 'running';
CREATE INDEX schedules_due ON schedules (next_at) WHERE paused_at IS NULL;

-- Which process does what only one should do, and until when it may.
CREATE TABLE leaders (
    job   TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    until TEXT NOT NULL
) STRICT;
