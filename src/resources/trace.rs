//! The last searches of this process, and how long the stages of each took.
//!
//! Nothing is noted until the setting `trace` asks for it. Until then, a stage costs one look at that setting.
//!
//! A search runs on one thread from its plan to its rows. So the stages of the present search are noted in the thread, and
//! taken from there when it ends.

use super::config::TRACE;
use super::per_process::PerProcess;
use super::stats::SearchPath;
use crate::lock::lock;
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

/// A part of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// SQLite asks for a plan.
    Planning,
    /// Tables are found, and an index is opened with what has changed since its merge.
    Opening,
    /// Codes are swept, or all rows are read and scored.
    Sweeping,
    /// Rows that the index proposed are read from the table and scored.
    Fetching,
    /// A model embeds a text.
    Embedding,
}

impl Stage {
    const COUNT: usize = 5;
}

/// What the stages of one search did.
#[derive(Debug, Clone, Copy, Default)]
pub struct StageNotes {
    took: [Duration; Stage::COUNT],
    /// Rows that an index proposed.
    pub candidates: u64,
    /// Proposed rows that were read from the table and scored.
    pub rescored: u64,
    /// Blocks of an index that were not in memory.
    pub cache_misses: u64,
    /// The way in which the last source was searched.
    pub path: Option<SearchPath>,
}

impl StageNotes {
    /// How long a stage took.
    pub fn took(&self, stage: Stage) -> Duration {
        self.took.get(stage as usize).copied().unwrap_or_default()
    }
}

thread_local! {
    static NOTES: Cell<StageNotes> = const { Cell::new(StageNotes {
        took: [Duration::ZERO; Stage::COUNT],
        candidates: 0,
        rescored: 0,
        cache_misses: 0,
        path: None,
    }) };
}

/// Whether searches are traced.
#[inline]
pub fn is_on() -> bool {
    TRACE.get() > 0
}

/// Changes what is noted of the present search, if searches are traced.
#[inline]
pub fn note(change: impl FnOnce(&mut StageNotes)) {
    if is_on() {
        let mut notes = NOTES.get();
        change(&mut notes);
        NOTES.set(notes);
    }
}

/// How long the stages took that were noted on this thread since its last search ended.
pub fn so_far() -> Duration {
    if is_on() { NOTES.get().took.iter().sum() } else { Duration::ZERO }
}

/// What was noted on this thread since the last search that ended on it.
pub fn take_notes() -> StageNotes {
    NOTES.take()
}

/// Adds the time until it is dropped to a stage.
pub struct StageClock(Option<(Stage, Instant)>);

impl StageClock {
    /// The stage begins. If searches are not traced, no clock is read.
    #[inline]
    pub fn begin(stage: Stage) -> Self {
        Self(is_on().then(|| (stage, Instant::now())))
    }
}

impl Drop for StageClock {
    #[inline]
    fn drop(&mut self) {
        if let Some((stage, start)) = self.0 {
            note(|notes| {
                if let Some(took) = notes.took.get_mut(stage as usize) {
                    *took += start.elapsed();
                }
            });
        }
    }
}

/// A search that has ended.
#[derive(Debug, Clone)]
pub struct TracedSearch {
    /// A number that grows with each search of the process.
    pub number: u64,
    /// When it ended.
    pub ended: SystemTime,
    /// The table function.
    pub function: &'static str,
    /// The tables and the column; empty if the call failed before they were known.
    pub source: String,
    /// The column.
    pub column: String,
    /// How many rows were wanted; `None` if all were, or if the function has no such number.
    pub k: Option<usize>,
    /// How many rows were found; `None` if it failed.
    pub rows: Option<usize>,
    /// How long it took, with all its stages.
    pub took: Duration,
    /// What its stages did.
    pub notes: StageNotes,
    /// The message, if it failed.
    pub error: Option<String>,
}

impl TracedSearch {
    /// A search that ends now, of which nothing else is known yet.
    pub fn ended(function: &'static str, error: Option<String>) -> Self {
        let (source, column, took, notes) = Default::default();
        Self { number: 0, ended: SystemTime::now(), function, source, column, k: None, rows: None, took, notes, error }
    }
}

#[derive(Default)]
struct TraceRing {
    last: u64,
    searches: VecDeque<TracedSearch>,
}

static RING: PerProcess<Mutex<TraceRing>> = PerProcess::new(Mutex::default);

/// The longest text of an entry. Names and messages may be as long as their callers like.
const LONGEST: usize = 500;

fn shortened(text: &mut String) {
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
}

impl TraceRing {
    /// Drops the oldest searches that the setting has no room for.
    fn trim(&mut self) {
        let room = usize::try_from(TRACE.get()).unwrap_or(usize::MAX);
        let over = self.searches.len().saturating_sub(room);
        self.searches.drain(..over);
    }
}

/// Keeps a search, and gives it its number.
pub fn keep(mut search: TracedSearch) {
    [&mut search.source, &mut search.column].into_iter().chain(&mut search.error).for_each(shortened);
    let mut ring = lock(RING.get());
    ring.last += 1;
    search.number = ring.last;
    ring.searches.push_back(search);
    ring.trim();
}

/// Drops what a smaller setting has no room for.
pub fn settle() {
    lock(RING.get()).trim();
}

/// The searches that are kept, the oldest first.
pub fn all() -> Vec<TracedSearch> {
    lock(RING.get()).searches.iter().cloned().collect()
}

/// Drops a search.
pub fn forget(number: u64) {
    lock(RING.get()).searches.retain(|search| search.number != number);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let mut text = "é".repeat(LONGEST);
        shortened(&mut text);
        assert!(text.len() <= LONGEST + '…'.len_utf8() && text.ends_with("é…"), "{text}");
        let mut text = "short".to_string();
        shortened(&mut text);
        assert_eq!(text, "short");
    }

    /// One test, as the setting is the process's.
    #[test]
    fn stages_are_noted_only_if_asked_for_and_the_ring_is_bounded() {
        let wait = |stage| {
            let _clock = StageClock::begin(stage);
            let start = Instant::now();
            while start.elapsed() < Duration::from_micros(50) {}
        };
        wait(Stage::Sweeping);
        note(|notes| notes.candidates += 1);
        let notes = take_notes();
        assert_eq!((notes.took(Stage::Sweeping), notes.candidates), (Duration::ZERO, 0));

        TRACE.set(3).unwrap();
        wait(Stage::Sweeping);
        wait(Stage::Sweeping);
        note(|notes| notes.candidates += 7);
        let notes = take_notes();
        assert!(notes.took(Stage::Sweeping) >= Duration::from_micros(100));
        assert_eq!((notes.took(Stage::Fetching), notes.candidates), (Duration::ZERO, 7));
        assert_eq!(take_notes().candidates, 0);

        let search = TracedSearch::ended("vec_topk", None);
        (0..5).for_each(|_| keep(search.clone()));
        let numbers = || all().iter().map(|search| search.number).collect::<Vec<_>>();
        assert_eq!(numbers(), [3, 4, 5]);
        forget(4);
        assert_eq!(numbers(), [3, 5]);
        TRACE.set(1).unwrap();
        settle();
        assert_eq!(numbers(), [5]);
        TRACE.set(0).unwrap();
        settle();
        assert!(numbers().is_empty());
    }
}
