//! Checks all that can be checked about an index: its BLOBs against each other, and its codes against the rows.

use super::block::{Block, Codes, label};
use super::format::{BlobKind, BlockEntry, FORMAT, RANGES};
use super::merge::OnProgress;
use super::open::{Index, Opened, open_uncached};
use super::ranges::RowidRange;
use super::request::{FetchedRow, RowSource};
use super::store::Store;
use crate::codec::{Encoder, fingerprint};
use crate::error::{Error, Result};

/// Work on all rows keeps the rowids of so many at a time, 8 MiB, so that its memory does not grow with the index.
pub const ROWS_IN_MEMORY: usize = 1 << 20;

/// Checks an index without its rows: every BLOB, and that they belong together. Nothing comes from the cache.
pub fn check_blocks<S: Store>(store: &mut S) -> Result<Index> {
    let index = match open_uncached(store)? {
        Opened::Index(index) => index,
        Opened::Absent => return Err(Error::Damaged("the index has no header; 'rebuild' mends it".into())),
        Opened::Unfinished => return Err(unfinished()),
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
    let blocks = index.by_rowid(store)?;
    let mut first = Some(i64::MIN);
    while let Some(from) = first {
        first = blocks.coded(store, from, ROWS_IN_MEMORY)?.last.checked_add(1);
    }
    check_ids(store, &index)?;
    Ok(index)
}

/// The error for an index whose blocks were being written when a command was stopped.
pub fn unfinished() -> Error {
    Error::Damaged("the index is not complete, as a merge or rebuild was stopped; 'rebuild' mends it".into())
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

/// Rows that have codes, in ascending order.
pub struct CodedRows {
    /// The rows.
    pub rowids: Vec<i64>,
    /// They are all from the first that was asked for up to this one.
    pub last: i64,
}

impl CodedRows {
    /// Keeps the first rows. An error if a row is there twice.
    fn limit(&mut self, most: usize) -> Result<()> {
        self.rowids.sort_unstable();
        if let Some((row, _)) = self.rowids.iter().zip(self.rowids.iter().skip(1)).find(|(row, next)| row == next) {
            return Err(Error::Damaged(format!("row {row} is in the index twice; 'rebuild' mends it")));
        }
        if self.rowids.len() > most {
            self.rowids.truncate(most);
            self.last = self.rowids.last().copied().unwrap_or(self.last);
        }
        Ok(())
    }
}

/// The blocks of an index in the order of their rows, for work on all rows from one end to the other. In most indexes blocks
/// hardly overlap, so that all such work together reads each block once or twice.
pub struct BlocksByRowid<'a> {
    index: &'a Index,
    blocks: Vec<(u32, BlockEntry, RowidRange)>,
}

impl Index {
    /// Its blocks in the order of their rows.
    pub fn by_rowid<S: Store>(&self, store: &mut S) -> Result<BlocksByRowid<'_>> {
        let ranges = self.ranges(store)?;
        let blocks = self.blocks().zip(ranges).map(|((number, entry), range)| (number, *entry, range));
        let mut blocks: Vec<_> = blocks.filter(|(_, _, range)| !range.is_none()).collect();
        blocks.sort_unstable_by_key(|(_, _, range)| range.least);
        Ok(BlocksByRowid { index: self, blocks })
    }
}

impl BlocksByRowid<'_> {
    /// The next rows that have codes: at most so many, from a rowid on. An error if a row has two codes.
    pub fn coded<S: Store>(&self, store: &mut S, first: i64, most: usize) -> Result<CodedRows> {
        let most = most.max(1);
        let mut coded = CodedRows { rowids: Vec::new(), last: i64::MAX };
        for (number, entry, range) in &self.blocks {
            if range.least > coded.last {
                break;
            }
            if range.greatest < first {
                continue;
            }
            let codes = Codes::read(store, self.index.header.dimensions, *number, entry)?;
            let rows = codes.rows().map(|row| row.rowid);
            coded.rowids.extend(rows.filter(|rowid| (first..=coded.last).contains(rowid)));
            // To sort them after each block would take long where blocks overlap.
            if coded.rowids.len() > most + most / 8 {
                coded.limit(most)?;
            }
        }
        coded.limit(most)?;
        Ok(coded)
    }

    /// Checks the codes of these rows, which ascend, against the rows.
    pub fn check_rows<S: Store, R: RowSource>(
        &self,
        store: &mut S,
        rows: &mut R,
        rowids: &[i64],
        progress: OnProgress<'_>,
    ) -> Result<()> {
        let mut encoder = Encoder::new(self.index.space());
        let mut done = 0;
        for (number, entry, _) in self.blocks.iter().filter(|(_, _, range)| range.meets_any(rowids)) {
            let block = Block::read(store, self.index.header.dimensions, *number, entry)?;
            for slot in 0..block.codes.slots() {
                let Some(row) = block.codes.slot(slot) else { continue };
                if rowids.binary_search(&row.rowid).is_err() {
                    continue;
                }
                check_row(&block, slot, row.rowid, rows, &mut encoder)?;
                done += 1;
                progress(done, rowids.len() as u64)?;
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
