//! What the routine table of a linked SQLite has beside what `api` names: the routines with a variable number of arguments, those
//! that `api` looks for before the table is accepted, and those that a SQLite can be built without.

use super::ffi;
use std::ffi::{c_char, c_int, c_void};

// SAFETY: declared as in sqlite3.h.
unsafe extern "C" {
    fn sqlite3_libversion_number() -> c_int;
    fn sqlite3_log(code: c_int, format: *const c_char, ...);
    fn sqlite3_malloc(bytes: c_int) -> *mut c_void;
    fn sqlite3_vtab_config(db: *mut ffi::sqlite3, option: c_int, ...) -> c_int;
}

/// The rest of the table.
pub const REST: ffi::sqlite3_api_routines = ffi::sqlite3_api_routines {
    libversion_number: Some(sqlite3_libversion_number),
    log: Some(sqlite3_log),
    malloc: Some(sqlite3_malloc),
    vtab_config: Some(sqlite3_vtab_config),
    ..optional::ROUTINES
};

// SAFETY: every field is an optional function, and zeros are none.
pub const NONE: ffi::sqlite3_api_routines = unsafe { std::mem::zeroed() };

/// A SQLite may be built without these, and a program that names one of them would then not link.
#[cfg(not(target_family = "wasm"))]
mod optional {
    pub use super::NONE as ROUTINES;
}

/// In a module of WASM the SQLite is compiled for it, with all of them.
#[cfg(target_family = "wasm")]
mod optional {
    use super::{NONE, c_char, c_int, c_void, ffi};

    type Rows = Option<unsafe extern "C" fn(*mut ffi::sqlite3_context, c_int, *mut *mut ffi::sqlite3_value)>;
    type Value = Option<unsafe extern "C" fn(*mut ffi::sqlite3_context)>;

    // SAFETY: declared as in sqlite3.h.
    unsafe extern "C" {
        fn sqlite3_blob_open(
            db: *mut ffi::sqlite3,
            schema: *const c_char,
            table: *const c_char,
            column: *const c_char,
            rowid: i64,
            flags: c_int,
            blob: *mut *mut ffi::sqlite3_blob,
        ) -> c_int;
        fn sqlite3_blob_close(blob: *mut ffi::sqlite3_blob) -> c_int;
        fn sqlite3_column_decltype(statement: *mut ffi::sqlite3_stmt, column: c_int) -> *const c_char;
        fn sqlite3_create_window_function(
            db: *mut ffi::sqlite3,
            name: *const c_char,
            arity: c_int,
            flags: c_int,
            data: *mut c_void,
            step: Rows,
            last: Value,
            value: Value,
            inverse: Rows,
            destructor: Option<unsafe extern "C" fn(*mut c_void)>,
        ) -> c_int;
        fn sqlite3_table_column_metadata(
            db: *mut ffi::sqlite3,
            schema: *const c_char,
            table: *const c_char,
            column: *const c_char,
            kind: *mut *const c_char,
            collation: *mut *const c_char,
            not_null: *mut c_int,
            key: *mut c_int,
            counts: *mut c_int,
        ) -> c_int;
    }

    pub const ROUTINES: ffi::sqlite3_api_routines = ffi::sqlite3_api_routines {
        blob_open: Some(sqlite3_blob_open),
        blob_close: Some(sqlite3_blob_close),
        column_decltype: Some(sqlite3_column_decltype),
        create_window_function: Some(sqlite3_create_window_function),
        table_column_metadata: Some(sqlite3_table_column_metadata),
        ..NONE
    };
}
