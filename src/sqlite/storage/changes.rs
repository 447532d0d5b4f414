//! What changed since an index was written, encoded once for all searches of the process; and whether that is all.

use super::shelf::{Anchor, Shelf, Tail};
use super::signs::Sign;
use super::table_rows::{self, TableRows, first_unknown};
use super::trust::{self, Base};
use crate::error::Result;
use crate::index::{self, FetchedRow, Index, Overlay, RowSource, Token, VectorBatch};
use crate::lock::lock;
use crate::resources::cache::Held;
use crate::resources::config::cache_bytes;
use crate::resources::per_process::PerProcess;
use crate::sqlite::host::connection::Reusable;
use crate::sqlite::host::value::Value;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

/// The rows that changed since an index was written, as a search needs them.
#[derive(Clone)]
pub struct Changes {
    /// Their codes.
    pub overlay: Overlay,
    /// Those that have something else than a vector of the index's dimensions.
    pub strays: Arc<HashSet<i64>>,
    /// The place and token of the last of them.
    pub tail: Option<(i64, i64)>,
    /// The place up to which the list of changes was read.
    place: i64,
    log: Log,
}

/// What was seen of the list of changes itself.
#[derive(Clone, Copy, Default)]
struct Log {
    anchor: Option<Anchor>,
    /// The last place where an entry is missing before it, or names no row.
    broken: i64,
    /// Every row behind the first up to the second is noted.
    walked: Option<(i64, i64)>,
}

/// What a search knows of an index from its triggers, and from the search before it.
#[derive(Default)]
pub struct Guard {
    /// The sign of the triggers.
    sign: Option<Sign>,
    /// What was found in order last.
    orderly: Option<Orderly>,
}

/// A state of an index and its table.
struct Orderly {
    generation: Token,
    tail: Tail,
    top: i64,
    has_changes: bool,
}

impl Guard {
    /// One for an index whose triggers have this sign.
    pub fn new(sign: Option<Sign>) -> Self {
        Self { sign, orderly: None }
    }
}

impl Orderly {
    fn is(&self, generation: Token, tail: &Tail, top: i64) -> bool {
        self.generation == generation && self.top == top && self.tail == *tail
    }
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
struct KnownChanges {
    scope: u64,
    generation: Token,
    tail: Tail,
    changes: Changes,
    /// What it takes beyond the newer tails of its index.
    held: Held,
}

static KEPT: PerProcess<Mutex<Vec<KnownChanges>>> = PerProcess::new(|| Mutex::new(Vec::new()));

/// How many tails of one index are remembered, for the snapshots of a few transactions. They share most of their codes.
const MOST_KEPT: usize = 4;
/// The codes of changed rows may take one part in `SHARE` of the bytes that are meant for indexes, and `ALWAYS` bytes in any case.
const SHARE: usize = 4;
const ALWAYS: usize = 4 << 20;

fn kept() -> MutexGuard<'static, Vec<KnownChanges>> {
    lock(KEPT.get())
}

fn most_of_changes() -> usize {
    (cache_bytes() / SHARE).max(ALWAYS)
}

impl Shelf {
    /// Gives up what is in memory of the index.
    pub fn forget(&mut self) {
        [&self.read, &self.tail, &self.token].into_iter().for_each(Reusable::clear);
        index::forget(self.scope);
        trust::forget(self.scope);
        let mut kept = kept();
        kept.retain(|other| other.scope != self.scope);
        index::set_aside(trim(&mut kept, most_of_changes()));
    }
    /// The rows that changed since the index was written, encoded once for all searches of the process. Adds to `encoded`
    /// how many that were.
    pub fn changes(
        &mut self,
        index: &Index,
        rows: &mut TableRows,
        guard: &mut Guard,
        threads: usize,
        encoded: &AtomicU64,
    ) -> Result<Changed> {
        let (tail, top) = match self.tail(&rows.top)? {
            Some((tail, top)) => (tail, table_rows::top(top.borrow())),
            None => (Tail { place: 0, token: Value::Null }, rows.top()?),
        };
        let generation = index.header.generation;
        let is_now = |orderly: &&Orderly| orderly.is(generation, &tail, top);
        let orderly = guard.orderly.as_ref().filter(is_now).map(|orderly| orderly.has_changes);
        if orderly == Some(false) {
            return Ok(Changed::Nothing);
        }
        let mut changes = self.known(index, &tail)?;
        if changes.place < tail.place {
            match self.extended(index, changes, rows, &tail, threads, encoded)? {
                Some(extended) => changes = extended,
                None => return Ok(Changed::TooMuch),
            }
        }
        if orderly.is_none() && !self.is_in_order(index, rows, guard.sign.as_ref(), &tail, top, &mut changes)? {
            return Ok(Changed::TooMuch);
        }
        let has_changes = !changes.overlay.is_empty();
        guard.orderly = Some(Orderly { generation, tail, top, has_changes });
        Ok(if has_changes { Changed::Rows(changes) } else { Changed::Nothing })
    }

    /// Whether the changes are all there are, as far as can be told without comparing; or else, by comparing.
    fn is_in_order(
        &mut self,
        index: &Index,
        rows: &mut TableRows,
        sign: Option<&Sign>,
        tail: &Tail,
        top: i64,
        changes: &mut Changes,
    ) -> Result<bool> {
        let sign = match self.base(index, rows, sign, changes.log.anchor)? {
            Ok(base) => self.sign_among(index, rows, &base, tail, top, changes)?,
            Err(sign) => Some(sign),
        };
        match sign {
            None => Ok(true),
            Some(sign) if sign.is_lasting() => Ok(false),
            Some(_) => self.verify(index, rows, changes.log.anchor, |rowid| changes.overlay.contains(rowid)),
        }
    }

