//! A table or view of the user's, read row by row: what it is called, how its rows are known, and the statements over it.

mod filter;

use super::catalogue::{
    IdColumn, ROWIDS, RowKey, TableColumn, TableEntry, TableKind, columns, existing, find, has_column, has_key_index,
    plain_or_quoted, table_id, table_rows, view_id, view_rows,
};
use super::conditions::{Affinity, Conditions, ListSubject};
use super::identifier::{Path, quoted};
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
use crate::sqlite::host::value::{Value, ValueRef};
use crate::vector::{ElementType, Vector};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

/// A searchable table or view, and the statements kept for it.
pub struct Source {
    connection: Connection,
    schema: String,
    name: String,
    column: Rc<str>,
    /// What the `source` column says: the name, with the schema if the user gave one, quoted where SQL would want it.
    pub title: Rc<str>,
    /// The columns of the table, for what an index must know.
    columns: Vec<TableColumn>,
    kind: TableKind,
    /// What is counted of this column.
    pub stats: Arc<Entry>,
    rows: Rc<RowKey>,
    id: IdColumn,
    id_affinity: Affinity,
    element: ElementType,
    /// The last statement of each kind: a join asks for the same one row after row.
    scan: Reusable,
    lookup: Reusable,
    keys: Reusable,
    /// What the last statement for keys would have been that has no index.
    unsearched: String,
}

/// The connection, schema and name of a source.
pub type Identity = (Connection, String, String);

impl Source {
    /// Finds the table and the column. `key` is `options.key`.
    pub fn open(connection: Connection, path: &Path, column: &str, key: Option<&str>) -> Result<Self> {
        let source = Self::open_any(connection, path, column, key)?;
        source.check_identity()?;
        Ok(source)
    }

    /// The same for readers who can do without knowing the rows.
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
        let rows = if is_view { view_rows(&columns) } else { table_rows(connection, &schema, &name, &columns) };
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

    /// The same source, whose vectors have elements of this type.
    pub fn with_elements(self, element: ElementType) -> Self {
        Self { element, ..self }
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

    /// Whether rows have an id to show.
    pub fn has_id(&self) -> bool {
        match self.id {
            IdColumn::Column(_) => true,
            IdColumn::Rowid => self.has_rowid(),
            IdColumn::Composite => false,
        }
    }

    /// Counts in the entry that the column has now, where the one from before was forgotten.
    pub fn count_anew(&mut self) {
        if self.stats.is_forgotten() {
            self.stats = stats::entry(&format!("{}.{}", self.schema, self.name), &self.column);
        }
    }

    /// Refuses to give the id of a table with a composite key, unless the user said which column to take.
    pub fn check_id(&self) -> Result<()> {
        if self.id != IdColumn::Composite {
            return Ok(());
        }
        Err(Error::Mistake(format!(
            "expected options.key to name the column that is to be the id of table {}, whose primary key has several",
            self.title
        )))
    }

    /// The connection it is read on.
    pub fn connection(&self) -> Connection {
        self.connection
    }

    /// The database it is in.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Its name in that database.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The column with the vectors.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// What the rowid of an ordinary table is called; nothing for other sources.
    pub fn rowid_name(&self) -> Option<&'static str> {
        match *self.rows {
            RowKey::Rowid(name) if self.kind == TableKind::Table => Some(name),
            _ => None,
        }
    }

    /// Whether it is a table of SQLite's own.
    pub fn is_table(&self) -> bool {
        self.kind == TableKind::Table
    }

    /// What it is, for whoever wanted an ordinary table with rowids.
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

    /// Whether the rowid is a column of the table, so that nothing renumbers it.
    pub fn has_stable_rowids(&self) -> Result<bool> {
        let mut key = self.columns.iter().filter(|column| column.in_key);
        let (first, second) = (key.next(), key.next());
        let is_integer = second.is_none() && first.is_some_and(|only| only.kind.eq_ignore_ascii_case("INTEGER"));
        Ok(self.kind == TableKind::Table && is_integer && !has_key_index(self.connection, &self.schema, &self.name)?)
    }

