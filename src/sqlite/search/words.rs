//! The rows of an FTS5 table that have any word of a text.

use crate::analysis::hybrid::any_word;
use crate::error::{Error, Result};
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::fts5::RUN_AGAIN;
use crate::sqlite::host::value::{Value, ValueRef};
use crate::sqlite::tables::identifier::{Path, one, quoted};
use crate::vector::shown;
use std::collections::HashMap;

/// The rows that have any word of a text.
#[derive(Default)]
pub struct Matches {
    /// The BM25 score of each row, by its rowid. Larger is better.
    pub bm25: HashMap<i64, f64>,
    /// The greatest score that a row could have.
    pub bound: f64,
}

/// Looks for any word of the text in an FTS5 table.
pub fn matches(connection: Connection, table: &str, text: &str, weights: &[f64]) -> Result<Matches> {
    let path = one(table).map_err(|error| error.within("fts_table"))?;
    let found = find(connection, &path, text, weights);
    // If FTS5 could not be reached when the library was loaded, the first call registers its functions and fails.
    let found = if matches!(&found, Err(error) if error.to_string().contains(RUN_AGAIN)) {
        find(connection, &path, text, weights)
    } else {
        found
    };
    found.map_err(|error| not_full_text(error, table))
}

fn find(connection: Connection, path: &Path, text: &str, weights: &[f64]) -> Result<Matches> {
    let name = quoted(&path.name);
    let from = path.schema.iter().fold(name.clone(), |name, schema| format!("{}.{name}", quoted(schema)));
    let columns: String = weights.iter().map(|weight| format!(", {weight:?}")).collect();
    let sql = format!("SELECT rowid, -bm25({name}{columns}), bm25_bound({name}) FROM {from} WHERE {name} MATCH ?1");
    let mut statement = connection.prepare(&sql)?;
    let mut found = Matches::default();
    let Some(expression) = any_word(text) else { return Ok(found) };
    statement.bind(1, Value::from(expression.as_str()).borrow())?;
    // From a damaged table, the value may be no number.
    let number = |value: ValueRef<'_>| match value {
        ValueRef::Real(number) if number.is_finite() => number,
        _ => 0.0,
    };
    while statement.step()? {
        let memory = |_| Error::expected("fewer rows with these words", "more than memory holds");
        found.bm25.try_reserve(1).map_err(memory)?;
        found.bm25.insert(statement.integer(0), number(statement.column(1)));
        found.bound = number(statement.column(2));
    }
    Ok(found)
}

/// If the table does not exist or is not one of FTS5, SQLite's message does not name the argument. This one does.
fn not_full_text(error: Error, table: &str) -> Error {
    match &error {
        Error::Sqlite { message, .. } if is_about_the_table(message) => {
            Error::expected("fts_table to name an FTS5 table", format_args!("{} ({message})", shown(table)))
        }
        _ => error.within(format_args!("fts_table {}", shown(table))),
    }
}

fn is_about_the_table(message: &str) -> bool {
    ["no such table", "no such column", "unable to use function", "no such function"]
        .iter()
        .any(|start| message.starts_with(start))
}
