//! The routines of the SQLite that loaded us.
//!
//! A loadable extension does not link with SQLite. The host passes a table of function pointers to the entry point. The table
//! is checked once and kept until the process ends. The functions below call through it. Only routines of SQLite 3.38 are
//! named here: those of later versions lie behind the end of the table of an older host. With the feature `static` the table can
//! also be made of the symbols of a linked SQLite.

use super::ffi;
use std::ffi::{CStr, c_char, c_int, c_uchar, c_uint, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

/// The oldest SQLite whose table has every routine named here. `vtab_in` and those like it came with 3.38.
const OLDEST: c_int = 3_038_000;

static API: AtomicPtr<ffi::sqlite3_api_routines> = AtomicPtr::new(std::ptr::null_mut());

/// Takes the host's table, or says why this host cannot use the extension.
///
/// A second table means that the process has two SQLites, such as Python's own and that of apsw. It is refused, because calls
/// for its connections would run through the code of the first SQLite.
///
/// # Safety
/// `table` is null or points to the routine table of a SQLite that stays loaded as long as this library.
pub unsafe fn accept(table: *const ffi::sqlite3_api_routines) -> Result<(), String> {
    // SAFETY: the caller passes null or a routine table; both fields read here exist in every version.
    let version = unsafe { table.as_ref() }
        .and_then(|table| table.libversion_number)
        .map(|version| unsafe { version() })
        .ok_or("fafcas: expected SQLite's routine table, not NULL (this SQLite is built without extension loading)")?;
    if version < OLDEST {
        return Err(format!("fafcas: expected SQLite 3.38.0 or newer, not {}", dotted(version)));
    }
    // SAFETY: at 3.38 and above the table has every field that `missing` reads.
    if let Some(name) = missing(unsafe { &*table }) {
        return Err(format!("fafcas: expected a SQLite with sqlite3_{name}, not a build that leaves it out"));
    }
    match API.compare_exchange(std::ptr::null_mut(), table.cast_mut(), Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Ok(()),
        Err(first) if std::ptr::eq(first, table) => Ok(()),
        Err(_) => Err(format!(
            "fafcas: expected one SQLite library per process, not a second one ({}) beside the one it was loaded by first",
            dotted(version)
        )),
    }
}

fn dotted(version: c_int) -> String {
    format!("{}.{}.{}", version / 1_000_000, version / 1000 % 1000, version % 1000)
}

fn table() -> &'static ffi::sqlite3_api_routines {
    // SAFETY: nothing is registered with SQLite before `accept` stored a table that lives as long as the process.
    unsafe { &*API.load(Ordering::Acquire) }
}

macro_rules! routines {
    ($($symbol:literal fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)?;)*) => {
        $(
            /// SQLite's routine of this name.
            ///
            /// # Safety
            /// As SQLite documents for `sqlite3_` + this name.
            #[inline]
            #[allow(dead_code, clippy::too_many_arguments)]
            pub unsafe fn $name($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: `accept` refused tables in which this routine is missing; the rest is the caller's to ensure.
                unsafe { table().$name.unwrap_unchecked()($($arg),*) }
            }
        )*

        /// The first routine that this build of SQLite leaves out, if there is one.
        fn missing(table: &ffi::sqlite3_api_routines) -> Option<&'static str> {
            $(
                if table.$name.is_none() {
                    return Some(stringify!($name));
                }
            )*
            if table.log.is_none() {
                return Some("log");
            }
            table.vtab_config.is_none().then_some("vtab_config")
        }

        /// The table of the SQLite that this program links, for a SQLite that hands over none.
        #[cfg(all(feature = "static", not(feature = "loadable")))]
        fn linked() -> *const ffi::sqlite3_api_routines {
            // SAFETY: declared as in sqlite3.h, which the fields of the table have their types from too.
            unsafe extern "C" {
                $(
                    #[link_name = $symbol]
                    fn $name($($arg: $ty),*) $(-> $ret)?;
                )*
            }
            static TABLE: ffi::sqlite3_api_routines =
                ffi::sqlite3_api_routines { $($name: Some($name),)* ..super::linked::REST };
            &TABLE
        }
    };
}

