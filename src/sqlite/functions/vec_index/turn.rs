//! One command at a time. What a command writes may run a trigger, and a trigger may give the next command: without end, until
//! the stack of the host overflows.

use crate::error::{Error, Result};
use crate::sqlite::host::connection::Connection;
use std::cell::RefCell;

thread_local! {
    /// The connections of this thread that run a command.
    static BUSY: RefCell<Vec<Connection>> = const { RefCell::new(Vec::new()) };
}

/// A connection runs a command until this is dropped.
pub(super) struct Turn(Connection);

impl Turn {
    /// Begins a command. Refuses it within another one, of whatever index.
    pub fn begin(connection: Connection, index: &str) -> Result<Self> {
        BUSY.with_borrow_mut(|busy| {
            if busy.contains(&connection) {
                let nested =
                    format!("one to {index} within another, as by a trigger that runs when an index is written");
                return Err(Error::expected("one command to an index at a time", nested));
            }
            busy.push(connection);
            Ok(Self(connection))
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        BUSY.with_borrow_mut(|busy| busy.retain(|connection| *connection != self.0));
    }
}
