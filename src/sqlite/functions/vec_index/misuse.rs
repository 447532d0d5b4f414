//! What who takes an index for a table of vectors, as other libraries have one, is to write instead.

use super::command::COMMANDS;
use crate::error::Error;
use crate::sqlite::tables::catalogue::plain_or_quoted;

/// A column, and the table it belongs to.
pub(super) struct NamedColumn {
    pub table: String,
    pub column: String,
}

impl NamedColumn {
    fn table(&self) -> String {
        plain_or_quoted(&self.table)
    }

    fn column(&self) -> String {
        plain_or_quoted(&self.column)
    }
}

/// The error for a search in the index itself, by MATCH for example.
pub(super) fn searched_here(index: &str, indexed: &NamedColumn) -> Error {
    let literal = |text: String| format!("'{}'", text.replace('\'', "''"));
    let (table, column) = (literal(indexed.table()), literal(indexed.column()));
    Error::expected(
        format_args!("a search by vec_topk({table}, {column}, query, k), which uses the index"),
        format_args!("a condition on the index {index}"),
    )
}

/// The error for an INSERT without a command.
pub(super) fn stored_here(indexed: &NamedColumn) -> Error {
    let (table, column) = (indexed.table(), indexed.column());
    Error::expected(
        COMMANDS,
        format_args!("a row: INSERT INTO {table}({column}) stores a vector, and the index follows by itself"),
    )
}
