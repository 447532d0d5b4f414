//! The tests of one program run at the same time, in one process: what `tests/README.md` asks of them where they share something.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The sources of each program of tests, by its name.
fn programs() -> BTreeMap<String, Vec<PathBuf>> {
    let mut programs = BTreeMap::new();
    for path in entries(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if is_rust(&path) {
            programs.insert(name, vec![path]);
        } else if path.join("main.rs").exists() {
            programs.insert(name, entries(&path).filter(|path| is_rust(path)).collect());
        }
    }
    assert!(programs.len() > 20 && programs["hosts"].len() > 5, "{programs:?}");
    programs
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "rs")
}

/// What follows each occurrence of these words, up to the end of the file.
fn after<'a>(text: &'a str, words: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(words).map(move |(at, words)| &text[at + words.len()..])
}

/// The first text in double quotes, if it begins before the call ends.
fn literal(text: &str) -> Option<&str> {
    let (before, rest) = text.split_once('"')?;
    (!before.contains(')')).then(|| rest.split_once('"').unwrap().0)
}

#[test]
fn no_two_tests_of_a_program_have_the_same_scratch_folder() {
    let mut seen = 0;
    for (program, files) in programs() {
        let mut names: BTreeMap<String, PathBuf> = BTreeMap::new();
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            for name in after(&text, "scratch(").filter_map(literal) {
                let twice = names.insert(name.to_owned(), file.clone());
                assert!(twice.is_none(), "{program}: scratch({name:?}) in {} and in {twice:?}", file.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 50, "{seen}");
}

/// Elsewhere a test of the same process may search the same table, or count on the rows that are cleared.
#[test]
fn a_test_that_reads_counts_has_a_table_with_a_name_of_its_own() {
    let mut read = 0;
    for (program, files) in programs().into_iter().filter(|(program, files)| files.len() > 1 && program != "project") {
        let texts: Vec<(PathBuf, String)> =
            files.into_iter().map(|file| (file.clone(), fs::read_to_string(file).unwrap())).collect();
        for (file, text) in texts.iter().filter(|(_, text)| text.contains("FROM vec_stats")) {
            let clears_all = after(text, "DELETE FROM vec_stats").any(|rest| !rest.starts_with(" WHERE source"));
            assert!(!clears_all, "{program}: {} clears all counts", file.display());
            for rest in after(text, "'main.") {
                let (table, _) = rest.split_once('\'').unwrap();
                let searched = [format!("'{table}'"), format!("\"{table}\"")];
                let is_searched = |text: &String| searched.iter().any(|name| text.contains(name));
                let others: Vec<_> = texts.iter().filter(|(other, text)| other != file && is_searched(text)).collect();
                assert!(table.is_empty() || others.is_empty(), "{program}: {table} is not of {} alone", file.display());
                assert!(table.len() != 1, "{program}: {} reads what any test may do to {table}", file.display());
                read += 1;
            }
        }
    }
    assert!(read > 10, "{read}");
}
