//! Values in memory under keys that name their content, within a budget of bytes.
//!
//! Keys contain random tokens, so an entry never becomes wrong; at worst nobody asks for it again. What does not fit is
//! not kept: where everything is read over and over, throwing out the oldest would throw out each value just before it
//! is wanted. A value makes room only by removing those that have not been used for a while.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A value may be removed after so many rounds without use: a few searches in other places do not cost it its seat.
const ROUNDS_UNUSED: u64 = 32;

/// A cache; see the module.
#[derive(Debug)]
pub struct Cache<K, V> {
    state: Mutex<State<K, V>>,
}

#[derive(Debug)]
struct State<K, V> {
    entries: HashMap<K, Entry<V>>,
    counts: Counts,
    round: u64,
    /// The round in which unused values were last removed.
    cleared: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    bytes: usize,
    used: u64,
}

/// What a cache holds, and how it fared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Counts {
    pub bytes: usize,
    pub hits: u64,
    pub misses: u64,
    pub evictions: u64,
}

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        let state = State { entries: HashMap::new(), counts: Counts::default(), round: 0, cleared: 0 };
        Self { state: Mutex::new(state) }
    }
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    /// Begins a round: one search, which may ask for many values.
    pub fn begin(&self) {
        self.lock().round += 1;
    }

    /// The values under these keys, as far as they are here.
    pub fn get_all(&self, keys: impl IntoIterator<Item = K>) -> Vec<Option<V>> {
        let mut state = self.lock();
        keys.into_iter().map(|key| state.get(&key)).collect()
    }

    /// The value under this key, if it is here.
    pub fn get(&self, key: &K) -> Option<V> {
        self.lock().get(key)
    }

    /// Whether so many more bytes would be kept.
    pub fn has_room(&self, bytes: usize, budget: usize) -> bool {
        self.lock().make_room(bytes, budget)
    }

    /// Keeps a value of so many bytes, if there is room for it.
    pub fn offer(&self, key: K, value: V, bytes: usize, budget: usize) {
        let mut state = self.lock();
        if state.make_room(bytes, budget) {
            let used = state.round;
            let before = state.entries.insert(key, Entry { value, bytes, used });
            state.counts.bytes += bytes;
            state.counts.bytes -= before.map_or(0, |entry| entry.bytes);
        }
    }

    /// What it holds, and how it fared.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq, V: Clone> State<K, V> {
    fn get(&mut self, key: &K) -> Option<V> {
        match self.entries.get_mut(key) {
            Some(entry) => {
                self.counts.hits += 1;
                entry.used = self.round;
                Some(entry.value.clone())
            }
            None => {
                self.counts.misses += 1;
                None
            }
        }
    }

    fn make_room(&mut self, bytes: usize, budget: usize) -> bool {
        let fits = |state: &Self| state.counts.bytes.saturating_add(bytes) <= budget;
        // Once a round is enough: what was in use then is in use now.
        if !fits(self) && self.cleared < self.round {
            self.cleared = self.round;
            self.clear_unused();
        }
        fits(self)
    }

    fn clear_unused(&mut self) {
        let (round, counts) = (self.round, &mut self.counts);
        self.entries.retain(|_, entry| {
            let keep = entry.used + ROUNDS_UNUSED >= round;
            if !keep {
                counts.bytes -= entry.bytes;
                counts.evictions += 1;
            }
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_more_than_fits_keeps_a_fixed_part() {
        let cache = Cache::default();
        let search = || {
            cache.begin();
            (0..10)
                .filter(|&key| {
                    cache.get(&key).is_some() || {
                        cache.offer(key, key, 100, 450);
                        false
                    }
                })
                .count()
        };
        assert_eq!(search(), 0);
        for _ in 0..3 * ROUNDS_UNUSED {
            assert_eq!(search(), 4);
        }
        assert_eq!(cache.counts().bytes, 400);
        assert_eq!(cache.counts().evictions, 0);
    }

    #[test]
    fn what_is_no_longer_asked_for_makes_room() {
        let cache = Cache::default();
        cache.begin();
        (0..4).for_each(|key| cache.offer(key, key, 100, 400));
        for _ in 0..=ROUNDS_UNUSED {
            cache.begin();
            assert!(cache.get(&0).is_some());
        }
        cache.offer(9, 9, 300, 400);
        assert_eq!(cache.get_all([0, 1, 2, 3, 9]), [Some(0), None, None, None, Some(9)]);
        assert_eq!(cache.counts().evictions, 3);
    }

    #[test]
    fn a_smaller_budget_takes_nothing_more() {
        let cache = Cache::default();
        cache.offer(1, 1, 100, 400);
        cache.offer(2, 2, 100, 150);
        cache.offer(1, 1, 300, 400);
        assert_eq!((cache.get(&2), cache.counts().bytes), (None, 300));
        assert!(!cache.has_room(usize::MAX, usize::MAX - 1));
    }
}
