//! A connection and its statements. An error has SQLite's own code and text.
//!
//! A statement that is used again and again waits in a [`Reusable`]. While it runs, only its [`Run`] has it, and resets it
//! however the run ends. A statement that is left on a row would refuse new parameters (SQLITE_MISUSE) for ever.

use super::api;
use super::args::{bytes, read};
use super::ffi;
use super::value::{Value, ValueRef};
use crate::error::{Error, Result};
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_void};
use std::ops::{Deref, DerefMut};
use std::ptr::{NonNull, null_mut};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// The connection that a callback runs on. It belongs to SQLite: it is never closed here, and is kept no longer than the
/// tables, cursors and functions that SQLite holds for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Connection(NonNull<ffi::sqlite3>);

impl Connection {
    /// Wraps a handle of SQLite's.
    ///
    /// # Safety
    /// `db` is open and stays so as long as the result or a statement of it is used.
    pub unsafe fn new(db: *mut ffi::sqlite3) -> Result<Self> {
        NonNull::new(db).map(Self).ok_or_else(|| Error::Bug("SQLite passed no connection".into()))
    }

    /// The handle, for the modules beside this one.
    pub fn raw(self) -> *mut ffi::sqlite3 {
        self.0.as_ptr()
    }

    /// Compiles the first statement of `sql`.
    pub fn prepare(self, sql: &str) -> Result<Statement> {
        let length = i32::try_from(sql.len()).map_err(|_| Error::expected("a statement under 2 GB", "a longer one"))?;
        let mut raw = null_mut();
        // SAFETY: the text is readable for `length` bytes, and `raw` receives the statement.
        let code = unsafe { api::prepare_v3(self.raw(), sql.as_ptr().cast(), length, 0, &mut raw, null_mut()) };
        match code as u32 {
            ffi::SQLITE_OK if raw.is_null() => Err(Error::Bug(format!("no statement in {sql:?}"))),
            ffi::SQLITE_OK => Ok(Statement(Rc::new(Handle { raw: Cell::new(raw), connection: self }))),
            _ => Err(self.error(code)),
        }
    }

    /// Compiles a SELECT that is kept after this callback has ended. So the host may finalise it: before they close a
    /// connection, some hosts finalise every statement that `sqlite3_next_stmt` names.
    ///
    /// Nobody tells us of that. But SQLite calls the destructor of a pointer that is bound to a parameter. So the statement
    /// gets one more parameter, in an expression that is never run, and the destructor of its pointer tells us.
    pub fn prepare_kept(self, sql: &str) -> Result<Statement> {
        // Parameters are numbered from 1 without gaps, and each occurs once in the text.
        let last = sql.matches('?').count() as i32 + 1;
        let statement = self.prepare(&format!("WITH \"fafcas notices\"(x) AS (SELECT ?{last}) {sql}"))?;
        let raw = statement.0.raw.get();
        let handle = Rc::downgrade(&statement.0).into_raw().cast_mut().cast();
        // SAFETY: the statement is live, the name is static, and `finalised` gets the pointer once, also if this fails.
        let code = unsafe { api::bind_pointer(raw, last, handle, c"fafcas".as_ptr(), Some(finalised)) };
        if code == ffi::SQLITE_OK as i32 {
            return Ok(statement);
        }
        statement.0.raw.set(raw);
        Err(self.error(code))
    }

    /// How many parameters a statement of [`Connection::prepare_kept`] may have. A host that runs SQL of others may allow ten.
    pub fn most_parameters(self) -> usize {
        // SAFETY: the connection is open; a negative number changes nothing.
        let most = unsafe { api::limit(self.raw(), ffi::SQLITE_LIMIT_VARIABLE_NUMBER as i32, -1) };
        usize::try_from(most).unwrap_or(0).saturating_sub(1)
    }

