//! Worker threads for work that only needs memory. They never call SQLite. Between jobs they wait.
//!
//! The thread that brings a job works on it too, and at the end waits only for workers that have begun. So on a busy
//! machine it does all the work alone. Threads are started when they are first needed, and stay.

use super::per_process::PerProcess;
use crate::error::{Error, Result};
use crate::lock::{lock, wait};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// Work that several threads can do together.
pub trait Job: Send + Sync {
    /// Takes pieces of the work until none is left. Several threads call this at the same time.
    fn work(&self);
}

/// Does a job with at most so many threads, including this one. When this returns, no thread works on the job any more.
pub fn run(job: Arc<dyn Job>, threads: usize) -> Result<()> {
    start(job, threads).finish()
}

/// Lets other threads begin with a job, while this thread does something else before it joins them.
///
/// If several threads bring jobs at the same time, fewer helpers are used. If these threads alone keep all cores busy,
/// helpers would only make them wait for each other.
pub fn start(job: Arc<dyn Job>, threads: usize) -> Started {
    let caller = Caller::enter(POOL.get());
    let helpers = threads.saturating_sub(1 + caller.others);
    let posted = (helpers > 0).then(|| POOL.get().post(job.clone(), helpers));
    Started { job, posted, _caller: caller }
}

/// A thread that has brought a job. It is counted until the job is done, also if the job panics.
struct Caller {
    pool: &'static Pool,
    /// How many other such threads there were when it came.
    others: usize,
}

impl Caller {
    fn enter(pool: &'static Pool) -> Self {
        Self { pool, others: pool.callers.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.pool.callers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A job that other threads may be working on.
pub struct Started {
    job: Arc<dyn Job>,
    /// Dropping this waits for the workers, also if `work` panics: none may still use what the owner then drops.
    posted: Option<Posted<'static>>,
    _caller: Caller,
}

impl Started {
    /// Joins the work. When this returns, no thread works on the job any more.
    pub fn finish(self) -> Result<()> {
        self.job.work();
        self.posted.map_or(Ok(()), Posted::finish)
    }
}

static POOL: PerProcess<Arc<Pool>> = PerProcess::new(Arc::default);

#[derive(Default)]
struct Pool {
    /// How many threads have brought a job that is not done yet.
    callers: AtomicUsize,
    state: Mutex<PoolState>,
    /// Signals that a job has come.
    wanted: Condvar,
    /// Signals that a worker has left a job.
    left: Condvar,
}

#[derive(Default)]
struct PoolState {
    jobs: Vec<Ticket>,
    next_number: u64,
    workers: usize,
}

struct Ticket {
    number: u64,
    job: Arc<dyn Job>,
    /// How many more workers may join.
    places: usize,
    working: usize,
    panicked: bool,
}

impl Pool {
    fn post(self: &Arc<Self>, job: Arc<dyn Job>, helpers: usize) -> Posted<'_> {
        let mut state = self.lock();
        let number = state.next_number;
        state.next_number += 1;
        state.jobs.push(Ticket { number, job, places: helpers, working: 0, panicked: false });
        while state.workers < helpers && self.start_worker() {
            state.workers += 1;
        }
        drop(state);
        (0..helpers).for_each(|_| self.wanted.notify_one());
        Posted { pool: self, number }
    }

    /// Returns false if the system cannot start a thread. The job then only takes longer.
    fn start_worker(self: &Arc<Self>) -> bool {
        let pool = self.clone();
        std::thread::Builder::new().name("fafcas".into()).spawn(move || pool.serve()).is_ok()
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            let Some(ticket) = state.jobs.iter_mut().find(|ticket| ticket.places > 0) else {
                state = wait(&self.wanted, state);
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

    /// Lets no more workers join, waits for those that have joined, and returns whether one of them panicked.
    fn close(&self, number: u64) -> bool {
        let mut state = self.lock();
        loop {
            let Some(at) = state.jobs.iter().position(|ticket| ticket.number == number) else { return false };
            state.jobs[at].places = 0;
            if state.jobs[at].working == 0 {
                return state.jobs.swap_remove(at).panicked;
            }
            state = wait(&self.left, state);
        }
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        lock(&self.state)
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

    /// Both threads meet inside the job, so the worker is in it when it panics.
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
        let pool: Arc<Pool> = Arc::default();
        for _ in 0..3 {
            let meet = Meet { caller: std::thread::current().id(), both: std::sync::Barrier::new(2) };
            let job = Arc::new(meet);
            let posted = pool.post(job.clone(), 1);
            job.work();
            assert!(matches!(posted.finish(), Err(Error::Bug(_))));
        }
    }
}
