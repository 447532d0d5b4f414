//! The vectors of recent texts, so that a repeated text costs a hash look-up.
//!
//! Two generations stand in for a list by age: what is found in the old one moves to the young one, and when the young
//! one is full it becomes the old one, whose place it takes.

use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::mem::take;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of vectors in one generation.
const GENERATION: usize = 8 << 20;

static HITS: AtomicU64 = AtomicU64::new(0);
static MISSES: AtomicU64 = AtomicU64::new(0);
static EVICTIONS: AtomicU64 = AtomicU64::new(0);

/// What the caches of all models of this process have done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Texts whose vector was there.
    pub hits: u64,
    /// Texts that had to be embedded.
    pub misses: u64,
    /// Vectors that made room for others.
    pub evictions: u64,
}

/// The counters of this process.
pub fn counters() -> Counters {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Counters { hits: read(&HITS), misses: read(&MISSES), evictions: read(&EVICTIONS) }
}

/// A text by its SHA-256: nobody can make two texts that share a vector.
pub type Key = [u8; 32];

/// The key of a text.
pub fn key(text: &str) -> Key {
    Sha256::digest(text).into()
}

type Vectors = HashMap<Key, Arc<[f32]>>;

#[derive(Default)]
struct Generations {
    young: Vectors,
    old: Vectors,
}

/// The cache of one model.
pub struct Cache {
    generations: Mutex<Generations>,
    /// Vectors in one generation.
    capacity: usize,
}

impl Cache {
    /// A cache of vectors of so many dimensions.
    pub fn new(dimensions: usize) -> Self {
        let bytes = size_of::<Key>() + dimensions * size_of::<f32>();
        Self { generations: Mutex::default(), capacity: (GENERATION / bytes).max(1) }
    }

    /// The vector of this text, if it is here.
    pub fn get(&self, key: &Key) -> Option<Arc<[f32]>> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match generations.young.get(key) {
            Some(vector) => Some(Arc::clone(vector)),
            None => generations.old.remove(key).inspect(|vector| self.add(&mut generations, *key, Arc::clone(vector))),
        };
        let counter = if found.is_some() { &HITS } else { &MISSES };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Keeps the vector of a text for a while.
    pub fn put(&self, key: Key, vector: Arc<[f32]>) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        self.add(&mut generations, key, vector);
    }

    fn add(&self, generations: &mut Generations, key: Key, vector: Arc<[f32]>) {
        if generations.young.len() >= self.capacity {
            EVICTIONS.fetch_add(generations.old.len() as u64, Ordering::Relaxed);
            generations.old = take(&mut generations.young);
        }
        generations.young.insert(key, vector);
    }
}
