//! `bm25_share(fts [, weight ...])` and `bm25_bound(fts)`: how well a row of an FTS5 table fits a query, on a scale that is
//! the same for all queries.
//!
//! Both are auxiliary functions of FTS5. There is also an ordinary function under each name. If FTS5 could not be reached
//! when the library was loaded, the ordinary function registers the auxiliary ones later. Outside of a query with MATCH, it
//! says what is wrong.

use crate::analysis::bm25::QueryWeights;
use crate::error::{Error, Result};
use crate::sqlite::host::args::Args;
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::fts5::{Auxiliary, Match, register, register_stand_ins};
use crate::sqlite::host::value::{Value, ValueRef};
use std::cell::RefCell;

static FUNCTIONS: [Auxiliary; 2] =
    [Auxiliary { name: "bm25_share", call: share }, Auxiliary { name: "bm25_bound", call: bound }];

/// Registers both, if the connection has FTS5. A connection without FTS5 is no error.
pub fn register_bm25(connection: Connection) -> Result<()> {
    register_stand_ins(connection, &FUNCTIONS)?;
    register(connection, &FUNCTIONS).map(|_| ())
}

fn weights(row: &Match<'_>) -> Result<QueryWeights> {
    let with = (0..row.phrases()).map(|phrase| row.rows_with(phrase)).collect::<Result<Vec<_>>>()?;
    Ok(QueryWeights::new(row.rows()?, row.words()?, &with))
}

/// What is kept for one statement. The frequencies are counted in the same memory for each row.
struct Counting {
    weights: QueryWeights,
    frequencies: RefCell<Vec<f64>>,
}

/// The weight of each column: as in `bm25()`, and 1 if none is given.
fn columns(row: &Match<'_>, arguments: Args<'_>) -> Result<Vec<f64>> {
    let weight = |at: usize| match arguments.get(at) {
        ValueRef::Integer(x) if x >= 0 => Ok(x as f64),
        ValueRef::Real(x) if x >= 0.0 && x.is_finite() => Ok(x),
        other => Err(Error::expected(format_args!("weight {} as a finite number of 0 or more", at + 1), other)),
    };
    (0..row.columns().min(arguments.count())).map(weight).collect()
}

fn share(row: Match<'_>, arguments: Args<'_>) -> Result<Value> {
    let columns = columns(&row, arguments)?;
    let make = |row: &Match<'_>| Ok(Counting { weights: weights(row)?, frequencies: RefCell::default() });
    let Counting { weights, frequencies } = row.kept(make)?;
    let mut frequencies = frequencies.borrow_mut();
    frequencies.clear();
    frequencies.resize(weights.phrases(), 0.0);
    row.each_instance(|instance| {
        if let Some(frequency) = frequencies.get_mut(instance.phrase) {
            *frequency += columns.get(instance.column).copied().unwrap_or(1.0);
        }
    })?;
    Ok(Value::Real(weights.share(&frequencies, row.length()?)))
}

fn bound(row: Match<'_>, _: Args<'_>) -> Result<Value> {
    Ok(Value::Real(row.kept(weights)?.bound()))
}