    /// Runs a statement to its end.
    pub fn execute(self, sql: &str, parameters: &[Value]) -> Result<()> {
        let mut statement = self.prepare(sql)?;
        statement.bind_all(parameters)?;
        while statement.step()? {}
        Ok(())
    }

    /// Removes the error that the connection keeps, by running an empty statement.
    pub fn clear_error(self) {
        // SAFETY: the connection is open, and the text is terminated.
        unsafe { api::exec(self.raw(), c"".as_ptr(), None, null_mut(), null_mut()) };
    }

    /// The present moment. Comparing it with a later one tells whether this connection may have changed rows in between.
    pub fn moment(self) -> Moment {
        // SAFETY: the connection is open; no name stands for all its databases.
        let (changes, may_roll_back) = unsafe {
            let is_written = api::txn_state(self.raw(), std::ptr::null()) == ffi::SQLITE_TXN_WRITE as i32;
            (api::total_changes64(self.raw()), is_written && api::get_autocommit(self.raw()) == 0)
        };
        Moment { changes, steps: may_roll_back.then(|| self.steps()) }
    }

    /// A number that changes with every step of a running statement. SQLite adds the instructions of a step when the step ends.
    fn steps(self) -> i64 {
        let counter = ffi::SQLITE_STMTSTATUS_VM_STEP as i32;
        // SAFETY: SQLite just named the statements, and no callback of ours ends one.
        self.statements().map(|statement| i64::from(unsafe { api::stmt_status(statement, counter, 0) })).sum()
    }

    /// How many rows this connection has changed since it was opened.
    pub fn total_changes(self) -> i64 {
        // SAFETY: the connection is open.
        unsafe { api::total_changes64(self.raw()) }
    }

    /// Whether the open transaction has written to a schema, or is about to.
    pub fn has_written(self, schema: &str) -> bool {
        let Ok(schema) = CString::new(schema) else { return false };
        // SAFETY: the connection is open and the name terminated.
        unsafe { api::txn_state(self.raw(), schema.as_ptr()) == ffi::SQLITE_TXN_WRITE as i32 }
    }

    /// Whether a table has this row with a value that is not NULL. Statements cannot tell, because the authorizer of the
    /// connection may let them read NULL in its place. Opening the value as a BLOB does not ask the authorizer.
    pub fn has_value(self, schema: &str, table: &str, column: &str, rowid: i64) -> Result<bool> {
        let [Ok(schema), Ok(table), Ok(column)] = [schema, table, column].map(CString::new) else { return Ok(false) };
        let names = [schema.as_ptr(), table.as_ptr(), column.as_ptr()];
        // SAFETY: the connection is open and the names are terminated.
        match unsafe { api::opens_as_blob(self.raw(), names, rowid) } {
            Ok(()) => Ok(true),
            Err(code) => match self.error(code) {
                // A number cannot be opened as a BLOB. The message says that there is one.
                Error::Sqlite { code, message } if code == ffi::SQLITE_ERROR as i32 => {
                    Ok(message.starts_with("cannot open value of type ") && !message.ends_with(" null"))
                }
                error => Err(error),
            },
        }
    }

    /// Whether this name of the rowid means the rowid of a table: another column may have the name. Nothing is read.
    pub fn means_rowid(self, schema: &str, table: &str, rowid: &str) -> bool {
        let [Ok(schema), Ok(table), Ok(rowid)] = [schema, table, rowid].map(CString::new) else { return false };
        // SAFETY: the connection is open and the names are terminated.
        unsafe { api::means_rowid(self.raw(), [schema.as_ptr(), table.as_ptr(), rowid.as_ptr()]) }
    }

    /// The file of a schema; `None` for a database in memory.
    pub fn file_name(self, schema: &str) -> Option<String> {
        let schema = CString::new(schema).ok()?;
        // SAFETY: the connection is open and the name terminated; the text is copied.
        unsafe {
            let name = api::db_filename(self.raw(), schema.as_ptr());
            let name = (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned());
            name.filter(|name| !name.is_empty())
        }
    }