/// The table to use where the host hands over `table`.
///
/// A SQLite that is built without extension loading hands over null, and a program that links this crate as the feature `static`
/// has it links that SQLite's routines as well.
pub fn offered(table: *const ffi::sqlite3_api_routines) -> *const ffi::sqlite3_api_routines {
    #[cfg(all(feature = "static", not(feature = "loadable")))]
    if table.is_null() {
        return linked();
    }
    table
}

type Destructor = Option<unsafe extern "C" fn(*mut c_void)>;
type ScalarCallback = Option<unsafe extern "C" fn(*mut ffi::sqlite3_context, c_int, *mut *mut ffi::sqlite3_value)>;
type FinalCallback = Option<unsafe extern "C" fn(*mut ffi::sqlite3_context)>;

/// SQLITE_TRANSIENT: SQLite copies a text or blob before the call returns.
pub fn transient() -> Destructor {
    // SAFETY: SQLite compares this value with -1 and never calls it.
    Some(unsafe { std::mem::transmute::<isize, unsafe extern "C" fn(*mut c_void)>(-1) })
}

routines! {
    "sqlite3_libversion" fn libversion() -> *const c_char;
    "sqlite3_malloc64" fn malloc64(bytes: u64) -> *mut c_void;
    "sqlite3_free" fn free(memory: *mut c_void);

    "sqlite3_open_v2" fn open_v2(name: *const c_char, db: *mut *mut ffi::sqlite3, flags: c_int, vfs: *const c_char) -> c_int;
    "sqlite3_close_v2" fn close_v2(db: *mut ffi::sqlite3) -> c_int;
    "sqlite3_limit" fn limit(db: *mut ffi::sqlite3, which: c_int, most: c_int) -> c_int;
    "sqlite3_prepare_v3" fn prepare_v3(
        db: *mut ffi::sqlite3,
        sql: *const c_char,
        bytes: c_int,
        flags: c_uint,
        statement: *mut *mut ffi::sqlite3_stmt,
        tail: *mut *const c_char,
    ) -> c_int;
    "sqlite3_step" fn step(statement: *mut ffi::sqlite3_stmt) -> c_int;
    "sqlite3_reset" fn reset(statement: *mut ffi::sqlite3_stmt) -> c_int;
    "sqlite3_finalize" fn finalize(statement: *mut ffi::sqlite3_stmt) -> c_int;
    "sqlite3_exec" fn exec(
        db: *mut ffi::sqlite3,
        sql: *const c_char,
        row: Option<unsafe extern "C" fn(*mut c_void, c_int, *mut *mut c_char, *mut *mut c_char) -> c_int>,
        data: *mut c_void,
        message: *mut *mut c_char,
    ) -> c_int;
    "sqlite3_bind_null" fn bind_null(statement: *mut ffi::sqlite3_stmt, index: c_int) -> c_int;
    "sqlite3_bind_int64" fn bind_int64(statement: *mut ffi::sqlite3_stmt, index: c_int, value: i64) -> c_int;
    "sqlite3_bind_double" fn bind_double(statement: *mut ffi::sqlite3_stmt, index: c_int, value: f64) -> c_int;
    "sqlite3_bind_text64" fn bind_text64(
        statement: *mut ffi::sqlite3_stmt,
        index: c_int,
        text: *const c_char,
        bytes: u64,
        destructor: Destructor,
        encoding: c_uchar,
    ) -> c_int;
    "sqlite3_bind_blob64" fn bind_blob64(
        statement: *mut ffi::sqlite3_stmt,
        index: c_int,
        blob: *const c_void,
        bytes: u64,
        destructor: Destructor,
    ) -> c_int;
    "sqlite3_bind_pointer" fn bind_pointer(
        statement: *mut ffi::sqlite3_stmt,
        index: c_int,
        pointer: *mut c_void,
        kind: *const c_char,
        destructor: Destructor,
    ) -> c_int;
    "sqlite3_column_value" fn column_value(statement: *mut ffi::sqlite3_stmt, column: c_int) -> *mut ffi::sqlite3_value;
    "sqlite3_column_int64" fn column_int64(statement: *mut ffi::sqlite3_stmt, column: c_int) -> i64;
    "sqlite3_column_text" fn column_text(statement: *mut ffi::sqlite3_stmt, column: c_int) -> *const c_uchar;
    "sqlite3_column_bytes" fn column_bytes(statement: *mut ffi::sqlite3_stmt, column: c_int) -> c_int;

    "sqlite3_value_type" fn value_type(value: *mut ffi::sqlite3_value) -> c_int;
    "sqlite3_value_int64" fn value_int64(value: *mut ffi::sqlite3_value) -> i64;
    "sqlite3_value_double" fn value_double(value: *mut ffi::sqlite3_value) -> f64;
    "sqlite3_value_text" fn value_text(value: *mut ffi::sqlite3_value) -> *const c_uchar;
    "sqlite3_value_blob" fn value_blob(value: *mut ffi::sqlite3_value) -> *const c_void;
    "sqlite3_value_bytes" fn value_bytes(value: *mut ffi::sqlite3_value) -> c_int;

    "sqlite3_value_subtype" fn value_subtype(value: *mut ffi::sqlite3_value) -> c_uint;

    "sqlite3_aggregate_context" fn aggregate_context(context: *mut ffi::sqlite3_context, bytes: c_int) -> *mut c_void;
    "sqlite3_get_auxdata" fn get_auxdata(context: *mut ffi::sqlite3_context, argument: c_int) -> *mut c_void;
    "sqlite3_set_auxdata" fn set_auxdata(context: *mut ffi::sqlite3_context, argument: c_int, data: *mut c_void, destructor: Destructor);
    "sqlite3_result_subtype" fn result_subtype(context: *mut ffi::sqlite3_context, subtype: c_uint);
    "sqlite3_context_db_handle" fn context_db_handle(context: *mut ffi::sqlite3_context) -> *mut ffi::sqlite3;
    "sqlite3_user_data" fn user_data(context: *mut ffi::sqlite3_context) -> *mut c_void;
    "sqlite3_result_null" fn result_null(context: *mut ffi::sqlite3_context);
    "sqlite3_result_int64" fn result_int64(context: *mut ffi::sqlite3_context, value: i64);
    "sqlite3_result_double" fn result_double(context: *mut ffi::sqlite3_context, value: f64);
    "sqlite3_result_text64" fn result_text64(
        context: *mut ffi::sqlite3_context,
        text: *const c_char,
        bytes: u64,
        destructor: Destructor,
        encoding: c_uchar,
    );
    "sqlite3_result_blob64" fn result_blob64(context: *mut ffi::sqlite3_context, blob: *const c_void, bytes: u64, destructor: Destructor);
    "sqlite3_result_error" fn result_error(context: *mut ffi::sqlite3_context, text: *const c_char, bytes: c_int);
    "sqlite3_result_error_code" fn result_error_code(context: *mut ffi::sqlite3_context, code: c_int);

    "sqlite3_next_stmt" fn next_stmt(db: *mut ffi::sqlite3, statement: *mut ffi::sqlite3_stmt) -> *mut ffi::sqlite3_stmt;
    "sqlite3_stmt_busy" fn stmt_busy(statement: *mut ffi::sqlite3_stmt) -> c_int;
    "sqlite3_stmt_readonly" fn stmt_readonly(statement: *mut ffi::sqlite3_stmt) -> c_int;
    "sqlite3_stmt_status" fn stmt_status(statement: *mut ffi::sqlite3_stmt, counter: c_int, reset: c_int) -> c_int;
    "sqlite3_db_filename" fn db_filename(db: *mut ffi::sqlite3, schema: *const c_char) -> *const c_char;
    "sqlite3_errmsg" fn errmsg(db: *mut ffi::sqlite3) -> *const c_char;
    "sqlite3_extended_errcode" fn extended_errcode(db: *mut ffi::sqlite3) -> c_int;
    "sqlite3_total_changes64" fn total_changes64(db: *mut ffi::sqlite3) -> i64;
    "sqlite3_txn_state" fn txn_state(db: *mut ffi::sqlite3, schema: *const c_char) -> c_int;
    "sqlite3_get_autocommit" fn get_autocommit(db: *mut ffi::sqlite3) -> c_int;
    "sqlite3_create_function_v2" fn create_function_v2(
        db: *mut ffi::sqlite3,
        name: *const c_char,
        arity: c_int,
        flags: c_int,
        data: *mut c_void,
        call: ScalarCallback,
        step: ScalarCallback,
        last: FinalCallback,
        destructor: Destructor,
    ) -> c_int;
    "sqlite3_create_module_v2" fn create_module_v2(
        db: *mut ffi::sqlite3,
        name: *const c_char,
        module: *const ffi::sqlite3_module,
        data: *mut c_void,
        destructor: Destructor,
    ) -> c_int;

    "sqlite3_declare_vtab" fn declare_vtab(db: *mut ffi::sqlite3, schema: *const c_char) -> c_int;
    "sqlite3_vtab_collation" fn vtab_collation(info: *mut ffi::sqlite3_index_info, constraint: c_int) -> *const c_char;
    "sqlite3_vtab_in" fn vtab_in(info: *mut ffi::sqlite3_index_info, constraint: c_int, handle: c_int) -> c_int;
    "sqlite3_vtab_in_first" fn vtab_in_first(list: *mut ffi::sqlite3_value, value: *mut *mut ffi::sqlite3_value) -> c_int;
    "sqlite3_vtab_in_next" fn vtab_in_next(list: *mut ffi::sqlite3_value, value: *mut *mut ffi::sqlite3_value) -> c_int;
    "sqlite3_vtab_rhs_value" fn vtab_rhs_value(
        info: *mut ffi::sqlite3_index_info,
        constraint: c_int,
        value: *mut *mut ffi::sqlite3_value,
    ) -> c_int;
}

