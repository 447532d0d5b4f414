//! A table or view of the user: its name, how its rows are told apart, and the statements that read them.

mod filter;

use super::catalogue::{
    IdColumn, ROWIDS, RowKey, TableColumn, TableEntry, TableKind, columns, existing, find, has_column, has_key_index,
    plain_or_quoted, table_id, table_rows, view_id, view_rows,
};
use super::conditions::{Affinity, Conditions, ListSubject};
use super::identifier::{Path, quoted};
use super::reentry::Running;
use super::scan::Scan;
use crate::error::{Error, Result};
use crate::kernels::F32Le;
use crate::planning::cost;
use crate::planning::rowset::RowSet;
use crate::resources::reserve::{self, Reserve};
use crate::resources::stats::{self, Entry};
use crate::scan::VectorSource;
use crate::sqlite::host::args::stored;
use crate::sqlite::host::connection::{Connection, Reusable};
use crate::sqlite::host::ffi;
use crate::sqlite::host::value::{Value, ValueRef};
use crate::vector::{ElementType, Vector};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

/// A table or view that can be searched, with the statements that are kept for it.
pub struct Source {
    connection: Connection,
    schema: String,
    name: String,
    column: Rc<str>,
    /// The value of the column `source`: the name, with the schema if the user gave one. It is quoted if SQL needs that.
    pub title: Rc<str>,
    /// The columns of the table. An index asks about them.
    columns: Vec<TableColumn>,
    kind: TableKind,
    /// The counters of this column.
    pub stats: Arc<Entry>,
    rows: Rc<RowKey>,
    id: IdColumn,
    id_affinity: Affinity,
    element: ElementType,
    /// The last statement of each kind. A join needs the same one for row after row.
    scan: Reusable,
    lookup: Reusable,
    keys: Reusable,
    /// The last statement for keys that no index can answer. So it is not asked about again.
    unsearched: String,
}

/// What makes two sources the same: the connection, the schema and the name.
pub type Identity = (Connection, String, String);

impl Source {
    /// Finds the table and the column. `key` is `options.key`.
    pub fn open(connection: Connection, path: &Path, column: &str, key: Option<&str>) -> Result<Self> {
        let source = Self::open_any(connection, path, column, key)?;
        source.check_identity()?;
        Ok(source)
    }

    /// The same for callers that need neither rowid nor id.
    pub fn open_any(connection: Connection, path: &Path, column: &str, key: Option<&str>) -> Result<Self> {
        let TableEntry { schema, name, kind } = find(connection, path)?;
        let is_view = kind == TableKind::View;
        let title = match &path.schema {
            Some(schema) => format!("{}.{}", plain_or_quoted(schema), plain_or_quoted(&path.name)),
            None => plain_or_quoted(&path.name),
        };
        let columns = columns(connection, &schema, &name)?;
        let column = existing(&columns, column, &title)?;
        let key = key.map(|key| existing(&columns, key, &title)).transpose()?;
        let rows = match is_view {
            true => view_rows(&columns, key.as_deref()),
            false => table_rows(connection, &schema, &name, &columns)?,
        };
        let id = match key {
            Some(key) => IdColumn::Column(key),
            None if is_view => view_id(&columns),
            None => table_id(connection, &schema, &name, &columns, &rows)?,
        };
        let stats = stats::entry(&format!("{schema}.{name}"), &column);
        let id_affinity = match &id {
            IdColumn::Column(name) => {
                columns.iter().find(|column| column.name == *name).map(|column| Affinity::of(&column.kind))
            }
            IdColumn::Rowid | IdColumn::Composite => Some(Affinity::Numeric),
        };
        let id_affinity = id_affinity.unwrap_or(Affinity::Other);
        let (scan, lookup, keys, unsearched) = Default::default();
        Ok(Self {
            connection,
            schema,
            name,
            column: column.into(),
            title: title.into(),
            columns,
            kind,
            stats,
            rows: Rc::new(rows),
            id,
            id_affinity,
            element: ElementType::default(),
            scan,
            lookup,
            keys,
            unsearched,
        })
    }

    /// Says what the elements of the vectors are. Without this they are f32.
    pub fn set_elements(&mut self, element: ElementType) {
        self.element = element;
    }

    /// What the elements of the vectors are.
    pub fn elements(&self) -> ElementType {
        self.element
    }