    /// Whether writing one row with REPLACE may delete others: where something beside the rowid is unique.
    pub fn has_unique_index(&self) -> Result<bool> {
        let sql = format!("PRAGMA {}.index_list({})", quoted(&self.schema), quoted(&self.name));
        let mut statement = self.connection.prepare(&sql)?;
        while statement.step()? {
            if statement.integer(2) != 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the column is computed, so that no trigger sees it change.
    pub fn is_generated(&self) -> bool {
        self.columns.iter().any(|column| *column.name == *self.column && column.is_generated)
    }

    /// Whether the column has a declared type.
    pub fn is_typed(&self) -> bool {
        self.columns.iter().any(|column| *column.name == *self.column && !column.kind.is_empty())
    }

    /// To recognise the same source again.
    pub fn identity(&self) -> Identity {
        (self.connection, self.schema.to_ascii_lowercase(), self.name.to_ascii_lowercase())
    }

    /// Whether rows have a rowid to show.
    pub fn has_rowid(&self) -> bool {
        *self.rows != RowKey::None
    }

    /// The `id` of a row that a scan found with this note.
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

    /// The rowids of the rows that meet the conditions and have a value in the column, as the source gives them.
    pub fn rowids(&mut self, conditions: &Conditions) -> Result<Vec<i64>> {
        let mut scan = self.scan(conditions)?;
        let mut rowids = Vec::new();
        while scan.advance()? {
            if scan.statement.column(1) != ValueRef::Null {
                reserve::push(&mut rowids, scan.row()?)?;
            }
        }
        Ok(rowids)
    }

    /// The column's value in a row; NULL when the row is gone.
    pub fn value(&mut self, rowid: i64) -> Result<Value> {
        self.looked_up(&format!("t.{}", quoted(&self.column)), rowid)
    }

    /// Whether there is a row.
    pub fn has_row(&mut self, rowid: i64) -> Result<bool> {
        Ok(self.looked_up("1", rowid)? != Value::Null)
    }

    /// The vectors of up to so many rows of a table, whose rowids lie evenly between the first and the last; none of a view.
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
                // What is no vector is for the search to complain about.
                if let Ok(Some(vector)) = stored(next.column(1), self.element) {
                    vectors.push(vector.into_owned());
                }
            }
            next.reset();
        }
        Ok(vectors)
    }

    /// A statement for the value and the id of a row.
    pub fn keyed_sql(&self) -> String {
        let (row, id, column) = (self.row_expression(), self.id_expression(), quoted(&self.column));
        format!("SELECT t.{column}, {id} FROM {} WHERE {row} = ?1", self.from())
    }

    /// The vectors of these rows, in their order; `None` for a row that is gone.
    ///
    /// Where rows cannot be looked up one by one, or only by reading a view from its beginning, all are read once.
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

    /// Its name with that of its database, as SQL writes it.
    pub fn full_name(&self) -> String {
        format!("{}.{}", plain_or_quoted(&self.schema), plain_or_quoted(&self.name))
    }

    /// The name of a row for messages.
    pub fn describe(&self, rowid: i64) -> String {
        format!("{}, rowid {rowid}", self.describe_column())
    }

    /// The name of the column for messages.
    pub fn describe_column(&self) -> String {
        format!("table {}, column {}", self.title, plain_or_quoted(&self.column))
    }

    fn looked_up(&mut self, expression: &str, rowid: i64) -> Result<Value> {
        let sql = || format!("SELECT {expression} FROM {} WHERE {} = ?1", self.from(), self.row_expression());
        let mut run = self.lookup.run(self.connection, expression, sql)?;
        run.bind(1, ValueRef::Integer(rowid))?;
        if run.step()? { run.column(0).copied() } else { Ok(Value::Null) }
    }

    /// Starts reading the rows that meet the conditions.
    pub fn scan(&mut self, conditions: &Conditions) -> Result<Scan> {
        let mut conditions = self.safe(conditions);
        let members = self.members(&conditions)?;
        if members.is_some() {
            conditions.list = None;
        }
        self.read(conditions, members, &format!("t.{}", quoted(&self.column)))
    }

    /// For a list so long that the whole table is read faster: the rows to stop at. They are all rows where the list is of
    /// keys, which SQLite holds against it in any case.
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
        // One statement is kept, so that a search per outer row of a join compiles it once.
        let statement = match self.scan.waiting(&sql) {
            Some(run) => run,
            None => {
                if matches!(conditions.list, Some((ListSubject::Id, _))) && !self.is_searched(&sql)? {
                    // Without an index each value would be a scan. SQLite holds the rows against the list in any case.
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

    /// RowKey that cannot be asked for again carry their id along.
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

/// A vector of our own.
fn owned(vector: Option<Vector<'_>>) -> Result<Option<Vec<F32Le>>> {
    match vector {
        Some(Cow::Borrowed(vector)) => reserve::copy(vector).map(Some),
        Some(Cow::Owned(vector)) => Ok(Some(vector)),
        None => Ok(None),
    }
}
