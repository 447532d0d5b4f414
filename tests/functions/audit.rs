//! `fafcas_audit`: its recall is that of the rows found, its queries are spread over the table, and all of them see one moment.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support::{Random, blob, scratch};
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const DIMENSIONS: usize = 32;

fn vector(random: &mut Random) -> Vec<u8> {
    blob(&(0..DIMENSIONS).map(|_| random.real() as f32 - 0.5).collect::<Vec<_>>())
}

/// A table `t` of random rows with an index `i`.
fn fill(db: &Connection, rows: i64) {
    fill_table(db, "t", rows);
}

fn fill_table(db: &Connection, table: &str, rows: i64) {
    let mut random = Random(7);
    db.execute_batch(&format!("CREATE TABLE {table}(id TEXT PRIMARY KEY, v BLOB); BEGIN")).unwrap();
    for row in 1..=rows {
        db.execute(&format!("INSERT INTO {table} VALUES ('k' || ?1, ?2)"), (row, vector(&mut random))).unwrap();
    }
    db.execute_batch(&format!("COMMIT; CREATE VIRTUAL TABLE i USING vec_index({table}, v)")).unwrap();
}

fn database(rows: i64) -> Connection {
    fafcas::register_auto_extension().unwrap();
    let db = Connection::open_in_memory().unwrap();
    fill(&db, rows);
    db
}

