-- Whether the knowledge base is in order: a row for each rule, with ok = 0 if the rule is broken. `make health DB=...` prints
-- the same and says how to mend it. It also says why a file cannot be opened or read at all.
--
--     sqlite3 notes.db ".load libfafcas" ".read sql/harden.sql" ".read sql/queries/health.sql"
--
-- It reads the whole file, and changes nothing: what the last rule writes is rolled back. On a read-only connection that rule
-- fails. The empty tables below cannot be made there either, which matters only if tables are missing. Without the library the
-- second SELECT is an error; all other rules are still checked.

-- A missing table would make the whole statement fail. SQLite finds these empty ones if main has no table of the name.
ATTACH ':memory:' AS absent;
CREATE TABLE absent.kit (key, value);
CREATE TABLE absent.models (seq, name, fingerprint, dimensions);
CREATE TABLE absent.nodes (seq, id, source, content, model, embedding);
CREATE TABLE absent.edges (source, target);
CREATE TABLE absent.documents (id);
CREATE TABLE absent.nodes_text_docsize (id);
CREATE TABLE absent.nodes_fuzzy_docsize (id);

-- If the file is damaged, the other rules are not checked, because reading could fail half-way.
CREATE TEMP TABLE integrity (said);
INSERT INTO integrity
SELECT replace(group_concat(quick_check, '; '), char(10), ' ') AS said
FROM  (SELECT quick_check FROM pragma_quick_check LIMIT 3);

WITH wanted (name) AS (
    VALUES ('documents'), ('edges'), ('folders'), ('history'), ('kit'), ('links'), ('models'), ('nodes'), ('nodes_fuzzy'),
           ('nodes_plain'), ('nodes_text'), ('plain_texts'), ('stale')
),
sound (yes) AS (SELECT said = 'ok' FROM temp.integrity),
-- For each rule, how many things break it.
faults (rule, expected, faults, remedy) AS (
    SELECT 'edges', 'none without a node at both ends',
           CASE WHEN yes THEN (SELECT count(*) FROM edges AS e WHERE NOT EXISTS (SELECT 1 FROM nodes WHERE id = e.source)
                                                               OR NOT EXISTS (SELECT 1 FROM nodes WHERE id = e.target)) END,
           'DELETE FROM edges WHERE source NOT IN (SELECT id FROM nodes) OR target NOT IN (SELECT id FROM nodes)' FROM sound
    UNION ALL
    SELECT 'documents', 'none without its node',
           CASE WHEN yes THEN (SELECT count(*) FROM documents AS d WHERE NOT EXISTS (SELECT 1 FROM nodes WHERE id = d.id)) END,
           'DELETE FROM documents WHERE id NOT IN (SELECT id FROM nodes); then ingest again' FROM sound
    UNION ALL
    SELECT 'hollow nodes', 'none without a source',
           CASE WHEN yes THEN (SELECT count(*) FROM nodes WHERE content IS NULL AND source IS NULL) END,
           'give them content, or say in source where it is' FROM sound
    UNION ALL
    SELECT 'full text', 'the nodes, no more and no fewer',
           CASE WHEN yes THEN (SELECT count(*) FROM nodes WHERE seq NOT IN (SELECT id FROM nodes_text_docsize))
                            + (SELECT count(*) FROM nodes_text_docsize WHERE id NOT IN (SELECT seq FROM nodes)) END,
           'INSERT INTO nodes_text (nodes_text) VALUES (''rebuild'')' FROM sound
    UNION ALL
    SELECT 'fuzzy titles', 'the nodes, no more and no fewer',
           CASE WHEN yes THEN (SELECT count(*) FROM nodes WHERE seq NOT IN (SELECT id FROM nodes_fuzzy_docsize))
                            + (SELECT count(*) FROM nodes_fuzzy_docsize WHERE id NOT IN (SELECT seq FROM nodes)) END,
           'INSERT INTO nodes_fuzzy (nodes_fuzzy) VALUES (''rebuild'')' FROM sound
    UNION ALL
    SELECT 'nodes without vectors', 'none',
           CASE WHEN yes THEN (SELECT count(*) FROM nodes WHERE embedding IS NULL) END,
           'sql/queries/reembed.sql; or ingest again' FROM sound
    UNION ALL
    SELECT 'one model', 'all vectors of the model in kit, and of their texts as they are',
           CASE WHEN yes THEN (SELECT count(*) FROM nodes WHERE embedding IS NOT NULL
                               AND model IS NOT (SELECT value FROM kit WHERE key = 'model')) END,
           'sql/queries/reembed.sql' FROM sound
    UNION ALL
    SELECT 'vector length', 'the dimensions of the model',
           CASE WHEN yes THEN (SELECT count(*) FROM nodes AS n JOIN models AS m ON m.seq = n.model
                               WHERE length(n.embedding) <> 4 * m.dimensions) END,
           'UPDATE nodes SET model = NULL where it is so; then sql/queries/reembed.sql' FROM sound
)
SELECT 'tables' AS rule, 'none missing' AS expected, coalesce(group_concat(name, ', ') || ' missing', 'none missing') AS actual,
       count(*) = 0 AS ok, 'restore a backup' AS remedy
FROM   wanted WHERE name NOT IN (SELECT name FROM main.sqlite_schema)
UNION ALL
SELECT 'schema version', '4', coalesce(CASE WHEN yes THEN (SELECT value FROM kit WHERE key = 'version') END, 'unknown'),
       coalesce(CASE WHEN yes THEN (SELECT value FROM kit WHERE key = 'version') END, 0) = 4, 'fafcas migrate DB, or make migrate DB=...'
FROM   sound
UNION ALL
SELECT 'integrity', 'ok', CASE said WHEN 'ok' THEN said ELSE (SELECT file FROM pragma_database_list WHERE name = 'main') || ': ' || said END,
       said = 'ok', 'restore a backup, or save what can be read: sqlite3 notes.db .recover'
FROM   temp.integrity
UNION ALL
SELECT rule, expected, coalesce(CASE faults WHEN 0 THEN 'as expected' ELSE faults || ' are not' END, 'not looked at: the file is damaged'),
       coalesce(faults, 1) = 0, remedy
FROM   faults;

-- The settings, and the rules for vectors: length 1, the same number of dimensions, no NaN, an index that is merged.
SELECT rule, expected, actual, ok, NULL AS remedy FROM fafcas_health('nodes', 'embedding');

-- Whether a row that is written can be read again.
BEGIN;
INSERT INTO kit (key, value) VALUES ('probe', 'written');
SELECT 'write and read' AS rule, 'written' AS expected, coalesce(max(value), 'not written') AS actual, count(*) = 1 AS ok,
       'leave to write the file and its folder; until then readers need immutable=1 or a writer that has it open' AS remedy
FROM   kit WHERE key = 'probe' AND EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = 'kit');
-- Of the probe nothing reaches the file.
ROLLBACK;

DROP TABLE temp.integrity;
DETACH absent;
