//! The kernels: every table gives what the scalar one gives, and each process takes the one that fits its CPU.

mod code_kernels;
mod kernels;
mod old_cpu;
#[path = "../support/mod.rs"]
mod support;
mod typed;
