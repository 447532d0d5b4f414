//! Merges rows that changed into an index: into the slots that they had, into the blocks whose rowids are around theirs, and
//! into new blocks.
//!
//! The blocks are kept as the leaves of a B-tree are. The ranges of their rowids hardly overlap, so that a row is found by
//! reading one block. A block that is too full is split, and rows behind all others begin a new one. A block that has become
//! sparse is written with fewer slots, and one without rows takes the next rows that need a block. (To give a free slot to any
//! row, as was done before, wrote fewer blocks when rowids are random, but soon each block had rowids from everywhere, and to
//! find one row all codes were read.)

use super::block::{Block, Codes};
use super::build::{begin, write_top};
use super::compare::RowSlot;
use super::encode::{RowCodes, VectorBatch, encode};
use super::format::{Directory, Header};
use super::open::Index;
use super::ranges::RowidRange;
use super::request::{FetchedRow, RowSource};
use super::store::Store;
use crate::error::{Error, Result};
use crate::kernels::codes::GROUP;
use std::collections::{BTreeMap, HashMap};

/// Rows that are merged at a time, in the order of their rowids. This limits memory to some 5 MB. Rounds hardly meet the same
/// blocks.
const ROUND: usize = 1 << 14;
/// The centre is good until there are so many times as many rows as it was taken from.
const GROWTH: u64 = 4;
/// Free slots are used again. But if an index has more than so many slots for each row, it is rebuilt instead of merged.
const SPARSE: u64 = 4;
/// A block that is changed gets fewer slots if at most so many fourths of them are needed.
const NEEDED: usize = 3;

/// Is told how far a merge is: how many rows of how many. An error stops the merge.
pub type OnProgress<'a> = &'a mut dyn FnMut(u64, u64) -> Result<()>;

/// Rows that changed.
#[derive(Clone, Copy)]
pub struct ChangedRows<'a> {
    /// In any order.
    pub rowids: &'a [i64],
    /// All slots that they have, in any order. If they are not known, or if the rows are too many to be merged at once, the
    /// blocks that may have them are read.
    pub slots: Option<&'a [RowSlot]>,
}

/// What happens to a slot.
enum Edit {
    Put(Box<RowCodes>),
    Vacate,
}

impl Index {
    /// Whether the index should be rebuilt instead of merging so many changed rows: it has no dimensions yet, its centre was
    /// taken from too few rows, or most of its slots would be free.
    pub fn wants_rebuild(&self, changed: u64) -> bool {
        let Header { dimensions, rows, centred_at, block_slots, .. } = self.header;
        let slots: u64 = self.directory().blocks.iter().map(|entry| u64::from(entry.slots)).sum();
        changed > 0 && (dimensions == 0 || rows + changed >= GROWTH.saturating_mul(centred_at))
            || slots > SPARSE * (rows + changed) + block_slots as u64
    }

    /// Merges rows that changed, as they are now. If an error stops it while it writes, the header that is left says that the index
    /// is unfinished, until the caller rolls the transaction back.
    pub fn merge<S: Store, R: RowSource>(
        &self,
        store: &mut S,
        ChangedRows { rowids, slots }: ChangedRows<'_>,
        rows: &mut R,
        threads: usize,
        progress: OnProgress<'_>,
    ) -> Result<Self> {
        let mut changed = rowids.to_vec();
        changed.sort_unstable();
        changed.dedup();
        let slots = slots.filter(|_| changed.len() <= ROUND);
        let ranges = self.ranges(store)?;
        let mut merge = Merge {
            index: self,
            store,
            directory: self.directory().clone(),
            ranges,
            empty: Vec::new(),
            is_begun: false,
            threads,
            done: 0,
            total: changed.len() as u64,
            progress,
        };
        for round in changed.chunks(ROUND) {
            merge.round(round, slots, rows)?;
        }
        begin(merge.store, &self.header, &mut merge.is_begun)?;
        let (store, directory, ranges) = (merge.store, merge.directory, merge.ranges);
        let mut header = self.header.clone();
        write_top(store, &mut header, &directory, &ranges)?;
        Ok(Self::new(self.scope(), header, directory, self.space().clone()))
    }
}

struct Merge<'a, S> {
    index: &'a Index,
    store: &'a mut S,
    directory: Directory,
    ranges: Vec<RowidRange>,
    /// Blocks without rows.
    empty: Vec<u32>,
    /// Whether the header says that blocks are being written.
    is_begun: bool,
    threads: usize,
    done: u64,
    total: u64,
    progress: OnProgress<'a>,
}

