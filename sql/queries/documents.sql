-- Documents by meaning and by words: of each the best part, so that a long one is not in the list several times.
--
--     .parameter set :query "embed_query('how do readers and writers coexist')"
--     .parameter set :words "'how do readers and writers coexist'"
--     .parameter set :k 10
--
-- :query :words :k  as in hybrid.sql; :k is how many documents
--
-- A part of a document is a node whose `source` is the id of the document, as `make ingest` makes them. Any other node is a
-- document of its own. The score of a document is that of its best part, and `parts` is how many of its parts were found.
-- Documents whose best parts have the same text (a note that was copied, or is linked in two folders) are answered once, with
-- the better or older one.
--
-- `text` is the best part without the marks of Markdown and without the targets of links. `marked` is a piece of it with the words
-- that matched in [brackets]; NULL if none did. answer.sql finds the sentence that answers.
WITH parted (words) AS (
    -- As JSON, where a backslash is written twice, and where NUL, which FTS5 refuses, can be replaced.
    SELECT replace(replace(replace(replace(replace(replace(json_quote(coalesce(CAST(:words AS TEXT), '')), '\\', ' '), '\"', ' '),
           '\u0000', ' '), '\t', ' '), '\n', ' '), '\r', ' ')
),
expression (text) AS (
    SELECT coalesce('"' || group_concat(value, '" OR "') || '"', '""')
    FROM   (SELECT DISTINCT value FROM parted, json_each('[' || replace(words, ' ', '","') || ']') WHERE value <> '' LIMIT 1000)
),
found (seq, score, document, title, text) AS MATERIALIZED (
    SELECT n.seq, h.score, coalesce(whole.id, n.id), coalesce(whole.title, n.title), coalesce(n.content, n.summary, '')
    FROM   vec_hybrid('nodes', 'embedding', 'nodes_text', :query, :words, 10 * :k, json_object('fuzzy', 'nodes_fuzzy', 'spread', (
               SELECT m.spread FROM kit JOIN models AS m ON m.seq = kit.value WHERE kit.key = 'model'))) AS h
    JOIN   nodes AS n ON n.seq = h.rowid
    LEFT   JOIN nodes AS whole ON whole.id = n.source
),
parts AS (
    SELECT *, row_number() OVER (PARTITION BY document ORDER BY score DESC, seq) AS place,
           count(*) OVER (PARTITION BY document) AS parts
    FROM   found
),
-- A text that is empty says nothing about what is the same.
different AS (
    SELECT *, row_number() OVER (PARTITION BY CASE text WHEN '' THEN document ELSE text END, text = '' ORDER BY score DESC, seq) AS copy
    FROM   parts WHERE place = 1
),
best AS MATERIALIZED (
    SELECT seq, score, document, title, text, parts FROM different WHERE copy = 1 ORDER BY score DESC, seq LIMIT :k
),
marks (seq, marked) AS MATERIALIZED (
    SELECT rowid, snippet(nodes_text, -1, char(2), char(3), '...', 24)
    FROM   nodes_text
    WHERE  nodes_text MATCH (SELECT text FROM expression) AND +rowid IN (SELECT seq FROM best)
),
shown (seq, text, marked) AS (
    SELECT b.seq, coalesce(p.content, p.summary, ''), m.marked
    FROM   best AS b
    JOIN   nodes_plain AS p ON p.seq = b.seq
    LEFT   JOIN marks AS m ON m.seq = b.seq
)
SELECT row_number() OVER (ORDER BY b.score DESC, b.seq) AS rank, round(b.score, 4) AS score, b.document AS id, b.title, b.parts,
       trim(replace(replace(replace(replace(replace(replace(replace(s.text, '**', ''), '__', ''), '`', ''), '![', ''), '[', ''), ']', ''),
           '#', '')) AS text,
       trim(replace(replace(replace(replace(replace(replace(replace(replace(replace(s.marked, '**', ''), '__', ''), '`', ''), '![', ''),
           '[', ''), ']', ''), '#', ''), char(2), '['), char(3), ']')) AS marked
FROM   best AS b
JOIN   shown AS s ON s.seq = b.seq
ORDER  BY b.score DESC, b.seq;
