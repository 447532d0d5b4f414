//! SQL identifiers in the text of an argument: `nodes`, `aux.nodes`, `"odd name"."a,b"`, and lists of them.

use crate::error::{Error, Result};
use crate::resources::reserve;
use crate::vector::shown;

/// The name of a table or view, as the user wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The database, if the user named it.
    pub schema: Option<String>,
    /// The name of the table or view, without quotes.
    pub name: String,
}

/// How often a name is copied at the same time, from the argument to the statements and messages that have it.
const COPIES: usize = 16;

/// Reads one path or a comma-separated list of paths.
pub fn paths(text: &str) -> Result<Vec<Path>> {
    let wrong = || {
        Error::expected(
            "a table name as in SQL (odd names in double quotes), or several separated by commas",
            shown(text),
        )
    };
    reserve::check_room(text.len().saturating_mul(COPIES))?;
    let mut rest = text;
    let mut paths = Vec::new();
    loop {
        let first = name(&mut rest).ok_or_else(wrong)?;
        let path = match symbol(&mut rest, '.') {
            true => Path { schema: Some(first), name: name(&mut rest).ok_or_else(wrong)? },
            false => Path { schema: None, name: first },
        };
        reserve::push(&mut paths, path)?;
        if !symbol(&mut rest, ',') {
            return if rest.trim().is_empty() { Ok(paths) } else { Err(wrong()) };
        }
    }
}

/// Reads one path.
pub fn one(text: &str) -> Result<Path> {
    let [path] = paths(text)?.try_into().map_err(|_| Error::expected("one table or view", shown(text)))?;
    Ok(path)
}

/// A column with its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnPath {
    /// The table or view.
    pub table: Path,
    /// The name of the column, without quotes.
    pub column: String,
}

/// Reads `table.column` or `database.table.column`.
pub fn column_path(text: &str) -> Option<ColumnPath> {
    let mut rest = text;
    let mut names = vec![name(&mut rest)?];
    while names.len() < 3 && symbol(&mut rest, '.') {
        names.push(name(&mut rest)?);
    }
    let (column, name) = (names.pop()?, names.pop()?);
    rest.trim().is_empty().then(|| ColumnPath { table: Path { schema: names.pop(), name }, column })
}

/// Reads a text that is a single identifier.
pub fn single(text: &str) -> Option<String> {
    let mut rest = text;
    name(&mut rest).filter(|_| rest.trim().is_empty())
}

/// Writes any name so that SQL reads it as an identifier.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn symbol(rest: &mut &str, wanted: char) -> bool {
    match rest.trim_start().strip_prefix(wanted) {
        Some(after) => {
            *rest = after;
            true
        }
        None => false,
    }
}

fn name(rest: &mut &str) -> Option<String> {
    let text = rest.trim_start();
    let (name, after) = match text.chars().next()? {
        quote @ ('"' | '`') => quoted_name(&text[1..], quote)?,
        '[' => text[1..].split_once(']').map(|(name, after)| (name.to_string(), after))?,
        _ => plain_name(text)?,
    };
    *rest = after;
    // A statement ends at a NUL, so no name in a statement can have one.
    (!name.is_empty() && !name.contains('\0')).then_some(name)
}

fn plain_name(text: &str) -> Option<(String, &str)> {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()))
        .unwrap_or(text.len());
    let name = &text[..end];
    let starts_well = !name.starts_with(|c: char| c.is_ascii_digit() || c == '$');
    starts_well.then(|| (name.to_string(), &text[end..]))
}

/// A quoted name, from behind its opening quote, and what follows it. A doubled quote stands for one.
fn quoted_name(text: &str, quote: char) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once(quote)?;
        name.push_str(part);
        match after.strip_prefix(quote) {
            Some(more) => {
                name.push(quote);
                rest = more;
            }
            None => return Some((name, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(schema: Option<&str>, name: &str) -> Path {
        Path { schema: schema.map(String::from), name: name.into() }
    }

    #[test]
    fn paths_are_read_as_sql_reads_them() {
        assert_eq!(paths("nodes").unwrap(), [path(None, "nodes")]);
        assert_eq!(paths(" aux . nodes ").unwrap(), [path(Some("aux"), "nodes")]);
        assert_eq!(paths("\"odd name\".\"a,b\"").unwrap(), [path(Some("odd name"), "a,b")]);
        assert_eq!(
            paths("[a.b], `c``d`,\"e\"\"f\"").unwrap(),
            [path(None, "a.b"), path(None, "c`d"), path(None, "e\"f")]
        );
        assert_eq!(paths("größe.\"50%\"").unwrap(), [path(Some("größe"), "50%")]);
    }

    #[test]
    fn what_is_not_a_path_is_refused() {
        for text in
            ["", " ", "a,", ",a", "a b", "a.b.c", "50%s", "1a", "\"open", "\"\"", "[x", "a;b", "\"a\0b\"", "a.", "a--"]
        {
            assert!(paths(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_last_name_is_that_of_the_column() {
        let read = |text| column_path(text).map(|place| (place.table, place.column));
        assert_eq!(read("asked.v"), Some((path(None, "asked"), "v".into())));
        assert_eq!(read(" aux.\"a.b\" . [c d]"), Some((path(Some("aux"), "a.b"), "c d".into())));
        for text in ["", "asked", "a.b.c.d", "a.b,c.d", "a.", ".b"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn quoting_is_undone_by_reading() {
        for name in ["a", "a\"b", "%s", "[x]", "'", "\"\"", "a,b.c"] {
            assert_eq!(single(&quoted(name)).unwrap(), name);
        }
    }
}
