//! What changed since an index was written, encoded once for all searches of the process; and which indexes these found to
//! need a rebuild.

use super::shelf::Shelf;
use super::table_rows::{TableRows, first_unknown};
use crate::codec::fingerprint;
use crate::error::Result;
use crate::index::{self, FetchedRow, Index, Overlay, RowSource, Token, VectorBatch};
use crate::resources::cache::Held;
use crate::resources::config::CACHE_BYTES;
use crate::resources::per_process::PerProcess;
use crate::sqlite::host::connection::Reusable;
use crate::sqlite::host::value::Value;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The rows that changed since an index was written, as a search needs them.
#[derive(Clone)]
pub struct Changes {
    /// Their codes.
    pub overlay: Overlay,
    /// Those that have something else than a vector of the index's dimensions.
    pub strays: Arc<HashSet<i64>>,
    /// The place and token of the last of them.
    pub tail: Option<(i64, i64)>,
}

/// What changed since an index was written.
pub enum Changed {
    /// Nothing.
    Nothing,
    /// These rows.
    Rows(Changes),
    /// The index is of no use to a search: more rows changed than memory is meant for, or nobody knows which.
    TooMuch,
}

/// Changes up to a tail. The table of changes is only ever appended to, so where the same token stands in the same place,
/// all before it is the same, and so are the vectors of those rows.
struct Kept {
    scope: u64,
    generation: Token,
    place: i64,
    token: Value,
    changes: Changes,
    /// What it takes beyond the newer tails of its index.
    held: Held,
}

static KEPT: PerProcess<Mutex<Vec<Kept>>> = PerProcess::new(|| Mutex::new(Vec::new()));

/// How many tails of one index are remembered, for the snapshots of a few transactions. They share most of their codes.
const MOST_KEPT: usize = 4;
/// Changed rows take one part in so many of the memory that indexes may use; a few always fit.
const SHARE: usize = 4;
const ALWAYS: usize = 4 << 20;
/// Bytes of vectors that are read before all threads encode them.
const BATCH_BYTES: usize = 4 << 20;

fn kept() -> MutexGuard<'static, Vec<Kept>> {
    KEPT.get().lock().unwrap_or_else(PoisonError::into_inner)
}

fn budget() -> usize {
    (usize::try_from(CACHE_BYTES.get()).unwrap_or(usize::MAX) / SHARE).max(ALWAYS)
}

impl Shelf {
    /// Gives up what is in memory of the index.
    pub fn forget(&mut self) {
        [&self.read, &self.tail, &self.token].into_iter().for_each(Reusable::clear);
        index::forget(self.scope);
        let mut kept = kept();
        kept.retain(|other| other.scope != self.scope);
        index::set_aside(trim(&mut kept, budget()));
    }
    /// The rows that changed since the index was written, encoded once for all searches of the process. Adds to `encoded`
    /// how many that were.
    pub fn changes(
        &mut self,
        index: &Index,
        rows: &mut TableRows,
        threads: usize,
        encoded: &AtomicU64,
    ) -> Result<Changed> {
        let Some((place, token)) = self.tail()? else { return Ok(Changed::Nothing) };
        let (from, mut changes) = self.known(index, place)?;
        if from == place {
            return Ok(Changed::Rows(changes));
        }
        let most = (budget() / changes.overlay.row_bytes()).saturating_sub(changes.overlay.len());
        let Some(changed) = self.changed_after(from, most)? else { return Ok(Changed::TooMuch) };
        encoded.fetch_add(changed.len() as u64, Relaxed);
        changes.take(changed, index.header.dimensions, rows, threads)?;
        rows.release();
        changes.tail = if let Value::Integer(token) = token { Some((place, token)) } else { None };
        if !rows.is_stable && self.is_renumbered(index, rows, &changes)? {
            mark_stale(self, index);
            return Ok(Changed::TooMuch);
        }
        self.keep(index, place, token, &changes);
        Ok(Changed::Rows(changes))
    }

