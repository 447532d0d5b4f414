//! The entry points that this library exports. They register what `lib.rs` lists.

use super::entry::enter;
use super::ffi;
use crate::error::{Error, Result};
use crate::register;
use crate::resources::config;
use std::ffi::{c_char, c_int};

/// The entry point of the loadable library. The library stays loaded until the process ends, because its threads and caches
/// outlive the connection.
///
/// # Safety
/// For SQLite alone to call.
#[cfg(feature = "loadable")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sqlite3_fafcas_init(
    db: *mut ffi::sqlite3,
    message: *mut *mut c_char,
    host: *const ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: SQLite calls this as it documents for entry points.
    unsafe { enter_loaded(db, message, host, config::schema_search()) }
}

/// The same for a connection whose databases are trusted: views and triggers that they store may search.
///
/// # Safety
/// For SQLite alone to call.
#[cfg(feature = "loadable")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sqlite3_fafcas_schema_search_init(
    db: *mut ffi::sqlite3,
    message: *mut *mut c_char,
    host: *const ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: SQLite calls this as it documents for entry points.
    unsafe { enter_loaded(db, message, host, config::SchemaSearch::Allowed) }
}

#[cfg(feature = "loadable")]
unsafe fn enter_loaded(
    db: *mut ffi::sqlite3,
    message: *mut *mut c_char,
    host: *const ffi::sqlite3_api_routines,
    search: config::SchemaSearch,
) -> c_int {
    let welcome = ffi::SQLITE_OK_LOAD_PERMANENTLY as c_int;
    // SAFETY: the caller's.
    unsafe { enter(db, message, host, welcome, |connection| register(connection, search)) }
}

/// [`sqlite3_fafcas_init`] under the name that SQLite tries first. So the library file may have any name.
///
/// # Safety
/// For SQLite alone to call.
#[cfg(feature = "loadable")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sqlite3_extension_init(
    db: *mut ffi::sqlite3,
    message: *mut *mut c_char,
    host: *const ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: SQLite calls this as it documents for entry points.
    unsafe { sqlite3_fafcas_init(db, message, host) }
}

/// The entry point for programs that link SQLite and this crate. They pass it to `sqlite3_auto_extension`.
///
/// # Safety
/// For SQLite alone to call.
pub unsafe extern "C" fn linked_init(
    db: *mut ffi::sqlite3,
    message: *mut *mut c_char,
    host: *const ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: SQLite calls this as it documents for entry points.
    unsafe {
        enter(db, message, host, ffi::SQLITE_OK as c_int, |connection| register(connection, config::schema_search()))
    }
}

/// [`linked_init`] under the name that `include/fafcas.h` declares, for programs that link the static library. It does not
/// export `sqlite3_extension_init` too: two extensions in one program would both define that name.
///
/// # Safety
/// For SQLite alone to call.
#[cfg(all(feature = "static", not(feature = "loadable")))]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sqlite3_fafcas_init(
    db: *mut ffi::sqlite3,
    message: *mut *mut c_char,
    host: *const ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: SQLite calls this as it documents for entry points.
    unsafe { linked_init(db, message, host) }
}

/// [`config::allow_schema_search`] for C, as `include/fafcas.h` declares it.
#[cfg(all(feature = "static", not(feature = "loadable")))]
#[unsafe(no_mangle)]
pub extern "C" fn fafcas_allow_schema_search() {
    config::allow_schema_search();
}

/// Gives every connection that this process opens from now on the functions of this crate.
///
/// For programs that link SQLite, such as those that use rusqlite with its feature `bundled`. It is inlined, so that only
/// such programs refer to SQLite's symbol. The loadable library must not, because it has no SQLite to link with.
#[inline]
pub fn register_auto_extension() -> Result<()> {
    type EntryPoint = unsafe extern "C" fn();
    unsafe extern "C" {
        fn sqlite3_auto_extension(entry: Option<EntryPoint>) -> c_int;
    }
    let entry = linked_init as *const ();
    // SAFETY: SQLite declares entry points without their arguments and calls them with the three that ours has.
    let code = unsafe { sqlite3_auto_extension(Some(std::mem::transmute::<*const (), EntryPoint>(entry))) };
    match code as u32 {
        ffi::SQLITE_OK => Ok(()),
        _ => Err(Error::Sqlite { code, message: "SQLite did not take the extension".into() }),
    }
}
