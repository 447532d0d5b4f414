//! Joins that go on after what they read was rolled back: an inner loop that asks the same again gets the rows of now.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support::blob;
use rusqlite::Connection;

/// What is asked for each of four outer rows, always the same; the first row has to be row 3 while it is changed.
const JOINS: [&str; 4] = [
    "SELECT a, m.rowid FROM o CROSS JOIN vec_topk('t', 'v', x'0000803f00000000', 1) AS m",
    "SELECT a, m.rowid FROM o CROSS JOIN vec_topk_many('t', 'v', 'q', 'v', 1) AS m",
    "SELECT a, m.rowid FROM o CROSS JOIN vec_mmr('t', 'v', x'0000803f00000000', 1, 0.5) AS m",
    "SELECT a, max(m.x, -m.x) > 1e6 FROM o CROSS JOIN vec_map('t', 'v') AS m WHERE m.rowid = 3",
];

fn database() -> Connection {
    fafcas::register_auto_extension().unwrap();
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); CREATE TABLE q(id INTEGER PRIMARY KEY, v BLOB);
         CREATE TABLE o(a); INSERT INTO o VALUES (0), (1), (2), (3);
         INSERT INTO q VALUES (1, x'0000803f00000000');",
    )
    .unwrap();
    for row in 1..=20 {
        let angle = (21 - row) as f32 * 0.05;
        db.execute("INSERT INTO t VALUES (?1, ?2)", (row, blob(&[angle.cos(), angle.sin()]))).unwrap();
    }
    db
}

/// The join's rows, with something done after the first of them.
fn rows(db: &Connection, sql: &str, after_the_first: &str) -> Vec<(i64, i64)> {
    let mut statement = db.prepare(sql).unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut all = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        all.push((row.get(0).unwrap(), row.get(1).unwrap()));
        if all.len() == 1 {
            db.execute_batch(after_the_first).unwrap();
        }
    }
    all
}

fn changed(db: &Connection) {
    db.execute("UPDATE t SET v = ?1 WHERE id = 3", [blob(&[1e9, 0.0])]).unwrap();
}

/// Issue 12, 12.
#[test]
fn a_running_join_does_not_show_what_was_rolled_back() {
    for sql in JOINS {
        for (begin, end) in
            [("BEGIN; SAVEPOINT s", "ROLLBACK TO s"), ("SAVEPOINT s", "ROLLBACK TO s"), ("BEGIN", "ROLLBACK")]
        {
            let db = database();
            let before = rows(&db, sql, "");
            db.execute_batch(begin).unwrap();
            changed(&db);
            let found = rows(&db, sql, end);
            assert_ne!(found[0], before[0], "{sql}");
            assert_eq!(found[1..], before[1..], "{sql} after {end}");
        }
    }
}

/// Where nothing can have been undone, the inner loop is one search: in a transaction that has written, too.
#[test]
fn an_inner_loop_is_one_search() {
    let db = database();
    // Searches are counted by the table's name, in the whole process.
    db.execute_batch("CREATE TABLE looped AS SELECT * FROM t").unwrap();
    let searches = || -> i64 {
        let sql = "SELECT coalesce(sum(searches), 0) FROM vec_stats WHERE source = 'main.looped'";
        db.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let ask = |sql: &str| {
        let before = searches();
        let sql = format!("SELECT count(*) FROM ({})", sql.replace("'t'", "'looped'"));
        db.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap();
        searches() - before
    };
    for transaction in ["", "BEGIN", "SAVEPOINT s"] {
        db.execute_batch(transaction).unwrap();
        changed(&db);
        assert_eq!(JOINS[..3].iter().map(|sql| ask(sql)).collect::<Vec<_>>(), [1; 3], "{transaction}");
        if !transaction.is_empty() {
            db.execute_batch("ROLLBACK").unwrap();
        }
    }
}
