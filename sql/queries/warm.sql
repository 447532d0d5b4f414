-- Reads once what searches read, so that the first search does not wait for the disk.
--
-- A search with the first vector fills the cache of the index. Without an index it reads all vectors.
SELECT (SELECT count(*) FROM vec_topk('nodes', 'embedding', (SELECT embedding FROM nodes WHERE embedding IS NOT NULL LIMIT 1), 1)) AS searches,
       (SELECT count(*) FROM edges) AS edges,
       (SELECT sum(length(block)) FROM nodes_text_data) AS full_text_bytes,
       (SELECT sum(length(block)) FROM nodes_fuzzy_data) AS fuzzy_bytes;
