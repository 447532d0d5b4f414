//! Values in memory, under keys that identify their content, with a limit on their bytes.
//!
//! Keys contain random tokens, so an entry can never become wrong; at worst nobody asks for it again. If a value does
//! not fit, it is not kept. To drop the oldest value instead would be bad when all values are read again and again:
//! each would be dropped just before it is needed. So room is made only by dropping values that have not been used for
//! a while.
//!
//! Some values are only of use beside another, their leader. They are asked for now and then, and their leader in every
//! round. So they are in use as long as their leader is. If they were dropped when nobody had asked for them for a while,
//! each round would drop a few and read others: with a budget for nearly everything, a search then took three times as long
//! as with a budget for the leaders alone. If there is no room for a leader, they make room.
//!
//! Many users share a cache. Each has an account, which says how much of the cache is held for it and how often that
//! was useful.

use crate::lock::lock;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

/// After so many rounds without use, a value may be dropped. So a few searches elsewhere do not push it out.
const ROUNDS_UNUSED: u64 = 32;

/// To make room for a leader, at least one part in `FREED` of the budget is freed. So it is not done for each of many.
const FREED: usize = 32;

/// A key of the cache.
pub trait Key: Hash + Eq + Clone {
    /// The key of the value beside which its value is of use; `None` if that is of use alone.
    fn leader(&self) -> Option<Self>;
}

/// A cache; see the module's page.
#[derive(Debug)]
pub struct Cache<K, V> {
    state: Mutex<CacheState<K, V>>,
}

#[derive(Debug)]
struct CacheState<K, V> {
    entries: HashMap<K, CacheEntry<V>>,
    counts: CacheCounts,
    round: u64,
    /// The round in which unused values were last dropped.
    cleared: u64,
}

#[derive(Debug)]
struct CacheEntry<V> {
    value: V,
    held: Held,
    used: u64,
}

/// What a cache holds now, and what it has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct CacheCounts {
    pub bytes: usize,
    pub hits: u64,
    pub evictions: u64,
}

/// The share of one user in the memory of the process.
#[derive(Debug, Default)]
pub struct Account {
    /// Bytes that are held for it.
    pub bytes: AtomicU64,
    /// Look-ups for it that found a value.
    pub hits: AtomicU64,
    /// Values that were held for it and dropped to make room.
    pub evictions: AtomicU64,
}

/// Bytes of memory that are counted in an account until this is dropped.
#[derive(Debug)]
pub struct Held {
    account: Arc<Account>,
    bytes: usize,
}

impl Held {
    /// Adds bytes to an account.
    pub fn new(account: &Arc<Account>, bytes: usize) -> Self {
        account.bytes.fetch_add(bytes as u64, Relaxed);
        Self { account: account.clone(), bytes }
    }

    /// Changes the number of bytes.
    pub fn set(&mut self, bytes: usize) {
        *self = Self::new(&self.account.clone(), bytes);
    }

    /// Moves the bytes to another account. This happens if a table was renamed.
    pub fn pass_to(&mut self, account: &Arc<Account>) {
        if !Arc::ptr_eq(&self.account, account) {
            *self = Self::new(account, self.bytes);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.account.bytes.fetch_sub(self.bytes as u64, Relaxed);
    }
}

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        let state = CacheState { entries: HashMap::new(), counts: CacheCounts::default(), round: 0, cleared: 0 };
        Self { state: Mutex::new(state) }
    }
}

impl<K: Key, V: Clone> Cache<K, V> {
    /// Begins a round. A round is one search, which may ask for many values.
    pub fn begin(&self) {
        self.lock().round += 1;
    }

    /// The values for these keys, `None` for those that are not here. The hits are counted in the account.
    pub fn get_all(&self, keys: impl IntoIterator<Item = K>, account: &Arc<Account>) -> Vec<Option<V>> {
        let mut state = self.lock();
        let found: Vec<Option<V>> = keys.into_iter().map(|key| state.get(&key, account)).collect();
        account.hits.fetch_add(found.iter().flatten().count() as u64, Relaxed);
        found
    }

    /// The value for this key, if it is here. The hit is counted in the account.
    pub fn get(&self, key: &K, account: &Arc<Account>) -> Option<V> {
        let found = self.lock().get(key, account)?;
        account.hits.fetch_add(1, Relaxed);
        Some(found)
    }

    /// Whether a value of so many bytes would be kept.
    pub fn has_room(&self, key: &K, bytes: usize, budget: usize) -> bool {
        self.lock().make_room(key, bytes, budget)
    }

    /// Keeps a value if there is room for it, and counts its bytes in the account.
    pub fn offer(&self, key: K, value: V, bytes: usize, budget: usize, account: &Arc<Account>) {
        let mut state = self.lock();
        if state.make_room(&key, bytes, budget) {
            let entry = CacheEntry { value, held: Held::new(account, bytes), used: state.round };
            let before = state.entries.insert(key, entry);
            state.counts.bytes += bytes;
            state.counts.bytes -= before.map_or(0, |entry| entry.held.bytes);
        }
    }

