//! `CREATE VIRTUAL TABLE i USING vec_index(table, column)`: an index that plain triggers keep fresh.
//!
//! SELECT gives its properties. Commands are inserted: `INSERT INTO i(i) VALUES ('merge')`. Its table and column are read from
//! its triggers, because ALTER TABLE rewrites them. The arguments of CREATE may be out of date.

mod arguments;
mod command;
mod merge;
mod misuse;
mod rows;
mod turn;

use self::arguments::{COMMAND, CreateArguments, OtherIndexes, check_name, declaration, must_be_alone};
use self::command::{COMMANDS, Command};
use self::misuse::{NamedColumn, searched_here, stored_here};
use self::rows::{Stray, mean, ordinary};
use self::turn::Turn;
use crate::error::{Error, Result};
use crate::index::{self, Builder, CodedRows, Index, Opened, ROWS_IN_MEMORY};
use crate::resources::config;
use crate::resources::progress::Progress;
use crate::scan::VectorSource;
use crate::sqlite::host::args::{Args, text};
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::value::{Value, ValueRef};
use crate::sqlite::host::vtab::{Change, Choice, Declaration, IndexInfo, Listed, Listing, Table, Writable};
use crate::sqlite::storage::shelf::{LogSpan, Shelf};
use crate::sqlite::storage::signs::{Sign, reshaped};
use crate::sqlite::storage::table_rows::TableRows;
use crate::sqlite::storage::triggers::{EVENTS, SEAL, Tracked, WatchedIndex, foreign, of_index};
use crate::sqlite::storage::trust::is_stale;
use crate::sqlite::tables::catalogue::schema_of;
use crate::sqlite::tables::conditions::Conditions;
use crate::sqlite::tables::identifier::{Path, quoted};
use crate::sqlite::tables::source::Source;
use crate::vector::{ElementType, check_finite, shown};
use std::collections::HashSet;
use std::sync::atomic::Ordering::Relaxed;

/// One index.
#[derive(Clone)]
pub struct VecIndex {
    connection: Connection,
    schema: String,
    name: String,
    /// The arguments of CREATE. ALTER TABLE does not rewrite them.
    table: String,
    column: String,
    others: OtherIndexes,
    element: ElementType,
}

impl VecIndex {
    fn new(connection: Connection, arguments: &[&str]) -> Result<Self> {
        let CreateArguments { schema, name, table, column, others, element } = CreateArguments::read(arguments)?;
        Ok(Self { connection, schema, name, table, column, others, element })
    }

    fn shelf(&self) -> Shelf {
        Shelf::new(self.connection, &self.schema, &self.name)
    }

    /// Its tables, which must be as they were made.
    fn whole_shelf(&self) -> Result<Shelf> {
        let shelf = self.shelf();
        if shelf.is_whole()? { Ok(shelf) } else { Err(Error::Damaged(format!("{}; 'rebuild' mends it", self.lack()))) }
    }

    fn lack(&self) -> String {
        format!("{0}_blocks or {0}_pending was dropped or replaced", self.name)
    }

    fn source(&self, table: &str, column: &str) -> Result<Source> {
        let path = Path { schema: Some(self.schema.clone()), name: table.to_string() };
        let mut source = Source::open_any(self.connection, &path, column, None)?;
        source.set_elements(self.element);
        Ok(source)
    }

    /// The table and column of the index, if no trigger is missing or altered.
    fn tracked(&self) -> Result<Option<WatchedIndex>> {
        of_index(self.connection, &self.schema, &self.name)
    }

    /// The table and column as they are called now.
    fn indexed(&self) -> Result<NamedColumn> {
        let given = || NamedColumn { table: self.table.clone(), column: self.column.clone() };
        let now = |watched: WatchedIndex| NamedColumn { table: watched.tracked.table, column: watched.tracked.column };
        Ok(self.tracked()?.map_or_else(given, now))
    }

    fn must_be_tracked(&self) -> Result<WatchedIndex> {
        self.tracked()?.ok_or_else(|| {
            Error::Mistake(format!(
                "expected the triggers of {} as they were made; 'rebuild' makes them anew",
                self.name
            ))
        })
    }

    /// Refuses triggers of others on the tables of the index, which would run within the command.
    fn must_be_unwatched(&self) -> Result<()> {
        let Some(trigger) = foreign(self.connection, &self.schema, &self.name)? else { return Ok(()) };
        let (why, what) = if trigger.is_on_pending {
            ("changes might not be noted", Sign::Intercepted(trigger.name).to_string())
        } else {
            ("it would run within the command", format!("trigger {} is on the blocks", trigger.name))
        };
        let table = trigger.table;
        Err(Error::Mistake(format!("expected no trigger of others on {table}, as {why}: {what}; drop it, then merge")))
    }

