//! How far a long piece of work is: a progress bar on standard error, if `FAFCAS_PROGRESS=1` is set.
//!
//! Without that variable, or if standard error is no terminal, nothing is drawn, and a step costs only one branch.

use super::config;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// What the bar shows: how much is done, of how much, how fast, and how long the rest will take.
const SHAPE: &str = "{msg} {bar:30} {human_pos}/{human_len} {per_sec}, {eta} to go";

/// A piece of work that is going on. Its bar disappears when this is dropped.
pub struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Begins work with the name `what` and `total` steps.
    pub fn new(what: &str, total: u64) -> Self {
        let wanted = config::is_on("FAFCAS_PROGRESS");
        let bar = (wanted && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template(SHAPE).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total).with_style(style).with_message(what.to_owned())
        });
        Self { bar }
    }

    /// Sets how many steps are done.
    pub fn set(&self, steps: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(steps);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
