-- Tickets that somebody asked for: how far each got, and which one it became. What was typed is not here.
-- The id is the idempotency key: one key, at most one ticket.
CREATE TABLE tickets (
    tenant_id     BLOB NOT NULL,
    id            BLOB NOT NULL,
    connection_id BLOB NOT NULL,
    project       TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('prepared', 'sending', 'created', 'unknown', 'refused')),
    -- The label it is found again by, where it has one.
    marker        TEXT,
    issue_id      TEXT,
    issue_key     TEXT,
    created_at    TEXT NOT NULL,
    settled_at    TEXT,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE,
    CHECK ((state = 'created') = (issue_id IS NOT NULL AND issue_key IS NOT NULL))
) STRICT;

CREATE INDEX tickets_by_time ON tickets (tenant_id, created_at);
