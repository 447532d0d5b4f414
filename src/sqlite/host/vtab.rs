//! Virtual tables: traits in plain Rust, and the callbacks that SQLite wants, made from them.
//!
//! The tables of `sqlite-loadable` are not used: they abort the host on UPDATE, take error texts for formats of printf, and
//! let panics reach SQLite. Here every callback runs inside [`guard`], an error has SQLite's own code, and a `%` in a message
//! stays a `%`.

use super::api;
use super::args::{Args, bytes, read};
use super::connection::Connection;
use super::entry::{c_name, code, guard, result};
use super::ffi;
use super::value::{Value, ValueRef};
use crate::error::{Error, Result};
use crate::planning::plan::Comparison;
use crate::resources::config::SchemaSearch;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;

/// A virtual table that can be read.
pub trait Table: Sized + 'static {
    /// The name of the module in SQL. Error messages begin with it.
    const NAME: &'static str;
    /// Reads the table once.
    type Cursor: Cursor;
    /// Connects to the table. `arguments` are those that SQLite passes: the name of the module, the schema, the name of the
    /// table, and what CREATE VIRTUAL TABLE has in parentheses.
    fn connect(connection: Connection, arguments: &[&str]) -> Result<(Self, Declaration)>;
    /// Chooses the constraints whose values the cursor gets.
    fn best_index(&self, info: &mut IndexInfo<'_>) -> Result<Choice>;
    /// Makes a cursor.
    fn open(&self) -> Result<Self::Cursor>;
}

/// Reads a table, row by row.
pub trait Cursor {
    /// Begins again, with the plan of `best_index` and the values it asked for.
    fn filter(&mut self, plan: i32, arguments: Args<'_>) -> Result<()>;
    /// Moves to the next row.
    fn advance(&mut self) -> Result<()>;
    /// Whether there is no present row any more.
    fn at_end(&self) -> bool;
    /// A column of the present row.
    fn column(&mut self, column: usize) -> Result<Value>;
    /// The rowid of the present row.
    fn rowid(&self) -> Result<i64>;
}

/// Finds all rows at once. [`Listed`] makes a cursor of it.
pub trait Listing {
    /// What is kept for each row.
    type Row;
    /// Whether the last rows are also the answer to this question. The inner loop of a join may ask the same for each outer
    /// row.
    fn is_answered(&self, _plan: i32, _arguments: Args<'_>) -> Result<bool> {
        Ok(false)
    }
    /// All rows.
    fn list(&mut self, plan: i32, arguments: Args<'_>) -> Result<Vec<Self::Row>>;
    /// A column of a row. `at` is the place of the row in the list.
    fn column(&mut self, row: &Self::Row, at: usize, column: usize) -> Result<Value>;
    /// The rowid of a row.
    fn rowid(&self, _row: &Self::Row, at: usize) -> i64 {
        at as i64 + 1
    }
}

/// A cursor over a listing.
pub struct Listed<L: Listing> {
    listing: L,
    rows: Vec<L::Row>,
    at: usize,
}

impl<L: Listing> Listed<L> {
    /// A cursor without rows so far.
    pub fn new(listing: L) -> Self {
        Self { listing, rows: Vec::new(), at: 0 }
    }
}

impl<L: Listing> Cursor for Listed<L> {
    fn filter(&mut self, plan: i32, arguments: Args<'_>) -> Result<()> {
        self.at = 0;
        if !self.listing.is_answered(plan, arguments)? {
            self.rows = Vec::new();
            self.rows = self.listing.list(plan, arguments)?;
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<()> {
        self.at += 1;
        Ok(())
    }

    fn at_end(&self) -> bool {
        self.at >= self.rows.len()
    }

    fn column(&mut self, column: usize) -> Result<Value> {
        self.rows.get(self.at).map_or(Ok(Value::Null), |row| self.listing.column(row, self.at, column))
    }

    fn rowid(&self) -> Result<i64> {
        Ok(self.rows.get(self.at).map_or(0, |row| self.listing.rowid(row, self.at)))
    }
}

/// A virtual table that takes INSERT or DELETE, and may have tables of its own in the database.
pub trait Writable: Table {
    /// CREATE VIRTUAL TABLE, if it does more than connecting to a table that exists.
    fn create(connection: Connection, arguments: &[&str]) -> Result<(Self, Declaration)> {
        Self::connect(connection, arguments)
    }
    /// DROP TABLE.
    fn destroy(&self) -> Result<()> {
        Ok(())
    }
    /// Makes one change. Returns the rowid of an inserted row.
    fn change(&self, change: Change<'_>) -> Result<i64>;
    /// ALTER TABLE RENAME.
    fn rename(&self, name: &str) -> Result<()> {
        Err(Error::expected("a table that can be renamed", name))
    }
    /// Whether SQLite must protect the table `NAME_suffix` in defensive mode.
    fn shadow_name(_suffix: &str) -> bool {
        false
    }
    /// What `PRAGMA integrity_check` reports; `None` if all is well.
    fn integrity(&self, _quick: bool) -> Result<Option<String>> {
        Ok(None)
    }
}

/// What a table says about itself when SQLite connects to it.
pub struct Declaration {
    /// `CREATE TABLE x(...)`. The name has no meaning.
    pub schema: String,
    /// Where it may be used.
    pub risk: Risk,
}

/// CREATE VIRTUAL TABLE, or connecting to a table that exists.
type Attach<T> = fn(Connection, &[&str]) -> Result<(T, Declaration)>;

/// Where a virtual table may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Risk {
    /// In views and triggers of trusted schemas, and in statements.
    Normal,
    /// In statements, TEMP views and TEMP triggers. It reads tables by the names that it is given, so stored views and
    /// triggers may use it only if the host allows schema search.
    Searching,
    /// In statements, TEMP views and TEMP triggers alone.
    Direct,
}

/// The answer of `best_index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The number of the plan, which the cursor gets.
    Plan(i32),
    /// There is no plan for these constraints. SQLite asks again with other ones.
    Unusable,
}

/// One change to a writable table.
pub enum Change<'a> {
    /// DELETE of the row with this rowid.
    Delete(i64),
    /// INSERT of these columns.
    Insert(Row<'a>),
    /// UPDATE of a row. No table of ours takes one, so it carries nothing.
    Update,
}

/// The columns of an inserted row.
#[derive(Clone, Copy)]
pub struct Row<'a>(Args<'a>);

impl<'a> Row<'a> {
    /// `xUpdate` gets two rowids in front of the columns.
    const FIRST: usize = 2;

