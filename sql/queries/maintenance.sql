-- Maintenance: cleans up, and says what is wrong. Run it now and then, outside a transaction, when nobody is waiting, because
-- the last step writes the whole file again. Each row of the results is a problem, except that integrity_check says `ok`.
--
-- INSERT INTO nodes_vec (nodes_vec) VALUES ('merge') puts changed rows into an index.
-- History grows without end. To shorten it: DELETE FROM history WHERE at < date('now', '-1 year').

-- What the query planner knows about the data. A sample is enough.
PRAGMA analysis_limit = 400;
ANALYZE;

-- Joins the pieces of the full text, and checks that it agrees with the nodes: if not, it is an error. To mend it:
-- INSERT INTO nodes_text (nodes_text) VALUES ('rebuild').
INSERT INTO nodes_text (nodes_text) VALUES ('optimize');
INSERT INTO nodes_text (nodes_text, rank) VALUES ('integrity-check', 1);
INSERT INTO nodes_fuzzy (nodes_fuzzy) VALUES ('optimize');
INSERT INTO nodes_fuzzy (nodes_fuzzy, rank) VALUES ('integrity-check', 1);

PRAGMA integrity_check;
PRAGMA foreign_key_check;

VACUUM;

-- Moves everything into the database file and empties the log. The first number is 1 if somebody was reading.
PRAGMA wal_checkpoint (TRUNCATE);