    /// Fails with SQLite's own code if the statement that calls us was interrupted. For loops that step no statement of their
    /// own. Before SQLite 3.41 there is no cheaper way to ask.
    pub fn check_interrupt(self) -> Result<()> {
        self.execute("SELECT 1", &[])
    }

    /// The same for loops that run for a long time: see [`Heartbeat::check`].
    pub fn heartbeat(self) -> Result<Heartbeat> {
        // SQLite calls a progress handler after a certain number of instructions of one statement. So one statement asks every
        // time, and it has many instructions: 200 rows.
        let statement = self.prepare(&format!("VALUES {}", ["(1)"; 200].join(",")))?;
        Ok(Heartbeat { statement: RefCell::new(statement), next: Cell::new(Instant::now()) })
    }

    /// Whether a statement that writes is running, perhaps the one that calls us.
    pub fn is_writing(self) -> bool {
        // SAFETY: SQLite just named it.
        self.statements().any(|statement| unsafe { api::stmt_readonly(statement) } == 0)
    }

    /// The statements that are running.
    fn statements(self) -> impl Iterator<Item = *mut ffi::sqlite3_stmt> {
        let mut last = null_mut();
        let next = move || {
            // SAFETY: the connection is open, and locked by the callback we are in, so that its list of statements stands
            // still; the pointer is null or the last that was named.
            last = unsafe { api::next_stmt(self.raw(), last) };
            (!last.is_null()).then_some(last)
        };
        // SAFETY: as above.
        std::iter::from_fn(next).filter(|statement| unsafe { api::stmt_busy(*statement) } != 0)
    }

    /// The error that a routine has just returned, with SQLite's text for it.
    pub(super) fn error(self, code: i32) -> Error {
        // SAFETY: the connection is open; the text is copied before anything else can replace it.
        unsafe {
            let message = CStr::from_ptr(api::errmsg(self.raw())).to_string_lossy().into_owned();
            let extended = api::extended_errcode(self.raw());
            Error::Sqlite { code: if extended & 0xff == code & 0xff { extended } else { code }, message }
        }
    }
}

/// A moment in the work of a connection. As long as it is equal, the connection itself has not changed the rows it reads.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Moment {
    /// Rows changed so far.
    changes: i64,
    /// Set in a transaction that has written. ROLLBACK and ROLLBACK TO may undo changes there, and SQLite does not count that.
    /// Both can only come between two steps, so the moment lasts until the present step ends.
    steps: Option<i64>,
}

/// Asks SQLite from time to time whether to go on. It must be dropped before the callback that made it ends.
pub struct Heartbeat {
    statement: RefCell<Statement>,
    next: Cell<Instant>,
}

impl Heartbeat {
    /// Fails with SQLite's own code if the statement that calls us was interrupted, or if a progress handler ends it. It costs
    /// little: SQLite is asked at most every 5 ms.
    pub fn check(&self) -> Result<()> {
        const PAUSE: Duration = Duration::from_millis(5);
        if Instant::now() < self.next.get() {
            return Ok(());
        }
        let mut statement = self.statement.try_borrow_mut().map_err(|_| Error::Bug("asked while it asks".into()))?;
        let ended = loop {
            match statement.step() {
                Ok(true) => {}
                ended => break ended.map(drop),
            }
        };
        statement.reset();
        self.next.set(Instant::now() + PAUSE);
        ended
    }
}

/// A prepared statement. It is finalised when it is dropped.
#[derive(Debug)]
pub struct Statement(Rc<Handle>);

#[derive(Debug)]
struct Handle {
    /// Null once the host has finalised the statement.
    raw: Cell<*mut ffi::sqlite3_stmt>,
    connection: Connection,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the statement is ours alone, or null, which is ignored; an error of its last step was reported then.
        unsafe { api::finalize(self.raw.get()) };
    }
}

