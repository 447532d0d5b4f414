//! A connection and its statements, with SQLite's own codes and words for what goes wrong.

use super::api;
use super::args::{Value, ValueRef, bytes, read};
use super::ffi;
use crate::error::{Error, Result};
use std::ffi::{CStr, CString};
use std::ptr::NonNull;

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
        let mut raw = std::ptr::null_mut();
        // SAFETY: the text is readable for `length` bytes, and `raw` receives the statement.
        let code =
            unsafe { api::prepare_v3(self.raw(), sql.as_ptr().cast(), length, 0, &mut raw, std::ptr::null_mut()) };
        match NonNull::new(raw) {
            Some(raw) if code == ffi::SQLITE_OK as i32 => Ok(Statement { raw, connection: self }),
            _ if code == ffi::SQLITE_OK as i32 => Err(Error::Bug(format!("no statement in {sql:?}"))),
            _ => Err(self.error(code)),
        }
    }

    /// Runs a statement to its end.
    pub fn execute(self, sql: &str, parameters: &[Value]) -> Result<()> {
        let mut statement = self.prepare(sql)?;
        statement.bind_all(parameters)?;
        while statement.step()? {}
        Ok(())
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

    /// Whether a statement that writes is running, perhaps the one that calls us.
    pub fn is_writing(self) -> bool {
        let mut statement = std::ptr::null_mut();
        loop {
            // SAFETY: the connection is open, and locked by the callback we are in, so that its list of statements stands
            // still; the pointer is null or the last that was named.
            statement = unsafe { api::next_stmt(self.raw(), statement) };
            if statement.is_null() {
                return false;
            }
            // SAFETY: SQLite just named it.
            if unsafe { api::stmt_busy(statement) != 0 && api::stmt_readonly(statement) == 0 } {
                return true;
            }
        }
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

/// A prepared statement; finalised when dropped.
#[derive(Debug)]
pub struct Statement {
    raw: NonNull<ffi::sqlite3_stmt>,
    connection: Connection,
}

impl Drop for Statement {
    fn drop(&mut self) {
        // SAFETY: the statement is ours alone; an error of its last step was reported then.
        unsafe { api::finalize(self.raw.as_ptr()) };
    }
}

impl Statement {
    /// Moves to the next row, if there is one.
    #[inline]
    pub fn step(&mut self) -> Result<bool> {
        // SAFETY: the statement is live.
        match unsafe { api::step(self.raw.as_ptr()) } as u32 {
            ffi::SQLITE_ROW => Ok(true),
            ffi::SQLITE_DONE => Ok(false),
            code => Err(self.connection.error(code as i32)),
        }
    }

    /// Makes the statement ready to run again and gives up its locks. Bound values stay.
    pub fn reset(&mut self) {
        // SAFETY: the statement is live; reset repeats the error of the last step, which was reported then.
        unsafe { api::reset(self.raw.as_ptr()) };
    }

    /// How often SQLite has compiled the statement anew because a schema had changed.
    pub fn times_recompiled(&self) -> i32 {
        // SAFETY: the statement is live.
        unsafe { api::stmt_status(self.raw.as_ptr(), ffi::SQLITE_STMTSTATUS_REPREPARE as i32, 0) }
    }

    /// Whether a result column is a column of a table with a declared type, or a rowid: an expression is not, nor is a
    /// column for which the authorizer has put NULL. Where SQLite cannot tell, it is taken for one.
    pub fn is_declared(&self, at: i32) -> bool {
        // SAFETY: the statement is live; a column out of range has no type.
        unsafe { api::column_decltype(self.raw.as_ptr(), at).is_none_or(|name| !name.is_null()) }
    }

    /// Binds all parameters in order.
    pub fn bind_all(&mut self, values: &[Value]) -> Result<()> {
        (1..).zip(values).try_for_each(|(at, value)| self.bind(at, value.borrow()))
    }

    /// Binds the parameter `at`, counted from 1. Texts and blobs are copied.
    pub fn bind(&mut self, at: i32, value: ValueRef<'_>) -> Result<()> {
        let raw = self.raw.as_ptr();
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
        if code == ffi::SQLITE_OK as i32 { Ok(()) } else { Err(self.connection.error(code)) }
    }

    /// The value of a column in the present row.
    ///
    /// Taken as one `sqlite3_value`: each `sqlite3_column_` call locks the connection, which a scan would pay four times a
    /// row.
    #[inline]
    pub fn column(&self, at: i32) -> ValueRef<'_> {
        // SAFETY: the statement is live; a column out of range reads as NULL. Only callbacks of SQLite's use this type, which
        // run with the connection locked, so the value is protected; it lives until the next step, which needs `&mut self`.
        unsafe { read(api::column_value(self.raw.as_ptr(), at)) }
    }

    /// A column as an integer, converted as SQLite does.
    #[inline]
    pub fn integer(&self, at: i32) -> i64 {
        // SAFETY: as in `column`.
        unsafe { api::column_int64(self.raw.as_ptr(), at) }
    }

    /// A column as text, converted as SQLite does; invalid UTF-8 is replaced.
    pub fn text(&self, at: i32) -> String {
        // SAFETY: as in `column`.
        let text = unsafe {
            let text = api::column_text(self.raw.as_ptr(), at);
            bytes(text, api::column_bytes(self.raw.as_ptr(), at))
        };
        String::from_utf8_lossy(text).into_owned()
    }
}
