-- Embeds only texts that have changed, and no text twice.
--
-- `documents` stands for your table: the text, a hash of it that your program writes with it, the vector, and the
-- fingerprint of the model that made the vector. Run the two statements at the end as often as you like, from any
-- process; each is atomic.

CREATE TABLE documents (
    id        INTEGER PRIMARY KEY,
    hash      TEXT NOT NULL,
    model     TEXT,
    embedding BLOB,
    text      TEXT NOT NULL
);
CREATE INDEX documents_by_hash ON documents (hash, model);

-- The fingerprint that all vectors should have.
CREATE TEMP VIEW wanted AS SELECT fingerprint FROM fafcas_models WHERE name = 'all-MiniLM-L6-v2';

-- One row for each text that has no vector of the wanted model yet.
CREATE TEMP VIEW missing AS
SELECT min(d.id) AS rowid, d.text
FROM   documents AS d, wanted AS w
WHERE  NOT EXISTS (SELECT 1 FROM documents AS o WHERE o.hash = d.hash AND o.model = w.fingerprint)
GROUP  BY d.hash;

-- Embed what is missing, for all rows with that text at once.
UPDATE documents
SET    embedding = e.embedding, model = e.fingerprint
FROM   embed_rows('missing', 'text', 'all-MiniLM-L6-v2') AS e JOIN documents AS first ON first.id = e.rowid
WHERE  documents.hash = first.hash;

-- Rows with a text that already has a vector take that vector.
UPDATE documents
SET    embedding = o.embedding, model = o.model
FROM   documents AS o, wanted AS w
WHERE  o.hash = documents.hash AND o.model = w.fingerprint AND documents.model IS NOT w.fingerprint;

-- How many stored vectors do not fit a query by this model: 0 is good.
SELECT count(*) AS foreign_vectors
FROM   documents, wanted
WHERE  embedding IS NOT NULL AND model IS NOT fingerprint;
