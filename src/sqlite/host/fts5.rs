//! The interface of FTS5 for auxiliary functions. SQLite's headers for extensions leave it out, so it is declared here.
//!
//! Both structures are declared with the fields that they have in SQLite 3.38, in the same order. Later versions only add
//! fields at the end. A field that is never called is declared by its size alone.

use super::api;
use super::args::Args;
use super::connection::Connection;
use super::entry::{c_name, guard, result};
use super::ffi;
use super::value::Value;
use crate::error::{Error, Result};
use std::any::Any;
use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;

/// The message of a function that FTS5 did not know when the statement was prepared.
pub const RUN_AGAIN: &str = "if it is one, run the statement again";

/// What FTS5 keeps for the statement that is running.
#[repr(C)]
struct Context {
    _private: [u8; 0],
}

type Unused = Option<unsafe extern "C" fn()>;
type EachRow = unsafe extern "C" fn(*const Extension, *mut Context, *mut c_void) -> c_int;
type Call = unsafe extern "C" fn(
    *const Extension,
    *mut Context,
    *mut ffi::sqlite3_context,
    c_int,
    *mut *mut ffi::sqlite3_value,
);

/// `Fts5ExtensionApi`.
#[repr(C)]
struct Extension {
    version: c_int,
    user_data: Option<unsafe extern "C" fn(*mut Context) -> *mut c_void>,
    column_count: Option<unsafe extern "C" fn(*mut Context) -> c_int>,
    row_count: Option<unsafe extern "C" fn(*mut Context, *mut i64) -> c_int>,
    column_total_size: Option<unsafe extern "C" fn(*mut Context, c_int, *mut i64) -> c_int>,
    tokenize: Unused,
    phrase_count: Option<unsafe extern "C" fn(*mut Context) -> c_int>,
    phrase_size: Option<unsafe extern "C" fn(*mut Context, c_int) -> c_int>,
    inst_count: Option<unsafe extern "C" fn(*mut Context, *mut c_int) -> c_int>,
    inst: Option<unsafe extern "C" fn(*mut Context, c_int, *mut c_int, *mut c_int, *mut c_int) -> c_int>,
    rowid: Unused,
    column_text: Unused,
    column_size: Option<unsafe extern "C" fn(*mut Context, c_int, *mut c_int) -> c_int>,
    query_phrase: Option<unsafe extern "C" fn(*mut Context, c_int, *mut c_void, EachRow) -> c_int>,
    set_auxdata:
        Option<unsafe extern "C" fn(*mut Context, *mut c_void, Option<unsafe extern "C" fn(*mut c_void)>) -> c_int>,
    get_auxdata: Option<unsafe extern "C" fn(*mut Context, c_int) -> *mut c_void>,
}

/// `fts5_api`.
#[repr(C)]
struct Registry {
    version: c_int,
    create_tokenizer: Unused,
    find_tokenizer: Unused,
    create_function: Option<
        unsafe extern "C" fn(
            *mut Registry,
            *const c_char,
            *mut c_void,
            Option<Call>,
            Option<unsafe extern "C" fn(*mut c_void)>,
        ) -> c_int,
    >,
}

/// An auxiliary function.
pub struct Auxiliary {
    /// The name in SQL.
    pub name: &'static str,
    /// Computes the value of a row.
    pub call: fn(Match<'_>, Args<'_>) -> Result<Value>,
}

/// A row that a MATCH has found, while a function is called for it.
pub struct Match<'a> {
    extension: &'a Extension,
    context: *mut Context,
}

/// One occurrence of a phrase in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instance {
    /// The phrase's number in the query.
    pub phrase: usize,
    /// The number of the column.
    pub column: usize,
}

