//! The bytes that `fuzz/` keeps, run once more: what a fuzzer has found stays mended, and what it got through to stays sound.
//!
//! A program of its own, because it registers the library for every connection, and says where models lie.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../fuzz/targets.rs"]
mod targets;

use std::path::Path;

#[test]
fn every_kept_input() {
    for (name, target) in targets::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(files.len() >= 3, "{} has hardly anything in it", folder.display());
        for file in files {
            println!("{}", file.display());
            target(&std::fs::read(&file).unwrap());
        }
    }
    assert_eq!(targets::named("functions").map(|target| target(&[])), Some(()), "{}", targets::names());
}