    /// Drops values until the rest fits into a budget that has become smaller: those with a leader first, and those before
    /// others that were used least lately.
    pub fn trim(&self, budget: usize) {
        let mut state = self.lock();
        state.clear(|key| key.leader().is_some(), 0, budget);
        state.clear(|_| true, 0, budget);
    }

    /// Drops the values that nobody will ask for again.
    pub fn remove(&self, is_over: impl Fn(&K) -> bool) {
        let CacheState { entries, counts, .. } = &mut *self.lock();
        entries.retain(|key, entry| {
            let keep = !is_over(key);
            counts.bytes -= if keep { 0 } else { entry.held.bytes };
            keep
        });
    }

    /// What it holds now, and what it has done.
    pub fn counts(&self) -> CacheCounts {
        self.lock().counts
    }

    fn lock(&self) -> MutexGuard<'_, CacheState<K, V>> {
        lock(&self.state)
    }
}

impl<K: Key, V: Clone> CacheState<K, V> {
    fn get(&mut self, key: &K, account: &Arc<Account>) -> Option<V> {
        let entry = self.entries.get_mut(key)?;
        self.counts.hits += 1;
        entry.held.pass_to(account);
        entry.used = self.round;
        Some(entry.value.clone())
    }

    fn make_room(&mut self, key: &K, bytes: usize, budget: usize) -> bool {
        let fits = |state: &Self| state.counts.bytes.saturating_add(bytes) <= budget;
        // Once in a round is enough: what was in use then is still in use.
        if !fits(self) && self.cleared < self.round {
            self.cleared = self.round;
            self.clear_unused();
        }
        if !fits(self) && bytes <= budget && key.leader().is_none() {
            self.clear(|key| key.leader().is_some(), bytes.max(budget / FREED), budget);
        }
        fits(self)
    }

    fn clear_unused(&mut self) {
        let in_use = |used: u64| used + ROUNDS_UNUSED >= self.round;
        let unused: Vec<K> = self
            .entries
            .iter()
            .filter(|(key, entry)| {
                let leader = key.leader().and_then(|leader| self.entries.get(&leader));
                !in_use(entry.used.max(leader.map_or(0, |leader| leader.used)))
            })
            .map(|(key, _)| key.clone())
            .collect();
        unused.iter().for_each(|key| self.evict(key));
    }

    /// Drops values of such keys, those first that were used least lately, until so many bytes are free.
    fn clear(&mut self, is_such: impl Fn(&K) -> bool, free: usize, budget: usize) {
        let fits = |state: &Self| state.counts.bytes.saturating_add(free) <= budget;
        if fits(self) {
            return;
        }
        let such = self.entries.iter().filter(|(key, _)| is_such(key));
        let mut such: Vec<(u64, K)> = such.map(|(key, entry)| (entry.used, key.clone())).collect();
        such.sort_by_key(|(used, _)| *used);
        for (_, key) in such {
            if fits(self) {
                return;
            }
            self.evict(&key);
        }
    }

