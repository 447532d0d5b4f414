//! What goes wrong inside a search keeps SQLite's own result code, so that a program can act on it, and leaves the
//! connection as it was: usable, and closable.

#![allow(clippy::unwrap_used)]

use crate::support::scratch;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, Error, ErrorCode, ffi};
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

/// Without its rowid, a table would look like one that has none, or like one where every row is row 0.
#[test]
fn a_rowid_that_may_not_be_read_is_an_error() {
    let mut connection = open(&database("authorizer"));
    connection
        .execute_batch(
            "CREATE TABLE t(id TEXT PRIMARY KEY, v); INSERT INTO t VALUES ('a', '[1,0]'), ('b', '[0,1]');
             CREATE VIRTUAL TABLE ix USING vec_index(t, v); CREATE VIRTUAL TABLE words USING fts5(id, content='t')",
        )
        .unwrap();
    let calls = [
        "vec_topk('t', 'v', '[1,0]', 1)",
        "vec_topk('t', 'v', '[1,0]')",
        "vec_topk_many('nodes', 'v', 't', 'v', 1)",
        "vec_mmr('t', 'v', '[1,0]', 1, 0.5)",
        "vec_map('t', 'v')",
        "vec_hybrid('t', 'v', 'words', '[1,0]', 'a', 1)",
        "embed_rows('t', 'id')",
        "fafcas_audit('t', 'v')",
        "ix",
    ];
    for (answer, said) in
        [(Authorization::Deny, "access to t.ROWID is prohibited"), (Authorization::Ignore, "the rowid of t")]
    {
        let hides = move |context: AuthContext<'_>| match context.action {
            AuthAction::Read { table_name: "t", column_name: "ROWID" } => answer,
            _ => Authorization::Allow,
        };
        connection.authorizer(Some(hides)).unwrap();
        for call in calls {
            let outcome = connection.query_row(&format!("SELECT * FROM {call}"), [], |_| Ok(()));
            let error = outcome.expect_err(call).to_string();
            assert!(error.contains(said), "{call}: {error}");
        }
        connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>).unwrap();
    }
    works_and_closes(connection);
}

/// A table function is declared to SQLite when a connection first uses it.
#[test]
#[allow(unsafe_code)]
fn a_limit_that_is_too_low_for_a_table_is_named() {
    let calls = [
        "vec_topk('t','v','[1]',1)",
        "vec_topk_many('t','v','t','v',1)",
        "vec_hybrid('t','v','f','[1]','a')",
        "vec_stats",
        "vec_trace",
    ];
    let limits = [
        (ffi::SQLITE_LIMIT_COLUMN, 10, "SQLITE_LIMIT_COLUMN"),
        (ffi::SQLITE_LIMIT_SQL_LENGTH, 90, "SQLITE_LIMIT_SQL_LENGTH"),
    ];
    fafcas::register_auto_extension().unwrap();
    for (limit, low, name) in limits {
        for call in calls {
            let connection = Connection::open_in_memory().unwrap();
            // SAFETY: the connection is open.
            unsafe { ffi::sqlite3_limit(connection.handle(), limit, low) };
            let outcome = connection.query_row(&format!("SELECT * FROM {call}"), [], |_| Ok(()));
            let error = outcome.expect_err(call);
            let said = error.to_string();
            assert!(said.contains(&format!(": expected a {name} with room for ")), "{call}: {said}");
            assert_eq!(error.sqlite_error_code(), Some(ErrorCode::Unknown), "{call}: {said}");
        }
    }
    // So low that no message may quote much.
    let connection = Connection::open_in_memory().unwrap();
    // SAFETY: the connection is open.
    unsafe { ffi::sqlite3_limit(connection.handle(), ffi::SQLITE_LIMIT_LENGTH, 300) };
    let error = connection.query_row("SELECT * FROM vec_stats", [], |_| Ok(())).unwrap_err();
    assert!(error.to_string().starts_with("vec_stats: expected "), "{error}");
}

/// Issue 12: the search reads batch after batch, and the index is known by its name.
#[test]
fn a_search_goes_on_where_its_index_is_renamed_meanwhile() {
    let connection = open(&database("renamed"));
    connection
        .execute_batch(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE VIRTUAL TABLE ix USING vec_index(t, v);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
             INSERT INTO t SELECT i, json_array(i % 97, i) FROM n; INSERT INTO ix(ix) VALUES ('rebuild')",
        )
        .unwrap();
    let sql = |options: &str| format!("SELECT rowid FROM vec_topk('t', 'v', '[1,0.001]', NULL, '{options}')");
    let ids = |sql: &str| -> Vec<i64> {
        let mut statement = connection.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let all = ids(&sql(r#"{"index": false}"#));
    let mut statement = connection.prepare(&sql(r#"{"index": "ix"}"#)).unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut found = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        found.push(row.get::<_, i64>(0).unwrap());
        if found.len() == 2 {
            connection.execute_batch("ALTER TABLE ix RENAME TO iq").unwrap();
        }
    }
    assert_eq!(found, all);
    assert_eq!(ids(&sql(r#"{"index": "iq"}"#)), all);
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
