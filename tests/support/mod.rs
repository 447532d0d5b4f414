//! What several test files need: the built library, scratch files, seeded randomness.
//!
//! Each test crate uses its own part of it.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::process::Command;

use fafcas::parts::splitmix64;
use rusqlite::Connection;

/// The loadable library that cargo built for this very run, beside the test's own binary.
pub fn library() -> PathBuf {
    let name = format!("{}fafcas{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let path = std::env::current_exe().unwrap().with_file_name(name);
    assert!(path.exists(), "{} is missing", path.display());
    path
}

/// Loads the library into a connection.
#[allow(unsafe_code)]
pub fn load(connection: &Connection, library: &Path) -> rusqlite::Result<()> {
    // SAFETY: the library is this package's own, and its entry point is what SQLite expects.
    unsafe {
        connection.load_extension_enable()?;
        connection.load_extension(library, None::<&str>)?;
    }
    connection.load_extension_disable()
}

/// An empty folder of this name, for the files of one test.
pub fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Whether this process runs this one test alone. If not, the program is started again for it, and the test must succeed there: its caller
/// then has nothing left to do. For tests that set or read what belongs to the process, beside others in one program.
pub fn is_alone(test: &str) -> bool {
    const ALONE: &str = "FAFCAS_TEST_ALONE";
    if std::env::var(ALONE).is_ok_and(|name| name == test) {
        return true;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    let (said, _) = succeed(again.args(["--exact", test, "--nocapture"]).env(ALONE, test));
    assert!(said.contains("1 passed"), "{test}: {said}");
    false
}

/// A vector as it is stored.
pub fn blob(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Says that a host is not there, which is a failure where `FAFCAS_REQUIRE_HOSTS=1`.
pub fn absent(what: &str) {
    assert!(std::env::var_os("FAFCAS_REQUIRE_HOSTS").is_none_or(|value| value != "1"), "{what} is required");
    println!("skipped: {what} is not here");
}

/// Whether a program is here.
pub fn runs(program: &str, argument: &str) -> bool {
    Command::new(program).arg(argument).output().is_ok()
}

/// What a command that must succeed writes on standard output, without the last newline, and on standard error.
pub fn succeed(command: &mut Command) -> (String, String) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}\n{said}\n{told}");
    (said, told)
}

/// The Python with `scripts/requirements.txt`: that of FAFCAS_PYTHON, or else of `.venv`.
pub fn environment() -> String {
    std::env::var("FAFCAS_PYTHON").unwrap_or_else(|_| ".venv/bin/python".into())
}

/// A Python that can import these modules.
pub fn python_with(python: &str, modules: &str) -> Option<PathBuf> {
    let found = Command::new(python).args(["-c", &format!("import {modules}")]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python.into());
    }
    absent(&format!("{python} with {modules}"));
    None
}

/// The folder that `make model` fills.
pub fn models() -> PathBuf {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    assert!(models.join("all-MiniLM-L6-v2").exists(), "the models are missing: run `make model` first");
    models
}

/// The fenced blocks of a page: language and text.
pub fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((language.to_string(), text.join("\n")));
        }
    }
    blocks
}

/// Numbers that look random, the same in every run.
pub struct Random(pub u64);

impl Random {
    /// Any number.
    pub fn next(&mut self) -> u64 {
        splitmix64(&mut self.0)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A real between -1 and 1.
    pub fn real(&mut self) -> f64 {
        self.next() as f64 / u64::MAX as f64 * 2.0 - 1.0
    }
}

/// Runs a cargo package that stands outside this one.
pub fn run_package(folder: &str, environment: &[(&str, &Path)]) {
    let output = cargo("run", folder).envs(environment.iter().copied()).output().unwrap();
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{folder}\n{said}\n{failed}");
    println!("{said}");
}

/// Whether what such a package depends on is here or can be fetched.
pub fn can_be_built(folder: &str) -> bool {
    cargo("fetch", folder).output().unwrap().status.success()
}

fn cargo(command: &str, folder: &str) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([command, "--quiet", "--manifest-path"]).arg(Path::new(folder).join("Cargo.toml"));
    cargo.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages"));
    cargo
}
