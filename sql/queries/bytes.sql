-- Where the bytes of the file are: by table and index, the largest first.
--
-- Not every SQLite is built with dbstat; Debian's, and those of apsw and rusqlite, are.
SELECT name, pgsize AS bytes, round(100.0 * pgsize / sum(pgsize) OVER (), 1) AS percent
FROM   dbstat
WHERE  aggregate = TRUE
ORDER  BY pgsize DESC, name;
