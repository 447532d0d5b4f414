-- The nodes that hold the knowledge base together: those that are linked with the most other nodes come first. Among equals
-- it counts how many nodes are within two links.
--
--     .parameter set :k 10
--
-- :k  how many nodes
WITH neighbours (id, other) AS MATERIALIZED (
    SELECT source, target FROM edges WHERE source <> target
    UNION
    SELECT target, source FROM edges WHERE source <> target
),
linked (id, nodes) AS (SELECT id, count(*) FROM neighbours GROUP BY id ORDER BY count(*) DESC, id LIMIT 10 * :k),
reach (id, nodes) AS (
    SELECT id, count(*) FROM (
        SELECT l.id, b.other FROM linked AS l JOIN neighbours AS a ON a.id = l.id JOIN neighbours AS b ON b.id = a.other
        WHERE b.other <> l.id
        UNION
        SELECT l.id, a.other FROM linked AS l JOIN neighbours AS a ON a.id = l.id
    ) GROUP BY id
)
SELECT l.nodes AS linked, r.nodes AS within_two,
       (SELECT count(*) FROM edges WHERE target = l.id) AS edges_in,
       (SELECT count(*) FROM edges WHERE source = l.id) AS edges_out,
       n.id, n.type, n.title
FROM   linked AS l
JOIN   reach AS r ON r.id = l.id
JOIN   nodes AS n ON n.id = l.id
ORDER  BY l.nodes DESC, r.nodes DESC, n.id
LIMIT  :k;
