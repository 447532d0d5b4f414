//! The rows of an FTS5 table that have any word of a text, or pieces of a word that may be misspelt.

use crate::analysis::hybrid::{any_piece, any_word, long_words, misspelt};
use crate::error::{Error, Result};
use crate::resources::reserve::{self, Reserve};
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::fts5::RUN_AGAIN;
use crate::sqlite::host::value::{Value, ValueRef};
use crate::sqlite::tables::identifier::{one, quoted};
use crate::sqlite::tables::reentry::Running;
use crate::vector::shown;
use std::collections::HashMap;

/// So many words are taken for misspelt: with more, it is a text of another language.
const MOST_STRANGE: usize = 16;
/// How often a text is copied on its way to an expression.
const COPIES: usize = 4;
/// What the piece that begins at a byte of a word takes, in the lists and texts that it goes through.
const BYTES_A_PIECE: usize = 256;

/// The rows that have any word of a text.
#[derive(Default)]
pub struct Matches {
    /// The BM25 score of each row, by its rowid. Larger is better.
    pub bm25: HashMap<i64, f64>,
    /// The greatest score that a row could have.
    pub bound: f64,
}

/// An FTS5 table, and the argument that names it.
#[derive(Clone, Copy)]
pub struct FullText<'a> {
    /// The argument.
    pub argument: &'static str,
    /// The name that it gives.
    pub table: &'a str,
}

/// A row of the trigrams: its share of a word's pieces, and what the word could give.
struct TrigramRow {
    row: i64,
    share: f64,
    absent: f64,
}

impl Matches {
    /// Looks for any word of the text.
    pub fn find(connection: Connection, table: FullText<'_>, text: &str, weights: &[f64]) -> Result<Self> {
        let columns: String = weights.iter().map(|weight| format!(", {weight:?}")).collect();
        table.read(|name, from| {
            let sql =
                format!("SELECT rowid, -bm25({name}{columns}), bm25_bound({name}) FROM {from} WHERE {name} MATCH ?1");
            let mut statement = connection.prepare(&sql)?;
            let mut found = Self::default();
            reserve::check_room(text.len().saturating_mul(COPIES))?;
            let Some(expression) = any_word(text) else { return Ok(found) };
            statement.bind(1, Value::from(expression.as_str()).borrow())?;
            while statement.step()? {
                found.bm25.reserve_room(1)?;
                found.bm25.insert(statement.integer(0), number(statement.column(1)));
                found.bound = number(statement.column(2));
            }
            Ok(found)
        })
    }

    /// Adds what rows get for words that no row has, by the pieces of these in a table of trigrams.
    pub fn add_misspelt(&mut self, connection: Connection, trigrams: FullText<'_>, words: &[&str]) -> Result<()> {
        let mut bound = 0.0;
        for word in words {
            reserve::check_room(word.len().saturating_mul(BYTES_A_PIECE))?;
            let Some(pieces) = any_piece(word) else { continue };
            let found = trigrams.pieces(connection, &pieces)?;
            bound += found.first().map_or(0.0, |first| first.absent);
            for TrigramRow { row, share, absent } in found {
                if let Some(bm25) = misspelt(share, absent) {
                    self.bm25.reserve_room(1)?;
                    *self.bm25.entry(row).or_default() += bm25;
                }
            }
        }
        // Where no row has any of the other words.
        self.bound = self.bound.max(bound);
        Ok(())
    }
}

impl FullText<'_> {
    /// The words of a text that may be misspelt, as no row has them.
    pub fn strange(self, connection: Connection, text: &str) -> Result<Vec<&str>> {
        reserve::check_room(text.len().saturating_mul(COPIES))?;
        self.read(|name, from| {
            let mut statement = connection.prepare(&format!("SELECT 1 FROM {from} WHERE {name} MATCH ?1 LIMIT 1"))?;
            let mut strange = Vec::new();
            for word in long_words(text) {
                if strange.len() >= MOST_STRANGE {
                    break;
                }
                let Some(expression) = any_word(word) else { continue };
                statement.bind(1, Value::from(expression.as_str()).borrow())?;
                if !statement.step()? {
                    strange.push(word);
                }
                statement.reset();
            }
            Ok(strange)
        })
    }

    fn pieces(self, connection: Connection, pieces: &str) -> Result<Vec<TrigramRow>> {
        self.read(|name, from| {
            let absent = format!("bm25_bound({name}, 1) - bm25_bound({name})");
            let sql = format!("SELECT rowid, bm25_share({name}), {absent} FROM {from} WHERE {name} MATCH ?1");
            let mut statement = connection.prepare(&sql)?;
            statement.bind(1, Value::from(pieces).borrow())?;
            let mut rows = Vec::new();
            while statement.step()? {
                let (share, absent) = (number(statement.column(1)), number(statement.column(2)));
                reserve::push(&mut rows, TrigramRow { row: statement.integer(0), share, absent })?;
            }
            Ok(rows)
        })
    }

    /// Reads the table by its name alone, for functions and MATCH, and by its path.
    fn read<T>(self, find: impl Fn(&str, &str) -> Result<T>) -> Result<T> {
        let path = one(self.table).map_err(|error| error.within(self.argument))?;
        let name = quoted(&path.name);
        // A view that has the column of an FTS5 table is read like one, and may search itself.
        let _running = Running::enter_named(self.table).map_err(|error| error.within(self.argument))?;
        let from = path.schema.iter().fold(name.clone(), |name, schema| format!("{}.{name}", quoted(schema)));
        let mut found = find(&name, &from);
        // Where the library was loaded before FTS5 could be asked, the first call makes one of its functions known.
        for _ in 0..2 {
            if matches!(&found, Err(error) if error.to_string().contains(RUN_AGAIN)) {
                found = find(&name, &from);
            }
        }
        found.map_err(|error| self.explained(error))
    }

    /// What SQLite says where the table is not there or is none of FTS5's does not name the argument.
    fn explained(self, error: Error) -> Error {
        let Self { argument, table } = self;
        match &error {
            Error::Sqlite { message, .. } if is_about_the_table(message) => Error::expected(
                format_args!("{argument} to name an FTS5 table"),
                format_args!("{} ({message})", shown(table)),
            ),
            _ => error.within(format_args!("{argument} {}", shown(table))),
        }
    }
}

/// A damaged table may have no number to give.
fn number(value: ValueRef<'_>) -> f64 {
    match value {
        ValueRef::Real(number) if number.is_finite() => number,
        _ => 0.0,
    }
}

fn is_about_the_table(message: &str) -> bool {
    ["no such table", "no such column", "unable to use function", "no such function"]
        .iter()
        .any(|start| message.starts_with(start))
}
