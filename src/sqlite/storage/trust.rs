//! Whether an index may be trusted: the signs that speak against it, and what this process found when it compared.
//!
//! A search that meets a sign compares all rows with their codes, once. What it found is kept for the process, as a search
//! writes nothing; a merge compares for all.

use super::shelf::{Anchor, Shelf, Tail};
use super::signs::Sign;
use super::table_rows::TableRows;
use crate::error::Result;
use crate::index::{Difference, Index, RowSlot};
use crate::resources::per_process::PerProcess;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An index in one state, by its scope and generation.
type IndexState = (u64, [u8; 16]);

/// What came of comparing.
enum Judgement {
    /// The index does not belong to its table any more. It is not used again until a merge.
    Stale,
    /// It was right.
    Sound(Sound),
}

/// When an index was found right.
#[derive(Debug, Clone)]
struct Sound {
    anchor: Option<Anchor>,
    cookie: i64,
    /// The last change that was noted, which must still be.
    tail: Option<Tail>,
    top: i64,
}

static VERDICTS: PerProcess<Mutex<BTreeMap<IndexState, Judgement>>> = PerProcess::new(|| Mutex::new(BTreeMap::new()));

fn verdicts() -> MutexGuard<'static, BTreeMap<IndexState, Judgement>> {
    VERDICTS.get().lock().unwrap_or_else(PoisonError::into_inner)
}

fn state(shelf: &Shelf, index: &Index) -> IndexState {
    (shelf.scope, index.header.generation.0)
}

/// Notes that an index needs a merge that compares, or a rebuild.
pub fn mark_stale(shelf: &Shelf, index: &Index) {
    verdicts().insert(state(shelf, index), Judgement::Stale);
}

/// Whether an index needs that, as far as a search of this process has found out.
pub fn is_stale(shelf: &Shelf, index: &Index) -> bool {
    matches!(verdicts().get(&state(shelf, index)), Some(Judgement::Stale))
}

/// Forgets what was found out about an index.
pub(super) fn forget(scope: u64) {
    verdicts().retain(|(other, _), _| *other != scope);
}

/// From where on an index is to be judged: what lies before is known to be right.
pub(super) struct Base {
    /// The table's greatest rowid then.
    pub top: i64,
    /// The last entry in the list of changes then.
    pub place: i64,
}

/// What a merge found when it held rows against their codes.
#[derive(Default)]
pub struct Survey {
    /// Rows that differ, noted or not.
    pub differing: BTreeSet<i64>,
    /// The slots of these, and of the rows that are noted.
    pub slots: Vec<RowSlot>,
}

/// How many rows a merge of so many changes compares where nothing speaks against the index. So all rows have had their turn
/// when a quarter of them has changed, or after one merge for each thousand of them.
pub fn compared(changed: u64) -> usize {
    const LEAST: u64 = 1000;
    const MOST: u64 = 1 << 19;
    const TIMES: u64 = 4;
    changed.saturating_mul(TIMES).clamp(LEAST, MOST) as usize
}

/// Where more rows differ from their codes, to write the index anew takes less time.
pub fn most_differing(index: &Index) -> u64 {
    1000 + index.header.rows / 8
}

/// How the rows compared with the codes.
enum Agreement {
    Same,
    Differing,
    /// The connection's authorizer lets nobody tell.
    Concealed,
}

/// Rows that are compared at a time: bounds memory, and each time all codes are read.
const ROUND: usize = 1 << 19;

impl Shelf {
    /// Where to judge an index from, or the sign that leaves no such place. `sign` is that of its triggers.
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

    /// What this process found out, if that still holds.
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

    /// What speaks against an index, whatever this process knows of it.
    pub fn sign(&self, index: &Index, rows: &TableRows, sign: Option<&Sign>) -> Result<Option<Sign>> {
        let anchor = self.anchor(index.header.generation)?;
        match Self::base_by_anchor(rows, sign, anchor) {
            Ok(base) => self.sign_since(&base, rows, anchor),
            Err(sign) => Ok(Some(sign)),
        }
    }

    /// The same, but for what this process has compared.
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

    /// Compares all rows but those that are noted with their codes, and keeps what it found. Gives whether the index may
    /// be used.
    pub(super) fn verify(
        &mut self,
        index: &Index,
        rows: &mut TableRows,
        anchor: Option<Anchor>,
        is_noted: impl Fn(i64) -> bool,
    ) -> Result<bool> {
        // What is seen in a transaction that wrote may be taken back.
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
            // A search looks for the row, and does not find it.
            Difference::Ghost(_) => is_stable,
            Difference::Row(_) => false,
        };
        let mut first = Some(i64::MIN);
        while let Some(from) = first {
            let Some(stretch) = rows.stretch(from, ROUND, index.header.dimensions)? else {
                return Ok(Agreement::Concealed);
            };
            let mut differing = index.differing(self, &stretch, &[], &mut Vec::new())?;
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

    /// Compares so many rows from one on with their codes, and adds to `found`. Gives where the next begin.
    pub fn survey(
        &mut self,
        index: &Index,
        rows: &mut TableRows,
        (from, most): (i64, usize),
        noted: &[i64],
        found: &mut Survey,
    ) -> Result<Option<i64>> {
        let Some(stretch) = rows.stretch(from, most, index.header.dimensions)? else { return Err(rows.concealed()) };
        let differing = index.differing(self, &stretch, noted, &mut found.slots)?;
        if stretch.rows.is_empty() && rows.conceals(differing.iter().map(|difference| difference.rowid()))? {
            return Err(rows.concealed());
        }
        found.differing.extend(differing.into_iter().map(Difference::rowid));
        Ok(stretch.last.checked_add(1))
    }

    /// The same of all rows, until more than enough differ.
    pub fn survey_all(
        &mut self,
        index: &Index,
        rows: &mut TableRows,
        enough: u64,
        noted: &[i64],
        found: &mut Survey,
    ) -> Result<()> {
        let (mut first, mut noted) = (Some(i64::MIN), noted);
        while let Some(from) = first.filter(|_| found.differing.len() as u64 <= enough) {
            first = self.survey(index, rows, (from, ROUND), noted, found)?;
            // Their slots are known now.
            noted = &[];
        }
        Ok(())
    }
}
