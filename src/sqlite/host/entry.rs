//! What all entry points do, and how scalar functions are registered.
//!
//! There are two ways to register a scalar function. In the loadable library (feature `loadable`, the default) the crate
//! `sqlite-loadable` does it. In a Rust program that links this crate it cannot: a patch replaces that crate's bindings, and
//! Cargo uses a patch only in the workspace that states it. Without the feature, the code at the end of this file does it.

use super::api;
use super::args::Args;
use super::connection::Connection;
use super::ffi;
use super::value::Value;
use crate::error::{Error, Result};
use std::ffi::{CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(feature = "loadable")]
use std::sync::atomic::{AtomicBool, Ordering};

/// A scalar function of SQL. The macro `scalar!` makes one.
pub struct Scalar {
    /// The name in SQL.
    pub name: &'static str,
    /// How many arguments; -1 for any number.
    pub arity: i32,
    /// What SQLite may assume of it, and where it may be called.
    pub trust: Trust,
    /// Registers it on a connection.
    pub register: fn(Connection, &Scalar) -> Result<()>,
}

/// What SQLite may assume of a function, and where it may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The result depends on the arguments alone. It may be called everywhere, also in indexes and in schemas that are not
    /// trusted.
    Pure,
    /// Deterministic, but refused in schemas that are not trusted.
    Deterministic,
    /// Two calls with the same arguments may give different results.
    Volatile,
    /// It changes the process. It may be called only in statements of the program itself, never in views or triggers.
    Direct,
}

impl Trust {
    /// The flags that say so to SQLite.
    pub fn flags(self) -> c_int {
        let flags = match self {
            Self::Pure => ffi::SQLITE_DETERMINISTIC | ffi::SQLITE_INNOCUOUS,
            Self::Deterministic => ffi::SQLITE_DETERMINISTIC,
            Self::Volatile => 0,
            Self::Direct => ffi::SQLITE_DIRECTONLY,
        };
        (ffi::SQLITE_UTF8 | flags) as c_int
    }
}

/// Makes a [`Scalar`] of a name, the number of arguments, the trust and a Rust function `fn(Args) -> Result<Value>`.
macro_rules! scalar {
    ($name:literal, $arity:expr, $trust:ident, $call:path) => {
        $crate::sqlite::host::entry::Scalar {
            name: $name,
            arity: $arity,
            trust: $crate::sqlite::host::entry::Trust::$trust,
            // The closure captures nothing, so nothing has to be freed when the connection is closed.
            register: |connection, scalar| {
                $crate::sqlite::host::entry::define(connection, scalar, |arguments| {
                    $crate::sqlite::host::entry::guard($name, || $call(arguments))
                })
            },
        }
    };
}
pub(crate) use scalar;

/// Runs `body`. A panic becomes an error, and the message of an error gets `name` in front. Every callback of SQLite runs in
/// here, because a panic that reaches SQLite's C code would end the host program.
pub fn guard<T>(name: &str, body: impl FnOnce() -> Result<T>) -> Result<T> {
    let outcome = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(Error::Bug(format!("panic: {}", text.as_deref().unwrap_or("of unknown kind"))))
    });
    outcome.map_err(|error| error.within(name))
}

/// The SQLite result code that goes with an error.
pub fn code(error: &Error) -> c_int {
    match error {
        Error::Mistake(_) => ffi::SQLITE_ERROR as c_int,
        Error::Damaged(_) => ffi::SQLITE_CORRUPT_VTAB as c_int,
        Error::Memory(_) => ffi::SQLITE_NOMEM as c_int,
        Error::Bug(_) => ffi::SQLITE_INTERNAL as c_int,
        Error::Sqlite { code, .. } => *code,
    }
}

/// Sets the result of a function or of a virtual table's column.
///
/// # Safety
/// `context` is that of the running call.
pub unsafe fn result(context: *mut ffi::sqlite3_context, outcome: Result<Value>) {
    // SAFETY: the caller's; SQLite copies what the pointers name before it returns.
    unsafe {
        match outcome {
            Ok(Value::Null) => api::result_null(context),
            Ok(Value::Integer(x)) => api::result_int64(context, x),
            Ok(Value::Real(x)) => api::result_double(context, x),
            Ok(Value::Text(text)) => {
                let (at, length) = (text.as_ptr().cast(), text.len() as u64);
                api::result_text64(context, at, length, api::transient(), ffi::SQLITE_UTF8 as u8);
            }
            Ok(Value::Blob(blob)) => {
                api::result_blob64(context, blob.as_ptr().cast(), blob.len() as u64, api::transient());
            }
            Err(error) => {
                // Programs read a message up to its first NUL, and ours quote what the user wrote.
                let text = error.to_string().replace('\0', "");
                api::result_error(context, text.as_ptr().cast(), text.len() as c_int);
                api::result_error_code(context, code(&error));
            }
        }
    }
}

