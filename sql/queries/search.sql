-- The nodes nearest to a question, by their vectors.
--
--     .parameter set :query "embed_query('how do readers and writers coexist')"
--     .parameter set :k 10
--
-- :query  a vector
-- :k      how many; exactly the nearest. To filter, see filtered.sql
--
-- The search reads only vectors. The other columns are read only for the nodes that it finds.
SELECT t.rank, round(t.score, 4) AS score, n.id, n.type, n.title, coalesce(n.content, n.summary) AS text
FROM   vec_topk('nodes', 'embedding', :query, :k) AS t
JOIN   nodes AS n ON n.seq = t.rowid
ORDER  BY t.score DESC;
