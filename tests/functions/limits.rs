//! A host that limits what SQL may do, as SQLite advises where the SQL may be hostile, gets the same answers.

#![allow(clippy::unwrap_used, unsafe_code)]

use rusqlite::{Connection, ffi};

/// What <https://sqlite.org/security.html> advises.
const ADVISED: [(i32, i32); 9] = [
    (ffi::SQLITE_LIMIT_LENGTH, 1_000_000),
    (ffi::SQLITE_LIMIT_SQL_LENGTH, 100_000),
    (ffi::SQLITE_LIMIT_COLUMN, 100),
    (ffi::SQLITE_LIMIT_EXPR_DEPTH, 10),
    (ffi::SQLITE_LIMIT_COMPOUND_SELECT, 3),
    (ffi::SQLITE_LIMIT_VDBE_OP, 25_000),
    (ffi::SQLITE_LIMIT_FUNCTION_ARG, 8),
    (ffi::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50),
    (ffi::SQLITE_LIMIT_VARIABLE_NUMBER, 10),
];

fn set(db: &Connection, limit: i32, most: i32) {
    // SAFETY: the connection is open.
    unsafe { ffi::sqlite3_limit(db.handle(), limit, most) };
}

/// A table with keys of text, and an index of its vectors.
fn database() -> Connection {
    fafcas::register_auto_extension().unwrap();
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(
        "CREATE TABLE limited(key TEXT PRIMARY KEY, v BLOB);
         INSERT INTO limited WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
         SELECT 'k' || i, fafcas_normalize(json_array(i % 7, i % 11, i % 13, 1 + i % 17)) FROM n;
         CREATE VIRTUAL TABLE limited_vec USING vec_index(limited, v)",
    )
    .unwrap();
    db
}

const LIST: &str = "id IN (SELECT key FROM limited WHERE rowid % 20 = 0)";
const COMPARISONS: &str = "((id > 'k' AND id >= 'k0') AND (id < 'z' AND id <= 'y'))";
const ON_ROWIDS: &str = "((rowid > 0 AND rowid >= 1) AND (rowid < 2900 AND rowid <= 2899))";

fn answers(db: &Connection) -> Vec<Vec<i64>> {
    let conditions = [
        LIST.to_string(),
        COMPARISONS.to_string(),
        format!("{LIST} AND {COMPARISONS}"),
        format!("{LIST} AND {COMPARISONS} AND {ON_ROWIDS}"),
        format!("id = 'k40' AND {COMPARISONS} AND {ON_ROWIDS}"),
        format!("{ON_ROWIDS} AND rowid IN (2, 30, 400)"),
    ];
    let options = ["{}", r#"{"index":"limited_vec"}"#, r#"{"index":false}"#];
    let asked = conditions.iter().flat_map(|condition| options.map(|options| (condition, options)));
    let answer = |(condition, options): (&String, &str)| {
        let sql = format!(
            "SELECT rowid FROM vec_topk('limited', 'v', '[1,2,3,4]', NULL, '{options}') WHERE {condition}
             ORDER BY score DESC, rowid LIMIT 20"
        );
        let mut statement = db.prepare(&sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<rusqlite::Result<_>>().unwrap_or_else(|error| unreachable!("{condition}, {options}: {error}"))
    };
    asked.map(answer).collect()
}

/// Issue 12.
#[test]
fn what_a_host_limits_changes_no_answer() {
    let db = database();
    let expected = answers(&db);
    assert!(expected.iter().all(|rows| !rows.is_empty()));
    for (limit, most) in ADVISED {
        set(&db, limit, most);
    }
    for most in [10, 9, 5, 3] {
        set(&db, ffi::SQLITE_LIMIT_VARIABLE_NUMBER, most);
        assert_eq!(answers(&db), expected, "{most} parameters");
    }
}
