-- Counts what is in the knowledge base. bytes.sql shows how many bytes each table takes.
SELECT 'file' AS part, 'bytes' AS name, page_count * page_size AS value FROM pragma_page_count, pragma_page_size
UNION ALL SELECT 'file', 'page size', page_size FROM pragma_page_size
UNION ALL SELECT 'file', 'pages', page_count FROM pragma_page_count
UNION ALL SELECT 'file', 'free pages', freelist_count FROM pragma_freelist_count
UNION ALL SELECT 'schema', 'version', (SELECT value FROM kit WHERE key = 'version')
UNION ALL SELECT * FROM (SELECT 'nodes', type, count(*) FROM nodes GROUP BY type ORDER BY 3 DESC, 2)
UNION ALL SELECT 'nodes', 'all', count(*) FROM nodes
UNION ALL SELECT 'nodes', 'hollow', count(*) FROM nodes WHERE content IS NULL
UNION ALL SELECT * FROM (SELECT 'edges', type, count(*) FROM edges GROUP BY type ORDER BY 3 DESC, 2)
UNION ALL SELECT 'edges', 'all', count(*) FROM edges
UNION ALL SELECT * FROM (SELECT 'vectors', coalesce(m.name, 'older than the text, or without a model'), count(*)
                         FROM nodes AS n LEFT JOIN models AS m ON m.seq = n.model
                         WHERE n.embedding IS NOT NULL GROUP BY n.model ORDER BY n.model)
UNION ALL SELECT 'vectors', 'missing', count(*) FROM nodes WHERE embedding IS NULL
UNION ALL SELECT 'history', event, count(*) FROM history GROUP BY event;