    /// Whether VACUUM, or a dump and restore, gave the rows of a table without INTEGER PRIMARY KEY other rowids, so that the
    /// noted changes name the wrong ones.
    ///
    /// Rows are renumbered from 1 without gaps. Where the last row with a code is still where it was, so are all before it;
    /// and whatever comes behind it has to be among the changes. A few more rows guard against equal vectors.
    fn is_renumbered(&mut self, index: &Index, rows: &mut TableRows, changes: &Changes) -> Result<bool> {
        const SAMPLE: usize = 8;
        let sample = index.sample(self, SAMPLE, |rowid| changes.overlay.contains(rowid))?;
        for (rowid, expected) in &sample {
            let is_same = match rows.fetch(*rowid)? {
                FetchedRow::Vector(vector) => fingerprint(&vector) == *expected,
                FetchedRow::Gone | FetchedRow::Doubtful => false,
            };
            if !is_same {
                return Ok(true);
            }
        }
        rows.release();
        let last = sample.last().map_or(i64::MIN, |(rowid, _)| *rowid);
        let strays = &index.directory().strays;
        let is_known = |rowid: i64| changes.overlay.contains(rowid) || strays.contains(&rowid);
        let behind = self.connection.prepare(&rows.behind)?;
        first_unknown(behind, last, is_known)
    }

    /// The longest beginning of the changes that is known already, and where it ends.
    fn known(&mut self, index: &Index, tail: i64) -> Result<(i64, Changes)> {
        let generation = index.header.generation;
        let mut known: Vec<(i64, Value, Changes)> = kept()
            .iter_mut()
            .filter(|kept| kept.scope == self.scope && kept.generation == generation && kept.place <= tail)
            .map(|kept| {
                kept.held.pass_to(index.account());
                (kept.place, kept.token.clone(), kept.changes.clone())
            })
            .collect();
        known.sort_by_key(|(place, ..)| std::cmp::Reverse(*place));
        for (place, token, changes) in known {
            if self.token(place)? == Some(token) {
                return Ok((place, changes));
            }
        }
        Ok((0, Changes { overlay: Overlay::new(index.space().clone()), strays: Arc::default(), tail: None }))
    }

    fn keep(&self, index: &Index, place: i64, token: Value, changes: &Changes) {
        let (scope, generation, held) = (self.scope, index.header.generation, Held::new(index.account(), 0));
        let mut kept = kept();
        kept.retain(|other| other.scope != scope || other.generation == generation);
        kept.push(Kept { scope, generation, place, token, changes: changes.clone(), held });
        index::set_aside(trim(&mut kept, budget()));
    }
}

/// Forgets the oldest tails: of each index beyond a few, and of all beyond the budget. Gives the bytes of those that stay.
fn trim(kept: &mut Vec<Kept>, budget: usize) -> usize {
    let (mut indexes, mut total) = (HashMap::<u64, (usize, usize)>::new(), 0);
    let mut newest_first = std::mem::take(kept);
    newest_first.reverse();
    for mut tail in newest_first {
        let (tails, bytes) = indexes.entry(tail.scope).or_default();
        let more = tail.changes.overlay.bytes().saturating_sub(*bytes);
        if kept.is_empty() || *tails < MOST_KEPT && total + more <= budget {
            (*tails, *bytes, total) = (*tails + 1, *bytes + more, total + more);
            tail.held.set(more);
            kept.push(tail);
        }
    }
    kept.reverse();
    total
}

impl Changes {
    /// Reads and encodes rows.
    fn take(&mut self, changed: BTreeSet<i64>, dimensions: usize, rows: &mut TableRows, threads: usize) -> Result<()> {
        let (mut batch, mut without) = (VectorBatch::default(), Vec::new());
        let mut strays = HashSet::clone(&self.strays);
        for rowid in changed {
            strays.remove(&rowid);
            match rows.fetch(rowid)? {
                FetchedRow::Vector(vector) if vector.len() == dimensions => batch.push(rowid, &vector),
                other => {
                    if matches!(other, FetchedRow::Vector(_)) {
                        strays.insert(rowid);
                    }
                    without.push(rowid);
                }
            }
            if batch.bytes() >= BATCH_BYTES {
                self.overlay.change(std::mem::take(&mut batch), &[], threads)?;
            }
        }
        self.overlay.change(batch, &without, threads)?;
        self.strays = Arc::new(strays);
        Ok(())
    }
}

/// An index in one state, by its scope and generation.
type State = (u64, [u8; 16]);

/// Indexes that were found not to belong to their table any more. They are not used again until they are written anew.
static STALE: PerProcess<Mutex<BTreeSet<State>>> = PerProcess::new(|| Mutex::new(BTreeSet::new()));

fn stale() -> MutexGuard<'static, BTreeSet<State>> {
    STALE.get().lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes that an index needs a rebuild.
pub fn mark_stale(shelf: &Shelf, index: &Index) {
    stale().insert((shelf.scope, index.header.generation.0));
}

/// Whether an index needs a rebuild, as far as a search of this process has found out.
pub fn is_stale(shelf: &Shelf, index: &Index) -> bool {
    stale().contains(&(shelf.scope, index.header.generation.0))
}