    /// The value of a column.
    pub fn get(self, column: usize) -> ValueRef<'a> {
        self.0.get(column + Self::FIRST)
    }
}

/// What SQLite knows of a statement when it asks for a plan.
pub struct IndexInfo<'a> {
    raw: &'a mut ffi::sqlite3_index_info,
    taken: i32,
}

/// A condition of WHERE on a column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Constraint {
    /// The number of the column; -1 for the rowid.
    pub column: i32,
    /// What it says about the column.
    pub kind: ConstraintKind,
    /// Whether the other side of the condition is known in this plan.
    pub usable: bool,
}

/// What a term says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConstraintKind {
    /// The column compares like this.
    Compares(Comparison),
    /// Not of a column: how many rows are wanted.
    Limit,
    /// Not of a column: how many rows are passed over first.
    Offset,
    /// What no table function has a use for.
    Other,
}

impl ConstraintKind {
    fn of(operator: u32) -> Self {
        match operator {
            ffi::SQLITE_INDEX_CONSTRAINT_EQ => Self::Compares(Comparison::Is),
            ffi::SQLITE_INDEX_CONSTRAINT_GT => Self::Compares(Comparison::Above),
            ffi::SQLITE_INDEX_CONSTRAINT_GE => Self::Compares(Comparison::From),
            ffi::SQLITE_INDEX_CONSTRAINT_LT => Self::Compares(Comparison::Below),
            ffi::SQLITE_INDEX_CONSTRAINT_LE => Self::Compares(Comparison::To),
            ffi::SQLITE_INDEX_CONSTRAINT_LIMIT => Self::Limit,
            ffi::SQLITE_INDEX_CONSTRAINT_OFFSET => Self::Offset,
            _ => Self::Other,
        }
    }
}