impl<S: Store> Merge<'_, S> {
    fn round<R: RowSource>(&mut self, changed: &[i64], slots: Option<&[RowSlot]>, rows: &mut R) -> Result<()> {
        let slots = match slots {
            Some(slots) => {
                let is_changed = |slot: &&RowSlot| changed.binary_search(&slot.rowid).is_ok();
                slots.iter().filter(is_changed).copied().collect()
            }
            None => self.slots(changed)?,
        };
        self.directory.strays.retain(|rowid| changed.binary_search(rowid).is_err());
        // Every changed row leaves its slot, except those that are put there again.
        let mut edits: BTreeMap<u32, Vec<(usize, Edit)>> = BTreeMap::new();
        let mut gone: HashMap<i64, (u32, usize)> = HashMap::with_capacity(slots.len());
        for RowSlot { rowid, block, slot } in slots {
            if let Some((block, twin)) = gone.insert(rowid, (block, slot as usize)) {
                edits.entry(block).or_default().push((twin, Edit::Vacate));
            }
        }
        let mut new = Vec::new();
        for row in self.encoded(changed, rows)? {
            match gone.remove(&row.rowid) {
                Some((block, slot)) => edits.entry(block).or_default().push((slot, Edit::Put(Box::new(row)))),
                None => new.push(row),
            }
        }
        for (block, slot) in gone.into_values() {
            edits.entry(block).or_default().push((slot, Edit::Vacate));
        }
        self.apply(edits, new)
    }

    /// The slots of the rows that changed.
    fn slots(&mut self, changed: &[i64]) -> Result<Vec<RowSlot>> {
        let mut slots = Vec::new();
        for ((block, entry), range) in (1..).zip(&self.directory.blocks).zip(&self.ranges) {
            if !range.meets_any(changed) {
                continue;
            }
            let codes = Codes::read(self.store, self.index.header.dimensions, block, entry)?;
            let is_changed = |rowid: i64| changed.binary_search(&rowid).is_ok();
            let changed =
                (0..codes.slots()).filter(|slot| is_changed(codes.rowid(*slot)) && codes.slot(*slot).is_some());
            slots.extend(changed.map(|slot| RowSlot { rowid: codes.rowid(slot), block, slot: slot as u32 }));
        }
        Ok(slots)
    }

    /// The codes of those rows that have vectors. Strays are noted.
    fn encoded<R: RowSource>(&mut self, changed: &[i64], rows: &mut R) -> Result<Vec<RowCodes>> {
        let mut encoded = Vec::new();
        let mut batch = VectorBatch::default();
        for rowid in changed {
            match rows.fetch(*rowid)? {
                FetchedRow::Vector(vector) if vector.len() == self.index.header.dimensions => {
                    batch.push(*rowid, &vector)
                }
                FetchedRow::Vector(_) => self.directory.strays.push(*rowid),
                FetchedRow::Gone | FetchedRow::Doubtful => {}
            }
            if batch.is_full() {
                encoded.extend(encode(self.index.space(), std::mem::take(&mut batch), self.threads)?);
            }
            self.done += 1;
            (self.progress)(self.done, self.total)?;
        }
        encoded.extend(encode(self.index.space(), batch, self.threads)?);
        self.directory.strays.sort_unstable();
        Ok(encoded)
    }

    /// Changes blocks, and gives new rows to the blocks whose rowids are around theirs.
    fn apply(&mut self, mut edits: BTreeMap<u32, Vec<(usize, Edit)>>, new: Vec<RowCodes>) -> Result<()> {
        self.empty = (1..).zip(&self.directory.blocks).filter(|(_, entry)| entry.rows == 0).map(|(at, _)| at).collect();
        let owners = Owners::new(&self.ranges);
        let mut joining: BTreeMap<u32, Vec<RowCodes>> = BTreeMap::new();
        let mut homeless = Vec::new();
        for row in new {
            match owners.of(row.rowid) {
                Some(block) => joining.entry(block).or_default().push(row),
                None => homeless.push(row),
            }
        }
        for block in joining.keys() {
            edits.entry(*block).or_default();
        }
        for (block, edits) in edits {
            let new = joining.remove(&block).unwrap_or_default();
            self.change(block, edits, new, owners.last == Some(block))?;
        }
        self.append(&homeless, self.index.header.block_slots)
    }

    /// Changes a block. `new` ascends. `is_last` says whether the rowids of no block are behind its own.
    fn change(&mut self, number: u32, edits: Vec<(usize, Edit)>, new: Vec<RowCodes>, is_last: bool) -> Result<()> {
        let Header { dimensions, block_slots, .. } = self.index.header;
        let Some(entry) = self.directory.blocks.get(number as usize - 1) else { return Ok(()) };
        let mut block = Block::read(self.store, dimensions, number, entry)?;
        for (slot, edit) in edits {
            match edit {
                Edit::Put(row) => block.put(slot, &row),
                Edit::Vacate => block.vacate(slot),
            }
        }
        let rows = block.count();
        let needed = rows + new.len();
        if needed <= block_slots {
            let slots = block.codes.slots();
            if needed > slots {
                block.grow(needed);
            } else if needed.max(1).next_multiple_of(GROUP) * 4 <= slots * NEEDED {
                block = of_rows(dimensions, &block.rows().collect::<Vec<_>>(), needed);
            }
            fill(&mut block, &new);
            self.write(number, block)?;
            self.empty.extend((needed == 0).then_some(number));
            return Ok(());
        }
        let range = RowidRange::of_codes(&block.codes);
        if is_last && new.first().is_some_and(|first| first.rowid > range.greatest) {
            // The last block stays full, and those behind it are filled one after the other.
            let (here, behind) = new.split_at(block_slots - rows);
            block.grow(block_slots);
            fill(&mut block, here);
            self.write(number, block)?;
            return self.append(behind, block_slots);
        }
        let mut all: Vec<RowCodes> = block.rows().chain(new).collect();
        all.sort_unstable_by_key(|row| row.rowid);
        let part = needed.div_ceil(needed.div_ceil(block_slots));
        let (here, others) = all.split_at(part);
        self.write(number, of_rows(dimensions, here, part))?;
        self.append(others, part)
    }

    /// Writes rows, which ascend, to blocks that have none, so many to each.
    fn append(&mut self, rows: &[RowCodes], part: usize) -> Result<()> {
        for rows in rows.chunks(part) {
            let number = match self.empty.pop() {
                Some(number) => number,
                None => u32::try_from(self.directory.blocks.len() + 1)
                    .map_err(|_| Error::expected("fewer rows", "more blocks than have numbers"))?,
            };
            self.write(number, of_rows(self.index.header.dimensions, rows, rows.len()))?;
        }
        Ok(())
    }

    /// Writes a block under a number that it has, or under the next.
    fn write(&mut self, number: u32, mut block: Block) -> Result<()> {
        begin(self.store, &self.index.header, &mut self.is_begun)?;
        let (range, entry) = (RowidRange::of_codes(&block.codes), block.write(self.store, number)?);
        let at = number as usize - 1;
        match (self.directory.blocks.get_mut(at), self.ranges.get_mut(at)) {
            (Some(place), Some(known)) => (*place, *known) = (entry, range),
            _ => {
                self.directory.blocks.push(entry);
                self.ranges.push(range);
            }
        }
        Ok(())
    }
}

