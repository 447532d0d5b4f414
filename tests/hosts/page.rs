//! The pages of `fafcas serve`, by what they answer and in a real Chromium. Its screenshots are left in `target/tmp/pages`.

#![allow(clippy::unwrap_used)]

use crate::support::{absent, environment, library, models, python_with, runs, scratch, succeed};
use std::path::Path;
use std::process::Command;

/// The test programs with the Python that has Datasette.
fn pages(arguments: &[&str]) -> Option<Command> {
    let mut python = Command::new(python_with(&environment(), "datasette, pysqlite3")?);
    python.arg("tests/hosts/page.py").args(arguments).env("PYTHONPATH", "python");
    python.env("FAFCAS_LIBRARY", library()).env("FAFCAS_MODEL_DIR", models());
    Some(python)
}

#[test]
fn pages_answer_their_own_browser_and_only_read() {
    if let Some(mut python) = pages(&["answers"]) {
        println!("{}", succeed(&mut python).0);
    }
}

#[test]
fn pages_in_chromium_in_light_and_dark_and_on_a_phone() {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/hosts/node/node_modules");
    let Some(chromium) =
        ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| runs(name, "--version"))
    else {
        return absent("chromium");
    };
    if !packages.join("playwright-core").exists() || !runs("node", "--version") {
        return absent("node, with playwright-core that `make hosts` fetches,");
    }
    let folder = scratch("pages");
    if let Some(mut python) = pages(&["browser", chromium, folder.to_str().unwrap()]) {
        println!("{}", succeed(python.env("NODE_PATH", packages)).0);
    }
}
