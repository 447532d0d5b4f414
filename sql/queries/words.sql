-- Nodes by the words in them, best first, with the text around the match and the match in [brackets].
--
--     .parameter set :words "'readers and writers'"
--     .parameter set :k 10
--
-- :words  any text; nodes with more of its words, and with rarer ones, come first
-- :k      how many
--
-- Accents and word endings do not matter. Each different word counts once, and of a long text the first 1,000. Each is quoted, so
-- that no character of the text is taken for FTS5's query language. To use that language, write MATCH :words instead.
WITH parted (words) AS (
    -- As JSON, where a backslash is written twice, and where NUL, which FTS5 refuses, can be replaced.
    SELECT replace(replace(replace(replace(replace(replace(json_quote(coalesce(CAST(:words AS TEXT), '')), '\\', ' '), '\"', ' '),
           '\u0000', ' '), '\t', ' '), '\n', ' '), '\r', ' ')
),
expression (text) AS (
    SELECT coalesce('"' || group_concat(value, '" OR "') || '"', '""')
    FROM   (SELECT DISTINCT value FROM parted, json_each('[' || replace(words, ' ', '","') || ']') WHERE value <> '' LIMIT 1000)
),
found (seq, score, text) AS MATERIALIZED (
    SELECT rowid, -rank, snippet(nodes_text, -1, '[', ']', '...', 16)
    FROM   nodes_text
    WHERE  nodes_text MATCH (SELECT text FROM expression)
    ORDER  BY rank, rowid
    LIMIT  :k
)
SELECT row_number() OVER (ORDER BY f.score DESC, f.seq) AS rank, round(f.score, 4) AS score, n.id, n.type, n.title, f.text
FROM   found AS f
JOIN   nodes AS n ON n.seq = f.seq
ORDER  BY f.score DESC, f.seq;
