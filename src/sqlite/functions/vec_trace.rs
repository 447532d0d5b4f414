//! `vec_trace`: the last searches of this process, if `fafcas_config('trace', n)` asks for them. `DELETE FROM vec_trace` drops them.

use crate::error::{Error, Result};
use crate::resources::trace::{self, Stage, TracedSearch};
use crate::sqlite::host::args::Args;
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::value::Value;
use crate::sqlite::host::vtab::{Change, Choice, Declaration, IndexInfo, Listed, Listing, Risk, Table, Writable};
use std::time::{Duration, UNIX_EPOCH};

/// The table.
pub struct VecTrace;

type TraceColumn = (&'static str, fn(&TracedSearch) -> Value);

fn count(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn known(number: Option<usize>) -> Value {
    number.map_or(Value::Null, |number| count(number as u64))
}

/// A text; NULL if it is empty.
fn text(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { Value::from(text) }
}

fn milliseconds(took: Duration) -> Value {
    Value::Real(took.as_secs_f64() * 1e3)
}

fn stage(search: &TracedSearch, stage: Stage) -> Value {
    milliseconds(search.notes.took(stage))
}

/// When it began, in seconds since 1970.
fn began(search: &TracedSearch) -> Value {
    let ended = search.ended.duration_since(UNIX_EPOCH).unwrap_or_default();
    Value::Real(ended.saturating_sub(search.took).as_secs_f64())
}

const COLUMNS: [TraceColumn; 17] = [
    ("began REAL", began),
    ("function TEXT", |search| Value::from(search.function)),
    ("source TEXT", |search| text(&search.source)),
    ("column_name TEXT", |search| text(&search.column)),
    ("path TEXT", |search| search.notes.path.map_or(Value::Null, |path| text(path.name()))),
    ("k INTEGER", |search| known(search.k)),
    ("rows INTEGER", |search| known(search.rows)),
    ("total_ms REAL", |search| milliseconds(search.took)),
    ("planning_ms REAL", |search| stage(search, Stage::Planning)),
    ("opening_ms REAL", |search| stage(search, Stage::Opening)),
    ("sweeping_ms REAL", |search| stage(search, Stage::Sweeping)),
    ("fetching_ms REAL", |search| stage(search, Stage::Fetching)),
    ("embedding_ms REAL", |search| stage(search, Stage::Embedding)),
    ("candidates INTEGER", |search| count(search.notes.candidates)),
    ("rescored INTEGER", |search| count(search.notes.rescored)),
    ("cache_misses INTEGER", |search| count(search.notes.cache_misses)),
    ("error TEXT", |search| search.error.as_deref().map_or(Value::Null, Value::from)),
];

impl Table for VecTrace {
    const NAME: &'static str = "vec_trace";
    type Cursor = Listed<TracedSearches>;

    fn connect(_: Connection, _: &[&str]) -> Result<(Self, Declaration)> {
        let columns = COLUMNS.map(|(column, _)| column).join(", ");
        Ok((Self, Declaration { schema: format!("CREATE TABLE x({columns})"), risk: Risk::Direct }))
    }

    fn best_index(&self, info: &mut IndexInfo<'_>) -> Result<Choice> {
        info.estimate(100.0, 100);
        Ok(Choice::Plan(0))
    }

    fn open(&self) -> Result<Listed<TracedSearches>> {
        Ok(Listed::new(TracedSearches))
    }
}

/// The searches, the oldest first.
pub struct TracedSearches;

impl Listing for TracedSearches {
    type Row = TracedSearch;

    fn list(&mut self, _: i32, _: Args<'_>) -> Result<Vec<TracedSearch>> {
        Ok(trace::all())
    }

    fn column(&mut self, search: &TracedSearch, _: usize, column: usize) -> Result<Value> {
        Ok(COLUMNS.get(column).map_or(Value::Null, |(_, value)| value(search)))
    }

    fn rowid(&self, search: &TracedSearch, _: usize) -> i64 {
        search.number as i64
    }
}

impl Writable for VecTrace {
    fn change(&self, change: Change<'_>) -> Result<i64> {
        match change {
            Change::Delete(rowid) => {
                trace::forget(rowid as u64);
                Ok(rowid)
            }
            _ => Err(Error::Mistake("expected DELETE, the only change there is to what was traced".into())),
        }
    }
}
