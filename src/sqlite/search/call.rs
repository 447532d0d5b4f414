//! What every table function that searches tells about a call that has ended: an error is counted, a slow call is written to
//! SQLite's error log, and `vec_trace` keeps what the call did if somebody wants to know.

use crate::error::Error;
use crate::resources::config::SLOW_MS;
use crate::resources::stats::{self, ErrorKind};
use crate::resources::trace::{self, TracedSearch};
use crate::sqlite::host::{api, ffi};
use crate::sqlite::tables::source::Source;
use std::time::{Duration, Instant};

/// One call of a table function, from the moment when its arguments are read.
pub struct SearchCall {
    function: &'static str,
    /// When it began, if somebody wants to know how long it takes.
    start: Option<Instant>,
    /// How long its stages took before: the plan, and opening the tables.
    before: Duration,
}

impl SearchCall {
    /// The call begins. If calls are neither logged nor traced, no clock is read.
    pub fn begin(function: &'static str) -> Self {
        let is_timed = SLOW_MS.get() > 0 || trace::is_on();
        Self { function, start: is_timed.then(Instant::now), before: trace::so_far() }
    }

    /// The call on these sources has ended. `k` is how many rows were wanted, and the outcome is how many were found.
    pub fn end(self, sources: &[Source], k: Option<usize>, outcome: Result<usize, &Error>) {
        if let Err(error) = outcome {
            sources.iter().for_each(|source| source.stats.failed(kind(error)));
        }
        let Some(start) = self.start else { return };
        let took = start.elapsed();
        let limit = SLOW_MS.get();
        let is_slow = limit > 0 && took.as_millis() > u128::from(limit);
        let titles = || sources.iter().map(|source| &*source.title).collect::<Vec<_>>().join(", ");
        if is_slow && outcome.is_ok() {
            api::log(&format!("{}: {} took {} ms", self.function, titles(), took.as_millis()));
        }
        if trace::is_on() {
            let notes = trace::take_notes();
            if limit == 0 || is_slow || outcome.is_err() {
                let column = sources.first().map_or(String::new(), |source| source.column().to_string());
                let (rows, error, took) = (outcome.ok(), outcome.err(), self.before + took);
                trace::keep(TracedSearch {
                    source: titles(),
                    column,
                    k,
                    rows,
                    took,
                    notes,
                    ..ended(self.function, error)
                });
            }
        }
    }
}

/// Counts a call that failed before it was known what it is about. It is counted under the name of the function.
pub fn failed(function: &'static str) -> impl Fn(&Error) {
    move |error| stats::entry(function, "").failed(kind(error))
}

/// The same for a function that searches: `vec_trace` keeps the call, too.
pub fn refused(function: &'static str) -> impl Fn(&Error) {
    move |error| {
        failed(function)(error);
        if trace::is_on() {
            let (took, notes) = (trace::so_far(), trace::take_notes());
            trace::keep(TracedSearch { took, notes, ..ended(function, Some(error)) });
        }
    }
}

fn ended(function: &'static str, error: Option<&Error>) -> TracedSearch {
    TracedSearch::ended(function, error.map(|error| error.to_string()))
}

/// A result or an error that a row reports. The outer error ends the statement.
pub fn survived<T>(outcome: Result<T, Error>) -> Result<Result<T, Error>, Error> {
    match outcome {
        Err(error) if matches!(kind(&error), ErrorKind::Memory | ErrorKind::Interrupted) => Err(error),
        outcome => Ok(outcome),
    }
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
