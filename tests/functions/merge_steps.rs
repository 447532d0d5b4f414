//! `merge N`: a merge in steps. Between any two of them, searches are right, for readers of old snapshots too.

#![allow(clippy::unwrap_used)]

use crate::support::{Random, blob, scratch};
use rusqlite::{Connection, params};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const DIMENSIONS: usize = 16;
const BY_INDEX: &str = r#"{"metric": "cosine", "exact": true, "index": "steps_vec"}"#;

fn open(path: &Path) -> Connection {
    fafcas::register_auto_extension().unwrap();
    let db = Connection::open(path).unwrap();
    db.busy_timeout(Duration::from_secs(60)).unwrap();
    db
}

fn vector(random: &mut Random) -> Vec<u8> {
    blob(&(0..DIMENSIONS).map(|_| random.real() as f32 - 0.5).collect::<Vec<_>>())
}

fn made(path: &Path, rows: usize, random: &mut Random) -> Connection {
    let db = open(path);
    db.pragma_update(None, "journal_mode", "wal").unwrap();
    db.execute_batch("CREATE TABLE steps(id INTEGER PRIMARY KEY, v BLOB); BEGIN").unwrap();
    for _ in 0..rows {
        db.execute("INSERT INTO steps(v) VALUES (?1)", [vector(random)]).unwrap();
    }
    db.execute_batch("COMMIT; CREATE VIRTUAL TABLE steps_vec USING vec_index(steps, v)").unwrap();
    db
}

fn merge(db: &Connection, command: &str) -> rusqlite::Result<usize> {
    db.execute("INSERT INTO steps_vec(steps_vec) VALUES (?1)", [command])
}

fn property(db: &Connection, name: &str) -> String {
    let sql = "SELECT coalesce(CAST(value AS TEXT), '') FROM steps_vec WHERE property = ?1";
    db.query_row(sql, [name], |row| row.get(0)).unwrap()
}

fn pending(db: &Connection) -> usize {
    property(db, "pending").parse().unwrap()
}

fn rows(db: &Connection, query: &[u8], options: &str) -> Vec<(i64, u64)> {
    let sql = "SELECT rowid, score FROM vec_topk('steps', 'v', ?1, 7, ?2)";
    let mut statement = db.prepare_cached(sql).unwrap();
    let hit = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, f64>(1)?.to_bits()));
    statement.query_map(params![query, options], hit).unwrap().map(Result::unwrap).collect()
}