/// The version of the host's SQLite, such as `3.54.1`.
pub fn version() -> String {
    // SAFETY: the routine takes nothing and returns a static string.
    unsafe { CStr::from_ptr(libversion()) }.to_string_lossy().into_owned()
}

/// Writes a line to SQLite's error log, if the host keeps one.
pub fn log(line: &str) {
    let line: Vec<u8> = line.bytes().filter(|&byte| byte != 0).chain([0]).collect();
    // SAFETY: `accept` checked the routine; the format wants one terminated text.
    unsafe { table().log.unwrap_unchecked()(ffi::SQLITE_NOTICE as c_int, c"%s".as_ptr(), line.as_ptr()) };
}

/// Switches on an option of `sqlite3_vtab_config`.
///
/// # Safety
/// Only inside xCreate or xConnect on `db`.
pub unsafe fn vtab_config(db: *mut ffi::sqlite3, option: c_uint) -> c_int {
    // SAFETY: `accept` checked the routine; the options without an argument ignore the one given.
    unsafe { table().vtab_config.unwrap_unchecked()(db, option as c_int, 1 as c_int) }
}

/// What SQLite calls for an aggregate.
pub struct WindowCalls {
    /// Takes in a row.
    pub step: unsafe extern "C" fn(*mut ffi::sqlite3_context, c_int, *mut *mut ffi::sqlite3_value),
    /// Gives the value of a group, and ends it.
    pub last: unsafe extern "C" fn(*mut ffi::sqlite3_context),
    /// Gives the present value of a window.
    pub value: unsafe extern "C" fn(*mut ffi::sqlite3_context),
    /// Takes out the oldest row of a window.
    pub inverse: unsafe extern "C" fn(*mut ffi::sqlite3_context, c_int, *mut *mut ffi::sqlite3_value),
}