impl IndexInfo<'_> {
    /// All constraints, usable or not.
    pub fn constraints(&self) -> Vec<Constraint> {
        (0..self.raw.nConstraint as usize)
            .map(|at| {
                // SAFETY: SQLite passes `nConstraint` of them.
                let raw = unsafe { &*self.raw.aConstraint.add(at) };
                Constraint { column: raw.iColumn, kind: ConstraintKind::of(u32::from(raw.op)), usable: raw.usable != 0 }
            })
            .collect()
    }

    /// Asks for the value of a constraint as the next argument of the cursor. With `enforced`, SQLite does not check the
    /// condition again.
    pub fn take(&mut self, at: usize, enforced: bool) {
        if at < self.raw.nConstraint as usize {
            self.taken += 1;
            // SAFETY: in range, and SQLite passes one usage for each constraint.
            let usage = unsafe { &mut *self.raw.aConstraintUsage.add(at) };
            usage.argvIndex = self.taken;
            usage.omit = u8::from(enforced);
        }
    }

    /// Whether a constraint is an IN and SQLite can pass all its values at once.
    pub fn is_list(&mut self, at: usize) -> bool {
        // SAFETY: the structure is SQLite's own of this call, and it checks the number.
        unsafe { api::vtab_in(self.raw, at as c_int, -1) != 0 }
    }

    /// Asks for all values of such a constraint at once. The argument of the cursor is then a list.
    pub fn take_list(&mut self, at: usize) {
        // SAFETY: as in `is_list`.
        unsafe { api::vtab_in(self.raw, at as c_int, 1) };
    }

    /// The other side of a constraint if it is a literal.
    pub fn literal(&mut self, at: usize) -> Option<Value> {
        let mut value = std::ptr::null_mut();
        // SAFETY: as in `is_list`; the value lives until this callback returns.
        unsafe {
            let code = api::vtab_rhs_value(self.raw, at as c_int, &mut value);
            (code == ffi::SQLITE_OK as c_int && !value.is_null()).then(|| read(value).copied().ok()).flatten()
        }
    }

    /// The collation that a constraint uses.
    pub fn collation(&mut self, at: usize) -> String {
        // SAFETY: as in `is_list`; the name is terminated and copied.
        unsafe {
            let name = api::vtab_collation(self.raw, at as c_int);
            if name.is_null() { String::new() } else { CStr::from_ptr(name).to_string_lossy().into_owned() }
        }
    }

    /// The terms of ORDER BY: the number of the column, and whether the order is descending.
    pub fn order(&self) -> Vec<(i32, bool)> {
        (0..self.raw.nOrderBy as usize)
            .map(|at| {
                // SAFETY: SQLite passes `nOrderBy` of them.
                let raw = unsafe { &*self.raw.aOrderBy.add(at) };
                (raw.iColumn, raw.desc != 0)
            })
            .collect()
    }

    /// Promises that the rows come in the order of ORDER BY.
    pub fn ordered(&mut self) {
        self.raw.orderByConsumed = 1;
    }

    /// Whether the statement reads a column. Columns from the 63rd on share one bit.
    pub fn reads(&self, column: usize) -> bool {
        self.raw.colUsed & (1 << column.min(63)) != 0
    }

    /// What the plan probably costs, in the units of SQLite's planner, and how many rows it probably gives.
    pub fn estimate(&mut self, cost: f64, rows: i64) {
        self.raw.estimatedCost = cost;
        self.raw.estimatedRows = rows;
    }

    /// What EXPLAIN QUERY PLAN shows.
    pub fn describe(&mut self, text: &str) {
        self.raw.idxStr = api::message(text);
        self.raw.needToFreeIdxStr = 1;
    }
}

/// Registers a table function: a read-only table that exists without CREATE.
pub fn register_function<T: Table>(connection: Connection, search: SchemaSearch) -> Result<()> {
    register(connection, T::NAME, &Callbacks::<T>::FUNCTION, search)
}

/// Registers a table that exists without CREATE and can be written.
pub fn register_writable_function<T: Writable>(connection: Connection, search: SchemaSearch) -> Result<()> {
    register(connection, T::NAME, &WriteCallbacks::<T>::FUNCTION, search)
}

/// Registers a module for CREATE VIRTUAL TABLE.
pub fn register_module<T: Writable>(connection: Connection, search: SchemaSearch) -> Result<()> {
    register(connection, T::NAME, &WriteCallbacks::<T>::MODULE, search)
}

