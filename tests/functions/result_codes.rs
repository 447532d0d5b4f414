//! What goes wrong inside a search keeps SQLite's own result code, so that a program can act on it, and leaves the
//! connection as it was: usable, and closable.

#![allow(clippy::unwrap_used)]

use crate::support::scratch;
use rusqlite::{Connection, Error, ErrorCode};
use std::path::Path;

const SEARCHES: [&str; 2] =
    ["SELECT count(*) FROM vec_topk('nodes', 'v', '[1,0]', 3)", "SELECT count(*) FROM vec_topk('nodes', 'v', '[1,0]')"];

#[test]
fn a_locked_database_is_busy() {
    let path = database("busy");
    let (reader, writer) = (open(&database("busy-reader")), open(&path));
    // In a file of its own, which the search opens and not the statement around it; and with its schema read before.
    reader.execute("ATTACH ?1 AS aux", [path.to_str()]).unwrap();
    reader.query_row("SELECT count(*) FROM aux.nodes", [], |_| Ok(())).unwrap();
    writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
    for sql in SEARCHES.map(|sql| sql.replace("nodes", "aux.nodes")) {
        assert_eq!(code(&reader, &sql), ErrorCode::DatabaseBusy);
    }
    writer.execute_batch("ROLLBACK").unwrap();
    works_and_closes(reader);
}

/// A view without end: nothing but the interrupt can stop the search, so the test needs no clock.
#[test]
fn an_interrupt_from_another_thread_ends_an_endless_search() {
    let connection = open(&database("interrupt"));
    let view = "CREATE TEMP VIEW endless AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n)
                SELECT id, '[1,0]' AS v FROM n";
    connection.execute_batch(view).unwrap();
    let handle = connection.get_interrupt_handle();
    for sql in SEARCHES.map(|sql| sql.replace("nodes", "endless")) {
        let (done, finished) = std::sync::mpsc::channel::<()>();
        let handle = &handle;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                while finished.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                    handle.interrupt();
                    std::thread::yield_now();
                }
            });
            assert_eq!(code(&connection, &sql), ErrorCode::OperationInterrupted);
            drop(done);
        });
    }
    works_and_closes(connection);
}

#[test]
fn a_progress_handler_ends_a_search() {
    let mut connection = open(&database("progress"));
    let many = "INSERT INTO nodes WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
                SELECT i, '[1,0]' FROM n";
    connection.execute_batch(many).unwrap();
    for sql in SEARCHES {
        connection.progress_handler(1000, Some(|| true)).unwrap();
        assert_eq!(code(&connection, sql), ErrorCode::OperationInterrupted);
        connection.progress_handler(0, None::<fn() -> bool>).unwrap();
    }
    connection.execute_batch("DELETE FROM nodes WHERE id >= 10").unwrap();
    works_and_closes(connection);
}

#[test]
fn a_damaged_database_is_corrupt() {
    let path = database("corrupt");
    let mut bytes = std::fs::read(&path).unwrap();
    // The second page is the root of the only table: a page of no kind at all.
    bytes[4096..4200].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let connection = open(&path);
    for sql in SEARCHES {
        assert_eq!(code(&connection, sql), ErrorCode::DatabaseCorrupt);
        let said = connection.query_row(sql, [], |_| Ok(())).unwrap_err().to_string();
        assert!(said.contains(&format!("(the file {}; restore a backup)", path.display())), "{said}");
    }
    connection.close().unwrap();
}

/// By an index, too: both ways name the table and the file. Issue 12.
#[test]
fn a_damaged_table_is_named_whichever_way_a_search_goes() {
    let path = database("corrupt-indexed");
    let connection = open(&path);
    connection
        .execute_batch("CREATE VIRTUAL TABLE nodes_vec USING vec_index(nodes, v); PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    connection.close().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096..4200].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let connection = open(&path);
    let reason =
        format!("table nodes: database disk image is malformed (the file {}; restore a backup)", path.display());
    for options in [r#"{"index":"nodes_vec"}"#, r#"{"index":"nodes_vec","exact":true}"#, r#"{"index":false}"#] {
        for call in ["vec_topk('nodes', 'v', '[1,0]', 3, ?1)", "vec_topk_many('nodes', 'v', 'asked', 'v', 3, ?1)"] {
            connection.execute_batch("CREATE TEMP TABLE IF NOT EXISTS asked AS SELECT 1 AS id, '[1,0]' AS v").unwrap();
            let sql = format!("SELECT count(*) FROM {call}");
            let said = connection.query_row(&sql, [options], |_| Ok(())).unwrap_err().to_string();
            assert!(said.ends_with(&reason), "{call}, {options}: {said}");
        }
    }
    connection.close().unwrap();
}

/// A search that the reader leaves half-way, or that failed, holds nothing that keeps the connection open.
#[test]
fn abandoned_and_failed_searches_let_the_connection_close() {
    let connection = open(&database("close"));
    let mut statement = connection.prepare("SELECT rowid FROM vec_topk('nodes', 'v', '[1,0]')").unwrap();
    let mut rows = statement.query([]).unwrap();
    assert!(rows.next().unwrap().is_some());
    drop(rows);
    drop(statement);
    for wrong in ["'nope', 'v', '[1,0]', 3", "'nodes', 'v', '[1]', 3", "'nodes', 'v', '[1,0]', -1"] {
        connection.prepare(&format!("SELECT * FROM vec_topk({wrong})")).unwrap().query([]).unwrap().next().unwrap_err();
    }
    works_and_closes(connection);
}

fn works_and_closes(connection: Connection) {
    let count: i64 = connection.query_row(SEARCHES[0], [], |row| row.get(0)).unwrap();
    assert_eq!(count, 2);
    connection.close().unwrap();
}

fn code(connection: &Connection, sql: &str) -> ErrorCode {
    match connection.query_row(sql, [], |_| Ok(())) {
        Err(Error::SqliteFailure(error, _)) => error.code,
        other => unreachable!("{sql} gave {other:?}"),
    }
}

fn open(path: &Path) -> Connection {
    fafcas::register_auto_extension().unwrap();
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(std::time::Duration::ZERO).unwrap();
    connection
}

/// A file with two vectors in it.
fn database(name: &str) -> std::path::PathBuf {
    let path = scratch(&format!("result-codes-{name}")).join("test.db");
    let connection = open(&path);
    let schema = "CREATE TABLE nodes(id INTEGER PRIMARY KEY, v); INSERT INTO nodes(v) VALUES ('[1,0]'), ('[0,1]')";
    connection.execute_batch(schema).unwrap();
    path
}