/// Registers an aggregate, which is a window function too unless this build of SQLite leaves those out.
///
/// # Safety
/// As SQLite documents for `sqlite3_create_window_function`.
pub unsafe fn create_aggregate(
    db: *mut ffi::sqlite3,
    name: *const c_char,
    arity: c_int,
    flags: c_int,
    data: *mut c_void,
    calls: WindowCalls,
) -> c_int {
    let WindowCalls { step, last, value, inverse } = calls;
    // SAFETY: the caller's; the field is in every version's table.
    unsafe {
        match table().create_window_function {
            Some(create) => {
                create(db, name, arity, flags, data, Some(step), Some(last), Some(value), Some(inverse), None)
            }
            None => create_function_v2(db, name, arity, flags, data, None, Some(step), Some(last), None),
        }
    }
}

/// `sqlite3_column_decltype`. `None` in a build that leaves the routine out.
///
/// # Safety
/// As SQLite documents.
pub unsafe fn column_decltype(statement: *mut ffi::sqlite3_stmt, column: c_int) -> Option<*const c_char> {
    // SAFETY: the field is in every version's table; the rest is the caller's to ensure.
    table().column_decltype.map(|routine| unsafe { routine(statement, column) })
}

/// Whether a name of the rowid means the rowid of a table, by `sqlite3_table_column_metadata`: for a name that no column has, it gives an
/// INTEGER in the primary key. Yes in a build that leaves the routine out.
///
/// # Safety
/// The connection is open and the names are terminated.
pub unsafe fn means_rowid(db: *mut ffi::sqlite3, names: [*const c_char; 3]) -> bool {
    let Some(read) = table().table_column_metadata else { return true };
    let [schema, name, column] = names;
    let (mut kind, mut key, null) = (std::ptr::null(), 0, std::ptr::null_mut());
    // SAFETY: the caller ensures the names; places that are null are not written. SQLite owns the type until the schema changes.
    unsafe {
        let code = read(db, schema, name, column, &mut kind, std::ptr::null_mut(), null, &mut key, null);
        let is_integer = || !kind.is_null() && CStr::from_ptr(kind).to_bytes().eq_ignore_ascii_case(b"integer");
        code == ffi::SQLITE_OK as c_int && key != 0 && is_integer()
    }
}

