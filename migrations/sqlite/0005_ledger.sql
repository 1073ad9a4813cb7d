-- What a scan asked of a stream and kept of the answers: counts by operation, and by what was kept.
ALTER TABLE scan_streams ADD COLUMN ledger TEXT NOT NULL DEFAULT '{}';

-- Whose ids and names a connection keeps only as pseudonyms, and what makes those: a key of the tenant's own, sealed,
-- so that pseudonyms stay the same when the vault's keys are rotated.
ALTER TABLE connections ADD COLUMN pseudonymise TEXT NOT NULL DEFAULT 'nobody'
    CHECK (pseudonymise IN ('nobody', 'outsiders', 'everybody'));
ALTER TABLE tenants ADD COLUMN pseudonym_key BLOB
    CHECK (pseudonym_key IS NULL OR (length(pseudonym_key) >= 98 AND substr(hex(pseudonym_key), 1, 2) = '01'));
