//! A build or merge that is stopped halfway, by a full disk or by the user, leaves everything as it was; and while it runs,
//! `vec_stats` tells how far it is.

#![allow(clippy::unwrap_used)]

use crate::support::{self, Random, blob, load, scratch};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, InterruptHandle, params};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

const ROWS: i64 = 12_000;
const DIMENSIONS: usize = 96;
const CREATE: &str = "CREATE VIRTUAL TABLE built_vec USING vec_index(built, v)";
/// What writes an index, and whether there is one before.
const WORK: [(&str, bool); 3] = [
    (CREATE, false),
    ("INSERT INTO built_vec(built_vec) VALUES ('rebuild')", true),
    ("INSERT INTO built_vec(built_vec) VALUES ('merge')", true),
];

#[test]
fn a_full_disk_leaves_everything_as_it_was() {
    let _alone = alone();
    for (number, (work, is_indexed)) in WORK.into_iter().enumerate() {
        for in_transaction in [false, true] {
            let connection = prepared(&format!("full-{number}-{in_transaction}"), is_indexed);
            let before = content(&connection);
            let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
            let free: i64 = connection.query_row("PRAGMA freelist_count", [], |row| row.get(0)).unwrap();
            assert_eq!(free, 0);
            // More than a hundred pages are written: stop at the first, in the middle, near the end.
            for more in [0, 3, 90] {
                limit(&connection, pages + more);
                begin(&connection, in_transaction);
                let error = connection.execute_batch(work).unwrap_err();
                assert_eq!(error.sqlite_error_code(), Some(ErrorCode::DiskFull), "{work}, {more}: {error}");
                end(&connection);
                assert_eq!(content(&connection), before, "{work}, {more}");
                limit(&connection, 1 << 30);
                same(&connection);
            }
            connection.execute_batch(work).unwrap();
            connection.execute_batch("INSERT INTO built_vec(built_vec) VALUES ('check')").unwrap();
            same(&connection);
        }
    }
}

#[test]
fn an_interrupted_build_leaves_everything_as_it_was_and_tells_how_far_it_came() {
    let _alone = alone();
    for (number, (work, is_indexed)) in WORK.into_iter().enumerate() {
        for in_transaction in [false, true] {
            let name = format!("interrupted-{number}-{in_transaction}");
            let connection = prepared(&name, is_indexed);
            let before = content(&connection);
            begin(&connection, in_transaction);
            let (ended, watch, handle) = (AtomicBool::new(false), watcher(), connection.get_interrupt_handle());
            let seen = std::thread::scope(|scope| {
                let watching = scope.spawn(|| interrupt_halfway(watch, &handle, &ended));
                let error = connection.execute_batch(work).unwrap_err();
                ended.store(true, Ordering::SeqCst);
                assert_eq!(error.sqlite_error_code(), Some(ErrorCode::OperationInterrupted), "{name}: {error}");
                watching.join().unwrap()
            });
            // A merge also has the row that the user's own transaction changed.
            let total = if number == 2 { ROWS / 2 + i64::from(in_transaction) } else { ROWS };
            assert!(matches!(seen, Some((done, of)) if 0 < done && done <= of && of == total), "{name}: {seen:?}");
            end(&connection);
            assert_eq!(content(&connection), before, "{name}");
            assert_eq!(progress(&connection), None, "{name}: none runs any more");
            same(&connection);
            connection.execute_batch(work).unwrap();
            connection.execute_batch("INSERT INTO built_vec(built_vec) VALUES ('check')").unwrap();
            same(&connection);
        }
    }
}

/// A table with rows; its index, if it has one, is from before half of them came.
fn prepared(name: &str, is_indexed: bool) -> Connection {
    let connection = opened(&scratch(&format!("index-build-{name}")).join("test.db"));
    connection.execute_batch("CREATE TABLE built(id INTEGER PRIMARY KEY, v BLOB)").unwrap();
    let mut random = Random(3);
    extend(&connection, &mut random);
    if is_indexed {
        connection.execute_batch(CREATE).unwrap();
    }
    extend(&connection, &mut random);
    connection
}

