-- Writes nodes and edges from two JSON arrays of objects, in one transaction. Inside a transaction it becomes a part of that.
--
--     .parameter set :nodes "'[{\"id\": \"tides\", \"title\": \"Tides\"}, {\"id\": \"moon\", \"title\": \"The Moon\"}]'"
--     .parameter set :edges "'[{\"source\": \"tides\", \"target\": \"moon\", \"type\": \"requires\"}]'"
--
-- :nodes  id, title; optional type, domain, layer, date, hash, summary, meta (an object), source, content
-- :edges  source, target; optional type, confidence, veracity, context_source
--
-- A node or an edge that exists is updated, but only if it differs. A field that is left out becomes empty. reembed.sql makes
-- the vectors later. From a program, batches of a few hundred rows are fastest. If it fails, roll back.
SAVEPOINT ingest;

INSERT INTO nodes (id, type, title, domain, layer, date, hash, summary, meta, source, content)
SELECT value ->> 'id', coalesce(value ->> 'type', 'note'), value ->> 'title', value ->> 'domain', value ->> 'layer',
       value ->> 'date', value ->> 'hash', value ->> 'summary', nullif(value -> 'meta', 'null'), value ->> 'source',
       value ->> 'content'
FROM   json_each(:nodes)
WHERE  true
ON CONFLICT (id) DO UPDATE SET
       type = excluded.type, title = excluded.title, domain = excluded.domain, layer = excluded.layer, date = excluded.date,
       hash = excluded.hash, summary = excluded.summary, meta = excluded.meta, source = excluded.source,
       content = excluded.content
WHERE (type, title, domain, layer, date, hash, summary, meta, source, content)
IS NOT (excluded.type, excluded.title, excluded.domain, excluded.layer, excluded.date, excluded.hash, excluded.summary,
        excluded.meta, excluded.source, excluded.content);

INSERT INTO edges (source, target, type, confidence, veracity, context_source)
SELECT value ->> 'source', value ->> 'target', coalesce(value ->> 'type', 'related'),
       coalesce(value ->> 'confidence', 1.0), value ->> 'veracity', value ->> 'context_source'
FROM   json_each(:edges)
WHERE  true
ON CONFLICT (source, target, type) DO UPDATE SET
       confidence = excluded.confidence, veracity = excluded.veracity, context_source = excluded.context_source
WHERE (confidence, veracity, context_source) IS NOT (excluded.confidence, excluded.veracity, excluded.context_source);

RELEASE ingest;
