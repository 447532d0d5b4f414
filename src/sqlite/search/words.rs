//! The rows of an FTS5 table that have any word of a text.

use crate::analysis::hybrid::any_word;
use crate::error::{Error, Result};
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::value::{Value, ValueRef};
use crate::sqlite::tables::identifier::{one, quoted};
use crate::vector::shown;
use std::collections::HashMap;

/// The rows that have any word of the text, by their rowids, with their BM25: larger is better.
pub fn matches(connection: Connection, table: &str, text: &str, weights: &[f64]) -> Result<HashMap<i64, f64>> {
    let path = one(table).map_err(|error| error.within("fts_table"))?;
    let name = quoted(&path.name);
    let from = path.schema.iter().fold(name.clone(), |name, schema| format!("{}.{name}", quoted(schema)));
    let columns: String = weights.iter().map(|weight| format!(", {weight:?}")).collect();
    let sql = format!("SELECT rowid, -bm25({name}{columns}) FROM {from} WHERE {name} MATCH ?1");
    let mut statement = connection.prepare(&sql).map_err(|error| not_full_text(error, table))?;
    let mut found = HashMap::new();
    let Some(expression) = any_word(text) else { return Ok(found) };
    statement.bind(1, Value::from(expression.as_str()).borrow())?;
    while statement.step().map_err(|error| not_full_text(error, table))? {
        // A damaged table may have no number to give.
        let bm25 = match statement.column(1) {
            ValueRef::Real(bm25) if bm25.is_finite() => bm25,
            _ => 0.0,
        };
        found.try_reserve(1).map_err(|_| Error::expected("fewer rows with these words", "more than memory holds"))?;
        found.insert(statement.integer(0), bm25);
    }
    Ok(found)
}

/// What SQLite says where the table is not there or is none of FTS5's does not name the argument.
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
