//! The rows that changed since an index was written. They are encoded once for all searches of the process. This file also
//! decides whether these are all changes.

use super::shelf::{Anchor, LogSpan, Shelf, Tail};
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
    /// Those whose value is not a vector with the dimensions of the index.
    pub strays: Arc<HashSet<i64>>,
    /// The place and the token of the last entry of the list of changes.
    pub tail: Option<(i64, i64)>,
    /// The list of changes was read up to this place.
    place: i64,
    log: Log,
}

/// What was found out about the list of changes itself.
#[derive(Clone, Copy, Default)]
struct Log {
    anchor: Option<Anchor>,
    /// The last place whose entry names no row, or has a gap before it. 0 if there is none.
    broken: i64,
    /// Every row with a rowid above the first and up to the second is in the list.
    walked: Option<(i64, i64)>,
}

/// What a search knows about an index from its triggers and from the search before.
#[derive(Default)]
pub struct Guard {
    /// The sign of the triggers.
    sign: Option<Sign>,
    /// The last state in which all changes were known.
    orderly: Option<Orderly>,
}

/// A state of an index and of its table. In the same state, nothing has to be checked again.
struct Orderly {
    generation: Token,
    tail: Tail,
    top: i64,
    has_changes: bool,
}

impl Guard {
    /// For an index whose triggers have this sign.
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
    /// A search cannot use the index: the codes of so many changed rows may not be kept in memory, or it is not known which
    /// rows changed.
    TooMuch,
}

/// The changes up to a tail. Entries are only ever added at the end of the list. So if the same token is at the same place,
/// all entries before it are the same, and so are the vectors of their rows.
struct KnownChanges {
    scope: u64,
    generation: Token,
    tail: Tail,
    changes: Changes,
    /// Bytes that it takes in addition to the newer tails of its index.
    held: Held,
}

static KEPT: PerProcess<Mutex<Vec<KnownChanges>>> = PerProcess::new(|| Mutex::new(Vec::new()));

/// How many tails of one index are kept, because several transactions may read different snapshots. They share most of their
/// codes.
const MOST_KEPT: usize = 4;
/// The codes of changed rows may take one part in `SHARE` of the bytes that are meant for indexes. `ALWAYS` bytes are allowed in
/// any case.
const SHARE: usize = 4;
const ALWAYS: usize = 4 << 20;

fn kept() -> MutexGuard<'static, Vec<KnownChanges>> {
    lock(KEPT.get())
}

fn most_of_changes() -> usize {
    (cache_bytes() / SHARE).max(ALWAYS)
}

impl Shelf {
    /// Drops everything that the process keeps in memory for the index.
    pub fn forget(&mut self) {
        [&self.read, &self.tail, &self.token].into_iter().for_each(Reusable::clear);
        index::forget(self.scope);
        trust::forget(self.scope);
        let mut kept = kept();
        kept.retain(|other| other.scope != self.scope);
        index::set_aside(trim(&mut kept, most_of_changes()));
    }
    /// The rows that changed since the index was written. Rows that no search of the process has encoded yet are encoded
    /// now, and their number is added to `encoded`.
    pub fn changes(
        &mut self,
        index: &Index,
        rows: &mut TableRows,
        guard: &mut Guard,
        threads: usize,
        encoded: &AtomicU64,
    ) -> Result<Changed> {
        let (tail, top) = match self.tail(rows)? {
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

    /// Whether these are all changes. If there is a sign that they may not be, all rows are compared with their codes.
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

    /// The changes up to the tail. `None` if they are too many, or if the authorizer of the connection hides them.
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
        self.each_change(LogSpan::after(changes.place), |place, rowid| {
            if place != expected || rowid.is_none() {
                log.broken = place;
            }
            expected = place.wrapping_add(1);
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

    /// The changes that are encoded already: as many as possible from the beginning of the list.
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
        if let Some(left) = self.left_by_merge(index, tail, anchor)? {
            return Ok(left);
        }
        let log = Log { anchor, ..Log::default() };
        let (overlay, place) = (Overlay::new(index.space().clone()), anchor.map_or(0, |anchor| anchor.end()));
        Ok(Changes { overlay, strays: Arc::default(), tail: None, place, log })
    }

    /// What is left of the changes that were encoded before a merge that took the first of them. `None` if none are known.
    fn left_by_merge(&mut self, index: &Index, tail: &Tail, anchor: Option<Anchor>) -> Result<Option<Changes>> {
        let Some(begin) = anchor.as_ref().map(Anchor::end) else { return Ok(None) };
        let is_of_it = |kept: &&KnownChanges| {
            kept.scope == self.scope
                && (begin + 1..=tail.place).contains(&kept.tail.place)
                && kept.changes.overlay.is_of(index.space())
        };
        let newest = kept().iter().filter(is_of_it).max_by_key(|kept| kept.tail.place).map(|kept| {
            let changes = kept.changes.clone();
            (kept.tail.clone(), changes)
        });
        let Some((last, mut changes)) = newest else { return Ok(None) };
        if self.token(last.place)?.as_ref() != Some(&last.token) {
            return Ok(None);
        }
        let mut left = HashSet::new();
        let mut expected = begin + 1;
        changes.log = Log { anchor, ..Log::default() };
        let broken = &mut changes.log.broken;
        self.each_change(LogSpan { after: begin, upto: last.place }, |place, rowid| {
            if place != expected || rowid.is_none() {
                *broken = place;
            }
            expected = place.wrapping_add(1);
            left.extend(rowid);
            true
        })?;
        changes.overlay.retain(|rowid| left.contains(&rowid));
        if changes.overlay.len() != left.len() {
            return Ok(None);
        }
        changes.strays = Arc::new(changes.strays.iter().copied().filter(|rowid| left.contains(rowid)).collect());
        self.keep(index, last, &changes);
        Ok(Some(changes))
    }

    fn keep(&self, index: &Index, tail: Tail, changes: &Changes) {
        let (scope, generation, held) = (self.scope, index.header.generation, Held::new(index.account(), 0));
        let mut kept = kept();
        kept.retain(|other| other.scope != scope || other.generation == generation && other.tail != tail);
        kept.push(KnownChanges { scope, generation, tail, changes: changes.clone(), held });
        index::set_aside(trim(&mut kept, most_of_changes()));
    }
}

/// Drops what a smaller setting of `cache_bytes` has no room for, here and in the memory of all indexes.
pub fn settle() {
    index::set_aside(trim(&mut kept(), most_of_changes()));
    index::settle();
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
    /// Reads and encodes rows. Returns whether the connection can see them. If its authorizer hides them, the result must
    /// not be shared with other connections.
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
