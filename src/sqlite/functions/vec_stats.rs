//! `vec_stats`: what this process has measured, with a row for each source and column. `DELETE FROM vec_stats` resets it.

use crate::error::{Error, Result};
use crate::resources::stats::{self, Entry, ErrorKind};
use crate::sqlite::host::args::Args;
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::value::Value;
use crate::sqlite::host::vtab::{Change, Choice, Declaration, IndexInfo, Listed, Listing, Risk, Table, Writable};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The table.
pub struct VecStats;

type StatsColumn = (&'static str, fn(&Entry) -> Value);

fn count(counter: &AtomicU64) -> Value {
    Value::Integer(counter.load(Relaxed) as i64)
}

fn quantile(entry: &Entry, share: f64) -> Value {
    entry.times.quantile(share).map_or(Value::Null, Value::Real)
}

fn errors(entry: &Entry, kind: ErrorKind) -> Value {
    Value::Integer(entry.errors(kind) as i64)
}

/// A JSON array of pairs: a bound in seconds, and how many searches took less.
fn histogram(entry: &Entry) -> Value {
    let pairs: Vec<(f64, u64)> = entry.times.below().collect();
    Value::from(json!(pairs).to_string().as_str())
}

/// The columns after `source` and `column_name`.
const MEASURES: [StatsColumn; 30] = [
    ("searches INTEGER", |entry| Value::Integer(entry.times.count() as i64)),
    ("total_ms REAL", |entry| Value::Real(entry.times.total())),
    ("p50_ms REAL", |entry| quantile(entry, 0.5)),
    ("p95_ms REAL", |entry| quantile(entry, 0.95)),
    ("p99_ms REAL", |entry| quantile(entry, 0.99)),
    ("path TEXT", |entry| Value::from(entry.path())),
    ("rows_scanned INTEGER", |entry| count(&entry.rows)),
    ("candidates INTEGER", |entry| count(&entry.candidates)),
    ("rescored INTEGER", |entry| count(&entry.rescored)),
    ("repeated INTEGER", |entry| count(&entry.repeated)),
    ("skipped INTEGER", |entry| count(&entry.bad)),
    ("not_unit INTEGER", |entry| count(&entry.not_unit)),
    ("pending INTEGER", |entry| count(&entry.pending)),
    ("encoded INTEGER", |entry| count(&entry.encoded)),
    ("cache_bytes INTEGER", |entry| count(&entry.memory.bytes)),
    ("cache_hits INTEGER", |entry| count(&entry.memory.hits)),
    ("cache_evictions INTEGER", |entry| count(&entry.memory.evictions)),
    ("cache_wanted INTEGER", |entry| count(&entry.whole)),
    ("cache_passing INTEGER", |entry| count(&entry.passing)),
    ("progress_done INTEGER", |entry| count(&entry.done)),
    ("progress_total INTEGER", |entry| count(&entry.total)),
    ("errors INTEGER", |entry| Value::Integer(ErrorKind::ALL.into_iter().map(|kind| entry.errors(kind) as i64).sum())),
    ("errors_mistake INTEGER", |entry| errors(entry, ErrorKind::Mistake)),
    ("errors_damaged INTEGER", |entry| errors(entry, ErrorKind::Damaged)),
    ("errors_memory INTEGER", |entry| errors(entry, ErrorKind::Memory)),
    ("errors_interrupted INTEGER", |entry| errors(entry, ErrorKind::Interrupted)),
    ("errors_busy INTEGER", |entry| errors(entry, ErrorKind::Busy)),
    ("errors_sqlite INTEGER", |entry| errors(entry, ErrorKind::Sqlite)),
    ("errors_bug INTEGER", |entry| errors(entry, ErrorKind::Bug)),
    ("histogram TEXT", |entry| histogram(entry)),
];

impl Table for VecStats {
    const NAME: &'static str = "vec_stats";
    type Cursor = Listed<Entries>;

    fn connect(_: Connection, _: &[&str]) -> Result<(Self, Declaration)> {
        let measures = MEASURES.map(|(column, _)| column).join(", ");
        let schema = format!("CREATE TABLE x(source TEXT, column_name TEXT, {measures})");
        Ok((Self, Declaration { schema, risk: Risk::Direct }))
    }

    fn best_index(&self, info: &mut IndexInfo<'_>) -> Result<Choice> {
        info.estimate(10.0, 10);
        Ok(Choice::Plan(0))
    }

    fn open(&self) -> Result<Listed<Entries>> {
        Ok(Listed::new(Entries))
    }
}

/// The values of all entries.
pub struct Entries;

impl Listing for Entries {
    type Row = ((String, String), Arc<Entry>);

    fn list(&mut self, _: i32, _: Args<'_>) -> Result<Vec<Self::Row>> {
        Ok(stats::all())
    }

    fn column(&mut self, ((source, name), entry): &Self::Row, _: usize, column: usize) -> Result<Value> {
        Ok(match column {
            0 => Value::from(source.as_str()),
            1 => Value::from(name.as_str()),
            _ => MEASURES.get(column - 2).map_or(Value::Null, |(_, measure)| measure(entry)),
        })
    }

    fn rowid(&self, (_, entry): &Self::Row, _: usize) -> i64 {
        entry.id as i64
    }
}

impl Writable for VecStats {
    fn change(&self, change: Change<'_>) -> Result<i64> {
        match change {
            Change::Delete(rowid) => {
                stats::forget(rowid as u64);
                Ok(rowid)
            }
            _ => Err(Error::Mistake("expected DELETE, the only change there is to what was measured".into())),
        }
    }
}