fn extend(connection: &Connection, random: &mut Random) {
    connection.execute_batch("BEGIN").unwrap();
    let mut insert = connection.prepare("INSERT INTO built(v) VALUES (?1)").unwrap();
    for _ in 0..ROWS / 2 {
        insert.execute([vector(random)]).unwrap();
    }
    drop(insert);
    connection.execute_batch("COMMIT").unwrap();
}

fn opened(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    load(&connection, &support::library()).unwrap();
    connection
}

fn vector(random: &mut Random) -> Vec<u8> {
    blob(&(0..DIMENSIONS).map(|_| random.real() as f32).collect::<Vec<_>>())
}

fn limit(connection: &Connection, pages: i64) {
    connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
}

/// A transaction of the user's, with a change of the user's in it.
fn begin(connection: &Connection, in_transaction: bool) {
    if in_transaction {
        connection.execute_batch("BEGIN; UPDATE built SET v = v WHERE id = 1").unwrap();
    }
}

/// SQLite may have rolled the transaction back already, as it does on errors of this kind.
fn end(connection: &Connection) {
    if !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK").unwrap();
    }
}

/// All there is in the file: each table and trigger, and what its rows come to.
fn content(connection: &Connection) -> Vec<(String, u64)> {
    let mut statement = connection.prepare("SELECT name, type FROM sqlite_schema ORDER BY name").unwrap();
    let entries = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let entries: Vec<(String, String)> = entries.collect::<Result<_, _>>().unwrap();
    let has_rows = |name: &str, kind: &str| kind == "table" && name != "built_vec";
    entries
        .into_iter()
        .map(|(name, kind)| if has_rows(&name, &kind) { (hash(connection, &name), name) } else { (0, name) })
        .map(|(hash, name)| (name, hash))
        .collect()
}

fn hash(connection: &Connection, table: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut statement = connection.prepare(&format!("SELECT * FROM {table} ORDER BY rowid")).unwrap();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        for column in 0..2 {
            match row.get_ref(column).unwrap() {
                ValueRef::Integer(number) => number.hash(&mut hasher),
                ValueRef::Blob(bytes) => bytes.hash(&mut hasher),
                other => format!("{other:?}").hash(&mut hasher),
            }
        }
    }
    hasher.finish()
}

/// With and without an index the answers are the same.
fn same(connection: &Connection) {
    let mut random = Random(77);
    let ask = |query: &Vec<u8>, options: &str| -> Vec<(i64, f64)> {
        let sql = "SELECT rowid, score FROM vec_topk('built', 'v', ?1, 5, ?2)";
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map(params![query, options], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    for _ in 0..3 {
        let query = vector(&mut random);
        assert_eq!(ask(&query, "{}"), ask(&query, r#"{"index": false}"#));
    }
}

/// A connection that looks on.
fn watcher() -> Connection {
    opened(Path::new(":memory:"))
}

/// Done, and of how many, while a build runs.
fn progress(connection: &Connection) -> Option<(i64, i64)> {
    let sql = "SELECT progress_done, progress_total FROM vec_stats
               WHERE source = 'main.built' AND progress_total > 0 AND progress_done > progress_total / 4";
    connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).ok()
}

fn interrupt_halfway(watch: Connection, handle: &InterruptHandle, ended: &AtomicBool) -> Option<(i64, i64)> {
    while !ended.load(Ordering::SeqCst) {
        if let Some(seen) = progress(&watch) {
            handle.interrupt();
            return Some(seen);
        }
    }
    None
}

/// The tests of this file share what the process counts of a table `built`.
fn alone() -> MutexGuard<'static, ()> {
    static WATCHING: Mutex<()> = Mutex::new(());
    WATCHING.lock().unwrap_or_else(PoisonError::into_inner)
}
