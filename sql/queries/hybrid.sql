-- Nodes by meaning and by words at once. The two lists are combined by reciprocal rank fusion.
--
--     .parameter set :query "embed('how do readers and writers coexist')"
--     .parameter set :words "'how do readers and writers coexist'"
--     .parameter set :k 10
--
-- :query  a vector; NULL for words alone
-- :words  any text, usually the same; '' for vectors alone
-- :k      how many
--
-- by_vector and by_words are the places of a node in the two lists. They are NULL if it is not among the first 10 * k of a list.
WITH expression (text) AS (
    SELECT '"' || replace(replace(replace(coalesce(:words, ''), '"', ' '), char(10), ' '), ' ', '" OR "') || '"'
),
words (seq, place) AS MATERIALIZED (
    SELECT seq, row_number() OVER (ORDER BY rank, seq)
    FROM   (SELECT rowid AS seq, rank FROM nodes_text WHERE nodes_text MATCH (SELECT text FROM expression)
            ORDER BY rank LIMIT 10 * :k)
),
vectors (seq, place) AS MATERIALIZED (
    SELECT rowid, rank FROM vec_topk('nodes', 'embedding', :query, 10 * :k)
),
-- A FULL JOIN would do the same, but SQLite has it only from 3.39 on.
merged (seq, by_vector, by_words) AS (
    SELECT seq, max(by_vector), max(by_words)
    FROM   (SELECT seq, place AS by_vector, NULL AS by_words FROM vectors UNION ALL SELECT seq, NULL, place FROM words)
    GROUP  BY seq
),
best (seq, by_vector, by_words, score) AS MATERIALIZED (
    SELECT seq, by_vector, by_words, rrf(by_vector, by_words) AS score FROM merged ORDER BY score DESC, seq LIMIT :k
)
SELECT row_number() OVER (ORDER BY b.score DESC, b.seq) AS rank, round(b.score, 4) AS score, n.id, n.type, n.title,
       coalesce(n.content, n.summary) AS text, b.by_vector, b.by_words
FROM   best AS b
JOIN   nodes AS n ON n.seq = b.seq
ORDER  BY b.score DESC, b.seq;
