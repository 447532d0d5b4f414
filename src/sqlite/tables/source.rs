//! A table or view of the user's, read row by row: what it is called, how its rows are known, and the statements over it.

use super::catalogue::{
    IdColumn, ROWIDS, RowKey, TableColumn, TableEntry, TableKind, columns, existing, find, has_column, has_key_index,
    plain_or_quoted, table_id, table_rows, view_id, view_rows,
};
use super::conditions::{Affinity, Conditions, ListSubject, integer, number};
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
use crate::sqlite::host::connection::{Connection, Reusable, Statement};
use crate::sqlite::host::in_list::{LARGEST, List, ListMembers};
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

/// Values of a list that are looked up by one run of a statement.
const KEYS: usize = 64;

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

    /// Whether SQLite would find the rows of a statement by a key.
    fn is_searched(&self, sql: &str) -> Result<bool> {
        let mut plan = self.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
        Ok(plan.step()? && plan.text(3).starts_with("SEARCH"))
    }

    /// The rows that may meet the conditions, where rowids alone can tell; `None` where a condition is on something else.
    pub fn row_set(&self, conditions: &Conditions) -> Result<Option<RowSet>> {
        if self.rowid_name().is_none() || self.id != IdColumn::Rowid && !conditions.are_on_rowid() {
            return Ok(None);
        }
        let mut set = RowSet::all();
        for (operator, value) in conditions.rowid.iter().chain(&conditions.id) {
            let Some(number) = number(value) else { return Ok(None) };
            set.compare(operator, number);
        }
        if let Some((_, values)) = &conditions.list {
            let mut rowids = Vec::new();
            rowids.reserve_room(values.len())?;
            for value in values.values() {
                let Some(rowid) = integer(value) else { return Ok(None) };
                rowids.extend(rowid);
            }
            set.list(rowids)?;
        }
        Ok(Some(set))
    }

    /// The rowids that the key's own index gives for conditions on the key; `None` where there is no such index, or they
    /// are more than `most`.
    pub fn keyed(&mut self, conditions: &Conditions, most: u64) -> Result<Option<Vec<i64>>> {
        let conditions = self.safe(conditions);
        let is_long = |(_, values): &(ListSubject, List)| values.len() as u64 > most;
        if conditions.are_on_rowid() || conditions.list.as_ref().is_some_and(is_long) {
            return Ok(None);
        }
        let sql = self.keys_sql(&conditions);
        if sql == self.unsearched {
            return Ok(None);
        }
        let mut run = match self.keys.waiting(&sql) {
            Some(run) => run,
            None if self.is_searched(&self.scan_sql(&conditions, "NULL"))? => {
                self.keys.run(self.connection, &sql, || sql.clone())?
            }
            None => {
                self.unsearched = sql;
                return Ok(None);
            }
        };
        rowids_of_keys(&mut run, &conditions, most)
    }

    /// For telling whether a row's id is in the list; `None` where that takes more than to look at it.
    pub fn members_of_id(&self, conditions: &Conditions) -> Result<Option<ListMembers>> {
        let Some((ListSubject::Id, values)) = self.safe(conditions).list else { return Ok(None) };
        let is_plain = |value: ValueRef<'_>| match value {
            ValueRef::Null => true,
            ValueRef::Integer(x) => self.id_affinity == Affinity::Numeric && (x as f64).abs() < LARGEST,
            ValueRef::Real(x) => self.id_affinity == Affinity::Numeric && x.abs() < LARGEST,
            ValueRef::Text(_) | ValueRef::Blob(_) => self.id_affinity == Affinity::Other,
        };
        if values.values().all(is_plain) { values.members().map(Some) } else { Ok(None) }
    }

    /// The parameters are numbered in the order [`Scan::bind`] binds them: rowid, id, and the list's value last.
    fn scan_sql(&self, conditions: &Conditions, value: &str) -> String {
        let row = self.row_expression();
        let mut terms = self.compared(conditions);
        let parameter = terms.len() + 1;
        match conditions.list {
            Some((ListSubject::Rowid, _)) => terms.push(format!("{row} = ?{parameter}")),
            Some((ListSubject::Id, _)) => terms.push(self.compared_id("=", parameter)),
            None => {}
        }
        let keeps_id = self.keeps_id() || conditions.list.is_some();
        let kept = if keeps_id { self.id_expression() } else { "NULL".into() };
        format!("SELECT {row}, {value}, {kept} FROM {}{}", self.from(), clause(&terms))
    }

    /// The rows of [`KEYS`] values of a list at once, which spares SQLite to begin anew for each of them.
    fn keys_sql(&self, conditions: &Conditions) -> String {
        let (row, mut terms) = (self.row_expression(), self.compared(conditions));
        if conditions.list.is_none() {
            return format!("SELECT {row} FROM {}{}", self.from(), clause(&terms));
        }
        let values: Vec<String> = (terms.len() + 1..).take(KEYS).map(|parameter| format!("(?{parameter})")).collect();
        terms.push(format!("{} = listed.column1", self.id_expression()));
        let values = values.join(", ");
        format!("SELECT {row} FROM (VALUES {values}) AS listed CROSS JOIN {}{}", self.from(), clause(&terms))
    }

    /// The comparisons of rowid and id, with parameters from 1 on.
    fn compared(&self, conditions: &Conditions) -> Vec<String> {
        let row = self.row_expression();
        let rowid = conditions.rowid.iter().zip(1..).map(|((operator, _), at)| format!("{row} {operator} ?{at}"));
        let first = conditions.rowid.len() + 1;
        let id = conditions.id.iter().zip(first..).map(|((operator, _), at)| self.compared_id(operator, at));
        rowid.chain(id).collect()
    }

    /// Equality may use the key's index. Order is by bytes, as in any comparison of the result column `id`.
    fn compared_id(&self, operator: &str, parameter: usize) -> String {
        let collation = if operator == "=" { "" } else { " COLLATE BINARY" };
        format!("{}{collation} {operator} ?{parameter}", self.id_expression())
    }

    /// The conditions on the id that may be put to the key column without losing rows that SQLite's own comparison, which
    /// follows, would keep.
    ///
    /// The two differ because a value takes the key column's affinity, while the result column `id` has none, so that SQLite
    /// compares by the affinity of the other side, which is not known here. Where that is numeric, a stored text that
    /// reads as a number counts as one: it may equal a number, and it is less than every text.
    fn safe(&self, conditions: &Conditions) -> Conditions {
        let is_safe = |value: ValueRef<'_>| {
            self.id_affinity == Affinity::Numeric || !matches!(value, ValueRef::Integer(_) | ValueRef::Real(_))
        };
        let mut safe = conditions.clone();
        safe.id.retain(|(operator, value)| {
            let in_order = *operator == "=" || self.id_affinity == Affinity::Other || !matches!(value, Value::Text(_));
            is_safe(value.borrow()) && in_order
        });
        for (operator, value) in &mut safe.id {
            if let Value::Text(text) = value
                && operator.starts_with('<')
            {
                // Whatever reads as a number sorts before a colon.
                text.clone_from(&text.as_slice().max(b":").to_vec());
            }
        }
        safe.list = safe.list.filter(|(listed, values)| *listed == ListSubject::Rowid || values.values().all(is_safe));
        safe
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

