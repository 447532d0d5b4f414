//! What CREATE VIRTUAL TABLE says about an index, and the columns that the index then shows.

use crate::error::{Error, Result};
use crate::planning::options::Options;
use crate::sqlite::host::value::ValueRef;
use crate::sqlite::host::vtab::{Declaration, Risk};
use crate::sqlite::storage::triggers::{Tracked, tracked};
use crate::sqlite::tables::catalogue::plain_or_quoted;
use crate::sqlite::tables::identifier::{Path, paths, quoted, single};
use crate::sqlite::tables::source::Source;
use crate::vector::{ElementType, shown};
use std::borrow::Cow;

/// The number of the hidden column that takes commands. Those after it are hidden, too.
pub(super) const COMMAND: usize = 2;

/// The arguments of `CREATE VIRTUAL TABLE name USING vec_index(table, column)`. Behind the column there may be the word `another`
/// and options, which are JSON in apostrophes.
pub(super) struct CreateArguments {
    pub schema: String,
    pub name: String,
    pub table: String,
    pub column: String,
    pub others: OtherIndexes,
    /// What the elements of the column are.
    pub element: ElementType,
}

/// Whether the column may have an index already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OtherIndexes {
    Refused,
    /// The word `another` after the column allows them.
    Allowed,
}

impl CreateArguments {
    /// Reads what SQLite passes: the module, the schema, the name of the index, and what stands in brackets.
    pub fn read(arguments: &[&str]) -> Result<Self> {
        let misused = || {
            let given = arguments.get(3..).unwrap_or_default().join(", ");
            Error::expected("vec_index(table, column [, another] [, options])", format_args!("vec_index({given})"))
        };
        let [_, schema, name, table, column, more @ ..] = arguments else { return Err(misused()) };
        let (word, options) = match more {
            [] => (None, None),
            [options] if is_quoted(options) => (None, Some(options)),
            [word] => (Some(word), None),
            [word, options] if is_quoted(options) => (Some(word), Some(options)),
            _ => return Err(misused()),
        };
        let others = match word {
            None => OtherIndexes::Refused,
            Some(word) if word.eq_ignore_ascii_case("another") => OtherIndexes::Allowed,
            Some(_) => return Err(misused()),
        };
        let element =
            options.map_or(Ok(ElementType::F32), |text| Options::index_type_from_json(&without_apostrophes(text)))?;
        let (table, column) = (&*without_apostrophes(table), &*without_apostrophes(column));
        let wrong = || Error::expected(format_args!("a table of {schema}"), shown(table));
        let [Path { schema: within, name: table_name }] = paths(table)?.try_into().map_err(|_| wrong())?;
        if within.is_some_and(|within| !within.eq_ignore_ascii_case(schema)) {
            return Err(wrong());
        }
        let column = single(column).unwrap_or_else(|| column.trim().to_string());
        let (schema, name) = (schema.to_string(), name.to_string());
        Ok(Self { schema, name, table: table_name, column, others, element })
    }
}

fn is_quoted(argument: &str) -> bool {
    argument.trim().starts_with('\'')
}

/// A name or a text that may be in apostrophes, as in a call of `vec_topk`.
fn without_apostrophes(name: &str) -> Cow<'_, str> {
    let inner = name.trim().strip_prefix('\'').and_then(|name| name.strip_suffix('\''));
    inner.map_or(Cow::Borrowed(name), |name| Cow::Owned(name.replace("''", "'")))
}

/// The columns that SELECT shows.
const SHOWN: [&str; 2] = ["property", "value"];

/// Refuses a name of an index that one of its columns has. A command is inserted into the column that is named like the index.
pub(super) fn check_name(index: &str) -> Result<()> {
    if SHOWN.iter().any(|column| column.eq_ignore_ascii_case(index)) {
        return Err(Error::expected("an index that is not named like its columns property and value", shown(index)));
    }
    Ok(())
}

/// The columns of an index. The hidden ones take a command, and what users of other libraries write to search or insert here:
/// they are told what to write instead. Without these columns, SQLite would only say that there are none.
///
/// Older versions let an index be named like one of its columns. It takes no commands, but can be dropped or renamed.
pub(super) fn declaration(index: &str, column: &str) -> Declaration {
    let mut hidden = vec![if check_name(index).is_ok() { index } else { "command" }];
    for name in [column, "k"] {
        let is_taken = |other: &&str| other.eq_ignore_ascii_case(name);
        if !SHOWN.iter().chain(&hidden).any(is_taken) {
            hidden.push(name);
        }
    }
    let hidden: String = hidden.iter().map(|name| format!(", {} HIDDEN", quoted(name))).collect();
    let [property, value] = SHOWN;
    Declaration { schema: format!("CREATE TABLE x({property} TEXT, {value}{hidden})"), risk: Risk::Normal }
}

/// Refuses a column that has another index. A second one costs every writer, and answers nothing that the first does not.
pub(super) fn must_be_alone(source: &Source, index: &str) -> Result<()> {
    let others = tracked(source.connection(), source.schema(), source.name())?.into_iter();
    let is_other = |other: &Tracked| {
        other.column.eq_ignore_ascii_case(source.column()) && !other.index.eq_ignore_ascii_case(index)
    };
    for other in others.filter(is_other) {
        if is_table(source, &other.index)? {
            let (table, column) = (plain_or_quoted(source.name()), plain_or_quoted(source.column()));
            let place = source.describe_column();
            return Err(Error::expected(
                "a column without an index",
                format_args!(
                    "{place}, which has {}; vec_index({table}, {column}, another) makes one more",
                    other.index
                ),
            ));
        }
    }
    Ok(())
}

/// Whether there is a table of this name. After a restore, the triggers of an index may be there without it.
fn is_table(source: &Source, name: &str) -> Result<bool> {
    let schema = quoted(source.schema());
    let sql = format!("SELECT 1 FROM {schema}.sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE");
    let mut statement = source.connection().prepare(&sql)?;
    statement.bind(1, ValueRef::Text(name.as_bytes()))?;
    statement.step()
}
