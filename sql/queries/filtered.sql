-- The nearest of the nodes that meet conditions. It gives :limit nodes whenever that many meet them.
--
--     .parameter set :query "embed_query('something warm to eat')"
--     .parameter set :type "'recipe'"
--     .parameter set :limit 10
--
-- :query                  a vector
-- :type :domain :layer    equal to these; NULL, or not set, for any
-- :since :until           date from, and date before; NULL for any
-- :tag                    one of the array `tags` in meta; NULL for any
-- :author                 the text of `author` in meta; NULL for any
-- :limit                  how many
--
-- vec_topk without k gives all nodes, best first. rank is the place among all of them. vec_hybrid without k does the same for
-- hybrid search:
--
--     SELECT h.rank, n.id FROM vec_hybrid('nodes', 'embedding', 'nodes_text', :query, :words) AS h JOIN nodes AS n ON n.seq = h.rowid
--     WHERE  EXISTS (SELECT 1 FROM json_each(n.meta, '$.tags') WHERE value = :tag)
--     ORDER  BY h.rank LIMIT :limit;
--
-- Here each node is looked at until enough were found. If few of many nodes meet the conditions, let an index give those few.
-- sql/examples/tags.sql makes a table of tags and an index of authors. The plan of both is `lookup`, or `index`, whichever is faster for so many:
--
--     SELECT t.rowid FROM vec_topk('nodes', 'embedding', :query) AS t
--     WHERE  t.rowid IN (SELECT seq FROM tags WHERE tag = :tag) ORDER BY t.score DESC LIMIT :limit;
--         SCAN t VIRTUAL TABLE INDEX ...: scan or lookup ... rowid IN (?)
--         SEARCH tags USING PRIMARY KEY (tag=?)
--     SELECT t.rowid FROM vec_topk('nodes', 'embedding', :query) AS t
--     WHERE  t.rowid IN (SELECT seq FROM nodes WHERE json_extract(meta, '$.author') = :author AND meta IS NOT NULL)
--     ORDER  BY t.score DESC LIMIT :limit;
--         SCAN t VIRTUAL TABLE INDEX ...: scan or lookup ... rowid IN (?)
--         SEARCH nodes USING INDEX nodes_by_author (<expr>=?)
SELECT t.rank, round(t.score, 4) AS score, n.id, n.type, n.domain, n.date, n.title, coalesce(n.content, n.summary) AS text
FROM   vec_topk('nodes', 'embedding', :query) AS t
JOIN   nodes AS n ON n.seq = t.rowid
WHERE  (:type IS NULL OR n.type = :type)
AND    (:domain IS NULL OR n.domain = :domain)
AND    (:layer IS NULL OR n.layer = :layer)
AND    (:since IS NULL OR n.date >= :since)
AND    (:until IS NULL OR n.date < :until)
AND    (:tag IS NULL OR EXISTS (SELECT 1 FROM json_each(n.meta, '$.tags') WHERE value = :tag))
AND    (:author IS NULL OR json_extract(n.meta, '$.author') = :author)
ORDER  BY t.score DESC
LIMIT  :limit;
