//! What SQLite knows about the user's tables and views: their schemas, kinds, columns and keys.

use super::conditions::Affinity;
use super::identifier::{Path, quoted, single};
use crate::error::{Error, Result};
use crate::resources::reserve;
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::value::ValueRef;
use crate::vector::shown;

/// How rows are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RowKey {
    /// By the rowid, under a name that no column has.
    Rowid(&'static str),
    /// By a column of a view.
    Column(String),
    /// Only by their position in the scan.
    None,
}

/// Where the `id` column comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum IdColumn {
    /// It is the rowid.
    Rowid,
    /// It is the value of this column.
    Column(String),
    /// The primary key has several columns and the user chose none.
    Composite,
}

pub(super) struct TableColumn {
    pub name: String,
    /// The type, as it was declared.
    pub kind: String,
    pub in_key: bool,
    pub is_generated: bool,
}

/// The names of the rowid in SQLite. A column of the same name hides it.
pub(super) const ROWIDS: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TableKind {
    Table,
    View,
    Virtual,
}

/// About how many rows a list of tables has: the sum of their greatest rowids, which cost almost nothing to read. `None` if
/// one is no ordinary table with rowids.
pub fn size(connection: Connection, paths: &[Path]) -> Option<i64> {
    let highest = |path: &Path| {
        let TableEntry { schema, name, .. } =
            find(connection, path).ok().filter(|found| found.kind == TableKind::Table)?;
        let rowid = ROWIDS.into_iter().find(|rowid| connection.means_rowid(&schema, &name, rowid))?;
        let sql = format!("SELECT max(t.{rowid}) FROM {}.{} AS t", quoted(&schema), quoted(&name));
        let mut statement = connection.prepare(&sql).ok()?;
        statement.step().ok().filter(|&found| found)?;
        Some(statement.integer(0).max(0))
    };
    paths.iter().try_fold(0i64, |sum, path| Some(sum.saturating_add(highest(path)?)))
}

/// The schema in which a table or view of this name is found, if there is one.
pub fn schema_of(connection: Connection, path: &Path) -> Result<Option<String>> {
    Ok(look_for(connection, path)?.map(|found| found.schema))
}

/// The schemas that decide which table a name stands for: the one it is found in, and those that SQLite looks into before.
pub fn schemas_up_to(connection: Connection, path: &Path) -> Result<Vec<String>> {
    let found = find(connection, path)?.schema;
    let mut names = schemas(connection, path.schema.as_deref())?;
    if path.schema.is_none() && !names.iter().any(|name| name == "temp") {
        names.insert(0, "temp".into());
    }
    let last = names.iter().position(|name| *name == found).unwrap_or(names.len());
    names.truncate(last + 1);
    Ok(names)
}

/// What a path names.
pub(super) struct TableEntry {
    pub schema: String,
    /// As it was written when the table was created. The user may write it with other capitals.
    pub name: String,
    pub kind: TableKind,
}

/// Finds a table or view.
pub(super) fn find(connection: Connection, path: &Path) -> Result<TableEntry> {
    look_for(connection, path)?.ok_or_else(|| {
        let place = path.schema.as_ref().map(|schema| format!(" in {schema}")).unwrap_or_default();
        Error::expected(format_args!("a table or view{place}"), format_args!("{} (no such table)", shown(&path.name)))
    })
}

/// Looks for a table or view in the order of SQLite: TEMP, main, then the attached databases in their order.
fn look_for(connection: Connection, path: &Path) -> Result<Option<TableEntry>> {
    for schema in schemas(connection, path.schema.as_deref())? {
        let sql = format!(
            "SELECT type = 'view', sql LIKE 'CREATE VIRTUAL%', name FROM {}.sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type IN ('table', 'view')",
            quoted(&schema)
        );
        let mut statement = connection.prepare(&sql)?;
        statement.bind(1, ValueRef::Text(path.name.as_bytes()))?;
        if statement.step()? {
            let kind = match (statement.integer(0), statement.integer(1)) {
                (0, 0) => TableKind::Table,
                (0, _) => TableKind::Virtual,
                _ => TableKind::View,
            };
            let name = statement.text(2);
            drop(statement);
            return Ok(Some(TableEntry { schema, name, kind }));
        }
    }
    Ok(None)
}

fn schemas(connection: Connection, only: Option<&str>) -> Result<Vec<String>> {
    let mut statement = connection.prepare("PRAGMA database_list")?;
    let mut names = Vec::new();
    while statement.step()? {
        names.push(statement.text(1));
    }
    // The list does not name TEMP as long as TEMP is empty.
    if let Some(wanted) = only {
        let temp = Some("temp".to_string()).filter(|temp| wanted.eq_ignore_ascii_case(temp));
        let known = names.into_iter().chain(temp).find(|name| name.eq_ignore_ascii_case(wanted));
        return known.map(|name| vec![name]).ok_or_else(|| Error::expected("an attached database", shown(wanted)));
    }
    names.sort_by_key(|name| name != "temp");
    Ok(names)
}

pub(super) fn columns(connection: Connection, schema: &str, name: &str) -> Result<Vec<TableColumn>> {
    let mut statement = connection.prepare(&format!("PRAGMA {}.table_xinfo({})", quoted(schema), quoted(name)))?;
    let mut columns = Vec::new();
    while statement.step()? {
        columns.push(TableColumn {
            name: statement.text(1),
            kind: statement.text(2),
            in_key: statement.integer(5) != 0,
            is_generated: statement.integer(6) >= 2,
        });
    }
    Ok(columns)
}