    fn evict(&mut self, key: &K) {
        let Some(entry) = self.entries.remove(key) else { return };
        self.counts.bytes -= entry.held.bytes;
        self.counts.evictions += 1;
        entry.held.account.evictions.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Key for i32 {
        fn leader(&self) -> Option<Self> {
            (*self >= FIRST_FOLLOWER).then(|| self - FIRST_FOLLOWER)
        }
    }

    /// From here on, keys have leaders.
    const FIRST_FOLLOWER: i32 = 1000;

    fn told(account: &Account) -> [u64; 3] {
        [&account.bytes, &account.hits, &account.evictions].map(|count| count.load(Relaxed))
    }

    #[test]
    fn reading_more_than_fits_keeps_a_fixed_part() {
        let (cache, account) = (Cache::default(), Arc::default());
        let search = || {
            cache.begin();
            (0..10)
                .filter(|&key| {
                    cache.get(&key, &account).is_some() || {
                        cache.offer(key, key, 100, 450, &account);
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
        let (cache, account) = (Cache::default(), Arc::default());
        cache.begin();
        (0..4).for_each(|key| cache.offer(key, key, 100, 400, &account));
        for _ in 0..=ROUNDS_UNUSED {
            cache.begin();
            assert!(cache.get(&0, &account).is_some());
        }
        cache.offer(9, 9, 300, 400, &account);
        assert_eq!(cache.get_all([0, 1, 2, 3, 9], &account), [Some(0), None, None, None, Some(9)]);
        assert_eq!(cache.counts().evictions, 3);
    }

    #[test]
    fn a_smaller_budget_takes_nothing_more() {
        let (cache, account) = (Cache::default(), Arc::default());
        cache.offer(1, 1, 100, 400, &account);
        cache.offer(2, 2, 100, 150, &account);
        cache.offer(1, 1, 300, 400, &account);
        assert_eq!((cache.get(&2, &account), cache.counts().bytes), (None, 300));
        assert!(!cache.has_room(&9, usize::MAX, usize::MAX - 1));
    }

    /// Issue 18: a search took longer with a budget for nearly all of an index than with one for its 1-bit codes alone.
    #[test]
    fn what_is_asked_for_now_and_then_stays_as_long_as_its_leader_is_in_use() {
        let (cache, account) = (Cache::default(), Arc::default());
        let (mut read, budget) = (0, 100 * (10 + 8));
        for round in 0..40 * ROUNDS_UNUSED as i32 {
            cache.begin();
            for key in 0..10 {
                if cache.get(&key, &account).is_none() {
                    cache.offer(key, key, 100, budget, &account);
                }
            }
            // One of the ten in a round, so that each is left alone for far longer than the others would be.
            let key = FIRST_FOLLOWER + round / 100 % 10;
            if cache.get(&key, &account).is_none() {
                read += i32::from(cache.has_room(&key, 100, budget));
                cache.offer(key, key, 100, budget, &account);
            }
        }
        assert_eq!((read, cache.counts().evictions), (8, 0), "eight of ten fit, and none of them is read twice");
        assert_eq!(cache.counts().bytes, budget);
    }

    #[test]
    fn what_has_a_leader_makes_room_for_leaders_and_for_nothing_else() {
        let (cache, account) = (Cache::default(), Arc::default());
        cache.begin();
        (0..2).for_each(|key| cache.offer(key, key, 100, 500, &account));
        (0..3).for_each(|key| cache.offer(FIRST_FOLLOWER + key, key, 100, 500, &account));
        cache.begin();
        assert!(cache.get(&(FIRST_FOLLOWER + 1), &account).is_some());
        assert!(!cache.has_room(&(FIRST_FOLLOWER + 7), 100, 500));
        cache.offer(2, 2, 200, 500, &account);
        let held = |key| cache.get(&key, &account).is_some();
        assert!(held(0) && held(1) && held(2) && held(FIRST_FOLLOWER + 1));
        assert!(!held(FIRST_FOLLOWER) && !held(FIRST_FOLLOWER + 2));
        assert_eq!((cache.counts().bytes, cache.counts().evictions), (500, 2));
        assert!(!cache.has_room(&3, 501, 500) && cache.counts().bytes == 500, "nothing is dropped in vain");
        assert!(cache.has_room(&3, 100, 500) && !cache.has_room(&4, 200, 500));
    }

    #[test]
    fn a_budget_that_becomes_smaller_frees_memory_at_once() {
        let (cache, account) = (Cache::default(), Arc::default());
        cache.begin();
        (0..3).for_each(|key| cache.offer(key, key, 100, 600, &account));
        (0..3).for_each(|key| cache.offer(FIRST_FOLLOWER + key, key, 100, 600, &account));
        cache.begin();
        let held = |key| cache.get(&key, &account).is_some();
        assert!(held(1) && held(FIRST_FOLLOWER + 2));
        cache.trim(600);
        assert_eq!(cache.counts().bytes, 600);
        cache.trim(450);
        assert_eq!((cache.counts().bytes, held(FIRST_FOLLOWER + 2), held(FIRST_FOLLOWER)), (400, true, false));
        cache.trim(100);
        assert_eq!((cache.counts().bytes, held(0), held(1), held(FIRST_FOLLOWER + 2)), (100, false, true, false));
        cache.trim(0);
        assert_eq!((cache.counts().bytes, cache.counts().evictions, told(&account)[0]), (0, 6, 0));
    }

    #[test]
    fn each_account_has_its_part() {
        let cache = Cache::default();
        let [one, other] = [(); 2].map(|()| Arc::<Account>::default());
        cache.begin();
        (0..4).for_each(|key| cache.offer(key, key, 100, 400, if key < 3 { &one } else { &other }));
        cache.offer(4, 4, 100, 400, &other);
        assert_eq!((told(&one), told(&other)), ([300, 0, 0], [100, 0, 0]), "the last had no room");
        cache.offer(0, 5, 50, 400, &one);
        (0..=ROUNDS_UNUSED).for_each(|_| cache.begin());
        assert_eq!(cache.get_all([3, 9], &other), [Some(3), None]);
        cache.offer(6, 6, 300, 400, &other);
        assert_eq!((told(&one), told(&other)), ([0, 0, 3], [400, 1, 0]), "one made room for the other");
        assert_eq!(cache.get(&6, &one), Some(6));
        assert_eq!((told(&one), told(&other)), ([300, 1, 3], [100, 1, 0]), "it belongs to who asked last");
        cache.remove(|key| *key == 6);
        assert_eq!((told(&one), told(&other)), ([0, 1, 3], [100, 1, 0]));
        assert_eq!(cache.counts(), CacheCounts { bytes: 100, hits: 2, evictions: 3 });
        drop(cache);
        assert_eq!((told(&one)[0], told(&other)[0]), (0, 0));
    }
}
