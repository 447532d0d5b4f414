-- Makes vectors for nodes that have none, whose text or hash has changed, or whose vector is from another model. Each run does one
-- batch: repeat it until the view `stale` is empty. It can be stopped at any point, and the next run continues.
--
--     .parameter set :model "'all-MiniLM-L6-v2'"
--     .parameter set :batch 100
--
-- :model  the name of a model in fafcas_models; from now on all vectors must come from it
-- :batch  how many nodes; other writers wait while these are embedded
INSERT INTO models (name, fingerprint, dimensions, spread)
SELECT name, fingerprint, dimensions, spread FROM fafcas_models WHERE name = :model
ON CONFLICT (fingerprint) DO UPDATE SET spread = excluded.spread WHERE spread IS NULL AND excluded.spread IS NOT NULL;

INSERT INTO kit (key, value)
SELECT 'model', m.seq FROM fafcas_models AS f JOIN models AS m ON m.fingerprint = f.fingerprint WHERE f.name = :model
ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE value IS NOT excluded.value;

-- The second LIMIT removes no row. It keeps SQLite from looking up the nodes one by one, which would also embed them one by one.
WITH fresh (seq, embedding) AS (
    SELECT rowid, embedding FROM embed_rows('stale', 'text', :model)
    WHERE  rowid IN (SELECT rowid FROM stale ORDER BY rowid LIMIT :batch)
    LIMIT  :batch
)
UPDATE nodes
SET    embedding = fresh.embedding, model = (SELECT value FROM kit WHERE key = 'model')
FROM   fresh
WHERE  nodes.seq = fresh.seq;
