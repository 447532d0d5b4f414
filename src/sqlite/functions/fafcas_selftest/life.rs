//! The life of an index: created, searched, behind its table, merged, checked and dropped.

use super::Checks;
use crate::error::{Error, Result};
use crate::resources::stats;
use crate::selftest::Draws;
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::value::Value;

const ROWS: i64 = 600;
const DIMENSIONS: usize = 48;
const QUERIES: usize = 8;
const NEAREST: i64 = 10;
/// Of the nearest rows of all queries, how many an ordinary search by the index must find. It finds nearly all.
const FOUND: usize = QUERIES * NEAREST as usize * 9 / 10;
/// The name of the table. `vec_stats` counts by it.
const TABLE: &str = "fafcas_selftest_rows";

/// A row of an answer.
type ScoredId = (i64, f64);

/// Gives what was seen.
type LifeStep = fn(&mut IndexLife) -> Result<String>;

struct IndexLife {
    connection: Connection,
    draws: Draws,
}

/// A row for each step. A step that fails leaves the next ones to fail too: each looks at what it needs.
pub fn check(checks: &mut Checks, connection: Connection) -> Result<()> {
    let mut life = IndexLife { connection, draws: Draws::new() };
    let steps: [(&str, LifeStep); 6] = [
        ("index create", IndexLife::create),
        ("index search", IndexLife::search),
        ("index change", IndexLife::change),
        ("index merge", IndexLife::merge),
        ("index check", IndexLife::check),
        ("index drop", IndexLife::destroy),
    ];
    let outcome = steps.into_iter().try_for_each(|(name, step)| checks.run(name, || step(&mut life)));
    forget();
    outcome
}

/// What the searches here have left in `vec_stats`.
fn forget() {
    let ours = stats::all().into_iter().filter(|((source, _), _)| source == &format!("main.{TABLE}"));
    ours.for_each(|(_, entry)| stats::forget(entry.id));
}

impl IndexLife {
    fn create(&mut self) -> Result<String> {
        self.run(&format!("CREATE TABLE {TABLE}(id INTEGER PRIMARY KEY, v BLOB NOT NULL)"), &[])?;
        for id in 1..=ROWS {
            self.put(id)?;
        }
        self.run(&format!("CREATE VIRTUAL TABLE i USING vec_index({TABLE}, v)"), &[])?;
        self.expect_property("rows", ROWS)?;
        Ok(format!("{ROWS} rows of {DIMENSIONS} dimensions"))
    }

    fn search(&mut self) -> Result<String> {
        let mut found = 0;
        for _ in 0..QUERIES {
            found += self.compare()?;
        }
        if found < FOUND {
            return Err(Error::expected(format_args!("at least {FOUND} of the nearest rows"), found));
        }
        Ok(format!(
            "{QUERIES} exact searches give the rows and scores of a scan; {found} of {} without exact",
            QUERIES * NEAREST as usize
        ))
    }

    fn change(&mut self) -> Result<String> {
        for id in (1..ROWS).step_by(20).chain([ROWS + 1, ROWS + 2]) {
            self.put(id)?;
        }
        self.run(&format!("DELETE FROM {TABLE} WHERE id % 50 = 7"), &[])?;
        let pending = self.property("pending")?;
        if pending == 0 {
            return Err(Error::expected("changed rows that wait for a merge", 0));
        }
        self.search()?;
        Ok(format!("{pending} changed rows, found before a merge"))
    }

    fn merge(&mut self) -> Result<String> {
        self.run("INSERT INTO i(i) VALUES ('merge')", &[])?;
        self.expect_property("pending", 0)?;
        self.search()
    }

    fn check(&mut self) -> Result<String> {
        self.run("INSERT INTO i(i) VALUES ('check')", &[])?;
        match self.value("PRAGMA integrity_check")?.as_str() {
            "ok" => Ok("check and integrity_check".into()),
            found => Err(Error::expected("integrity_check to say ok", found)),
        }
    }

    fn destroy(&mut self) -> Result<String> {
        self.run("DROP TABLE i", &[])?;
        self.run(&format!("DROP TABLE {TABLE}"), &[])?;
        match self.value("SELECT count(*) FROM sqlite_schema")?.as_str() {
            "0" => Ok("nothing is left of it".into()),
            found => Err(Error::expected("nothing in the database", format_args!("{found} tables and triggers"))),
        }
    }

    /// Asks one question in each way, and says how many of the nearest rows an ordinary search found.
    fn compare(&mut self) -> Result<usize> {
        let query = self.vector();
        let by_definition =
            self.hits("SELECT id, vec_dot(v, ?1) FROM fafcas_selftest_rows ORDER BY 2 DESC, 1 LIMIT ?2", &query)?;
        let scanned = self.nearest(&query, r#"{"index": false}"#)?;
        let exact = self.nearest(&query, r#"{"index": "i", "exact": true}"#)?;
        if ids(&scanned) != ids(&by_definition) {
            return Err(Error::expected(
                format_args!("the rows {:?}", ids(&by_definition)),
                format!("{:?}", ids(&scanned)),
            ));
        }
        if exact != scanned {
            return Err(Error::expected(format_args!("the rows of a scan, {scanned:?}"), format!("{exact:?}")));
        }
        let quick = self.nearest(&query, r#"{"index": "i"}"#)?;
        Ok(quick.iter().filter(|hit| scanned.contains(hit)).count())
    }

    fn nearest(&self, query: &Value, options: &str) -> Result<Vec<ScoredId>> {
        self.hits(&format!("SELECT id, score FROM vec_topk('{TABLE}', 'v', ?1, ?2, '{options}')"), query)
    }

    fn hits(&self, sql: &str, query: &Value) -> Result<Vec<ScoredId>> {
        let mut statement = self.connection.prepare(sql)?;
        statement.bind_all(&[query.copied()?, Value::Integer(NEAREST)])?;
        let mut hits = Vec::new();
        while statement.step()? {
            let score = match statement.column(1).copied()? {
                Value::Real(score) => score,
                other => return Err(Error::expected("a score", other.borrow())),
            };
            hits.push((statement.integer(0), score));
        }
        Ok(hits)
    }

    fn put(&mut self, id: i64) -> Result<()> {
        let row = [Value::Integer(id), self.vector()];
        self.run(&format!("REPLACE INTO {TABLE} VALUES (?1, fafcas_normalize(?2))"), &row)
    }

    fn vector(&mut self) -> Value {
        Value::Blob(bytemuck::cast_slice(&self.draws.vector(DIMENSIONS)).to_vec())
    }

    fn expect_property(&self, name: &str, expected: i64) -> Result<()> {
        let found = self.property(name)?;
        if found == expected { Ok(()) } else { Err(Error::expected(format_args!("{name} {expected}"), found)) }
    }

    fn property(&self, name: &str) -> Result<i64> {
        let found = self.value(&format!("SELECT value FROM i WHERE property = '{name}'"))?;
        found.parse().map_err(|_| Error::expected(format_args!("{name} as a number"), found))
    }

    /// The first value that a statement gives, as text.
    fn value(&self, sql: &str) -> Result<String> {
        let mut statement = self.connection.prepare(sql)?;
        if statement.step()? {
            Ok(statement.text(0))
        } else {
            Err(Error::expected(format_args!("a row of {sql}"), "none"))
        }
    }

    fn run(&self, sql: &str, parameters: &[Value]) -> Result<()> {
        self.connection.execute(sql, parameters)
    }
}

fn ids(hits: &[ScoredId]) -> Vec<i64> {
    hits.iter().map(|(id, _)| *id).collect()
}
