//! A connection and its statements, with SQLite's own codes and words for what goes wrong.
//!
//! A statement that is used again and again is a [`Reusable`]. It is in no other hands than those of its [`Run`], which
//! resets it however the run ends: a statement that was left on a row refuses new parameters (SQLITE_MISUSE) for ever.

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

/// The connection a callback runs on. Borrowed from SQLite: never closed here, never kept past a module's own objects.
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

    /// Compiles a SELECT that outlives the callback we are in, and so may be finalised by the host: some do so with
    /// all that `sqlite3_next_stmt` names before they close a connection.
    ///
    /// Nobody tells us, except that SQLite destroys what is bound to a parameter. So there is one more, in an expression
    /// that is never run, and what is bound to it notices.
    pub fn prepare_kept(self, sql: &str) -> Result<Statement> {
        // Parameters are numbered from 1 without gaps, and each stands in the text.
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

    /// Runs a statement to its end.
    pub fn execute(self, sql: &str, parameters: &[Value]) -> Result<()> {
        let mut statement = self.prepare(sql)?;
        statement.bind_all(parameters)?;
        while statement.step()? {}
        Ok(())
    }

    /// Runs a statement of nothing, which leaves the connection without an error.
    pub fn clear_error(self) {
        // SAFETY: the connection is open, and the text is terminated.
        unsafe { api::exec(self.raw(), c"".as_ptr(), None, null_mut(), null_mut()) };
    }

    /// The present moment, to tell later whether rows that were read now may have changed since, by this connection.
    pub fn moment(self) -> Moment {
        // SAFETY: the connection is open; no name stands for all its databases.
        let (changes, may_roll_back) = unsafe {
            let is_written = api::txn_state(self.raw(), std::ptr::null()) == ffi::SQLITE_TXN_WRITE as i32;
            (api::total_changes64(self.raw()), is_written && api::get_autocommit(self.raw()) == 0)
        };
        Moment { changes, steps: may_roll_back.then(|| self.steps()) }
    }

    /// A number that is another whenever one of the running statements was stepped: SQLite counts what a step did at its end.
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

    /// Whether a value of a table is there and is not NULL, by a way past the authorizer of the connection, which may
    /// let statements read NULL in its place.
    pub fn has_value(self, schema: &str, table: &str, column: &str, rowid: i64) -> Result<bool> {
        let [Ok(schema), Ok(table), Ok(column)] = [schema, table, column].map(CString::new) else { return Ok(false) };
        let names = [schema.as_ptr(), table.as_ptr(), column.as_ptr()];
        // SAFETY: the connection is open and the names are terminated.
        match unsafe { api::opens_as_blob(self.raw(), names, rowid) } {
            Ok(()) => Ok(true),
            Err(code) => match self.error(code) {
                // It takes no numbers, and says that they are what is there.
                Error::Sqlite { code, message } if code == ffi::SQLITE_ERROR as i32 => {
                    Ok(message.starts_with("cannot open value of type ") && !message.ends_with(" null"))
                }
                error => Err(error),
            },
        }
    }

    /// The file behind a schema; nothing for a database in memory.
    pub fn file_name(self, schema: &str) -> Option<String> {
        let schema = CString::new(schema).ok()?;
        // SAFETY: the connection is open and the name terminated; the text is copied.
        unsafe {
            let name = api::db_filename(self.raw(), schema.as_ptr());
            let name = (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned());
            name.filter(|name| !name.is_empty())
        }
    }

    /// Fails with SQLite's own code when the statement that calls us was interrupted. For loops that step nothing else;
    /// before 3.41 there is no cheaper way to ask.
    pub fn check_interrupt(self) -> Result<()> {
        self.execute("SELECT 1", &[])
    }

    /// The same question for loops that run for long: see [`Heartbeat::check`].
    pub fn heartbeat(self) -> Result<Heartbeat> {
        // SQLite counts the instructions of each statement, and calls a progress handler after a certain number of them. So
        // one statement is kept for all questions, and it has many instructions.
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

    fn error(self, code: i32) -> Error {
        // SAFETY: the connection is open; the text is copied before anything else can replace it.
        unsafe {
            let message = CStr::from_ptr(api::errmsg(self.raw())).to_string_lossy().into_owned();
            let extended = api::extended_errcode(self.raw());
            Error::Sqlite { code: if extended & 0xff == code & 0xff { extended } else { code }, message }
        }
    }
}

/// A point in the work of a connection. While it is the same, rows that the connection reads are the same.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Moment {
    /// Rows changed so far.
    changes: i64,
    /// Where changes may be undone, which nothing counts: only the step that we are in is the same moment, for ROLLBACK and
    /// ROLLBACK TO can only come between two.
    steps: Option<i64>,
}

