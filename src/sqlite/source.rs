//! A table or view of the user's, read row by row: what it is called, how its rows are known, and the statements over it.

use super::args::{Value, ValueRef, vector};
use super::connection::{Connection, Reusable, Run, Statement};
use super::identifier::{Path, quoted, single};
use super::list::{LARGEST, List, Members};
use crate::cost;
use crate::error::{Error, Result};
use crate::kernels::F32Le;
use crate::reserve::{self, Reserve};
use crate::rowset::{Number, RowSet};
use crate::scan::VectorSource;
use crate::stats::{self, Entry, Path as Way};
use crate::vector::{Vector, shown};
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
    columns: Vec<Column>,
    kind: Kind,
    /// What is counted of this column.
    pub stats: Arc<Entry>,
    rows: Rc<Rows>,
    id: Id,
    id_affinity: Affinity,
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

/// How rows are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rows {
    /// By the rowid, under a name that no column hides.
    Rowid(&'static str),
    /// By a view's own column.
    Column(String),
    /// Not at all: by their position in the scan.
    None,
}

/// Where the `id` column comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Id {
    /// It is the rowid.
    Rowid,
    /// A column's value.
    Column(String),
    /// The primary key has several columns and the user chose none.
    Composite,
}

struct Column {
    name: String,
    /// As it was declared.
    kind: String,
    in_key: bool,
    is_generated: bool,
}

/// What SQLite makes of values stored in a column: the part of its rules that comparisons of `id` depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Affinity {
    /// INTEGER, REAL or NUMERIC: no text that reads as a number is stored as text.
    Numeric,
    /// TEXT, BLOB or none: it may be.
    Other,
}

impl Affinity {
    /// By SQLite's rules for declared types, in their order.
    fn of(kind: &str) -> Self {
        let kind = kind.to_ascii_uppercase();
        let names = |words: &[&str]| words.iter().any(|word| kind.contains(word));
        match () {
            () if names(&["INT"]) => Self::Numeric,
            () if names(&["CHAR", "CLOB", "TEXT", "BLOB"]) || kind.is_empty() => Self::Other,
            () => Self::Numeric,
        }
    }
}

/// Conditions on a source's own columns, to be met by the statement that reads it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conditions {
    /// Comparisons of the rowid with numbers.
    pub rowid: Vec<(&'static str, Value)>,
    /// Comparisons of the id.
    pub id: Vec<(&'static str, Value)>,
    /// A list of which one must be equal.
    pub list: Option<(Listed, List)>,
}

/// What a list is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// The rowid.
    Rowid,
    /// The id.
    Id,
}

impl Conditions {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rowid.is_empty() && self.id.is_empty() && self.list.is_none()
    }

    /// Whether they say what the rowid or id is, which hardly more than one row can meet.
    pub fn names_one(&self) -> bool {
        self.rowid.iter().chain(&self.id).any(|(operator, _)| *operator == "=")
    }

    /// Whether there is a list and nothing else.
    pub fn is_list_alone(&self) -> bool {
        self.rowid.is_empty() && self.id.is_empty() && self.list.is_some()
    }

    /// Whether they are on the rowid alone.
    fn are_on_rowid(&self) -> bool {
        self.id.is_empty() && !matches!(self.list, Some((Listed::Id, _)))
    }
}

impl Source {
    /// Finds the table and the column. `key` is `options.key`.
    pub fn open(connection: Connection, path: &Path, column: &str, key: Option<&str>) -> Result<Self> {
        let source = Self::open_any(connection, path, column, key)?;
        source.check_identity()?;
        Ok(source)
    }