/// What all entry points do: take the host's routines, register everything, and hand over a message if that fails.
///
/// # Safety
/// As SQLite calls an extension's entry point.
pub unsafe fn enter(
    db: *mut ffi::sqlite3,
    message: *mut *mut c_char,
    host: *const ffi::sqlite3_api_routines,
    welcome: c_int,
    register: impl FnOnce(Connection) -> Result<()>,
) -> c_int {
    let host = api::offered(host);
    // SAFETY: the caller's.
    let entered = unsafe { api::accept(host) }.and_then(|()| {
        guard("fafcas", || {
            announce(host);
            // SAFETY: SQLite passes an open connection.
            register(unsafe { Connection::new(db) }?)
        })
        .map_err(|error| error.to_string())
    });
    match entered {
        Ok(()) => welcome,
        Err(text) => {
            // SAFETY: SQLite passes null or a place for a message in its own memory, which it frees.
            unsafe {
                if let Some(place) = message.as_mut() {
                    *place = api::message_of(host, &text);
                }
            }
            ffi::SQLITE_ERROR as c_int
        }
    }
}

#[cfg(feature = "loadable")]
fn announce(host: *const ffi::sqlite3_api_routines) {
    // Other threads read it without a lock, so it is not written again: each accepted table is the same. Nobody waits for another
    // thread, as a process that is forked at that moment would wait for ever.
    static ANNOUNCED: AtomicBool = AtomicBool::new(false);
    if !ANNOUNCED.load(Ordering::Acquire) {
        // SAFETY: the table was accepted; both declarations are of the same generated file.
        unsafe { sqlite_loadable::ext::faux_sqlite_extension_init2(host.cast_mut().cast()) };
        ANNOUNCED.store(true, Ordering::Release);
    }
}

#[cfg(not(feature = "loadable"))]
fn announce(_host: *const ffi::sqlite3_api_routines) {}

/// Registers `function` under the name, arity and trust of `scalar`.
#[cfg(feature = "loadable")]
pub fn define<F>(connection: Connection, scalar: &Scalar, function: F) -> Result<()>
where
    F: Fn(Args<'_>) -> Result<Value> + Copy + 'static,
{
    use sqlite_loadable::ext::{sqlite3_context, sqlite3_value};
    use sqlite_loadable::scalar::{FunctionFlags, define_scalar_function};
    // SAFETY: any combination of bits is a value of the flags, which are handed to SQLite as they are.
    let flags = unsafe { FunctionFlags::from_bits_unchecked(scalar.trust.flags()) };
    let callback = move |context: *mut sqlite3_context, values: &[*mut sqlite3_value]| {
        // SAFETY: SQLite's own arguments of this very call, under the names of the same generated file.
        unsafe { result(context.cast(), function(Args::new(values.len() as c_int, values.as_ptr().cast()))) };
        Ok(())
    };
    define_scalar_function(connection.raw().cast(), scalar.name, scalar.arity, callback, flags)
        .map_err(|_| unregistered(scalar))
}

/// Registers `function` under the name, arity and trust of `scalar`.
#[cfg(not(feature = "loadable"))]
pub fn define<F>(connection: Connection, scalar: &Scalar, _function: F) -> Result<()>
where
    F: Fn(Args<'_>) -> Result<Value> + Copy + 'static,
{
    unsafe extern "C" fn callback<F: Fn(Args<'_>) -> Result<Value>>(
        context: *mut ffi::sqlite3_context,
        count: c_int,
        values: *mut *mut ffi::sqlite3_value,
    ) {
        const { assert!(size_of::<F>() == 0) };
        // SAFETY: a value of no size is read from nowhere, and one was there when the function was registered; the rest are
        // SQLite's own arguments of this very call.
        unsafe {
            let function = std::ptr::NonNull::<F>::dangling().as_ref();
            result(context, function(Args::new(count, values)));
        }
    }
    let name = c_name(scalar.name)?;
    // SAFETY: the connection is open and the name terminated; the callback needs no data.
    let code = unsafe {
        api::create_function_v2(
            connection.raw(),
            name.as_ptr(),
            scalar.arity,
            scalar.trust.flags(),
            std::ptr::null_mut(),
            Some(callback::<F>),
            None,
            None,
            None,
        )
    };
    if code == ffi::SQLITE_OK as c_int { Ok(()) } else { Err(unregistered(scalar)) }
}

fn unregistered(scalar: &Scalar) -> Error {
    Error::Mistake(format!("SQLite did not take the function {}", scalar.name))
}

/// One of our names as a C string.
pub fn c_name(name: &str) -> Result<CString> {
    CString::new(name).map_err(|_| Error::Bug(format!("a NUL in the name {name:?}")))
}
