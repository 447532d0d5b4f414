//! README's SQL does what README says: every ```sql block is run in order, and the ```text block behind it is its output.

use crate::support::blocks;
use rusqlite::Connection;
use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::types::ValueRef;
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

#[test]
fn the_sql_of_the_readme_prints_what_it_says() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    fafcas::register_auto_extension().unwrap();
    let host = Connection::open_in_memory().unwrap();
    let blocks = blocks(&page);
    let mut checked = 0;
    for (at, (language, text)) in blocks.iter().enumerate() {
        if language != "sql" {
            continue;
        }
        let printed = run(&host, text);
        if let Some((_, expected)) = blocks.get(at + 1).filter(|(language, _)| language == "text") {
            assert_eq!(&printed, expected, "{text}");
            checked += 1;
        }
    }
    assert!(checked >= 3, "only {checked} results in the README");
}
