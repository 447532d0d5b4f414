//! What this process has measured, by source and column. To count costs a few atomic additions for each search.

use super::cache::Account;
use super::per_process::PerProcess;
use crate::lock::lock;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Everything that is counted for one column of one source.
#[derive(Debug, Default)]
pub struct Entry {
    /// A number that no other entry has or had.
    pub id: u64,
    is_forgotten: AtomicBool,
    /// How many searches there were, and how long they took.
    pub times: Histogram,
    /// The way in which the last search was answered, as a number of [`SearchPath`].
    path: AtomicU64,
    /// Rows whose vectors were scored one by one.
    pub rows: AtomicU64,
    /// Rows that an index proposed.
    pub candidates: AtomicU64,
    /// Proposed rows whose vector was read from the table and scored.
    pub rescored: AtomicU64,
    /// Searches by an index that were answered from memory, because the same search had been answered before.
    pub repeated: AtomicU64,
    /// Rows that were left out because they could not be scored.
    pub bad: AtomicU64,
    /// Searches by dot product that met a vector whose length is not 1.
    pub not_unit: AtomicU64,
    /// Rows that had changed since the index was last merged, at the time of the last search.
    pub pending: AtomicU64,
    /// Changed rows that were encoded for searches. They are kept until they are merged.
    pub encoded: AtomicU64,
    /// What memory holds for this column: blocks of an index, answers, vectors of texts.
    pub memory: Arc<Account>,
    /// Bytes that an index of the column takes in memory if all of it fits, as the last search saw it.
    pub whole: AtomicU64,
    /// Blocks that the last search by an index read from the file, because they had no room in memory.
    pub passing: AtomicU64,
    /// How many steps of a running build, merge or embedding are done.
    pub done: AtomicU64,
    /// How many steps it has; 0 if none is running.
    pub total: AtomicU64,
    /// How many calls failed, by [`ErrorKind`].
    errors: [AtomicU64; ErrorKind::ALL.len()],
}

/// Why a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The call or the SQL was wrong.
    Mistake,
    /// The database or an index is damaged.
    Damaged,
    /// There was too little memory.
    Memory,
    /// The program or a user interrupted it.
    Interrupted,
    /// Another connection held a lock.
    Busy,
    /// Any other error of SQLite, such as a full disk.
    Sqlite,
    /// A bug of this library.
    Bug,
}

impl ErrorKind {
    /// All kinds.
    pub const ALL: [Self; 7] =
        [Self::Mistake, Self::Damaged, Self::Memory, Self::Interrupted, Self::Busy, Self::Sqlite, Self::Bug];
}

/// The way in which a search was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchPath {
    /// Nothing was searched.
    None,
    /// By scoring every row.
    Scan,
    /// By scoring the rows that a condition names.
    Lookup,
    /// By an index.
    Index,
    /// By a model: texts were embedded.
    Model,
}

impl SearchPath {
    /// The name in SQL.
    pub fn name(self) -> &'static str {
        Self::ALL.get(self as usize).map_or("", |(_, name)| name)
    }

    const ALL: [(Self, &'static str); 5] = [
        (Self::None, ""),
        (Self::Scan, "scan"),
        (Self::Lookup, "lookup"),
        (Self::Index, "index"),
        (Self::Model, "model"),
    ];
}

impl Entry {
    /// Whether the entry was deleted from the list. Then the column has a new entry or none.
    pub fn is_forgotten(&self) -> bool {
        self.is_forgotten.load(Relaxed)
    }

    /// Notes that work of so many steps begins.
    pub fn begin(&self, total: u64) {
        self.done.store(0, Relaxed);
        self.total.store(total, Relaxed);
    }

    /// Notes a search that has ended.
    pub fn searched(&self, path: SearchPath, took: Duration) {
        self.path.store(path as u64, Relaxed);
        self.times.add(took);
    }

    /// Notes a call that failed.
    pub fn failed(&self, kind: ErrorKind) {
        if let Some(count) = self.errors.get(kind as usize) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// How many calls failed for this reason.
    pub fn errors(&self, kind: ErrorKind) -> u64 {
        self.errors.get(kind as usize).map_or(0, |count| count.load(Relaxed))
    }

    /// The way in which the last search was answered.
    pub fn path(&self) -> &'static str {
        SearchPath::ALL.get(self.path.load(Relaxed) as usize).map_or("", |(_, name)| name)
    }
}

/// Counts durations in classes, so that each is known to within an eighth, and adds them up exactly.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; Self::BUCKETS],
    nanoseconds: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| AtomicU64::new(0)), nanoseconds: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Four classes for each doubling, from one microsecond up to 2^40 of them.
    const BUCKETS: usize = 160;
    /// The doublings of a microsecond that [`Self::below`] begins and ends with.
    const FIRST_DOUBLING: u32 = 6;
    const LAST_DOUBLING: u32 = 25;

    fn bucket(took: Duration) -> usize {
        let microseconds = took.as_secs_f64() * 1e6;
        ((microseconds.max(1.0).log2() * 4.0) as usize).min(Self::BUCKETS - 1)
    }

    /// The middle of a class.
    fn milliseconds(bucket: usize) -> f64 {
        ((bucket as f64 + 0.5) / 4.0).exp2() / 1e3
    }

    fn add(&self, took: Duration) {
        self.buckets[Self::bucket(took)].fetch_add(1, Relaxed);
        self.nanoseconds.fetch_add(took.as_nanos() as u64, Relaxed);
    }

    /// The sum of all durations, in milliseconds.
    pub fn total(&self) -> f64 {
        self.nanoseconds.load(Relaxed) as f64 / 1e6
    }

    /// How many durations were noted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Relaxed)).sum()
    }

    /// For each doubling from 64 microseconds to half a minute, the bound in seconds and how many durations are below it.
    /// The bounds are those of classes and always the same. So the counts are exact, and may be added over processes.
    pub fn below(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut met = 0;
        let mut classes = self.buckets.iter();
        (0..=Self::LAST_DOUBLING).filter_map(move |doubling| {
            let doubled = |microseconds: u64| microseconds << doubling;
            if doubling > 0 {
                met += classes.by_ref().take(4).map(|class| class.load(Relaxed)).sum::<u64>();
            }
            (doubling >= Self::FIRST_DOUBLING).then(|| (doubled(1) as f64 / 1e6, met))
        })
    }

    /// The duration in milliseconds that this share of all durations did not exceed. `None` if there are none.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = (self.count() as f64 * share).ceil().max(1.0) as u64;
        let mut met = 0;
        let at = self.buckets.iter().position(|bucket| {
            met += bucket.load(Relaxed);
            met >= wanted
        });
        at.map(Self::milliseconds)
    }
}