fn clause(terms: &[String]) -> String {
    if terms.is_empty() { String::new() } else { format!(" WHERE {}", terms.join(" AND ")) }
}

/// Binds the conditions and reads the rows of all values of the list; `None` if they are more than `most`.
fn rowids_of_keys(statement: &mut Statement, conditions: &Conditions, most: u64) -> Result<Option<Vec<i64>>> {
    let compared = conditions.rowid.iter().chain(&conditions.id).map(|(_, value)| value);
    (1..).zip(compared).try_for_each(|(at, value)| statement.bind(at, value.borrow()))?;
    let first = (conditions.rowid.len() + conditions.id.len() + 1) as i32;
    let mut values = conditions.list.as_ref().map(|(_, values)| values.values().peekable());
    let mut rowids = Vec::new();
    loop {
        if let Some(values) = &mut values {
            (first..).take(KEYS).try_for_each(|at| statement.bind(at, values.next().unwrap_or(ValueRef::Null)))?;
        }
        while statement.step()? {
            if rowids.len() as u64 >= most {
                return Ok(None);
            }
            reserve::push(&mut rowids, statement.integer(0))?;
        }
        statement.reset();
        if values.as_mut().is_none_or(|values| values.peek().is_none()) {
            return Ok(Some(rowids));
        }
    }
}
