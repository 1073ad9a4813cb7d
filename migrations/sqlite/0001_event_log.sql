-- The embedded default. One tenant by configuration; tenant_id stands in every table all the same, so that the
-- statements are the ones Postgres runs. Ids are 16-byte BLOBs, times are RFC 3339 text in UTC, which sorts.

-- "TwFl", so that the file is known to be ours, and another program's is left alone.
PRAGMA application_id = 0x5477466C;

CREATE TABLE tenants (
    tenant_id  BLOB NOT NULL PRIMARY KEY,
    created_at TEXT NOT NULL
) STRICT;

-- One tool of one tenant.
CREATE TABLE connections (
    tenant_id    BLOB NOT NULL REFERENCES tenants (tenant_id),
    id           BLOB NOT NULL,
    name         TEXT NOT NULL,
    tool         TEXT NOT NULL,
    base_url     TEXT NOT NULL,
    account_id   TEXT NOT NULL,
    account_name TEXT NOT NULL,
    created_at   TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, name)
) STRICT;

-- Sealed by the vault: 98 bytes of it are not the credential, the first says the format.
CREATE TABLE credentials (
    tenant_id     BLOB NOT NULL,
    connection_id BLOB NOT NULL,
    sealed        BLOB NOT NULL CHECK (length(sealed) >= 98 AND substr(hex(sealed), 1, 2) = '01'),
    sealed_at     TEXT NOT NULL,
    PRIMARY KEY (tenant_id, connection_id),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
) STRICT;

-- What a connection follows, and how far it has been read.
CREATE TABLE streams (
    tenant_id     BLOB NOT NULL,
    connection_id BLOB NOT NULL,
    name          TEXT NOT NULL,
    cursor        TEXT NOT NULL,
    PRIMARY KEY (tenant_id, connection_id, name),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
) STRICT;

-- One run over a connection's streams. The row is the truth, a queue's message only a hint.
-- The epoch counts claims: who writes with an older one is refused.
CREATE TABLE scans (
    tenant_id     BLOB NOT NULL,
    id            BLOB NOT NULL,
    connection_id BLOB NOT NULL,
    state         TEXT NOT NULL CHECK (state IN
        ('queued', 'running', 'complete', 'partial', 'deferred', 'suspicious_empty', 'failed')),
    epoch         INTEGER NOT NULL DEFAULT 0,
    owner         TEXT,
    lease_until   TEXT,
    attempts      INTEGER NOT NULL DEFAULT 0,
    created_at    TEXT NOT NULL,
    started_at    TEXT,
    finished_at   TEXT,
    until         TEXT,
    reasons       TEXT NOT NULL DEFAULT '[]',
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
) STRICT;

CREATE UNIQUE INDEX one_active_scan ON scans (tenant_id, connection_id) WHERE state IN ('queued', 'running');
CREATE INDEX scans_by_time ON scans (tenant_id, created_at);

-- What a scan did in one stream.
CREATE TABLE scan_streams (
    tenant_id   BLOB NOT NULL,
    scan_id     BLOB NOT NULL,
    stream      TEXT NOT NULL,
    pages       INTEGER NOT NULL,
    requests    INTEGER NOT NULL,
    cases       INTEGER NOT NULL,
    events_read INTEGER NOT NULL,
    events_new  INTEGER NOT NULL,
    waited_ms   INTEGER NOT NULL,
    -- What could not be read, and how often.
    skipped     TEXT NOT NULL,
    PRIMARY KEY (tenant_id, scan_id, stream),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans (tenant_id, id) ON DELETE CASCADE
) STRICT;

-- The event log. An id is made from what happened, so the same happening read twice is one row.
CREATE TABLE events (
    tenant_id     BLOB NOT NULL,
    id            BLOB NOT NULL,
    connection_id BLOB NOT NULL,
    case_id       TEXT NOT NULL,
    activity      TEXT NOT NULL,
    resource      TEXT,
    at            TEXT NOT NULL,
    -- Among those of the same moment, where the tool says so.
    turn          INTEGER NOT NULL,
    from_id       TEXT,
    to_id         TEXT,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
) STRICT;

CREATE INDEX events_by_case ON events (tenant_id, connection_id, case_id, at, turn);
CREATE INDEX events_by_time ON events (tenant_id, at, turn, id);

-- Work items as they stood when they were last read.
CREATE TABLE cases (
    tenant_id     BLOB NOT NULL,
    connection_id BLOB NOT NULL,
    id            TEXT NOT NULL,
    stream        TEXT NOT NULL,
    key           TEXT NOT NULL,
    created_at    TEXT NOT NULL,
    updated_at    TEXT NOT NULL,
    status        TEXT,
    assignee      TEXT,
    priority      TEXT,
    PRIMARY KEY (tenant_id, connection_id, id),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX cases_by_key ON cases (tenant_id, key);
CREATE INDEX cases_by_stream ON cases (tenant_id, connection_id, stream);

-- The dictionary: what people call a status, a priority, a label, each other.
CREATE TABLE names (
    tenant_id     BLOB NOT NULL,
    connection_id BLOB NOT NULL,
    kind          TEXT NOT NULL,
    id            TEXT NOT NULL,
    name          TEXT NOT NULL,
    stage         TEXT CHECK (stage IN ('to_do', 'in_progress', 'done')),
    PRIMARY KEY (tenant_id, connection_id, kind, id),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
