//! What becomes of an index when the file around it is copied, dumped, altered, damaged, or written by programs that do
//! not know it: a search answers as the scan does, or says what is wrong.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support::{self, Random, absent, blob, load, scratch};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

const ROWS: i64 = 1500;
const DIMENSIONS: usize = 128;

#[test]
fn drop_leaves_nothing() {
    let connection = open(&file("drop"));
    fill(&connection, "main.nodes", ROWS);
    let before = schema(&connection);
    for source_first in [false, true] {
        index(&connection, "main", "nodes");
        connection.execute("UPDATE nodes SET v = v", []).unwrap();
        if source_first {
            connection
                .execute_batch(
                    "ALTER TABLE nodes RENAME TO kept; CREATE TABLE nodes AS SELECT * FROM kept; DROP TABLE kept",
                )
                .unwrap();
        }
        connection.execute_batch("DROP TABLE nodes_vec").unwrap();
        let names = |schema: &[Entry]| schema.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&schema(&connection)), names(&before));
    }
}

#[test]
fn an_index_whose_source_is_gone_still_opens_and_drops() {
    let path = file("orphan");
    let connection = open(&path);
    fill(&connection, "nodes", ROWS);
    index(&connection, "main", "nodes");
    connection.execute_batch("DROP TABLE nodes").unwrap();
    drop(connection);
    let connection = open(&path);
    assert_eq!(property(&connection, "state"), "rebuild");
    for command in ["merge", "rebuild", "check"] {
        assert!(tell(&connection, command).is_err());
    }
    connection.execute_batch("DROP TABLE nodes_vec").unwrap();
    assert_eq!(schema(&connection), []);
}

#[test]
fn an_index_made_on_an_empty_table_grows() {
    let connection = open(&file("empty"));
    connection.execute_batch("CREATE TABLE nodes(id INTEGER PRIMARY KEY, v BLOB)").unwrap();
    index(&connection, "main", "nodes");
    for from in [0, 10, 800] {
        extend(&connection, "nodes", from, if from == 800 { ROWS } else { from + 790 });
        same(&connection, "nodes");
        tell(&connection, "merge").unwrap();
        tell(&connection, "check").unwrap();
        same(&connection, "nodes");
    }
    assert_used(&connection, "main.nodes");
}

/// The first rows say nothing of those to come: as the table grows, its codes are made anew about its own middle.
#[test]
fn an_index_that_grew_is_as_good_as_one_built_at_the_end() {
    let [grown, built] = ["grown", "built-at-the-end"].map(|name| open(&file(name)));
    for connection in [&grown, &built] {
        connection.execute_batch("CREATE TABLE nodes(id INTEGER PRIMARY KEY, v BLOB)").unwrap();
    }
    index(&grown, "main", "nodes");
    let mut random = Random(4);
    let middle: Vec<f64> = (0..DIMENSIONS).map(|_| 20.0 * random.real()).collect();
    let mut near = |spread: f64| blob(&middle.iter().map(|x| (x + spread * random.real()) as f32).collect::<Vec<_>>());
    for (rows, spread) in [(20, 90.0), (600, 1.0), (1500, 1.0), (1500, 1.0)] {
        for connection in [&grown, &built] {
            connection.execute_batch("SAVEPOINT growing").unwrap();
        }
        for _ in 0..rows {
            let vector = near(spread);
            for connection in [&grown, &built] {
                connection.execute("INSERT INTO nodes(v) VALUES (?1)", [&vector]).unwrap();
            }
        }
        for connection in [&grown, &built] {
            connection.execute_batch("RELEASE growing").unwrap();
        }
        tell(&grown, "merge").unwrap();
    }
    index(&built, "main", "nodes");
    let queries: Vec<Vec<u8>> = (0..20).map(|_| near(1.0)).collect();
    let [grown, built] = [&grown, &built].map(|connection| {
        assert_used(connection, "main.nodes");
        candidates(connection, &queries)
    });
    assert!(grown < built + built / 4, "{grown} candidates where {built} would do");
}

