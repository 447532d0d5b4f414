#![doc = include_str!("README.md")]
// What SQL can reach must neither panic nor write to the host's terminal.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::print_stdout,
        clippy::print_stderr
    )
)]

pub mod cache;
pub mod codec;
pub mod config;
pub mod cost;
pub mod embed;
pub mod error;
pub mod index;
pub mod invariants;
pub mod kernels;
pub mod metric;
pub mod options;
pub mod plan;
pub mod pool;
pub mod process;
pub mod progress;
pub mod projection;
pub mod ranking;
mod reserve;
pub mod rowset;
pub mod scan;
mod sqlite;
pub mod stats;
pub mod topk;
pub mod vector;

use error::{Error, Result};
use sqlite::chunk::Chunk;
use sqlite::connection::Connection;
use sqlite::door::{Scalar, enter, scalar};
use sqlite::embed_rows::EmbedRows;
use sqlite::embedding as e;
use sqlite::fafcas_health::FafcasHealth;
use sqlite::fafcas_models::FafcasModels;
use sqlite::ffi;
use sqlite::functions as f;
use sqlite::vec_index::VecIndex;
use sqlite::vec_map::VecMap;
use sqlite::vec_mmr::VecMmr;
use sqlite::vec_stats::VecStats;
use sqlite::vec_topk::VecTopk;
use sqlite::vec_topk_many::VecTopkMany;
use sqlite::vtab::{register_function, register_module, register_writable_function};
use std::ffi::{c_char, c_int};

/// Every scalar function: its name in SQL, how many arguments, how far it is trusted, and the code.
const SCALARS: &[Scalar] = &[
    scalar!("fafcas_normalize", 1, Pure, f::fafcas_normalize),
    scalar!("vec_dot", 2, Pure, f::vec_dot),
    scalar!("rrf", -1, Pure, f::rrf),
    scalar!("vec_version", 0, Pure, f::vec_version),
    scalar!("embed", 1, Deterministic, e::embed),
    scalar!("embed", 2, Deterministic, e::embed),
    scalar!("embed_tokens", 1, Deterministic, e::embed_tokens),
    scalar!("embed_tokens", 2, Deterministic, e::embed_tokens),
    scalar!("fafcas_info", 0, Volatile, f::fafcas_info),
    scalar!("fafcas_config", 1, Direct, f::fafcas_config),
    scalar!("fafcas_config", 2, Direct, f::fafcas_config),
];

/// Every table function and module.
const TABLES: &[fn(Connection) -> Result<()>] = &[
    register_function::<VecTopk>,
    register_function::<VecTopkMany>,
    register_function::<VecMmr>,
    register_function::<VecMap>,
    register_function::<EmbedRows>,
    register_function::<Chunk>,
    register_function::<FafcasHealth>,
    register_function::<FafcasModels>,
    register_writable_function::<VecStats>,
    register_module::<VecIndex>,
];

fn register(connection: Connection) -> Result<()> {
    SCALARS.iter().try_for_each(|scalar| (scalar.register)(connection, scalar))?;
    TABLES.iter().try_for_each(|table| table(connection))
}

/// The entry point of the loadable library. It stays loaded for good: threads and caches outlive the connection.
///
/// # Safety
/// For SQLite alone to call.
#[cfg(feature = "loadable")]
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sqlite3_fafcas_init(
    db: *mut ffi::sqlite3,
    message: *mut *mut c_char,
    host: *const ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: SQLite calls this as it documents for entry points.
    unsafe { enter(db, message, host, ffi::SQLITE_OK_LOAD_PERMANENTLY as c_int, register) }
}

/// The same under the name that SQLite tries first, for a library file under any name.
///
/// # Safety
/// For SQLite alone to call.
#[cfg(feature = "loadable")]
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sqlite3_extension_init(
    db: *mut ffi::sqlite3,
    message: *mut *mut c_char,
    host: *const ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: SQLite calls this as it documents for entry points.
    unsafe { sqlite3_fafcas_init(db, message, host) }
}

/// The entry point for programs that link SQLite and this crate, to be passed to `sqlite3_auto_extension`.
///
/// # Safety
/// For SQLite alone to call.
#[allow(unsafe_code)]
pub unsafe extern "C" fn linked_init(
    db: *mut ffi::sqlite3,
    message: *mut *mut c_char,
    host: *const ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: SQLite calls this as it documents for entry points.
    unsafe { enter(db, message, host, ffi::SQLITE_OK as c_int, register) }
}

/// [`linked_init`] under the name that `include/fafcas.h` declares, for programs that link the static library. There is no
/// `sqlite3_extension_init` beside it: two extensions in one program would both have it.
///
/// # Safety
/// For SQLite alone to call.
#[cfg(all(feature = "static", not(feature = "loadable")))]
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sqlite3_fafcas_init(
    db: *mut ffi::sqlite3,
    message: *mut *mut c_char,
    host: *const ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: SQLite calls this as it documents for entry points.
    unsafe { linked_init(db, message, host) }
}

/// Gives every connection that this process opens from now on the functions of this crate.
///
/// For programs that link SQLite, such as those that use rusqlite with its feature `bundled`. It is inlined so that only
/// they refer to SQLite's symbol: the loadable library must not, as it has no SQLite to link with.
#[inline]
#[allow(unsafe_code)]
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
