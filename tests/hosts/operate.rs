//! What fafcas tells those who run it, read by the programs that they read it with.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support::{absent, environment, library, python_with, succeed};
use std::path::Path;
use std::process::Command;

/// Python with the packages of `make .venv/operate`; `None` if they are not here.
fn python() -> Option<Command> {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/operate");
    if !packages.join("prometheus_client").exists() || !packages.join("opentelemetry").exists() {
        absent("what make .venv/operate fetches");
        return None;
    }
    let mut python = Command::new(environment());
    python.env("PYTHONPATH", packages).current_dir(env!("CARGO_MANIFEST_DIR"));
    Some(python)
}

#[test]
fn prometheus_reads_the_metrics_and_adds_histograms_up() {
    let Some(mut python) = python() else { return };
    succeed(python.arg("tests/hosts/metrics.py").arg(library()));
}

#[test]
fn traced_searches_become_spans() {
    let Some(mut python) = python() else { return };
    succeed(python.arg("tests/hosts/traces.py").arg(library()));
}

#[test]
fn requests_are_gathered() {
    let Some(python) = python_with(&environment(), "apsw") else { return };
    succeed(Command::new(python).arg("tests/hosts/batcher.py").arg(library()));
}
