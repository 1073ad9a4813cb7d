-- A sweep now reads one or several windows side by side. One that was cut short by an older version starts over from
-- its connection's mark; what it had read stays.
UPDATE streams SET cursor = json_set(cursor, '$.sweep', NULL);
