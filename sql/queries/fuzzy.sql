-- Nodes by their title, which may be misspelt or only a part of the title.
--
--     .parameter set :title "'rolback jornal'"
--     .parameter set :k 5
--
-- :title  at least three characters
-- :k      how many
--
-- The score is the share of the three-character pieces of :title that the title of the node also has. Upper and lower case
-- are the same for the letters that SQLite's lower() knows.
WITH RECURSIVE pieces (at, piece) AS (
    SELECT 1, substr(:title, 1, 3) WHERE length(:title) >= 3
    UNION ALL
    SELECT at + 1, substr(:title, at + 1, 3) FROM pieces WHERE at + 3 <= length(:title)
),
expression (text) AS (
    SELECT coalesce(group_concat('"' || replace(piece, '"', '""') || '"', ' OR '), '""') FROM pieces
),
found (seq) AS MATERIALIZED (
    -- First a few times more titles than are wanted, those with the rarest pieces. Then they are sorted by how many pieces
    -- they share.
    SELECT rowid FROM nodes_fuzzy WHERE nodes_fuzzy MATCH (SELECT text FROM expression) ORDER BY rank LIMIT 10 * :k + 50
)
SELECT round((SELECT avg(instr(lower(n.title), lower(piece)) > 0) FROM pieces), 4) AS score, n.id, n.type, n.title
FROM   found JOIN nodes AS n ON n.seq = found.seq
ORDER  BY score DESC, length(n.title), n.seq
LIMIT  :k;
