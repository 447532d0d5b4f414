//! What an index costs those who write.

use super::{counted, data, numbers};
use rusqlite::{Connection, params};

/// Rows one by one in one transaction, as programs write them.
fn write(db: &Connection) {
    let mut statement = db.prepare("SELECT id, v FROM fresh").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let fresh: Vec<(i64, Vec<u8>)> = rows.map(Result::unwrap).collect();
    db.execute_batch("BEGIN").unwrap();
    for (id, vector) in fresh {
        let mut insert = db.prepare_cached("INSERT INTO t VALUES (?1, ?2)").unwrap();
        insert.execute(params![data::ROWS as i64 + id, vector]).unwrap();
    }
    db.execute_batch("UPDATE t SET v = (SELECT v FROM q WHERE q.id = t.id) WHERE id <= 100").unwrap();
    db.execute_batch("DELETE FROM t WHERE id BETWEEN 1001 AND 1200; COMMIT").unwrap();
}

pub fn insert(db: &Connection) {
    counted(|| write(db));
    assert_eq!(property(db, "pending"), 1300);
}

/// The first search after rows have changed.
pub fn pending(db: &Connection) {
    let sql = "SELECT rowid FROM vec_topk('t', 'v', (SELECT v FROM q WHERE id = ?1), 10)";
    let mut statement = db.prepare(sql).unwrap();
    assert_eq!(numbers(&mut statement, [1]).len(), 10);
    write(db);
    let found = counted(|| (2..=5).map(|query| numbers(&mut statement, [query]).len()).sum::<usize>());
    assert_eq!(found, 40);
    super::expect_path(db, "t", "index");
}

pub fn merge(db: &Connection) {
    write(db);
    counted(|| db.execute_batch("INSERT INTO i(i) VALUES ('merge')").unwrap());
    assert_eq!(property(db, "pending"), 0);
    assert_eq!(property(db, "rows"), (data::ROWS + data::FRESH - 200) as i64);
}

/// As many of the changes as the command says.
pub fn merge_part(db: &Connection) {
    write(db);
    counted(|| db.execute_batch("INSERT INTO i(i) VALUES ('merge 500')").unwrap());
    assert_eq!(property(db, "pending"), 800);
}

/// The index read into memory, before anybody searches.
pub fn warm(db: &Connection) {
    counted(|| db.execute_batch("INSERT INTO i(i) VALUES ('warm')").unwrap());
    assert_eq!(property(db, "rows"), data::ROWS as i64);
}

pub fn build(db: &Connection) {
    counted(|| db.execute_batch("CREATE VIRTUAL TABLE b USING vec_index(s, v)").unwrap());
    let rows: i64 = db.query_row("SELECT value FROM b WHERE property = 'rows'", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, data::SMALL as i64);
}

fn property(db: &Connection, name: &str) -> i64 {
    db.query_row("SELECT value FROM i WHERE property = ?1", [name], |row| row.get(0)).unwrap()
}