    /// The same for readers who can do without knowing the rows.
    pub fn open_any(connection: Connection, path: &Path, column: &str, key: Option<&str>) -> Result<Self> {
        let Found { schema, name, kind } = find(connection, path)?;
        let is_view = kind == Kind::View;
        let title = match &path.schema {
            Some(schema) => format!("{}.{}", plain_or_quoted(schema), plain_or_quoted(&path.name)),
            None => plain_or_quoted(&path.name),
        };
        let columns = columns(connection, &schema, &name)?;
        let column = existing(&columns, column, &title)?;
        let key = key.map(|key| existing(&columns, key, &title)).transpose()?;
        let rows = if is_view { view_rows(&columns) } else { table_rows(connection, &schema, &name, &columns) };
        let id = match key {
            Some(key) => Id::Column(key),
            None if is_view => view_id(&columns),
            None => table_id(connection, &schema, &name, &columns, &rows)?,
        };
        let stats = stats::entry(&format!("{schema}.{name}"), &column);
        let id_affinity = match &id {
            Id::Column(name) => {
                columns.iter().find(|column| column.name == *name).map(|column| Affinity::of(&column.kind))
            }
            Id::Rowid | Id::Composite => Some(Affinity::Numeric),
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
            scan,
            lookup,
            keys,
            unsearched,
        })
    }

    fn check_identity(&self) -> Result<()> {
        if *self.rows != Rows::None || matches!(self.id, Id::Column(_)) {
            return Ok(());
        }
        Err(Error::Mistake(format!(
            "expected options.key to name a column that identifies the rows of {} {}, which has no {}",
            if self.kind == Kind::View { "view" } else { "table" },
            self.title,
            if self.kind == Kind::View { "column rowid or id" } else { "single-column primary key and no rowid" },
        )))
    }

    /// Whether rows have an id to show.
    pub fn has_id(&self) -> bool {
        match self.id {
            Id::Column(_) => true,
            Id::Rowid => self.has_rowid(),
            Id::Composite => false,
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
        if self.id != Id::Composite {
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
            Rows::Rowid(name) if self.kind == Kind::Table => Some(name),
            _ => None,
        }
    }

    /// Whether it is a table of SQLite's own.
    pub fn is_table(&self) -> bool {
        self.kind == Kind::Table
    }

    /// What it is, for whoever wanted an ordinary table with rowids.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            Kind::View => "a view",
            Kind::Virtual => "a virtual table",
            Kind::Table if *self.rows != Rows::None => "a table with rowids",
            Kind::Table if ROWIDS.iter().all(|name| has_column(&self.columns, name)) => {
                "a table whose columns hide the rowid"
            }
            Kind::Table => "a WITHOUT ROWID table",
        }
    }

    /// Whether the rowid is a column of the table, so that nothing renumbers it.
    pub fn has_stable_rowids(&self) -> Result<bool> {
        let mut key = self.columns.iter().filter(|column| column.in_key);
        let (first, second) = (key.next(), key.next());
        let is_integer = second.is_none() && first.is_some_and(|only| only.kind.eq_ignore_ascii_case("INTEGER"));
        Ok(self.kind == Kind::Table && is_integer && !has_key_index(self.connection, &self.schema, &self.name)?)
    }

    /// Whether the column is computed, so that no trigger sees it change.
    pub fn is_generated(&self) -> bool {
        self.columns.iter().any(|column| *column.name == *self.column && column.is_generated)
    }

    /// To recognise the same source again.
    pub fn identity(&self) -> Identity {
        (self.connection, self.schema.to_ascii_lowercase(), self.name.to_ascii_lowercase())
    }

    /// Whether rows have a rowid to show.
    pub fn has_rowid(&self) -> bool {
        *self.rows != Rows::None
    }

    /// The `id` of a row that a scan found with this note.
    pub fn id(&mut self, rowid: i64, note: &Option<Value>) -> Result<Value> {
        if let Some(id) = note {
            return id.copied();
        }
        if self.id == Id::Rowid {
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
        if matches!(*self.rows, Rows::Rowid(_)) {
            for row in rows {
                vectors.push(owned(vector(self.value(*row)?.borrow())?)?);
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
                if matches!(conditions.list, Some((Listed::Id, _))) && !self.is_searched(&sql)? {
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
            keeps_id: self.keeps_id(),
            listed: if matches!(conditions.list, Some((Listed::Id, _))) { 2 } else { 0 },
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
        if self.rowid_name().is_none() || self.id != Id::Rowid && !conditions.are_on_rowid() {
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
        let is_long = |(_, values): &(Listed, List)| values.len() as u64 > most;
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
    pub fn members_of_id(&self, conditions: &Conditions) -> Result<Option<Members>> {
        let Some((Listed::Id, values)) = self.safe(conditions).list else { return Ok(None) };
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
            Some((Listed::Rowid, _)) => terms.push(format!("{row} = ?{parameter}")),
            Some((Listed::Id, _)) => terms.push(self.compared_id("=", parameter)),
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
        safe.list = safe.list.filter(|(listed, values)| *listed == Listed::Rowid || values.values().all(is_safe));
        safe
    }

    /// Rows that cannot be asked for again carry their id along.
    fn keeps_id(&self) -> bool {
        !matches!(*self.rows, Rows::Rowid(_)) && matches!(self.id, Id::Column(_))
    }

    fn from(&self) -> String {
        format!("{}.{} AS t", quoted(&self.schema), quoted(&self.name))
    }

    fn row_expression(&self) -> String {
        match &*self.rows {
            Rows::Rowid(name) => format!("t.{name}"),
            Rows::Column(name) => format!("t.{}", quoted(name)),
            Rows::None => "NULL".into(),
        }
    }

    fn id_expression(&self) -> String {
        match &self.id {
            Id::Column(name) => format!("t.{}", quoted(name)),
            Id::Rowid | Id::Composite => self.row_expression(),
        }
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

/// One pass over a source. It may rest between two rows while its statement is left alone.
pub struct Scan {
    statement: Run,
    title: Rc<str>,
    column: Rc<str>,
    rows: Rc<Rows>,
    keeps_id: bool,
    /// The result column that a list is compared with.
    listed: i32,
    /// Rows met so far.
    position: i64,
    names_one: bool,
    /// The list's values still to look up, if there is a list.
    pending: Option<Pending>,
    /// Which rows to stop at, where that is told by their rowids.
    members: Option<RowSet>,
    /// What was found through the list: two of its values may be the same to the column (5 and '5').
    seen: HashSet<Vec<u8>>,
}

struct Pending {
    parameter: i32,
    values: List,
    next: usize,
    running: bool,
}

impl Scan {
    fn bind(&mut self, conditions: Conditions) -> Result<()> {
        let mut parameter = 0;
        for (_, value) in conditions.rowid.iter().chain(&conditions.id) {
            parameter += 1;
            self.statement.bind(parameter, value.borrow())?;
        }
        let parameter = parameter + 1;
        self.pending = conditions.list.map(|(_, values)| Pending { parameter, values, next: 0, running: false });
        Ok(())
    }

    /// Whether its statement is still on the row that was met last. A host may reset what it did not prepare.
    pub fn is_on_a_row(&self) -> bool {
        self.statement.is_running()
    }

    /// How rows are found.
    pub fn way(&self) -> Way {
        if self.names_one || self.pending.is_some() { Way::Lookup } else { Way::Scan }
    }

    fn step_to_member(&mut self) -> Result<bool> {
        while self.statement.step()? {
            if self.members.as_ref().is_none_or(|members| members.contains(self.statement.integer(0))) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn step(&mut self) -> Result<bool> {
        let Some(pending) = &mut self.pending else { return self.step_to_member() };
        loop {
            if pending.running && self.statement.step()? {
                return Ok(true);
            }
            self.statement.reset();
            let Some(value) = pending.values.get(pending.next) else { return Ok(false) };
            pending.next += 1;
            self.statement.bind(pending.parameter, value)?;
            // All rows of one value are equal in that column, so the first tells whether an earlier value had them all.
            pending.running = self.statement.step()?;
            if pending.running {
                self.seen.reserve_room(1)?;
                if self.seen.insert(canonical(self.statement.column(self.listed))) {
                    return Ok(true);
                }
                pending.running = false;
            }
        }
    }
}

impl VectorSource for Scan {
    type Note = Option<Value>;

    #[inline]
    fn advance(&mut self) -> Result<bool> {
        self.position += 1;
        if self.pending.is_none() && self.members.is_none() { self.statement.step() } else { self.step() }
    }

    #[inline]
    fn row(&self) -> Result<i64> {
        match &*self.rows {
            Rows::Rowid(_) => Ok(self.statement.integer(0)),
            Rows::None => Ok(self.position),
            Rows::Column(name) => match self.statement.column(0) {
                ValueRef::Integer(rowid) => Ok(rowid),
                other => {
                    let view = format!("view {}, column {name}", self.title);
                    Err(Error::expected("an INTEGER to serve as rowid", other).within(view))
                }
            },
        }
    }

    #[inline]
    fn vector(&self) -> Result<Option<Vector<'_>>> {
        vector(self.statement.column(1))
    }

    fn note(&self) -> Result<Self::Note> {
        if self.keeps_id { self.statement.column(2).copied().map(Some) } else { Ok(None) }
    }

    fn describe(&self) -> String {
        let row = match (&*self.rows, self.keeps_id) {
            (Rows::None, true) => format!("id {}", self.statement.column(2)),
            (Rows::None, false) => format!("row {}", self.position),
            _ => format!("rowid {}", self.statement.integer(0)),
        };
        format!("table {}, column {}, {row}", self.title, plain_or_quoted(&self.column))
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

fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Integer(x) => Some(Number::Integer(*x)),
        Value::Real(x) => Some(Number::Real(*x)),
        _ => None,
    }
}

/// The rowid that equals a value of a list, if one does; `None` where that is not for numbers to tell.
fn integer(value: ValueRef<'_>) -> Option<Option<i64>> {
    match value {
        ValueRef::Integer(x) => Some(Some(x)),
        ValueRef::Real(x) if x == (x as i64) as f64 && x.abs() < LARGEST => Some(Some(x as i64)),
        ValueRef::Real(_) | ValueRef::Null => Some(None),
        ValueRef::Text(_) | ValueRef::Blob(_) => None,
    }
}

/// Bytes that are equal when SQLite would call the values of a column equal.
pub fn canonical(value: ValueRef<'_>) -> Vec<u8> {
    let tagged = |tag: u8, bytes: &[u8]| [&[tag], bytes].concat();
    match value {
        ValueRef::Null => tagged(0, &[]),
        ValueRef::Integer(x) => tagged(1, &x.to_le_bytes()),
        ValueRef::Real(x) if x == (x as i64) as f64 && x.abs() < LARGEST => tagged(1, &(x as i64).to_le_bytes()),
        ValueRef::Real(x) => tagged(2, &x.to_le_bytes()),
        ValueRef::Text(text) => tagged(3, text),
        ValueRef::Blob(blob) => tagged(4, blob),
    }
}

/// What SQLite calls the rowid, unless a column has the name.
const ROWIDS: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Table,
    View,
    Virtual,
}

/// About how many rows a list of tables has, where that costs nothing to learn: the highest rowids, which are never read
/// from views.
pub fn size(connection: Connection, paths: &[Path]) -> Option<i64> {
    let highest = |path: &Path| {
        let Found { schema, name, .. } = find(connection, path).ok().filter(|found| found.kind == Kind::Table)?;
        let sql = format!("SELECT max(t.rowid) FROM {}.{} AS t", quoted(&schema), quoted(&name));
        let mut statement = connection.prepare(&sql).ok()?;
        statement.step().ok().filter(|&found| found)?;
        Some(statement.integer(0).max(0))
    };
    paths.iter().try_fold(0i64, |sum, path| Some(sum.saturating_add(highest(path)?)))
}

/// The schema that has a table or view of this name, if one has.
pub fn schema_of(connection: Connection, path: &Path) -> Option<String> {
    find(connection, path).ok().map(|found| found.schema)
}

/// The schemas that decide what a name stands for: the one it is found in, and those that are looked into before.
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
struct Found {
    schema: String,
    /// As it was written when it was created: SQLite takes small letters for capitals.
    name: String,
    kind: Kind,
}

/// Finds a table or view as SQLite looks for it: in TEMP, main, then attached databases in order.
fn find(connection: Connection, path: &Path) -> Result<Found> {
    for schema in schemas(connection, path.schema.as_deref())? {
        let sql = format!(
            "SELECT type = 'view', sql LIKE 'CREATE VIRTUAL%', name FROM {}.sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type IN ('table', 'view')",
            quoted(&schema)
        );
        let mut statement = connection.prepare(&sql)?;
        statement.bind(1, ValueRef::Text(path.name.as_bytes()))?;
        if statement.step()? {
            let kind = match (statement.integer(0), statement.integer(1)) {
                (0, 0) => Kind::Table,
                (0, _) => Kind::Virtual,
                _ => Kind::View,
            };
            let name = statement.text(2);
            drop(statement);
            return Ok(Found { schema, name, kind });
        }
    }
    let place = path.schema.as_ref().map(|schema| format!(" in {schema}")).unwrap_or_default();
    Err(Error::expected(format_args!("a table or view{place}"), format_args!("{} (no such table)", shown(&path.name))))
}

fn schemas(connection: Connection, only: Option<&str>) -> Result<Vec<String>> {
    let mut statement = connection.prepare("PRAGMA database_list")?;
    let mut names = Vec::new();
    while statement.step()? {
        names.push(statement.text(1));
    }
    // The list leaves TEMP out as long as nothing is in it.
    if let Some(wanted) = only {
        let temp = Some("temp".to_string()).filter(|temp| wanted.eq_ignore_ascii_case(temp));
        let known = names.into_iter().chain(temp).find(|name| name.eq_ignore_ascii_case(wanted));
        return known.map(|name| vec![name]).ok_or_else(|| Error::expected("an attached database", shown(wanted)));
    }
    names.sort_by_key(|name| name != "temp");
    Ok(names)
}

fn columns(connection: Connection, schema: &str, name: &str) -> Result<Vec<Column>> {
    let mut statement = connection.prepare(&format!("PRAGMA {}.table_xinfo({})", quoted(schema), quoted(name)))?;
    let mut columns = Vec::new();
    while statement.step()? {
        columns.push(Column {
            name: statement.text(1),
            kind: statement.text(2),
            in_key: statement.integer(5) != 0,
            is_generated: statement.integer(6) >= 2,
        });
    }
    Ok(columns)
}

/// The column of this name, given plain or quoted as in SQL.
fn existing(columns: &[Column], wanted: &str, title: &str) -> Result<String> {
    let find = |name: &str| columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
    let found = find(wanted).or_else(|| find(&single(wanted)?));
    found.map(|column| column.name.clone()).ok_or_else(|| {
        Error::expected(format_args!("a column of {title}"), format_args!("{} (no such column)", shown(wanted)))
    })
}

fn has_column(columns: &[Column], name: &str) -> bool {
    columns.iter().any(|column| column.name.eq_ignore_ascii_case(name))
}

fn table_rows(connection: Connection, schema: &str, name: &str, columns: &[Column]) -> Rows {
    let Some(rowid) = ROWIDS.into_iter().find(|rowid| !has_column(columns, rowid)) else { return Rows::None };
    let sql = format!("SELECT t.{rowid} FROM {}.{} AS t", quoted(schema), quoted(name));
    match connection.prepare(&sql) {
        Ok(_) => Rows::Rowid(rowid),
        Err(_) => Rows::None,
    }
}

fn table_id(connection: Connection, schema: &str, name: &str, columns: &[Column], rows: &Rows) -> Result<Id> {
    let key: Vec<&Column> = columns.iter().filter(|column| column.in_key).collect();
    Ok(match key.as_slice() {
        [] => Id::Rowid,
        [only]
            if only.kind.eq_ignore_ascii_case("INTEGER")
                && *rows != Rows::None
                && !has_key_index(connection, schema, name)? =>
        {
            Id::Rowid
        }
        [only] => Id::Column(only.name.clone()),
        _ => Id::Composite,
    })
}

/// An INTEGER PRIMARY KEY is the rowid unless SQLite keeps an index for it, as it does for `INTEGER PRIMARY KEY DESC`.
fn has_key_index(connection: Connection, schema: &str, name: &str) -> Result<bool> {
    let mut statement = connection.prepare(&format!("PRAGMA {}.index_list({})", quoted(schema), quoted(name)))?;
    while statement.step()? {
        if statement.text(3) == "pk" {
            return Ok(true);
        }
    }
    Ok(false)
}

fn view_rows(columns: &[Column]) -> Rows {
    let rowid = columns.iter().find(|column| column.name.eq_ignore_ascii_case("rowid"));
    rowid.map_or(Rows::None, |column| Rows::Column(column.name.clone()))
}

fn view_id(columns: &[Column]) -> Id {
    let id = columns.iter().find(|column| column.name.eq_ignore_ascii_case("id"));
    id.map_or(Id::Rowid, |column| Id::Column(column.name.clone()))
}

fn plain_or_quoted(name: &str) -> String {
    let plain =
        name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit());
    if plain && !name.is_empty() { name.to_string() } else { quoted(name) }
}
