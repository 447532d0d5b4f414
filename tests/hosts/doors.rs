//! The two doors from outside: a Rust program that links the crate, and the library file that SQLite opens.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use crate::support::{absent, library, run_package};
use std::collections::BTreeSet;
use std::process::Command;

#[test]
fn an_outside_crate_registers_and_searches() {
    // With the versions that this package is tested with, so that nothing is fetched for it.
    std::fs::copy("Cargo.lock", "tests/consumer/Cargo.lock").unwrap();
    run_package("tests/consumer", &[]);
}

/// A symbol of SQLite left open would be bound to whatever SQLite the program happens to hold, or fail to load.
const ENTRIES: [&str; 3] = ["sqlite3_extension_init", "sqlite3_fafcas_init", "sqlite3_fafcas_schema_search_init"];

#[test]
fn the_library_takes_nothing_from_a_linked_sqlite_and_offers_its_three_entries() {
    let Some(undefined) = symbols("--undefined-only") else { return };
    let from_sqlite: Vec<_> = undefined.iter().filter(|name| name.starts_with("sqlite3")).collect();
    assert!(from_sqlite.is_empty(), "{from_sqlite:?}");
    let offered = symbols("--defined-only").unwrap();
    assert_eq!(offered, BTreeSet::from(ENTRIES.map(String::from)));
}

#[test]
fn the_library_links_the_c_library_alone() {
    if cfg!(not(target_os = "linux")) {
        return println!("skipped: no ldd here");
    }
    let output = Command::new("ldd").arg(library()).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let allowed = ["linux-vdso.so.", "libgcc_s.so.", "libc.so.", "libm.so.", "ld-linux", "libpthread.so.", "libdl.so."];
    for line in output.lines() {
        let name = line.trim().rsplit('/').next().unwrap();
        assert!(allowed.iter().any(|allowed| line.trim().starts_with(allowed) || name.starts_with(allowed)), "{line}");
    }
}

/// The names of the library's dynamic symbols.
fn symbols(which: &str) -> Option<BTreeSet<String>> {
    let Ok(output) = Command::new("nm").args(["--dynamic", "--format=just-symbols", which]).arg(library()).output()
    else {
        absent("nm");
        return None;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !text.is_empty(), "nm: {}", String::from_utf8_lossy(&output.stderr));
    Some(text.lines().map(|line| line.split('@').next().unwrap().to_owned()).collect())
}
