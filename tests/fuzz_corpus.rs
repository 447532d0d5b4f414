//! The bytes that `fuzz/` keeps, run once more, and bytes that are made from them by chance: what a fuzzer has found stays mended,
//! and what it got through to stays sound.
//!
//! A program of its own, because it registers the library for every connection, and says where models lie.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, dead_code)]

#[path = "torture/form.rs"]
mod form;
#[path = "support/mod.rs"]
mod support;
#[path = "../fuzz/targets.rs"]
mod targets;

use std::path::{Path, PathBuf};
use support::Random;

/// The inputs kept for a target, in the same order everywhere.
fn kept(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 3, "{} has hardly anything in it", folder.display());
    files.sort();
    files
}

/// Some bytes changed, put in, taken away or taken from another input.
fn mutated(random: &mut Random, mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(8)).min(bytes.len());
        match random.below(5) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.pick(&[0, 1, b'"', b'\'', b',', 0x7F, 0x80, 0xFF]),
            2 => drop(bytes.drain(at..end)),
            3 => drop(bytes.splice(at..end, (0..random.below(8)).map(|_| random.next() as u8).collect::<Vec<_>>())),
            _ => {
                let from = random.below(other.len() + 1);
                drop(bytes.splice(at..end, other[from..].iter().take(random.below(64)).copied().collect::<Vec<_>>()));
            }
        }
    }
    bytes
}

/// Each target in a thread of its own. An input that fails is in the folder that is named first.
#[test]
fn inputs_that_chance_makes_of_them() {
    let (count, folder) = (form::by_form(300, 30_000), support::scratch("fuzz-corpus"));
    std::thread::scope(|scope| {
        for (number, (name, target)) in targets::TARGETS.into_iter().enumerate() {
            let file = folder.join(name);
            scope.spawn(move || {
                let mut random = Random(form::seed() << 8 | number as u64);
                let inputs: Vec<Vec<u8>> = kept(name).iter().map(|file| std::fs::read(file).unwrap()).collect();
                for _ in 0..count {
                    let [one, other] = [(); 2].map(|()| &inputs[random.below(inputs.len())]);
                    let input = mutated(&mut random, one.clone(), other);
                    std::fs::write(&file, &input).unwrap();
                    target(&input);
                }
            });
        }
    });
    form::report(
        "fuzz",
        &format!("{count} inputs for each of {} targets; the last are in {}", targets::TARGETS.len(), folder.display()),
    );
}

#[test]
fn every_kept_input() {
    for (name, target) in targets::TARGETS {
        for file in kept(name) {
            println!("{}", file.display());
            target(&std::fs::read(&file).unwrap());
        }
    }
    assert_eq!(targets::named("functions").map(|target| target(&[])), Some(()), "{}", targets::names());
}
