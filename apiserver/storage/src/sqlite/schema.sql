-- Version 1 of the tables.

-- Exactly one row.
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- The newest revision.
    revision INTEGER NOT NULL,
    -- Events up to and with this revision are forgotten.
    compacted INTEGER NOT NULL,
    -- 1 in a backup: whoever opens it begins a new history.
    is_copy INTEGER NOT NULL
) STRICT;

-- What is there now. Texts are compared byte by byte. Not WITHOUT ROWID: rows are long, and the file would be twice
-- as large and take a third of the writes (measured with values of 2 kB).
CREATE TABLE objects (
    key TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL,
    revision INTEGER NOT NULL
) STRICT;

-- What happened: one row for each revision after meta.compacted. A value that is NULL is a delete, a previous
-- revision that is NULL a create.
CREATE TABLE events (
    revision INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    value BLOB,
    previous_value BLOB,
    previous_revision INTEGER
) STRICT;
