-- The nodes that a node is connected with, over a few edges in either direction, the most similar first.
--
--     .parameter set :id "'write-ahead-log'"
--     .parameter set :steps 2
--     .parameter set :k 10
--
-- :id     the node to begin with
-- :steps  how many edges to follow at most
-- :query  a vector to compare with; NULL, or not set, for the vector of the node itself
-- :k      how many nodes
--
-- UNION drops a node that was already reached in the same number of steps, so circles come to an end.
WITH RECURSIVE walk (id, steps) AS (
    SELECT id, 0 FROM nodes WHERE id = :id
    UNION
    SELECT e.target, w.steps + 1 FROM walk AS w JOIN edges AS e ON e.source = w.id WHERE w.steps < :steps
    UNION
    SELECT e.source, w.steps + 1 FROM walk AS w JOIN edges AS e ON e.target = w.id WHERE w.steps < :steps
),
reached (id, steps) AS (SELECT id, min(steps) FROM walk WHERE id <> :id GROUP BY id)
SELECT r.steps, round(vec_dot(n.embedding, coalesce(:query, origin.embedding)), 4) AS score, n.id, n.type, n.title,
       coalesce(n.content, n.summary) AS text
FROM   reached AS r
JOIN   nodes AS n ON n.id = r.id
JOIN   nodes AS origin ON origin.id = :id
ORDER  BY score DESC NULLS LAST, r.steps, n.seq
LIMIT  :k;
