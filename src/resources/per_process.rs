//! Values that belong to one process. After a fork, the child makes its own: threads are not copied, and a lock that
//! another thread held at that moment would never be released.

use once_cell::race::OnceBox;

/// The number of this process. WASM has no processes, and asking for the number would panic.
pub fn id() -> u32 {
    if cfg!(target_family = "wasm") { 0 } else { std::process::id() }
}

/// A value that is made at first use, and again in each forked child. The values of parent processes are kept, because
/// others may still use them.
pub struct PerProcess<T> {
    make: Make<T>,
    first: Link<T>,
}

enum Make<T> {
    Anew(fn() -> T),
    /// From the value of the process that was forked, if it had one. A lock in it may be held for ever.
    From(fn(Option<&T>) -> T),
}

/// It never makes a thread wait, so a fork cannot come while somebody waits for another thread.
type Link<T> = OnceBox<Node<T>>;

struct Node<T> {
    process: u32,
    value: T,
    next: Link<T>,
}

impl<T> PerProcess<T> {
    /// `make` makes the value.
    pub const fn new(make: fn() -> T) -> Self {
        Self { make: Make::Anew(make), first: OnceBox::new() }
    }

    /// `make` makes the value, and takes what it can use from that of the process that was forked. It may only try the locks
    /// in it.
    #[cfg_attr(not(feature = "text"), allow(dead_code, reason = "for models alone"))]
    pub const fn handed_on(make: fn(Option<&T>) -> T) -> Self {
        Self { make: Make::From(make), first: OnceBox::new() }
    }

    /// The same, with the value of this process.
    #[cfg_attr(not(feature = "onnx"), allow(dead_code, reason = "for sessions alone"))]
    pub fn beginning_with(value: T, make: fn(Option<&T>) -> T) -> Self {
        Self { make: Make::From(make), first: OnceBox::with_value(Node::boxed(value)) }
    }

    /// The value of the calling process.
    pub fn get(&self) -> &T {
        let process = id();
        let mut link = &self.first;
        let mut parent = None;
        loop {
            match link.get() {
                Some(node) if node.process == process => return &node.value,
                Some(node) => (link, parent) = (&node.next, Some(&node.value)),
                // If another thread was faster, its value is taken in the next round.
                None => drop(link.set(Node::boxed(self.made(parent)))),
            }
        }
    }

    fn made(&self, parent: Option<&T>) -> T {
        match self.make {
            Make::Anew(make) => make(),
            Make::From(make) => make(parent),
        }
    }
}

impl<T> Node<T> {
    fn boxed(value: T) -> Box<Self> {
        Box::new(Self { process: id(), value, next: OnceBox::new() })
    }
}
