-- Pairs of nodes that say the same: their hashes are equal, or the score of their vectors reaches a threshold.
--
--     .parameter set :threshold 0.95
--
-- :threshold  the lowest score that counts
--
-- Each node is compared with its nine nearest nodes. So of a large group of duplicates some pairs are missing, but no node is.
WITH pairs (older, newer, score) AS (
    SELECT min(query_rowid, t.rowid), max(query_rowid, t.rowid), max(t.score)
    FROM   vec_topk_many('nodes', 'embedding', 'nodes', 'embedding', 9, '{"exclude_self": true}') AS t
    WHERE  t.score >= :threshold
    GROUP  BY 1, 2
),
equal (older, newer) AS (
    SELECT min(seq) OVER (PARTITION BY hash), seq FROM nodes WHERE hash IS NOT NULL
)
SELECT CASE a.hash WHEN b.hash THEN 'same text' ELSE 'same meaning' END AS why, round(score, 4) AS score,
       a.id, a.title, b.id AS other_id, b.title AS other_title
FROM  (SELECT older, newer, max(score) AS score
       FROM   (SELECT older, newer, score FROM pairs UNION ALL SELECT older, newer, NULL FROM equal WHERE older <> newer)
       GROUP  BY older, newer)
JOIN   nodes AS a ON a.seq = older
JOIN   nodes AS b ON b.seq = newer
ORDER  BY score DESC NULLS LAST, a.seq, b.seq;
