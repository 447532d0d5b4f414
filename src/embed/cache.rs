//! The vectors of recent texts, so that a repeated text costs a hash look-up.
//!
//! Two generations stand in for a list by age: what is found in the old one moves to the young one, and when the young
//! one is full it becomes the old one, whose place it takes.

use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::mem::take;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of vectors in one generation.
const GENERATION: usize = 8 << 20;

/// What the cache of a model holds, and what it has done since that was last told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Texts whose vector was there.
    pub hits: u64,
    /// Texts that had to be embedded.
    pub misses: u64,
    /// Vectors that made room for others.
    pub evictions: u64,
    /// Bytes of the vectors and keys that are there.
    pub bytes: u64,
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
    counters: Counters,
}

/// The cache of one model.
pub struct Cache {
    generations: Mutex<Generations>,
    /// Bytes of a vector and its key.
    entry: usize,
}

impl Cache {
    /// A cache of vectors of so many dimensions.
    pub fn new(dimensions: usize) -> Self {
        Self { generations: Mutex::default(), entry: size_of::<Key>() + dimensions * size_of::<f32>() }
    }

    /// Vectors in one generation.
    fn capacity(&self) -> usize {
        (GENERATION / self.entry).max(1)
    }

    /// What it holds, and what it has done since this was last asked.
    pub fn take_counters(&self) -> Counters {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let vectors = generations.young.len() + generations.old.len();
        Counters { bytes: (vectors * self.entry) as u64, ..take(&mut generations.counters) }
    }

    /// The vector of this text, if it is here.
    pub fn get(&self, key: &Key) -> Option<Arc<[f32]>> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match generations.young.get(key) {
            Some(vector) => Some(Arc::clone(vector)),
            None => generations.old.remove(key).inspect(|vector| self.add(&mut generations, *key, Arc::clone(vector))),
        };
        let counters = &mut generations.counters;
        *(if found.is_some() { &mut counters.hits } else { &mut counters.misses }) += 1;
        found
    }

    /// Keeps the vector of a text for a while.
    pub fn put(&self, key: Key, vector: Arc<[f32]>) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        self.add(&mut generations, key, vector);
    }

    fn add(&self, generations: &mut Generations, key: Key, vector: Arc<[f32]>) {
        if generations.young.len() >= self.capacity() {
            generations.counters.evictions += generations.old.len() as u64;
            generations.old = take(&mut generations.young);
        }
        generations.young.insert(key, vector);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn small() -> Cache {
        Cache { entry: GENERATION / 4, ..Cache::new(1) }
    }

    fn put(cache: &Cache, number: u32) {
        cache.put(key(&number.to_string()), Arc::from([number as f32]));
    }

    fn get(cache: &Cache, number: u32) -> Option<f32> {
        cache.get(&key(&number.to_string())).map(|vector| vector[0])
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let cache = small();
        (0..1000).for_each(|number| put(&cache, number));
        let kept = (0..1000).filter(|&number| get(&cache, number).is_some()).count();
        assert!((1..=8).contains(&kept), "{kept}");
    }

    #[test]
    fn what_is_asked_for_stays() {
        let cache = small();
        for number in 0..100 {
            put(&cache, number);
            assert_eq!(get(&cache, number), Some(number as f32));
            assert_eq!(get(&cache, 0), Some(0.0), "after {number}");
        }
    }

    #[test]
    fn sixteen_megabytes_of_vectors_are_kept() {
        let cache = Cache::new(384);
        let bytes = 2 * cache.capacity() * (384 * 4 + 32);
        assert!((15 << 20..=16 << 20).contains(&bytes), "{bytes}");
        assert_eq!(Cache::new(usize::MAX >> 8).capacity(), 1);
    }
}
