//! The SQL of README.md, docs/reference.md and other pages does what the pages say: every ```sql block of a page is run in order, and the
//! ```text block below it is its output.

use crate::support::{blocks, is_alone};
use rusqlite::Connection;
use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::types::ValueRef;
use std::collections::BTreeSet;
use std::path::Path;

/// Runs all statements and prints rows as the sqlite3 shell does.
fn run(host: &Connection, sql: &str) -> String {
    // The shell's own commands are not SQL; `.load` is what the test does in process.
    let sql: String = sql.lines().filter(|line| !line.starts_with('.')).map(|line| format!("{line}\n")).collect();
    let mut printed = Vec::new();
    let mut batch = rusqlite::Batch::new(host, &sql);
    while let Some(mut statement) = batch.next().unwrap() {
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let cells: Vec<String> = (0..columns).map(|at| shown(row.get_ref(at).unwrap())).collect();
            printed.push(cells.join("|"));
        }
    }
    printed.join("\n")
}

fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(x) => x.to_string(),
        ValueRef::Real(x) => format!("{x:?}"),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(blob) => format!("{} bytes", blob.len()),
    }
}

/// Runs the SQL of a page on an empty database, and gives how many results were compared.
fn check(page: &str) -> usize {
    let blocks = blocks(&text(page));
    let host = Connection::open_in_memory().unwrap();
    let mut checked = 0;
    for (at, (language, sql)) in blocks.iter().enumerate() {
        if language != "sql" {
            continue;
        }
        let printed = run(&host, sql);
        if let Some((_, expected)) = blocks.get(at + 1).filter(|(language, _)| language == "text") {
            assert_eq!(&printed, expected, "{page}: {sql}");
            checked += 1;
        }
    }
    checked
}

fn text(page: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap()
}

/// Every function and module that this connection knows.
fn names(host: &Connection) -> BTreeSet<String> {
    let sql = "SELECT name FROM pragma_function_list UNION SELECT name FROM pragma_module_list";
    let mut statement = host.prepare(sql).unwrap();
    let names = statement.query_map([], |row| row.get(0)).unwrap();
    names.collect::<Result<_, _>>().unwrap()
}

/// The pages set `trace`, print all of `vec_trace`, and begin without the library: all of this belongs to the process.
#[test]
fn the_pages_print_what_they_say_and_leave_no_function_out() {
    if !is_alone("readme::the_pages_print_what_they_say_and_leave_no_function_out") {
        return;
    }
    let before = names(&Connection::open_in_memory().unwrap());
    fafcas::register_auto_extension().unwrap();
    let after = names(&Connection::open_in_memory().unwrap());
    for page in ["README.md", "docs/reference.md"] {
        let checked = check(page);
        assert!(checked >= 3, "{page}: only {checked} results");
    }
    assert_eq!(check("docs/models.md"), 3);
    for (page, results) in [("docs/operate.md", 4), ("docs/servers.md", 1), ("docs/retention.md", 4)] {
        assert_eq!(check(page), results, "{page}");
    }
    assert_eq!(check("docs/recipes.md"), 11);
    let reference = text("docs/reference.md");
    for name in after.difference(&before) {
        assert!(reference.contains(&format!("`{name}")), "docs/reference.md does not tell of {name}");
    }
}
