-- What an index named NAME on a table keeps in the database, and the layout of its BLOBs.
--
-- These are plain tables, so that every SQLite can open the file, and a program without the library can write to the indexed
-- table. All numbers are little-endian, all floats are IEEE 754, and reserved bytes are zero and checked.
-- Every change of the format takes a new format number. If a reader finds a greater number than it knows, it scans the table.

-- The index itself. Written only when it is built or merged, never by a search.
-- No PRIMARY KEY, so that the session extension does not carry it into databases with other rows. Indexes made before have
-- one, and are used as they are.
CREATE TABLE "NAME_blocks" (
    id   INTEGER NOT NULL UNIQUE,   -- 0 header, 1 directory, 2n codes of block n, 2n+1 fine codes of block n; n from 1; -1 ranges
    data BLOB NOT NULL
);

-- Rows that have changed since then. Triggers in plain SQL append to it. Neither the text of these triggers nor the shape of
-- this table ever changes, because every version of the library, and programs without it, must be able to write. It has no key
-- and no UNIQUE, so that an insert cannot fail.
CREATE TABLE "NAME_pending" (
    rid,                        -- rowid of a row that was inserted, deleted or changed
    token                       -- random()
);

-- Its first two entries are the anchor, written after each build and merge, when the table has just been emptied:
--   rowid 2: rid is the greatest rowid of the indexed table, token the first 8 bytes of the header's token, as a number
--   rowid 3: rid is where the next comparison of rows begins, token is PRAGMA schema_version
-- A merge of the first changes (`merge N`) deletes those alone, and writes the anchor to the last two places that it has freed,
-- just before the changes that stay. A version that looks for it at 2 and 3 compares all rows once, and then uses the index.
-- rid is the least of all integers for none and for the beginning. A version that does not know the anchor takes both for rows
-- that changed, and is right. Rowid 1 stays free: what gives new rowids to tables without a key moves the anchor there. Behind
-- the anchor there is no gap, and every rid is an integer. An anchor that is missing, has moved (where the indexed table has no
-- INTEGER PRIMARY KEY), or has the token of another header is a sign that something went past the triggers; so is a
-- greatest rowid that is neither the anchor's nor noted.

-- The seal. Nobody updates NAME_pending, so that it never runs. What counts is when it was made: after the four triggers, so
-- that in sqlite_schema its rowid is greater than theirs. A trigger that was dropped and made again is younger than the seal.
CREATE TRIGGER "NAME_seal" BEFORE UPDATE ON "NAME_pending" BEGIN SELECT RAISE(IGNORE); END;

-- FRAME: the first 64 bytes of every BLOB in NAME_blocks
--    0   8  magic 'fafcasix'
--    8   2  format number: 1; 2 in the header of an index over another type than f32; 3 in the header while blocks are written
--   10   2  kind: 1 header, 2 directory, 3 codes, 4 fine codes, 5 ranges
--   12   4  CRC-32C of the BLOB without these four bytes
--   16  16  token: random, and new at every write. Equal tokens mean equal content; the caches depend on this.
--           Directory and ranges have the token of the header; the two BLOBs of a block have the same token.
--   32   4  block number, 0 for header, directory and ranges
--   36  28  reserved
--
-- HEADER
--   64   4  dimensions d; 0 while no vector has been seen
--   68   4  slots of a full block: a multiple of 64
--   72   8  seed of the rotation
--   80   8  how many rows the centre was computed from
--   88   8  rows in blocks
--   96   8  strays: how many rows have something other than d elements
--  104   4  blocks
--  108   1  the type of the rows: 0 f32 (format 1); 1 f16, 2 bf16, 3 int8 (format 2)
--  109  19  reserved
-- A merge or rebuild first gives the header the format 3, and writes it anew at its end. If it fails and its transaction is
-- committed all the same, the 3 stays: searches scan, of the other numbers only the type counts, and `rebuild` makes the index
-- whole. The list of changes is emptied after the header has been written, so that nothing is lost.
--
-- DIRECTORY
--   64     4·d  centre: d floats
--    …      24  for each block: token (16), rows (4), slots (4)
--    …       8  for each stray: its rowid
--
-- RANGES, for merges: which rows a block may have. It may be missing, or have a token that is not that of the header, because a
-- version that does not know it has written the index. Then the ranges are found by reading all codes, and written again.
--   64      16  for each block: least rowid (8), greatest rowid (8). For a block without rows the greatest is below the least
--
-- CODES of a block with s slots, a multiple of 64. A row may be in any slot. In an empty slot every number is zero, except that
-- the offset is minus infinity.
--   64          for each group of 64 slots:
--       64·⌈d/8⌉  the codes, transposed: byte 0 of each of the 64, byte 1 of each, and so on. A byte has the signs of
--                 eight coordinates, the first in its lowest bit, 1 for plus; bits beyond d are zero
--            256  scale of each of the 64, as float; then error; then offset
--            256
--            256
--    …     8·s  rowids
--    …     4·s  fingerprints: CRC-32C of the vector's bytes
--
-- FINE CODES of the same slots
--   64          for each slot:
--          4    scale, as float
--          4    error
--      ⌈d/2⌉    the code: two coordinates a byte, the even one in the lower half; a half beyond d is zero
--
-- Rows of another type than f32 are widened to f32: codes and fingerprints are those of the same vectors in f32. An int8 of x
-- stands for (x + 128) * (2 / 255) - 1.

-- What the numbers mean: subtract the centre from the vector and rotate the result. It is close to scale · (signs), and closer
-- to scale · (fine code - 7.5). The error is the length of the difference. The offset is the product of the centre with
-- (vector - centre). src/codec/README.md has the rotation and the rest of the arithmetic, which is part of the format.