/// What `xConnect` is given where the connection allows schema search; else it is given null. Nobody reads it.
static ALLOWS_SCHEMA_SEARCH: u8 = 1;

fn register(connection: Connection, name: &str, module: &'static ModuleV4, search: SchemaSearch) -> Result<()> {
    let c_name = c_name(name)?;
    let data = match search {
        SchemaSearch::Refused => std::ptr::null(),
        SchemaSearch::Allowed => &raw const ALLOWS_SCHEMA_SEARCH,
    };
    // SAFETY: the connection is open, the name terminated, and module and data live as long as the library, which stays
    // loaded.
    let code = unsafe {
        api::create_module_v2(connection.raw(), c_name.as_ptr(), &module.base, data.cast_mut().cast::<c_void>(), None)
    };
    match code as u32 {
        ffi::SQLITE_OK => Ok(()),
        _ => Err(Error::Mistake(format!("SQLite did not take the module {name}"))),
    }
}

/// The module structure of SQLite 3.44. Older versions do not read beyond the fields that they know.
#[repr(C)]
struct ModuleV4 {
    base: ffi::sqlite3_module,
    integrity: Option<
        unsafe extern "C" fn(*mut ffi::sqlite3_vtab, *const c_char, *const c_char, c_int, *mut *mut c_char) -> c_int,
    >,
}

/// SQLite has a pointer to this as a `sqlite3_vtab`.
#[repr(C)]
struct TableInstance<T> {
    base: ffi::sqlite3_vtab,
    table: T,
}

/// SQLite has a pointer to this as a `sqlite3_vtab_cursor`.
#[repr(C)]
struct Reading<C> {
    base: ffi::sqlite3_vtab_cursor,
    cursor: C,
}

/// The result of a callback, or the code that SQLite gets.
type Settled<T> = std::result::Result<T, c_int>;

/// Runs a callback on a table. The text of an error goes to the field of the table that SQLite reads it from.
unsafe fn settle<T>(vtab: *mut ffi::sqlite3_vtab, name: &str, body: impl FnOnce() -> Result<T>) -> Settled<T> {
    guard(name, body).map_err(|error| {
        // SAFETY: the caller passes a live table; SQLite allocated the text or we did through it.
        unsafe {
            api::free((*vtab).zErrMsg.cast());
            (*vtab).zErrMsg = api::message(&error.to_string());
        }
        code(&error)
    })
}

fn status(outcome: Settled<()>) -> c_int {
    outcome.err().unwrap_or(ffi::SQLITE_OK as c_int)
}

struct Callbacks<T>(PhantomData<T>);

// SAFETY, for all callbacks below: SQLite calls them as its documentation of virtual tables says, with the tables and
// cursors that `attach` and `open` made for this very `T`, on one thread at a time. A callback of a table may come while another of
// the same table runs, so tables are shared. A cursor belongs to one statement, which SQLite steps no second time while it is in a
// callback of that cursor, so a cursor is lent to one callback at a time. Neither is freed while a callback of it runs.
impl<T: Table> Callbacks<T> {
    const BASE: ffi::sqlite3_module = ffi::sqlite3_module {
        iVersion: 4,
        xCreate: None,
        xConnect: Some(Self::connect),
        xBestIndex: Some(Self::best_index),
        xDisconnect: Some(Self::disconnect),
        xDestroy: Some(Self::disconnect),
        xOpen: Some(Self::open),
        xClose: Some(Self::close),
        xFilter: Some(Self::filter),
        xNext: Some(Self::next),
        xEof: Some(Self::eof),
        xColumn: Some(Self::column),
        xRowid: Some(Self::rowid),
        xUpdate: None,
        xBegin: None,
        xSync: None,
        xCommit: None,
        xRollback: None,
        xFindFunction: None,
        xRename: None,
        xSavepoint: None,
        xRelease: None,
        xRollbackTo: None,
        xShadowName: None,
    };

    const FUNCTION: ModuleV4 = ModuleV4 { base: Self::BASE, integrity: None };