/// Registers the functions with the FTS5 of a connection. False if the connection has no FTS5, or if it cannot be reached
/// now.
///
/// FTS5 is reached by a SELECT. Newer versions of SQLite read the schema first, and that fails if the file is locked,
/// damaged, or encrypted and its key is not set yet. The connection must not keep such an error: if this library is an
/// automatic extension, `sqlite3_open` would return it.
pub fn register(connection: Connection, functions: &'static [Auxiliary]) -> Result<bool> {
    let registry = registry(connection);
    // The connection keeps the error of a failure until something succeeds.
    connection.clear_error();
    let Some(registry) = registry else { return Ok(false) };
    for function in functions {
        let name = c_name(function.name)?;
        let data = std::ptr::from_ref(function).cast_mut().cast();
        // SAFETY: FTS5 gave the table for this connection; the name is copied, and the data are static.
        let code = unsafe {
            match registry.as_ref().and_then(|registry| registry.create_function) {
                Some(create) => create(registry, name.as_ptr(), data, Some(call), None),
                None => return Ok(false),
            }
        };
        if code != ffi::SQLITE_OK as c_int {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Registers an ordinary function under each of the names. SQLite calls it where FTS5 does not know the name: outside of a
/// query with MATCH, or if [`register`] came too early. Where FTS5 knows the name, FTS5's function is called.
pub fn register_stand_ins(connection: Connection, functions: &'static [Auxiliary]) -> Result<()> {
    for function in functions {
        let name = c_name(function.name)?;
        let data = std::ptr::from_ref(function).cast_mut().cast();
        let (db, flags) = (connection.raw(), ffi::SQLITE_UTF8 as c_int);
        // SAFETY: the connection is open, the name terminated, and the data static.
        let code =
            unsafe { api::create_function_v2(db, name.as_ptr(), -1, flags, data, Some(stand_in), None, None, None) };
        if code != ffi::SQLITE_OK as c_int {
            return Err(Error::Mistake(format!("SQLite did not take the function {}", function.name)));
        }
    }
    Ok(())
}

/// Is called in place of a function that FTS5 does not know. It registers the function, so that the next statement has it,
/// and fails with a message that says so.
///
/// It cannot answer SQLITE_SCHEMA, which lets SQLite prepare the running statement again: rows that were given already would
/// come twice.
unsafe extern "C" fn stand_in(answer: *mut ffi::sqlite3_context, count: c_int, values: *mut *mut ffi::sqlite3_value) {
    // SAFETY: SQLite passes the context of this call, and the data are those of `register_stand_ins`.
    let (db, function) =
        unsafe { (api::context_db_handle(answer), api::user_data(answer).cast::<Auxiliary>().as_ref()) };
    let name = function.map_or("", |function| function.name);
    let outcome = guard(name, || {
        // SAFETY: the connection of a call is open.
        let connection = unsafe { Connection::new(db) }?;
        let is_known = function.map_or(Ok(false), |function| register(connection, std::slice::from_ref(function)))?;
        if !is_known {
            return Err(Error::expected("an SQLite with FTS5", "one without, or one that cannot read its file now"));
        }
        // SAFETY: the arguments of this call.
        let given = unsafe { Args::new(count, values) }.get(0);
        Err(Error::expected("an FTS5 table in a query with MATCH", format_args!("{given} ({RUN_AGAIN})")))
    });
    // SAFETY: `answer` is the context of this call.
    unsafe { result(answer, outcome) };
}

/// FTS5's table of functions, got as its documentation says: FTS5 writes the pointer to a place that is bound.
fn registry(connection: Connection) -> Option<*mut Registry> {
    let mut registry: *mut Registry = null_mut();
    let mut statement = connection.prepare("SELECT fts5(?1)").ok()?;
    statement.bind_place(1, &mut registry, c"fts5_api_ptr").ok()?;
    let _ = statement.step();
    drop(statement);
    // If the function of this name is not FTS5's, it writes nothing.
    let known = !registry.is_null();
    // SAFETY: where FTS5 wrote it, it is a table that lives as long as the connection.
    (known && unsafe { (*registry).version } >= 2).then_some(registry)
}

/// FTS5 calls this for all our functions. The data say which one.
unsafe extern "C" fn call(
    extension: *const Extension,
    context: *mut Context,
    answer: *mut ffi::sqlite3_context,
    count: c_int,
    values: *mut *mut ffi::sqlite3_value,
) {
    // SAFETY: FTS5 passes its own table, the running statement, and the data that `register` gave it.
    let (function, row, arguments) = unsafe {
        let extension = &*extension;
        let data = extension.user_data.map_or(null_mut(), |user_data| user_data(context));
        (data.cast::<Auxiliary>().as_ref(), Match { extension, context }, Args::new(count, values))
    };
    let outcome = match function {
        Some(function) => guard(function.name, || (function.call)(row, arguments)),
        None => Err(Error::Bug("FTS5 called a function of no name".into())),
    };
    // SAFETY: `answer` is the context of this call.
    unsafe { result(answer, outcome) };
}

/// An error of FTS5. It has a code, but no text.
fn failed(code: c_int, what: &str) -> Error {
    let message = match code as u32 & 0xff {
        // As SQLite says it, and everything else that is interrupted.
        ffi::SQLITE_INTERRUPT => "interrupted".into(),
        _ => format!("FTS5 failed to give {what} (code {code})"),
    };
    Error::Sqlite { code, message }
}

fn missing() -> Error {
    Error::expected("an FTS5 with the functions of SQLite 3.38", "one that lacks some")
}

impl Match<'_> {
    /// How many columns the table has.
    pub fn columns(&self) -> usize {
        // SAFETY: the statement is running.
        let count = self.extension.column_count.map_or(0, |count| unsafe { count(self.context) });
        usize::try_from(count).unwrap_or(0)
    }

    /// How many rows the table has.
    pub fn rows(&self) -> Result<i64> {
        let mut rows = 0;
        // SAFETY: the statement is running, and the place is a local one.
        let code = unsafe { self.extension.row_count.ok_or_else(missing)?(self.context, &mut rows) };
        if code == ffi::SQLITE_OK as c_int { Ok(rows) } else { Err(failed(code, "the number of rows")) }
    }

    /// How many words all rows have.
    pub fn words(&self) -> Result<i64> {
        let mut words = 0;
        // SAFETY: as in `rows`; -1 asks for all columns.
        let code = unsafe { self.extension.column_total_size.ok_or_else(missing)?(self.context, -1, &mut words) };
        if code == ffi::SQLITE_OK as c_int { Ok(words) } else { Err(failed(code, "the number of words")) }
    }

    /// How many words the row has. Negative if the table does not store the lengths of its rows.
    pub fn length(&self) -> Result<i64> {
        let mut length = 0;
        // SAFETY: as in `rows`; -1 asks for all columns.
        let code = unsafe { self.extension.column_size.ok_or_else(missing)?(self.context, -1, &mut length) };
        if code == ffi::SQLITE_OK as c_int { Ok(length.into()) } else { Err(failed(code, "the length of a row")) }
    }

    /// How many phrases the query has. Zero without MATCH.
    pub fn phrases(&self) -> usize {
        // SAFETY: the statement is running.
        let count = self.extension.phrase_count.map_or(0, |count| unsafe { count(self.context) });
        usize::try_from(count).unwrap_or(0)
    }

    /// How many rows have a phrase. `None` for a phrase without words, which FTS5 finds in no row.
    pub fn rows_with(&self, phrase: usize) -> Result<Option<i64>> {
        unsafe extern "C" fn count(_: *const Extension, _: *mut Context, rows: *mut c_void) -> c_int {
            // SAFETY: the place that was passed below, while it lives.
            unsafe { *rows.cast::<i64>() += 1 };
            ffi::SQLITE_OK as c_int
        }
        let phrase = c_int::try_from(phrase).map_err(|_| Error::expected("fewer phrases", phrase))?;
        // SAFETY: the statement is running.
        let size = unsafe { self.extension.phrase_size.ok_or_else(missing)?(self.context, phrase) };
        if size == 0 {
            return Ok(None);
        }
        let mut rows: i64 = 0;
        let place = std::ptr::from_mut(&mut rows).cast();
        // SAFETY: as above; `count` gets the place back while this runs.
        let code = unsafe { self.extension.query_phrase.ok_or_else(missing)?(self.context, phrase, place, count) };
        if code == ffi::SQLITE_OK as c_int { Ok(Some(rows)) } else { Err(failed(code, "the rows with a phrase")) }
    }

    /// Calls `each` for each occurrence of a phrase in the row.
    pub fn each_instance(&self, mut with: impl FnMut(Instance)) -> Result<()> {
        let mut count = 0;
        // SAFETY: the statement is running, and the place is a local one.
        let code = unsafe { self.extension.inst_count.ok_or_else(missing)?(self.context, &mut count) };
        if code != ffi::SQLITE_OK as c_int {
            return Err(failed(code, "the places of the words"));
        }
        let inst = self.extension.inst.ok_or_else(missing)?;
        for at in 0..count {
            let (mut phrase, mut column, mut offset) = (0, 0, 0);
            // SAFETY: as above.
            let code = unsafe { inst(self.context, at, &mut phrase, &mut column, &mut offset) };
            if code != ffi::SQLITE_OK as c_int {
                return Err(failed(code, "the place of a word"));
            }
            if let (Ok(phrase), Ok(column)) = (usize::try_from(phrase), usize::try_from(column)) {
                with(Instance { phrase, column });
            }
        }
        Ok(())
    }

    /// A value that is kept until the statement ends. `make` makes it at the first call.
    pub fn kept<T: Any>(&self, make: impl FnOnce(&Self) -> Result<T>) -> Result<&T> {
        unsafe extern "C" fn drop_it<T>(data: *mut c_void) {
            // SAFETY: the pointer comes from `Box::into_raw` below, and comes back once.
            drop(unsafe { Box::from_raw(data.cast::<T>()) });
        }
        let (get, set) = self.extension.get_auxdata.zip(self.extension.set_auxdata).ok_or_else(missing)?;
        // SAFETY: the statement is running. FTS5 keeps such data for each function apart, and ours keeps one type.
        if let Some(kept) = unsafe { get(self.context, 0).cast::<T>().as_ref() } {
            return Ok(kept);
        }
        let data = Box::into_raw(Box::new(make(self)?));
        // SAFETY: as above. FTS5 takes the data over, and destroys them also where it fails.
        let code = unsafe { set(self.context, data.cast(), Some(drop_it::<T>)) };
        if code != ffi::SQLITE_OK as c_int {
            return Err(failed(code, "a place to keep the query's weights"));
        }
        // SAFETY: FTS5 keeps the data until the statement ends or they are set anew, which is after this call.
        unsafe { data.as_ref() }.ok_or_else(missing)
    }
}
