//! Many changes that nobody has merged yet: they are encoded once for all connections of the process, within the memory
//! that indexes may use, and a search stays a search by the index.

#![allow(clippy::unwrap_used)]

use crate::support::{self, Random, blob, load, scratch};
use rusqlite::{Connection, params};
use std::path::Path;

const ROWS: i64 = 30_000;
const CHANGED: i64 = 20_000;
const DIMENSIONS: usize = 128;

#[test]
fn changed_rows_are_encoded_once() {
    let _alone = crate::alone();
    let path = scratch("index-pending").join("test.db");
    let connection = opened(&path);
    fill(&connection);
    connection.execute_batch("CREATE VIRTUAL TABLE nodes_vec USING vec_index(nodes, v)").unwrap();
    // Written by a program without the library.
    let plain = Connection::open(&path).unwrap();
    plain
        .execute(
            "UPDATE nodes SET v = (SELECT v FROM nodes AS other WHERE other.id = 30001 - nodes.id) WHERE id <= ?1",
            [CHANGED],
        )
        .unwrap();

    for times in 0..3 {
        same(&connection, "index");
        same(&opened(&path), "index");
        assert_eq!(counts(&connection), (CHANGED, CHANGED), "search {times}");
    }

    // What is changed again, and what is new, is all there is to do.
    plain
        .execute_batch(
            "DELETE FROM nodes WHERE id BETWEEN 5 AND 7; INSERT INTO nodes(v) SELECT v FROM nodes WHERE id < 3",
        )
        .unwrap();
    same(&connection, "index");
    assert_eq!(counts(&connection), (CHANGED + 2, CHANGED + 5));

    // A transaction of one's own, and back.
    connection.execute_batch("BEGIN; DELETE FROM nodes WHERE id < 100").unwrap();
    same(&connection, "index");
    connection.execute_batch("ROLLBACK").unwrap();
    let (_, encoded) = counts(&connection);
    same(&connection, "index");
    assert_eq!(counts(&connection), (CHANGED + 2, encoded), "what was known before is known still");

    // More than may be held: the rows are scanned, and none is encoded in vain.
    configure(&connection, "cache_bytes", 0);
    plain.execute_batch("UPDATE nodes SET v = v").unwrap();
    same(&connection, "scan");
    same(&connection, "scan");
    assert_eq!(counts(&connection).1, encoded);
    // A few changes are known even so.
    connection.execute_batch("INSERT INTO nodes_vec(nodes_vec) VALUES ('merge')").unwrap();
    plain.execute_batch("UPDATE nodes SET v = v WHERE id % 100 = 0").unwrap();
    same(&connection, "index");
    configure(&connection, "cache_bytes", 256 << 20);
    same(&connection, "index");
}

fn opened(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    load(&connection, &support::library()).unwrap();
    connection
}

fn configure(connection: &Connection, key: &str, value: i64) {
    connection.query_row("SELECT fafcas_config(?1, ?2)", params![key, value], |_| Ok(())).unwrap();
}

fn vector(random: &mut Random) -> Vec<u8> {
    blob(&(0..DIMENSIONS).map(|_| random.real() as f32).collect::<Vec<_>>())
}

fn fill(connection: &Connection) {
    connection.execute_batch("CREATE TABLE nodes(id INTEGER PRIMARY KEY, v BLOB); BEGIN").unwrap();
    let mut random = Random(5);
    let mut insert = connection.prepare("INSERT INTO nodes(v) VALUES (?1)").unwrap();
    for _ in 0..ROWS {
        insert.execute([vector(&mut random)]).unwrap();
    }
    drop(insert);
    connection.execute_batch("COMMIT").unwrap();
}

/// Pending rows as the last search met them, and rows encoded so far.
fn counts(connection: &Connection) -> (i64, i64) {
    let sql = "SELECT pending, encoded FROM vec_stats WHERE source = 'main.nodes' AND column_name = 'v'";
    connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

/// The answers are the scan's, and were found by this path.
#[track_caller]
fn same(connection: &Connection, path: &str) {
    let mut random = Random(6);
    for k in [1, 10, 100] {
        let query = vector(&mut random);
        let ask = |options: &str| -> Vec<(i64, f64)> {
            let sql = "SELECT rowid, score FROM vec_topk('nodes', 'v', ?1, ?2, ?3)";
            let mut statement = connection.prepare(sql).unwrap();
            let rows = statement.query_map(params![query, k, options], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            rows.collect::<Result<_, _>>().unwrap()
        };
        let expected = ask(r#"{"index": false}"#);
        assert_eq!(ask("{}"), expected);
        let sql = "SELECT path FROM vec_stats WHERE source = 'main.nodes' AND column_name = 'v'";
        assert_eq!(connection.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap(), path);
    }
}
