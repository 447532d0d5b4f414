//! `bm25_share(fts [, weight ...])` and `bm25_bound(fts [, absent])`: how well a row of an FTS5 table meets a query, on a scale that is the
//! same for all queries.
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
use std::cell::Cell;

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

/// What is kept for one statement. `places` is memory to work in, which all rows share.
struct Counting {
    weights: QueryWeights,
    places: Cell<Workspace>,
}

#[derive(Default)]
struct Workspace {
    /// The weight of each column.
    columns: Vec<f64>,
    /// The weighed frequency of each phrase.
    frequencies: Vec<f64>,
}

impl Workspace {
    /// Reads the weight of each column: as in `bm25()`, and 1 if none is given. Each row may have other weights.
    fn read(&mut self, row: &Match<'_>, arguments: Args<'_>) -> Result<()> {
        self.columns.clear();
        for at in 0..row.columns().min(arguments.count()) {
            self.columns.push(match arguments.get(at) {
                ValueRef::Integer(x) if x >= 0 => x as f64,
                ValueRef::Real(x) if x >= 0.0 && x.is_finite() => x,
                other => {
                    return Err(Error::expected(
                        format_args!("weight {} as a finite number of 0 or more", at + 1),
                        other,
                    ));
                }
            });
        }
        Ok(())
    }

    /// Computes the weighed frequencies of the phrases in the row.
    fn count(&mut self, row: &Match<'_>, phrases: usize) -> Result<()> {
        self.frequencies.clear();
        self.frequencies.resize(phrases, 0.0);
        let Self { columns, frequencies } = self;
        row.each_instance(|instance| {
            if let Some(frequency) = frequencies.get_mut(instance.phrase) {
                *frequency += columns.get(instance.column).copied().unwrap_or(1.0);
            }
        })
    }
}

fn share(row: Match<'_>, arguments: Args<'_>) -> Result<Value> {
    let make = |row: &Match<'_>| Ok(Counting { weights: weights(row)?, places: Cell::default() });
    let Counting { weights, places } = row.kept(make)?;
    let mut working = places.take();
    working.read(&row, arguments)?;
    working.count(&row, weights.phrases())?;
    let share = weights.share(&working.frequencies, row.length()?);
    places.set(working);
    Ok(Value::Real(share))
}

fn bound(row: Match<'_>, arguments: Args<'_>) -> Result<Value> {
    let weights = row.kept(weights)?;
    let absent = match arguments.get(0) {
        ValueRef::Null => 0.0,
        ValueRef::Integer(words) if words >= 0 => words as f64,
        other => return Err(Error::expected("a number of words that is 0 or more", other)),
    };
    Ok(Value::Real(weights.bound_with(absent)))
}
