//! What every table function that searches tells about a call that has ended: an error is counted, and a slow call is
//! written to SQLite's error log.

use crate::error::{Error, Result};
use crate::resources::config::SLOW_MS;
use crate::resources::stats::{self, ErrorKind};
use crate::sqlite::host::{api, ffi};
use crate::sqlite::tables::source::Source;
use std::time::Instant;

/// One call of a table function, from the moment when its tables are open.
pub struct SearchCall {
    function: &'static str,
    slow: Option<SlowWatch>,
}

/// When a call began, and after how many milliseconds it counts as slow.
struct SlowWatch {
    start: Instant,
    limit: u64,
}

impl SearchCall {
    /// The call begins. If slow calls are not logged, no clock is read.
    pub fn begin(function: &'static str) -> Self {
        let limit = SLOW_MS.get();
        Self { function, slow: (limit > 0).then(|| SlowWatch { start: Instant::now(), limit }) }
    }

    /// The call on these sources has ended.
    pub fn end<T>(self, sources: &[Source], outcome: &Result<T>) {
        match outcome {
            Ok(_) => self.note_slow(sources),
            Err(error) => sources.iter().for_each(|source| source.stats.failed(kind(error))),
        }
    }

    fn note_slow(self, sources: &[Source]) {
        let Some(SlowWatch { start, limit }) = self.slow else { return };
        let took = start.elapsed().as_millis();
        if took > u128::from(limit) {
            let titles: Vec<&str> = sources.iter().map(|source| &*source.title).collect();
            api::log(&format!("{}: {} took {took} ms", self.function, titles.join(", ")));
        }
    }
}

/// Counts a call that failed before its tables were open, under the name of the function.
pub fn refused(function: &'static str) -> impl Fn(&Error) {
    move |error| stats::entry(function, "").failed(kind(error))
}

/// To which kind an error belongs.
pub fn kind(error: &Error) -> ErrorKind {
    match error {
        Error::Mistake(_) => ErrorKind::Mistake,
        Error::Damaged(_) => ErrorKind::Damaged,
        Error::Memory(_) => ErrorKind::Memory,
        Error::Bug(_) => ErrorKind::Bug,
        Error::Sqlite { code, .. } => match *code as u32 & 0xff {
            ffi::SQLITE_ERROR => ErrorKind::Mistake,
            ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => ErrorKind::Damaged,
            ffi::SQLITE_NOMEM => ErrorKind::Memory,
            ffi::SQLITE_INTERRUPT => ErrorKind::Interrupted,
            ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => ErrorKind::Busy,
            _ => ErrorKind::Sqlite,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_is_of_one_kind() {
        let sqlite = |code: u32| Error::Sqlite { code: code as i32, message: String::new() };
        for (error, expected) in [
            (Error::expected("this", "that"), ErrorKind::Mistake),
            (Error::Damaged(String::new()), ErrorKind::Damaged),
            (Error::Memory(String::new()), ErrorKind::Memory),
            (Error::Bug(String::new()), ErrorKind::Bug),
            (sqlite(1), ErrorKind::Mistake),
            (sqlite(ffi::SQLITE_CORRUPT_VTAB), ErrorKind::Damaged),
            (sqlite(ffi::SQLITE_INTERRUPT), ErrorKind::Interrupted),
            // SQLITE_BUSY_SNAPSHOT.
            (sqlite(5 | 2 << 8), ErrorKind::Busy),
            (sqlite(13), ErrorKind::Sqlite),
        ] {
            assert_eq!(kind(&error), expected, "{error:?}");
        }
    }
}
