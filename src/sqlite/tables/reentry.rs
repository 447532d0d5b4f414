//! Who is being read right now on this thread, so that a view which reads itself through a table function is met again
//! here, and not when the stack has overflowed.

use super::source::{Identity, Source};
use crate::error::{Error, Result};
use std::cell::RefCell;

thread_local! {
    /// The views that are being read, of each search that runs within another.
    static RUNNING: RefCell<Vec<Vec<Identity>>> = const { RefCell::new(Vec::new()) };
}

/// Marks sources as being read, until it is dropped.
pub struct Running {
    /// How many searches it runs within.
    depth: usize,
}

impl Running {
    /// So many searches may run within each other, by views over views. Each takes up to 16 KB of stack without optimisation,
    /// and threads of some hosts have no more than 256 KB.
    const DEEPEST: usize = 8;

    /// Refuses views that are being read already, and searches too deep within others.
    pub fn enter<'a>(sources: impl IntoIterator<Item = &'a Source> + Clone) -> Result<Self> {
        RUNNING.with_borrow_mut(|running| {
            let views = || sources.clone().into_iter().filter(|source| !source.is_table());
            let is_running = |source: &&Source| running.iter().flatten().any(|other| *other == source.identity());
            if let Some(source) = views().find(is_running) {
                let view = format!("{} searched from within itself", source.title);
                return Err(Error::expected("a source that does not search itself", view));
            }
            let depth = running.len();
            if depth >= Self::DEEPEST {
                let title = sources.clone().into_iter().next().map(|source| source.title.clone()).unwrap_or_default();
                let most = format!("searches at most {} deep within each other", Self::DEEPEST);
                return Err(Error::expected(most, format!("one of {title} within {depth}")));
            }
            running.push(views().map(Source::identity).collect());
            Ok(Self { depth })
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.with_borrow_mut(|running| running.truncate(self.depth));
    }
}