/// The destructor of the pointer that is bound to a statement of [`Connection::prepare_kept`].
unsafe extern "C" fn finalised(handle: *mut c_void) {
    // SAFETY: the pointer is of `Weak::into_raw`, and comes back once.
    let handle = unsafe { Weak::from_raw(handle.cast_const().cast::<Handle>()) };
    // If we finalise the statement ourselves, the handle is gone already.
    if let Some(handle) = handle.upgrade() {
        handle.raw.set(null_mut());
    }
}

impl Statement {
    /// Null if the host has finalised it.
    #[inline]
    fn raw(&self) -> *mut ffi::sqlite3_stmt {
        self.0.raw.get()
    }

    #[inline]
    fn live(&self) -> Result<*mut ffi::sqlite3_stmt> {
        let gone = || Error::expected("the host to finalise statements of its own alone", "those of fafcas");
        if self.is_gone() { Err(gone()) } else { Ok(self.raw()) }
    }

    /// Whether the host has finalised it.
    #[inline]
    fn is_gone(&self) -> bool {
        self.raw().is_null()
    }

    /// Whether a run has begun and not ended.
    pub fn is_running(&self) -> bool {
        // SAFETY: the statement is live.
        !self.is_gone() && unsafe { api::stmt_busy(self.raw()) } != 0
    }

    /// Moves to the next row. False if there is none. A step that fails ends the run.
    #[inline]
    pub fn step(&mut self) -> Result<bool> {
        let raw = self.live()?;
        // SAFETY: the statement is live.
        match unsafe { api::step(raw) } as u32 {
            ffi::SQLITE_ROW => Ok(true),
            ffi::SQLITE_DONE => Ok(false),
            code => {
                let error = self.0.connection.error(code as i32);
                self.reset();
                Err(error)
            }
        }
    }

    /// Makes the statement ready to run again and gives up its locks. Bound values stay.
    pub fn reset(&mut self) {
        // SAFETY: the statement is live, or null, which is ignored; reset repeats the error of the last step, which was
        // reported then.
        unsafe { api::reset(self.raw()) };
    }

    /// How often SQLite has compiled the statement again because a schema had changed.
    pub fn times_recompiled(&self) -> Result<i32> {
        let raw = self.live()?;
        // SAFETY: the statement is live.
        Ok(unsafe { api::stmt_status(raw, ffi::SQLITE_STMTSTATUS_REPREPARE as i32, 0) })
    }

    /// Whether a result column is a column of a table with a declared type, or a rowid. It is not if it is an expression, or if
    /// the authorizer has put NULL in its place. If this build of SQLite cannot tell, the answer is yes.
    pub fn is_declared(&self, at: i32) -> bool {
        let Ok(raw) = self.live() else { return false };
        // SAFETY: the statement is live; a column out of range has no type.
        unsafe { api::column_decltype(raw, at).is_none_or(|name| !name.is_null()) }
    }

    /// Binds all parameters in order.
    pub fn bind_all(&mut self, values: &[Value]) -> Result<()> {
        (1..).zip(values).try_for_each(|(at, value)| self.bind(at, value.borrow()))
    }

    /// Binds the parameter `at`, counted from 1. Texts and blobs are copied.
    pub fn bind(&mut self, at: i32, value: ValueRef<'_>) -> Result<()> {
        let raw = self.live()?;
        // SAFETY: the statement is live, and SQLite copies what the pointers name before it returns. A null
        // pointer would bind NULL, but that of an empty slice is not null.
        let code = unsafe {
            match value {
                ValueRef::Null => api::bind_null(raw, at),
                ValueRef::Integer(x) => api::bind_int64(raw, at, x),
                ValueRef::Real(x) => api::bind_double(raw, at, x),
                ValueRef::Text(text) => {
                    let length = text.len() as u64;
                    api::bind_text64(raw, at, text.as_ptr().cast(), length, api::transient(), ffi::SQLITE_UTF8 as u8)
                }
                ValueRef::Blob(blob) => {
                    api::bind_blob64(raw, at, blob.as_ptr().cast(), blob.len() as u64, api::transient())
                }
            }
        };
        if code == ffi::SQLITE_OK as i32 { Ok(()) } else { Err(self.0.connection.error(code)) }
    }

