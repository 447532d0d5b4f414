-- The nearest of the nodes that meet conditions. It gives :limit nodes whenever that many meet them.
--
--     .parameter set :query "embed('something warm to eat')"
--     .parameter set :type "'recipe'"
--     .parameter set :limit 10
--
-- :query                  a vector
-- :type :domain :layer    equal to these; NULL, or not set, for any
-- :since :until           date from, and date before; NULL for any
-- :limit                  how many
--
-- vec_topk without k gives all nodes, best first. rank is the place among all of them.
SELECT t.rank, round(t.score, 4) AS score, n.id, n.type, n.domain, n.date, n.title, coalesce(n.content, n.summary) AS text
FROM   vec_topk('nodes', 'embedding', :query) AS t
JOIN   nodes AS n ON n.seq = t.rowid
WHERE  (:type IS NULL OR n.type = :type)
AND    (:domain IS NULL OR n.domain = :domain)
AND    (:layer IS NULL OR n.layer = :layer)
AND    (:since IS NULL OR n.date >= :since)
AND    (:until IS NULL OR n.date < :until)
ORDER  BY t.score DESC
LIMIT  :limit;
