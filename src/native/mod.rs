//! What needs calls to the operating system: opening a library, finding the file of this code, and the memory of
//! the process and of the machine.
//!
//! Raw pointers of systems other than SQLite stay in this folder.

#![allow(unsafe_code)]

pub mod memory;
#[cfg(feature = "onnx")]
pub mod onnx;
#[cfg(feature = "text")]
pub mod own_file;
#[cfg(feature = "onnx")]
pub mod process;
