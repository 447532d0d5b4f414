//! Which form runs, from which seed, and what the long form prints.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::env;

/// Whether this is `make torture`.
pub fn is_long() -> bool {
    env::var("FAFCAS_TORTURE").is_ok_and(|form| form == "long")
}

/// One number for `make test`, another for `make torture`.
pub fn by_form<T>(short: T, long: T) -> T {
    if is_long() { long } else { short }
}

/// The seed that is asked for, or that of the short form, which is the same in every run.
pub fn seed() -> u64 {
    env::var("FAFCAS_SEED").map_or(1, |seed| seed.parse().unwrap())
}

/// The line of a test in the long form's output.
pub fn report(test: &str, counts: &str) {
    println!("torture {test}: {counts} (FAFCAS_SEED={})", seed());
}
