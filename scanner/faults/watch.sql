-- Laid over the product's tables by the fault program, as superuser: what a look now and then would miss.
-- A mark, or what a sweep has seen so far, that moves back is written down by the very statement that moves it.

CREATE SCHEMA watch;

CREATE TABLE watch.back (
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    connection_id uuid NOT NULL,
    stream        text NOT NULL,
    old           jsonb NOT NULL,
    new           jsonb NOT NULL
);

CREATE FUNCTION watch.cursor() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
    AS $$ BEGIN
        IF coalesce((new.cursor ->> 'mark')::timestamptz < (old.cursor ->> 'mark')::timestamptz,
                new.cursor ->> 'mark' IS NULL AND old.cursor ->> 'mark' IS NOT NULL)
            OR new.cursor #>> '{sweep,began}' = old.cursor #>> '{sweep,began}'
                AND (new.cursor #>> '{sweep,cases}')::bigint < (old.cursor #>> '{sweep,cases}')::bigint
            OR (new.cursor #>> '{sweep,began}')::timestamptz < (old.cursor #>> '{sweep,began}')::timestamptz
        THEN
            INSERT INTO watch.back (connection_id, stream, old, new)
                VALUES (new.connection_id, new.name, old.cursor, new.cursor);
        END IF;
        RETURN NULL;
    END $$;

CREATE TRIGGER watch AFTER UPDATE OF cursor ON public.streams FOR EACH ROW EXECUTE FUNCTION watch.cursor();
