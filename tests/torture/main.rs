//! Torture: faults, random histories, load and backups, each in a short form that `make test` runs and in a long one,
//! `make torture`. Damage is in `tests/torture_corruption.rs`.

mod faults;
mod faulty;
mod fixture;
mod form;
mod load;
mod plot;
mod scripts;
#[path = "../support/mod.rs"]
mod support;
mod times;
