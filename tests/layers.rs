//! Who may import whom: the parts stay separable. `src/README.md` tells the rule.

use std::fs;
use std::path::{Path, PathBuf};

/// A part, and the other parts of this crate that it may name.
const MAY_IMPORT: [(&str, &[&str]); 23] = [
    ("cache", &[]),
    ("process", &[]),
    ("pool", &["error", "process"]),
    ("codec", &["kernels", "metric"]),
    (
        "index",
        &[
            "cache", "codec", "config", "error", "kernels", "metric", "pool", "process", "reserve", "scan", "topk",
            "vector",
        ],
    ),
    ("progress", &[]),
    ("embed", &["error"]),
    ("invariants", &["error", "kernels", "vector"]),
    ("kernels", &[]),
    ("error", &[]),
    ("reserve", &["error"]),
    ("config", &["error", "vector"]),
    ("cost", &[]),
    ("vector", &["error", "kernels"]),
    ("metric", &["error", "kernels", "vector"]),
    ("options", &["error", "metric", "vector"]),
    ("plan", &[]),
    ("projection", &["error", "kernels"]),
    ("ranking", &["error", "reserve"]),
    ("topk", &["error", "reserve"]),
    ("rowset", &["error", "reserve"]),
    ("stats", &["cache", "process"]),
    ("scan", &["error", "kernels", "metric", "pool", "reserve", "topk", "vector"]),
];

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

/// The parts that a file names after `crate::`.
fn imports(text: &str) -> Vec<String> {
    let after = text.split("crate::").skip(1);
    let names = after.map(|rest| rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default());
    names.map(String::from).collect()
}

#[test]
fn each_part_imports_only_what_it_may() {
    for (part, allowed) in MAY_IMPORT {
        let files = files(part);
        assert!(!files.is_empty(), "no file of {part}");
        for file in files {
            for import in imports(&fs::read_to_string(&file).unwrap()) {
                let fine = import == part || allowed.contains(&import.as_str());
                assert!(fine, "{} names crate::{import}", file.display());
            }
        }
    }
}

#[test]
fn every_part_has_a_rule() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let parts = text.lines().filter_map(|line| line.strip_prefix("pub mod ").or(line.strip_prefix("mod ")));
    for part in parts.map(|part| part.trim_end_matches(';')) {
        assert!(part == "sqlite" || MAY_IMPORT.iter().any(|(known, _)| *known == part), "no rule for {part}");
    }
}