    /// Binds a pointer to a place that a function of SQLite writes to. The place must live until the statement has run.
    pub fn bind_place<T>(&mut self, at: i32, place: &mut *mut T, kind: &'static CStr) -> Result<()> {
        let raw = self.live()?;
        // SAFETY: the statement is live, and the kind is static text.
        let code = unsafe { api::bind_pointer(raw, at, std::ptr::from_mut(place).cast(), kind.as_ptr(), None) };
        if code == ffi::SQLITE_OK as i32 { Ok(()) } else { Err(self.0.connection.error(code)) }
    }

    /// The value of a column in the present row.
    ///
    /// It is read as one `sqlite3_value`, because each call of a `sqlite3_column_` routine locks the connection. A scan would
    /// pay for that four times for each row.
    #[inline]
    pub fn column(&self, at: i32) -> ValueRef<'_> {
        // SAFETY: the statement is live or null, and a null statement and a column out of range read as NULL. Only callbacks of
        // SQLite's use this type, which run with the connection locked, so the value is protected. It lives until the next step
        // or until the column is converted to text, which both need `&mut self`.
        unsafe { read(api::column_value(self.raw(), at)) }
    }

    /// A column as an integer, converted as SQLite does.
    #[inline]
    pub fn integer(&self, at: i32) -> i64 {
        // SAFETY: as in `column`.
        unsafe { api::column_int64(self.raw(), at) }
    }

    /// A column as text, converted as SQLite does. Invalid UTF-8 is replaced. SQLite converts the column where it is.
    pub fn text(&mut self, at: i32) -> String {
        // SAFETY: as in `column`; nothing that was read from the row before is borrowed any more.
        let text = unsafe {
            let text = api::column_text(self.raw(), at);
            bytes(text, api::column_bytes(self.raw(), at))
        };
        String::from_utf8_lossy(text).into_owned()
    }
}

/// Keeps one statement between its runs.
#[derive(Default)]
pub struct Reusable(Rc<Cell<Option<Compiled>>>);

struct Compiled {
    /// Which statement it is: other ones may wait here at other times.
    name: String,
    statement: Statement,
}

impl Reusable {
    /// Runs the statement of this name. If it does not wait here, it is compiled now.
    pub fn run(&self, connection: Connection, name: &str, sql: impl FnOnce() -> String) -> Result<Run> {
        let statement = match self.waiting(name) {
            Some(run) => return Ok(run),
            None => connection.prepare_kept(&sql())?,
        };
        Ok(self.lend(Compiled { name: name.to_string(), statement }))
    }

    /// Runs the statement of this name if it waits here. A statement of another name is dropped.
    pub fn waiting(&self, name: &str) -> Option<Run> {
        let compiled = self.0.take()?;
        (compiled.name == name && !compiled.statement.is_gone()).then(|| self.lend(compiled))
    }

    /// Drops the statement that waits here.
    pub fn clear(&self) {
        self.0.take();
    }

    fn lend(&self, Compiled { name, statement }: Compiled) -> Run {
        Run { name, statement, home: self.0.clone() }
    }
}

/// One run of a statement. When it is dropped, the statement waits again.
pub struct Run {
    name: String,
    statement: Statement,
    home: Rc<Cell<Option<Compiled>>>,
}

impl Deref for Run {
    type Target = Statement;

    #[inline]
    fn deref(&self) -> &Statement {
        &self.statement
    }
}

impl DerefMut for Run {
    #[inline]
    fn deref_mut(&mut self) -> &mut Statement {
        &mut self.statement
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.statement.reset();
        let statement = Statement(self.statement.0.clone());
        self.home.set(Some(Compiled { name: std::mem::take(&mut self.name), statement }));
    }
}