type StatsKey = (String, String);

#[derive(Default)]
struct ColumnRegistry {
    entries: BTreeMap<StatsKey, Arc<Entry>>,
    /// What memory holds is counted here even if the entry was deleted.
    accounts: BTreeMap<StatsKey, Arc<Account>>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);
static REGISTRY: PerProcess<Mutex<ColumnRegistry>> = PerProcess::new(Mutex::default);

/// Some programs invent table names without end. Beyond so many names, all others share one entry, so that memory does
/// not fill up.
const MOST: usize = 4096;

fn with_registry<T>(body: impl FnOnce(&mut ColumnRegistry) -> T) -> T {
    body(&mut lock(REGISTRY.get()))
}

impl ColumnRegistry {
    fn entry(&mut self, key: StatsKey) -> Arc<Entry> {
        let Self { entries, accounts } = self;
        let memory = accounts.entry(key.clone()).or_default();
        let fresh = || Entry { id: NEXT_ID.fetch_add(1, Relaxed), memory: memory.clone(), ..Entry::default() };
        entries.entry(key).or_insert_with(|| Arc::new(fresh())).clone()
    }
}

/// The entry of a column. It is made if there is none.
pub fn entry(source: &str, column: &str) -> Arc<Entry> {
    with_registry(|registry| {
        let key = (source.to_string(), column.to_string());
        let is_known = registry.accounts.contains_key(&key);
        let key = if registry.accounts.len() < MOST || is_known { key } else { ("*".into(), "*".into()) };
        registry.entry(key)
    })
}

/// All entries, in the order of their names. A deleted entry is among them again while memory is held for its column.
pub fn all() -> Vec<(StatsKey, Arc<Entry>)> {
    with_registry(|registry| {
        let holding = |(_, account): &(&StatsKey, &Arc<Account>)| account.bytes.load(Relaxed) > 0;
        let holding: Vec<StatsKey> = registry.accounts.iter().filter(holding).map(|(key, _)| key.clone()).collect();
        holding.into_iter().for_each(|key| drop(registry.entry(key)));
        registry.entries.iter().map(|(key, entry)| (key.clone(), entry.clone())).collect()
    })
}

/// Deletes an entry. Searches that are open go on counting in their own copy.
pub fn forget(id: u64) {
    with_registry(|registry| {
        registry.entries.retain(|_, entry| {
            let keep = entry.id != id;
            if !keep {
                entry.is_forgotten.store(true, Relaxed);
                entry.memory.hits.store(0, Relaxed);
                entry.memory.evictions.store(0, Relaxed);
            }
            keep
        });
        // Accounts are dropped if they are empty and nobody else uses them.
        registry.accounts.retain(|_, account| Arc::strong_count(account) > 1 || account.bytes.load(Relaxed) > 0);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_within_an_eighth() {
        let times = Histogram::default();
        assert_eq!(times.quantile(0.5), None);
        for milliseconds in 1..=1000 {
            times.add(Duration::from_millis(milliseconds));
        }
        assert_eq!(times.count(), 1000);
        assert_eq!(times.total(), 500_500.0);
        for (share, exact) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0), (0.0, 1.0)] {
            let near = times.quantile(share).unwrap() / exact;
            assert!((0.875..=1.125).contains(&near), "{share}: {near}");
        }
    }

    #[test]
    fn durations_below_a_bound_are_counted_exactly() {
        let times = Histogram::default();
        for microseconds in [1, 63, 65, 127, 129, 1_000_000, 40_000_000] {
            times.add(Duration::from_micros(microseconds));
        }
        let below: Vec<_> = times.below().collect();
        assert_eq!(below[..3], [(64e-6, 2), (128e-6, 4), (256e-6, 5)]);
        assert_eq!(below.last(), Some(&(33.554432, 6)));
        assert!(below.is_sorted() && below.len() == 20, "{below:?}");
    }

    #[test]
    fn every_duration_has_a_bucket() {
        let times = Histogram::default();
        times.add(Duration::ZERO);
        times.add(Duration::MAX);
        assert_eq!(times.count(), 2);
    }

    #[test]
    fn a_path_is_known_by_its_number() {
        let entry = Entry::default();
        for (path, name) in SearchPath::ALL {
            entry.searched(path, Duration::ZERO);
            assert_eq!(entry.path(), name);
        }
    }

    #[test]
    fn errors_are_counted_by_kind() {
        let entry = Entry::default();
        (1..).zip(ErrorKind::ALL).for_each(|(times, kind)| (0..times).for_each(|_| entry.failed(kind)));
        assert_eq!(ErrorKind::ALL.map(|kind| entry.errors(kind)), [1, 2, 3, 4, 5, 6, 7]);
    }
}
