-- Nodes by meaning and by words at once: the nearest by their vectors and the best by the words in them, with the scores of both
-- joined into one.
--
--     .parameter set :query "embed_query('how do readers and writers coexist')"
--     .parameter set :words "'how do readers and writers coexist'"
--     .parameter set :k 10
--
-- :query  a vector; NULL for words alone
-- :words  any text, usually the same; '' for vectors alone
-- :k      how many
--
-- score is by_vector, and what the words add. by_vector is the cosine, NULL for a node without a vector. by_words is the BM25 of
-- the words, NULL for a node that has none of them. A word that no node has is looked for in the titles, as it may be misspelt.
-- docs/reference.md tells how vec_hybrid joins them. The model's spread is the unit; it stands beside its fingerprint.
--
-- To say that nothing was found, look at the score of the first node. On the sample with all-MiniLM-L6-v2, a limit of 0.43 refuses 18
-- of 100 questions that have an answer and answers 3 of 100 that have none; 0.34 refuses 5, and answers 50. With multilingual-e5-small,
-- 0.43 refuses 31 and answers 10; 0.34 refuses 5, and answers 70. Words alone have other scores.
SELECT h.rank, round(h.score, 4) AS score, n.id, n.type, n.title, coalesce(n.content, n.summary) AS text,
       round(h.by_vector, 4) AS by_vector, round(h.by_words, 4) AS by_words
FROM   vec_hybrid('nodes', 'embedding', 'nodes_text', :query, :words, :k, json_object('fuzzy', 'nodes_fuzzy', 'spread', (
           SELECT m.spread FROM kit JOIN models AS m ON m.seq = kit.value WHERE kit.key = 'model'))) AS h
JOIN   nodes AS n ON n.seq = h.rowid
ORDER  BY h.rank;
