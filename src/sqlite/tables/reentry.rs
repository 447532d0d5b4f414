//! Who is being read right now on this thread, so that a view which reads itself through a table function is met again
//! here, and not when the stack has overflowed.

use super::source::{Identity, Source};
use crate::error::{Error, Result};
use std::cell::RefCell;

thread_local! {
    static RUNNING: RefCell<Vec<Identity>> = const { RefCell::new(Vec::new()) };
}

/// Marks sources as being read, until it is dropped.
pub struct Running {
    before: usize,
}

impl Running {
    /// Views over views that search each other may nest this deep.
    const DEEPEST: usize = 64;

    /// Refuses sources that are being read already.
    pub fn enter<'a>(sources: impl IntoIterator<Item = &'a Source> + Clone) -> Result<Self> {
        RUNNING.with_borrow_mut(|running| {
            for source in sources.clone() {
                if running.contains(&source.identity()) || running.len() >= Self::DEEPEST {
                    let view = format!("{} searched from within itself", source.title);
                    return Err(Error::expected("a source that does not search itself", view));
                }
            }
            let before = running.len();
            running.extend(sources.into_iter().map(Source::identity));
            Ok(Self { before })
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.with_borrow_mut(|running| running.truncate(self.before));
    }
}
