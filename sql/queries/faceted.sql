-- Of what types and domains the nearest nodes are: how many there are of each, and the best one of each.
--
--     .parameter set :query "embed_query('storms')"
--     .parameter set :k 100
--
-- :query  a vector
-- :k      how many of the nearest to count
WITH near (seq, score) AS MATERIALIZED (
    SELECT rowid, score FROM vec_topk('nodes', 'embedding', :query, :k)
),
-- Beside max(), SQLite takes the other columns from the row that has the maximum.
facets AS (
    SELECT 'type' AS facet, n.type AS value, count(*) AS nodes, max(near.score) AS score, n.title AS best
    FROM   near JOIN nodes AS n ON n.seq = near.seq
    GROUP  BY n.type
    UNION ALL
    SELECT 'domain', n.domain, count(*), max(near.score), n.title
    FROM   near JOIN nodes AS n ON n.seq = near.seq
    WHERE  n.domain IS NOT NULL
    GROUP  BY n.domain
)
SELECT facet, value, nodes, round(score, 4) AS score, best
FROM   facets
ORDER  BY facet DESC, nodes DESC, score DESC, value;
