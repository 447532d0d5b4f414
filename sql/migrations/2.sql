-- From schema version 1 to 2: misspelt titles are found, and history is kept.
-- `make migrate DB=...` runs it, after a backup. By hand: sqlite3 -bail notes.db ".read sql/migrations/2.sql"

BEGIN IMMEDIATE;

CREATE TEMP TABLE gate (step INTEGER PRIMARY KEY, said);
CREATE TEMP TRIGGER gate_version BEFORE INSERT ON gate WHEN new.step = 1 AND new.said IS NOT 1 BEGIN
    SELECT RAISE(ABORT, 'migrations/2.sql: expected a knowledge base of schema version 1');
END;
CREATE TEMP TRIGGER gate_end BEFORE INSERT ON gate WHEN new.step = 2 AND new.said < 1 BEGIN
    SELECT RAISE(ROLLBACK, 'migrations/2.sql: nothing was changed, for the reason given above');
END;
INSERT INTO gate SELECT 1, (SELECT value FROM kit WHERE key = 'version');

-- Pieces of three characters of titles, to find misspelt ones and parts of words.
CREATE VIRTUAL TABLE nodes_fuzzy USING fts5 (
    title, content = 'nodes', content_rowid = 'seq', tokenize = 'trigram'
);
CREATE TRIGGER nodes_fuzzy_insert AFTER INSERT ON nodes BEGIN
    INSERT INTO nodes_fuzzy (rowid, title) VALUES (new.seq, new.title);
END;
CREATE TRIGGER nodes_fuzzy_delete AFTER DELETE ON nodes BEGIN
    INSERT INTO nodes_fuzzy (nodes_fuzzy, rowid, title) VALUES ('delete', old.seq, old.title);
END;
CREATE TRIGGER nodes_fuzzy_update AFTER UPDATE OF seq, title ON nodes
WHEN (old.seq, old.title) IS NOT (new.seq, new.title) BEGIN
    INSERT INTO nodes_fuzzy (nodes_fuzzy, rowid, title) VALUES ('delete', old.seq, old.title);
    INSERT INTO nodes_fuzzy (rowid, title) VALUES (new.seq, new.title);
END;

-- What happened to nodes and edges, and what they were before. Vectors are left out: they can be made again.
CREATE TABLE history (
    seq    INTEGER PRIMARY KEY,
    at     TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    event  TEXT NOT NULL CHECK (event IN ('insert', 'update', 'delete')),
    id     TEXT NOT NULL,               -- the node's, or the edge's source
    target TEXT,                        -- the edge's target and type; NULL for nodes
    type   TEXT,
    was    TEXT                         -- the row before an update or delete, as JSON
) STRICT;
CREATE INDEX history_by_id ON history (id);

CREATE TRIGGER nodes_history_insert AFTER INSERT ON nodes BEGIN
    INSERT INTO history (event, id) VALUES ('insert', new.id);
END;
CREATE TRIGGER nodes_history_update
AFTER UPDATE OF id, type, title, domain, layer, date, hash, summary, meta, source, content ON nodes
WHEN (old.id, old.type, old.title, old.domain, old.layer, old.date, old.hash, old.summary, old.meta, old.source, old.content)
IS NOT (new.id, new.type, new.title, new.domain, new.layer, new.date, new.hash, new.summary, new.meta, new.source, new.content) BEGIN
    INSERT INTO history (event, id, was) VALUES ('update', new.id, json_object(
        'id', old.id, 'type', old.type, 'title', old.title, 'domain', old.domain, 'layer', old.layer, 'date', old.date,
        'hash', old.hash, 'summary', old.summary, 'meta', json(old.meta), 'source', old.source, 'content', old.content));
END;
CREATE TRIGGER nodes_history_delete AFTER DELETE ON nodes BEGIN
    INSERT INTO history (event, id, was) VALUES ('delete', old.id, json_object(
        'id', old.id, 'type', old.type, 'title', old.title, 'domain', old.domain, 'layer', old.layer, 'date', old.date,
        'hash', old.hash, 'summary', old.summary, 'meta', json(old.meta), 'source', old.source, 'content', old.content));
END;
CREATE TRIGGER edges_history_insert AFTER INSERT ON edges BEGIN
    INSERT INTO history (event, id, target, type) VALUES ('insert', new.source, new.target, new.type);
END;
CREATE TRIGGER edges_history_update AFTER UPDATE ON edges
WHEN (old.source, old.target, old.type, old.confidence, old.veracity, old.context_source)
IS NOT (new.source, new.target, new.type, new.confidence, new.veracity, new.context_source) BEGIN
    INSERT INTO history (event, id, target, type, was) VALUES ('update', new.source, new.target, new.type, json_object(
        'source', old.source, 'target', old.target, 'type', old.type,
        'confidence', old.confidence, 'veracity', old.veracity, 'context_source', old.context_source));
END;
CREATE TRIGGER edges_history_delete AFTER DELETE ON edges BEGIN
    INSERT INTO history (event, id, target, type, was) VALUES ('delete', old.source, old.target, old.type, json_object(
        'source', old.source, 'target', old.target, 'type', old.type,
        'confidence', old.confidence, 'veracity', old.veracity, 'context_source', old.context_source));
END;

INSERT INTO nodes_fuzzy (nodes_fuzzy) VALUES ('rebuild');
UPDATE kit SET value = 2 WHERE key = 'version';

INSERT INTO gate SELECT 2, count(*) FROM gate;
DROP TABLE temp.gate;
COMMIT;