/// Rows that the codes could not rule out.
fn candidates(connection: &Connection, queries: &[Vec<u8>]) -> i64 {
    let _alone = alone();
    let count = || -> i64 {
        let sql = "SELECT candidates FROM vec_stats WHERE source = 'main.nodes' AND column_name = 'v'";
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let before = count();
    for query in queries {
        search(connection, "nodes", &Question { metric: "l2", k: 10, query: query.clone() }, "{}").unwrap();
    }
    count() - before
}

#[test]
fn a_rolled_back_index_never_was() {
    let path = file("rollback");
    let connection = open(&path);
    fill(&connection, "nodes", ROWS);
    let before = schema(&connection);
    connection.execute_batch("BEGIN").unwrap();
    index(&connection, "main", "nodes");
    assert_used(&connection, "main.nodes");
    connection.execute_batch("ROLLBACK").unwrap();
    assert_eq!(schema(&connection), before);
    assert_scanned(&connection, "main.nodes");
    index(&connection, "main", "nodes");
    assert_used(&connection, "main.nodes");
    // Dropped, and back.
    connection.execute_batch("BEGIN; DROP TABLE nodes_vec; ROLLBACK").unwrap();
    assert_used(&connection, "main.nodes");
}

#[test]
fn a_failed_create_leaves_nothing() {
    let connection = open(&file("failed"));
    for value in ["x'0000803f'", "'words'", "x'0000c07f'", "x'01'"] {
        connection.execute_batch("DROP TABLE IF EXISTS nodes").unwrap();
        fill(&connection, "nodes", 100);
        connection.execute(&format!("INSERT INTO nodes(v) VALUES ({value})"), []).unwrap();
        let before = schema(&connection);
        let create = "CREATE VIRTUAL TABLE nodes_vec USING vec_index(nodes, v)";
        assert!(connection.execute_batch(create).is_err());
        assert_eq!(schema(&connection), before, "{value}");
        connection.execute_batch("BEGIN; INSERT INTO nodes(v) VALUES (NULL)").unwrap();
        assert!(connection.execute_batch(create).is_err());
        connection.execute_batch("COMMIT").unwrap();
        assert_eq!(schema(&connection), before, "{value}");
        let rows: i64 = connection.query_row("SELECT count(*) FROM nodes", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 102);
    }
}

#[test]
fn attached_and_temp_schemas() {
    let folder = scratch("index-life-schemas");
    let connection = open(&folder.join("main.db"));
    connection.execute("ATTACH ?1 AS aux", [folder.join("aux.db").to_str().unwrap()]).unwrap();
    for schema in ["aux", "temp"] {
        let table = format!("{schema}.nodes");
        fill(&connection, &table, ROWS);
        index(&connection, schema, "nodes");
        connection
            .execute(&format!("UPDATE {table} SET v = (SELECT v FROM {table} WHERE id = 9) WHERE id = 7"), [])
            .unwrap();
        same(&connection, &table);
        assert_used(&connection, &table);
        connection
            .execute_batch(&format!("INSERT INTO {schema}.nodes_vec(nodes_vec) VALUES ('merge'), ('check')"))
            .unwrap();
        same(&connection, &table);
        assert_used(&connection, &table);
    }
    connection.execute_batch("DROP TABLE temp.nodes_vec; DROP TABLE aux.nodes_vec").unwrap();
    assert_scanned(&connection, "temp.nodes");
}

#[test]
fn a_read_only_database() {
    let path = indexed("read-only");
    let writer = open(&path);
    writer.execute_batch("DELETE FROM nodes WHERE id % 10 = 0").unwrap();
    drop(writer);
    let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    load(&connection, &support::library()).unwrap();
    same(&connection, "nodes");
    assert_used(&connection, "main.nodes");
    // SQLite refuses any INSERT here, so 'check' too.
    let said: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(said, "ok");
}

#[test]
fn copies_are_indexed() {
    let path = indexed("copies");
    let connection = open(&path);
    connection.execute_batch("DELETE FROM nodes WHERE id % 10 = 0").unwrap();
    let [into, backup] = ["into.db", "backup.db"].map(|name| path.with_file_name(name));
    connection.execute("VACUUM INTO ?1", [into.to_str().unwrap()]).unwrap();
    connection.backup("main", &backup, None::<fn(rusqlite::backup::Progress)>).unwrap();
    // The copies part ways with the original, and with each other.
    connection.execute_batch("DELETE FROM nodes WHERE id % 10 = 1").unwrap();
    for copy in [into, backup] {
        let copy = open(&copy);
        copy.execute_batch("UPDATE nodes SET v = (SELECT v FROM nodes WHERE id = 9) WHERE id = 7").unwrap();
        for connection in [&copy, &connection] {
            same(connection, "nodes");
            assert_used(connection, "main.nodes");
            tell(connection, "check").unwrap();
        }
    }
}

#[test]
fn a_dump_is_restored() {
    if !has_shell() {
        return absent("the sqlite3 shell");
    }
    let path = indexed("dump");
    open(&path).execute_batch("DELETE FROM nodes WHERE id % 10 = 0").unwrap();
    let dump = shell(&path, ".dump");
    let restored = path.with_file_name("restored.db");
    shell(&restored, &dump);
    let connection = open(&restored);
    same(&connection, "nodes");
    tell(&connection, "rebuild").unwrap();
    tell(&connection, "check").unwrap();
    same(&connection, "nodes");
    assert_used(&connection, "main.nodes");
    connection.execute_batch("DROP TABLE nodes_vec").unwrap();
    assert_eq!(schema(&connection).len(), 1);
}

#[test]
fn a_writer_without_the_library_is_seen() {
    if !has_shell() {
        return absent("the sqlite3 shell");
    }
    let path = indexed("writer");
    let connection = open(&path);
    let statements = [
        "DELETE FROM nodes WHERE id % 7 = 0;",
        "UPDATE nodes SET v = (SELECT v FROM nodes WHERE id = 9) WHERE id BETWEEN 20 AND 25;",
        "BEGIN; INSERT INTO nodes(v) SELECT v FROM nodes WHERE id < 100; COMMIT;",
        "INSERT OR REPLACE INTO nodes SELECT id, (SELECT v FROM nodes WHERE id = 1) FROM nodes WHERE id > 1400;",
        "ALTER TABLE nodes RENAME COLUMN v TO w; UPDATE nodes SET id = id + 5000 WHERE id < 10; ALTER TABLE nodes RENAME COLUMN w TO v;",
        "VACUUM;",
    ];
    for sql in statements {
        same(&connection, "nodes");
        shell(&path, sql);
        same(&connection, "nodes");
        assert_used(&connection, "main.nodes");
    }
    tell(&connection, "check").unwrap();
}

/// Issue 12, item 10: REPLACE deletes the row that has the same slug, and no trigger sees it.
#[test]
fn rows_that_replace_deletes_are_no_damage_and_a_merge_frees_their_codes() {
    let connection = open(&file("replaced"));
    fill(&connection, "nodes", ROWS);
    let slugs = "ALTER TABLE nodes ADD COLUMN slug TEXT; UPDATE nodes SET slug = 's' || id; \
                 CREATE UNIQUE INDEX slugs ON nodes(slug)";
    connection.execute_batch(slugs).unwrap();
    index(&connection, "main", "nodes");
    let replace = |slugs: &str| {
        let sql = format!("INSERT OR REPLACE INTO nodes(slug, v) SELECT slug, v FROM nodes WHERE slug IN ({slugs})");
        connection.execute_batch(&sql).unwrap();
    };
    replace("'s7', 's8', 's1400'");
    let whole = || connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(whole(), "ok");
    tell(&connection, "check").unwrap();
    same(&connection, "nodes");
    assert_eq!(property(&connection, "rows"), ROWS.to_string());
    // The new rows take new places. Of the old ones, each merge finds those among the rows that it compares.
    let known = |gone: i64| (ROWS + gone).to_string();
    for gone in [1, 0] {
        tell(&connection, "merge").unwrap();
        assert_eq!(property(&connection, "rows"), known(gone), "with codes of rows that are gone");
        assert_eq!(whole(), "ok");
        same(&connection, "nodes");
    }
    // A row whose vector is of another length, and is replaced, is no reason to scan any more, wherever the comparison is.
    connection.execute_batch("INSERT INTO nodes(slug, v) VALUES ('short', x'00000000')").unwrap();
    tell(&connection, "merge").unwrap();
    tell(&connection, "merge").unwrap();
    assert_eq!(property(&connection, "strays"), "1");
    connection
        .execute_batch("INSERT OR REPLACE INTO nodes(slug, v) SELECT 'short', v FROM nodes WHERE id = 1")
        .unwrap();
    tell(&connection, "merge").unwrap();
    assert_eq!(property(&connection, "strays"), "0");
    same(&connection, "nodes");
    assert_used(&connection, "main.nodes");
    tell(&connection, "check").unwrap();
}

/// Most drivers that turn it on do so before the first statement.
#[test]
fn defensive_mode() {
    let path = indexed("defensive");
    for has_library in [true, false] {
        let connection = if has_library { open(&path) } else { Connection::open(&path).unwrap() };
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).unwrap();
        connection.execute_batch("UPDATE nodes SET v = v WHERE id < 9; DELETE FROM nodes WHERE id = 5; INSERT INTO nodes(id, v) SELECT 5, v FROM nodes WHERE id = 6").unwrap();
        connection.execute("INSERT INTO nodes_vec_pending(rid, token) VALUES (1, random())", []).unwrap();
        let blocks = connection.execute_batch("BEGIN; DELETE FROM nodes_vec_blocks");
        assert!(!has_library || blocks.is_err());
        connection.execute_batch("ROLLBACK").unwrap();
        if has_library {
            same(&connection, "nodes");
            assert_used(&connection, "main.nodes");
            for command in ["merge", "rebuild", "check"] {
                tell(&connection, command).unwrap();
            }
        }
    }
    let connection = open(&path);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).unwrap();
    same(&connection, "nodes");
    connection.execute_batch("ALTER TABLE nodes_vec RENAME TO other; DROP TABLE other").unwrap();
    assert_eq!(schema(&connection).len(), 1);
}

