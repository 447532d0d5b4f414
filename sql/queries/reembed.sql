-- Gives vectors to nodes that have none, whose text or hash has changed, or whose vector is of another model. One batch:
-- run it until the view `stale` is empty. It can be stopped at any point, and goes on where it was.
--
--     .parameter set :model "'all-MiniLM-L6-v2'"
--     .parameter set :batch 100
--
-- :model  the name of a model of fafcas_models; from now on all vectors have to be of it
-- :batch  how many nodes; other writers wait while they are embedded
INSERT INTO models (name, fingerprint, dimensions)
SELECT name, fingerprint, dimensions FROM fafcas_models WHERE name = :model
ON CONFLICT (fingerprint) DO NOTHING;

INSERT INTO kit (key, value)
SELECT 'model', m.seq FROM fafcas_models AS f JOIN models AS m ON m.fingerprint = f.fingerprint WHERE f.name = :model
ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE value IS NOT excluded.value;

-- The second LIMIT takes nothing away. It keeps SQLite from looking up node by node, which would embed them one by one.
WITH fresh (seq, embedding) AS (
    SELECT rowid, embedding FROM embed_rows('stale', 'text', :model)
    WHERE  rowid IN (SELECT rowid FROM stale ORDER BY rowid LIMIT :batch)
    LIMIT  :batch
)
UPDATE nodes
SET    embedding = fresh.embedding, model = (SELECT value FROM kit WHERE key = 'model')
FROM   fresh
WHERE  nodes.seq = fresh.seq;
