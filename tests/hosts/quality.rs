//! The measure of search quality in `benches/quality`: it measures right, and searches are not worse than they were.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use crate::support::{absent, environment, library, models, python_with, succeed};
use std::process::Command;

#[test]
fn measures_are_those_worked_out_by_hand() {
    let Some(python) = python_with(&environment(), "apsw, numpy") else { return };
    succeed(Command::new(python).arg("tests/quality/measures.py"));
}

/// What `make quality-short` does, with the library of this build.
#[test]
fn searches_reach_their_floors() {
    let Some(python) = python_with(&environment(), "apsw, numpy") else { return };
    let mut command = Command::new(python);
    command.arg("benches/quality").arg(library()).args(["all-MiniLM-L6-v2", "short"]);
    let (said, told) = succeed(command.env("FAFCAS_MODEL_DIR", models()));
    println!("{said}");
    if told.contains("left out") {
        absent("Debian's package wordnet-base");
    }
}
