//! What needs the operating system's own interface: opening a library, finding one's own file, the process's heap.
//!
//! Raw pointers of systems other than SQLite stay in this folder.

#![allow(unsafe_code)]

pub mod onnx;
pub mod own_file;
pub mod process;
