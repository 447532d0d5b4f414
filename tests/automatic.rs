//! As an automatic extension the library must never make `sqlite3_open` fail: not where the file is locked or damaged, nor
//! where FTS5 is missing. What needs FTS5 comes late then, and says so.

#![allow(clippy::unwrap_used)]

mod support;

use rusqlite::auto_extension::register_auto_extension;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, ffi};
use std::ffi::{c_char, c_int};
use std::path::Path;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether connections that are opened get a function `fts5` that is not FTS5's: then nobody can find FTS5.
static HIDES_FTS5: AtomicBool = AtomicBool::new(false);

#[allow(unsafe_code)]
unsafe extern "C" fn hide(db: *mut ffi::sqlite3, _: *mut *mut c_char, _: *const ffi::sqlite3_api_routines) -> c_int {
    if !HIDES_FTS5.load(Ordering::Relaxed) {
        return ffi::SQLITE_OK;
    }
    // SAFETY: SQLite passes the connection that it opens; the name is static and nothing is captured.
    unsafe {
        ffi::sqlite3_create_function_v2(
            db,
            c"fts5".as_ptr(),
            1,
            ffi::SQLITE_UTF8,
            null_mut(),
            Some(nothing),
            None,
            None,
            None,
        )
    }
}

/// A function that gives NULL, and no pointer.
#[allow(unsafe_code)]
unsafe extern "C" fn nothing(_: *mut ffi::sqlite3_context, _: c_int, _: *mut *mut ffi::sqlite3_value) {}

const MADE: &str = "CREATE VIRTUAL TABLE t USING fts5(a); INSERT INTO t VALUES ('sea'), ('land'), ('air'), ('fire')";
const ASKED: &str = "SELECT count(*) FROM t WHERE t MATCH 'sea' AND bm25_share(t) > 0.4";
const SCALAR: &str = "SELECT vec_dot('[1]', '[2]') > 1";

fn ask(connection: &Connection, sql: &str) -> Result<i64, String> {
    connection.query_row(sql, [], |row| row.get(0)).map_err(|error| error.to_string())
}

/// The first statement finds the function missing and gets it, the second has it.
fn assert_comes_late(connection: &Connection) {
    let said = ask(connection, ASKED).unwrap_err();
    assert!(said.contains("run the statement again"), "{said}");
    assert_eq!(ask(connection, ASKED), Ok(1));
}

/// One test, as automatic extensions are there for the whole process.
#[test]
fn a_connection_opens_and_gets_what_needs_fts5_when_it_can() {
    let folder = support::scratch("automatic");
    a_library_is_loaded_where_functions_are_forbidden(&folder);
    #[allow(unsafe_code)]
    // SAFETY: `hide` has the signature of an entry point.
    unsafe {
        register_auto_extension(hide).unwrap();
    }
    fafcas::register_auto_extension().unwrap();
    a_locked_file(&folder);
    a_damaged_file(&folder);
    no_fts5(&folder);
}

fn a_library_is_loaded_where_functions_are_forbidden(folder: &Path) {
    let mut connection = Connection::open(folder.join("forbidden.db")).unwrap();
    connection.execute_batch(MADE).unwrap();
    let no_fts5 = |context: AuthContext<'_>| match context.action {
        AuthAction::Function { function_name: "fts5" } => Authorization::Deny,
        _ => Authorization::Allow,
    };
    connection.authorizer(Some(no_fts5)).unwrap();
    support::load(&connection, &support::library()).unwrap();
    assert_eq!(ask(&connection, SCALAR), Ok(1));
    let said = ask(&connection, ASKED).unwrap_err();
    assert!(said.contains("expected an SQLite with FTS5"), "{said}");
    connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>).unwrap();
    assert_comes_late(&connection);
}

fn a_locked_file(folder: &Path) {
    let file = folder.join("locked.db");
    let owner = Connection::open(&file).unwrap();
    owner.execute_batch(MADE).unwrap();
    owner.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let connection = Connection::open(&file).unwrap();
    owner.execute_batch("CREATE TABLE v(seq INTEGER PRIMARY KEY, v); INSERT INTO v(v) VALUES ('[1]'); COMMIT").unwrap();
    // A search that needs the functions itself makes them known, and needs no second try.
    let hybrid = "SELECT count(*) FROM vec_hybrid('v', 'v', 't', '[1]', 'sea', 9) WHERE by_words > 0";
    assert_eq!(ask(&Connection::open(&file).unwrap(), hybrid), Ok(1));
    let early = Connection::open(&file).unwrap();
    owner.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let late = Connection::open(&file).unwrap();
    owner.execute_batch("COMMIT").unwrap();
    assert_eq!([ask(&early, hybrid), ask(&late, hybrid)], [Ok(1), Ok(1)]);
    assert_comes_late(&connection);
}

fn a_damaged_file(folder: &Path) {
    let file = folder.join("damaged.db");
    std::fs::write(&file, [b'x'; 8192]).unwrap();
    let connection = Connection::open(&file).unwrap();
    let said = ask(&connection, "SELECT bm25_share(1)").unwrap_err();
    assert!(said.contains("file is not a database"), "{said}");
}

fn no_fts5(folder: &Path) {
    let file = folder.join("without.db");
    Connection::open(&file).unwrap().execute_batch(MADE).unwrap();
    HIDES_FTS5.store(true, Ordering::Relaxed);
    let connection = Connection::open(&file).unwrap();
    HIDES_FTS5.store(false, Ordering::Relaxed);
    assert_eq!(ask(&connection, SCALAR), Ok(1));
    let said = ask(&connection, ASKED).unwrap_err();
    assert!(said.contains("expected an SQLite with FTS5"), "{said}");
}