/// Whether `sqlite3_blob_open` opens a value, and its result code if not. It opens BLOB and TEXT. A build that leaves the
/// routine out opens none.
///
/// # Safety
/// The connection is open and the names are terminated.
pub unsafe fn opens_as_blob(db: *mut ffi::sqlite3, names: [*const c_char; 3], rowid: i64) -> Result<(), c_int> {
    let (Some(open), Some(close)) = (table().blob_open, table().blob_close) else {
        return Err(ffi::SQLITE_ERROR as c_int);
    };
    let [schema, name, column] = names;
    let mut blob = std::ptr::null_mut();
    // SAFETY: the caller ensures the rest; a handle that was opened is closed at once, and closing null does nothing.
    unsafe {
        let code = open(db, schema, name, column, rowid, 0, &mut blob);
        close(blob);
        if code == ffi::SQLITE_OK as c_int { Ok(()) } else { Err(code) }
    }
}

/// A copy of `text` in memory of SQLite, for the fields whose text SQLite frees. Null if there is no memory.
///
/// `sqlite3_mprintf` cannot be used: its first argument is a format, and our messages quote what the user wrote.
pub fn message(text: &str) -> *mut c_char {
    // SAFETY: the block is written within its length, terminated, and owned by whoever receives the pointer.
    unsafe { message_by(text, |bytes| malloc64(bytes)) }
}

/// The same as [`message`] for a table that [`accept`] refused, in memory of the SQLite that offered the table.
///
/// # Safety
/// As [`accept`].
pub unsafe fn message_of(host: *const ffi::sqlite3_api_routines, text: &str) -> *mut c_char {
    // SAFETY: the caller passes null or a routine table; malloc is in every version's.
    match unsafe { host.as_ref() }.and_then(|host| host.malloc) {
        // SAFETY: as in `message`.
        Some(malloc) => unsafe { message_by(text, |bytes| malloc(bytes as c_int)) },
        None => std::ptr::null_mut(),
    }
}

unsafe fn message_by(text: &str, allocate: impl Fn(u64) -> *mut c_void) -> *mut c_char {
    let text: Vec<u8> = text.bytes().filter(|&byte| byte != 0).chain([0]).collect();
    let memory = allocate(text.len() as u64).cast::<u8>();
    if !memory.is_null() {
        // SAFETY: the block has room for `text.len()` bytes and is new.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), memory, text.len()) };
    }
    memory.cast()
}