    unsafe extern "C" fn connect(
        db: *mut ffi::sqlite3,
        data: *mut c_void,
        count: c_int,
        arguments: *const *const c_char,
        vtab: *mut *mut ffi::sqlite3_vtab,
        message: *mut *mut c_char,
    ) -> c_int {
        let make: Attach<T> = if data.is_null() { T::connect } else { Self::connect_allowed };
        // SAFETY: see above.
        unsafe { Self::attach(db, (count, arguments), vtab, message, make) }
    }

    /// [`Table::connect`] where the host allows schema search.
    fn connect_allowed(connection: Connection, arguments: &[&str]) -> Result<(T, Declaration)> {
        let (table, declaration) = T::connect(connection, arguments)?;
        let risk = if declaration.risk == Risk::Searching { Risk::Normal } else { declaration.risk };
        Ok((table, Declaration { risk, ..declaration }))
    }

    unsafe fn attach(
        db: *mut ffi::sqlite3,
        (count, arguments): (c_int, *const *const c_char),
        vtab: *mut *mut ffi::sqlite3_vtab,
        message: *mut *mut c_char,
        make: Attach<T>,
    ) -> c_int {
        let made = guard(T::NAME, || {
            // SAFETY: see above.
            let connection = unsafe { Connection::new(db) }?;
            let arguments = (0..count as usize)
                // SAFETY: see above; the texts are terminated.
                .map(|at| unsafe { CStr::from_ptr(*arguments.add(at)) }.to_str())
                .collect::<std::result::Result<Vec<_>, _>>()
                .map_err(|reason| Error::expected("arguments in UTF-8", reason))?;
            let (table, declaration) = make(connection, &arguments)?;
            declare(connection, &declaration)?;
            Ok(table)
        });
        match made {
            Ok(table) => {
                // SAFETY: all zero is the state SQLite wants its own part of the structure in.
                let base = unsafe { std::mem::zeroed() };
                let instance = Box::into_raw(Box::new(TableInstance { base, table }));
                // SAFETY: see above; the base is the instance's first field.
                unsafe { *vtab = instance.cast() };
                ffi::SQLITE_OK as c_int
            }
            Err(error) => {
                // SAFETY: see above.
                unsafe { *message = api::message(&error.to_string()) };
                code(&error)
            }
        }
    }

    unsafe extern "C" fn disconnect(vtab: *mut ffi::sqlite3_vtab) -> c_int {
        // SAFETY: see above; SQLite frees the error text itself and does not use the table again.
        let instance = unsafe { Box::from_raw(vtab.cast::<TableInstance<T>>()) };
        status(
            guard(T::NAME, || {
                drop(instance);
                Ok(())
            })
            .map_err(|error| code(&error)),
        )
    }

    /// A table is only ever shared: while one callback of it runs statements, SQLite may call others of the same table from a
    /// trigger.
    unsafe fn table<'a>(vtab: *mut ffi::sqlite3_vtab) -> &'a T {
        // SAFETY: see above.
        unsafe { &(*vtab.cast::<TableInstance<T>>()).table }
    }

    unsafe extern "C" fn best_index(vtab: *mut ffi::sqlite3_vtab, info: *mut ffi::sqlite3_index_info) -> c_int {
        // SAFETY: see above.
        let outcome = unsafe {
            settle(vtab, T::NAME, || Self::table(vtab).best_index(&mut IndexInfo { raw: &mut *info, taken: 0 }))
        };
        match outcome {
            Ok(Choice::Plan(plan)) => {
                // SAFETY: see above.
                unsafe { (*info).idxNum = plan };
                ffi::SQLITE_OK as c_int
            }
            Ok(Choice::Unusable) => ffi::SQLITE_CONSTRAINT as c_int,
            Err(code) => code,
        }
    }

    unsafe extern "C" fn open(vtab: *mut ffi::sqlite3_vtab, place: *mut *mut ffi::sqlite3_vtab_cursor) -> c_int {
        // SAFETY: see above.
        let outcome = unsafe { settle(vtab, T::NAME, || Self::table(vtab).open()) };
        status(outcome.map(|cursor| {
            // SAFETY: as for the table's base.
            let base = unsafe { std::mem::zeroed() };
            let reading = Box::into_raw(Box::new(Reading { base, cursor }));
            // SAFETY: see above.
            unsafe { *place = reading.cast() };
        }))
    }

