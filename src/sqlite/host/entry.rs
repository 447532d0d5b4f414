//! How the library is let in: the entry points' common part, and the registration of scalar functions.
//!
//! There are two doors. Loaded into a host (feature `loadable`, the default), registration goes through `sqlite-loadable`.
//! Linked into a Rust program, it cannot: that crate's bindings are replaced by a patch, and a patch holds only in the
//! workspace that states it. Without the feature the same table of functions is registered by the few lines at the end.

use super::api;
use super::args::Args;
use super::connection::Connection;
use super::ffi;
use super::value::Value;
use crate::error::{Error, Result};
use std::ffi::{CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A scalar SQL function. The macro `scalar!` makes one.
pub struct Scalar {
    /// The name in SQL.
    pub name: &'static str,
    /// How many arguments; -1 for any number.
    pub arity: i32,
    /// When it may be called, and what SQLite may assume.
    pub trust: Trust,
    /// Registers it on a connection.
    pub register: fn(Connection, &Scalar) -> Result<()>,
}

/// What SQLite may assume of a function, and where it may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Computes from its arguments alone: usable everywhere, indexes and untrusted schemas included.
    Pure,
    /// Deterministic, but of default risk: refused in schemas that are not trusted.
    Deterministic,
    /// May answer differently each time.
    Volatile,
    /// Changes the process: only in statements the program itself writes, never in views or triggers.
    Direct,
}

impl Trust {
    fn flags(self) -> c_int {
        let flags = match self {
            Self::Pure => ffi::SQLITE_DETERMINISTIC | ffi::SQLITE_INNOCUOUS,
            Self::Deterministic => ffi::SQLITE_DETERMINISTIC,
            Self::Volatile => 0,
            Self::Direct => ffi::SQLITE_DIRECTONLY,
        };
        (ffi::SQLITE_UTF8 | flags) as c_int
    }
}

/// Lists a scalar function: name, arity, trust and the Rust function, `fn(Args) -> Result<Value>`.
macro_rules! scalar {
    ($name:literal, $arity:expr, $trust:ident, $call:path) => {
        $crate::sqlite::host::entry::Scalar {
            name: $name,
            arity: $arity,
            trust: $crate::sqlite::host::entry::Trust::$trust,
            // The closure captures nothing, so it takes no memory that a closing connection would have to free.
            register: |connection, scalar| {
                $crate::sqlite::host::entry::define(connection, scalar, |arguments| {
                    $crate::sqlite::host::entry::guard($name, || $call(arguments))
                })
            },
        }
    };
}
pub(crate) use scalar;

/// Runs `body` so that neither an error nor a panic gets past it, with `name` in front of the message.
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
                let text = error.to_string();
                api::result_error(context, text.as_ptr().cast(), text.len() as c_int);
                api::result_error_code(context, code(&error));
            }
        }
    }
}

/// What both entry points do: take the host's routines, register everything, and put a refusal into words.
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
    // SAFETY: the table was accepted; both declarations are of the same generated file.
    unsafe { sqlite_loadable::ext::faux_sqlite_extension_init2(host.cast_mut().cast()) }
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

/// A name of ours as C wants it.
pub fn c_name(name: &str) -> Result<CString> {
    CString::new(name).map_err(|_| Error::Bug(format!("a NUL in the name {name:?}")))
}