/// The column of this name. The name may be plain, or quoted as in SQL.
pub(super) fn existing(columns: &[TableColumn], wanted: &str, title: &str) -> Result<String> {
    reserve::check_room(wanted.len())?;
    let find = |name: &str| columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
    let found = find(wanted).or_else(|| find(&single(wanted)?));
    found.map(|column| column.name.clone()).ok_or_else(|| {
        Error::expected(format_args!("a column of {title}"), format_args!("{} (no such column)", shown(wanted)))
    })
}

pub(super) fn has_column(columns: &[TableColumn], name: &str) -> bool {
    columns.iter().any(|column| column.name.eq_ignore_ascii_case(name))
}

/// How the rows of a table are told apart. An authorizer that keeps the rowid secret is an error here: without it, the table
/// would be taken for one without rowids, and with NULL in its place all rows would be row 0.
pub(super) fn table_rows(connection: Connection, schema: &str, name: &str, columns: &[TableColumn]) -> Result<RowKey> {
    let Some(rowid) = ROWIDS.into_iter().find(|rowid| !has_column(columns, rowid)) else { return Ok(RowKey::None) };
    let sql = format!("SELECT t.{rowid} FROM {}.{} AS t", quoted(schema), quoted(name));
    match connection.prepare(&sql) {
        Ok(statement) if statement.is_declared(0) => Ok(RowKey::Rowid(rowid)),
        Ok(_) => Err(concealed(name, rowid)),
        Err(Error::Sqlite { code: 1, message }) if message.starts_with("no such column") => Ok(RowKey::None),
        Err(error) => Err(error),
    }
}

fn concealed(name: &str, rowid: &str) -> Error {
    Error::expected(
        format_args!("the {rowid} of {}", plain_or_quoted(name)),
        "NULL, which the authorizer of this connection puts in its place; use a connection without it",
    )
}

pub(super) fn table_id(
    connection: Connection,
    schema: &str,
    name: &str,
    columns: &[TableColumn],
    rows: &RowKey,
) -> Result<IdColumn> {
    let key: Vec<&TableColumn> = columns.iter().filter(|column| column.in_key).collect();
    Ok(match key.as_slice() {
        [] => IdColumn::Rowid,
        [only]
            if only.kind.eq_ignore_ascii_case("INTEGER")
                && *rows != RowKey::None
                && !has_key_index(connection, schema, name)? =>
        {
            IdColumn::Rowid
        }
        [only] => IdColumn::Column(only.name.clone()),
        _ => IdColumn::Composite,
    })
}

/// Whether the primary key has an index of its own. An INTEGER PRIMARY KEY is the rowid, except where SQLite keeps an index
/// for it, as for `INTEGER PRIMARY KEY DESC`.
pub(super) fn has_key_index(connection: Connection, schema: &str, name: &str) -> Result<bool> {
    let mut statement = connection.prepare(&format!("PRAGMA {}.index_list({})", quoted(schema), quoted(name)))?;
    while statement.step()? {
        if statement.text(3) == "pk" {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How the rows of a view are told apart. If the user names a key, a column `rowid` that is declared as text is none.
pub(super) fn view_rows(columns: &[TableColumn], key: Option<&str>) -> RowKey {
    let may_serve = |column: &&TableColumn| {
        key.is_none() || column.kind.is_empty() || Affinity::of(&column.kind) == Affinity::Numeric
    };
    let rowid = columns.iter().find(|column| column.name.eq_ignore_ascii_case("rowid")).filter(may_serve);
    rowid.map_or(RowKey::None, |column| RowKey::Column(column.name.clone()))
}

pub(super) fn view_id(columns: &[TableColumn]) -> IdColumn {
    let id = columns.iter().find(|column| column.name.eq_ignore_ascii_case("id"));
    id.map_or(IdColumn::Rowid, |column| IdColumn::Column(column.name.clone()))
}

/// A name as SQL reads it, in quotes only where it needs them.
pub fn plain_or_quoted(name: &str) -> String {
    let plain =
        name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit());
    if plain && !name.is_empty() { name.to_string() } else { quoted(name) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::identifier::paths;
    use super::*;
    use crate::sqlite::host::memory::MemoryDatabase;

    /// Issue 12: the text in that column was read as a number, and all of them to find the greatest.
    #[test]
    fn a_column_called_rowid_does_not_say_how_large_a_table_is() {
        crate::register_auto_extension().unwrap();
        drop(rusqlite::Connection::open_in_memory().unwrap());
        let database = MemoryDatabase::open().unwrap();
        let connection = database.connection().unwrap();
        for (columns, row, expected) in [
            ("x", "'900'", Some(2)),
            ("rowid TEXT", "'900'", Some(2)),
            ("_ROWID_ TEXT, Rowid TEXT", "'900', '901'", Some(2)),
            ("rowid TEXT, _rowid_ TEXT, oid TEXT", "'900', '901', '902'", None),
        ] {
            connection.execute("DROP TABLE IF EXISTS t", &[]).unwrap();
            connection.execute(&format!("CREATE TABLE t({columns})"), &[]).unwrap();
            connection.execute(&format!("INSERT INTO t VALUES ({row}), ({row})"), &[]).unwrap();
            assert_eq!(size(connection, &paths("t").unwrap()), expected, "{columns}");
        }
    }
}
