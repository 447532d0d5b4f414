//! What needs no library: the sample data and the scripts that make the project.
//!
//! Nothing here registers the linked library, so that the sample is read as plain SQL.

mod bench;
mod fetch_model;
mod make;
mod names;
mod pages;
mod platforms;
mod rooms;
mod sample;
mod security;
#[path = "../support/mod.rs"]
mod support;
