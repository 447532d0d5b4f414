//! What stands for `progress.rs` in WASM, where there is no terminal to draw on.

/// A piece of work that is going on, and shows nothing.
pub struct Progress;

impl Progress {
    /// Begins work.
    pub fn new(_what: &str, _total: u64) -> Self {
        Self
    }

    /// Sets how many steps are done.
    pub fn set(&self, _steps: u64) {}
}
