//! The sessions of one model, lent out one at a time to whoever runs a batch.
//!
//! They are made when they are first needed, and lent first come first served, so that a single text waits for no more
//! than the batches under way. No lock is held while one runs, and a process that was forked meanwhile makes its own.

use super::session::Session;
use crate::error::Result;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Makes one more session.
type Open = Box<dyn Fn() -> Result<Session> + Send + Sync>;

#[derive(Default)]
struct State {
    idle: Vec<Session>,
    /// Sessions that exist, are lent out or are being made.
    made: usize,
    /// The turn that the next one to come will have, and the one whose turn it is.
    next: u64,
    turn: u64,
    process: u32,
}

/// The sessions of one model.
pub struct Sessions {
    open: Open,
    state: Mutex<State>,
    changed: Condvar,
}

/// The right to one session. Gives it back, or makes room for another when it failed.
struct Place<'a> {
    sessions: &'a Sessions,
    session: Option<Session>,
}

impl Sessions {
    /// The first session, and how to make more.
    pub fn new(first: Session, open: Open) -> Self {
        let state = State { idle: vec![first], made: 1, process: std::process::id(), ..State::default() };
        Self { open, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Runs `work` with an idle session, or with a new one while there are fewer than `most`.
    pub fn with<T>(&self, most: usize, work: impl FnOnce(&mut Session) -> Result<T>) -> Result<T> {
        let idle = self.wait(most.max(1));
        let mut place = Place { sessions: self, session: None };
        let mut session = idle.map_or_else(|| (self.open)(), Ok)?;
        let result = work(&mut session);
        place.session = Some(session);
        result
    }

    /// Waits for an idle session or, if that is `None`, for the right to make one.
    fn wait(&self, most: usize) -> Option<Session> {
        let mut state = self.lock();
        let mine = state.next;
        state.next += 1;
        while state.turn != mine || (state.idle.is_empty() && state.made >= most) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.turn += 1;
        self.changed.notify_all();
        let idle = state.idle.pop();
        state.made += usize::from(idle.is_none());
        idle
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        if state.process != process {
            // A forked child has no copy of what its parent's other threads held, and nobody else waits.
            let idle = std::mem::take(&mut state.idle);
            *state = State { made: idle.len(), idle, process, ..State::default() };
        }
        state
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.sessions.lock();
        match self.session.take() {
            Some(session) => state.idle.push(session),
            None => state.made -= 1,
        }
        self.sessions.changed.notify_all();
    }
}
