//! Whether an index can be trusted: the signs against it, and what this process found when it compared rows with codes.
//!
//! A search that finds a sign compares all rows with their codes, once. A search writes nothing, so the process keeps the
//! result in memory. A merge compares them too, and writes the result for all processes.

use super::shelf::{Anchor, Shelf, Tail};
use super::signs::Sign;
use super::table_rows::TableRows;
use crate::error::Result;
use crate::index::{Difference, Index};
use crate::lock::lock;
use crate::resources::per_process::PerProcess;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

/// An index in one state, by its scope and generation.
type IndexState = (u64, [u8; 16]);

/// The result of comparing.
enum Judgement {
    /// The index differs from its table. It is not used until a merge has mended it.
    Stale,
    /// It was right.
    Sound(Sound),
}

/// In which state an index was found right.
#[derive(Debug, Clone)]
struct Sound {
    anchor: Option<Anchor>,
    cookie: i64,
    /// The last entry of the list of changes. It must still be there.
    tail: Option<Tail>,
    top: i64,
}

static VERDICTS: PerProcess<Mutex<BTreeMap<IndexState, Judgement>>> = PerProcess::new(|| Mutex::new(BTreeMap::new()));

fn verdicts() -> MutexGuard<'static, BTreeMap<IndexState, Judgement>> {
    lock(VERDICTS.get())
}

fn state(shelf: &Shelf, index: &Index) -> IndexState {
    (shelf.scope, index.header.generation.0)
}

/// Notes that an index differs from its table. It needs a merge that compares, or a rebuild.
pub fn mark_stale(shelf: &Shelf, index: &Index) {
    verdicts().insert(state(shelf, index), Judgement::Stale);
}

/// Whether a search of this process has found out that an index differs from its table.
pub fn is_stale(shelf: &Shelf, index: &Index) -> bool {
    matches!(verdicts().get(&state(shelf, index)), Some(Judgement::Stale))
}

/// Forgets all results about an index.
pub(super) fn forget(scope: u64) {
    verdicts().retain(|(other, _), _| *other != scope);
}

/// The state up to which an index is known to be right. Only what came later has to be checked.
pub(super) struct Base {
    /// The greatest rowid of the table in that state.
    pub top: i64,
    /// The place of the last entry of the list of changes in that state.
    pub place: i64,
}

/// Whether the rows agree with the codes.
enum Agreement {
    Same,
    Differing,
    /// The authorizer of the connection hides the rows, so it is not known.
    Concealed,
}

/// Rows that are compared at a time. Fewer would need less memory, but all codes are read for each round.
const ROUND: usize = 1 << 19;

impl Shelf {
    /// The state up to which an index is known to be right, or the sign that it is not known at all. `sign` is that of its
    /// triggers.
    pub(super) fn base(
        &mut self,
        index: &Index,
        rows: &TableRows,
        sign: Option<&Sign>,
        anchor: Option<Anchor>,
    ) -> Result<std::result::Result<Base, Sign>> {
        if let Some(sign) = sign.filter(|sign| sign.is_lasting()) {
            return Ok(Err(sign.clone()));
        }
        if let Some(base) = self.sound(index, anchor)? {
            return Ok(Ok(base));
        }
        Ok(Self::base_by_anchor(rows, sign, anchor))
    }

    fn base_by_anchor(
        rows: &TableRows,
        sign: Option<&Sign>,
        anchor: Option<Anchor>,
    ) -> std::result::Result<Base, Sign> {
        match (sign, anchor) {
            (Some(sign), _) => Err(sign.clone()),
            (None, None) => Err(Sign::Unbound),
            (None, Some(anchor)) if anchor.is_moved() && !rows.is_stable => Err(Sign::Renumbered),
            (None, Some(anchor)) => Ok(Base { top: anchor.top, place: anchor.end() }),
        }
    }

    /// The state in which this process found the index right, if that is still valid.
    fn sound(&mut self, index: &Index, anchor: Option<Anchor>) -> Result<Option<Base>> {
        let sound = match verdicts().get(&state(self, index)) {
            Some(Judgement::Sound(sound)) if sound.anchor == anchor => sound.clone(),
            _ => return Ok(None),
        };
        let stands = match &sound.tail {
            Some(tail) => self.token(tail.place)?.as_ref() == Some(&tail.token),
            None => true,
        };
        let holds = stands && self.cookie()? == sound.cookie;
        let place = sound.tail.map_or(0, |tail| tail.place);
        Ok(holds.then_some(Base { top: sound.top, place }))
    }

    /// The sign against an index, without what this process has found out by comparing.
    pub fn sign(&self, index: &Index, rows: &TableRows, sign: Option<&Sign>) -> Result<Option<Sign>> {
        let anchor = self.anchor(index.header.generation)?;
        match Self::base_by_anchor(rows, sign, anchor) {
            Ok(base) => self.sign_since(&base, rows, anchor),
            Err(sign) => Ok(Some(sign)),
        }
    }

