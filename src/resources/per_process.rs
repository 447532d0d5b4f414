//! Things that belong to one process. After a fork the child makes its own: threads are not copied, and a lock that
//! another thread held at that moment would never be released.

use std::sync::OnceLock;

/// A value made at first use, and again in each forked child. Values of parents are kept: others may hold on to them.
pub struct PerProcess<T: 'static> {
    make: fn() -> T,
    first: Link<T>,
}

type Link<T> = OnceLock<Box<Node<T>>>;

struct Node<T> {
    process: u32,
    value: T,
    next: Link<T>,
}

impl<T> PerProcess<T> {
    /// Makes values with `make`.
    pub const fn new(make: fn() -> T) -> Self {
        Self { make, first: OnceLock::new() }
    }

    /// The value of the process that calls.
    pub fn get(&'static self) -> &'static T {
        let process = std::process::id();
        let mut link = &self.first;
        loop {
            match link.get() {
                Some(node) if node.process == process => return &node.value,
                Some(node) => link = &node.next,
                // Where another thread is first, its value is taken in the next round. The value is made beforehand,
                // so that a fork hardly ever finds the link half set.
                None => drop(link.set(Box::new(Node { process, value: (self.make)(), next: OnceLock::new() }))),
            }
        }
    }
}
