//! What is read and run as it stands: the kit in sql/ with its scripts, the examples, and README.

mod examples;
mod kit;
mod operate;
mod readme;
#[path = "../support/mod.rs"]
mod support;
