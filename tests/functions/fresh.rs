//! No search answers from memory of another: not a statement run again, not a neighbour's commit, not what was rolled
//! back. `tests/slt/fresh.slt` has what one connection alone can show.

#![allow(clippy::unwrap_used)]

use crate::support::scratch;
use rusqlite::{Connection, Statement};

/// The second searches once per outer row, and may keep its hits between them.
const NEAREST: [&str; 3] = [
    "SELECT rowid FROM vec_topk('nodes', 'v', '[1,0]', 1)",
    "SELECT n.id FROM nodes AS n CROSS JOIN vec_topk('nodes', 'v', '[1,0]', 1) AS t ON t.rowid = n.id",
    "SELECT rowid FROM vec_mmr('nodes', 'v', '[1,0]', 1, 0.5)",
];

/// Functions whose searches wait for the next statement.
const NEAREST_TO: [&str; 2] = ["vec_topk('nodes', 'v', ?1, 1)", "vec_mmr('nodes', 'v', ?1, 1, 0.5)"];

#[test]
fn a_statement_run_again_sees_what_has_changed() {
    let connection = connections(1, "again").remove(0);
    for sql in NEAREST {
        let mut statement = connection.prepare(sql).unwrap();
        assert_eq!(ids(&mut statement), [2]);
        connection.execute_batch("INSERT INTO nodes VALUES (3, '[3,0]')").unwrap();
        assert_eq!(ids(&mut statement), [3]);
        connection.execute_batch("UPDATE nodes SET v = '[0,0]' WHERE id = 3").unwrap();
        assert_eq!(ids(&mut statement), [2]);
        connection.execute_batch("BEGIN; UPDATE nodes SET v = '[9,0]' WHERE id = 1").unwrap();
        assert_eq!(ids(&mut statement), [1]);
        connection.execute_batch("ROLLBACK").unwrap();
        assert_eq!(ids(&mut statement), [2]);
        connection.execute_batch("DELETE FROM nodes WHERE id = 3").unwrap();
        assert_eq!(ids(&mut statement), [2]);
    }
}

/// What another connection commits moves none of the first's own counters.
#[test]
fn another_connections_commit_is_seen_and_its_open_transaction_is_not() {
    for mode in ["DELETE", "WAL"] {
        let pair = connections(2, &format!("commit-{mode}"));
        pair[0].query_row(&format!("PRAGMA journal_mode = {mode}"), [], |_| Ok(())).unwrap();
        for sql in NEAREST {
            let mut statement = pair[0].prepare(sql).unwrap();
            assert_eq!(ids(&mut statement), [2]);
            pair[1].execute_batch("BEGIN; INSERT INTO nodes VALUES (7, '[7,0]')").unwrap();
            assert_eq!(ids(&mut statement), [2]);
            pair[1].execute_batch("COMMIT").unwrap();
            assert_eq!(ids(&mut statement), [7]);
            pair[1].execute_batch("DELETE FROM nodes WHERE id = 7").unwrap();
            assert_eq!(ids(&mut statement), [2]);
        }
    }
}

/// In WAL mode a reader keeps its snapshot while others write.
#[test]
fn a_snapshot_stays_what_it_was() {
    let pair = connections(2, "snapshot");
    pair[0].query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
    for sql in NEAREST {
        let mut statement = pair[0].prepare(sql).unwrap();
        pair[0].execute_batch("BEGIN").unwrap();
        assert_eq!(ids(&mut statement), [2]);
        pair[1].execute_batch("INSERT INTO nodes VALUES (7, '[7,0]')").unwrap();
        assert_eq!(ids(&mut statement), [2]);
        pair[0].execute_batch("COMMIT").unwrap();
        assert_eq!(ids(&mut statement), [7]);
        pair[1].execute_batch("DELETE FROM nodes WHERE id = 7").unwrap();
    }
}

/// Another file under the same alias is another table, though no row has changed.
#[test]
fn another_attached_file_is_another_table() {
    let connection = connections(1, "attach").remove(0);
    let sql = "SELECT o.x FROM (SELECT 1 AS x UNION SELECT 2) AS o CROSS JOIN vec_topk('aux.t', 'v', '[1,0]', 1) AS t ON t.rowid = o.x";
    let folder = scratch("fresh-attached");
    for (name, nearest) in [("a.db", 1), ("b.db", 2)] {
        let path = folder.join(name);
        let (first, second) = (3 - nearest, nearest);
        let fill = format!("CREATE TABLE aux.t(v); INSERT INTO aux.t VALUES ('[{first},0]'), ('[{second},0]')");
        connection.execute_batch(&format!("ATTACH '{}' AS aux; {fill}", path.display())).unwrap();
        assert_eq!(ids(&mut connection.prepare(sql).unwrap()), [nearest]);
        connection.execute_batch("DETACH aux").unwrap();
    }
    for (name, nearest) in [("a.db", 1), ("b.db", 2), ("a.db", 1)] {
        connection.execute_batch(&format!("ATTACH '{}' AS aux", folder.join(name).display())).unwrap();
        assert_eq!(ids(&mut connection.prepare_cached(sql).unwrap()), [nearest]);
        connection.execute_batch("DETACH aux").unwrap();
    }
}

