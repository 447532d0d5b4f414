//! Commands of an index that stop at any of their statements, within a transaction that is then committed all the same. Nothing is
//! lost, no search meets an error, and `rebuild` makes the index whole.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support::{Random, blob, scratch};
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, params};
use std::path::{Path, PathBuf};

/// So many that a block has 64 slots.
const DIMENSIONS: usize = 4096;
const ROWS: i64 = 100;

/// A type of elements: how CREATE names it, and the function that makes its vectors.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    function: &'static str,
}

const F32: Kind = Kind { name: "f32", function: "vec_f32" };
const F16: Kind = Kind { name: "f16", function: "vec_f16" };

fn open(path: &Path) -> Connection {
    fafcas::register_auto_extension().unwrap();
    Connection::open(path).unwrap()
}

fn vector(random: &mut Random) -> Vec<u8> {
    blob(&(0..DIMENSIONS).map(|_| random.real() as f32 - 0.5).collect::<Vec<_>>())
}

/// A file with an index of several blocks, and with changes that no merge has seen.
fn file(folder: &Path, kind: Kind) -> PathBuf {
    let path = folder.join("start.db");
    let (db, mut random) = (open(&path), Random(1));
    let put = format!("INSERT OR REPLACE INTO t VALUES (?1, {}(?2))", kind.function);
    db.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); BEGIN").unwrap();
    for id in 1..=ROWS {
        db.execute(&put, params![id, vector(&mut random)]).unwrap();
    }
    let create = format!(r#"COMMIT; CREATE VIRTUAL TABLE i USING vec_index(t, v, '{{"type": "{}"}}')"#, kind.name);
    db.execute_batch(&create).unwrap();
    for id in (3..ROWS + 20).step_by(9) {
        db.execute(&put, params![id, vector(&mut random)]).unwrap();
    }
    db.execute_batch("DELETE FROM t WHERE id % 20 = 1").unwrap();
    let blocks: i64 = db.query_row("SELECT count(*) FROM i_blocks", [], |row| row.get(0)).unwrap();
    assert!(blocks >= 3 + 2 * 2, "{blocks}");
    path
}

fn tell(db: &Connection, command: &str) -> rusqlite::Result<usize> {
    db.execute("INSERT INTO i(i) VALUES (?1)", [command])
}

fn rows(db: &Connection, options: &str) -> rusqlite::Result<Vec<(i64, u64)>> {
    let mut statement = db.prepare("SELECT rowid, score FROM vec_topk('t', 'v', ?1, 9, ?2)")?;
    let query = vector(&mut Random(77));
    statement.query_map(params![query, options], |row| Ok((row.get(0)?, row.get::<_, f64>(1)?.to_bits())))?.collect()
}

