-- A sweep now reads one or several windows side by side. One that was cut short by an older version starts over from
-- its connection's mark; what it had read stays.
-- Row-level security holds for the owner, too, and no tenant is set here.
ALTER TABLE streams NO FORCE ROW LEVEL SECURITY;
UPDATE streams SET cursor = jsonb_set(cursor, '{sweep}', 'null');
ALTER TABLE streams FORCE ROW LEVEL SECURITY;