/// What was found out about a table waits for the next statement, and is not used once any of it has changed.
#[test]
fn a_table_of_the_same_name_is_another_table() {
    let pair = connections(2, "names");
    let nearest = |query: &str| -> i64 {
        let [one, other] = NEAREST_TO
            .map(|search| pair[0].query_row(&format!("SELECT id FROM {search}"), [query], |row| row.get(0)).unwrap());
        assert_eq!(one, other);
        one
    };
    let made = |schema: &str, id: i64| {
        format!(
            "CREATE TABLE {schema}nodes(key INTEGER PRIMARY KEY, id, v); INSERT INTO {schema}nodes(key, v) VALUES ({id}, '[5,5]')"
        )
    };
    let away = "ALTER TABLE nodes RENAME TO away";
    let back = "DROP TABLE nodes; ALTER TABLE away RENAME TO nodes";
    assert_eq!((nearest("[1,0]"), nearest("[1,1]")), (2, 2));
    pair[0].execute_batch(&made("temp.", 31)).unwrap();
    assert_eq!(nearest("[1,0]"), 31, "TEMP comes first");
    pair[0].execute_batch("DROP TABLE temp.nodes").unwrap();
    assert_eq!(nearest("[1,0]"), 2);
    // Twice the same number of changes to the schema, the first of them taken back.
    for id in [32, 33] {
        pair[0].execute_batch(&format!("BEGIN; {away}; {}", made("", id))).unwrap();
        assert_eq!(nearest("[1,0]"), id);
        pair[0].execute_batch("ROLLBACK").unwrap();
    }
    assert_eq!(nearest("[3,1]"), 2);
    // Another connection's doing.
    pair[1].execute_batch(&format!("BEGIN; {away}; {}; COMMIT", made("", 34))).unwrap();
    assert_eq!(nearest("[1,0]"), 34);
    pair[1].execute_batch(&format!("BEGIN; {back}; COMMIT")).unwrap();
    assert_eq!(nearest("[1,0]"), 2);
    // A primary key of another kind gives another id.
    let keyed = "CREATE TABLE nodes(key TEXT PRIMARY KEY, v); INSERT INTO nodes VALUES (7, '[5,5]')";
    pair[1].execute_batch(&format!("{away}; {keyed}")).unwrap();
    for search in NEAREST_TO {
        let sql = format!("SELECT id FROM {search}");
        assert_eq!(pair[0].query_row(&sql, ["[1,0]"], |row| row.get(0)), Ok("7".to_string()));
    }
    pair[1].execute_batch(back).unwrap();
    assert_eq!(nearest("[2,0]"), 2);
    // It is not in the way of anything either.
    pair[0].execute_batch("DROP TABLE nodes; VACUUM").unwrap();
    for connection in pair {
        connection.close().unwrap();
    }
}

/// A view may be over tables of any schema.
#[test]
fn a_view_over_another_table_is_another_view() {
    let connection = connections(1, "views").remove(0);
    connection.execute_batch("CREATE TEMP VIEW seen AS SELECT id, v FROM main.nodes").unwrap();
    let rows = || -> Vec<i64> {
        let mut statement =
            connection.prepare("SELECT id FROM vec_topk('seen', 'v', '[1,0]', 2) WHERE id >= '1'").unwrap();
        ids(&mut statement)
    };
    assert_eq!(rows(), Vec::<i64>::new(), "a number is less than a text");
    connection
        .execute_batch("DROP TABLE nodes; CREATE TABLE nodes(id TEXT, v); INSERT INTO nodes VALUES (3, '[1,0]')")
        .unwrap();
    let mut statement = connection
        .prepare("SELECT CAST(id AS INTEGER) FROM vec_topk('seen', 'v', '[1,0]', 2) WHERE id >= '1'")
        .unwrap();
    assert_eq!(ids(&mut statement), [3]);
}

/// What was counted is forgotten, what comes is counted.
#[test]
fn a_search_that_waited_counts_where_it_is_seen() {
    let connection = connections(1, "counts").remove(0);
    connection.execute_batch("ALTER TABLE nodes RENAME TO counted").unwrap();
    for (search, query) in NEAREST_TO.iter().flat_map(|search| [(search, "[1,0]"), (search, "[0,1]")]) {
        let sql = format!("SELECT rowid FROM {}", search.replace("nodes", "counted"));
        connection.query_row(&sql, [query], |row| row.get::<_, i64>(0)).unwrap();
        let count = "SELECT searches FROM vec_stats WHERE source = 'main.counted'";
        assert_eq!(connection.query_row(count, [], |row| row.get(0)), Ok(1));
        connection.execute("DELETE FROM vec_stats WHERE source = 'main.counted'", []).unwrap();
    }
}

fn ids(statement: &mut Statement) -> Vec<i64> {
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Connections to one new file with two vectors, of which the second is nearest.
fn connections(count: usize, name: &str) -> Vec<Connection> {
    fafcas::register_auto_extension().unwrap();
    let path = scratch(&format!("fresh-{name}")).join("test.db");
    let connections: Vec<_> = (0..count).map(|_| Connection::open(&path).unwrap()).collect();
    let schema = "CREATE TABLE nodes(id INTEGER PRIMARY KEY, v); INSERT INTO nodes(v) VALUES ('[1,0]'), ('[2,0]')";
    connections[0].execute_batch(schema).unwrap();
    connections
}
