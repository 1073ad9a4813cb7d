-- A connection may wait for a person (paused, with what to do), or be over (disconnected, its events still readable).
ALTER TABLE connections ADD COLUMN paused TEXT;
ALTER TABLE connections ADD COLUMN disconnected_at TEXT;

-- A grant is refreshed by one process at a time: who does so and until when, and how many times it was begun since
-- the last time it came to an end.
ALTER TABLE credentials ADD COLUMN refresh_owner TEXT;
ALTER TABLE credentials ADD COLUMN refresh_until TEXT;
ALTER TABLE credentials ADD COLUMN refresh_begun INTEGER NOT NULL DEFAULT 0;
