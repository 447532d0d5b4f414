-- Settings of a connection to a knowledge base, and why. Run it on every connection, outside a transaction:
--
--     sqlite3 notes.db -cmd ".read sql/harden.sql"
--
-- Inside a transaction journal_mode and synchronous are errors and foreign_keys is silently ignored. Only journal_mode stays
-- in the file, so only it needs a file that can be written. It prints what became of it: `wal`, or on a file system
-- without shared memory the mode it keeps. There, and on network drives even where it says `wal`, leave the journal as
-- it was (PRAGMA journal_mode = DELETE): one computer cannot see the shared memory of another.
-- Figures are for 384 dimensions, in times per row of a scan; README.md beside this file says when to change what.

-- First, so that the next statement waits for its lock too. Other statements then wait up to five seconds for a writer
-- instead of failing at once.
PRAGMA busy_timeout = 5000;

-- Readers go on while one connection writes.
PRAGMA journal_mode = WAL;

-- With WAL a power cut may take the last commits, but never harms the file. FULL would wait for the disk at each commit.
PRAGMA synchronous = NORMAL;

-- Off: an I/O error in mapped memory kills the process instead of being reported. What it gives depends on the page: reading
-- the vectors of wide rows at 4 KiB, a map takes half the time of the default cache, 1.2 to 1.5 times less at 16 KiB, and an
-- index does with neither. On a sound local disk try PRAGMA mmap_size = 2147418112, the most that SQLite maps by default.
PRAGMA mmap_size = 0;

-- Sorting and intermediate results in memory.
PRAGMA temp_store = MEMORY;

-- Edges have two ends. Off by default, and not kept in the file.
PRAGMA foreign_keys = ON;

-- Lets a REPLACE that somebody writes after all reach the delete triggers, so that full text and history stay true.
PRAGMA recursive_triggers = ON;

-- Not set here, as they depend on the data:
--   PRAGMA page_size = 16384;      before the first table (or before VACUUM, not in WAL mode): wide rows scan 1.3 times faster
--   PRAGMA cache_size = -1048576;  1 GiB of page cache: where the vectors fit, wide rows at 4 KiB scan 2.2 times faster
