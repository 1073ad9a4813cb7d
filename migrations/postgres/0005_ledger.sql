-- What a scan asked of a stream and kept of the answers: counts by operation, and by what was kept.
ALTER TABLE scan_streams ADD COLUMN ledger jsonb NOT NULL DEFAULT '{}';

-- Whose ids and names a connection keeps only as pseudonyms, and what makes those: a key of the tenant's own, sealed,
-- so that pseudonyms stay the same when the vault's keys are rotated.
ALTER TABLE connections ADD COLUMN pseudonymise text NOT NULL DEFAULT 'nobody'
    CHECK (pseudonymise IN ('nobody', 'outsiders', 'everybody'));
ALTER TABLE tenants ADD COLUMN pseudonym_key app.sealed;
