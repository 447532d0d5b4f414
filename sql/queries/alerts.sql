-- What wants a person: a row for each, with what to do. No row means that all is well. It works on any database, of the kit or not.
--
--     sqlite3 notes.db ".load libfafcas" ".read sql/queries/alerts.sql"
--
-- Run it outside a transaction. It reads every row of each indexed column. The first four alerts are about searches of the process
-- that runs it, since it began or since DELETE FROM vec_stats: a program that runs for a long time asks for them on its own
-- connection, with any bounds that suit it. `fafcas health` adds these rows to its own, and looks at the size of the WAL.

-- A database that is not the kit's has no such tables, or others of the names. SQLite finds these empty ones if main has none, and
-- the columns of `absent` below if a table has no column of the name.
ATTACH ':memory:' AS absent;
CREATE TABLE absent.kit (key, value);
CREATE TABLE absent.nodes (embedding, content, model);

WITH bounds (p95_ms, errors_in_1000, evictions_in_1000) AS (VALUES (250.0, 10, 100)),
-- Each index has a trigger that names its column. SQLite keeps the names in it right when something is renamed.
watched (index_name, table_name, rest) AS (
    SELECT substr(name, 1, length(name) - length('_update')), tbl_name,
           substr(sql, instr(sql, ' AFTER UPDATE OF "') + length(' AFTER UPDATE OF "'))
    FROM   main.sqlite_schema
    WHERE  type = 'trigger' AND name LIKE '%\_update' ESCAPE '\' AND sql LIKE '% AFTER UPDATE OF "%'
    AND    sql LIKE '%\_pending" (rid, token) VALUES (new.rowid, random()); END' ESCAPE '\'
),
columns (index_name, table_name, column_name) AS (
    SELECT index_name, 'main."' || replace(table_name, '"', '""') || '"',
           replace(substr(rest, 1, instr(rest, '" ON "') - 1), '""', '"')
    FROM   watched
),
found (alert, subject, what, todo) AS (
    SELECT 'slow searches', source || '.' || column_name, 'one in 20 took more than ' || CAST(s.p95_ms AS INTEGER) || ' ms',
           'SELECT fafcas_config(''trace'', 1000); later run sql/queries/slow.sql, which says why'
    FROM   vec_stats AS s, bounds AS b WHERE s.p95_ms > b.p95_ms AND searches >= 20 AND source <> 'embed'
    UNION ALL
    SELECT 'small cache', source || '.' || column_name,
           CASE WHEN cache_passing > 0 THEN 'the last search read ' || cache_passing || ' blocks of codes from the file'
                ELSE cache_evictions || ' blocks were dropped in ' || searches || ' searches' END,
           'SELECT fafcas_config(''cache_bytes'', ...) with more bytes, as far as the machine has them; all indexes here want '
           || (SELECT sum(cache_wanted) FROM vec_stats)
    FROM   vec_stats, bounds
    WHERE  (cache_passing > 0 OR cache_evictions * 1000 > searches * evictions_in_1000) AND source <> 'embed'
    UNION ALL
    SELECT 'errors', source || '.' || column_name, (errors - errors_interrupted) || ' of ' || (searches + errors) || ' calls failed',
           'see errors_mistake, errors_busy and so on in vec_stats, and the messages in vec_trace'
    FROM   vec_stats, bounds
    WHERE  (errors - errors_interrupted) * 1000 > (searches + errors) * errors_in_1000 AND errors - errors_interrupted >= 3
    UNION ALL
    SELECT 'damage', source || '.' || column_name, errors_damaged || ' calls met a damaged database, and ' || errors_bug || ' a bug',
           'PRAGMA integrity_check; INSERT INTO name(name) VALUES (''rebuild'') for an index, a backup for a table; report a bug'
    FROM   vec_stats WHERE errors_damaged + errors_bug > 0
    UNION ALL
    SELECT h.rule, c.table_name || '.' || c.column_name, 'expected ' || h.expected || ', not ' || h.actual,
           CASE h.rule WHEN 'index' THEN 'INSERT INTO "' || c.index_name || '"("' || c.index_name || '") VALUES (''merge''); if that does not help, ''rebuild'''
                       WHEN 'stored_code' THEN 'make these views and triggers TEMP'
                       ELSE 'mend these rows, or set them to NULL' END
    FROM   columns AS c, fafcas_health(c.table_name, c.column_name) AS h
    WHERE  NOT h.ok AND h.rule IN ('index', 'stored_code', 'source', 'readable', 'vectors', 'finite', 'dimensions')
    UNION ALL
    SELECT 'missing vectors', 'nodes', missing || ' nodes with content have no vector', 'sql/queries/reembed.sql, until stale is empty'
    FROM  (SELECT (SELECT count(*) FROM nodes WHERE embedding IS NULL AND content IS NOT NULL) AS missing
           FROM (SELECT NULL AS embedding, NULL AS content) AS absent)
    WHERE  missing > 0
    UNION ALL
    SELECT 'another model', 'nodes', other || ' vectors are of another model than kit names', 'sql/queries/reembed.sql, until stale is empty'
    FROM  (SELECT (SELECT count(*) FROM nodes WHERE embedding IS NOT NULL
                   AND model <> (SELECT value FROM kit WHERE key = 'model')) AS other
           FROM (SELECT NULL AS embedding, NULL AS model, NULL AS key, NULL AS value) AS absent)
    WHERE  other > 0
)
SELECT DISTINCT alert, subject, what, todo FROM found;

DETACH absent;