fn answers(db: &Connection, query: &[u8]) -> Vec<(i64, u64)> {
    let found = rows(db, query, BY_INDEX);
    assert_eq!(found, rows(db, query, r#"{"metric": "cosine", "index": false}"#));
    assert_eq!(found, rows(db, query, r#"{"metric": "cosine", "index": "steps_vec"}"#));
    found
}

fn change(db: &Connection, random: &mut Random) {
    let id = random.below(900) as i64 + 1;
    match random.below(4) {
        0 => db.execute("DELETE FROM steps WHERE id = ?1", [id]),
        1 => db.execute("INSERT INTO steps(v) VALUES (?1)", [vector(random)]),
        2 => db.execute("INSERT OR REPLACE INTO steps VALUES (?1, ?2)", params![id, vector(random)]),
        _ => db.execute("UPDATE steps SET v = ?2 WHERE id = ?1", params![id, vector(random)]),
    }
    .unwrap();
}

#[test]
fn any_history_with_steps_answers_like_scans() {
    for seed in 1..=3 {
        let mut random = Random(seed);
        let db = made(&scratch(&format!("merge-steps-{seed}")).join("test.db"), 500, &mut random);
        for step in 0..30 {
            for _ in 0..random.below(40) {
                change(&db, &mut random);
            }
            let before = pending(&db);
            match random.below(6) {
                0 => assert_eq!(merge(&db, "merge").map(|_| pending(&db)).unwrap(), 0),
                1 => drop(merge(&db, "rebuild").unwrap()),
                2 => db.execute_batch("VACUUM").unwrap(),
                3 => {
                    db.execute_batch("BEGIN").unwrap();
                    merge(&db, "merge 9").unwrap();
                    answers(&db, &vector(&mut random));
                    db.execute_batch("ROLLBACK").unwrap();
                    assert_eq!(pending(&db), before);
                }
                _ => {
                    let most = 1 + random.below(25);
                    merge(&db, &format!("merge {most}")).unwrap();
                    assert!(pending(&db) <= before.saturating_sub(most), "seed {seed}, step {step}");
                }
            }
            answers(&db, &vector(&mut random));
            if step % 8 == 0 {
                merge(&db, "check").unwrap();
            }
            assert_eq!(property(&db, "sign"), "", "seed {seed}, step {step}");
        }
        while pending(&db) > 0 {
            merge(&db, "merge 10").unwrap();
        }
        merge(&db, "check").unwrap();
        answers(&db, &vector(&mut random));
    }
}

#[test]
fn a_reader_keeps_its_snapshot_through_many_steps() {
    let mut random = Random(5);
    let path = scratch("merge-steps-reader").join("test.db");
    let db = made(&path, 600, &mut random);
    let (old, query) = (open(&path), vector(&mut random));
    for _ in 0..120 {
        change(&db, &mut random);
    }
    old.execute_batch("BEGIN").unwrap();
    let then = answers(&old, &query);
    while pending(&db) > 0 {
        merge(&db, "merge 7").unwrap();
        change(&db, &mut random);
        change(&db, &mut random);
        answers(&db, &query);
        assert_eq!(answers(&old, &query), then);
    }
    old.execute_batch("COMMIT").unwrap();
    assert_eq!(answers(&old, &query), answers(&db, &query));
    merge(&db, "check").unwrap();
}

/// Two processes may merge; here two threads with connections of their own. A third one writes.
#[test]
fn two_mergers_and_a_writer_lose_nothing() {
    let mut random = Random(6);
    let path = scratch("merge-steps-two").join("test.db");
    let db = made(&path, 500, &mut random);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (command, seed) in [("merge 5", 7), ("merge 11", 8)] {
            let (path, is_done) = (&path, &is_done);
            scope.spawn(move || {
                let (db, mut random) = (open(path), Random(seed));
                while !is_done.load(Ordering::Relaxed) {
                    merge(&db, command).unwrap();
                    db.execute_batch("BEGIN").unwrap();
                    answers(&db, &vector(&mut random));
                    db.execute_batch("COMMIT").unwrap();
                }
            });
        }
        for _ in 0..100 {
            change(&db, &mut random);
        }
        is_done.store(true, Ordering::Relaxed);
    });
    merge(&db, "check").unwrap();
    answers(&db, &vector(&mut random));
    while pending(&db) > 0 {
        merge(&db, "merge 50").unwrap();
    }
    merge(&db, "check").unwrap();
    answers(&db, &vector(&mut random));
}

#[test]
fn a_full_disk_stops_a_step_and_loses_nothing() {
    let mut random = Random(9);
    let db = made(&scratch("merge-steps-full").join("test.db"), 3000, &mut random);
    for _ in 0..60 {
        change(&db, &mut random);
    }
    merge(&db, "merge 20").unwrap();
    // New rows need new pages, so that a step cannot do without.
    for _ in 0..4000 {
        db.execute("INSERT INTO steps(v) VALUES (?1)", [vector(&mut random)]).unwrap();
    }
    let (before, query) = (pending(&db), vector(&mut random));
    let pages: i64 = db.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let mut stopped = 0;
    for more in (0..).step_by(11) {
        db.query_row(&format!("PRAGMA max_page_count = {}", pages + more), [], |_| Ok(())).unwrap();
        match merge(&db, "merge 3000") {
            Err(error) => {
                assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull), "{error}");
                stopped += 1;
                assert_eq!(pending(&db), before);
                answers(&db, &query);
            }
            Ok(_) => break,
        }
    }
    assert!(stopped > 1, "{stopped}");
    db.query_row("PRAGMA max_page_count = 1073741823", [], |_| Ok(())).unwrap();
    assert!(pending(&db) <= before - 3000);
    merge(&db, "check").unwrap();
    answers(&db, &query);
}

/// A step leaves most changes in the list. A search that has encoded them once need not do it again.
#[test]
fn what_a_step_leaves_is_not_encoded_again() {
    let mut random = Random(10);
    let db = open(&scratch("merge-steps-encoded").join("test.db"));
    db.execute_batch("CREATE TABLE stepwise(id INTEGER PRIMARY KEY, v BLOB); BEGIN").unwrap();
    for _ in 0..3000 {
        db.execute("INSERT INTO stepwise(v) VALUES (?1)", [vector(&mut random)]).unwrap();
    }
    db.execute_batch("COMMIT; CREATE VIRTUAL TABLE stepwise_vec USING vec_index(stepwise, v)").unwrap();
    db.execute_batch("UPDATE stepwise SET v = zeroblob(64) WHERE id % 3 = 0; DELETE FROM stepwise WHERE id = 9")
        .unwrap();
    let search = |query: &[u8]| -> (Vec<i64>, i64) {
        let found = |options: &str| -> Vec<i64> {
            let mut statement = db.prepare_cached("SELECT rowid FROM vec_topk('stepwise', 'v', ?1, 7, ?2)").unwrap();
            statement.query_map(params![query, options], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        let rows = found(r#"{"index": "stepwise_vec"}"#);
        let sql = "SELECT path, encoded FROM vec_stats WHERE source = 'main.stepwise' AND column_name = 'v'";
        let (path, encoded): (String, i64) = db.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(path, "index");
        assert_eq!(rows, found(r#"{"index": false}"#));
        (rows, encoded)
    };
    let (_, before) = search(&vector(&mut random));
    assert_eq!(before, 1000);
    for _ in 0..9 {
        db.execute_batch("INSERT INTO stepwise_vec(stepwise_vec) VALUES ('merge 100')").unwrap();
        assert_eq!(search(&vector(&mut random)).1, before);
    }
    // A change after the last search is one more.
    db.execute("UPDATE stepwise SET v = ?1 WHERE id = 3000", [vector(&mut random)]).unwrap();
    db.execute_batch("INSERT INTO stepwise_vec(stepwise_vec) VALUES ('merge 50')").unwrap();
    assert_eq!(search(&vector(&mut random)).1, before + 1);
}
