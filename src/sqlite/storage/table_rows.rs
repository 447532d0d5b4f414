//! The rows of the user's table, as an index asks for them.

use crate::error::{Error, Result};
use crate::index::{FetchedRow, RowSource};
use crate::sqlite::host::args::vector;
use crate::sqlite::host::connection::{Connection, Reusable, Run, Statement};
use crate::sqlite::host::in_list::Members;
use crate::sqlite::host::value::{Value, ValueRef};
use crate::sqlite::tables::identifier::quoted;
use crate::sqlite::tables::source::Source;
use crate::vector::check_finite;
use std::borrow::Cow;

/// The rows an index is of.
pub struct TableRows {
    pub(super) connection: Connection,
    /// The statement for a row.
    one: String,
    fetch: Reusable,
    /// Stands on the row that was fetched last.
    running: Option<Run>,
    /// The same with the id.
    fetch_keyed: Reusable,
    title: String,
    /// The statement for the rows behind one that have a vector.
    pub(super) behind: String,
    /// The statement for all rows from one to another, in order.
    between: String,
    /// The statement that counts all rows.
    count: String,
    /// The statement for the rowids of all rows, in any order.
    rowids: String,
    /// Nothing renumbers the rows: one that is not there was deleted.
    pub(super) is_stable: bool,
}

impl TableRows {
    /// The rows of a table.
    pub fn new(source: &Source) -> Result<Self> {
        let Some(rowid) = source.rowid_name() else {
            return Err(Error::expected("a table with rowids", &source.title));
        };
        let one = format!(
            "SELECT t.{} FROM {}.{} AS t WHERE t.{rowid} = ?1",
            quoted(source.column()),
            quoted(source.schema()),
            quoted(source.name())
        );
        let behind = format!(
            "SELECT t.{rowid} FROM {}.{} AS t WHERE t.{rowid} > ?1 AND t.{} IS NOT NULL",
            quoted(source.schema()),
            quoted(source.name()),
            quoted(source.column())
        );
        let between = format!(
            "SELECT t.{rowid}, t.{} FROM {}.{} AS t WHERE t.{rowid} BETWEEN ?1 AND ?2 ORDER BY t.{rowid}",
            quoted(source.column()),
            quoted(source.schema()),
            quoted(source.name())
        );
        let of_all =
            |what: &str| format!("SELECT {what} FROM {}.{} AS t", quoted(source.schema()), quoted(source.name()));
        let (count, rowids) = (of_all("count(*)"), of_all(&format!("t.{rowid}")));
        let (title, is_stable) = (source.describe_column(), source.has_stable_rowids()?);
        let connection = source.connection();
        let (fetch, running, fetch_keyed) = Default::default();
        Ok(Self { connection, one, fetch, running, fetch_keyed, behind, between, count, rowids, title, is_stable })
    }

    /// How many rows there are, with a vector or without. SQLite counts them in the smallest of the table's indexes.
    pub fn count(&self) -> Result<u64> {
        let mut count = self.connection.prepare(&self.count)?;
        Ok(if count.step()? { u64::try_from(count.integer(0)).unwrap_or(0) } else { 0 })
    }

    /// Those of these rowids, which ascend, that no row has, in a table that never renumbers its rows.
    pub fn missing(&self, rowids: &[i64]) -> Result<Vec<i64>> {
        if !self.is_stable {
            return Ok(Vec::new());
        }
        let mut is_there = vec![false; rowids.len()];
        let mut all = self.connection.prepare(&self.rowids)?;
        while all.step()? {
            if let Ok(at) = rowids.binary_search(&all.integer(0))
                && let Some(is_there) = is_there.get_mut(at)
            {
                *is_there = true;
            }
        }
        Ok(rowids.iter().zip(is_there).filter(|(_, is_there)| !is_there).map(|(rowid, _)| *rowid).collect())
    }

    /// Gives up its locks until the next row.
    pub fn release(&mut self) {
        self.running = None;
    }

    /// The rows that have one of these ids; the others do not take part.
    pub fn keyed(&self, source: &Source, members: Members) -> Result<KeyedRows<'_>> {
        let fetch = self.fetch_keyed.run(self.connection, "keyed", || source.keyed_sql())?;
        Ok(KeyedRows { fetch, members, title: &self.title, is_stable: self.is_stable })
    }
}

/// Rows of a table of which only those with certain ids take part.
pub struct KeyedRows<'a> {
    fetch: Run,
    members: Members,
    title: &'a str,
    is_stable: bool,
}

impl RowSource for KeyedRows<'_> {
    fn fetch(&mut self, rowid: i64) -> Result<FetchedRow<'_>> {
        fetched(&mut self.fetch, rowid, self.is_stable)
    }

    fn describe(&self, rowid: i64) -> String {
        format!("{}, rowid {rowid}", self.title)
    }

    fn takes_part(&mut self) -> Result<bool> {
        Ok(self.members.contains(self.fetch.column(1)))
    }
}

/// The row that a statement finds, which stays on it.
fn fetched(statement: &mut Statement, rowid: i64, is_stable: bool) -> Result<FetchedRow<'_>> {
    statement.reset();
    statement.bind(1, ValueRef::Integer(rowid))?;
    let value = if statement.step()? { statement.column(0) } else { ValueRef::Null };
    Ok(row(value, is_stable))
}

impl RowSource for TableRows {
    fn fetch(&mut self, rowid: i64) -> Result<FetchedRow<'_>> {
        let run = match &mut self.running {
            Some(run) => run,
            none => none.insert(self.fetch.run(self.connection, "fetch", || self.one.clone())?),
        };
        fetched(run, rowid, self.is_stable)
    }

    fn describe(&self, rowid: i64) -> String {
        format!("{}, rowid {rowid}", self.title)
    }

    /// Where they are many, the table is read from one end to the other, which costs a third of a look-up a row.
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
                    row(if is_met { passing.column(1) } else { ValueRef::Null }, self.is_stable)
                }
            };
            if !with(at, row)? {
                break;
            }
        }
        Ok(())
    }
}

/// What is no vector comes back as one of no dimensions, which fits no index.
fn row(value: ValueRef<'_>, is_stable: bool) -> FetchedRow<'_> {
    match vector(value) {
        Ok(Some(vector)) if check_finite(&vector).is_ok() => FetchedRow::Vector(vector),
        Ok(Some(_)) | Err(_) => FetchedRow::Vector(Cow::Owned(Vec::new())),
        Ok(None) if is_stable => FetchedRow::Gone,
        Ok(None) => FetchedRow::Doubtful,
    }
}

/// Whether one of the rows behind this one is not known.
pub(super) fn first_unknown(mut behind: Statement, last: i64, is_known: impl Fn(i64) -> bool) -> Result<bool> {
    behind.bind(1, ValueRef::Integer(last))?;
    while behind.step()? {
        if !is_known(behind.integer(0)) {
            return Ok(true);
        }
    }
    Ok(false)
}
