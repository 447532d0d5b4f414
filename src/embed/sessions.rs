//! The sessions of one model. Each is lent to one batch at a time.
//!
//! A session is made when it is first needed. Those who wait get one in the order in which they came, so a single text
//! waits only for the batches that are running. No lock is held during a run, and a forked process goes on with the sessions
//! that were idle.

use crate::error::Result;
use crate::lock::{lock, try_lock, wait};
use crate::resources::per_process::PerProcess;
use std::mem::take;
use std::sync::{Condvar, Mutex};

/// Makes one more session.
type Open<S> = Box<dyn Fn() -> Result<S> + Send + Sync>;

struct State<S> {
    idle: Vec<S>,
    /// Sessions that exist, are lent out, or are being made.
    made: usize,
    /// `next` is the turn of the next one to come; `turn` is whose turn it is now.
    next: u64,
    turn: u64,
}

/// Who waits, and for what. A forked child has its own, as it does not have what other threads of its parent held.
struct Queue<S> {
    state: Mutex<State<S>>,
    changed: Condvar,
}

impl<S> Queue<S> {
    fn new(idle: Vec<S>) -> Self {
        Self { state: Mutex::new(State { made: idle.len(), idle, next: 0, turn: 0 }), changed: Condvar::new() }
    }

    fn of_child(parent: Option<&Self>) -> Self {
        let state = parent.and_then(|parent| try_lock(&parent.state));
        Self::new(state.map(|mut state| take(&mut state.idle)).unwrap_or_default())
    }
}

/// The sessions of one model.
pub struct Sessions<S> {
    open: Open<S>,
    queue: PerProcess<Queue<S>>,
}

/// The right to one session. At its end it gives the session back. If the session failed, another may be made.
struct SessionSeat<'a, S> {
    sessions: &'a Sessions<S>,
    session: Option<S>,
}

impl<S> Sessions<S> {
    /// `first` is the first session, `open` makes more.
    pub fn new(first: S, open: Open<S>) -> Self {
        Self { open, queue: PerProcess::beginning_with(Queue::new(vec![first]), Queue::of_child) }
    }

    /// Runs `work` with an idle session, or with a new one if there are fewer than `most`.
    pub fn with<T>(&self, most: usize, work: impl FnOnce(&mut S) -> Result<T>) -> Result<T> {
        let idle = self.wait(most.max(1));
        let mut place = SessionSeat { sessions: self, session: None };
        let mut session = idle.map_or_else(|| (self.open)(), Ok)?;
        let result = work(&mut session);
        place.session = Some(session);
        result
    }

    /// Waits for an idle session. `None` is the right to make one.
    fn wait(&self, most: usize) -> Option<S> {
        let queue = self.queue.get();
        let mut state = lock(&queue.state);
        let mine = state.next;
        state.next += 1;
        while state.turn != mine || (state.idle.is_empty() && state.made >= most) {
            state = wait(&queue.changed, state);
        }
        state.turn += 1;
        queue.changed.notify_all();
        let idle = state.idle.pop();
        state.made += usize::from(idle.is_none());
        idle
    }
}

impl<S> Drop for SessionSeat<'_, S> {
    fn drop(&mut self) {
        let queue = self.sessions.queue.get();
        let mut state = lock(&queue.state);
        match self.session.take() {
            Some(session) => state.idle.push(session),
            None => state.made -= 1,
        }
        queue.changed.notify_all();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::Error;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Here sessions are numbers, in the order in which they were made.
    fn numbered() -> Sessions<usize> {
        let next = AtomicUsize::new(1);
        Sessions::new(0, Box::new(move || Ok(next.fetch_add(1, Ordering::Relaxed))))
    }

    #[test]
    fn two_sessions_are_in_use_at_once() {
        let (sessions, both) = (numbered(), Barrier::new(2));
        // Each waits for the other while it has a session.
        let work = || sessions.with(2, |&mut session| Ok((both.wait(), session).1)).unwrap();
        let mut used = std::thread::scope(|scope| {
            let other = scope.spawn(work);
            [work(), other.join().unwrap()]
        });
        used.sort();
        assert_eq!(used, [0, 1]);
    }

    #[test]
    fn no_more_are_made_than_are_wanted() {
        let (sessions, in_use) = (numbered(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let work = |session: &mut usize| {
                            assert!(in_use.fetch_add(1, Ordering::SeqCst) < 3 && *session < 3);
                            std::thread::yield_now();
                            in_use.fetch_sub(1, Ordering::SeqCst);
                            Ok(())
                        };
                        sessions.with(3, work).unwrap();
                    }
                });
            }
        });
    }

    #[test]
    fn what_failed_or_panicked_leaves_room_for_another() {
        let fail = Error::Mistake("no".into());
        let sessions = numbered();
        assert_eq!(sessions.with(1, |_| Err::<(), _>(fail.clone())), Err(fail.clone()));
        assert_eq!(sessions.with(1, |&mut session| Ok(session)), Ok(0), "a session outlives an error of its work");
        let panicked = catch_unwind(AssertUnwindSafe(|| sessions.with(1, |_| -> Result<()> { panic!("on purpose") })));
        assert!(panicked.is_err());
        assert_eq!(sessions.with(1, |&mut session| Ok(session)), Ok(1), "one that panicked is not used again");

        let (error, tries) = (fail.clone(), AtomicUsize::new(0));
        let first_fails = move || if tries.fetch_add(1, Ordering::Relaxed) == 0 { Err(error.clone()) } else { Ok(7) };
        let sessions = Sessions::new(0, Box::new(first_fails));
        let second = || sessions.with(1, |_| sessions.with(2, |&mut session| Ok(session)));
        assert_eq!(second(), Err(fail));
        assert_eq!(second(), Ok(7));
    }
}
