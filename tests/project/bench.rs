//! What `make bench` computes from what it measured, and the record that it draws. Nothing is measured here.

use crate::support::succeed;
use std::process::Command;

#[test]
fn measures_are_right_and_records_are_the_same_each_time() {
    succeed(Command::new("python3").arg("tests/project/bench.py"));
}