/// Searches by the index find what a scan finds, and do not fail. The type is told by the index alone.
fn assert_answers(db: &Connection, what: &str) {
    let scanned = rows(db, r#"{"index": false}"#).unwrap_or_else(|error| panic!("{what}: {error}"));
    for options in [r#"{"index": "i"}"#, r#"{"index": "i", "exact": true}"#] {
        let found = rows(db, options).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(found, scanned, "{what}, {options}");
    }
}

fn property(db: &Connection, name: &str) -> String {
    let sql = "SELECT coalesce(CAST(value AS TEXT), '') FROM i WHERE property = ?1";
    db.query_row(sql, [name], |row| row.get(0)).unwrap()
}

/// As a process sees it that has nothing of the index in memory: memory is kept by the name of the file.
fn assert_sound(path: &Path, what: &str) {
    let db = open(path);
    assert_answers(&db, what);
    // A writer goes on, and nothing is missed.
    db.execute_batch("UPDATE t SET v = (SELECT v FROM t WHERE id = 8) WHERE id = 7").unwrap();
    assert_answers(&db, what);
    let is_whole = !property(&db, "rows").is_empty();
    if is_whole {
        tell(&db, "merge").unwrap_or_else(|error| panic!("{what}: {error}"));
    } else {
        assert_eq!(property(&db, "state"), "rebuild", "{what}");
        assert_eq!(property(&db, "sign"), "a merge or rebuild was stopped before its end", "{what}");
        let error = tell(&db, "merge").unwrap_err().to_string();
        assert!(error.contains("'rebuild' mends it"), "{error}");
        tell(&db, "rebuild").unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    tell(&db, "check").unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(property(&db, "state"), "ready", "{what}");
    assert_answers(&db, what);
}

/// Lets a number of statements that write to the tables of the index pass, and then refuses every one.
fn stop_after(db: &mut Connection, most: usize) {
    let mut passed = 0;
    db.authorizer(Some(move |context: AuthContext<'_>| match context.action {
        AuthAction::Insert { table_name } | AuthAction::Delete { table_name } if table_name.starts_with("i_") => {
            passed += 1;
            if passed > most { Authorization::Deny } else { Authorization::Allow }
        }
        _ => Authorization::Allow,
    }))
    .unwrap();
}

fn let_pass(db: &mut Connection) {
    db.authorizer(None::<fn(AuthContext<'_>) -> Authorization>).unwrap();
}

fn stop_everywhere(kind: Kind, command: &str) {
    let folder = scratch(&format!("stopped-{}-{command}", kind.name));
    let start = file(&folder, kind);
    let (mut stopped, mut unfinished) = (0, 0);
    loop {
        let what = format!("{}, {command} stopped after {stopped} statements", kind.name);
        let (path, kept) = (folder.join("run.db"), folder.join(format!("{stopped}.db")));
        std::fs::copy(&start, &path).unwrap();
        let mut db = open(&path);
        stop_after(&mut db, stopped);
        db.execute_batch("BEGIN").unwrap();
        let outcome = tell(&db, command);
        let_pass(&mut db);
        db.execute_batch("COMMIT").unwrap();
        assert_answers(&db, &what);
        unfinished += usize::from(property(&db, "rows").is_empty());
        drop(db);
        std::fs::rename(&path, &kept).unwrap();
        assert_sound(&kept, &what);
        std::fs::remove_file(&kept).unwrap();
        match outcome {
            Ok(_) => break,
            Err(error) => assert!(error.to_string().contains("not authorized"), "{what}: {error}"),
        }
        stopped += 1;
    }
    assert!(stopped > 8 && unfinished > 6, "{stopped} stops, {unfinished} unfinished");
}

#[test]
fn a_merge_that_stops_anywhere_loses_nothing() {
    stop_everywhere(F32, "merge");
}

#[test]
fn a_merge_of_some_rows_that_stops_anywhere_loses_nothing() {
    stop_everywhere(F32, "merge 15");
}

/// A search that is told no type reads it from the header, of an index that is unfinished too.
#[test]
fn a_merge_of_another_type_that_stops_anywhere_loses_nothing() {
    stop_everywhere(F16, "merge");
}

#[test]
fn a_rebuild_that_stops_anywhere_loses_nothing() {
    stop_everywhere(F32, "rebuild");
}

/// Searches work as long as they need no fine codes of the last block, and a merge fails at it, after the others were written.
#[test]
fn a_merge_that_meets_damage_at_its_end_breaks_no_search() {
    let folder = scratch("stopped-damage");
    let path = file(&folder, F32);
    let db = open(&path);
    db.execute_batch(
        "UPDATE i_blocks SET data = CAST(substr(data, 1, length(data) - 1) || x'77' AS BLOB)
         WHERE id = (SELECT max(id) FROM i_blocks)",
    )
    .unwrap();
    db.execute_batch("BEGIN").unwrap();
    let error = tell(&db, "merge").unwrap_err().to_string();
    assert!(error.contains("the checksum does not match"), "{error}");
    db.execute_batch("COMMIT").unwrap();
    drop(db);
    let later = folder.join("later.db");
    std::fs::rename(&path, &later).unwrap();
    assert_sound(&later, "damage");
}
