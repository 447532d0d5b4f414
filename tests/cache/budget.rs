//! What a budget for memory costs is told, and what an index was before a merge does not stay in memory.

#![allow(clippy::unwrap_used)]

use crate::support::{Random, blob, library, load, scratch};
use rusqlite::{Connection, params};
use std::path::Path;

const ROWS: i64 = 6000;
const DIMENSIONS: usize = 64;

fn open(path: &Path) -> Connection {
    let db = Connection::open(path).unwrap();
    load(&db, &library()).unwrap();
    db
}

fn configure(db: &Connection, bytes: i64) {
    db.query_row("SELECT fafcas_config('cache_bytes', ?1)", [bytes], |_| Ok(())).unwrap();
}

fn configured(db: &Connection) -> i64 {
    db.query_row("SELECT fafcas_config('cache_bytes')", [], |row| row.get(0)).unwrap()
}

fn vector(random: &mut Random) -> Vec<u8> {
    blob(&(0..DIMENSIONS).map(|_| random.real() as f32).collect::<Vec<_>>())
}

fn filled(path: &Path, table: &str, random: &mut Random) -> Connection {
    let db = open(path);
    db.pragma_update(None, "journal_mode", "wal").unwrap();
    db.execute_batch(&format!("CREATE TABLE {table}(id INTEGER PRIMARY KEY, v BLOB); BEGIN")).unwrap();
    for _ in 0..ROWS {
        db.execute(&format!("INSERT INTO {table}(v) VALUES (?1)"), [vector(random)]).unwrap();
    }
    db.execute_batch(&format!("COMMIT; CREATE VIRTUAL TABLE {table}_vec USING vec_index({table}, v)")).unwrap();
    db
}

/// The rows by the index, which are those of the scan.
fn searched(db: &Connection, table: &str, query: &[u8]) -> Vec<i64> {
    let ask = |options: &str| -> Vec<i64> {
        let mut statement = db.prepare("SELECT rowid FROM vec_topk(?1, 'v', ?2, 5, ?3)").unwrap();
        statement.query_map(params![table, query, options], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let found = ask(r#"{"metric": "cosine"}"#);
    let path: String = measure(db, table, "path");
    assert_eq!(path, "index");
    assert_eq!(found, ask(r#"{"metric": "cosine", "index": false}"#));
    found
}

fn measure<T: rusqlite::types::FromSql>(db: &Connection, table: &str, column: &str) -> T {
    let sql = format!("SELECT {column} FROM vec_stats WHERE source = 'main.' || ?1 AND column_name = 'v'");
    db.query_row(&sql, [table], |row| row.get(0)).unwrap()
}

fn health(db: &Connection, table: &str) -> bool {
    let sql = "SELECT ok FROM fafcas_health(?1, 'v') WHERE rule = 'index_memory'";
    db.query_row(sql, [table], |row| row.get(0)).unwrap()
}

#[test]
fn a_budget_that_is_too_small_is_told_with_one_that_would_do() {
    let _alone = crate::alone();
    let mut random = Random(18);
    let db = filled(&scratch("cache-budget").join("test.db"), "budgeted", &mut random);
    let blocks: i64 =
        db.query_row("SELECT value FROM budgeted_vec WHERE property = 'blocks'", [], |row| row.get(0)).unwrap();
    let before = configured(&db);
    // Nothing at all, less than a block, and nearly everything.
    for budget in [0, 1000] {
        configure(&db, budget);
        searched(&db, "budgeted", &vector(&mut random));
        assert_eq!(measure::<i64>(&db, "budgeted", "cache_passing"), blocks, "{budget}");
        assert!(!health(&db, "budgeted"), "{budget}");
    }
    let whole: i64 = measure(&db, "budgeted", "cache_wanted");
    let answers = 1 << 20;
    let held: i64 = db.query_row("SELECT sum(cache_bytes) FROM vec_stats", [], |row| row.get(0)).unwrap();
    configure(&db, held + whole + answers);
    for _ in 0..3 {
        searched(&db, "budgeted", &vector(&mut random));
    }
    assert_eq!(measure::<i64>(&db, "budgeted", "cache_passing"), 0, "so much would do, it said");
    assert!(health(&db, "budgeted"));
    configure(&db, before);
}

#[test]
fn a_budget_that_becomes_smaller_frees_memory_at_once() {
    let _alone = crate::alone();
    let mut random = Random(20);
    let db = filled(&scratch("cache-lowered").join("test.db"), "lowered", &mut random);
    let before = configured(&db);
    let held = || measure::<i64>(&db, "lowered", "cache_bytes");
    let query = vector(&mut random);
    let found = searched(&db, "lowered", &query);
    let whole = held();
    for budget in [whole / 2, 1000, 0] {
        configure(&db, budget);
        assert!(held() <= budget, "{} of {whole}, where {budget} are allowed", held());
    }
    configure(&db, before);
    assert_eq!(searched(&db, "lowered", &query), found);
}

#[test]
fn what_an_index_was_before_a_merge_leaves_memory() {
    let _alone = crate::alone();
    let mut random = Random(19);
    let path = scratch("cache-merged").join("test.db");
    let db = filled(&path, "merged", &mut random);
    let held = |db: &Connection| measure::<i64>(db, "merged", "cache_bytes");
    searched(&db, "merged", &vector(&mut random));
    // A reader that keeps the snapshot of now through all merges.
    let old = open(&path);
    old.execute_batch("BEGIN").unwrap();
    let query = vector(&mut random);
    let then = searched(&old, "merged", &query);
    let whole: i64 = measure(&db, "merged", "cache_wanted");
    for _ in 0..8 {
        db.execute("UPDATE merged SET v = ?1 WHERE id % 100 = 7", [vector(&mut random)]).unwrap();
        db.execute_batch("INSERT INTO merged_vec(merged_vec) VALUES ('merge')").unwrap();
        searched(&db, "merged", &vector(&mut random));
        assert!(held(&db) <= whole + whole / 4, "{} of {whole}", held(&db));
    }
    assert_eq!(searched(&old, "merged", &query), then);
    searched(&db, "merged", &query);
    assert_eq!(searched(&old, "merged", &query), then);
    assert!(held(&db) <= 2 * whole + whole / 4, "two states at most");
    old.execute_batch("COMMIT").unwrap();
    assert_eq!(searched(&old, "merged", &query), searched(&db, "merged", &query));
}
