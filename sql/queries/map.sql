-- A picture of the knowledge base, as SVG: a dot for each node with a vector, and a line for each edge. The dots lie on the plane
-- on which the vectors differ most. All dots of a domain have the same colour; without a domain, all dots of a type. A browser
-- shows the title of the dot under the pointer.
--
--     .mode list
--     .output map.svg
--     .read sql/queries/map.sql
--     .output stdout
--
-- The same nodes give the same picture. With more than about ten thousand nodes it is large, and takes long to draw.
WITH colours (list) AS (
    VALUES ('["#4269d0","#efb118","#ff725c","#6cc5b0","#3ca951","#ff8ab7","#a463f2","#97bbf5","#9c6b4e","#9498a0"]')
),
kinds (kind, place, nodes, colour) AS MATERIALIZED (
    SELECT kind, place, nodes, json_extract(list, '$[' || ((place - 1) % 10) || ']')
    FROM   colours, (SELECT coalesce(domain, type) AS kind, count(*) AS nodes,
                            row_number() OVER (ORDER BY count(*) DESC, coalesce(domain, type)) AS place
                     FROM   nodes WHERE embedding IS NOT NULL GROUP BY coalesce(domain, type))
),
-- XML has no place for most control characters, and terminals obey some.
control (place, sign) AS MATERIALIZED (
    SELECT row_number() OVER (ORDER BY code), char(code)
    FROM  (WITH RECURSIVE codes (code) AS (SELECT 1 UNION ALL SELECT code + 1 FROM codes WHERE code < 159)
           SELECT code FROM codes WHERE code NOT IN (9, 10) AND code NOT BETWEEN 32 AND 126 UNION ALL VALUES (65534), (65535))
),
names (name, written) AS MATERIALIZED (
    SELECT name, replace(replace(replace(CASE
               WHEN typeof(name) = 'blob' THEN hex(name)
               WHEN instr(name, char(0)) > 0 OR name GLOB (SELECT '*[' || group_concat(sign, '') || ']*' FROM control) THEN (
                   WITH RECURSIVE step (place, text) AS (
                       -- SQLite's functions see no more of a text than what is before a zero.
                       SELECT 0, substr(name, 1, length(name))
                       UNION ALL
                       SELECT c.place, replace(s.text, c.sign, char(65533)) FROM step AS s JOIN control AS c ON c.place = s.place + 1
                   )
                   SELECT text FROM step ORDER BY place DESC LIMIT 1)
               ELSE name END, '&', '&amp;'), '<', '&lt;'), '>', '&gt;')
    FROM  (SELECT title AS name FROM nodes WHERE embedding IS NOT NULL UNION SELECT kind FROM kinds)
),
points (seq, x, y) AS MATERIALIZED (SELECT rowid, x, y FROM vec_map('nodes', 'embedding')),
extent (x, width, y, height) AS (
    -- A single point is drawn in the middle, and so are points on one line.
    SELECT (min(x) + max(x)) / 2, max(max(x) - min(x), 1e-9), (min(y) + max(y)) / 2, max(max(y) - min(y), 1e-9) FROM points
),
dots (seq, id, title, kind, x, y) AS MATERIALIZED (
    SELECT n.seq, n.id, t.written, coalesce(n.domain, n.type),
           printf('%.1f', 400 + 720 * (p.x - e.x) / e.width), printf('%.1f', 300 - 520 * (p.y - e.y) / e.height)
    FROM   points AS p JOIN nodes AS n ON n.seq = p.seq JOIN names AS t ON t.name IS n.title, extent AS e
    ORDER  BY n.seq
),
lines (number, line) AS (
    SELECT 1, '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 600" font-family="sans-serif" font-size="13">'
    UNION ALL SELECT 2, '<rect width="960" height="600" fill="white"/>'
    UNION ALL SELECT 3, '<path fill="none" stroke="#888" stroke-opacity="0.25" d="' || coalesce((
        SELECT group_concat(stroke, '')
        FROM  (SELECT 'M' || a.x || ' ' || a.y || 'L' || b.x || ' ' || b.y AS stroke
               FROM   edges AS e JOIN dots AS a ON a.id = e.source JOIN dots AS b ON b.id = e.target
               ORDER  BY e.source, e.target, e.type)), '') || '"/>'
    UNION ALL
    SELECT 3 + k.place, '<g fill="' || k.colour || '">' || group_concat(d.dot, '') || '</g>'
    FROM   kinds AS k JOIN (SELECT kind, '<circle cx="' || x || '" cy="' || y || '" r="4"><title>' || title || '</title></circle>' AS dot
                            FROM dots ORDER BY seq) AS d ON d.kind = k.kind
    GROUP  BY k.place
    UNION ALL
    SELECT 1000000 + place, printf('<circle cx="800" cy="%d" r="5" fill="%s"/><text x="812" y="%d">%s, %d</text>',
        20 + 22 * place, colour, 24 + 22 * place, written, nodes)
    FROM   kinds JOIN names ON name IS kind WHERE place <= 25
    UNION ALL SELECT 2000000, '</svg>'
)
SELECT group_concat(line, char(10)) AS svg FROM (SELECT line FROM lines ORDER BY number);
