//! What fafcas tells those who run it, read by the programs that they read it with.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support::{absent, environment, library, load, python_with, scratch, succeed};
use std::fs::File;
use std::path::Path;
use std::process::Command;

/// Python with the packages of `make .venv/operate`; `None` if they are not here.
fn python() -> Option<Command> {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/operate");
    if ["prometheus_client", "opentelemetry", "psutil", "matplotlib"].iter().any(|name| !packages.join(name).exists()) {
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

/// The program by which Prometheus itself checks what a server tells it.
#[test]
fn promtool_has_nothing_to_say_of_the_metrics() {
    let promtool = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/hosts/promtool");
    let Some(mut python) = python() else { return };
    if !promtool.exists() {
        return absent("promtool (make hosts)");
    }
    let (metrics, _) = succeed(python.arg("tests/hosts/metrics.py").arg(library()).arg("4"));
    let file = scratch("promtool").join("metrics.txt");
    std::fs::write(&file, metrics + "\n").unwrap();
    let (said, told) = succeed(Command::new(promtool).args(["check", "metrics"]).stdin(File::open(&file).unwrap()));
    assert_eq!(said + &told, "");
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

/// What `make profile` runs, on a database without a model: that stage is left out, and says so.
#[test]
fn each_stage_has_a_row_and_a_bar() {
    let Some(mut python) = python() else { return };
    let folder = scratch("profile");
    let (file, picture) = (folder.join("few.db"), folder.join("stages.svg"));
    let db = rusqlite::Connection::open(&file).unwrap();
    load(&db, &library()).unwrap();
    db.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); INSERT INTO t WITH RECURSIVE n(i) AS
         (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) SELECT i, vec_f32('[1,' || i || ']') FROM n;
         CREATE VIRTUAL TABLE i USING vec_index(t, v)",
    )
    .unwrap();
    let before = std::fs::read(&file).unwrap();
    let script = python.arg("scripts/profile_stages.py").arg(library()).args([&file, &picture]);
    let (said, told) = succeed(script.env("FAFCAS_MODEL_DIR", &folder));
    for stage in ["opening", "first search", "thousandth search", "1000 rows written", "merge", "map"] {
        assert!(said.lines().any(|line| line.starts_with(stage)), "no {stage}: {said}");
    }
    assert!(told.contains("first embedding: left out: "), "{told}");
    assert!(std::fs::read_to_string(&picture).unwrap().contains("<svg"));
    assert_eq!(std::fs::read(&file).unwrap(), before, "the file itself was changed");
    let nothing = python_on_nothing(&folder);
    assert!(nothing.contains("expected a database, not nothing"), "{nothing}");
}

fn python_on_nothing(folder: &Path) -> String {
    let Some(mut python) = python() else { return String::new() };
    let script = python.arg("scripts/profile_stages.py").arg(library());
    let output = script.args([folder.join("nothing.db"), folder.join("no.svg")]).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}
