//! Every row of an index's two tables damaged in every way: BLOBs cut at every length, every bit changed, with a checksum that
//! does not fit and with one that does, and rows of the wrong type, place or number. No crash, no hang, no more memory than a
//! bound; and where the checksum does not fit, an error or the right answer.
//!
//! A program of its own, because it sets `cache_bytes` and counts allocations. `tests/index/corrupt.rs` sees the same from
//! Rust, without SQL.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, dead_code, unsafe_code)]

#[path = "torture/faulty.rs"]
mod faulty;
#[path = "torture/fixture.rs"]
mod fixture;
#[path = "torture/form.rs"]
mod form;
#[path = "support/mod.rs"]
mod support;

use fafcas::kernels;
use fixture::{Hits, TABLE, fill, open, vector};
use form::{by_form, report, seed};
use rusqlite::{Connection, Error, ErrorCode, params};
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use support::{Random, blob};

/// Counts the bytes of Rust code, now and at most.
struct Counted;
static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counted = Counted;

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        MOST.fetch_max(NOW.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// An index of these rows takes some kilobytes.
const ROWS: usize = 90;
const MOST_MEMORY: usize = 16 << 20;
/// No case takes so long, not by far: then it hangs.
const HANGS: Duration = Duration::from_secs(300);

/// What may be expected of a search and a check.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    /// A right answer or an error, and a check that fails.
    Noticed,
    /// A right answer or an error.
    Right,
    /// Nobody can know: neither crash nor hang.
    Alive,
}

struct Damaged {
    db: Connection,
    query: Vec<f32>,
    right: Hits,
    cases: usize,
    refused: usize,
    answered: usize,
}

impl Damaged {
    fn new() -> Self {
        let db = open(Path::new(":memory:"));
        // Else damage to what is in memory already would not be seen.
        db.query_row("SELECT fafcas_config('cache_bytes', 0)", [], |_| Ok(())).unwrap();
        let mut random = Random(3);
        fill(&db, ROWS, &mut random);
        db.execute_batch("CREATE VIRTUAL TABLE ix USING vec_index(t, v)").unwrap();
        db.execute("UPDATE t SET v = x'0000803f' WHERE id = 7", []).unwrap();
        db.execute_batch("INSERT INTO ix(ix) VALUES ('merge'); UPDATE t SET v = NULL WHERE id = 7").unwrap();
        for id in [5, 50, 95] {
            let sql = "INSERT OR REPLACE INTO t(id, v) VALUES (?1, ?2)";
            db.execute(sql, params![id, blob(&vector(&mut random))]).unwrap();
        }
        let query = vector(&mut random);
        let right = TABLE.naive(&db, &query, 5).unwrap();
        Self { db, query, right, cases: 0, refused: 0, answered: 0 }
    }

    fn blobs(&self) -> Vec<(i64, Vec<u8>)> {
        let mut statement = self.db.prepare("SELECT id, data FROM ix_blocks ORDER BY id").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(|row| row.unwrap()).collect()
    }

    fn blob(&mut self, id: i64, damaged: &[u8], expected: Expected, what: &str) {
        let damage = |db: &Connection| db.execute("UPDATE ix_blocks SET data = ?2 WHERE id = ?1", params![id, damaged]);
        self.case(damage, expected, &format!("BLOB {id}, {what}"));
    }

    /// Does the damage, looks what comes of it, and takes it back.
    fn case(&mut self, damage: impl Fn(&Connection) -> rusqlite::Result<usize>, expected: Expected, what: &str) {
        watch(what);
        self.cases += 1;
        let before = NOW.load(Relaxed);
        MOST.store(before, Relaxed);
        self.db.execute_batch("SAVEPOINT damage").unwrap();
        damage(&self.db).unwrap_or_else(|error| panic!("{what}: {error}"));
        self.look(expected, what);
        if self.cases.is_multiple_of(5) {
            self.merge(expected, what);
        }
        let _ = self.db.execute_batch("ROLLBACK TO damage; RELEASE damage");
        let most = MOST.load(Relaxed).saturating_sub(before);
        assert!(most < MOST_MEMORY, "{what}: {most} bytes");
    }

