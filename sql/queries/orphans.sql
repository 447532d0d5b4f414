-- Nodes without any edge, the newest first.
--
--     .parameter set :limit 20
--
-- :limit  how many nodes; -1 for all
SELECT n.id, n.type, n.title, n.date
FROM   nodes AS n
WHERE  NOT EXISTS (SELECT 1 FROM edges WHERE source = n.id)
AND    NOT EXISTS (SELECT 1 FROM edges WHERE target = n.id)
ORDER  BY n.date DESC, n.seq DESC
LIMIT  :limit;
