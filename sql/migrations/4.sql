-- From schema version 3 to 4: the targets of links are no longer a part of the text, for full text and for vectors. A model has
-- its spread beside its fingerprint.
-- `make migrate DB=...` runs it, after a backup. By hand: sqlite3 -bail notes.db ".read sql/migrations/4.sql"

BEGIN IMMEDIATE;

CREATE TEMP TABLE gate (step INTEGER PRIMARY KEY, said);
CREATE TEMP TRIGGER gate_version BEFORE INSERT ON gate WHEN new.step = 1 AND new.said IS NOT 3 BEGIN
    SELECT RAISE(ABORT, 'migrations/4.sql: expected a knowledge base of schema version 3');
END;
CREATE TEMP TRIGGER gate_end BEFORE INSERT ON gate WHEN new.step = 2 AND new.said < 1 BEGIN
    SELECT RAISE(ROLLBACK, 'migrations/4.sql: nothing was changed, for the reason given above');
END;
INSERT INTO gate SELECT 1, (SELECT value FROM kit WHERE key = 'version');

-- Made anew rather than altered, so that its text is that of schema.sql. Until then, nodes may refer to models that are not there.
PRAGMA defer_foreign_keys = ON;
CREATE TEMP TABLE older AS SELECT * FROM models;
DROP TABLE models;
CREATE TABLE models (
    seq         INTEGER PRIMARY KEY,
    name        TEXT NOT NULL,
    fingerprint TEXT NOT NULL UNIQUE,
    dimensions  INTEGER NOT NULL,
    spread      REAL CHECK (spread > 0)     -- how far the cosines of its vectors lie apart; NULL where that is not known
) STRICT;
INSERT INTO models (seq, name, fingerprint, dimensions) SELECT seq, name, fingerprint, dimensions FROM temp.older;
DROP TABLE temp.older;

DROP TRIGGER nodes_text_insert;
DROP TRIGGER nodes_text_delete;
DROP TRIGGER nodes_text_update;
DROP TABLE nodes_text;
DROP VIEW stale;

-- The texts without the targets of links, which are not what a note says: only of nodes that have links. nodes_plain has all.
CREATE TABLE plain_texts (
    seq   INTEGER NOT NULL,
    field TEXT NOT NULL,                -- of the columns of nodes: title, summary or content
    text  TEXT,
    PRIMARY KEY (seq, field)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER plain_texts_insert AFTER INSERT ON plain_texts BEGIN
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
CREATE VIEW nodes_plain AS
SELECT seq,
       coalesce((SELECT p.text FROM plain_texts AS p WHERE p.seq = n.seq AND p.field = 'title'), title) AS title,
       coalesce((SELECT p.text FROM plain_texts AS p WHERE p.seq = n.seq AND p.field = 'summary'), summary) AS summary,
       coalesce((SELECT p.text FROM plain_texts AS p WHERE p.seq = n.seq AND p.field = 'content'), content) AS content
FROM   nodes AS n;

CREATE VIRTUAL TABLE nodes_text USING fts5 (
    title, summary, content, content = 'nodes_plain', content_rowid = 'seq', tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE TRIGGER nodes_text_insert AFTER INSERT ON nodes BEGIN
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
CREATE TRIGGER nodes_text_delete AFTER DELETE ON nodes BEGIN
    INSERT INTO nodes_text (nodes_text, rowid, title, summary, content)
    SELECT 'delete', old.seq,
           coalesce((SELECT text FROM plain_texts WHERE seq = old.seq AND field = 'title'), old.title),
           coalesce((SELECT text FROM plain_texts WHERE seq = old.seq AND field = 'summary'), old.summary),
           coalesce((SELECT text FROM plain_texts WHERE seq = old.seq AND field = 'content'), old.content);
    DELETE FROM plain_texts WHERE seq = old.seq;
END;
CREATE TRIGGER nodes_text_update AFTER UPDATE OF seq, title, summary, content ON nodes
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
CREATE VIEW stale AS
SELECT n.seq AS rowid, p.title || '. ' || coalesce(p.content, p.summary, '') AS text
FROM   nodes AS n JOIN nodes_plain AS p ON p.seq = n.seq
WHERE  n.model IS NOT coalesce((SELECT value FROM kit WHERE key = 'model'), 0);

INSERT INTO plain_texts (seq, field, text)
SELECT seq, 'title', title FROM nodes WHERE instr(title, '](') > 0 OR instr(title, '[[') > 0
UNION ALL
SELECT seq, 'summary', summary FROM nodes WHERE instr(summary, '](') > 0 OR instr(summary, '[[') > 0
UNION ALL
SELECT seq, 'content', content FROM nodes WHERE instr(content, '](') > 0 OR instr(content, '[[') > 0;
INSERT INTO nodes_text (nodes_text) VALUES ('rebuild');

-- Their vectors are of other texts now.
UPDATE nodes SET model = NULL WHERE seq IN (SELECT seq FROM plain_texts);

UPDATE kit SET value = 4 WHERE key = 'version';

INSERT INTO gate SELECT 2, count(*) FROM gate;
DROP TABLE temp.gate;
COMMIT;
