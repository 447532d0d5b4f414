-- What makes filters by metadata fast: a table of the tags in `meta`, kept fresh by triggers, and an index of one of its keys.
--
--     sqlite3 -bail notes.db ".read sql/examples/tags.sql"
--
-- It is for a large knowledge base that is filtered often. filtered.sql works without it, and tells how to use it. Tags are the
-- texts of the array `tags` in `meta`: {"tags": ["sea", "moon"], "author": "Ada"}; a text alone is one tag. To run it twice changes nothing.
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS tags (
    tag TEXT NOT NULL,
    seq INTEGER NOT NULL REFERENCES nodes (seq) ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    PRIMARY KEY (tag, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tags_by_node ON tags (seq);
CREATE INDEX IF NOT EXISTS nodes_by_author ON nodes (json_extract(meta, '$.author')) WHERE meta IS NOT NULL;
CREATE TRIGGER IF NOT EXISTS tags_insert AFTER INSERT ON nodes WHEN new.meta IS NOT NULL BEGIN
    INSERT OR IGNORE INTO tags SELECT value, new.seq FROM json_each(new.meta, '$.tags') WHERE json_each.type = 'text';
END;
CREATE TRIGGER IF NOT EXISTS tags_update AFTER UPDATE OF seq, meta ON nodes WHEN (old.seq, old.meta) IS NOT (new.seq, new.meta) BEGIN
    DELETE FROM tags WHERE seq IN (old.seq, new.seq);
    INSERT OR IGNORE INTO tags SELECT value, new.seq FROM json_each(new.meta, '$.tags') WHERE json_each.type = 'text';
END;
CREATE TRIGGER IF NOT EXISTS tags_delete AFTER DELETE ON nodes BEGIN
    DELETE FROM tags WHERE seq = old.seq;
END;
INSERT OR IGNORE INTO tags
SELECT value, seq FROM nodes, json_each(meta, '$.tags') WHERE meta IS NOT NULL AND json_each.type = 'text';
COMMIT;
