-- Version 1 of the tables. The server runs this by itself where it may create a schema; otherwise run it
-- with psql as the role that shall own the tables.
-- A schema that is there already, because the role may not create one, is used.
DO $$ BEGIN
    IF to_regnamespace('extension_api') IS NULL THEN
        CREATE SCHEMA extension_api;
    END IF;
END $$;

-- Exactly one row. Whoever writes holds its lock until the commit, so revisions are committed in order.
CREATE TABLE extension_api.meta (
    id boolean PRIMARY KEY DEFAULT true CHECK (id),
    schema_version integer NOT NULL,
    -- The newest revision.
    revision bigint NOT NULL,
    -- Events up to and with this revision are forgotten.
    compacted bigint NOT NULL
);

-- What is there now. Keys are compared byte by byte, whatever the database's collation is.
CREATE TABLE extension_api.objects (
    key text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL,
    revision bigint NOT NULL
);

-- What happened: one row for each revision after meta.compacted. A value that is NULL is a delete, a
-- previous revision that is NULL a create.
CREATE TABLE extension_api.events (
    revision bigint PRIMARY KEY,
    key text COLLATE "C" NOT NULL,
    value bytea,
    previous_value bytea,
    previous_revision bigint
);

-- Revisions go on from the clock, in microseconds: clients may hold revisions of an earlier database, which
-- then are too old and not in the future.
INSERT INTO extension_api.meta (schema_version, revision, compacted)
    SELECT 1, now, now FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS clock (now);