#[test]
fn altered_triggers_are_not_trusted() {
    let altered = "CREATE TRIGGER nodes_vec_update AFTER UPDATE OF v ON nodes BEGIN SELECT 1; END";
    for event in ["insert", "delete", "update", "move"] {
        for again in ["", altered] {
            let connection = open(&indexed(&format!("triggers-{event}-{}", again.len())));
            assert_used(&connection, "main.nodes");
            let again = again.replace("_update", &format!("_{event}"));
            connection.execute_batch(&format!("DROP TRIGGER nodes_vec_{event}; {again}")).unwrap();
            connection.execute_batch("UPDATE nodes SET v = (SELECT v FROM nodes WHERE id = 9) WHERE id = 7").unwrap();
            connection
                .execute_batch("DELETE FROM nodes WHERE id = 20; UPDATE nodes SET id = -1 WHERE id = 30")
                .unwrap();
            same(&connection, "nodes");
            assert_scanned(&connection, "main.nodes");
            assert_eq!(property(&connection, "state"), "rebuild");
            for command in ["merge", "check"] {
                assert!(tell(&connection, command).unwrap_err().to_string().contains("'rebuild'"));
            }
            tell(&connection, "rebuild").unwrap();
            tell(&connection, "check").unwrap();
            same(&connection, "nodes");
            assert_used(&connection, "main.nodes");
        }
    }
}

