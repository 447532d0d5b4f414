-- What a person checks after an import, one row each, with ok = 0 if it is not so. It only reads. Without the library it works, too.
--
-- Words of up to 200 titles, spread over the nodes, are looked for in the full text and by LIKE. Everything else is looked at whole.
WITH RECURSIVE
spread (seq, title) AS (
    SELECT seq, title FROM nodes WHERE seq % max(1, (SELECT max(seq) / 200 FROM nodes)) = 0 ORDER BY seq LIMIT 200
),
-- The first word of a title, if it has nothing in it that full text and LIKE would read differently.
words (seq, word) AS (
    SELECT seq, substr(title, 1, instr(title || ' ', ' ') - 1) FROM spread
),
sample (seq, word) AS (
    SELECT seq, word FROM words WHERE length(word) >= 4 AND word NOT GLOB '*[^A-Za-z]*'
),
-- By LIKE the title begins with the word, so full text must have it there, too.
lost (seq) AS (
    SELECT s.seq FROM sample AS s JOIN nodes AS n ON n.title LIKE s.word || ' %' OR n.title LIKE s.word
    WHERE  n.seq NOT IN (SELECT rowid FROM nodes_text WHERE nodes_text MATCH '{title} : "' || s.word || '"')
),
linked (id) AS (SELECT source FROM edges UNION SELECT target FROM edges),
-- All that can be reached from the node with the most edges, whichever way they lead.
hub (id) AS (
    SELECT id FROM (SELECT source AS id FROM edges UNION ALL SELECT target FROM edges) GROUP BY id ORDER BY count(*) DESC, id LIMIT 1
),
reached (id) AS (
    SELECT id FROM hub
    UNION
    SELECT CASE e.source WHEN r.id THEN e.target ELSE e.source END FROM reached AS r JOIN edges AS e ON r.id IN (e.source, e.target)
),
checks (name, expected, faults, said) AS (
    SELECT 'full text', 'all titles that LIKE finds by their first words', count(*),
           (SELECT count(*) FROM sample) || ' words, ' || count(*) || ' titles lost' FROM lost
    UNION ALL
    SELECT 'edges', 'a node at both ends of each', count(*), count(*) || ' without'
    FROM   edges AS e WHERE NOT EXISTS (SELECT 1 FROM nodes WHERE id = e.source) OR NOT EXISTS (SELECT 1 FROM nodes WHERE id = e.target)
    UNION ALL
    SELECT 'components', 'half of the linked nodes in one part, or more', 2 * (SELECT count(*) FROM reached) < count(*),
           (SELECT count(*) FROM reached) || ' of ' || count(*) || ' linked nodes'
    FROM   linked
    UNION ALL
    SELECT 'chunks', 'content or parts for each document', count(*), count(*) || ' without'
    FROM   documents AS d JOIN nodes AS n ON n.id = d.id
    WHERE  n.content IS NULL AND NOT EXISTS (SELECT 1 FROM edges WHERE target = d.id AND type = 'part_of')
    UNION ALL
    SELECT 'duplicates', 'no two nodes with the same hash', coalesce(sum(copies - 1), 0), coalesce(sum(copies - 1), 0) || ' copies'
    FROM  (SELECT count(*) AS copies FROM nodes WHERE hash IS NOT NULL GROUP BY hash HAVING count(*) > 1)
)
SELECT name, expected, said AS actual, faults = 0 AS ok FROM checks;
