//! The command `merge`: changed rows are put into the blocks of an index, all of them or the first of them.

use super::VecIndex;
use super::rows::Stray;
use crate::error::Result;
use crate::index::{ChangedRows, Index, ROWS_IN_MEMORY, RowSlot};
use crate::resources::config;
use crate::resources::progress::Progress;
use crate::sqlite::storage::shelf::{Anchor, LogSpan, Shelf};
use crate::sqlite::storage::signs::{Sign, reshaped};
use crate::sqlite::storage::table_rows::TableRows;
use crate::sqlite::storage::triggers::{Tracked, WatchedIndex};
use crate::sqlite::storage::trust::{Survey, compared, is_stale, most_differing};
use crate::sqlite::tables::source::Source;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;

/// What a merge puts into the blocks.
struct ChangesToMerge<'a> {
    /// The rows of this part of the list.
    span: LogSpan,
    /// And these.
    more: &'a BTreeSet<i64>,
    /// All slots of these rows, if they are known.
    slots: Option<&'a [RowSlot]>,
}

impl VecIndex {
    /// Puts the changed rows into the blocks, and rows that differ from their codes without being in the list of changes. If
    /// there is a sign against the index, all rows are compared with their codes; else only the next few. With `most`, it takes
    /// the first changes of the list, of so many rows, and leaves the others to the next merge.
    pub(super) fn merge(&self, most: Option<u64>) -> Result<()> {
        let watched = self.must_be_tracked()?;
        let mut source = self.source(&watched.tracked.table, &watched.tracked.column)?;
        let mut shelf = self.whole_shelf()?;
        let index = self.index(&mut shelf)?;
        let mut rows = TableRows::new(&source)?;
        self.must_be_unwatched()?;
        let sign = self.renew(&watched)?;
        let anchor = shelf.anchor(index.header.generation)?;
        let place = anchor.map_or(0, |anchor| anchor.end());
        let span = most.map_or(Ok(LogSpan::after(place)), |most| shelf.first_changes(place, most))?;
        let (entries, changed) = (shelf.noted(span)?.entries, shelf.changed_count(span)?);
        // A merge of some rows is to be short, so it leaves a new centre to the next merge of all. Without dimensions there is
        // no centre at all.
        let wants_rebuild = |changed| index.wants_rebuild(changed) && (most.is_none() || index.header.dimensions == 0);
        if wants_rebuild(changed) {
            return self.build(&mut source, &mut shelf, Stray::Noted);
        }
        let is_stale = is_stale(&shelf, &index);
        let others = rows.other_than(&index.directory().strays, index.header.dimensions, compared(changed))?;
        let listed = shelf.listed(span, changed, &others)?;
        let (mut survey, wanted) = (Survey::default(), listed.as_deref().unwrap_or_default());
        let cursor = match anchor {
            Some(anchor) if !is_stale && self.is_trusted(&shelf, &index, &rows, sign.as_ref(), anchor)? => {
                shelf.survey(&index, &mut rows, (anchor.cursor, compared(changed)), wanted, &mut survey)?
            }
            _ => {
                shelf.survey_all(&index, &mut rows, changed + most_differing(&index), wanted, &mut survey)?;
                None
            }
        };
        let Survey { differing: mut found, slots } = survey;
        found.extend(others);
        let (mut noted, mut differing) = (shelf.noted_rows(span)?, BTreeSet::new());
        for rowid in found {
            if !noted.has(rowid)? {
                differing.insert(rowid);
            }
        }
        drop(noted);
        let count = changed + differing.len() as u64;
        if wants_rebuild(count) || differing.len() as u64 > most_differing(&index) {
            return self.build(&mut source, &mut shelf, Stray::Noted);
        }
        let merged = if count > 0 || is_stale {
            let slots = listed.filter(|_| count <= ROWS_IN_MEMORY as u64).map(|_| slots.as_slice());
            let changes = ChangesToMerge { span, more: &differing, slots };
            let merged = self.merge_changes(&source, &mut shelf, &mut rows, index, changes);
            source.stats.total.store(0, Relaxed);
            merged?
        } else {
            index
        };
        let gone = self.begin_anew(&mut shelf, &rows, &merged, cursor.unwrap_or(i64::MIN), span)?;
        let anchors = if anchor.is_some() { 2 } else { 0 };
        if gone == entries + anchors { Ok(()) } else { Err(reshaped(format_args!("{}_pending", self.name))) }
    }

    /// Whether there is no sign against the index, and the schema has not changed since the last merge.
    fn is_trusted(
        &self,
        shelf: &Shelf,
        index: &Index,
        rows: &TableRows,
        sign: Option<&Sign>,
        anchor: Anchor,
    ) -> Result<bool> {
        Ok(shelf.cookie()? == anchor.cookie && shelf.sign(index, rows, sign)?.is_none())
    }

    /// Makes the triggers again, if other triggers run before them or if they may have been missing for some time. Returns
    /// the sign that they showed, so that all rows are compared.
    pub(super) fn renew(&self, watched: &WatchedIndex) -> Result<Option<Sign>> {
        if watched.sign.is_some() || watched.is_outrun {
            Tracked::drop(self.connection, &self.schema, &self.name)?;
            watched.tracked.create(self.connection, &self.schema)?;
            if self.must_be_tracked()?.sign.is_some() {
                return Err(reshaped(format_args!("the triggers of {}", self.name)));
            }
        }
        Ok(watched.sign.clone())
    }

    /// Puts rows that changed into the blocks.
    fn merge_changes(
        &self,
        source: &Source,
        shelf: &mut Shelf,
        rows: &mut TableRows,
        mut index: Index,
        ChangesToMerge { span, more, slots }: ChangesToMerge<'_>,
    ) -> Result<Index> {
        let count = shelf.changed_count(span)? + more.len() as u64;
        let progress = Progress::new("merging", count);
        source.stats.begin(count);
        let (mut before, mut noted) = (0, shelf.noted_rows(span)?);
        // The noted rows come in ascending order, so that the blocks are gone through once.
        let mut changed: Vec<i64> = more.iter().copied().collect();
        changed.extend(noted.part(ROWS_IN_MEMORY)?);
        loop {
            let rowids = changed.as_slice();
            index = index.merge(shelf, ChangedRows { rowids, slots }, rows, config::threads(), &mut |done, _| {
                progress.set(before + done);
                source.stats.done.store(before + done, Relaxed);
                if done % 1024 == 0 { self.connection.check_interrupt() } else { Ok(()) }
            })?;
            if rows.values == 0 && rows.conceals(changed.iter().copied())? {
                return Err(rows.concealed());
            }
            before += changed.len() as u64;
            changed = noted.part(ROWS_IN_MEMORY)?;
            if changed.is_empty() {
                return Ok(index);
            }
        }
    }
}
