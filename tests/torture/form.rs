//! Which form runs, from which seed, and what the long form prints.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::env;
use std::process::Command;

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

/// This program again, for one test that finds its order in the environment: what it does to its process concerns no other.
pub fn child(test: &str, order: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(CHILD, format!("{test}|{order}"));
    command
}

/// What this child is told to do; nothing in the program that runs the tests.
pub fn order(test: &str) -> Option<String> {
    let order = env::var(CHILD).ok()?;
    let (name, order) = order.split_once('|')?;
    (name == test).then(|| order.to_string())
}

const CHILD: &str = "FAFCAS_TORTURE_CHILD";
