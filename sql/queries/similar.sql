-- Makes edges of type `similar` between each node and those nearest to it. Edges of an earlier run that no longer fit are removed.
--
--     .parameter set :k 5
--     .parameter set :threshold 0.6
--
-- :k          how many neighbours of each node at most
-- :threshold  the lowest score that counts
--
-- A pair gets one edge, from the older node to the newer, with the score as confidence. Only edges that change are written.
SAVEPOINT similar;

CREATE TEMP TABLE pairs AS
SELECT a.id AS source, b.id AS target, min(max(score, 0.0), 1.0) AS score
FROM  (SELECT min(query_rowid, t.rowid) AS older, max(query_rowid, t.rowid) AS newer, max(t.score) AS score
       FROM   vec_topk_many('nodes', 'embedding', 'nodes', 'embedding', :k, '{"exclude_self": true}') AS t
       WHERE  t.score >= :threshold
       GROUP  BY 1, 2)
JOIN   nodes AS a ON a.seq = older
JOIN   nodes AS b ON b.seq = newer;

DELETE FROM edges
WHERE  type = 'similar' AND context_source = 'similar.sql' AND (source, target) NOT IN (SELECT source, target FROM pairs);

INSERT INTO edges (source, target, type, confidence, context_source)
SELECT source, target, 'similar', score, 'similar.sql' FROM pairs WHERE true
ON CONFLICT DO UPDATE SET confidence = excluded.confidence
WHERE  context_source IS excluded.context_source AND confidence IS NOT excluded.confidence;

DROP TABLE temp.pairs;
RELEASE similar;
