//! Searches as people write them: SQL on tables with an index, against what each could cost at best.
//!
//!     cargo bench --bench search -- [FILE DIMENSIONS] [SECTION ...]
//!
//! FILE is raw little-endian f32, its last 500 rows the queries; without it 60,000 vectors are made that behave a little
//! like embeddings. Without sections all are run. Every section asserts its answers before it measures.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod data;
mod filters;
mod many;
mod map;
mod mmr;
mod repeats;
mod soak;
mod stats;
mod streams;

use data::Data;

/// What can be asked for by name. Each has a file of its own.
type Section = (&'static str, fn(&Data));

const SECTIONS: &[Section] = &[
    ("filters", filters::run),
    ("streams", streams::run),
    ("repeats", repeats::run),
    ("soak", soak::run),
    ("many", many::run),
    ("stats", stats::run),
    ("mmr", mmr::run),
    ("map", map::run),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let (data, asked) = match arguments.as_slice() {
        [file, dimensions, asked @ ..] if dimensions.parse::<usize>().is_ok() => {
            (Data::read(file, dimensions.parse().unwrap()), asked)
        }
        asked => (Data::made(60_000, 384), asked),
    };
    for name in asked {
        assert!(SECTIONS.iter().any(|(known, _)| known == name), "no section {name}");
    }
    fafcas::register_auto_extension().unwrap();
    println!("{} vectors of {} dimensions, {} queries", data.rows(), data.dimensions, data.queries());
    for (name, section) in SECTIONS.iter().filter(|(name, _)| asked.is_empty() || asked.iter().any(|is| is == name)) {
        println!("\n== {name}");
        section(&data);
    }
}
