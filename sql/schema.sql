-- The knowledge base: nodes with FAFCAS vectors, edges between them, full text, and a history. Schema version 4.
--
--     sqlite3 -bail notes.db ".read sql/schema.sql"
--
-- It is plain SQL for SQLite 3.38 or later with FTS5, and does not need the library. To run it twice changes nothing. `make
-- migrate` updates an older knowledge base. A database that has other tables of these names is refused.
--
-- The script is one transaction. A program that runs it rolls back if it fails. The shell goes on after an error unless it was
-- started with -bail; in that case the gate at the end takes everything back.
--
-- To write, use UPSERT (INSERT ... ON CONFLICT ... DO UPDATE), never REPLACE. REPLACE first deletes the row and its edges, and
-- unless recursive_triggers is on, full text and history do not notice.

BEGIN IMMEDIATE;

CREATE TEMP TABLE gate (step INTEGER PRIMARY KEY, said);
CREATE TEMP TRIGGER gate_names BEFORE INSERT ON gate WHEN new.step = 1 AND new.said > 0 BEGIN
    SELECT RAISE(ABORT, 'schema.sql: expected a database without tables kit, nodes, edges and so on, not one that has its own; give the knowledge base another file');
END;
CREATE TEMP TRIGGER gate_older BEFORE INSERT ON gate WHEN new.step = 2 AND new.said < 4 BEGIN
    SELECT RAISE(ABORT, 'schema.sql: expected a new database or schema version 4, not an older one; run fafcas migrate DB, or make migrate DB=...');
END;
CREATE TEMP TRIGGER gate_newer BEFORE INSERT ON gate WHEN new.step = 2 AND new.said > 4 BEGIN
    SELECT RAISE(ABORT, 'schema.sql: expected schema version 4, not a newer one; use the kit that made this database');
END;
CREATE TEMP TRIGGER gate_end BEFORE INSERT ON gate WHEN new.step = 3 AND new.said < 3 BEGIN
    SELECT RAISE(ROLLBACK, 'schema.sql: nothing was changed, for the reason given above');
END;

INSERT INTO gate
SELECT 1, count(*) FROM main.sqlite_schema
WHERE  name IN ('kit', 'models', 'nodes', 'edges', 'nodes_text', 'nodes_fuzzy', 'history', 'folders', 'documents', 'links', 'stale',
                'plain_texts', 'nodes_plain')
AND    NOT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = 'kit' AND sql LIKE '%fafcas knowledge base%');

CREATE TABLE IF NOT EXISTS kit (    -- fafcas knowledge base
    key   TEXT PRIMARY KEY NOT NULL,    -- 'version' of this schema; 'model' that vectors have to be of, as models.seq
    value ANY
) STRICT, WITHOUT ROWID;

INSERT INTO gate SELECT 2, (SELECT value FROM kit WHERE key = 'version');
INSERT INTO kit VALUES ('version', 4) ON CONFLICT DO NOTHING;

-- The models that made the vectors. Vectors with different fingerprints must not be compared.
CREATE TABLE IF NOT EXISTS models (
    seq         INTEGER PRIMARY KEY,
    name        TEXT NOT NULL,
    fingerprint TEXT NOT NULL UNIQUE,
    dimensions  INTEGER NOT NULL,
    spread      REAL CHECK (spread > 0)     -- how far the cosines of its vectors lie apart; NULL where that is not known
) STRICT;

