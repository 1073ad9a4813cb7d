-- A connection may wait for a person (paused, with what to do), or be over (disconnected, its events still readable).
ALTER TABLE connections ADD COLUMN paused text;
ALTER TABLE connections ADD COLUMN disconnected_at timestamptz;

-- A grant is refreshed by one process at a time: who does so and until when, and how many times it was begun since
-- the last time it came to an end.
ALTER TABLE credentials ADD COLUMN refresh_owner text;
ALTER TABLE credentials ADD COLUMN refresh_until timestamptz;
ALTER TABLE credentials ADD COLUMN refresh_begun bigint NOT NULL DEFAULT 0;
