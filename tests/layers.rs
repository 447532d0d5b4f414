//! Who may import whom: the parts stay separable. `src/README.md` tells the rule.

use std::fs;
use std::path::{Path, PathBuf};

/// A part, and the other parts of this crate that it may name.
const MAY_IMPORT: [(&str, &[&str]); 16] = [
    ("analysis", &["error", "kernels", "random", "resources", "vector"]),
    ("codec", &["kernels", "metric", "random"]),
    ("index", &["codec", "error", "kernels", "lock", "metric", "resources", "scan", "topk", "vector"]),
    ("embed", &["error", "lock", "native", "resources"]),
    ("kernels", &[]),
    ("lock", &[]),
    ("native", &["error"]),
    ("error", &[]),
    ("vector", &["error", "kernels"]),
    ("metric", &["error", "kernels", "vector"]),
    ("planning", &["error", "metric", "resources", "vector"]),
    ("random", &[]),
    ("topk", &["error", "resources"]),
    ("resources", &["error", "lock", "native", "vector"]),
    ("selftest", &["error", "kernels", "random", "vector"]),
    ("scan", &["error", "kernels", "lock", "metric", "resources", "topk", "vector"]),
];

/// The floors of `sqlite`, the lowest first: each uses only those before it.
const FLOORS: [&str; 5] = ["host", "tables", "storage", "search", "functions"];

fn files(part: &str) -> Vec<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let single = source.join(format!("{part}.rs"));
    let mut found: Vec<PathBuf> = single.exists().then_some(single).into_iter().collect();
    let mut folders = vec![source.join(part)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// The parts that a file names after `root`, which is `crate::` or a path below it.
fn imports(text: &str, root: &str) -> Vec<String> {
    let after = text.split(root).skip(1);
    let names = after.map(|rest| rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default());
    names.map(String::from).collect()
}

#[test]
fn each_part_imports_only_what_it_may() {
    for (part, allowed) in MAY_IMPORT {
        let files = files(part);
        assert!(!files.is_empty(), "no file of {part}");
        for file in files {
            for import in imports(&fs::read_to_string(&file).unwrap(), "crate::") {
                let fine = import == part || allowed.contains(&import.as_str());
                assert!(fine, "{} names crate::{import}", file.display());
            }
        }
    }
}

fn root() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap()
}

#[test]
fn every_part_has_a_rule() {
    let text = root();
    let parts = text.lines().filter_map(|line| line.strip_prefix("pub mod ").or(line.strip_prefix("mod ")));
    for part in parts.filter_map(|part| part.strip_suffix(';')) {
        assert!(part == "sqlite" || MAY_IMPORT.iter().any(|(known, _)| *known == part), "no rule for {part}");
    }
}

#[test]
fn at_most_six_modules_are_public() {
    let text = root();
    let public: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("pub mod ") || line.contains("pub use resources::config"))
        .collect();
    assert!(public.len() <= 6, "{public:?}");
}

#[test]
fn no_file_is_too_long_to_read() {
    for part in MAY_IMPORT.iter().map(|(part, _)| *part).chain(["sqlite"]) {
        for file in files(part) {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            let most = if file.ends_with("sqlite/host/vtab.rs") { 1000 } else { 620 };
            assert!(lines <= most, "{} has {lines} lines, more than {most}", file.display());
        }
    }
}

#[test]
fn each_floor_uses_only_those_below() {
    for (height, floor) in FLOORS.iter().enumerate() {
        let files = files(&format!("sqlite/{floor}"));
        assert!(!files.is_empty(), "no file on the floor {floor}");
        for file in files {
            for import in imports(&fs::read_to_string(&file).unwrap(), "crate::sqlite::") {
                let fine = FLOORS[..=height].contains(&import.as_str());
                assert!(fine, "{} names crate::sqlite::{import}", file.display());
            }
        }
    }
}

#[test]
fn every_file_of_sqlite_is_on_a_floor() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sqlite")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let fine = ["README.md", "mod.rs"].contains(&name.as_str()) || FLOORS.contains(&name.as_str());
        assert!(fine, "src/sqlite/{name} is on no floor");
    }
}
