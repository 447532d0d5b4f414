//! How far a long piece of work is: a bar on standard error, for whoever asked for it with `FAFCAS_PROGRESS=1`.
//!
//! Without that variable, or where standard error is no terminal, nothing is drawn and a step costs a branch.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// The shape of the bar: what is done, how much of it, how fast, and how long it will take.
const SHAPE: &str = "{msg} {bar:30} {human_pos}/{human_len} {per_sec}, {eta} to go";

/// One piece of work under way. Its bar goes away with it.
pub struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Work called `what`, of `total` steps.
    pub fn new(what: &str, total: u64) -> Self {
        let wanted = std::env::var_os("FAFCAS_PROGRESS").is_some_and(|value| value == "1");
        let bar = (wanted && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template(SHAPE).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total).with_style(style).with_message(what.to_owned())
        });
        Self { bar }
    }

    /// So many steps are done.
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
