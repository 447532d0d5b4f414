-- From schema version 2 to 3: folders of notes are remembered, for `make ingest`.
-- `make migrate DB=...` runs it, after a backup. By hand: sqlite3 -bail notes.db ".read sql/migrations/3.sql"

BEGIN IMMEDIATE;

CREATE TEMP TABLE gate (step INTEGER PRIMARY KEY, said);
CREATE TEMP TRIGGER gate_version BEFORE INSERT ON gate WHEN new.step = 1 AND new.said IS NOT 2 BEGIN
    SELECT RAISE(ABORT, 'migrations/3.sql: expected a knowledge base of schema version 2');
END;
CREATE TEMP TRIGGER gate_end BEFORE INSERT ON gate WHEN new.step = 2 AND new.said < 1 BEGIN
    SELECT RAISE(ROLLBACK, 'migrations/3.sql: nothing was changed, for the reason given above');
END;
INSERT INTO gate SELECT 1, (SELECT value FROM kit WHERE key = 'version');

-- Folders of notes that `make ingest` reads: which documents came from them, and their links as they are written, so that
-- a link finds its target when that appears later.
CREATE TABLE folders (
    name TEXT PRIMARY KEY,              -- the first part of its documents' ids
    path TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE documents (
    id     TEXT PRIMARY KEY REFERENCES nodes (id) ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    folder TEXT NOT NULL REFERENCES folders (name),
    hash   TEXT NOT NULL                -- of the file and of the way it was read
) STRICT, WITHOUT ROWID;
CREATE INDEX documents_by_folder ON documents (folder);
CREATE TABLE links (
    document TEXT NOT NULL REFERENCES documents (id) ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    target   TEXT NOT NULL,
    part     TEXT NOT NULL,             -- the node in which it stands
    PRIMARY KEY (document, target)
) STRICT, WITHOUT ROWID;

UPDATE kit SET value = 3 WHERE key = 'version';

INSERT INTO gate SELECT 2, count(*) FROM gate;
DROP TABLE temp.gate;
COMMIT;
