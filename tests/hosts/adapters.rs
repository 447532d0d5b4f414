//! The adapters of the Python package, with the packages they are made for: `tests/adapters` runs in the environment that `make
//! adapters` fetches. Without it the test is skipped with a message, unless `FAFCAS_REQUIRE_HOSTS=1`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use crate::support::{absent, library, models, succeed};
use std::path::Path;
use std::process::Command;

#[test]
fn the_adapters_of_the_python_package() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let environment = root.join("target/hosts/adapters");
    if !environment.join("ready").exists() {
        return absent("the packages that `make adapters` fetches,");
    }
    let mut pytest = Command::new(environment.join("bin/python"));
    pytest.args(["-m", "pytest", "tests/adapters"]).current_dir(root).env("PYTHONPATH", root.join("python"));
    pytest.env("FAFCAS_LIBRARY", library()).env("FAFCAS_MODEL_DIR", models());
    pytest.env("FAFCAS_ONNXRUNTIME", models().join("libonnxruntime.so"));
    println!("{}", succeed(&mut pytest).0);
}
