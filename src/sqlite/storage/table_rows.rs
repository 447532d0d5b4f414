//! The rows of the user's table, as an index reads them.

use super::signs::reshaped;
use crate::codec::fingerprint;
use crate::error::{Error, Result};
use crate::index::{FetchedRow, RowSource, Stretch};
use crate::kernels::F32Le;
use crate::sqlite::host::args::stored;
use crate::sqlite::host::connection::{Connection, Reusable, Run, Statement};
use crate::sqlite::host::in_list::ListMembers;
use crate::sqlite::host::value::{Value, ValueRef};
use crate::sqlite::tables::identifier::quoted;
use crate::sqlite::tables::source::Source;
use crate::vector::{ElementType, Vector, check_finite, read_into};
use std::borrow::Cow;

/// The rows of the table that has the index.
pub struct TableRows {
    pub(super) connection: Connection,
    /// The statement that reads one row.
    one: String,
    fetch: Reusable,
    /// The run of that statement. It is on the row that was fetched last.
    running: Option<Run>,
    /// Reads one row with its id.
    fetch_keyed: Reusable,
    title: String,
    /// How many of the rows that were fetched had a vector.
    pub values: u64,
    schema: String,
    table: String,
    column: String,
    element: ElementType,
    /// Where vectors of other types than f32 are widened, one after the other.
    widened: Vec<F32Le>,
    /// Whether the column has a declared type.
    is_typed: bool,
    /// An expression for the greatest rowid.
    pub(super) top: String,
    /// The statement for all rows above a rowid.
    pub(super) behind: String,
    /// The statement for a number of rows from a rowid on, in ascending order.
    onwards: String,
    /// A statement that reads no row. It tells whether the authorizer lets the column be read. `sight` is its text.
    probe: Reusable,
    sight: String,
    /// The statement for all rows from one rowid to another, in ascending order.
    between: String,
    /// The rows never get new rowids. So a row that is missing was deleted.
    pub(super) is_stable: bool,
}

impl TableRows {
    /// The rows of a table.
    pub fn new(source: &Source) -> Result<Self> {
        let Some(rowid) = source.rowid_name() else {
            return Err(Error::expected("a table with rowids", &source.title));
        };
        let (schema, table, column) = (source.schema(), source.name(), source.column());
        let (value, rows) = (quoted(column), format!("{}.{} AS t", quoted(schema), quoted(table)));
        let (fetch, running, fetch_keyed, probe, widened) = Default::default();
        Ok(Self {
            connection: source.connection(),
            one: format!("SELECT t.{value} FROM {rows} WHERE t.{rowid} = ?1"),
            fetch,
            running,
            fetch_keyed,
            title: source.describe_column(),
            values: 0,
            schema: schema.to_string(),
            table: table.to_string(),
            column: column.to_string(),
            element: source.elements(),
            widened,
            is_typed: source.is_typed(),
            top: format!("(SELECT max(t.{rowid}) FROM {rows})"),
            behind: format!("SELECT t.{rowid} AS rowid FROM {rows} WHERE t.{rowid} > ?1"),
            onwards: format!(
                "SELECT t.{rowid}, t.{value} FROM {rows} WHERE t.{rowid} >= ?1 ORDER BY t.{rowid} LIMIT ?2"
            ),
            probe,
            sight: format!("SELECT t.{rowid}, t.{value} FROM {rows} LIMIT 0"),
            between: format!(
                "SELECT t.{rowid}, t.{value} FROM {rows} WHERE t.{rowid} BETWEEN ?1 AND ?2 ORDER BY t.{rowid}"
            ),
            is_stable: source.has_stable_rowids()?,
        })
    }

    /// Those of the first so many strays that are none any more. They are few, and one that REPLACE deleted would let all
    /// searches scan.
    pub fn other_than(&mut self, strays: &[i64], dimensions: usize, most: usize) -> Result<Vec<i64>> {
        let mut other = Vec::new();
        for rowid in strays.iter().take(most) {
            match self.fetch(*rowid)? {
                FetchedRow::Vector(vector) if vector.len() != dimensions => {}
                _ => other.push(*rowid),
            }
        }
        Ok(other)
    }

    /// The greatest rowid; [`NO_ROW`] for an empty table.
    pub fn top(&self) -> Result<i64> {
        let mut statement = self.connection.prepare(&format!("SELECT {}", self.top))?;
        Ok(if statement.step()? { top(statement.column(0)) } else { NO_ROW })
    }

