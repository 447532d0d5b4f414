//! Which views this thread is reading at the moment. A view may read itself through a table function. It is refused here,
//! before the stack overflows.

use super::source::{Identity, Source};
use crate::error::{Error, Result};
use crate::vector::shown;
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
            let title = || sources.clone().into_iter().next().map_or(String::new(), |source| source.title.to_string());
            Self::begin(running, views().map(Source::identity).collect(), title)
        })
    }

    /// Begins to read a table that is known by its name alone, such as a full text. Its name may be that of a view. It is not
    /// marked, but counts among the searches within each other, so that a view that reads itself comes to an end.
    pub fn enter_named(name: &str) -> Result<Self> {
        RUNNING.with_borrow_mut(|running| Self::begin(running, Vec::new(), || shown(name)))
    }

    fn begin(running: &mut Vec<Vec<Identity>>, views: Vec<Identity>, title: impl Fn() -> String) -> Result<Self> {
        let depth = running.len();
        if depth >= Self::DEEPEST {
            let most = format!("searches at most {} deep within each other", Self::DEEPEST);
            return Err(Error::expected(most, format!("one of {} within {depth}", title())));
        }
        running.push(views);
        Ok(Self { depth })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.with_borrow_mut(|running| running.truncate(self.depth));
    }
}
