//! Checks all that can be checked about an index: its BLOBs against each other, and its codes against the rows.

use super::block::{Block, Codes, label};
use super::format::{BlobKind, BlockEntry, FORMAT, RANGES};
use super::merge::OnProgress;
use super::open::{Index, Opened, open_uncached};
use super::request::{FetchedRow, RowSource};
use super::rowid_part::RowidPart;
use super::store::Store;
use crate::codec::{Encoder, fingerprint};
use crate::error::{Error, Result};
use std::collections::BTreeSet;

/// Checks an index without its rows: every BLOB, and that they belong together. Nothing comes from the cache.
pub fn check_blocks<S: Store>(store: &mut S) -> Result<Index> {
    let index = match open_uncached(store)? {
        Opened::Index(index) => index,
        Opened::Absent => return Err(Error::Damaged("the index has no header; 'rebuild' mends it".into())),
        Opened::Future(format) => {
            let known = format_args!("an index of format {FORMAT} at most");
            return Err(Error::expected(known, format_args!("one of format {format}")));
        }
    };
    let ranges = index.stored_ranges(store)?.unwrap_or_default();
    for (number, entry) in index.blocks() {
        let block = Block::read(store, index.header.dimensions, number, entry)?;
        check_block(number, entry, &block)?;
        if let Some(range) = ranges.get(number as usize - 1) {
            index.check_range(range, &block, number)?;
        }
    }
    for part in RowidPart::of_rows(index.header.rows) {
        index.coded(store, part)?;
    }
    check_ids(store, &index)?;
    Ok(index)
}

fn check_block(number: u32, entry: &BlockEntry, block: &Block) -> Result<()> {
    let damaged = |what: String| label(BlobKind::Codes, number, entry.token).damaged(what);
    let mut rows = 0;
    for slot in 0..block.codes.slots() {
        match block.codes.slot(slot) {
            Some(_) => rows += 1,
            None if block.is_clean(slot) => {}
            None => return Err(damaged(format!("the free slot {slot} is not empty"))),
        }
    }
    if rows != entry.rows {
        return Err(damaged(format!("{rows} rows are not {}", entry.rows)));
    }
    Ok(())
}

/// Checks that every BLOB belongs to a block.
fn check_ids<S: Store>(store: &mut S, index: &Index) -> Result<()> {
    let last = 2 * i64::from(index.header.blocks) + 1;
    match store.ids()?.into_iter().find(|id| !(RANGES..=last).contains(id)) {
        Some(id) => Err(Error::Damaged(format!("the index has an entry {id} of no block; 'rebuild' mends it"))),
        None => Ok(()),
    }
}

impl Index {
    /// The rows of a part that have codes, in ascending order. An error if a row has two codes.
    pub fn coded<S: Store>(&self, store: &mut S, part: RowidPart) -> Result<Vec<i64>> {
        let mut rowids = Vec::new();
        for (number, entry) in self.blocks() {
            let codes = Codes::read(store, self.header.dimensions, number, entry)?;
            let rows = codes.rows().map(|row| row.rowid);
            rowids.extend(rows.filter(|rowid| part.has(*rowid)));
        }
        rowids.sort_unstable();
        match rowids.iter().zip(rowids.iter().skip(1)).find(|(row, next)| row == next) {
            Some((row, _)) => Err(Error::Damaged(format!("row {row} is in the index twice; 'rebuild' mends it"))),
            None => Ok(rowids),
        }
    }

    /// Checks the codes of a part against the rows. Rows in `pending` are not checked.
    pub fn check_rows<S: Store, R: RowSource>(
        &self,
        store: &mut S,
        rows: &mut R,
        part: RowidPart,
        pending: &BTreeSet<i64>,
        progress: OnProgress<'_>,
    ) -> Result<()> {
        let mut encoder = Encoder::new(self.space());
        let mut done = 0;
        for (number, entry) in self.blocks() {
            let block = Block::read(store, self.header.dimensions, number, entry)?;
            for slot in 0..block.codes.slots() {
                let Some(row) = block.codes.slot(slot) else { continue };
                if !part.has(row.rowid) || pending.contains(&row.rowid) {
                    continue;
                }
                check_row(&block, slot, row.rowid, rows, &mut encoder)?;
                done += 1;
                progress(done, self.header.rows)?;
            }
        }
        Ok(())
    }
}

fn check_row<R: RowSource>(
    block: &Block,
    slot: usize,
    rowid: i64,
    rows: &mut R,
    encoder: &mut Encoder<'_>,
) -> Result<()> {
    let mut expected = None;
    match rows.fetch(rowid)? {
        FetchedRow::Vector(vector) if vector.len() == encoder.dimensions() => {
            encoder.encode(&vector);
            expected = Some(fingerprint(&vector));
        }
        // REPLACE deletes rows without a trigger. A search ignores their codes.
        FetchedRow::Gone => return Ok(()),
        FetchedRow::Vector(_) | FetchedRow::Doubtful => {}
    }
    match expected {
        None => Err(stale(rows.describe(rowid), "has no vector, but a code")),
        Some(fingerprint) if !block.is(slot, rowid, fingerprint, encoder) => {
            Err(stale(rows.describe(rowid), "has another vector than its code"))
        }
        Some(_) => Ok(()),
    }
}

fn stale(row: String, what: &str) -> Error {
    Error::Damaged(format!("{row} {what}; 'rebuild' mends the index"))
}
