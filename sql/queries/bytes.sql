-- Where the bytes of the file are: by table and index, the largest first.
--
-- It needs an SQLite that is built with dbstat. Debian's is, and so are those of apsw and rusqlite.
SELECT name, pgsize AS bytes, round(100.0 * pgsize / sum(pgsize) OVER (), 1) AS percent
FROM   dbstat
WHERE  aggregate = TRUE
ORDER  BY pgsize DESC, name;