    fn check_identity(&self) -> Result<()> {
        if *self.rows != RowKey::None || matches!(self.id, IdColumn::Column(_)) {
            return Ok(());
        }
        Err(Error::Mistake(format!(
            "expected options.key to name a column that identifies the rows of {} {}, which has no {}",
            if self.kind == TableKind::View { "view" } else { "table" },
            self.title,
            if self.kind == TableKind::View { "column rowid or id" } else { "single-column primary key and no rowid" },
        )))
    }

    /// Whether the rows have an id.
    pub fn has_id(&self) -> bool {
        match self.id {
            IdColumn::Column(_) => true,
            IdColumn::Rowid => self.has_rowid(),
            IdColumn::Composite => false,
        }
    }

    /// Takes the present counters of the column, if those from before were deleted.
    pub fn count_anew(&mut self) {
        if self.stats.is_forgotten() {
            self.stats = stats::entry(&format!("{}.{}", self.schema, self.name), &self.column);
        }
    }

    /// Fails if the table has a composite key and the user did not say which column is the id.
    pub fn check_id(&self) -> Result<()> {
        if self.id != IdColumn::Composite {
            return Ok(());
        }
        Err(Error::Mistake(format!(
            "expected options.key to name the column that is to be the id of table {}, whose primary key has several",
            self.title
        )))
    }

    /// The connection that reads it.
    pub fn connection(&self) -> Connection {
        self.connection
    }