    /// At most `most` rows from the rowid `first` on. `None` if the authorizer of the connection hides them. If no rows
    /// follow, `last` of the stretch is the greatest rowid that is possible.
    pub fn stretch(&mut self, first: i64, most: usize, dimensions: usize) -> Result<Option<Stretch>> {
        let mut statement = self.connection.prepare(&self.onwards)?;
        statement.bind_all(&[Value::Integer(first), Value::Integer(most as i64)])?;
        let mut stretch = Stretch { first, last: i64::MAX, rows: Vec::new() };
        let (mut met, mut at) = (0, first);
        while statement.step()? {
            (met, at) = (met + 1, statement.integer(0));
            match row(statement.column(1), self.element, true, &mut self.widened) {
                FetchedRow::Vector(vector) if vector.len() == dimensions => {
                    stretch.rows.push((at, Some(fingerprint(&vector))))
                }
                FetchedRow::Vector(_) => stretch.rows.push((at, None)),
                FetchedRow::Gone | FetchedRow::Doubtful => {}
            }
        }
        if met == most {
            stretch.last = at;
        }
        Ok(if self.sees()? == Sight::Concealed { None } else { Some(stretch) })
    }

    /// Fails if a row from `first` to `last` has a value and `is_known` does not know it. It is asked in ascending order.
    pub fn must_be_known(
        &mut self,
        first: i64,
        last: i64,
        mut is_known: impl FnMut(i64) -> Result<bool>,
    ) -> Result<()> {
        let mut between = self.connection.prepare(&self.between)?;
        between.bind_all(&[Value::Integer(first), Value::Integer(last)])?;
        while between.step()? {
            let rowid = between.integer(0);
            if !is_known(rowid)? && !matches!(between.column(1), ValueRef::Null) {
                return Err(Error::Damaged(format!("{} has no code; 'rebuild' mends the index", self.describe(rowid))));
            }
        }
        Ok(())
    }

    /// Whether the authorizer of the connection hides one of these rows, for which statements read NULL or nothing.
    pub fn conceals(&mut self, rowids: impl IntoIterator<Item = i64>) -> Result<bool> {
        match self.sees()? {
            Sight::Clear => return Ok(false),
            Sight::Concealed => return Ok(true),
            Sight::Unknown => {}
        }
        for rowid in rowids {
            if self.connection.has_value(&self.schema, &self.table, &self.column, rowid)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// An authorizer that answers SQLITE_IGNORE lets a statement read NULL in place of a column. The result column then has no
    /// declared type any more, and that shows it. If the column never had a declared type, this does not help.
    fn sees(&mut self) -> Result<Sight> {
        let mut probe = self.probe.run(self.connection, "probe", || self.sight.clone())?;
        probe.step()?;
        Ok(match (probe.is_declared(0), self.is_typed, probe.is_declared(1)) {
            (false, ..) | (true, true, false) => Sight::Concealed,
            (true, true, true) => Sight::Clear,
            (true, false, _) => Sight::Unknown,
        })
    }

    /// The error of a command that cannot see the rows because of the authorizer.
    pub fn concealed(&self) -> Error {
        reshaped(&self.title)
    }

    /// Ends the run of the statement, so that it holds no lock until the next row is fetched.
    pub fn release(&mut self) {
        self.running = None;
    }

    /// The same rows, but only those with one of these ids take part.
    pub fn keyed(&self, source: &Source, members: ListMembers) -> Result<KeyedRows<'_>> {
        let fetch = self.fetch_keyed.run(self.connection, "keyed", || source.keyed_sql())?;
        let (element, widened) = (self.element, Vec::new());
        Ok(KeyedRows { fetch, members, title: &self.title, element, widened, is_stable: self.is_stable })
    }
}

/// Whether statements can see the column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sight {
    Clear,
    Concealed,
    Unknown,
}

/// Is used as the greatest rowid of an empty table.
const NO_ROW: i64 = i64::MIN;

/// The greatest rowid, from the value of the expression [`TableRows::top`].
pub(super) fn top(value: ValueRef<'_>) -> i64 {
    if let ValueRef::Integer(rowid) = value { rowid } else { NO_ROW }
}

/// The rows of a table. Only those with certain ids take part.
pub struct KeyedRows<'a> {
    fetch: Run,
    members: ListMembers,
    title: &'a str,
    element: ElementType,
    widened: Vec<F32Le>,
    is_stable: bool,
}

