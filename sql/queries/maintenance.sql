-- Puts the house in order, and says what is wrong. Now and then, outside a transaction, when nobody is waiting: the last step
-- writes the whole file anew. Each result row is a finding, except that integrity_check says `ok`.
--
-- An index folds in what changed by INSERT INTO nodes_vec (nodes_vec) VALUES ('merge').
-- History grows for ever; DELETE FROM history WHERE at < date('now', '-1 year') is up to you.

-- What the planner knows of the data; a sample will do.
PRAGMA analysis_limit = 400;
ANALYZE;

-- Full text in one piece, and in agreement with the nodes, or an error says so. INSERT INTO nodes_text (nodes_text)
-- VALUES ('rebuild') mends it.
INSERT INTO nodes_text (nodes_text) VALUES ('optimize');
INSERT INTO nodes_text (nodes_text, rank) VALUES ('integrity-check', 1);
INSERT INTO nodes_fuzzy (nodes_fuzzy) VALUES ('optimize');
INSERT INTO nodes_fuzzy (nodes_fuzzy, rank) VALUES ('integrity-check', 1);

PRAGMA integrity_check;
PRAGMA foreign_key_check;

VACUUM;

-- Everything into the database file, and the log emptied. The first number is 1 if somebody was reading.
PRAGMA wal_checkpoint (TRUNCATE);
