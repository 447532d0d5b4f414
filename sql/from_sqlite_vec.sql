-- Moves a vec0 table of sqlite-vec into an ordinary table, which fafcas searches.
--
-- This is one statement. Its rows are the SQL that moves the table: run them in order. Two parameters say what to move: :source is the
-- name of the vec0 table, :target that of the new table. There are no rows if the database has no table :source. In the sqlite3 shell,
-- started with -bail, and with sqlite-vec loaded:
--
--     .parameter init
--     .parameter set :source 'vec_items'
--     .parameter set :target 'items'
--     .once move.sql
--     .read sql/from_sqlite_vec.sql
--     .read move.sql
--
-- Metadata, partition keys and auxiliary columns become ordinary columns, and vectors keep their bytes. A text key stays the primary
-- key. An integer key does, too; without a key the rowids are kept. The vec0 table stays: drop it when you have seen the new one.
-- All is one transaction: if a statement fails, run ROLLBACK, and nothing is left behind.
WITH visible AS (
    SELECT cid, name, printf('"%w"', name) AS quoted, pk OR cid = 0 AND name = 'rowid' AS is_key
    FROM pragma_table_xinfo(:source)
    WHERE hidden = 0
),
-- Which type the key has: vec0 keeps the keys of rows in a table of its own, and texts in a column of that type.
key_type AS (
    SELECT CASE WHEN EXISTS (
        SELECT 1 FROM pragma_table_xinfo(:source || '_rowids') AS own
        WHERE own.name = 'id' AND own.type = 'TEXT' COLLATE NOCASE
    ) THEN 'TEXT PRIMARY KEY NOT NULL' ELSE 'INTEGER PRIMARY KEY' END AS declared
),
columns AS (
    SELECT group_concat(quoted, ', ') AS names, group_concat(quoted || CASE WHEN is_key THEN ' ' || declared ELSE '' END, ', ') AS declared
    FROM (SELECT * FROM visible, key_type ORDER BY cid)
)
SELECT line FROM (
    SELECT 1 AS step, 'BEGIN;' AS line
    UNION ALL
    SELECT 2, printf('CREATE TABLE "%w" (%s);', :target, declared) FROM columns
    UNION ALL
    SELECT 3, printf('INSERT INTO "%w" (%s) SELECT %s FROM "%w";', :target, names, names, :source) FROM columns
    UNION ALL
    SELECT 4, 'COMMIT;'
), columns WHERE columns.names IS NOT NULL ORDER BY step;