    /// Makes the tables and triggers of the index, and builds it.
    fn make(&self) -> Result<()> {
        check_name(&self.name)?;
        self.must_be_here()?;
        let mut source = self.source(&self.table, &self.column)?;
        let rowid = ordinary(&source)?;
        if source.is_generated() {
            return Err(Error::expected(
                "a stored column",
                format_args!("{}, which is generated", source.describe_column()),
            ));
        }
        if self.others == OtherIndexes::Refused {
            must_be_alone(&source, &self.name)?;
        }
        self.clear_leftovers()?;
        let tracked = Tracked {
            index: self.name.clone(),
            table: source.name().to_string(),
            column: source.column().to_string(),
            rowid: rowid.to_string(),
        };
        let mut shelf = self.shelf();
        let made = shelf
            .create()
            .and_then(|()| tracked.create(self.connection, &self.schema))
            .and_then(|()| self.build(&mut source, &mut shelf, Stray::Refused));
        drop(shelf);
        // In an open transaction of the user, SQLite does not undo what a failed CREATE did.
        made.inspect_err(|_| drop(self.remove()))
    }

    /// Refuses a table of another schema: a trigger cannot write to another schema.
    fn must_be_here(&self) -> Result<()> {
        let within = |schema: Option<&String>| {
            schema_of(self.connection, &Path { schema: schema.cloned(), name: self.table.clone() })
        };
        match (within(Some(&self.schema))?, within(None)?) {
            (None, Some(other)) => Err(Error::expected(
                format_args!("a table of {}, where the index is to be", self.schema),
                format_args!("{}, which is in {other}", shown(&self.table)),
            )),
            _ => Ok(()),
        }
    }

    /// Takes over the tables and triggers that a restore left without their virtual table. Other tables with such names are not
    /// touched; they are an error.
    fn clear_leftovers(&self) -> Result<()> {
        let mut shelf = self.shelf();
        let is_there = |suffix: &str| -> Result<bool> {
            let sql = format!("SELECT 1 FROM {}.sqlite_schema WHERE name = ?1 COLLATE NOCASE", quoted(&self.schema));
            let mut statement = self.connection.prepare(&sql)?;
            statement.bind(1, ValueRef::Text(format!("{}_{suffix}", self.name).as_bytes()))?;
            statement.step()
        };
        let is_ours = is_there("blocks")? && is_whole_or_unfinished(&mut shelf)?;
        if is_ours {
            self.must_be_unwatched()?;
            Tracked::drop(self.connection, &self.schema, &self.name)?;
            shelf.forget();
            return shelf.clear();
        }
        for suffix in ["blocks", "pending", SEAL].into_iter().chain(EVENTS) {
            if is_there(suffix)? {
                return Err(Error::expected(format_args!("no {0}_{suffix} beside an index {0}", self.name), "one"));
            }
        }
        Ok(())
    }

    fn remove(&self) -> Result<()> {
        Tracked::drop(self.connection, &self.schema, &self.name)?;
        let mut shelf = self.shelf();
        shelf.forget();
        shelf.drop()
    }

    /// Writes the whole index from all rows.
    fn build(&self, source: &mut Source, shelf: &mut Shelf, stray: Stray) -> Result<()> {
        let everything = Conditions::default();
        let mut table = TableRows::new(source)?;
        if table.conceals([])? {
            return Err(table.concealed());
        }
        let mean = mean(source, &mut table, &everything, stray)?;
        let (total, stats) = (mean.rows(), source.stats.clone());
        let progress = Progress::new("indexing", total);
        stats.begin(total);
        let scope = shelf.scope;
        let builder = Builder::new(shelf, scope, &mean, index::seed(), config::threads());
        let mut builder = builder.of_elements(self.element);
        let built = source.scan(&everything).and_then(|mut rows| {
            while rows.advance()? {
                match rows.vector() {
                    Ok(None) => continue,
                    Ok(Some(vector)) if check_finite(&vector).is_ok() => builder.push(rows.row()?, &vector)?,
                    _ => builder.push(rows.row()?, &[])?,
                }
                stats.done.store(builder.rows(), Relaxed);
                progress.set(builder.rows());
            }
            Ok(())
        });
        stats.total.store(0, Relaxed);
        built?;
        let index = builder.finish()?;
        self.begin_anew(shelf, &table, &index, i64::MIN, LogSpan::after(0)).map(drop)
    }