-- If the content of a node is NULL, its text is kept elsewhere and `source` says where. Such a node is called hollow.
-- The vector stands before the long text, so that a scan reaches it without reading the text's overflow pages.
CREATE TABLE IF NOT EXISTS nodes (
    seq       INTEGER PRIMARY KEY,      -- what searches return; VACUUM leaves it alone
    id        TEXT NOT NULL UNIQUE CHECK (id <> ''),
    type      TEXT NOT NULL DEFAULT 'note',
    title     TEXT NOT NULL,
    domain    TEXT,                     -- subject
    layer     TEXT,                     -- level: raw, summary, principle, or what you like
    date      TEXT,                     -- ISO 8601, so that text order is time order
    hash      TEXT,                     -- of the text, kept by whoever writes it; needed where the content lives outside
    model     INTEGER REFERENCES models (seq),  -- that the vector is of; NULL once the text has changed
    embedding BLOB CHECK (length(embedding) > 0 AND length(embedding) % 4 = 0),
    summary   TEXT,
    meta      TEXT CHECK (meta IS NULL OR json_valid(meta)),
    source    TEXT,                     -- file, page, or id of the whole that this is a part of
    content   TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS nodes_by_type ON nodes (type, domain, date);
CREATE INDEX IF NOT EXISTS nodes_by_domain ON nodes (domain, date) WHERE domain IS NOT NULL;
CREATE INDEX IF NOT EXISTS nodes_by_date ON nodes (date) WHERE date IS NOT NULL;
CREATE INDEX IF NOT EXISTS nodes_by_source ON nodes (source) WHERE source IS NOT NULL;
CREATE INDEX IF NOT EXISTS nodes_by_hash ON nodes (hash) WHERE hash IS NOT NULL;
CREATE INDEX IF NOT EXISTS nodes_by_model ON nodes (model);

-- An edge says: source relates to target. Within one transaction, edges may be written before their nodes.
CREATE TABLE IF NOT EXISTS edges (
    source         TEXT NOT NULL REFERENCES nodes (id) ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    target         TEXT NOT NULL REFERENCES nodes (id) ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    type           TEXT NOT NULL DEFAULT 'related',
    confidence     REAL NOT NULL DEFAULT 1.0 CHECK (confidence BETWEEN 0.0 AND 1.0),  -- of whoever states it
    veracity       REAL CHECK (veracity BETWEEN 0.0 AND 1.0),                         -- as found by examining it
    context_source TEXT,                                                             -- where it is stated
    PRIMARY KEY (source, target, type)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS edges_by_target ON edges (target);

-- The texts without the targets of links, which are not what a note says: only of nodes that have links. nodes_plain has all.
CREATE TABLE IF NOT EXISTS plain_texts (
    seq   INTEGER NOT NULL,
    field TEXT NOT NULL,                -- of the columns of nodes: title, summary or content
    text  TEXT,
    PRIMARY KEY (seq, field)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS plain_texts_insert AFTER INSERT ON plain_texts BEGIN
    -- Cut at each sign of a target, so that the time grows with the length alone.
    -- [text](target): what has no sign of an address is no target: list[3](x).
    UPDATE plain_texts SET text = (
        SELECT group_concat(CASE
                   WHEN key = 0 THEN value
                   WHEN substr(value, 1, instr(value, ')') - 1) GLOB '*[./#:]*' AND instr(value, ')') > 0
                   THEN ']' || substr(value, instr(value, ')') + 1)
                   ELSE '](' || value END, '')
        FROM  (SELECT key, value FROM json_each('[' || replace(json_quote(new.text), '](', '","') || ']') ORDER BY key)
    ) WHERE seq = new.seq AND field = new.field;
    -- [[target|text]] likewise, but not [[ a || b ]].
    UPDATE plain_texts SET text = (
        SELECT group_concat(CASE
                   WHEN key = 0 THEN value
                   WHEN substr(value, 1, instr(value, ']]') - 1) GLOB '*||*' OR instr(value, ']]') = 0 THEN '[[' || value
                   ELSE '[[' || substr(value, instr(substr(value, 1, instr(value, ']]') - 1), '|') + 1) END, '')
        FROM  (SELECT key, value FROM json_each('[' || replace(json_quote(text), '[[', '","') || ']') ORDER BY key)
    ) WHERE seq = new.seq AND field = new.field;
END;
CREATE VIEW IF NOT EXISTS nodes_plain AS
SELECT seq,
       coalesce((SELECT p.text FROM plain_texts AS p WHERE p.seq = n.seq AND p.field = 'title'), title) AS title,
       coalesce((SELECT p.text FROM plain_texts AS p WHERE p.seq = n.seq AND p.field = 'summary'), summary) AS summary,
       coalesce((SELECT p.text FROM plain_texts AS p WHERE p.seq = n.seq AND p.field = 'content'), content) AS content
FROM   nodes AS n;

-- Words without accents and endings: "Études" finds "etude". The text itself is stored only in nodes and plain_texts.
CREATE VIRTUAL TABLE IF NOT EXISTS nodes_text USING fts5 (
    title, summary, content, content = 'nodes_plain', content_rowid = 'seq', tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE TRIGGER IF NOT EXISTS nodes_text_insert AFTER INSERT ON nodes BEGIN
    -- Left over where REPLACE removed a node without a word.
    DELETE FROM plain_texts WHERE seq = new.seq;
    INSERT INTO plain_texts (seq, field, text)
    SELECT new.seq, 'title', new.title WHERE instr(new.title, '](') > 0 OR instr(new.title, '[[') > 0
    UNION ALL
    SELECT new.seq, 'summary', new.summary WHERE instr(new.summary, '](') > 0 OR instr(new.summary, '[[') > 0
    UNION ALL
    SELECT new.seq, 'content', new.content WHERE instr(new.content, '](') > 0 OR instr(new.content, '[[') > 0;
    INSERT INTO nodes_text (rowid, title, summary, content) SELECT seq, title, summary, content FROM nodes_plain WHERE seq = new.seq;
END;
CREATE TRIGGER IF NOT EXISTS nodes_text_delete AFTER DELETE ON nodes BEGIN
    INSERT INTO nodes_text (nodes_text, rowid, title, summary, content)
    SELECT 'delete', old.seq,
           coalesce((SELECT text FROM plain_texts WHERE seq = old.seq AND field = 'title'), old.title),
           coalesce((SELECT text FROM plain_texts WHERE seq = old.seq AND field = 'summary'), old.summary),
           coalesce((SELECT text FROM plain_texts WHERE seq = old.seq AND field = 'content'), old.content);
    DELETE FROM plain_texts WHERE seq = old.seq;
END;
CREATE TRIGGER IF NOT EXISTS nodes_text_update AFTER UPDATE OF seq, title, summary, content ON nodes
WHEN (old.seq, old.title, old.summary, old.content) IS NOT (new.seq, new.title, new.summary, new.content) BEGIN
    INSERT INTO nodes_text (nodes_text, rowid, title, summary, content)
    SELECT 'delete', old.seq,
           coalesce((SELECT text FROM plain_texts WHERE seq = old.seq AND field = 'title'), old.title),
           coalesce((SELECT text FROM plain_texts WHERE seq = old.seq AND field = 'summary'), old.summary),
           coalesce((SELECT text FROM plain_texts WHERE seq = old.seq AND field = 'content'), old.content);
    DELETE FROM plain_texts WHERE seq = old.seq;
    INSERT INTO plain_texts (seq, field, text)
    SELECT new.seq, 'title', new.title WHERE instr(new.title, '](') > 0 OR instr(new.title, '[[') > 0
    UNION ALL
    SELECT new.seq, 'summary', new.summary WHERE instr(new.summary, '](') > 0 OR instr(new.summary, '[[') > 0
    UNION ALL
    SELECT new.seq, 'content', new.content WHERE instr(new.content, '](') > 0 OR instr(new.content, '[[') > 0;
    INSERT INTO nodes_text (rowid, title, summary, content) SELECT seq, title, summary, content FROM nodes_plain WHERE seq = new.seq;
END;

-- The old vector stays until there is a new one, but it is marked as older than the text.
CREATE TRIGGER IF NOT EXISTS nodes_model_update AFTER UPDATE OF title, summary, content, hash ON nodes
WHEN new.model IS NOT NULL AND (old.model, old.embedding) IS (new.model, new.embedding)
AND  (old.title, old.summary, old.content, old.hash) IS NOT (new.title, new.summary, new.content, new.hash) BEGIN
    UPDATE nodes SET model = NULL WHERE seq = new.seq;
END;

-- The titles in pieces of three characters, to find misspelt titles and parts of words.
CREATE VIRTUAL TABLE IF NOT EXISTS nodes_fuzzy USING fts5 (
    title, content = 'nodes', content_rowid = 'seq', tokenize = 'trigram'
);
CREATE TRIGGER IF NOT EXISTS nodes_fuzzy_insert AFTER INSERT ON nodes BEGIN
    INSERT INTO nodes_fuzzy (rowid, title) VALUES (new.seq, new.title);
END;
CREATE TRIGGER IF NOT EXISTS nodes_fuzzy_delete AFTER DELETE ON nodes BEGIN
    INSERT INTO nodes_fuzzy (nodes_fuzzy, rowid, title) VALUES ('delete', old.seq, old.title);
END;
CREATE TRIGGER IF NOT EXISTS nodes_fuzzy_update AFTER UPDATE OF seq, title ON nodes
WHEN (old.seq, old.title) IS NOT (new.seq, new.title) BEGIN
    INSERT INTO nodes_fuzzy (nodes_fuzzy, rowid, title) VALUES ('delete', old.seq, old.title);
    INSERT INTO nodes_fuzzy (rowid, title) VALUES (new.seq, new.title);
END;

-- What happened to nodes and edges, and their values before. Vectors are left out, because they can be made again.
CREATE TABLE IF NOT EXISTS history (
    seq    INTEGER PRIMARY KEY,
    at     TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    event  TEXT NOT NULL CHECK (event IN ('insert', 'update', 'delete')),
    id     TEXT NOT NULL,               -- the node's, or the edge's source
    target TEXT,                        -- the edge's target and type; NULL for nodes
    type   TEXT,
    was    TEXT                         -- the row before an update or delete, as JSON
) STRICT;
CREATE INDEX IF NOT EXISTS history_by_id ON history (id);

CREATE TRIGGER IF NOT EXISTS nodes_history_insert AFTER INSERT ON nodes BEGIN
    INSERT INTO history (event, id) VALUES ('insert', new.id);
END;
CREATE TRIGGER IF NOT EXISTS nodes_history_update
AFTER UPDATE OF id, type, title, domain, layer, date, hash, summary, meta, source, content ON nodes
WHEN (old.id, old.type, old.title, old.domain, old.layer, old.date, old.hash, old.summary, old.meta, old.source, old.content)
IS NOT (new.id, new.type, new.title, new.domain, new.layer, new.date, new.hash, new.summary, new.meta, new.source, new.content) BEGIN
    INSERT INTO history (event, id, was) VALUES ('update', new.id, json_object(
        'id', old.id, 'type', old.type, 'title', old.title, 'domain', old.domain, 'layer', old.layer, 'date', old.date,
        'hash', old.hash, 'summary', old.summary, 'meta', json(old.meta), 'source', old.source, 'content', old.content));
END;
CREATE TRIGGER IF NOT EXISTS nodes_history_delete AFTER DELETE ON nodes BEGIN
    INSERT INTO history (event, id, was) VALUES ('delete', old.id, json_object(
        'id', old.id, 'type', old.type, 'title', old.title, 'domain', old.domain, 'layer', old.layer, 'date', old.date,
        'hash', old.hash, 'summary', old.summary, 'meta', json(old.meta), 'source', old.source, 'content', old.content));
END;
CREATE TRIGGER IF NOT EXISTS edges_history_insert AFTER INSERT ON edges BEGIN
    INSERT INTO history (event, id, target, type) VALUES ('insert', new.source, new.target, new.type);
END;
CREATE TRIGGER IF NOT EXISTS edges_history_update AFTER UPDATE ON edges
WHEN (old.source, old.target, old.type, old.confidence, old.veracity, old.context_source)
IS NOT (new.source, new.target, new.type, new.confidence, new.veracity, new.context_source) BEGIN
    INSERT INTO history (event, id, target, type, was) VALUES ('update', new.source, new.target, new.type, json_object(
        'source', old.source, 'target', old.target, 'type', old.type,
        'confidence', old.confidence, 'veracity', old.veracity, 'context_source', old.context_source));
END;
CREATE TRIGGER IF NOT EXISTS edges_history_delete AFTER DELETE ON edges BEGIN
    INSERT INTO history (event, id, target, type, was) VALUES ('delete', old.source, old.target, old.type, json_object(
        'source', old.source, 'target', old.target, 'type', old.type,
        'confidence', old.confidence, 'veracity', old.veracity, 'context_source', old.context_source));
END;

-- The folders of notes that `make ingest` reads, the documents in them, and the links as they are written. So a link finds its
-- target even if that appears later.
CREATE TABLE IF NOT EXISTS folders (
    name TEXT PRIMARY KEY,              -- the first part of its documents' ids
    path TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS documents (
    id     TEXT PRIMARY KEY REFERENCES nodes (id) ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    folder TEXT NOT NULL REFERENCES folders (name),
    hash   TEXT NOT NULL                -- of the file and of the way it was read
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS documents_by_folder ON documents (folder);
CREATE TABLE IF NOT EXISTS links (
    document TEXT NOT NULL REFERENCES documents (id) ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    target   TEXT NOT NULL,
    part     TEXT NOT NULL,             -- the node in which it stands
    PRIMARY KEY (document, target)
) STRICT, WITHOUT ROWID;

-- The texts whose vector is missing, is from another model, or is older than the text. `embed_rows` can read this view directly.
CREATE VIEW IF NOT EXISTS stale AS
SELECT n.seq AS rowid, p.title || '. ' || coalesce(p.content, p.summary, '') AS text
FROM   nodes AS n JOIN nodes_plain AS p ON p.seq = n.seq
WHERE  n.model IS NOT coalesce((SELECT value FROM kit WHERE key = 'model'), 0);

INSERT INTO gate SELECT 3, count(*) + (SELECT count(*) FROM main.sqlite_schema WHERE name = 'stale') FROM gate;
DROP TABLE temp.gate;
COMMIT;
