//! Whether an index can be trusted: the signs against it, and what this process found when it compared rows with codes.
//!
//! A search that finds a sign compares all rows with their codes, once. A search writes nothing, so the process keeps the
//! result in memory. A merge compares them too, and writes the result for all processes.

use super::shelf::{Anchor, LogSpan, Shelf, Tail};
use super::signs::Sign;
use super::table_rows::TableRows;
use crate::error::Result;
use crate::index::{Difference, Index, RowSlot, Token};
use crate::lock::lock;
use crate::resources::per_process::PerProcess;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard};

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

/// How many states of one index are kept, because several transactions may read different snapshots.
const MOST_STATES: usize = 4;

/// The results for each index, by its scope. An index has a new state after each merge.
#[derive(Default)]
struct Verdicts(BTreeMap<u64, VecDeque<(Token, Judgement)>>);

impl Verdicts {
    fn of(&self, scope: u64, state: Token) -> Option<&Judgement> {
        self.0.get(&scope)?.iter().find(|(known, _)| *known == state).map(|(_, judgement)| judgement)
    }

    /// Notes a result, and forgets the oldest that are too many.
    fn note(&mut self, scope: u64, state: Token, judgement: Judgement) {
        let states = self.0.entry(scope).or_default();
        states.retain(|(known, _)| *known != state);
        states.push_back((state, judgement));
        if states.len() > MOST_STATES {
            states.pop_front();
        }
    }
}

static VERDICTS: PerProcess<Mutex<Verdicts>> = PerProcess::new(Mutex::default);

fn verdicts() -> MutexGuard<'static, Verdicts> {
    lock(VERDICTS.get())
}

/// Notes that an index differs from its table. It needs a merge that compares, or a rebuild.
pub fn mark_stale(shelf: &Shelf, index: &Index) {
    verdicts().note(shelf.scope, index.header.generation, Judgement::Stale);
}

/// Whether a search of this process has found out that an index differs from its table.
pub fn is_stale(shelf: &Shelf, index: &Index) -> bool {
    matches!(verdicts().of(shelf.scope, index.header.generation), Some(Judgement::Stale))
}

/// Forgets all results about an index.
pub(super) fn forget(scope: u64) {
    verdicts().0.remove(&scope);
}

/// The state up to which an index is known to be right. Only what came later has to be checked.
pub(super) struct Base {
    /// The greatest rowid of the table in that state.
    pub top: i64,
    /// The place of the last entry of the list of changes in that state.
    pub place: i64,
}

/// What a merge found when it compared rows with their codes.
#[derive(Default)]
pub struct Survey {
    /// Rows that differ. Some may be in the list of changes.
    pub differing: BTreeSet<i64>,
    /// The slots of these, and of the rows in the list of changes.
    pub slots: Vec<RowSlot>,
}

/// How many rows a merge of so many changes compares with their codes if there is no sign against the index. So each row has
/// been compared once when a quarter of the rows has changed, or after one merge for every thousand rows.
pub fn compared(changed: u64) -> usize {
    const LEAST: u64 = 1000;
    const MOST: u64 = 1 << 19;
    const TIMES: u64 = 4;
    changed.saturating_mul(TIMES).clamp(LEAST, MOST) as usize
}

/// If more rows than this differ from their codes, writing the whole index takes less time than merging them.
pub fn most_differing(index: &Index) -> u64 {
    1000 + index.header.rows / 8
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
        let sound = match verdicts().of(self.scope, index.header.generation) {
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
        if !self.noted(LogSpan::after(base.place))?.is_whole {
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
        let (tail, cookie) = (self.tail(rows)?.map(|(tail, _)| tail), self.cookie()?);
        if self.anchor(index.header.generation)? != anchor {
            return Ok(false);
        }
        match self.compare(index, rows, is_noted)? {
            Agreement::Same => {
                let sound = Sound { anchor, cookie, tail, top: rows.top()? };
                verdicts().note(self.scope, index.header.generation, Judgement::Sound(sound));
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

    /// Compares at most `most` rows from `from` on with their codes, and adds to `found`. Gives the rowid at which to go on, or
    /// `None` at the end. The rows in `noted` are those whose slots are wanted too.
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

    /// The same for all rows. It stops when more than `enough` differ.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_states_of_each_index_are_kept() {
        let (mut verdicts, token) = (Verdicts::default(), |number: u8| Token([number; 16]));
        for number in 0..100 {
            verdicts.note(7, token(number), Judgement::Stale);
            verdicts.note(7, token(0), Judgement::Stale);
            verdicts.note(8, token(0), Judgement::Stale);
        }
        assert_eq!(verdicts.0.values().map(VecDeque::len).collect::<Vec<_>>(), [MOST_STATES, 1]);
        assert!(verdicts.of(7, token(0)).is_some() && verdicts.of(7, token(99)).is_some());
        assert!(verdicts.of(7, token(90)).is_none() && verdicts.of(8, token(99)).is_none());
    }
}