    fn sign_among(
        &mut self,
        index: &Index,
        rows: &TableRows,
        base: &Base,
        tail: &Tail,
        top: i64,
        changes: &mut Changes,
    ) -> Result<Option<Sign>> {
        if changes.log.broken > base.place {
            return Ok(Some(Sign::Broken));
        }
        let is_noted = |rowid: i64| changes.overlay.contains(rowid);
        if top != base.top && !is_noted(top.max(base.top)) {
            return Ok(Some(Sign::Unnoted));
        }
        let (from, upto) = match changes.log.walked {
            Some((from, upto)) if from <= base.top => (from, upto.max(base.top)),
            _ => (base.top, base.top),
        };
        if top > upto {
            if first_unknown(self.connection.prepare(&rows.behind)?, upto, is_noted)? {
                return Ok(Some(Sign::Unnoted));
            }
            changes.log.walked = Some((from, top));
            self.keep(index, tail.clone(), changes);
        }
        Ok(None)
    }

    /// The changes up to the tail. `None` where they are too many, or the authorizer of the connection conceals them.
    fn extended(
        &mut self,
        index: &Index,
        mut changes: Changes,
        rows: &mut TableRows,
        tail: &Tail,
        threads: usize,
        encoded: &AtomicU64,
    ) -> Result<Option<Changes>> {
        let most = (most_of_changes() / changes.overlay.row_bytes()).saturating_sub(changes.overlay.len());
        let mut changed = BTreeSet::new();
        let (mut expected, log) = (changes.place + 1, &mut changes.log);
        self.each_change(changes.place, |place, rowid| {
            if place != expected || rowid.is_none() {
                log.broken = place;
            }
            expected = place + 1;
            changed.extend(rowid);
            changed.len() <= most
        })?;
        if changed.len() > most {
            return Ok(None);
        }
        encoded.fetch_add(changed.len() as u64, Relaxed);
        let is_seen = changes.take(changed, index.header.dimensions, rows, threads)?;
        rows.release();
        if !is_seen {
            return Ok(None);
        }
        changes.tail = if let Value::Integer(token) = tail.token { Some((tail.place, token)) } else { None };
        changes.place = tail.place;
        self.keep(index, tail.clone(), &changes);
        Ok(Some(changes))
    }

    /// The longest beginning of the changes that is known already.
    fn known(&mut self, index: &Index, tail: &Tail) -> Result<Changes> {
        let generation = index.header.generation;
        let mut known: Vec<(Tail, Changes)> = kept()
            .iter_mut()
            .filter(|kept| kept.scope == self.scope && kept.generation == generation && kept.tail.place <= tail.place)
            .map(|kept| {
                kept.held.pass_to(index.account());
                (kept.tail.clone(), kept.changes.clone())
            })
            .collect();
        known.sort_by_key(|(tail, _)| std::cmp::Reverse(tail.place));
        for (other, changes) in known {
            if other == *tail || self.token(other.place)? == Some(other.token) {
                return Ok(changes);
            }
        }
        let anchor = self.anchor(generation)?;
        let log = Log { anchor, ..Log::default() };
        let (overlay, place) = (Overlay::new(index.space().clone()), anchor.map_or(0, |anchor| anchor.end()));
        Ok(Changes { overlay, strays: Arc::default(), tail: None, place, log })
    }

    fn keep(&self, index: &Index, tail: Tail, changes: &Changes) {
        let (scope, generation, held) = (self.scope, index.header.generation, Held::new(index.account(), 0));
        let mut kept = kept();
        kept.retain(|other| other.scope != scope || other.generation == generation && other.tail != tail);
        kept.push(KnownChanges { scope, generation, tail, changes: changes.clone(), held });
        index::set_aside(trim(&mut kept, most_of_changes()));
    }
}

/// Forgets the oldest tails: of each index beyond `MOST_KEPT`, and of all indexes beyond `most` bytes. Gives the bytes of those
/// that stay.
fn trim(kept: &mut Vec<KnownChanges>, most: usize) -> usize {
    let (mut indexes, mut total) = (HashMap::<u64, (usize, usize)>::new(), 0);
    let mut newest_first = std::mem::take(kept);
    newest_first.reverse();
    for mut tail in newest_first {
        let (tails, bytes) = indexes.entry(tail.scope).or_default();
        let more = tail.changes.overlay.bytes().saturating_sub(*bytes);
        if kept.is_empty() || *tails < MOST_KEPT && total + more <= most {
            (*tails, *bytes, total) = (*tails + 1, *bytes + more, total + more);
            tail.held.set(more);
            kept.push(tail);
        }
    }
    kept.reverse();
    total
}

impl Changes {
    /// Reads and encodes rows. Gives whether they could be seen: what an authorizer conceals is not to be known to all.
    fn take(
        &mut self,
        changed: BTreeSet<i64>,
        dimensions: usize,
        rows: &mut TableRows,
        threads: usize,
    ) -> Result<bool> {
        let (mut batch, mut without) = (VectorBatch::default(), Vec::new());
        let mut values = 0;
        let mut strays = HashSet::clone(&self.strays);
        for rowid in changed {
            strays.remove(&rowid);
            match rows.fetch(rowid)? {
                FetchedRow::Vector(vector) if vector.len() == dimensions => {
                    values += 1;
                    batch.push(rowid, &vector);
                }
                other => {
                    if matches!(other, FetchedRow::Vector(_)) {
                        values += 1;
                        strays.insert(rowid);
                    }
                    without.push(rowid);
                }
            }
            if batch.is_full() {
                self.overlay.change(std::mem::take(&mut batch), &[], threads)?;
            }
        }
        self.overlay.change(batch, &without, threads)?;
        self.strays = Arc::new(strays);
        Ok(values > 0 || !rows.conceals(without)?)
    }
}
