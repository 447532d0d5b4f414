//! Values that belong to one process. After a fork, the child makes its own: threads are not copied, and a lock that
//! another thread held at that moment would never be released.

use std::sync::OnceLock;

/// The number of this process. WASM has no processes, and asking for the number would panic.
pub fn id() -> u32 {
    if cfg!(target_family = "wasm") { 0 } else { std::process::id() }
}

/// A value that is made at first use, and again in each forked child. The values of parent processes are kept, because
/// others may still use them.
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
    /// `make` makes the value.
    pub const fn new(make: fn() -> T) -> Self {
        Self { make, first: OnceLock::new() }
    }

    /// The value of the calling process.
    pub fn get(&'static self) -> &'static T {
        let process = id();
        let mut link = &self.first;
        loop {
            match link.get() {
                Some(node) if node.process == process => return &node.value,
                Some(node) => link = &node.next,
                // If another thread was faster, its value is taken in the next round. The value is made before it is
                // stored, so that a fork hardly ever finds it half stored.
                None => drop(link.set(Box::new(Node { process, value: (self.make)(), next: OnceLock::new() }))),
            }
        }
    }
}
