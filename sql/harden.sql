-- Settings of a connection to a knowledge base, and why. Run it on every connection, outside a transaction:
--
--     sqlite3 notes.db -cmd ".read sql/harden.sql"
--
-- Inside a transaction, journal_mode and synchronous are errors, and foreign_keys is silently ignored. Only journal_mode is
-- kept in the file, so only this setting needs a file that can be written. It prints the mode that it got: `wal`, or another
-- one if the file system has no shared memory. In that case, and on every network drive, leave WAL mode
-- (PRAGMA journal_mode = DELETE), even if it prints `wal`: one computer cannot see the shared memory of another.
-- All figures are for 384 dimensions and compare the time for one row of a scan. README.md beside this file says more.

-- This comes first, so that the next statement waits for its lock too. From now on a statement waits up to five seconds for
-- a writer, instead of failing at once.
PRAGMA busy_timeout = 5000;

-- Readers can go on while one connection writes.
PRAGMA journal_mode = WAL;

-- With WAL, a power cut may lose the last commits but never damages the file. FULL would wait for the disk at each commit.
PRAGMA synchronous = NORMAL;

-- Off, because an I/O error in mapped memory kills the process instead of being reported. How much time a map saves depends
-- on the page size. To read the vectors of wide rows, it takes half the time of the default cache with pages of 4 KiB, and is
-- 1.2 to 1.5 times as fast with 16 KiB. A search by an index gains nothing. On a reliable local disk you may try
-- PRAGMA mmap_size = 2147418112, the most that SQLite maps by default.
PRAGMA mmap_size = 0;

-- Sorting and intermediate results in memory.
PRAGMA temp_store = MEMORY;

-- So that both ends of an edge exist. SQLite's default is OFF, and the setting is not kept in the file.
PRAGMA foreign_keys = ON;

-- If somebody does use REPLACE, the delete triggers then run, and full text and history stay correct.
PRAGMA recursive_triggers = ON;

-- These are not set here, because they depend on the data:
--   PRAGMA page_size = 16384;      before the first table (or before VACUUM, not in WAL mode): wide rows scan 1.3 times faster
--   PRAGMA cache_size = -1048576;  1 GiB of page cache: where the vectors fit, wide rows at 4 KiB scan 2.2 times faster