    fn look(&mut self, expected: Expected, what: &str) {
        for options in [r#"{"index": "ix", "skip_bad": true}"#, r#"{"index": "ix", "exact": true, "skip_bad": true}"#] {
            match TABLE.search(&self.db, &self.query, 5, options) {
                Ok(found) => {
                    self.answered += 1;
                    let rowids = |hits: &Hits| hits.iter().map(|hit| hit.0).collect::<Vec<_>>();
                    assert!(
                        expected == Expected::Alive || rowids(&found) == rowids(&self.right),
                        "{what}: {options} gives {found:?}, not {:?}",
                        self.right
                    );
                }
                Err(error) => self.assert_says_why(&error, what),
            }
        }
        match self.db.execute("INSERT INTO ix(ix) VALUES ('check')", []) {
            Ok(_) => assert!(expected != Expected::Noticed, "{what}: passes the check"),
            Err(error) => self.assert_says_why(&error, what),
        }
        // The properties are there to be read when something is wrong.
        let properties: i64 = self.db.query_row("SELECT count(*) FROM ix", [], |row| row.get(0)).unwrap_or(1);
        assert!(properties > 0, "{what}: no properties");
    }

    /// A merge of damage is refused, or leaves what is no worse; a rebuild mends all.
    fn merge(&mut self, expected: Expected, what: &str) {
        match self.db.execute("INSERT INTO ix(ix) VALUES ('merge')", []) {
            Ok(_) if expected != Expected::Alive => {
                let found = TABLE.search(&self.db, &self.query, 5, r#"{"exact": true, "skip_bad": true}"#);
                let rowids = found.map(|hits| hits.iter().map(|hit| hit.0).collect::<Vec<_>>());
                let right: Vec<i64> = self.right.iter().map(|hit| hit.0).collect();
                assert!(rowids.as_ref().is_err() || rowids == Ok(right), "{what}, merged: {rowids:?}");
            }
            Ok(_) => {}
            Err(error) => self.assert_says_why(&error, what),
        }
        let mended = self.db.execute_batch("INSERT INTO ix(ix) VALUES ('rebuild'), ('check')");
        mended.unwrap_or_else(|error| panic!("{what}: rebuild does not mend: {error}"));
        let found = TABLE.search(&self.db, &self.query, 5, r#"{"index": "ix", "exact": true}"#).unwrap();
        assert_eq!(found.len(), self.right.len(), "{what}, rebuilt");
    }

    /// An error of SQLite or of the index, with words that help; never one that says that our code has a bug.
    fn assert_says_why(&mut self, error: &Error, what: &str) {
        self.refused += 1;
        let text = error.to_string();
        let is_plain = !text.contains("panic") && !text.contains("bug");
        let is_known = text.contains("index") || error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt);
        assert!(is_plain && is_known, "{what}: {text}");
    }

    fn report(&self, test: &str) {
        let Self { cases, refused, answered, .. } = self;
        report(
            test,
            &format!("{cases} cases, {refused} errors, {answered} answers; at most {MOST_MEMORY} bytes a case"),
        );
        assert!(*refused > 0, "no damage was noticed");
    }
}

/// Puts the checksum that fits into a BLOB.
fn reseal(blob: &mut [u8]) {
    if blob.len() >= 16 {
        let crc32c = kernels::table().codes.crc32c;
        let crc = crc32c(crc32c(0, &blob[..12]), &blob[16..]);
        blob[12..16].copy_from_slice(&crc.to_le_bytes());
    }
}

/// Ends the process, and says where, if a case hangs.
fn watch(what: &str) {
    static CASE: Mutex<String> = Mutex::new(String::new());
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    *CASE.lock().unwrap() = what.to_string();
    if NUMBER.fetch_add(1, Relaxed) == 0 {
        std::thread::spawn(|| {
            let mut seen = 0;
            loop {
                std::thread::sleep(HANGS);
                let number = NUMBER.load(Relaxed);
                if number == seen {
                    println!("it hangs: {}", CASE.lock().unwrap());
                    std::process::abort();
                }
                seen = number;
            }
        });
    }
}

/// One test, because memory and the cache are those of the process.
#[test]
fn damage_is_an_error_or_harmless() {
    lengths_and_bits();
    rows_of_the_wrong_kind();
    changes_of_the_wrong_kind();
}

fn lengths_and_bits() {
    let mut damaged = Damaged::new();
    let blobs = damaged.blobs();
    assert_eq!(blobs.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [-1, 0, 1, 2, 3]);
    let mut random = Random(seed());
    let step = by_form(101, 1);
    for (id, blob) in &blobs {
        for length in (random.below(step)..blob.len()).step_by(step) {
            let mut cut = blob[..length].to_vec();
            damaged.blob(*id, &cut, Expected::Noticed, &format!("cut to {length} bytes"));
            reseal(&mut cut);
            damaged.blob(*id, &cut, Expected::Noticed, &format!("cut to {length} bytes, resealed"));
        }
        for bit in (random.below(step)..8 * blob.len()).step_by(step) {
            let mut changed = blob.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            damaged.blob(*id, &changed, Expected::Noticed, &format!("bit {bit}"));
            reseal(&mut changed);
            damaged.blob(*id, &changed, Expected::Alive, &format!("bit {bit}, resealed"));
        }
        // Fields of four bytes at their extremes, which single bits do not reach.
        for at in (0..blob.len().saturating_sub(4)).step_by(by_form(404, 4)) {
            for extreme in [0u32, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x7F80_0000, 0x7FC0_0000] {
                let mut changed = blob.clone();
                changed[at..at + 4].copy_from_slice(&extreme.to_le_bytes());
                reseal(&mut changed);
                damaged.blob(*id, &changed, Expected::Alive, &format!("{extreme:#x} at {at}, resealed"));
            }
        }
    }
    damaged.report("corruption of BLOBs");
}

fn rows_of_the_wrong_kind() {
    let mut damaged = Damaged::new();
    let mut cases = Vec::new();
    for id in -1..4 {
        for data in ["'text'", "5", "0.5", "x''", "zeroblob(64)", "zeroblob(4000000)", "randomblob(5000)"] {
            cases.push(format!("UPDATE ix_blocks SET data = {data} WHERE id = {id}"));
        }
        // Without ranges, an index is one of an older version.
        if id < 0 {
            continue;
        }
        for other in ["-3", "-9223372036854775808", "9223372036854775807", "99", "'x'", "2.5", "x'00'"] {
            cases.push(format!("UPDATE ix_blocks SET id = {other} WHERE id = {id}"));
        }
        cases.push(format!("DELETE FROM ix_blocks WHERE id = {id}"));
        for other in (0..4).filter(|other| *other != id) {
            cases.push(format!(
                "UPDATE ix_blocks SET data = (SELECT data FROM ix_blocks WHERE id = {other}) WHERE id = {id}"
            ));
        }
    }
    cases.push("DELETE FROM ix_blocks".into());
    for extra in ["4, zeroblob(64)", "5, x''", "-2, 'x'", "4294967296, zeroblob(200)", "8589934594, zeroblob(200)"] {
        cases.push(format!("INSERT INTO ix_blocks(id, data) VALUES ({extra})"));
    }
    for sql in &cases {
        damaged.case(|db| db.execute(sql, []), Expected::Noticed, sql);
    }
    damaged.report("corruption of rows");
}

fn changes_of_the_wrong_kind() {
    let mut damaged = Damaged::new();
    let values = ["NULL", "'text'", "x'00'", "0.5", "1e300", "0", "-1", "9223372036854775807", "-9223372036854775808"];
    let rows: Vec<i64> = {
        let mut statement = damaged.db.prepare("SELECT rowid FROM ix_pending").unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(|row| row.unwrap()).collect()
    };
    let mut cases = vec!["DELETE FROM ix_pending".to_string()];
    for row in &rows {
        for column in ["rid", "token"] {
            cases.extend(values.map(|value| format!("UPDATE ix_pending SET {column} = {value} WHERE rowid = {row}")));
        }
        cases.extend(
            ["1", "-5", "9223372036854775807"]
                .map(|to| format!("UPDATE ix_pending SET rowid = {to} WHERE rowid = {row}")),
        );
        cases.push(format!("DELETE FROM ix_pending WHERE rowid = {row}"));
    }
    cases.extend(values.map(|value| format!("INSERT INTO ix_pending(rid, token) VALUES ({value}, {value})")));
    assert!(rows.len() >= 5, "the anchor and three changes");
    for sql in &cases {
        damaged.case(|db| db.execute(sql, []), Expected::Alive, sql);
    }
    damaged.report("corruption of changes");
}
