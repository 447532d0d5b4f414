//! Distributes numbered jobs among threads. They are started for each call: jobs borrow from the caller and may take seconds, which
//! those of `resources::pool` must not.

use crate::error::Result;
use crate::lock::{into_inner, lock};
use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// The results of so many jobs, in order, done by this thread and at most `threads - 1` others.
///
/// After each of its own jobs, this thread calls `proceed` with the number of jobs that are done. The first error, of a
/// job or of `proceed`, stops the work: running jobs are finished, and no others begin.
pub fn share<T: Send>(
    jobs: usize,
    threads: usize,
    work: impl Fn(usize) -> Result<T> + Sync,
    proceed: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let results = Mutex::new((0..jobs).map(|_| None).collect::<Vec<Option<T>>>());

    let one = || -> Result<bool> {
        let job = next.fetch_add(1, Ordering::Relaxed);
        if job >= jobs || stop.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let result = work(job)?;
        lock(&results)[job] = Some(result);
        done.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    };
    let all = |after_each: &mut dyn FnMut() -> Result<()>| -> Result<()> {
        let at_the_end = StopUnlessDone { stop: &stop, done: Cell::new(false) };
        while one()? {
            after_each()?;
        }
        at_the_end.done.set(true);
        Ok(())
    };
    thread::scope(|scope| {
        let helpers = threads.min(jobs).saturating_sub(1);
        // If a thread cannot be started, the others do its work.
        let helper = |_| thread::Builder::new().spawn_scoped(scope, || all(&mut || Ok(()))).ok();
        let helpers = (0..helpers).filter_map(helper).collect::<Vec<_>>();
        let own = all(&mut || proceed(done.load(Ordering::Relaxed)));
        let theirs =
            helpers.into_iter().map(|helper| helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        theirs.fold(own, Result::and)
    })?;
    let results = into_inner(results);
    Ok(results.into_iter().flatten().collect())
}

/// Stops all threads when one ends by an error or a panic.
struct StopUnlessDone<'a> {
    stop: &'a AtomicBool,
    done: Cell<bool>,
}

impl Drop for StopUnlessDone<'_> {
    fn drop(&mut self) {
        self.stop.fetch_or(!self.done.get(), Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::Error;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;

    #[test]
    fn results_are_in_order() {
        for (jobs, threads) in [(0, 1), (1, 4), (7, 1), (7, 3), (100, 8)] {
            let results = share(jobs, threads, |job| Ok(job * job), &mut |_| Ok(())).unwrap();
            assert_eq!(results, (0..jobs).map(|job| job * job).collect::<Vec<_>>());
        }
    }

    #[test]
    fn threads_work_at_the_same_time() {
        let together = Barrier::new(3);
        share(3, 3, |_| Ok(together.wait().is_leader()), &mut |_| Ok(())).unwrap();
    }

    #[test]
    fn a_panic_stops_all() {
        let started = AtomicUsize::new(0);
        let work = |job| {
            started.fetch_add(1, Ordering::Relaxed);
            thread::yield_now();
            assert!(job != 5, "on purpose");
            Ok(job)
        };
        let many = 1_000_000;
        let panicked = catch_unwind(AssertUnwindSafe(|| share(many, 3, work, &mut |_| Ok(()))));
        assert!(panicked.is_err() && started.into_inner() < many);
    }

    #[test]
    fn the_first_error_stops_all() {
        let mistake = |job: usize| Error::Mistake(format!("job {job}"));
        let started = AtomicUsize::new(0);
        let fail = |job| {
            started.fetch_add(1, Ordering::Relaxed);
            thread::yield_now();
            if job == 5 { Err(mistake(job)) } else { Ok(job) }
        };
        let many = 1_000_000;
        assert_eq!(share(many, 3, fail, &mut |_| Ok(())), Err(mistake(5)));
        assert!(started.into_inner() < many);

        let started = AtomicUsize::new(0);
        let work = |_| Ok(started.fetch_add(1, Ordering::Relaxed));
        let mut calls = 0;
        let stopped = share(1000, 1, work, &mut |done| {
            calls += 1;
            if done == 10 { Err(mistake(0)) } else { Ok(()) }
        });
        assert_eq!((stopped.is_err(), calls, started.into_inner()), (true, 10, 10));
    }
}