    /// Empties a part of the list of changes, because the blocks have these now, and binds the rest to this state of the
    /// blocks. Returns how many entries it had.
    fn begin_anew(
        &self,
        shelf: &mut Shelf,
        rows: &TableRows,
        index: &Index,
        cursor: i64,
        span: LogSpan,
    ) -> Result<i64> {
        // An authorizer may have changed what was written.
        if self.index(shelf)?.header != index.header {
            return Err(reshaped(format_args!("{}_blocks", self.name)));
        }
        shelf.restart(index.header.generation, rows.top()?, cursor, span)
    }

    fn command(&self, command: &str) -> Result<()> {
        match Command::parse(command)? {
            Command::Merge(most) => self.merge(most),
            Command::Rebuild => self.rebuild(),
            Command::Check => self.check(),
            Command::Warm => self.warm(),
        }
    }

    /// Reads the index into memory, as far as the budget has room for it.
    fn warm(&self) -> Result<()> {
        let WatchedIndex { tracked, .. } = self.must_be_tracked()?;
        let source = self.source(&tracked.table, &tracked.column)?;
        let mut shelf = self.whole_shelf()?;
        let scope = shelf.scope;
        match index::open(&mut shelf, scope, &source.stats.memory)? {
            Opened::Index(index) => index.warm(&mut shelf, || self.connection.check_interrupt()),
            Opened::Absent | Opened::Unfinished | Opened::Future(_) => self.index(&mut shelf).map(drop),
        }
    }

    /// Writes the whole index, and its triggers if they are missing or altered.
    fn rebuild(&self) -> Result<()> {
        self.must_be_unwatched()?;
        let watched = self.tracked()?;
        let (table, column) = match &watched {
            Some(WatchedIndex { tracked, .. }) => (tracked.table.as_str(), tracked.column.as_str()),
            None => (self.table.as_str(), self.column.as_str()),
        };
        let mut source = self.source(table, column)?;
        let rowid = ordinary(&source)?;
        let mut shelf = self.shelf();
        shelf.create()?;
        if let Some(watched) = &watched {
            self.renew(watched)?;
        } else {
            let (index, rowid) = (self.name.clone(), rowid.to_string());
            let (table, column) = (source.name().to_string(), source.column().to_string());
            let tracked = Tracked { index, table, column, rowid };
            tracked.clear(self.connection, &self.schema)?;
            tracked.create(self.connection, &self.schema)?;
        }
        self.build(&mut source, &mut shelf, Stray::Noted)
    }

    /// Compares every code with its row, and every row with the codes.
    fn check(&self) -> Result<()> {
        let WatchedIndex { tracked, .. } = self.must_be_tracked()?;
        let source = self.source(&tracked.table, &tracked.column)?;
        let mut shelf = self.whole_shelf()?;
        let index = index::check_blocks(&mut shelf)?;
        let place = shelf.anchor(index.header.generation)?.map_or(0, |anchor| anchor.end());
        let span = LogSpan::after(place);
        let mut rows = TableRows::new(&source)?;
        let strays: HashSet<i64> = index.directory().strays.iter().copied().collect();
        let blocks = index.by_rowid(&mut shelf)?;
        let (mut changed_codes, mut changed_rows) = (shelf.noted_rows(span)?, shelf.noted_rows(span)?);
        let mut first = Some(i64::MIN);
        while let Some(from) = first {
            let CodedRows { rowids: coded, last } = blocks.coded(&mut shelf, from, ROWS_IN_MEMORY)?;
            let mut unchanged = Vec::with_capacity(coded.len());
            for rowid in &coded {
                if !changed_codes.has(*rowid)? {
                    unchanged.push(*rowid);
                }
            }
            blocks.check_rows(&mut shelf, &mut rows, &unchanged, &mut |done, _| {
                if done % 1024 == 0 { self.connection.check_interrupt() } else { Ok(()) }
            })?;
            rows.must_be_known(from, last, |rowid| {
                Ok(coded.binary_search(&rowid).is_ok() || strays.contains(&rowid) || changed_rows.has(rowid)?)
            })?;
            first = last.checked_add(1);
        }
        Ok(())
    }

    fn index(&self, shelf: &mut Shelf) -> Result<Index> {
        match index::open_uncached(shelf)? {
            Opened::Index(index) if index.header.element != self.element => Err(self.of_another_type(&index)),
            Opened::Index(index) => Ok(index),
            Opened::Absent => Err(Error::Damaged("the index has no header; 'rebuild' mends it".into())),
            Opened::Unfinished => Err(index::unfinished()),
            Opened::Future(format) => Err(Error::expected(
                format_args!("an index of format {} at most", index::FORMAT),
                format_args!("one of format {format}, written by a later version"),
            )),
        }
    }

