//! Connections of several threads search at once, each its own, and none sees another's settings, errors or rows.

#![allow(clippy::unwrap_used)]

use crate::support::{self, Random, blob, load, scratch};
use rusqlite::Connection;

const THREADS: u64 = 4;
const SEARCHES: usize = 200;

#[test]
fn threads_search_side_by_side() {
    let library = support::library();
    let path = scratch("threads").join("test.db");
    let open = || {
        let connection = Connection::open(&path).unwrap();
        load(&connection, &library).unwrap();
        connection
    };
    let writer = open();
    writer.execute_batch("CREATE TABLE angles(id INTEGER PRIMARY KEY, v BLOB); CREATE TABLE odd(v)").unwrap();
    for angle in 0..100 {
        let (sin, cos) = (f64::from(angle) / 50.0).sin_cos();
        writer.execute("INSERT INTO angles(v) VALUES (?1)", [blob(&[cos as f32, sin as f32])]).unwrap();
    }
    writer.execute_batch("INSERT INTO odd VALUES ('[1,2,3]')").unwrap();

    std::thread::scope(|scope| {
        for seed in 0..THREADS {
            let open = &open;
            scope.spawn(move || {
                let (connection, mut random) = (open(), Random(seed));
                for _ in 0..SEARCHES {
                    search(&connection, 1 + random.below(100) as i64);
                }
                connection.close().unwrap();
            });
        }
    });
}

/// A row is nearest to itself; a row of another length is the same error every time.
fn search(connection: &Connection, id: i64) {
    let sql = "SELECT rowid FROM vec_topk('angles', 'v', (SELECT v FROM angles WHERE id = ?1), 1)";
    let nearest: i64 = connection.prepare_cached(sql).unwrap().query_row([id], |row| row.get(0)).unwrap();
    assert_eq!(nearest, id);
    let wrong = "SELECT rowid FROM vec_topk('odd', 'v', '[1,0]', 1)";
    let error = connection.query_row(wrong, [], |_| Ok(())).unwrap_err();
    assert!(error.to_string().starts_with("vec_topk: "), "{error}");
}
