//! What several files have to know of the platforms and of the version is the same in all of them. `scripts/cross/platforms.py` and
//! `Cargo.toml` say it first.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

fn text(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// What this expression of Python gives for each platform.
fn of_each_platform(expression: &str) -> BTreeSet<String> {
    let code = format!("from platforms import PLATFORMS\nfor platform in PLATFORMS: print({expression})");
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/cross");
    let mut python = Command::new("python3");
    let output = python.args(["-B", "-c", &code]).env("PYTHONPATH", scripts).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(String::from).collect()
}

/// What stands in quotes between these two marks.
fn quoted(text: &str, begin: &str, end: &str, quote: char, nth: usize) -> BTreeSet<String> {
    let (_, rest) = text.split_once(begin).unwrap();
    let (list, _) = rest.split_once(end).unwrap();
    list.lines().filter_map(|line| line.split(quote).nth(nth)).map(String::from).collect()
}

#[test]
fn node_looks_for_the_packages_that_are_made() {
    let packages = of_each_platform("platform.npm");
    assert_eq!(quoted(&text("node/platform.js"), "const PACKAGES = [", "];", '\'', 1), packages);
    assert_eq!(packages.len(), 9, "{packages:?}");
}

#[test]
fn python_names_the_wheels_that_are_made() {
    let wheels = of_each_platform("platform.wheel.split('.')[-1]");
    assert_eq!(quoted(&text("python/fafcas/_platform.py"), "_WHEELS = {", "}", '"', 3), wheels);
    assert_eq!(wheels.len(), 9, "{wheels:?}");
}

#[test]
fn the_page_of_platforms_has_every_wheel_and_package() {
    let page = text("docs/platforms.md");
    for names in of_each_platform("f'`{platform.wheel.split(\".\")[-1]}`, `{platform.npm}`'") {
        assert!(page.contains(&names), "docs/platforms.md lacks {names}");
    }
}

#[test]
fn all_packages_have_the_crates_version() {
    let version = env!("CARGO_PKG_VERSION");
    let has = |file: &str, line: String| assert!(text(file).contains(&line), "{file}: {line}");
    has("python/fafcas/__init__.py", format!("__version__ = \"{version}\""));
    has("node/package.json", format!("\"version\": \"{version}\""));
    has("wasm/package.json", format!("\"version\": \"{version}\""));
}
