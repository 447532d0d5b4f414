//! Worker threads for work over memory. They never call SQLite, and wait between jobs.
//!
//! The thread that brings a job works on it too, and waits only for workers that have begun: on a busy machine it does
//! all of it alone. Threads are started when they are first wanted, and stay.

use crate::error::{Error, Result};
use crate::process::PerProcess;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Work that several threads can do together.
pub trait Job: Send + Sync {
    /// Takes pieces of the work until none is left. Called by each thread that takes part, at the same time.
    fn work(&self);
}

/// Does a job with at most so many threads, this one among them. Once this returns, nobody works on it any more.
///
/// Threads that bring jobs at the same time count: where they are enough to keep the cores busy, a helper would only make
/// them wait for each other.
pub fn run(job: Arc<dyn Job>, threads: usize) -> Result<()> {
    let pool = POOL.get();
    let others = pool.callers.fetch_add(1, Ordering::Relaxed);
    let _leaving = Leaving(pool);
    match threads.saturating_sub(1 + others) {
        0 => {
            job.work();
            Ok(())
        }
        helpers => pool.run(job, helpers),
    }
}

/// One caller less, also when its job panics.
struct Leaving<'a>(&'a Pool);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.callers.fetch_sub(1, Ordering::Relaxed);
    }
}

static POOL: PerProcess<Arc<Pool>> = PerProcess::new(Arc::default);

#[derive(Default)]
struct Pool {
    /// Threads that are in `run`.
    callers: AtomicUsize,
    state: Mutex<State>,
    /// A job has come.
    wanted: Condvar,
    /// A worker has left a job.
    left: Condvar,
}

#[derive(Default)]
struct State {
    jobs: Vec<Ticket>,
    next_number: u64,
    workers: usize,
}

struct Ticket {
    number: u64,
    job: Arc<dyn Job>,
    /// Workers that may still join.
    places: usize,
    working: usize,
    panicked: bool,
}

impl Pool {
    fn run(self: &Arc<Self>, job: Arc<dyn Job>, helpers: usize) -> Result<()> {
        let number = self.post(job.clone(), helpers);
        // Also when `work` panics below, nobody may be left working on what its owner is about to drop.
        let posted = Posted { pool: self, number };
        job.work();
        posted.finish()
    }

    fn post(self: &Arc<Self>, job: Arc<dyn Job>, helpers: usize) -> u64 {
        let mut state = self.lock();
        let number = state.next_number;
        state.next_number += 1;
        state.jobs.push(Ticket { number, job, places: helpers, working: 0, panicked: false });
        while state.workers < helpers && self.start_worker() {
            state.workers += 1;
        }
        drop(state);
        (0..helpers).for_each(|_| self.wanted.notify_one());
        number
    }

    /// False where the system has no thread to give, which costs time alone.
    fn start_worker(self: &Arc<Self>) -> bool {
        let pool = self.clone();
        std::thread::Builder::new().name("fafcas".into()).spawn(move || pool.serve()).is_ok()
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            let Some(ticket) = state.jobs.iter_mut().find(|ticket| ticket.places > 0) else {
                state = self.wanted.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            ticket.places -= 1;
            ticket.working += 1;
            let (number, job) = (ticket.number, ticket.job.clone());
            drop(state);
            let panicked = catch_unwind(AssertUnwindSafe(|| job.work())).is_err();
            drop(job);
            state = self.lock();
            if let Some(ticket) = state.jobs.iter_mut().find(|ticket| ticket.number == number) {
                ticket.working -= 1;
                ticket.panicked |= panicked;
            }
            self.left.notify_all();
        }
    }

    /// Lets no more workers join, waits for those that have, and says whether one panicked.
    fn close(&self, number: u64) -> bool {
        let mut state = self.lock();
        loop {
            let Some(at) = state.jobs.iter().position(|ticket| ticket.number == number) else { return false };
            state.jobs[at].places = 0;
            if state.jobs[at].working == 0 {
                return state.jobs.swap_remove(at).panicked;
            }
            state = self.left.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Posted<'a> {
    pool: &'a Pool,
    number: u64,
}

impl Posted<'_> {
    fn finish(self) -> Result<()> {
        match self.pool.close(self.number) {
            false => Ok(()),
            true => Err(Error::Bug("a worker thread panicked".into())),
        }
    }
}

impl Drop for Posted<'_> {
    fn drop(&mut self) {
        self.pool.close(self.number);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    struct Count {
        next: AtomicUsize,
        done: Vec<AtomicUsize>,
        bad: Option<usize>,
    }

    impl Count {
        fn new(pieces: usize, bad: Option<usize>) -> Arc<Self> {
            let done = (0..pieces).map(|_| AtomicUsize::new(0)).collect();
            Arc::new(Self { next: AtomicUsize::new(0), done, bad })
        }

        fn each_once(&self) -> bool {
            self.done.iter().all(|done| done.load(Ordering::SeqCst) == 1)
        }
    }

    impl Job for Count {
        fn work(&self) {
            while let Some(done) = self.done.get(self.next.fetch_add(1, Ordering::SeqCst)) {
                done.fetch_add(1, Ordering::SeqCst);
                assert_ne!(self.bad, Some(self.next.load(Ordering::SeqCst)), "on purpose");
            }
        }
    }

    #[test]
    fn every_piece_is_done_once_however_many_jobs_there_are() {
        std::thread::scope(|scope| {
            for threads in [1, 2, 3, 8] {
                scope.spawn(move || {
                    for pieces in [0, 1, 2, 100, 1000] {
                        let job = Count::new(pieces, None);
                        run(job.clone(), threads).unwrap();
                        assert!(job.each_once());
                        assert_eq!(Arc::strong_count(&job), 1, "a worker still holds the job");
                    }
                });
            }
        });
    }

    /// Both threads meet in the job, so the worker is in it when it panics.
    struct Meet {
        caller: std::thread::ThreadId,
        both: std::sync::Barrier,
    }

    impl Job for Meet {
        fn work(&self) {
            self.both.wait();
            assert_eq!(std::thread::current().id(), self.caller, "on purpose");
        }
    }

    #[test]
    fn a_panic_in_a_worker_is_an_error_and_the_worker_lives_on() {
        for _ in 0..3 {
            let meet = Meet { caller: std::thread::current().id(), both: std::sync::Barrier::new(2) };
            assert!(matches!(run(Arc::new(meet), 2), Err(Error::Bug(_))));
        }
    }
}