/// Every block in turn, a byte in its middle. What memory holds is of the undamaged block, so each is read in a new file.
#[test]
fn a_flipped_byte_is_found_and_named() {
    let original = indexed("flipped");
    let ids: Vec<i64> = {
        let connection = open(&original);
        let mut statement = connection.prepare("SELECT id FROM nodes_vec_blocks ORDER BY id").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(ids, [-1, 0, 1, 2, 3]);
    for id in ids {
        let path = original.with_file_name(format!("{id}.db"));
        std::fs::copy(&original, &path).unwrap();
        let connection = open(&path);
        let read = "SELECT data FROM nodes_vec_blocks WHERE id = ?1";
        let mut data: Vec<u8> = connection.query_row(read, [id], |row| row.get(0)).unwrap();
        let middle = data.len() / 2;
        data[middle] ^= 1;
        connection.execute("UPDATE nodes_vec_blocks SET data = ?2 WHERE id = ?1", params![id, data]).unwrap();
        let said: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        let checked = tell(&connection, "check").unwrap_err().to_string();
        for message in [&said, &checked] {
            let names = ["ranges", "header", "directory", "block 1", "block 1"];
            assert!(message.contains(names[(id + 1) as usize]), "{id}: {message}");
            assert!(message.contains("'rebuild'"), "{id}: {message}");
        }
        for question in questions() {
            match ask(&connection, "nodes", &question, "{}") {
                Err(error) => assert!(error.contains("'rebuild'"), "{id}: {error}"),
                answer => assert_eq!(answer, ask(&connection, "nodes", &question, r#"{"index":false}"#), "{id}"),
            }
        }
        tell(&connection, "rebuild").unwrap();
        same(&connection, "nodes");
        assert_used(&connection, "main.nodes");
        let said: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(said, "ok");
    }
}

#[test]
fn a_later_format_is_left_alone() {
    let connection = open(&indexed("future"));
    let sql = "UPDATE nodes_vec_blocks SET data = CAST(substr(data, 1, 8) || x'0400' || substr(data, 11) AS BLOB) WHERE id = 0";
    connection.execute_batch(sql).unwrap();
    let blocks = || -> Vec<u8> {
        connection.query_row("SELECT data FROM nodes_vec_blocks WHERE id = 0", [], |row| row.get(0)).unwrap()
    };
    let before = blocks();
    assert_eq!(before[8..10], [4, 0]);
    same(&connection, "nodes");
    assert_scanned(&connection, "main.nodes");
    assert_eq!(property(&connection, "state"), "of a later version");
    assert_eq!(property(&connection, "format"), "4");
    for command in ["merge", "check"] {
        let error = tell(&connection, command).unwrap_err().to_string();
        assert!(error.contains("format 4"), "{error}");
    }
    assert_eq!(blocks(), before);
    connection.execute_batch("DELETE FROM nodes WHERE id = 3").unwrap();
    same(&connection, "nodes");
    connection.execute_batch("DROP TABLE nodes_vec").unwrap();
    assert_eq!(schema(&connection).len(), 1);
}

/// SQLite's own recipe for what ALTER TABLE cannot do. DROP takes the triggers along.
#[test]
fn a_table_made_anew() {
    let connection = open(&indexed("twelve-steps"));
    connection
        .execute_batch(
            "PRAGMA foreign_keys = OFF; BEGIN;
             CREATE TABLE new_nodes(id INTEGER PRIMARY KEY, title TEXT, v BLOB);
             INSERT INTO new_nodes(id, v) SELECT id * 2, v FROM nodes;
             DROP TABLE nodes; ALTER TABLE new_nodes RENAME TO nodes; COMMIT",
        )
        .unwrap();
    same(&connection, "nodes");
    assert_scanned(&connection, "main.nodes");
    assert_eq!(property(&connection, "state"), "rebuild");
    tell(&connection, "rebuild").unwrap();
    same(&connection, "nodes");
    assert_used(&connection, "main.nodes");
}

/// VACUUM renumbers such rows behind the index's back; the process that searches has not seen them before.
#[test]
fn rows_that_were_renumbered_are_not_lost() {
    for (deleted, inserted) in [(1495, 1), (10, 1), (1400, 50), (1, 0)] {
        let path = file(&format!("renumbered-{deleted}"));
        let connection = open(&path);
        connection.execute_batch("CREATE TABLE nodes(v BLOB)").unwrap();
        extend(&connection, "nodes", 0, ROWS);
        index(&connection, "main", "nodes");
        drop(connection);
        let plain = Connection::open(&path).unwrap();
        plain.execute("DELETE FROM nodes WHERE rowid = ?1", [deleted]).unwrap();
        extend(&plain, "nodes", ROWS, ROWS + inserted);
        plain.execute_batch("VACUUM").unwrap();
        let connection = open(&path);
        let mut statement = connection.prepare("SELECT v FROM nodes WHERE rowid > 1390 ORDER BY rowid DESC").unwrap();
        let vectors: Vec<Vec<u8>> =
            statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        for query in vectors {
            let question = Question { metric: "cosine", k: 1, query };
            let expected = ask(&connection, "nodes", &question, r#"{"index":false}"#);
            assert_eq!(ask(&connection, "nodes", &question, "{}"), expected, "{deleted}, {inserted}");
        }
    }
}

/// Issue 12. The file is what an earlier version wrote.
#[test]
fn an_index_of_an_earlier_version_is_compared_once() {
    let path = file("unsealed");
    Connection::open(&path).unwrap().execute_batch(include_str!("../data/index-unsealed.sql")).unwrap();
    let connection = open(&path);
    let query: Vec<u8> = connection.query_row("SELECT v FROM nodes WHERE id = 60", [], |row| row.get(0)).unwrap();
    let ask = |options: &str| -> Vec<(i64, f64)> {
        let _alone = alone();
        let sql = "SELECT rowid, score FROM vec_topk('nodes', 'v', ?1, 9, ?2)";
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map(params![query, options], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    assert_eq!((property(&connection, "state"), property(&connection, "pending")), ("unverified".into(), "3".into()));
    let sign = property(&connection, "sign");
    assert_eq!(ask(r#"{"index": "nodes_vec"}"#), ask(r#"{"index": false}"#));
    assert_eq!((property(&connection, "state"), property(&connection, "sign")), ("ready".into(), sign));
    for command in ["merge", "check", "rebuild", "check"] {
        tell(&connection, command).unwrap();
        assert_eq!((property(&connection, "sign"), property(&connection, "pending")), ("NULL".into(), "0".into()));
        assert_eq!(ask(r#"{"index": "nodes_vec"}"#), ask(r#"{"index": false}"#));
    }
    connection.execute_batch("DROP TABLE nodes_vec").unwrap();
    assert_eq!(schema(&connection).len(), 1);
}

/// Where the next comparison begins, and the number of the schema at the last; `sql/index.sql` has the anchor.
fn anchor(connection: &Connection, index: &str) -> (i64, i64) {
    let sql = format!("SELECT rid, token FROM {index}_pending WHERE rowid = 3");
    connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

/// Issue 12: a merge without a sign compares the next rows alone, and changes nothing in the schema.
#[test]
fn merges_compare_all_rows_in_turn() {
    let connection = open(&indexed("turns"));
    connection.execute_batch("CREATE VIRTUAL TABLE second USING vec_index(nodes, v, another)").unwrap();
    connection.execute_batch("CREATE TRIGGER users AFTER UPDATE ON nodes BEGIN SELECT 1; END").unwrap();
    for index in ["nodes_vec", "second", "nodes_vec"] {
        connection.execute_batch(&format!("INSERT INTO {index}({index}) VALUES ('merge')")).unwrap();
    }
    let version: i64 = connection.query_row("PRAGMA schema_version", [], |row| row.get(0)).unwrap();
    assert_eq!(anchor(&connection, "nodes_vec"), (i64::MIN, version), "all were compared");
    for turn in [1001, i64::MIN, 1001] {
        tell(&connection, "merge").unwrap();
        assert_eq!(anchor(&connection, "nodes_vec"), (turn, version));
    }
    // No trigger sees this one, and its turn is the next but one.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    connection.execute("UPDATE nodes SET v = ?1 WHERE id = 5", [vector(77_777)]).unwrap();
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true).unwrap();
    for is_found in [false, true] {
        assert!(tell(&connection, "check").is_err());
        tell(&connection, "merge").unwrap();
        assert_eq!(tell(&connection, "check").is_ok(), is_found);
    }
    same(&connection, "nodes");
}

type Answer = Result<Vec<(i64, f64)>, String>;

/// Name and text.
type Entry = (String, Option<String>);

fn file(name: &str) -> PathBuf {
    scratch(&format!("index-life-{name}")).join("test.db")
}

fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    load(&connection, &support::library()).unwrap();
    connection
}

/// A file with an index in it.
fn indexed(name: &str) -> PathBuf {
    let path = file(name);
    let connection = open(&path);
    fill(&connection, "nodes", ROWS);
    index(&connection, "main", "nodes");
    path
}

fn index(connection: &Connection, schema: &str, table: &str) {
    let sql = format!("CREATE VIRTUAL TABLE {schema}.{table}_vec USING vec_index({table}, v)");
    connection.execute_batch(&sql).unwrap();
}

fn fill(connection: &Connection, table: &str, rows: i64) {
    connection.execute_batch(&format!("CREATE TABLE {table}(id INTEGER PRIMARY KEY, v BLOB)")).unwrap();
    extend(connection, table, 0, rows);
}

fn extend(connection: &Connection, table: &str, from: i64, to: i64) {
    connection.execute_batch("SAVEPOINT filling").unwrap();
    let mut statement = connection.prepare(&format!("INSERT INTO {table}(v) VALUES (?1)")).unwrap();
    for row in from..to {
        statement.execute([vector(row as u64)]).unwrap();
    }
    drop(statement);
    connection.execute_batch("RELEASE filling").unwrap();
}

fn vector(seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    blob(&(0..DIMENSIONS).map(|_| random.real() as f32).collect::<Vec<_>>())
}

fn schema(connection: &Connection) -> Vec<Entry> {
    let mut statement = connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap()
}

fn tell(connection: &Connection, command: &str) -> rusqlite::Result<usize> {
    connection.execute("INSERT INTO nodes_vec(nodes_vec) VALUES (?1)", [command])
}

fn property(connection: &Connection, name: &str) -> String {
    let sql = "SELECT CAST(coalesce(value, 'NULL') AS TEXT) FROM nodes_vec WHERE property = ?1";
    connection.query_row(sql, [name], |row| row.get(0)).unwrap()
}

struct Question {
    metric: &'static str,
    k: i64,
    query: Vec<u8>,
}

/// Queries beside the rows, and rows themselves.
fn questions() -> Vec<Question> {
    let seeds = [7, 9, 21, 1499, 90_001, 90_002, 90_003];
    let metrics = ["dot", "cosine", "l2"].into_iter().cycle();
    seeds.into_iter().zip(metrics).map(|(seed, metric)| Question { metric, k: 10, query: vector(seed) }).collect()
}

fn ask(connection: &Connection, table: &str, question: &Question, options: &str) -> Answer {
    let _alone = alone();
    search(connection, table, question, options)
}

fn search(connection: &Connection, table: &str, question: &Question, options: &str) -> Answer {
    let Question { metric, k, query } = question;
    let mut statement = connection
        .prepare("SELECT rowid, score FROM vec_topk(?1, 'v', ?2, ?3, json_patch(?4, json_object('metric', ?5)))")
        .unwrap();
    let rows = statement.query_map(params![table, query, k, options, metric], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.and_then(Iterator::collect).map_err(|error| error.to_string())
}

/// Asserts that searches answer as the scan does. In so few questions no neighbour is missed.
fn same(connection: &Connection, table: &str) {
    for question in questions() {
        let expected = ask(connection, table, &question, r#"{"index":false}"#);
        assert!(expected.is_ok(), "{expected:?}");
        assert_eq!(ask(connection, table, &question, "{}"), expected);
    }
}

/// How a search on this connection is answered.
fn path_of(connection: &Connection, table: &str) -> String {
    let _alone = alone();
    let question = Question { metric: "dot", k: 10, query: vector(1) };
    search(connection, table, &question, "{}").unwrap();
    let sql = "SELECT path FROM vec_stats WHERE source = ?1 AND column_name = 'v'";
    connection.query_row(sql, [table], |row| row.get(0)).unwrap()
}

/// The tests of this file share what the process counts, so they search one after another.
fn alone() -> MutexGuard<'static, ()> {
    static SEARCHING: Mutex<()> = Mutex::new(());
    SEARCHING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn assert_used(connection: &Connection, table: &str) {
    assert_eq!(path_of(connection, table), "index", "{table}");
}

fn assert_scanned(connection: &Connection, table: &str) {
    assert_eq!(path_of(connection, table), "scan", "{table}");
}

fn has_shell() -> bool {
    Command::new("sqlite3").arg("--version").output().is_ok()
}

/// What the shell says to this input, which is a program of its own and knows nothing of the library.
fn shell(path: &Path, input: &str) -> String {
    let mut command = Command::new("sqlite3");
    command.arg("-bail").arg(path).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_string();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}
