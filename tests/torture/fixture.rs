//! Small databases with an index, the right answers about them, and whether a database is sound.

#![allow(clippy::unwrap_used)]

use crate::faulty;
use crate::support::{Random, blob, library, load};
use rusqlite::{Connection, OpenFlags, params};
use std::path::Path;
use std::time::Duration;

pub const DIMENSIONS: usize = 8;

/// A connection through the file system that can fail, with the library.
pub fn open(path: &Path) -> Connection {
    let connection = open_without_library(path);
    load(&connection, &library()).unwrap();
    connection
}

pub fn open_without_library(path: &Path) -> Connection {
    faulty::install();
    let connection = Connection::open_with_flags_and_vfs(path, OpenFlags::default(), faulty::NAME).unwrap();
    connection.busy_timeout(Duration::from_secs(60)).unwrap();
    connection
}

pub fn vector(random: &mut Random) -> Vec<f32> {
    (0..DIMENSIONS).map(|_| random.real() as f32).collect()
}

/// An indexed column: its table, its key, its name, and its index.
pub struct Indexed {
    pub table: &'static str,
    pub key: &'static str,
    pub column: &'static str,
}

pub const TABLE: Indexed = Indexed { table: "t", key: "id", column: "v" };

/// Fills `t` with this many rows.
pub fn fill(connection: &Connection, rows: usize, random: &mut Random) {
    connection.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB, note TEXT); BEGIN").unwrap();
    for _ in 0..rows {
        let sql = "INSERT INTO t(v, note) VALUES (?1, 'a row')";
        connection.prepare_cached(sql).unwrap().execute([blob(&vector(random))]).unwrap();
    }
    connection.execute_batch("COMMIT").unwrap();
}

pub type Hits = Vec<(i64, f64)>;

impl Indexed {
    /// The right answer, by a loop over the table in f64.
    pub fn naive(&self, connection: &Connection, query: &[f32], limit: usize) -> rusqlite::Result<Hits> {
        let Self { table, key, column } = self;
        let sql = format!("SELECT {key}, {column} FROM {table} WHERE {column} IS NOT NULL");
        let mut statement = connection.prepare(&sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, product(query, &row.get::<_, Vec<u8>>(1)?))))?;
        let mut hits: Hits = rows.collect::<Result<_, _>>()?;
        hits.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        hits.truncate(limit);
        Ok(hits)
    }

    pub fn search(
        &self,
        connection: &Connection,
        query: &[f32],
        limit: usize,
        options: &str,
    ) -> rusqlite::Result<Hits> {
        let sql = "SELECT rowid, score FROM vec_topk(?1, ?2, ?3, ?4, ?5)";
        let mut statement = connection.prepare(sql)?;
        let values = params![self.table, self.column, blob(query), limit as i64, options];
        let rows = statement.query_map(values, |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    }

    /// What is wrong with the answers of some searches, if anything.
    pub fn wrong_answer(&self, connection: &Connection, random: &mut Random) -> rusqlite::Result<Option<String>> {
        let name = index_of(connection, self.table)?;
        let named = name.as_ref().map(|name| format!(r#"{{"exact": true, "index": "{name}"}}"#));
        for options in [named, Some("{}".to_string())].into_iter().flatten() {
            let query = vector(random);
            let (found, right) = (self.search(connection, &query, 5, &options)?, self.naive(connection, &query, 5)?);
            if !same(&found, &right) {
                return Ok(Some(format!("{options} gives {found:?}, not {right:?}")));
            }
        }
        Ok(None)
    }

    /// Opens, is whole to SQLite and to the index itself, and answers right; else what is wrong.
    pub fn unsound(&self, connection: &Connection, random: &mut Random) -> rusqlite::Result<Option<String>> {
        let said: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        if said != "ok" {
            return Ok(Some(format!("integrity_check: {said}")));
        }
        if let Some(index) = index_of(connection, self.table)? {
            connection.execute(&format!("INSERT INTO {index}({index}) VALUES ('check')"), [])?;
        }
        self.wrong_answer(connection, random)
    }
}

fn product(query: &[f32], stored: &[u8]) -> f64 {
    let numbers = stored.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    query.iter().zip(numbers).map(|(a, b)| f64::from(*a) * f64::from(b)).sum()
}

fn same(found: &Hits, right: &Hits) -> bool {
    found.len() == right.len()
        && found.iter().zip(right).all(|(found, right)| found.0 == right.0 && (found.1 - right.1).abs() < 1e-5)
}

/// The name of the index of a table, if it has one.
pub fn index_of(connection: &Connection, table: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT max(name) FROM sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL TABLE%vec_index(' || ?1 || ',%'";
    connection.query_row(sql, [table], |row| row.get(0))
}