/// Asks SQLite now and then whether to go on. Lives no longer than the callback that made it.
pub struct Heartbeat {
    statement: RefCell<Statement>,
    next: Cell<Instant>,
}

impl Heartbeat {
    /// Fails with SQLite's own code when the statement that calls us was interrupted, or when a progress handler ends it. It
    /// may be called as often as one likes: SQLite is asked every few milliseconds.
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

/// A prepared statement; finalised when dropped.
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

/// SQLite destroys what was bound to a statement of [`Connection::prepare_kept`].
unsafe extern "C" fn finalised(handle: *mut c_void) {
    // SAFETY: the pointer is of `Weak::into_raw`, and comes back once.
    let handle = unsafe { Weak::from_raw(handle.cast_const().cast::<Handle>()) };
    // Where we finalise it ourselves, the handle is gone already.
    if let Some(handle) = handle.upgrade() {
        handle.raw.set(null_mut());
    }
}

impl Statement {
    /// Null where the host has finalised it.
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
    pub fn is_gone(&self) -> bool {
        self.raw().is_null()
    }

    /// Whether it has begun a run and not ended it.
    pub fn is_running(&self) -> bool {
        // SAFETY: the statement is live.
        !self.is_gone() && unsafe { api::stmt_busy(self.raw()) } != 0
    }

    /// Moves to the next row, if there is one. A step that fails ends the run.
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

    /// How often SQLite has compiled the statement anew because a schema had changed.
    pub fn times_recompiled(&self) -> Result<i32> {
        let raw = self.live()?;
        // SAFETY: the statement is live.
        Ok(unsafe { api::stmt_status(raw, ffi::SQLITE_STMTSTATUS_REPREPARE as i32, 0) })
    }

    /// Whether a result column is a column of a table with a declared type, or a rowid: an expression is not, nor is a
    /// column for which the authorizer has put NULL. Where SQLite cannot tell, it is taken for one.
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

    /// Binds a place that a function of SQLite's writes to. It must live until the statement has run.
    pub fn bind_place<T>(&mut self, at: i32, place: &mut *mut T, kind: &'static CStr) -> Result<()> {
        let raw = self.live()?;
        // SAFETY: the statement is live, and the kind is static text.
        let code = unsafe { api::bind_pointer(raw, at, std::ptr::from_mut(place).cast(), kind.as_ptr(), None) };
        if code == ffi::SQLITE_OK as i32 { Ok(()) } else { Err(self.0.connection.error(code)) }
    }

    /// The value of a column in the present row.
    ///
    /// Taken as one `sqlite3_value`: each `sqlite3_column_` call locks the connection, which a scan would pay four times a
    /// row.
    #[inline]
    pub fn column(&self, at: i32) -> ValueRef<'_> {
        // SAFETY: the statement is live or null, and a null statement and a column out of range read as NULL. Only callbacks of
        // SQLite's use this type, which run with the connection locked, so the value is protected; it lives until the next
        // step, which needs `&mut self`.
        unsafe { read(api::column_value(self.raw(), at)) }
    }

    /// A column as an integer, converted as SQLite does.
    #[inline]
    pub fn integer(&self, at: i32) -> i64 {
        // SAFETY: as in `column`.
        unsafe { api::column_int64(self.raw(), at) }
    }

    /// A column as text, converted as SQLite does; invalid UTF-8 is replaced.
    pub fn text(&self, at: i32) -> String {
        // SAFETY: as in `column`.
        let text = unsafe {
            let text = api::column_text(self.raw(), at);
            bytes(text, api::column_bytes(self.raw(), at))
        };
        String::from_utf8_lossy(text).into_owned()
    }
}

/// A place where one statement waits between its runs.
#[derive(Default)]
pub struct Reusable(Rc<Cell<Option<Compiled>>>);

struct Compiled {
    /// Tells it from another that waits in the same place.
    name: String,
    statement: Statement,
}

impl Reusable {
    /// A run of the statement of this name: of the one that waits here, or one that is compiled now.
    pub fn run(&self, connection: Connection, name: &str, sql: impl FnOnce() -> String) -> Result<Run> {
        let statement = match self.waiting(name) {
            Some(run) => return Ok(run),
            None => connection.prepare_kept(&sql())?,
        };
        Ok(self.lend(Compiled { name: name.to_string(), statement }))
    }

    /// The same where it waits already. One of another name is given up.
    pub fn waiting(&self, name: &str) -> Option<Run> {
        let compiled = self.0.take()?;
        (compiled.name == name && !compiled.statement.is_gone()).then(|| self.lend(compiled))
    }

    /// Gives up the statement that waits.
    pub fn clear(&self) {
        self.0.take();
    }

    fn lend(&self, Compiled { name, statement }: Compiled) -> Run {
        Run { name, statement, home: self.0.clone() }
    }
}

/// One run of a statement, which then waits again.
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