impl RowSource for KeyedRows<'_> {
    fn fetch(&mut self, rowid: i64) -> Result<FetchedRow<'_>> {
        let value = fetched(&mut self.fetch, rowid)?;
        Ok(row(value, self.element, self.is_stable, &mut self.widened))
    }

    fn describe(&self, rowid: i64) -> String {
        format!("{}, rowid {rowid}", self.title)
    }

    fn takes_part(&mut self) -> Result<bool> {
        Ok(self.members.contains(self.fetch.column(1)))
    }
}

/// Runs a statement for a row, and leaves it on the row. Gives the value in the column; NULL if there is no such row.
fn fetched(statement: &mut Statement, rowid: i64) -> Result<ValueRef<'_>> {
    statement.reset();
    statement.bind(1, ValueRef::Integer(rowid))?;
    Ok(if statement.step()? { statement.column(0) } else { ValueRef::Null })
}

impl RowSource for TableRows {
    fn fetch(&mut self, rowid: i64) -> Result<FetchedRow<'_>> {
        let run = match &mut self.running {
            Some(run) => run,
            none => none.insert(self.fetch.run(self.connection, "fetch", || self.one.clone())?),
        };
        let row = row(fetched(run, rowid)?, self.element, self.is_stable, &mut self.widened);
        self.values += u64::from(matches!(row, FetchedRow::Vector(_)));
        Ok(row)
    }

    fn describe(&self, rowid: i64) -> String {
        format!("{}, rowid {rowid}", self.title)
    }

    /// If they are more than a third of all rows, the part of the table that has them is read from one end to the other. For
    /// each row that costs a third of a look-up.
    fn fetch_all(
        &mut self,
        rowids: &[i64],
        rows: u64,
        with: &mut dyn FnMut(usize, FetchedRow<'_>) -> Result<bool>,
    ) -> Result<()> {
        const DENSE: u64 = 3;
        let is_dense = rowids.len() as u64 > rows / DENSE;
        let mut passing = if is_dense { Some(self.connection.prepare(&self.between)?) } else { None };
        let ends = rowids.first().zip(rowids.last());
        if let (Some(passing), Some((first, last))) = (&mut passing, ends) {
            passing.bind_all(&[Value::Integer(*first), Value::Integer(*last)])?;
        }
        let mut is_there = passing.as_mut().map_or(Ok(false), Statement::step)?;
        for (at, rowid) in rowids.iter().enumerate() {
            let row = match &mut passing {
                None => self.fetch(*rowid)?,
                Some(passing) => {
                    while is_there && passing.integer(0) < *rowid {
                        is_there = passing.step()?;
                    }
                    let is_met = is_there && passing.integer(0) == *rowid;
                    let value = if is_met { passing.column(1) } else { ValueRef::Null };
                    row(value, self.element, self.is_stable, &mut self.widened)
                }
            };
            if !with(at, row)? {
                break;
            }
        }
        Ok(())
    }
}

/// A row as an index takes it, whatever the type of its elements: codes, fingerprints and scores are made of these floats. `memory`
/// is where other types than f32 are widened. A value that is no vector becomes a vector without dimensions, which fits no
/// index.
fn row<'v>(value: ValueRef<'v>, element: ElementType, is_stable: bool, memory: &'v mut Vec<F32Le>) -> FetchedRow<'v> {
    match widened(value, element, memory) {
        Ok(Some(vector)) if check_finite(&vector).is_ok() => FetchedRow::Vector(vector),
        Ok(Some(_)) | Err(_) => FetchedRow::Vector(Cow::Owned(Vec::new())),
        Ok(None) if is_stable => FetchedRow::Gone,
        Ok(None) => FetchedRow::Doubtful,
    }
}

fn widened<'v>(value: ValueRef<'v>, element: ElementType, memory: &'v mut Vec<F32Le>) -> Result<Option<Vector<'v>>> {
    match value {
        ValueRef::Blob(blob) if element != ElementType::F32 => {
            read_into(blob, element, memory).map(|vector| Some(Cow::Borrowed(vector)))
        }
        value => stored(value, element),
    }
}

/// Whether a row above this rowid is not known.
pub(super) fn first_unknown(mut behind: Statement, last: i64, is_known: impl Fn(i64) -> bool) -> Result<bool> {
    behind.bind(1, ValueRef::Integer(last))?;
    while behind.step()? {
        if !is_known(behind.integer(0)) {
            return Ok(true);
        }
    }
    Ok(false)
}