    /// The index was written by other arguments than those that the schema has now.
    fn of_another_type(&self, index: &Index) -> Error {
        let (wanted, found) = (self.element.name(), index.header.element.name());
        Error::Damaged(format!("the index is of type {found}, and was created for {wanted}; 'rebuild' mends it"))
    }

    /// What SELECT shows.
    fn properties(&self) -> Result<Vec<(&'static str, Value)>> {
        let mut shelf = self.shelf();
        let watched = self.tracked()?;
        let is_whole = shelf.is_whole()?;
        let opened = if is_whole { index::open_uncached(&mut shelf) } else { Ok(Opened::Absent) };
        let future = if let Ok(Opened::Future(format)) = opened { Some(format) } else { None };
        let (condition, index) = match opened {
            _ if !is_whole => {
                (Condition { sign: Some(self.lack()), pending: Some(0), ..Condition::new("rebuild") }, None)
            }
            Ok(Opened::Index(index)) => (self.condition(&mut shelf, &index, watched.as_ref())?, Some(index)),
            Ok(Opened::Future(_)) => (Condition::new("of a later version"), None),
            Ok(Opened::Unfinished) => {
                let sign = Some("a merge or rebuild was stopped before its end".into());
                (Condition { sign, ..Condition::new("rebuild") }, None)
            }
            Ok(Opened::Absent) | Err(Error::Damaged(_)) => (Condition::new("damaged"), None),
            Err(error) => return Err(error),
        };
        let format = index.as_ref().map(|index| index.header.format()).or(future);
        let bytes = if is_whole { shelf.bytes()? } else { 0 };
        let pending =
            condition.pending.map_or_else(|| shelf.noted(LogSpan::after(0)).map(|noted| noted.entries), Ok)?;
        let tracked = watched.map(|watched| watched.tracked);
        let whole = |number: u64| Value::Integer(number as i64);
        let header = index.as_ref().map(|index| &index.header);
        let table = tracked.as_ref().map_or(self.table.as_str(), |tracked| tracked.table.as_str());
        let column = tracked.as_ref().map_or(self.column.as_str(), |tracked| tracked.column.as_str());
        Ok(vec![
            ("table", Value::from(table)),
            ("column", Value::from(column)),
            ("type", Value::from(header.map_or(self.element, |header| header.element).name())),
            ("state", Value::from(condition.state)),
            ("sign", condition.sign.map_or(Value::Null, |sign| Value::from(sign.as_str()))),
            ("rows", header.map_or(Value::Null, |header| whole(header.rows))),
            ("pending", Value::Integer(pending)),
            ("strays", header.map_or(Value::Null, |header| whole(header.strays))),
            ("dimensions", header.map_or(Value::Null, |header| whole(header.dimensions as u64))),
            ("blocks", header.map_or(Value::Null, |header| whole(header.blocks.into()))),
            ("bytes", Value::Integer(bytes)),
            ("format", format.map_or(Value::Null, |format| whole(format.into()))),
        ])
    }

    /// The state of the index, as far as it is known without comparing rows.
    fn condition(&self, shelf: &mut Shelf, index: &Index, watched: Option<&WatchedIndex>) -> Result<Condition> {
        let place = shelf.anchor(index.header.generation)?.map_or(0, |anchor| anchor.end());
        let pending = shelf.noted(LogSpan::after(place))?.entries;
        let Some(WatchedIndex { tracked, sign, .. }) = watched else {
            let sign = Some("a trigger is missing or altered".into());
            return Ok(Condition { sign, pending: Some(pending), ..Condition::new("rebuild") });
        };
        let source = self.source(&tracked.table, &tracked.column)?;
        let rows = TableRows::new(&source)?;
        let seen = shelf.sign(index, &rows, sign.as_ref())?;
        let is_open = seen.is_some() && shelf.open_sign(index, &rows, sign.as_ref())?.is_some();
        let is_stale = is_stale(shelf, index);
        // Each process that searches reads the rows of the list and keeps their codes in memory. A tenth of all rows is worth
        // a merge. The 1000 is for small tables, which would be due after a few changes.
        let state = match () {
            () if is_stale => "rebuild",
            () if is_open => "unverified",
            () if pending > 1000 + index.header.rows as i64 / 10 => "merge due",
            () => "ready",
        };
        let differs = is_stale.then(|| "a row has another vector than its code".into());
        Ok(Condition { state, sign: seen.map(|sign| sign.to_string()).or(differs), pending: Some(pending) })
    }
}

