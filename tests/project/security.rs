//! SECURITY.md says for each promise which test keeps it: each such file and test must be there.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// What stands in back quotes in the last column of the tables.
fn named_in(page: &str) -> Vec<String> {
    let cells = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    let kept_by = cells.filter_map(|line| line.trim_end_matches('|').rsplit('|').next());
    kept_by.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(String::from).collect()
}

/// The text of every file of Rust and Python below this folder.
fn texts(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs" || ending == "py") {
            into.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn the_page_names_tests_that_are_there() {
    let named = named_in(&fs::read_to_string(root().join("SECURITY.md")).unwrap());
    let mut tests = String::new();
    ["tests", "src"].into_iter().for_each(|folder| texts(&root().join(folder), &mut tests));
    let is_there = |name: &str| match name.contains('/') {
        true => root().join(name).exists(),
        false => tests.contains(&format!("fn {name}(")) || tests.contains(&format!("def {name}(")),
    };
    let missing: Vec<&String> = named.iter().filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "SECURITY.md names what is not there: {missing:?}");
    assert!(named.len() > 30, "{named:?}");
}
