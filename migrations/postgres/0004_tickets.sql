-- Tickets that somebody asked for: how far each got, and which one it became. What was typed is not here.
-- The id is the idempotency key: one key, at most one ticket.
CREATE TABLE tickets (
    tenant_id     uuid NOT NULL,
    id            uuid NOT NULL,
    connection_id uuid NOT NULL,
    project       text NOT NULL,
    state         text NOT NULL CHECK (state IN ('prepared', 'sending', 'created', 'unknown', 'refused')),
    -- The label it is found again by, where it has one.
    marker        text,
    issue_id      text,
    issue_key     text,
    created_at    timestamptz NOT NULL,
    settled_at    timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE,
    CHECK ((state = 'created') = (issue_id IS NOT NULL AND issue_key IS NOT NULL))
);

CREATE INDEX tickets_by_time ON tickets (tenant_id, created_at);

-- As for every table of a tenant's.
ALTER TABLE tickets ENABLE ROW LEVEL SECURITY;
ALTER TABLE tickets FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON tickets
    USING (tenant_id = (SELECT app.current_tenant()))
    WITH CHECK (tenant_id = (SELECT app.current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON tickets TO tf_app;