/// Whether the blocks are those of an index of ours.
fn is_whole_or_unfinished(shelf: &mut Shelf) -> Result<bool> {
    match index::open_uncached(shelf) {
        Ok(opened) => Ok(matches!(opened, Opened::Index(_) | Opened::Unfinished)),
        Err(Error::Damaged(_) | Error::Mistake(_)) => Ok(false),
        // Of other columns.
        Err(error) if error.is_of_sql() => Ok(false),
        Err(error) => Err(error),
    }
}

/// The state of an index.
struct Condition {
    state: &'static str,
    /// Why it may differ from its table.
    sign: Option<String>,
    /// How many entries the list of changes has, if the beginning of the list is known.
    pending: Option<i64>,
}

impl Condition {
    fn new(state: &'static str) -> Self {
        Self { state, sign: None, pending: None }
    }
}

impl Table for VecIndex {
    const NAME: &'static str = "vec_index";
    type Cursor = Listed<Properties>;

    fn connect(connection: Connection, arguments: &[&str]) -> Result<(Self, Declaration)> {
        let index = Self::new(connection, arguments)?;
        let declaration = declaration(&index.name, &index.column);
        Ok((index, declaration))
    }

    fn best_index(&self, info: &mut IndexInfo<'_>) -> Result<Choice> {
        if info.constraints().iter().any(|constraint| constraint.column >= COMMAND as i32) {
            return Err(searched_here(&self.name, &self.indexed()?));
        }
        info.estimate(1e3, 10);
        Ok(Choice::Plan(0))
    }

    fn open(&self) -> Result<Listed<Properties>> {
        Ok(Listed::new(Properties(self.clone())))
    }
}

/// The rows of a SELECT from an index.
pub struct Properties(VecIndex);

impl Listing for Properties {
    type Row = (&'static str, Value);

    fn list(&mut self, _: i32, _: Args<'_>) -> Result<Vec<Self::Row>> {
        self.0.properties()
    }

    fn column(&mut self, (property, value): &Self::Row, _: usize, column: usize) -> Result<Value> {
        Ok(match column {
            0 => Value::from(*property),
            1 => value.clone(),
            _ => Value::Null,
        })
    }
}

impl Writable for VecIndex {
    fn create(connection: Connection, arguments: &[&str]) -> Result<(Self, Declaration)> {
        let index = Self::new(connection, arguments)?;
        index.make()?;
        let declaration = declaration(&index.name, &index.column);
        Ok((index, declaration))
    }

    fn destroy(&self) -> Result<()> {
        self.remove()
    }

    fn change(&self, change: Change<'_>) -> Result<i64> {
        let Change::Insert(values) = change else {
            return Err(Error::Mistake("expected an INSERT of a command, the only change an index takes".into()));
        };
        if matches!(values.get(COMMAND), ValueRef::Null) {
            return Err(stored_here(&self.indexed()?));
        }
        let command = text(&format!("{COMMANDS} as text"), values.get(COMMAND))?;
        let _turn = Turn::begin(self.connection, &self.name)?;
        self.command(command)?;
        Ok(0)
    }

    fn rename(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let watched = self.tracked()?;
        Tracked::drop(self.connection, &self.schema, &self.name)?;
        let mut shelf = self.shelf();
        shelf.forget();
        shelf.rename(name)?;
        if let Some(WatchedIndex { tracked, .. }) = watched {
            Tracked { index: name.to_string(), ..tracked }.create(self.connection, &self.schema)?;
        }
        // SQLite connects to the table anew, under the new name.
        Ok(())
    }

    /// Only the blocks are protected. In defensive mode SQLite lets statements of the user write no shadow table, and triggers
    /// run within those statements. If the list of changes were a shadow table, the user's own INSERT would fail.
    fn shadow_name(suffix: &str) -> bool {
        suffix == "blocks"
    }

    fn integrity(&self, quick: bool) -> Result<Option<String>> {
        let checked = if quick {
            self.whole_shelf().and_then(|mut shelf| index::check_blocks(&mut shelf)).map(drop)
        } else {
            self.check()
        };
        match checked {
            Ok(()) => Ok(None),
            Err(Error::Sqlite { code, message }) => Err(Error::Sqlite { code, message }),
            Err(error) => Ok(Some(format!("vec_index {}: {error}", self.name))),
        }
    }
}
