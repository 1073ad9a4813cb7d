-- Scans in the background. A scan is due at a time and has a rank among those of its tenant; it may wait for that time
-- in between, be cancelled, or be quarantined after ending its worker too often. Programs from before this open no more
-- scans: stop them first. Those from now on say below with which schemas they go on.
ALTER TABLE scans DROP CONSTRAINT scans_state_check;
ALTER TABLE scans ADD CONSTRAINT scans_state_check CHECK (state IN
    ('queued', 'running', 'waiting', 'complete', 'partial', 'deferred', 'suspicious_empty', 'failed', 'cancelled',
    'quarantined'));
ALTER TABLE scans
    -- Not before.
    ADD COLUMN due_at timestamptz NOT NULL DEFAULT '1970-01-01 00:00:00+00',
    -- Why it is there, the smaller first: 0 a person asked, 1 its schedule, 2 a backfill.
    ADD COLUMN rank integer NOT NULL DEFAULT 0 CHECK (rank BETWEEN 0 AND 2),
    -- How often it ended its worker since it last kept a page.
    ADD COLUMN crashes bigint NOT NULL DEFAULT 0,
    -- How often it failed as a whole for a reason that may pass.
    ADD COLUMN tries bigint NOT NULL DEFAULT 0,
    -- The kind of what went wrong, in a word.
    ADD COLUMN error text,
    -- What a backfill reads again: what changed from here on, up to there.
    ADD COLUMN since timestamptz,
    ADD COLUMN upto timestamptz,
    ADD CHECK ((rank = 2) = (since IS NOT NULL));

-- One under way for each connection, and one backfill beside it. Who is quarantined holds the place until a person acts.
DROP INDEX one_active_scan;
CREATE UNIQUE INDEX one_active_scan ON scans (tenant_id, connection_id)
    WHERE state IN ('queued', 'running', 'waiting', 'quarantined') AND rank < 2;
CREATE UNIQUE INDEX one_active_backfill ON scans (tenant_id, connection_id)
    WHERE state IN ('queued', 'running', 'waiting', 'quarantined') AND rank = 2;

-- How a scan's stream stands while it is read: for who looks on.
ALTER TABLE scan_streams ADD COLUMN doing jsonb;
-- Where a backfill goes on; what the connection follows has its own cursor.
ALTER TABLE scan_streams ADD COLUMN cursor jsonb;

-- When each connection is scanned next: every so often, or by the wall clock of a time zone.
CREATE TABLE schedules (
    tenant_id     uuid NOT NULL,
    connection_id uuid NOT NULL,
    spec          text NOT NULL DEFAULT 'every 15m',
    zone          text NOT NULL DEFAULT 'UTC',
    jitter_s      bigint CHECK (jitter_s >= 0),
    -- Never, where it is null.
    next_at       timestamptz,
    paused_at     timestamptz,
    PRIMARY KEY (tenant_id, connection_id),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);

-- Row-level security holds for the owner, too, and no tenant is set here.
ALTER TABLE connections NO FORCE ROW LEVEL SECURITY;
ALTER TABLE scans NO FORCE ROW LEVEL SECURITY;
INSERT INTO schedules (tenant_id, connection_id, next_at)
    -- A pause that a tool asked for is kept.
    SELECT tenant_id, id, greatest(now(), (SELECT max(s.until) FROM scans s
        WHERE s.tenant_id = c.tenant_id AND s.connection_id = c.id AND s.state = 'deferred'))
    FROM connections c WHERE disconnected_at IS NULL;
ALTER TABLE scans FORCE ROW LEVEL SECURITY;
ALTER TABLE connections FORCE ROW LEVEL SECURITY;

ALTER TABLE schedules ENABLE ROW LEVEL SECURITY;
ALTER TABLE schedules FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON schedules
    USING (tenant_id = (SELECT app.current_tenant()))
    WITH CHECK (tenant_id = (SELECT app.current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON schedules TO tf_app;

-- Who finds work for all tenants sees of it what these policies and columns show, changes none of it, and sees it only
-- while it acts as tf_dispatch: who is also a member of tf_app gains nothing there.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tf_dispatch') THEN
        CREATE ROLE tf_dispatch NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;
GRANT USAGE ON SCHEMA public TO tf_dispatch;
CREATE POLICY dispatch ON scans FOR SELECT TO tf_dispatch
    USING (current_user = 'tf_dispatch' AND state IN ('queued', 'running', 'waiting', 'quarantined'));
GRANT SELECT (tenant_id, id, state, epoch, rank, due_at, lease_until) ON scans TO tf_dispatch;
CREATE POLICY dispatch ON schedules FOR SELECT TO tf_dispatch
    USING (current_user = 'tf_dispatch' AND paused_at IS NULL);
GRANT SELECT (tenant_id, next_at, paused_at) ON schedules TO tf_dispatch;

CREATE INDEX scans_due ON scans (tenant_id, rank, due_at) WHERE state IN ('queued', 'waiting');
CREATE INDEX scans_running ON scans (tenant_id) WHERE state = 'running';
CREATE INDEX scans_rung ON scans (id) WHERE state IN ('queued', 'running', 'waiting', 'quarantined');
CREATE INDEX schedules_due ON schedules (next_at) WHERE paused_at IS NULL;

-- Which process does what only one should do, and until when it may.
CREATE TABLE leaders (
    job   text COLLATE "C" PRIMARY KEY,
    owner text NOT NULL,
    until timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON leaders TO tf_dispatch;

-- The oldest program that works with this schema, by the newest migration it knows: old and new ones run side by side
-- while they are replaced.
CREATE TABLE works_with (
    oldest bigint NOT NULL
);
INSERT INTO works_with (oldest) VALUES (7);
GRANT SELECT ON works_with TO tf_app;
