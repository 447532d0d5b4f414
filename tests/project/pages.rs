//! What pages say is there, is there, and README's figures are those of `benches/record`.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const RECORD: &str = "benches/record/peers/README.md";
const OURS: &str = "fafcas, index, 1 thread";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// README and its like, and all of docs/.
fn pages() -> Vec<String> {
    let mut names = vec!["README.md".into(), "CONTRIBUTING.md".into(), "SECURITY.md".into(), "src/README.md".into()];
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        names.push(format!("docs/{}", entry.unwrap().file_name().to_string_lossy()));
    }
    names.retain(|name| name.ends_with(".md"));
    names
}

/// What stands in back quotes outside of fenced blocks.
fn quoted(text: &str) -> Vec<String> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.split('`').skip(1).step_by(2)).map(String::from).collect()
}

/// A path of this repository, as far as it is meant to be one.
fn is_path(word: &str) -> bool {
    let folders = [
        "benches", "docs", "examples", "fuzz", "include", "node", "python", "scripts", "sql", "src", "sys", "tests",
        "wasm",
    ];
    word.split_once('/').is_some_and(|(first, _)| folders.contains(&first)) && !word.contains(char::is_whitespace)
}

/// The last part may have a star.
fn is_there(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let Some((begin, end)) = name.split_once('*') else { return path.exists() };
    let Ok(entries) = fs::read_dir(path.parent().unwrap()) else { return false };
    let mut names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.any(|name| name.starts_with(begin) && name.ends_with(end))
}

#[test]
fn pages_name_files_that_are_there() {
    let mut named = 0;
    for page_name in pages() {
        for path in quoted(&page(&page_name)).into_iter().filter(|word| is_path(word)) {
            assert!(is_there(&root().join(&path)), "{page_name} names {path}, which is not there");
            named += 1;
        }
    }
    assert!(named > 100, "{named}");
}

#[test]
fn readme_is_read_in_a_quarter_of_an_hour() {
    let words = page("README.md").split_whitespace().count();
    assert!(words < 3_000, "{words} words");
}

/// The rows of the first table after this heading, without its head: the first cell, and the others.
fn table(text: &str, heading: &str) -> BTreeMap<String, Vec<String>> {
    let (_, rest) = text.split_once(heading).unwrap();
    let lines = rest.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let rows = lines.skip(2).map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()));
    rows.map(|mut cells| (cells.next().unwrap(), cells.collect())).collect()
}

/// The number that a cell begins with, with or without bold type.
fn number(cell: &str) -> Option<f64> {
    cell.trim_start_matches('*').split([' ', '*', ',']).next().unwrap().parse().ok()
}

/// Whether the first is what the second is when rounded; both are rounded from a third.
fn is_rounded(short: &str, long: &str) -> bool {
    let (Some(shorter), Some(longer)) = (number(short), number(long)) else { return number(short) == number(long) };
    let digits = short.split_once('.').map_or(0, |(_, digits)| digits.len());
    (shorter - longer).abs() <= 0.5001 * 0.1_f64.powi(digits as i32)
}

#[test]
fn readme_has_the_searches_of_the_record_and_none_that_is_faster_is_left_out() {
    let (readme, record) = (page("README.md"), page(RECORD));
    let (latency, building) = (table(&record, "## Latency at equal recall"), table(&record, "## Building, disk"));
    let shown = table(&readme, "**The index beside other libraries.**");
    for (system, cells) in &shown {
        let (times, costs) = (&latency[system], &building[system]);
        for (cell, recorded) in cells.iter().zip([&times[2], &times[3], &costs[0], &costs[3]]) {
            assert!(is_rounded(cell, recorded), "{system}: README has {cell}, the record {recorded}");
        }
    }
    let at = |system: &str| number(&latency[system][2]).unwrap_or(f64::INFINITY);
    for system in latency.keys().filter(|system| !system.starts_with("fafcas") && at(system) < at(OURS)) {
        assert!(
            shown.contains_key(system),
            "README leaves out {system}, which takes {} at a recall of 0.99",
            at(system)
        );
    }
    assert!(shown.len() > 8 && shown.contains_key(OURS), "{shown:?}");
}

#[test]
fn readme_has_the_ratios_of_embedding_of_the_record() {
    let (readme, record) = (page("README.md"), page("benches/record/embed.md"));
    let (_, peers) = record.split_once("## Against peers").unwrap();
    let rows = peers.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|')).skip(2);
    let ratios: Vec<&str> = rows.flat_map(|line| line.split('|').nth(5).unwrap().split(',')).map(str::trim).collect();
    let mut compared = 0;
    for cells in table(&readme, "**Embedding beside other libraries.**").into_values() {
        for figure in cells[0].split_whitespace().filter(|word| word.contains('.')) {
            assert!(ratios.iter().any(|ratio| is_rounded(figure, ratio)), "README has {figure}, the record {ratios:?}");
            compared += 1;
        }
    }
    assert!(compared > 4 && ratios.len() > 6, "{compared}, {ratios:?}");
}
