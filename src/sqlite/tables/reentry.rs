//! Which views this thread is reading at the moment. A view may read itself through a table function. It is refused here,
//! before the stack overflows.

use super::source::{Identity, Source};
use crate::error::{Error, Result};
use std::cell::RefCell;

thread_local! {
    /// For each search that runs on this thread, the views that it reads. A search that a view of another search starts comes
    /// after that one.
    static RUNNING: RefCell<Vec<Vec<Identity>>> = const { RefCell::new(Vec::new()) };
}

/// The views of one search are marked as being read until this is dropped.
pub struct Running {
    /// How many searches were running when this one began.
    depth: usize,
}

impl Running {
    /// The most searches that may run within each other, by views over views. Without optimisation each takes up to 16 KB of
    /// stack, and the threads of some hosts have only 256 KB.
    const DEEPEST: usize = 8;

    /// Begins a search. Refuses it if one of its views is being read already, or if it runs too deep within others.
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
