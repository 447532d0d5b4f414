//! The parts of the torture that are Python: histories, which want the session extension, and forks.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use crate::form::{by_form, seed};
use crate::support::{environment, library, python_with, succeed};
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
