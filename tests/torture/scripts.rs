//! The parts of the torture that are Python: histories, which want the session extension, forks, and backups by other programs.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use crate::form::{by_form, seed};
use crate::support::{absent, environment, library, python_with, succeed};
use std::path::Path;
use std::process::Command;

#[test]
fn histories_against_an_exact_oracle() {
    let Some(python) = python_with(&environment(), "apsw, numpy; apsw.Session") else { return };
    let mut command = Command::new(python);
    command
        .arg("tests/torture/histories.py")
        .arg(library())
        .args([by_form(4000, 100_000), seed()].map(|n| n.to_string()));
    println!("{}", succeed(&mut command).0);
}

#[test]
#[cfg(target_os = "linux")]
fn a_process_that_forks() {
    let Some(python) = python_with(&environment(), "apsw") else { return };
    let mut command = Command::new(python);
    command.arg("tests/torture/fork.py").arg(library()).args([by_form(8, 400), seed()].map(|n| n.to_string()));
    println!("{}", succeed(&mut command).0);
}

#[test]
fn backups_while_it_is_written() {
    let Some(python) = python_with(&environment(), "apsw, numpy, litestream_vfs") else { return };
    let litestream = python.with_file_name("litestream");
    if !Path::new(&litestream).exists() {
        return absent("litestream, which `make hosts` fetches,");
    }
    let mut command = Command::new(python);
    command.arg("tests/torture/backups.py").arg(library()).arg(litestream);
    println!("{}", succeed(command.args([by_form(3, 60), seed()].map(|n| n.to_string()))).0);
}
