//! The library in the programs that people load it into, as packages, servers and commands: nearly all of this runs in
//! processes of their own, which the tests start.

mod adapters;
mod distributed;
mod doors;
mod hosts;
mod operate;
mod packages;
mod page;
mod quality;
#[path = "../slt/runner.rs"]
mod runner;
#[path = "../support/mod.rs"]
mod support;
