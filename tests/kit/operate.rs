//! `alerts.sql` on databases of every kind, and `verify.sql` on a knowledge base: each thing that can be wrong has its row.

#![allow(clippy::unwrap_used, clippy::panic)]

use fafcas::parts::{SearchPath, entry};
use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::{Batch, Connection, types::Value};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

fn script(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("sql").join(name)).unwrap()
}

fn empty() -> Connection {
    fafcas::register_auto_extension().unwrap();
    Connection::open_in_memory().unwrap()
}

/// The rows of all statements of a script, without the rows about searches of this process: other tests search in it, too.
fn rows(db: &Connection, name: &str) -> Vec<Vec<String>> {
    let text = script(name);
    let mut statements = Batch::new(db, &text);
    let mut found = Vec::new();
    while let Some(mut statement) = statements.next().unwrap() {
        let columns = statement.column_count();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().unwrap() {
            found.push((0..columns).map(|at| shown(row.get(at).unwrap())).collect::<Vec<_>>());
        }
    }
    found
}

fn shown(value: Value) -> String {
    match value {
        Value::Integer(x) => x.to_string(),
        Value::Text(text) => text,
        other => format!("{other:?}"),
    }
}

const OF_THE_PROCESS: [&str; 4] = ["slow searches", "small cache", "errors", "damage"];

fn alerts(db: &Connection) -> Vec<Vec<String>> {
    let all = rows(db, "queries/alerts.sql").into_iter();
    all.filter(|row| !OF_THE_PROCESS.contains(&&*row[0])).collect()
}