    unsafe extern "C" fn close(cursor: *mut ffi::sqlite3_vtab_cursor) -> c_int {
        // SAFETY: see above.
        let reading = unsafe { Box::from_raw(cursor.cast::<Reading<T::Cursor>>()) };
        status(
            guard(T::NAME, || {
                drop(reading);
                Ok(())
            })
            .map_err(|error| code(&error)),
        )
    }

    unsafe fn on_cursor<R>(
        cursor: *mut ffi::sqlite3_vtab_cursor,
        body: impl FnOnce(&mut T::Cursor) -> Result<R>,
    ) -> Settled<R> {
        // SAFETY: see above; SQLite set `pVtab` after `open`.
        unsafe {
            let reading = cursor.cast::<Reading<T::Cursor>>();
            settle((*cursor).pVtab, T::NAME, || body(&mut (*reading).cursor))
        }
    }

    unsafe extern "C" fn filter(
        cursor: *mut ffi::sqlite3_vtab_cursor,
        plan: c_int,
        _description: *const c_char,
        count: c_int,
        arguments: *mut *mut ffi::sqlite3_value,
    ) -> c_int {
        // SAFETY: see above.
        unsafe {
            let arguments = Args::new(count, arguments);
            status(Self::on_cursor(cursor, |cursor| cursor.filter(plan, arguments)))
        }
    }

    unsafe extern "C" fn next(cursor: *mut ffi::sqlite3_vtab_cursor) -> c_int {
        // SAFETY: see above.
        status(unsafe { Self::on_cursor(cursor, Cursor::advance) })
    }

    unsafe extern "C" fn eof(cursor: *mut ffi::sqlite3_vtab_cursor) -> c_int {
        // SAFETY: see above.
        let at_end = unsafe { Self::on_cursor(cursor, |cursor| Ok(cursor.at_end())) };
        c_int::from(at_end.unwrap_or(true))
    }

    unsafe extern "C" fn column(
        cursor: *mut ffi::sqlite3_vtab_cursor,
        context: *mut ffi::sqlite3_context,
        column: c_int,
    ) -> c_int {
        // SAFETY: see above.
        unsafe {
            let outcome = Self::on_cursor(cursor, |cursor| cursor.column(column as usize));
            status(outcome.map(|value| result(context, Ok(value))))
        }
    }

    unsafe extern "C" fn rowid(cursor: *mut ffi::sqlite3_vtab_cursor, place: *mut i64) -> c_int {
        // SAFETY: see above.
        status(unsafe { Self::on_cursor(cursor, |cursor| cursor.rowid()).map(|rowid| *place = rowid) })
    }
}

fn declare(connection: Connection, declaration: &Declaration) -> Result<()> {
    let schema = c_name(&declaration.schema)?;
    let option = match declaration.risk {
        Risk::Normal => None,
        Risk::Searching | Risk::Direct => Some(ffi::SQLITE_VTAB_DIRECTONLY),
    };
    // SAFETY: called from xCreate or xConnect alone, with an open connection and a terminated text.
    let code = unsafe {
        match api::declare_vtab(connection.raw(), schema.as_ptr()) as u32 {
            ffi::SQLITE_OK => option.map_or(0, |option| api::vtab_config(connection.raw(), option)),
            code => code as c_int,
        }
    };
    match code as u32 {
        ffi::SQLITE_OK => Ok(()),
        _ => Err(undeclared(connection.error(code), declaration)),
    }
}

/// SQLite did not take a declaration. It has code 1 both for limits of the connection that are too low for our columns, and for
/// what is no SQL; its text tells them apart. The declaration is not quoted: it could be longer than a limit lets a message be.
fn undeclared(error: Error, declaration: &Declaration) -> Error {
    let Error::Sqlite { code: 1, message } = error else { return error };
    let limit = match message.as_str() {
        text if text.starts_with("too many columns") => "SQLITE_LIMIT_COLUMN",
        "string or blob too big" => "SQLITE_LIMIT_SQL_LENGTH",
        _ => return Error::Bug(format!("SQLite refused a declaration: {message}")),
    };
    let room = format_args!("a {limit} with room for the table's declaration of {} bytes", declaration.schema.len());
    Error::expected(room, format_args!("a lower one ({message})"))
}

struct WriteCallbacks<T>(PhantomData<T>);

