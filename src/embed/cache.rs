//! The vectors of recent texts, so that a repeated text costs only a hash look-up.
//!
//! There are two generations instead of a list sorted by age. A vector that is found in the old one moves to the young
//! one. When the young one is full, it becomes the old one, and the old one is dropped.

use super::listing::Counters;
use crate::lock::lock;
use crate::resources::per_process::PerProcess;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::mem::take;
use std::sync::{Arc, Mutex};

/// How many bytes of vectors a generation may hold.
const GENERATION: usize = 8 << 20;

/// A text is known by its SHA-256, so nobody can make two texts that share a vector.
pub type Key = [u8; 32];

/// The key of a text of which so many tokens do not count.
pub fn key(text: &str, left_out: usize) -> Key {
    let hasher = Sha256::new().chain_update(text);
    if left_out == 0 {
        return hasher.finalize().into();
    }
    // No text has this byte.
    hasher.chain_update([0xff]).chain_update(left_out.to_le_bytes()).finalize().into()
}

type TextVectors = HashMap<Key, Arc<[f32]>>;

#[derive(Default)]
struct Generations {
    young: TextVectors,
    old: TextVectors,
    counters: Counters,
}

/// The cache of one model.
pub struct TextCache {
    generations: PerProcess<Mutex<Generations>>,
    /// Bytes of one vector and its key.
    entry: usize,
}

impl TextCache {
    /// A cache for vectors of so many dimensions.
    pub fn new(dimensions: usize) -> Self {
        Self { generations: PerProcess::new(Mutex::default), entry: size_of::<Key>() + dimensions * size_of::<f32>() }
    }

    /// How many vectors a generation may hold.
    fn capacity(&self) -> usize {
        (GENERATION / self.entry).max(1)
    }

    /// What it holds now, and what it has done since the last call.
    pub fn take_counters(&self) -> Counters {
        let mut generations = lock(self.generations.get());
        let vectors = generations.young.len() + generations.old.len();
        Counters { bytes: (vectors * self.entry) as u64, ..take(&mut generations.counters) }
    }

    /// The vector of this text, if it is in the cache.
    pub fn get(&self, key: &Key) -> Option<Arc<[f32]>> {
        let mut generations = lock(self.generations.get());
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
        let mut generations = lock(self.generations.get());
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

    fn small() -> TextCache {
        TextCache { entry: GENERATION / 4, ..TextCache::new(1) }
    }

    fn put(cache: &TextCache, number: u32) {
        cache.put(key(&number.to_string(), 0), Arc::from([number as f32]));
    }

    fn get(cache: &TextCache, number: u32) -> Option<f32> {
        cache.get(&key(&number.to_string(), 0)).map(|vector| vector[0])
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
    fn it_counts_what_it_does() {
        let cache = small();
        let since = |hits, misses, evictions, vectors: usize| {
            let bytes = (vectors * cache.entry) as u64;
            assert_eq!(cache.take_counters(), Counters { hits, misses, evictions, bytes });
        };
        since(0, 0, 0, 0);
        assert_eq!(get(&cache, 1), None);
        since(0, 1, 0, 0);
        (1..=4).for_each(|number| put(&cache, number));
        assert_eq!((get(&cache, 1), get(&cache, 4), get(&cache, 5)), (Some(1.0), Some(4.0), None));
        since(2, 1, 0, 4);
        // These fill a second generation and begin a third, so the first is dropped.
        (5..=8).for_each(|number| put(&cache, number));
        since(0, 0, 0, 8);
        put(&cache, 9);
        since(0, 0, 4, 5);
        assert_eq!((get(&cache, 1), get(&cache, 5)), (None, Some(5.0)));
        since(1, 1, 0, 5);
    }

    #[test]
    fn sixteen_megabytes_of_vectors_are_kept() {
        let cache = TextCache::new(384);
        let bytes = 2 * cache.capacity() * (384 * 4 + 32);
        assert!((15 << 20..=16 << 20).contains(&bytes), "{bytes}");
        assert_eq!(TextCache::new(usize::MAX >> 8).capacity(), 1);
    }
}