    /// The database it is in.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The name of the table or view in that database.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The column with the vectors.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// The name of the rowid of an ordinary table; `None` for other sources.
    pub fn rowid_name(&self) -> Option<&'static str> {
        match *self.rows {
            RowKey::Rowid(name) if self.kind == TableKind::Table => Some(name),
            _ => None,
        }
    }

    /// Whether it is an ordinary table: neither a view nor a virtual table.
    pub fn is_table(&self) -> bool {
        self.kind == TableKind::Table
    }

    /// What kind of source it is, for messages that refuse it.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            TableKind::View => "a view",
            TableKind::Virtual => "a virtual table",
            TableKind::Table if *self.rows != RowKey::None => "a table with rowids",
            TableKind::Table if ROWIDS.iter().all(|name| has_column(&self.columns, name)) => {
                "a table whose columns hide the rowid"
            }
            TableKind::Table => "a WITHOUT ROWID table",
        }
    }

    /// Whether the rowid is a column of the table (INTEGER PRIMARY KEY). Then SQLite never gives the rows new rowids.
    pub fn has_stable_rowids(&self) -> Result<bool> {
        let mut key = self.columns.iter().filter(|column| column.in_key);
        let (first, second) = (key.next(), key.next());
        let is_integer = second.is_none() && first.is_some_and(|only| only.kind.eq_ignore_ascii_case("INTEGER"));
        Ok(self.kind == TableKind::Table && is_integer && !has_key_index(self.connection, &self.schema, &self.name)?)
    }

    /// Whether the column is computed. No trigger fires when its value changes.
    pub fn is_generated(&self) -> bool {
        self.columns.iter().any(|column| *column.name == *self.column && column.is_generated)
    }

    /// Whether the column has a declared type.
    pub fn is_typed(&self) -> bool {
        self.columns.iter().any(|column| *column.name == *self.column && !column.kind.is_empty())
    }

    /// Equal for two sources if they are the same.
    pub fn identity(&self) -> Identity {
        (self.connection, self.schema.to_ascii_lowercase(), self.name.to_ascii_lowercase())
    }

    /// Whether the rows have a rowid.
    pub fn has_rowid(&self) -> bool {
        *self.rows != RowKey::None
    }

    /// The `id` of a row, by the rowid and the note that a scan gave.
    pub fn id(&mut self, rowid: i64, note: &Option<Value>) -> Result<Value> {
        if let Some(id) = note {
            return id.copied();
        }
        if self.id == IdColumn::Rowid {
            return Ok(Value::Integer(rowid));
        }
        self.check_id()?;
        self.looked_up(&self.id_expression(), rowid)
    }

    /// The rowids of the rows that meet the conditions and have a value in the column, in the order of the source.
    pub fn rowids(&mut self, conditions: &Conditions) -> Result<Vec<i64>> {
        let _running = Running::enter([&*self])?;
        let mut scan = self.scan(conditions)?;
        let mut rowids = Vec::new();
        while scan.advance()? {
            if scan.has_value() {
                reserve::push(&mut rowids, scan.row()?)?;
            }
        }
        Ok(rowids)
    }

    /// The value of the column in a row. NULL if the row is gone.
    pub fn value(&mut self, rowid: i64) -> Result<Value> {
        self.looked_up(&format!("t.{}", quoted(&self.column)), rowid)
    }

    /// Whether the row exists.
    pub fn has_row(&mut self, rowid: i64) -> Result<bool> {
        Ok(self.looked_up("1", rowid)? != Value::Null)
    }

    /// The vectors of at most `count` rows of a table. Their rowids are spread evenly from the first to the last.
    /// None of a view.
    pub fn sample(&self, count: i64) -> Result<Vec<Vec<F32Le>>> {
        let mut vectors = Vec::new();
        if self.rowid_name().is_none() {
            return Ok(vectors);
        }
        let (row, from, column) = (self.row_expression(), self.from(), quoted(&self.column));
        let ends = format!("SELECT (SELECT min({row}) FROM {from}), (SELECT max({row}) FROM {from})");
        let mut ends = self.connection.prepare(&ends)?;
        ends.step()?;
        let (first, last) = (i128::from(ends.integer(0)), i128::from(ends.integer(1)));
        let next = format!("SELECT {row}, t.{column} FROM {from} WHERE {row} >= ?1 ORDER BY {row} LIMIT 1");
        let mut next = self.connection.prepare(&next)?;
        let mut seen = None;
        for at in 0..i128::from(count) {
            let place = first + (last - first) * at / i128::from(count.max(2) - 1);
            next.bind(1, ValueRef::Integer(i64::try_from(place).unwrap_or(i64::MAX)))?;
            if next.step()? && seen.replace(next.integer(0)) != Some(next.integer(0)) {
                // A value that is no vector is left out: the search itself reports it.
                if let Ok(Some(vector)) = stored(next.column(1), self.element) {
                    vectors.push(vector.into_owned());
                }
            }
            next.reset();
        }
        Ok(vectors)
    }

    /// The statement that reads the value and the id of a row.
    pub fn keyed_sql(&self) -> String {
        let (row, id, column) = (self.row_expression(), self.id_expression(), quoted(&self.column));
        format!("SELECT t.{column}, {id} FROM {} WHERE {row} = ?1", self.from())
    }

    /// The vectors of these rows, in the same order. `None` for a row that is gone.
    ///
    /// If rows cannot be looked up by rowid, or only by reading a view from its beginning each time, all rows are read once.
    pub fn vectors(&mut self, rows: &[i64]) -> Result<Vec<Option<Vec<F32Le>>>> {
        let mut vectors = Vec::new();
        vectors.reserve_room(rows.len())?;
        if matches!(*self.rows, RowKey::Rowid(_)) {
            for row in rows {
                vectors.push(owned(stored(self.value(*row)?.borrow(), self.element)?)?);
            }
            return Ok(vectors);
        }
        let mut wanted: HashSet<i64> = HashSet::new();
        wanted.reserve_room(rows.len())?;
        wanted.extend(rows);
        let mut found = HashMap::new();
        let _running = Running::enter([&*self])?;
        let everything = Conditions::default();
        let mut scan = self.scan(&everything)?;
        while scan.advance()? {
            let row = scan.row()?;
            if wanted.contains(&row)
                && !found.contains_key(&row)
                && let Some(vector) = owned(scan.vector()?)?
            {
                found.reserve_room(1)?;
                found.insert(row, vector);
            }
        }
        for row in rows {
            vectors.push(found.get(row).map(|vector| reserve::copy(vector)).transpose()?);
        }
        Ok(vectors)
    }

    /// The name with that of the database, as SQL writes it.
    pub fn full_name(&self) -> String {
        format!("{}.{}", plain_or_quoted(&self.schema), plain_or_quoted(&self.name))
    }

    /// How messages name a row.
    pub fn describe(&self, rowid: i64) -> String {
        format!("{}, rowid {rowid}", self.describe_column())
    }

    /// How messages name the column.
    pub fn describe_column(&self) -> String {
        format!("table {}, column {}", self.title, plain_or_quoted(&self.column))
    }

    /// Adds the name of the table to an error of SQLite, and to one that says that a file is damaged, the name of the file: a
    /// process may have several open. Our own errors name the row already.
    pub fn named(&self, error: Error) -> Error {
        let Error::Sqlite { code, message } = error else { return error };
        let is_damaged = matches!(code as u32 & 0xff, ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB);
        let file = self.connection.file_name(&self.schema).filter(|_| is_damaged);
        let advice = file.map_or(String::new(), |file| format!(" (the file {file}; restore a backup)"));
        Error::Sqlite { code, message: format!("table {}: {message}{advice}", self.title) }
    }

    fn looked_up(&mut self, expression: &str, rowid: i64) -> Result<Value> {
        let _running = Running::enter([&*self])?;
        let found = self.look_up(expression, rowid);
        found.map_err(|error| self.named(error))
    }

    fn look_up(&mut self, expression: &str, rowid: i64) -> Result<Value> {
        let sql = || format!("SELECT {expression} FROM {} WHERE {} = ?1", self.from(), self.row_expression());
        let mut run = self.lookup.run(self.connection, expression, sql)?;
        run.bind(1, ValueRef::Integer(rowid))?;
        if run.step()? { run.column(0).copied() } else { Ok(Value::Null) }
    }

    /// Starts reading the rows that meet the conditions. The caller holds a [`Running`] while it reads.
    pub fn scan(&mut self, conditions: &Conditions) -> Result<Scan> {
        let mut conditions = self.safe(conditions);
        let members = self.members(&conditions)?;
        if members.is_some() {
            conditions.list = None;
        }
        self.read(conditions, members, &format!("t.{}", quoted(&self.column)))
    }

    /// For a list so long that reading the whole table is faster: the rows to give. If the list is of keys, these are all rows,
    /// because SQLite checks the condition itself in any case.
    fn members(&self, conditions: &Conditions) -> Result<Option<RowSet>> {
        const FEW: usize = 1000;
        let listed = conditions.list.as_ref().map_or(0, |(_, values)| values.len());
        if listed < FEW || conditions.names_one() || self.rowid_name().is_none() {
            return Ok(None);
        }
        let sql = format!("SELECT max({}) FROM {}", self.row_expression(), self.from());
        let mut statement = self.connection.prepare(&sql)?;
        statement.step()?;
        let rows = u64::try_from(statement.integer(0)).unwrap_or(u64::MAX);
        let is_worthwhile = cost::prefers_scan(rows, listed as u64);
        if is_worthwhile { Ok(Some(self.row_set(conditions)?.unwrap_or_else(RowSet::all))) } else { Ok(None) }
    }

    fn read(&mut self, mut conditions: Conditions, members: Option<RowSet>, value: &str) -> Result<Scan> {
        let mut sql = self.scan_sql(&conditions, value);
        // One statement is kept, so that a join that searches for each outer row compiles it once.
        let statement = match self.scan.waiting(&sql) {
            Some(run) => run,
            None => {
                if matches!(conditions.list, Some((ListSubject::Id, _))) && !self.is_searched(&sql)? {
                    // Without an index, each value would need a scan. SQLite checks the condition itself in any case.
                    conditions.list = None;
                    sql = self.scan_sql(&conditions, value);
                }
                self.scan.run(self.connection, &sql, || sql.clone())?
            }
        };
        let names_one = conditions.names_one();
        let mut scan = Scan {
            statement,
            title: self.title.clone(),
            column: self.column.clone(),
            rows: self.rows.clone(),
            element: self.element,
            widened: RefCell::default(),
            keeps_id: self.keeps_id(),
            listed: if matches!(conditions.list, Some((ListSubject::Id, _))) { 2 } else { 0 },
            position: 0,
            names_one,
            pending: None,
            members,
            seen: HashSet::new(),
        };
        scan.bind(conditions)?;
        Ok(scan)
    }

    /// Whether a scan keeps the id of each row, because rows cannot be looked up by rowid later.
    fn keeps_id(&self) -> bool {
        !matches!(*self.rows, RowKey::Rowid(_)) && matches!(self.id, IdColumn::Column(_))
    }

    fn from(&self) -> String {
        format!("{}.{} AS t", quoted(&self.schema), quoted(&self.name))
    }

    fn row_expression(&self) -> String {
        match &*self.rows {
            RowKey::Rowid(name) => format!("t.{name}"),
            RowKey::Column(name) => format!("t.{}", quoted(name)),
            RowKey::None => "NULL".into(),
        }
    }

    fn id_expression(&self) -> String {
        match &self.id {
            IdColumn::Column(name) => format!("t.{}", quoted(name)),
            IdColumn::Rowid | IdColumn::Composite => self.row_expression(),
        }
    }
}

/// A copy of a vector, unless it is ours already.
fn owned(vector: Option<Vector<'_>>) -> Result<Option<Vec<F32Le>>> {
    match vector {
        Some(Cow::Borrowed(vector)) => reserve::copy(vector).map(Some),
        Some(Cow::Owned(vector)) => Ok(Some(vector)),
        None => Ok(None),
    }
}