fn audit(db: &Connection, arguments: &str) -> rusqlite::Result<BTreeMap<String, Value>> {
    let mut statement = db.prepare(&format!("SELECT measure, value FROM fafcas_audit({arguments})"))?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn refusal(db: &Connection, arguments: &str) -> String {
    audit(db, arguments).unwrap_err().to_string()
}

#[test]
fn the_recall_is_that_of_the_rows_and_the_times_are_told() {
    let db = database(3000);
    let found = audit(&db, "'t', 'v', 40").unwrap();
    assert_eq!(found["queries"], Value::Integer(40));
    assert_eq!(found["by_index"], Value::Integer(40));
    assert_eq!(found["k"], Value::Integer(10));
    let (Value::Real(recall), Value::Real(worst)) = (&found["recall"], &found["worst_recall"]) else {
        panic!("{found:?}")
    };
    assert!(*recall >= 0.99 && *recall <= 1.0 && worst <= recall, "{found:?}");
    for name in ["index_p50_ms", "index_p95_ms", "scan_p50_ms", "scan_p95_ms"] {
        assert!(matches!(found[name], Value::Real(took) if took > 0.0), "{name}: {found:?}");
    }
    assert!(matches!(&found["worst_query"], Value::Text(id) if id.starts_with('k')), "{found:?}");
    assert_eq!(audit(&db, "'t', 'v', 2, '{\"k\": 3}'").unwrap()["k"], Value::Integer(3));
}

/// The worst query is named by the id of its own table, and an equal row in place of another counts as found.
#[test]
fn questions_of_another_table_are_named_by_their_own_ids() {
    let db = database(40);
    db.execute_batch(
        "CREATE TABLE asked(id INTEGER PRIMARY KEY, q); INSERT INTO asked SELECT 7, v FROM t WHERE id = 'k1';
         UPDATE t SET v = (SELECT q FROM asked) WHERE id = 'k2'",
    )
    .unwrap();
    let found = audit(&db, "'t', 'v', 5, '{\"k\": 1, \"queries\": \"asked.q\"}'").unwrap();
    assert_eq!((&found["queries"], &found["recall"]), (&Value::Integer(1), &Value::Real(1.0)));
    assert_eq!(found["worst_query"], Value::Integer(7));
}

#[test]
fn few_rows_none_and_more_queries_than_rows_are_answered() {
    let db = database(0);
    let found = audit(&db, "'t', 'v'").unwrap();
    assert_eq!(found["queries"], Value::Integer(0));
    for name in ["recall", "worst_recall", "worst_query", "index_p50_ms", "scan_p95_ms"] {
        assert_eq!(found[name], Value::Null, "{name}");
    }

    let db = database(1);
    let found = audit(&db, "'t', 'v'").unwrap();
    assert_eq!((&found["queries"], &found["recall"]), (&Value::Integer(1), &Value::Real(1.0)));
    assert_eq!(found["worst_query"], Value::Text("k1".into()));

    let db = database(30);
    db.execute_batch("INSERT INTO t VALUES ('empty', NULL)").unwrap();
    let found = audit(&db, "'t', 'v', 9223372036854775807").unwrap();
    assert_eq!(found["queries"], Value::Integer(30), "each row with a vector once");
}

#[test]
fn queries_are_spread_from_the_first_row_to_the_last() {
    let db = database(100);
    // Each question is the vector of one row, but the metric tells them apart by the id of the worst one alone. So rows that
    // may not be taken are no vectors: an error would name them.
    for (n, taken) in [(4, vec![1, 26, 51, 76]), (3, vec![1, 34, 67]), (1, vec![1])] {
        db.execute_batch("DROP TABLE IF EXISTS asked; CREATE TABLE asked(id INTEGER PRIMARY KEY, q)").unwrap();
        for row in 1..=100 {
            let sql = if taken.contains(&row) { "SELECT ?1, v FROM t LIMIT 1" } else { "SELECT ?1, 'no vector'" };
            db.execute(&format!("INSERT INTO asked {sql}"), [row]).unwrap();
        }
        let arguments = format!("'t', 'v', {n}, '{{\"queries\": \"main.asked.q\"}}'");
        assert_eq!(audit(&db, &arguments).unwrap()["queries"], Value::Integer(n), "{n}");
        db.execute("UPDATE asked SET q = 'no vector' WHERE id = ?1", [taken.last().unwrap()]).unwrap();
        let said = refusal(&db, &arguments);
        assert!(said.contains(&format!("table main.asked, column q, rowid {}", taken.last().unwrap())), "{said}");
    }
}

#[test]
fn what_cannot_be_audited_is_refused_with_the_reason() {
    let db = database(20);
    db.execute_batch("CREATE TABLE bare(id INTEGER PRIMARY KEY, v); INSERT INTO bare VALUES (1, '[1]'); CREATE VIEW w AS SELECT id, v FROM t").unwrap();
    for (arguments, wanted) in [
        ("'t', 'v', 0", "fafcas_audit: expected n of 1 or more, not 0"),
        ("'t', 'v', -1", "expected n as a whole number of 0 or more, not INTEGER -1"),
        ("'bare', 'v'", "expected an index of table bare, column v"),
        ("'w', 'v'", "expected an index of table w, column v"),
        ("'t, bare', 'v'", "expected one table or view"),
        ("'t', 'v', 5, '{\"k\": 0}'", "expected options.k as a whole number of 1 or more, not '0'"),
        ("'t', 'v', 5, '{\"index\": false}'", "expected options.index as an index''s name, not 'false'"),
        (
            "'t', 'v', 5, '{\"metric\": \"l1\"}'",
            "options.metric as ''dot'', ''cosine'' or ''l2'', not ''l1'', which scans",
        ),
        ("'t', 'v', 5, '{\"metric\": \"hamming\"}'", "not ''hamming'', which scans"),
        ("'t', 'v', 5, '{\"filter\": 1}'", "expected options k, queries, query_key"),
        ("'t', 'v', 5, '{\"queries\": \"bare\"}'", "expected options.queries as 'table.column', not 'bare'"),
        ("'t', 'v', 5, '{\"queries\": \"bare.v\"}'", "table bare, column v, rowid 1: "),
    ] {
        let said = refusal(&db, arguments);
        assert!(said.contains(&wanted.replace("''", "'")), "{arguments}: {said}");
    }
}

/// Another connection deletes most rows after the audit has begun.
#[test]
fn a_table_that_changes_meanwhile_is_seen_as_it_was() {
    fafcas::register_auto_extension().unwrap();
    let file = scratch("audit").join("audit.db");
    let mut db = Connection::open(&file).unwrap();
    db.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    fill(&db, 400);
    let writer = Connection::open(&file).unwrap();
    let steps = Arc::new(AtomicU64::new(0));
    let told = steps.clone();
    db.progress_handler(
        1000,
        Some(move || {
            if told.fetch_add(1, Ordering::Relaxed) == 0 {
                writer.execute_batch("DELETE FROM t WHERE rowid > 3").unwrap();
            }
            false
        }),
    )
    .unwrap();
    let found = audit(&db, "'t', 'v', 50").unwrap();
    assert!(steps.load(Ordering::Relaxed) > 1);
    assert_eq!((&found["queries"], &found["by_index"]), (&Value::Integer(50), &Value::Integer(50)));
    assert_eq!(audit(&db, "'t', 'v', 50").unwrap()["queries"], Value::Integer(3));
}

#[test]
fn it_can_be_interrupted_and_shows_how_far_it_is() {
    let mut db = database(1);
    // A name of its own: what vec_stats tells of `main.t` is shared with the tests beside this one.
    db.execute_batch("DROP TABLE i").unwrap();
    fill_table(&db, "shown", 500);
    let steps = Arc::new(AtomicU64::new(0));
    let told = steps.clone();
    let seen = Arc::new(AtomicU64::new(0));
    let noted = seen.clone();
    let stats = fafcas::parts::entry("main.shown", "v");
    db.progress_handler(
        1000,
        Some(move || {
            noted.fetch_max(stats.total.load(Ordering::Relaxed), Ordering::Relaxed);
            told.fetch_add(1, Ordering::Relaxed) > 20
        }),
    )
    .unwrap();
    let error = audit(&db, "'shown', 'v', 123").unwrap_err();
    assert_eq!(error.sqlite_error_code(), Some(ErrorCode::OperationInterrupted));
    db.progress_handler(1000, None::<fn() -> bool>).unwrap();
    assert!(seen.load(Ordering::Relaxed) > 0, "vec_stats told of no progress");
    assert_eq!(audit(&db, "'shown', 'v', 5").unwrap()["queries"], Value::Integer(5));
}
