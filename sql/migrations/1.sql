-- Schema version 1, in an empty database: nodes with vectors, edges, and full text.

BEGIN IMMEDIATE;

CREATE TABLE kit (    -- fafcas knowledge base
    key   TEXT PRIMARY KEY NOT NULL,    -- 'version' of this schema; 'model' that vectors have to be of, as models.seq
    value ANY
) STRICT, WITHOUT ROWID;

INSERT INTO kit VALUES ('version', 1);

-- Models that vectors came from. Vectors of two fingerprints do not belong into one search.
CREATE TABLE models (
    seq         INTEGER PRIMARY KEY,
    name        TEXT NOT NULL,
    fingerprint TEXT NOT NULL UNIQUE,
    dimensions  INTEGER NOT NULL
) STRICT;

-- A node may be hollow: its content lives outside, and `source` says where.
-- The vector stands before the long text, so that a scan reads it without walking the text's overflow pages.
CREATE TABLE nodes (
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
CREATE INDEX nodes_by_type ON nodes (type, domain, date);
CREATE INDEX nodes_by_domain ON nodes (domain, date) WHERE domain IS NOT NULL;
CREATE INDEX nodes_by_date ON nodes (date) WHERE date IS NOT NULL;
CREATE INDEX nodes_by_source ON nodes (source) WHERE source IS NOT NULL;
CREATE INDEX nodes_by_hash ON nodes (hash) WHERE hash IS NOT NULL;
CREATE INDEX nodes_by_model ON nodes (model);

-- A statement: source relates to target. Nodes may come after their edges within one transaction.
CREATE TABLE edges (
    source         TEXT NOT NULL REFERENCES nodes (id) ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    target         TEXT NOT NULL REFERENCES nodes (id) ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    type           TEXT NOT NULL DEFAULT 'related',
    confidence     REAL NOT NULL DEFAULT 1.0 CHECK (confidence BETWEEN 0.0 AND 1.0),  -- of whoever states it
    veracity       REAL CHECK (veracity BETWEEN 0.0 AND 1.0),                         -- as found by examining it
    context_source TEXT,                                                             -- where it is stated
    PRIMARY KEY (source, target, type)
) STRICT, WITHOUT ROWID;
CREATE INDEX edges_by_target ON edges (target);

-- Words, with accents and endings taken off: "Études" finds "etude". The text itself is stored in nodes alone.
CREATE VIRTUAL TABLE nodes_text USING fts5 (
    title, summary, content, content = 'nodes', content_rowid = 'seq', tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE TRIGGER nodes_text_insert AFTER INSERT ON nodes BEGIN
    INSERT INTO nodes_text (rowid, title, summary, content) VALUES (new.seq, new.title, new.summary, new.content);
END;
CREATE TRIGGER nodes_text_delete AFTER DELETE ON nodes BEGIN
    INSERT INTO nodes_text (nodes_text, rowid, title, summary, content)
    VALUES ('delete', old.seq, old.title, old.summary, old.content);
END;
CREATE TRIGGER nodes_text_update AFTER UPDATE OF seq, title, summary, content ON nodes
WHEN (old.seq, old.title, old.summary, old.content) IS NOT (new.seq, new.title, new.summary, new.content) BEGIN
    INSERT INTO nodes_text (nodes_text, rowid, title, summary, content)
    VALUES ('delete', old.seq, old.title, old.summary, old.content);
    INSERT INTO nodes_text (rowid, title, summary, content) VALUES (new.seq, new.title, new.summary, new.content);
END;

-- The vector stays until there is a better one, but it is no longer the text's.
CREATE TRIGGER nodes_model_update AFTER UPDATE OF title, summary, content, hash ON nodes
WHEN new.model IS NOT NULL AND (old.model, old.embedding) IS (new.model, new.embedding)
AND  (old.title, old.summary, old.content, old.hash) IS NOT (new.title, new.summary, new.content, new.hash) BEGIN
    UPDATE nodes SET model = NULL WHERE seq = new.seq;
END;

-- The texts whose vectors are missing, of another model, or older than the text. `embed_rows` takes it as it is.
CREATE VIEW stale AS
SELECT seq AS rowid, title || '. ' || coalesce(content, summary, '') AS text
FROM   nodes
WHERE  model IS NOT coalesce((SELECT value FROM kit WHERE key = 'model'), 0);

COMMIT;
