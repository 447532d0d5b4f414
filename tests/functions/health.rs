//! `fafcas_health` on files that are damaged, read-only or being written: rows and no error, and not a byte changed.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::{Path, PathBuf};

const ROWS: i64 = 500;

fn file(folder: &Path) -> PathBuf {
    fafcas::register_auto_extension().unwrap();
    let path = folder.join("health.db");
    let connection = Connection::open(&path).unwrap();
    let sql = format!(
        "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);
         INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         SELECT i, fafcas_normalize('[1,2,3,4,5,6,7,' || i || ']') FROM n;
         CREATE VIRTUAL TABLE t_vec USING vec_index(t, v);
         PRAGMA wal_checkpoint(TRUNCATE);"
    );
    connection.execute_batch(&sql).unwrap();
    path
}

/// Rule, actual, ok.
fn findings(connection: &Connection) -> rusqlite::Result<Vec<(String, String, bool)>> {
    let mut statement = connection.prepare("SELECT rule, actual, ok FROM fafcas_health('t', 'v')")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
}

fn finding(connection: &Connection, rule: &str) -> (String, bool) {
    let all = findings(connection).unwrap();
    let (_, actual, ok) = all.into_iter().find(|(found, ..)| found == rule).unwrap_or_else(|| panic!("no {rule}"));
    (actual, ok)
}

#[test]
fn a_read_only_database_is_examined_and_none_is_written() {
    let folder = support::scratch("health-read-only");
    let path = file(&folder);
    let before = std::fs::read(&path).unwrap();
    let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    assert_eq!(finding(&connection, "journal_mode"), ("wal".into(), true));
    assert_eq!(finding(&connection, "readable"), (format!("{ROWS} rows"), true));
    assert_eq!(finding(&connection, "index"), ("t_vec: ready, 0 pending".into(), true));
    drop(connection);

    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "query_only", true).unwrap();
    assert!(findings(&connection).unwrap().len() >= 15);
    drop(connection);
    assert!(std::fs::read(&path).unwrap() == before);
}

/// Every page but the first, which no statement gets past, is overwritten in turn.
#[test]
fn a_damaged_page_is_a_row_and_no_error() {
    let folder = support::scratch("health-damaged");
    let sound = std::fs::read(file(&folder)).unwrap();
    let path = folder.join("damaged.db");
    let mut unreadable = 0;
    for page in 1..sound.len() / 4096 {
        let mut bytes = sound.clone();
        bytes[page * 4096..][..4096].fill(0xa5);
        std::fs::write(&path, bytes).unwrap();
        let connection = Connection::open(&path).unwrap();
        let found = findings(&connection).unwrap_or_else(|error| panic!("page {page}: {error}"));
        unreadable += usize::from(found.iter().any(|(rule, actual, ok)| {
            rule == "readable" && !ok && actual.contains("database disk image is malformed")
        }));
    }
    assert!(unreadable > 2, "{unreadable}");
}

/// Attached: a lock on the main database is met by the statement itself, before it has begun.
#[test]
fn a_database_that_another_connection_locks_is_a_row() {
    let folder = support::scratch("health-locked");
    let path = file(&folder);
    let connection = Connection::open_in_memory().unwrap();
    connection.execute("ATTACH ?1 AS aux", [path.to_str()]).unwrap();
    connection.execute_batch("PRAGMA aux.journal_mode = DELETE; PRAGMA busy_timeout = 0").unwrap();
    assert_eq!(finding(&connection, "readable"), (format!("{ROWS} rows"), true));
    let writer = Connection::open(&path).unwrap();
    writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert_eq!(finding(&connection, "source"), ("database is locked".into(), false));
}

#[test]
fn an_interrupt_ends_the_statement() {
    let folder = support::scratch("health-interrupted");
    let mut connection = Connection::open(file(&folder)).unwrap();
    connection.progress_handler(100, Some(|| true)).unwrap();
    let error = findings(&connection).unwrap_err();
    assert_eq!(error.sqlite_error_code(), Some(ErrorCode::OperationInterrupted), "{error}");
}
