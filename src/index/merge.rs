//! Merges rows that changed into an index: into the slots that they had, into free slots, and into new blocks.

use super::block::{Block, Codes};
use super::build::write_top;
use super::compare::RowSlot;
use super::encode::{RowCodes, VectorBatch, encode};
use super::format::{BlockEntry, Directory, Header};
use super::open::Index;
use super::request::{FetchedRow, RowSource};
use super::store::Store;
use crate::error::{Error, Result};
use std::collections::{BTreeMap, HashMap};

/// Rows that are merged at a time. This limits memory, and one pass over all rowids is enough for them.
const ROUND: usize = 1 << 16;
/// The centre is good until there are so many times as many rows as it was taken from.
const GROWTH: u64 = 4;
/// Free slots are used again. But if an index has more than so many slots for each row, it is rebuilt instead of merged.
const SPARSE: u64 = 4;

/// Is told how far a merge is: how many rows of how many. An error stops the merge.
pub type OnProgress<'a> = &'a mut dyn FnMut(u64, u64) -> Result<()>;

/// Rows that changed.
#[derive(Clone, Copy)]
pub struct ChangedRows<'a> {
    /// In any order.
    pub rowids: &'a [i64],
    /// All slots that they have, in any order. If they are not known, all codes are read.
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
        changed > 0 && (dimensions == 0 || rows + changed >= GROWTH * centred_at)
            || slots > SPARSE * (rows + changed) + block_slots as u64
    }

    /// Merges rows that changed, as they are now. After an error the caller rolls the transaction back.
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
        let mut merge = Merge {
            index: self,
            store,
            directory: self.directory().clone(),
            threads,
            done: 0,
            total: changed.len() as u64,
            progress,
        };
        for round in changed.chunks(ROUND) {
            merge.round(round, slots, rows)?;
        }
        let (store, directory) = (merge.store, merge.directory);
        let mut header = self.header.clone();
        write_top(store, &mut header, &directory)?;
        Ok(Self::new(self.scope(), header, directory, self.space().clone()))
    }
}

struct Merge<'a, S> {
    index: &'a Index,
    store: &'a mut S,
    directory: Directory,
    threads: usize,
    done: u64,
    total: u64,
    progress: OnProgress<'a>,
}

impl<S: Store> Merge<'_, S> {
    fn round<R: RowSource>(&mut self, changed: &[i64], slots: Option<&[RowSlot]>, rows: &mut R) -> Result<()> {
        let is_changed = |rowid: i64| changed.binary_search(&rowid).is_ok();
        let slots = match slots {
            // Earlier rounds moved none of these rows.
            Some(slots) => slots.iter().copied().filter(|slot| is_changed(slot.rowid)).collect(),
            None => self.slots(is_changed)?,
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
        self.apply(edits, &mut new)?;
        self.append(&mut new)
    }

    /// The slots of the rows that changed.
    fn slots(&mut self, is_changed: impl Fn(i64) -> bool) -> Result<Vec<RowSlot>> {
        let mut slots = Vec::new();
        for (block, entry) in (1..).zip(&self.directory.blocks) {
            let codes = Codes::read(self.store, self.index.header.dimensions, block, entry)?;
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

    /// Changes blocks, and gives free slots to new rows, also those of other blocks as long as there are new rows.
    fn apply(&mut self, mut edits: BTreeMap<u32, Vec<(usize, Edit)>>, new: &mut Vec<RowCodes>) -> Result<()> {
        for (number, entry) in (1..).zip(self.directory.blocks.clone()) {
            let edits = edits.remove(&number).unwrap_or_default();
            let room = self.index.header.block_slots as u32 - entry.rows;
            if edits.is_empty() && (new.is_empty() || room == 0) {
                continue;
            }
            let entry = self.change(number, &entry, edits, new)?;
            if let Some(place) = self.directory.blocks.get_mut(number as usize - 1) {
                *place = entry;
            }
        }
        Ok(())
    }

    fn change(
        &mut self,
        number: u32,
        entry: &BlockEntry,
        edits: Vec<(usize, Edit)>,
        new: &mut Vec<RowCodes>,
    ) -> Result<BlockEntry> {
        let Header { dimensions, block_slots, .. } = self.index.header;
        let mut block = Block::read(self.store, dimensions, number, entry)?;
        for (slot, edit) in edits {
            match edit {
                Edit::Put(row) => block.put(slot, &row),
                Edit::Vacate => block.vacate(slot),
            }
        }
        let wanted = (entry.rows as usize + new.len()).min(block_slots);
        if wanted > block.codes.slots() {
            block.grow(wanted);
        }
        fill(&mut block, new);
        block.write(self.store, number)
    }

    fn append(&mut self, new: &mut Vec<RowCodes>) -> Result<()> {
        let Header { dimensions, block_slots, .. } = self.index.header;
        while !new.is_empty() {
            let number = u32::try_from(self.directory.blocks.len() + 1)
                .map_err(|_| Error::expected("fewer rows", "more blocks than have numbers"))?;
            let mut block = Block::empty(dimensions, new.len().min(block_slots));
            fill(&mut block, new);
            self.directory.blocks.push(block.write(self.store, number)?);
        }
        Ok(())
    }
}

/// Gives free slots to rows, as many as there are.
fn fill(block: &mut Block, new: &mut Vec<RowCodes>) {
    for slot in 0..block.codes.slots() {
        if new.is_empty() {
            return;
        }
        if block.codes.slot(slot).is_none()
            && let Some(row) = new.pop()
        {
            block.put(slot, &row);
        }
    }
}
