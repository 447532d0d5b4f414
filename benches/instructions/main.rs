//! Small fixed workloads whose instructions are counted. `README.md` beside this file says how, and what for.
//!
//!     instructions prepare            makes the database that the workloads copy
//!     instructions list               names the workloads
//!     instructions sqlite             says which SQLite is in it
//!     instructions WORKLOAD LIBRARY   runs one of them between two marks, with the library from this file
//!
//! All in the working directory, which `count.py` chooses.

#![allow(unsafe_code, clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod data;
mod searches;
mod texts;
mod vectors;
mod writes;

use rusqlite::{Connection, LoadExtensionGuard, Statement};
use std::os::unix::process::parent_id;
use std::path::Path;

/// A workload's name and code. Each makes ready, warms up, and hands what is to be counted to [`counted`].
type Workload = (&'static str, fn(&Connection));

const WORKLOADS: &[Workload] = &[
    ("scan", searches::scan),
    ("scan_many", searches::scan_many),
    ("index_one", searches::index_one),
    ("index_many", searches::index_many),
    ("index_exact", searches::index_exact),
    ("index_cosine", searches::index_cosine),
    ("index_first", searches::index_first),
    ("hybrid", searches::hybrid),
    ("plan", searches::plan),
    ("stream", searches::stream),
    ("filter_range", searches::filter_range),
    ("filter_list", searches::filter_list),
    ("filter_keys", searches::filter_keys),
    ("filter_join", searches::filter_join),
    ("insert", writes::insert),
    ("pending", writes::pending),
    ("merge", writes::merge),
    ("merge_part", writes::merge_part),
    ("warm", writes::warm),
    ("build", writes::build),
    ("scan_f16", vectors::scan_f16),
    ("scan_int8", vectors::scan_int8),
    ("distances", vectors::distances),
    ("convert", vectors::convert),
    ("average", vectors::average),
    ("each", vectors::each),
    ("normalise", texts::normalise),
    ("json", texts::json),
    ("tokenise", texts::tokenise),
    ("chunk", texts::chunk),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => println!("instructions are counted by `make budgets`, not timed"),
        ["list"] => WORKLOADS.iter().for_each(|(name, _)| println!("{name}")),
        ["sqlite"] => println!("{}", rusqlite::version()),
        ["prepare"] => data::prepare(),
        [name, library] => run(name, Path::new(library)),
        arguments => panic!("expected a workload and the library, not {arguments:?}"),
    }
}

fn run(name: &str, library: &Path) {
    let (_, workload) =
        WORKLOADS.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no workload {name}"));
    let copy = Path::new(name).with_extension("db");
    std::fs::copy(data::FILE, &copy).unwrap();
    let db = Connection::open(&copy).unwrap();
    load(&db, library);
    db.execute_batch("PRAGMA synchronous = OFF; SELECT fafcas_config('threads', 1)").unwrap();
    let kernels = text(&db, "SELECT json_extract(fafcas_info(), '$.kernels')");
    assert_eq!(kernels, "avx2", "the budgets are for the kernels avx2");
    workload(&db);
    db.close().unwrap();
    std::fs::remove_file(copy).unwrap();
}

/// The library as programs load it. Linked in, it would be inlined in another way whenever a workload changes.
fn load(db: &Connection, library: &Path) {
    // SAFETY: the library is this project's own.
    unsafe {
        let _guard = LoadExtensionGuard::new(db).unwrap();
        db.load_extension(library, None::<&str>).unwrap();
    }
}

/// Does the work between two calls of `getppid`, which nothing else here calls: Callgrind writes down its counts there.
/// A function of the C library, because its name is known without symbols.
fn counted<T>(work: impl FnOnce() -> T) -> T {
    let _ = parent_id();
    let result = work();
    let _ = parent_id();
    result
}

fn text(db: &Connection, sql: &str) -> String {
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// All rows that a statement gives, of which the first column is a number.
fn numbers(statement: &mut Statement<'_>, parameters: impl rusqlite::Params) -> Vec<i64> {
    let rows = statement.query_map(parameters, |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// A workload that took another way than the one it is there for would count something else.
fn expect_path(db: &Connection, table: &str, path: &str) {
    let sql = format!("SELECT path FROM vec_stats WHERE source = 'main.{table}'");
    assert_eq!(text(db, &sql), path, "not the way that is to be counted");
}
