//! The golden SQL files, in the same process: what a Rust program sees that registers the crate.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

#[path = "slt/runner.rs"]
mod runner;

use rusqlite::Connection;
use std::path::Path;

#[test]
fn golden_files_give_their_rows() {
    fafcas::register_auto_extension().unwrap();
    let host = runner::Host { open: &|path| Connection::open(path).unwrap(), trusted: true };
    let failures = runner::run_folder(Path::new("tests/slt"), &support::scratch("slt"), &host);
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}
