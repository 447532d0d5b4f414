//! Raw SQLite: its routines, values, statements and virtual tables, behind safe Rust. Raw pointers stay in this folder.

#![allow(unsafe_code)]

pub mod aggregate;
pub mod api;
pub mod args;
pub mod call;
pub mod connection;
pub mod entry;
pub mod exports;
pub mod fts5;
pub mod in_list;
#[cfg(all(feature = "static", not(feature = "loadable")))]
mod linked;
pub mod memory;
pub mod value;
pub mod vtab;

#[path = "../../../include/sqlite3ext.rs"]
pub mod ffi;

#[cfg(test)]
mod layer_tests;