/// Which block a new row belongs to: the last that does not begin behind it.
struct Owners {
    /// The least rowid and the number of each block that has rows, in ascending order.
    begins: Vec<(i64, u32)>,
    /// The block with the greatest rowid.
    last: Option<u32>,
}

impl Owners {
    fn new(ranges: &[RowidRange]) -> Self {
        let with_rows = || (1..).zip(ranges).filter(|(_, range)| !range.is_none());
        let mut begins: Vec<(i64, u32)> = with_rows().map(|(number, range)| (range.least, number)).collect();
        begins.sort_unstable();
        let last = with_rows().max_by_key(|(number, range)| (range.greatest, *number)).map(|(number, _)| number);
        Self { begins, last }
    }

    /// `None` if no block has rows.
    fn of(&self, rowid: i64) -> Option<u32> {
        let behind = self.begins.partition_point(|(least, _)| *least <= rowid);
        self.begins.get(behind.saturating_sub(1)).map(|(_, number)| *number)
    }
}

/// A block with these rows, and with slots for so many.
fn of_rows(dimensions: usize, rows: &[RowCodes], slots: usize) -> Block {
    let mut block = Block::empty(dimensions, slots.max(1));
    fill(&mut block, rows);
    block
}

/// Gives free slots to rows.
fn fill(block: &mut Block, rows: &[RowCodes]) {
    let free: Vec<usize> = (0..block.codes.slots()).filter(|slot| block.codes.slot(*slot).is_none()).collect();
    free.into_iter().zip(rows).for_each(|(slot, row)| block.put(slot, row));
}
