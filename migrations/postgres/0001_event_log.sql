-- The server edition: many tenants, kept apart by the database itself.
--
-- Run by a role that owns the schema and is used for nothing else. What serves requests and scans logs in as a
-- member of tf_app: no superuser, no BYPASSRLS, owner of nothing, rows but no tables to change. Every table with
-- a tenant_id has FORCE ROW LEVEL SECURITY and the one policy below; without app.tenant_id set in the
-- transaction it has no rows. Keys begin with tenant_id, so that uniqueness and references stay inside a tenant.
-- Text that stands in a key is compared by its bytes: languages differ between servers, and change with them.

DO $$
BEGIN
    -- Roles belong to the whole server and may be there already, or be made by another database's migration
    -- at this very moment.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tf_app') THEN
        CREATE ROLE tf_app NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO tf_app;

CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO tf_app;

-- The tenant of this transaction; none outside of one.
CREATE FUNCTION app.current_tenant() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = ''
    AS $$ SELECT nullif(current_setting('app.tenant_id', true), '')::uuid $$;

-- What a credential looks like once sealed: never the credential itself.
CREATE DOMAIN app.sealed AS bytea CHECK (octet_length(VALUE) >= 98 AND get_byte(VALUE, 0) = 1);

CREATE TABLE tenants (
    tenant_id  uuid PRIMARY KEY,
    created_at timestamptz NOT NULL
);

-- One tool of one tenant.
CREATE TABLE connections (
    tenant_id    uuid NOT NULL REFERENCES tenants (tenant_id),
    id           uuid NOT NULL,
    name         text COLLATE "C" NOT NULL,
    tool         text NOT NULL,
    base_url     text NOT NULL,
    account_id   text NOT NULL,
    account_name text NOT NULL,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, name)
);

CREATE TABLE credentials (
    tenant_id     uuid NOT NULL,
    connection_id uuid NOT NULL,
    sealed        app.sealed NOT NULL,
    sealed_at     timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, connection_id),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);

-- What a connection follows, and how far it has been read.
CREATE TABLE streams (
    tenant_id     uuid NOT NULL,
    connection_id uuid NOT NULL,
    name          text COLLATE "C" NOT NULL,
    cursor        jsonb NOT NULL,
    PRIMARY KEY (tenant_id, connection_id, name),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);

-- One run over a connection's streams. The row is the truth, a queue's message only a hint.
-- The epoch counts claims: who writes with an older one is refused.
CREATE TABLE scans (
    tenant_id     uuid NOT NULL,
    id            uuid NOT NULL,
    connection_id uuid NOT NULL,
    state         text NOT NULL CHECK (state IN
        ('queued', 'running', 'complete', 'partial', 'deferred', 'suspicious_empty', 'failed')),
    epoch         bigint NOT NULL DEFAULT 0,
    owner         text,
    lease_until   timestamptz,
    attempts      bigint NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL,
    started_at    timestamptz,
    finished_at   timestamptz,
    until         timestamptz,
    reasons       jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX one_active_scan ON scans (tenant_id, connection_id) WHERE state IN ('queued', 'running');
CREATE INDEX scans_by_time ON scans (tenant_id, created_at);

-- What a scan did in one stream.
CREATE TABLE scan_streams (
    tenant_id   uuid NOT NULL,
    scan_id     uuid NOT NULL,
    stream      text COLLATE "C" NOT NULL,
    pages       bigint NOT NULL,
    requests    bigint NOT NULL,
    cases       bigint NOT NULL,
    events_read bigint NOT NULL,
    events_new  bigint NOT NULL,
    waited_ms   bigint NOT NULL,
    -- What could not be read, and how often.
    skipped     jsonb NOT NULL,
    PRIMARY KEY (tenant_id, scan_id, stream),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans (tenant_id, id) ON DELETE CASCADE
);

-- The event log. An id is made from what happened, so the same happening read twice is one row.
CREATE TABLE events (
    tenant_id     uuid NOT NULL,
    id            uuid NOT NULL,
    connection_id uuid NOT NULL,
    case_id       text COLLATE "C" NOT NULL,
    activity      text NOT NULL,
    resource      text,
    at            timestamptz NOT NULL,
    -- Among those of the same moment, where the tool says so.
    turn          integer NOT NULL,
    from_id       text,
    to_id         text,
    PRIMARY KEY (tenant_id, id)
);

-- Instead of a foreign key, which would be looked up once per event and take half of the time of storing a page:
-- a page is stored only behind a claim, and a claim is one of a connection.
CREATE FUNCTION app.forget_events() RETURNS trigger LANGUAGE plpgsql SET search_path = ''
    AS $$ BEGIN
        DELETE FROM public.events WHERE tenant_id = old.tenant_id AND connection_id = old.id;
        RETURN NULL;
    END $$;
CREATE TRIGGER forget_events AFTER DELETE ON connections FOR EACH ROW EXECUTE FUNCTION app.forget_events();

CREATE INDEX events_by_case ON events (tenant_id, connection_id, case_id, at, turn);
CREATE INDEX events_by_time ON events (tenant_id, at, turn, id);

-- Work items as they stood when they were last read.
CREATE TABLE cases (
    tenant_id     uuid NOT NULL,
    connection_id uuid NOT NULL,
    id            text COLLATE "C" NOT NULL,
    stream        text COLLATE "C" NOT NULL,
    key           text COLLATE "C" NOT NULL,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    status        text,
    assignee      text,
    priority      text,
    PRIMARY KEY (tenant_id, connection_id, id),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);

CREATE INDEX cases_by_key ON cases (tenant_id, key);
CREATE INDEX cases_by_stream ON cases (tenant_id, connection_id, stream);

-- The dictionary: what people call a status, a priority, a label, each other.
CREATE TABLE names (
    tenant_id     uuid NOT NULL,
    connection_id uuid NOT NULL,
    kind          text COLLATE "C" NOT NULL,
    id            text COLLATE "C" NOT NULL,
    name          text NOT NULL,
    stage         text CHECK (stage IN ('to_do', 'in_progress', 'done')),
    PRIMARY KEY (tenant_id, connection_id, kind, id),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);

-- One policy for all. The subselect is evaluated once per statement, not once per row.
DO $$
DECLARE
    relation text;
BEGIN
    FOR relation IN
        SELECT table_name FROM information_schema.columns
        WHERE table_schema = 'public' AND column_name = 'tenant_id'
    LOOP
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', relation);
        EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', relation);
        EXECUTE format('CREATE POLICY tenant_isolation ON public.%I
            USING (tenant_id = (SELECT app.current_tenant()))
            WITH CHECK (tenant_id = (SELECT app.current_tenant()))', relation);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO tf_app', relation);
    END LOOP;
END
$$;

-- The binary reads the schema's version to refuse one that is newer than itself.
GRANT SELECT ON _sqlx_migrations TO tf_app;
