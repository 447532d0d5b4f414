-- The sentences of a node that answer a question best.
--
--     .parameter set :id "'tides'"
--     .parameter set :query "embed_query('why does the sea rise twice a day')"
--     .parameter set :k 1
--
-- :id     a node, such as one that hybrid.sql found, or a document that documents.sql found, with all its parts
-- :query  a vector of the model that :query of the other searches is of
-- :k      how many
--
-- The text, without the targets of links, is cut at sentences, so that a piece has about thirty words at most. The pieces are embedded
-- by the default model. That takes a few milliseconds a piece: ask it of the few nodes that are shown, not of all.
SELECT round(vec_dot(embed(s.text), :query), 4) AS score, n.id, s.start, s.text
FROM   nodes AS n JOIN nodes_plain AS p ON p.seq = n.seq, chunk(coalesce(p.content, p.summary), 40) AS s
WHERE  n.id = :id OR n.source = :id
ORDER  BY score DESC, n.seq, s.seq
LIMIT  :k;
