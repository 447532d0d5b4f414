-- A table of your own, with a column for vectors.
CREATE TABLE notes (id INTEGER PRIMARY KEY, title TEXT, embedding BLOB);

-- Normalised once, when it is stored. These little vectors stand for (sea, mountain, city).
INSERT INTO notes (title, embedding) VALUES
    ('Sailing round the lighthouse', fafcas_normalize('[9, 1, 1]')),
    ('A harbour town in winter',     fafcas_normalize('[6, 0, 7]')),
    ('Over the pass before snow',    fafcas_normalize('[0, 9, 1]')),
    ('Trams and their timetables',   fafcas_normalize('[1, 0, 9]')),
    ('Not embedded',                 NULL);

-- The three notes nearest to "sea, and a little city", with their metadata.
SELECT t.rank, round(t.score, 3) AS score, n.title
FROM   vec_topk('notes', 'embedding', fafcas_normalize('[8, 0, 3]'), 3) AS t
JOIN   notes AS n ON n.rowid = t.rowid
ORDER  BY t.score DESC;
