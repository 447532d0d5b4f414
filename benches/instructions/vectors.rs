//! Vectors of other types, and what SQL computes with vectors.

use super::{counted, data, numbers};
use rusqlite::Connection;

/// The table `s` again, in another type, and searches over it without an index.
fn scan(db: &Connection, convert: &str, element: &str) {
    let filled = format!("INSERT INTO small SELECT id, {convert} FROM s");
    db.execute_batch("CREATE TABLE small(id INTEGER PRIMARY KEY, v BLOB)").unwrap();
    assert_eq!(db.execute(&filled, []).unwrap(), data::SMALL);
    let sql = format!(
        r#"SELECT t.rowid FROM q, vec_topk('small', 'v', q.v, 10, '{{"type": "{element}"}}') AS t WHERE q.id BETWEEN ?1 AND ?2"#
    );
    let mut statement = db.prepare(&sql).unwrap();
    assert_eq!(numbers(&mut statement, [1, 1]).len(), 10);
    assert_eq!(counted(|| numbers(&mut statement, [2, 9]).len()), 80);
    super::expect_path(db, "small", "scan");
}

pub fn scan_f16(db: &Connection) {
    scan(db, "vec_f16(v)", "f16");
}

pub fn scan_int8(db: &Connection) {
    scan(db, "vec_quantize_int8(v, 'unit')", "int8");
}

/// A statement that gives one number, once before it is counted.
fn number(db: &Connection, sql: &str) -> f64 {
    let mut statement = db.prepare(sql).unwrap();
    let mut run = || statement.query_row([], |row| row.get::<_, f64>(0)).unwrap();
    let expected = run();
    assert_eq!(counted(run), expected, "{sql}");
    expected
}

pub fn distances(db: &Connection) {
    let cosine = number(db, "SELECT sum(vec_distance_cosine(s.v, q.v)) FROM s, q WHERE q.id = 1");
    assert!((0.0..2.0 * data::SMALL as f64).contains(&cosine), "{cosine}");
}

/// Arithmetic from one type to another.
pub fn convert(db: &Connection) {
    let bytes = number(
        db,
        "SELECT sum(length(vec_add(vec_f16(vec_sub(s.v, q.v)), vec_f16(q.v)))) + 0.0 FROM s, q WHERE q.id = 1",
    );
    assert_eq!(bytes, (data::SMALL * 2 * data::DIMENSIONS) as f64);
}

pub fn average(db: &Connection) {
    let groups = number(db, "SELECT sum(length(v)) + 0.0 FROM (SELECT vec_avg(v) AS v FROM s GROUP BY id % 10)");
    assert_eq!(groups, (10 * 4 * data::DIMENSIONS) as f64);
}

pub fn each(db: &Connection) {
    let rows = number(db, "SELECT count(e.value) + 0.0 FROM s, vec_each(s.v) AS e WHERE s.id <= 100");
    assert_eq!(rows, (100 * data::DIMENSIONS) as f64);
}