#[test]
fn a_database_that_is_not_the_kits_is_looked_at() {
    let db = empty();
    assert!(alerts(&db).is_empty());
    // Tables that have the names of the kit's and nothing else of it, and an odd column with an index.
    db.execute_batch(
        r#"CREATE TABLE nodes(id INTEGER PRIMARY KEY, "a,""v"); CREATE TABLE kit(x);
           INSERT INTO nodes VALUES (1, '[1,0]'), (2, '[0,1]'); CREATE VIRTUAL TABLE i USING vec_index(nodes, "a,""v")"#,
    )
    .unwrap();
    assert!(alerts(&db).is_empty(), "{:?}", alerts(&db));
    db.execute_batch(r#"ALTER TABLE nodes RENAME TO "odd ""name"; INSERT INTO "odd ""name" VALUES (3, 'nothing')"#)
        .unwrap();
    let found = alerts(&db);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0][..2], ["vectors", r#"main."odd ""name".a,"v"#]);
    assert_eq!(found[0][3], "mend these rows, or set them to NULL");
}

#[test]
fn an_index_that_wants_something_says_what_to_do() {
    let db = empty();
    db.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE VIRTUAL TABLE i USING vec_index(t, v);
         INSERT INTO t WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1200) SELECT x, '[1,' || x || ']' FROM n",
    )
    .unwrap();
    let found = alerts(&db);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0][0] == "index" && found[0][2].contains("merge due"), "{found:?}");
    assert!(found[0][3].starts_with(r#"INSERT INTO "i"("i") VALUES ('merge')"#), "{found:?}");
    db.execute_batch(r#"INSERT INTO "i"("i") VALUES ('merge')"#).unwrap();
    assert!(alerts(&db).is_empty());
}

#[test]
fn searches_of_this_process_that_fail_are_told() {
    let db = empty();
    db.execute_batch(
        "CREATE TABLE failing_here(id INTEGER PRIMARY KEY, v); INSERT INTO failing_here VALUES (1, '[1]')",
    )
    .unwrap();
    let told = || {
        rows(&db, "queries/alerts.sql").into_iter().filter(|row| row[1] == "main.failing_here.v").collect::<Vec<_>>()
    };
    for failed in 1..=3 {
        assert!(told().is_empty(), "after {} calls", failed - 1);
        db.query_row("SELECT count(*) FROM vec_topk('failing_here', 'v', '[1,2]')", [], |_| Ok(())).unwrap_err();
    }
    assert_eq!((&*told()[0][0], &*told()[0][2]), ("errors", "3 of 3 calls failed"));
}

/// What the alerts of this process say of a column, which is no other test's.
fn told_of(db: &Connection, column: &str) -> Vec<[String; 2]> {
    let all = rows(db, "queries/alerts.sql").into_iter();
    all.filter(|row| row[1] == column).map(|row| [row[0].clone(), row[2].clone()]).collect()
}

/// The durations are noted, not waited for.
#[test]
fn slow_searches_of_this_process_are_told() {
    let db = empty();
    let stats = entry("main.slow_here", "v");
    (0..19).for_each(|_| stats.searched(SearchPath::Scan, Duration::from_millis(400)));
    assert_eq!(told_of(&db, "main.slow_here.v"), [[""; 2]; 0], "one in 20 of fewer than 20 says nothing");
    stats.searched(SearchPath::Scan, Duration::from_millis(400));
    let [alert, what] = &told_of(&db, "main.slow_here.v")[0];
    assert_eq!(alert, "slow searches");
    assert!(what.starts_with("one in 20 took more than ") && what.ends_with(" ms"), "{what}");
}

#[test]
fn a_small_cache_is_told() {
    let db = empty();
    let stats = entry("main.crowded_here", "v");
    (0..100).for_each(|_| stats.searched(SearchPath::Index, Duration::from_micros(400)));
    stats.memory.evictions.store(10, Relaxed);
    assert_eq!(told_of(&db, "main.crowded_here.v"), [[""; 2]; 0], "one block in ten searches is within the bound");
    stats.memory.evictions.store(11, Relaxed);
    assert_eq!(told_of(&db, "main.crowded_here.v"), [["small cache", "11 blocks were dropped in 100 searches"]]);
    stats.memory.evictions.store(0, Relaxed);
    stats.passing.store(7, Relaxed);
    let passing = "the last search read 7 blocks of codes from the file";
    assert_eq!(told_of(&db, "main.crowded_here.v"), [["small cache", passing]]);
}

#[test]
fn damage_that_a_search_met_is_told() {
    let db = empty();
    db.execute_batch(
        "CREATE TABLE damaged_here(id INTEGER PRIMARY KEY, v BLOB);
         INSERT INTO damaged_here WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 50) SELECT x, vec_f32('[1,' || x || ']') FROM n;
         CREATE VIRTUAL TABLE damaged_index USING vec_index(damaged_here, v);
         UPDATE damaged_index_blocks SET data = zeroblob(length(data))",
    )
    .unwrap();
    let search = r#"SELECT count(*) FROM vec_topk('damaged_here', 'v', '[1,2]', 1, '{"index": "damaged_index"}')"#;
    db.query_row(search, [], |_| Ok(())).unwrap_err();
    let found = told_of(&db, "main.damaged_here.v");
    let damage = ["damage", "1 calls met a damaged database, and 0 a bug"].map(String::from);
    assert!(found.contains(&damage), "{found:?}");
}

fn knowledge_base() -> Connection {
    let db = empty();
    db.execute_batch(&script("schema.sql")).unwrap();
    db
}

#[test]
fn nodes_without_vectors_and_of_another_model_are_told() {
    let db = knowledge_base();
    db.execute_batch(
        "INSERT INTO models (seq, name, fingerprint, dimensions) VALUES (1, 'old', 'f1', 2), (2, 'new', 'f2', 2); INSERT INTO kit VALUES ('model', 2);
         INSERT INTO nodes (id, title, content, model, embedding) VALUES
             ('none', 'Bare', 'text', NULL, NULL), ('old', 'Old', 'text', 1, vec_f32('[1,0]')), ('new', 'New', 'text', 2, vec_f32('[0,1]'))",
    )
    .unwrap();
    let found: Vec<_> = alerts(&db).into_iter().map(|row| (row[0].clone(), row[2].clone())).collect();
    let expected = [
        ("missing vectors", "1 nodes with content have no vector"),
        ("another model", "1 vectors are of another model than kit names"),
    ];
    assert_eq!(found, expected.map(|(alert, what)| (alert.to_string(), what.to_string())));
}

/// The name, what was found, and whether it is in order.
fn verified(db: &Connection) -> Vec<(String, String, String)> {
    rows(db, "queries/verify.sql").into_iter().map(|row| (row[0].clone(), row[2].clone(), row[3].clone())).collect()
}

fn check(db: &Connection, name: &str) -> (String, String) {
    let (_, said, ok) = verified(db).into_iter().find(|(found, ..)| found == name).unwrap();
    (said, ok)
}

#[test]
fn an_import_is_verified() {
    let db = knowledge_base();
    let names = ["full text", "edges", "components", "chunks", "duplicates"];
    let of = |db: &Connection| verified(db).into_iter().map(|(name, _, ok)| (name, ok)).collect::<Vec<_>>();
    let fine: Vec<_> = names.iter().map(|name| (name.to_string(), "1".to_string())).collect();
    assert_eq!(of(&db), fine, "an empty one is in order");
    db.execute_batch(&script("examples/knowledge.sql")).unwrap();
    assert_eq!(of(&db), fine, "{:?}", verified(&db));
    let (said, _) = check(&db, "full text");
    assert!(said.ends_with(" words, 0 titles lost") && !said.starts_with("0 "), "{said}");

    db.execute_batch(
        "PRAGMA foreign_keys = OFF; INSERT INTO edges (source, target) VALUES ('nowhere', 'nowhere else');
         UPDATE nodes SET hash = 'same' WHERE seq <= 3; UPDATE nodes SET content = NULL, source = 'there' WHERE seq = 9;
         INSERT INTO documents (id, folder, hash) SELECT id, 'notes', 'h' FROM nodes WHERE seq = 9; INSERT INTO nodes_text (nodes_text) VALUES ('delete-all')",
    )
    .unwrap();
    assert_eq!(check(&db, "edges"), ("1 without".into(), "0".into()));
    assert_eq!(check(&db, "duplicates"), ("2 copies".into(), "0".into()));
    assert_eq!(check(&db, "chunks"), ("1 without".into(), "0".into()));
    assert_eq!(check(&db, "full text").1, "0");
    db.execute_batch(
        "DELETE FROM edges; INSERT INTO edges (source, target) WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 4)
         SELECT 'a' || i, 'b' || i FROM n",
    )
    .unwrap();
    assert_eq!(check(&db, "components"), ("2 of 10 linked nodes".into(), "0".into()));
}