    /// The sign against an index. There is none if this process has compared the rows and found the index right.
    pub fn open_sign(&mut self, index: &Index, rows: &TableRows, sign: Option<&Sign>) -> Result<Option<Sign>> {
        let anchor = self.anchor(index.header.generation)?;
        match self.base(index, rows, sign, anchor)? {
            Ok(base) => self.sign_since(&base, rows, anchor),
            Err(sign) => Ok(Some(sign)),
        }
    }

    fn sign_since(&self, base: &Base, rows: &TableRows, anchor: Option<Anchor>) -> Result<Option<Sign>> {
        let first = anchor.map_or(0, |anchor| anchor.end());
        if !self.noted(base.place)?.is_whole {
            return Ok(Some(Sign::Broken));
        }
        let (top, is_noted) = (rows.top()?, |rowid| self.is_noted(first, rowid));
        let is_known = top == base.top || is_noted(top.max(base.top))?;
        let is_unnoted = !is_known || self.has_unnoted(&rows.behind, base.top, first)?;
        Ok(is_unnoted.then_some(Sign::Unnoted))
    }

    /// Compares all rows with their codes, except those that the list of changes has, and keeps the result. Returns whether
    /// the index can be used.
    pub(super) fn verify(
        &mut self,
        index: &Index,
        rows: &mut TableRows,
        anchor: Option<Anchor>,
        is_noted: impl Fn(i64) -> bool,
    ) -> Result<bool> {
        // The transaction has written, and ROLLBACK may undo what is seen now.
        if self.has_written() {
            return Ok(false);
        }
        let _snapshot = self.hold()?;
        let (tail, cookie) = (self.tail("NULL")?.map(|(tail, _)| tail), self.cookie()?);
        if self.anchor(index.header.generation)? != anchor {
            return Ok(false);
        }
        match self.compare(index, rows, is_noted)? {
            Agreement::Same => {
                let sound = Sound { anchor, cookie, tail, top: rows.top()? };
                verdicts().insert(state(self, index), Judgement::Sound(sound));
                Ok(true)
            }
            Agreement::Differing => {
                mark_stale(self, index);
                Ok(false)
            }
            Agreement::Concealed => Ok(false),
        }
    }

    fn compare(&mut self, index: &Index, rows: &mut TableRows, is_noted: impl Fn(i64) -> bool) -> Result<Agreement> {
        let is_harmless = |difference: &Difference, is_stable: bool| match difference {
            // A code without a row. A search looks for the row, does not find it, and leaves it out.
            Difference::Ghost(_) => is_stable,
            Difference::Row(_) => false,
        };
        let mut first = Some(i64::MIN);
        while let Some(from) = first {
            let Some(stretch) = rows.stretch(from, ROUND, index.header.dimensions)? else {
                return Ok(Agreement::Concealed);
            };
            let mut differing = index.differing(self, &stretch)?;
            differing.retain(|difference| !is_noted(difference.rowid()));
            if stretch.rows.is_empty() && rows.conceals(differing.iter().map(|difference| difference.rowid()))? {
                return Ok(Agreement::Concealed);
            }
            if !differing.iter().all(|difference| is_harmless(difference, rows.is_stable)) {
                return Ok(Agreement::Differing);
            }
            first = stretch.last.checked_add(1);
        }
        Ok(Agreement::Same)
    }

    /// The rows that differ from their codes, among at most `most` rows from `from` on. Also the rowid at which to go on, or
    /// `None` at the end.
    pub fn differing(
        &mut self,
        index: &Index,
        rows: &mut TableRows,
        from: i64,
        most: usize,
    ) -> Result<(BTreeSet<i64>, Option<i64>)> {
        let Some(stretch) = rows.stretch(from, most, index.header.dimensions)? else { return Err(rows.concealed()) };
        let differing: BTreeSet<i64> = index.differing(self, &stretch)?.into_iter().map(Difference::rowid).collect();
        if stretch.rows.is_empty() && rows.conceals(differing.iter().copied())? {
            return Err(rows.concealed());
        }
        Ok((differing, stretch.last.checked_add(1)))
    }

    /// The same for all rows. It stops when there are more than `enough`.
    pub fn all_differing(&mut self, index: &Index, rows: &mut TableRows, enough: u64) -> Result<BTreeSet<i64>> {
        let (mut all, mut first) = (BTreeSet::new(), Some(i64::MIN));
        while let Some(from) = first.filter(|_| all.len() as u64 <= enough) {
            let (differing, next) = self.differing(index, rows, from, ROUND)?;
            all.extend(differing);
            first = next;
        }
        Ok(all)
    }
}