// SAFETY, for all callbacks below: as for `Callbacks`.
impl<T: Writable> WriteCallbacks<T> {
    const WRITE: ffi::sqlite3_module = ffi::sqlite3_module { xUpdate: Some(Self::update), ..Callbacks::<T>::BASE };

    const FUNCTION: ModuleV4 = ModuleV4 { base: Self::WRITE, integrity: None };

    const MODULE: ModuleV4 = ModuleV4 {
        base: ffi::sqlite3_module {
            xCreate: Some(Self::create),
            xDestroy: Some(Self::destroy),
            xRename: Some(Self::rename),
            xShadowName: Some(Self::shadow_name),
            ..Self::WRITE
        },
        integrity: Some(Self::integrity),
    };

    unsafe fn on_table(vtab: *mut ffi::sqlite3_vtab, body: impl FnOnce(&T) -> Result<()>) -> c_int {
        // SAFETY: see above.
        status(unsafe { settle(vtab, T::NAME, || body(Callbacks::<T>::table(vtab))) })
    }

    unsafe extern "C" fn create(
        db: *mut ffi::sqlite3,
        _data: *mut c_void,
        count: c_int,
        arguments: *const *const c_char,
        vtab: *mut *mut ffi::sqlite3_vtab,
        message: *mut *mut c_char,
    ) -> c_int {
        // SAFETY: see above.
        unsafe { Callbacks::<T>::attach(db, (count, arguments), vtab, message, T::create) }
    }

    unsafe extern "C" fn destroy(vtab: *mut ffi::sqlite3_vtab) -> c_int {
        // SAFETY: see above; after a failure SQLite keeps the table.
        unsafe {
            match Self::on_table(vtab, T::destroy) as u32 {
                ffi::SQLITE_OK => Callbacks::<T>::disconnect(vtab),
                code => code as c_int,
            }
        }
    }

    unsafe extern "C" fn update(
        vtab: *mut ffi::sqlite3_vtab,
        count: c_int,
        arguments: *mut *mut ffi::sqlite3_value,
        rowid: *mut i64,
    ) -> c_int {
        // SAFETY: see above.
        unsafe {
            let arguments = Args::new(count, arguments);
            Self::on_table(vtab, |table| {
                let inserted = table.change(change(arguments)?)?;
                if !rowid.is_null() {
                    *rowid = inserted;
                }
                Ok(())
            })
        }
    }

    unsafe extern "C" fn rename(vtab: *mut ffi::sqlite3_vtab, name: *const c_char) -> c_int {
        // SAFETY: see above; the name is terminated.
        unsafe { Self::on_table(vtab, |table| table.rename(&CStr::from_ptr(name).to_string_lossy())) }
    }

    unsafe extern "C" fn shadow_name(suffix: *const c_char) -> c_int {
        // SAFETY: see above; the name is terminated.
        let suffix = unsafe { bytes(suffix.cast(), CStr::from_ptr(suffix).count_bytes() as c_int) };
        let ours = guard(T::NAME, || Ok(T::shadow_name(&String::from_utf8_lossy(suffix))));
        c_int::from(ours.unwrap_or(false))
    }

    unsafe extern "C" fn integrity(
        vtab: *mut ffi::sqlite3_vtab,
        _schema: *const c_char,
        _name: *const c_char,
        flags: c_int,
        report: *mut *mut c_char,
    ) -> c_int {
        // SAFETY: see above.
        unsafe {
            Self::on_table(vtab, |table| {
                if let Some(text) = table.integrity(flags & 1 != 0)? {
                    *report = api::message(&text);
                }
                Ok(())
            })
        }
    }
}

/// Which change `xUpdate` asks for. In front of the columns are two rowids: the present one, and the new one. A DELETE has
/// the first alone, and an INSERT has NULL there.
fn change(arguments: Args<'_>) -> Result<Change<'_>> {
    let rowid = |at| match arguments.get(at) {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(rowid) => Ok(Some(rowid)),
        other => Err(Error::expected("an integer rowid", other)),
    };
    Ok(match (arguments.count(), rowid(0)?, rowid(1)?) {
        (1, Some(old), _) => Change::Delete(old),
        (_, None, _) => Change::Insert(Row(arguments)),
        (_, Some(_), _) => Change::Update,
    })
}
