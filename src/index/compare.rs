//! The codes of an index held against the rows of a stretch of the table, by the fingerprints of their vectors.

use super::block::Codes;
use super::open::Index;
use super::store::Store;
use crate::error::Result;

/// All rows of a table from one rowid to another that have a value.
pub struct Stretch {
    /// The least rowid that may be among them.
    pub first: i64,
    /// The greatest.
    pub last: i64,
    /// In order, with the fingerprints of those that have vectors of the index's dimensions.
    pub rows: Vec<(i64, Option<u32>)>,
}

/// A row of which the index does not say what the table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// The table has something else than the index knows.
    Row(i64),
    /// The index knows a row that is not there, or has no value.
    Ghost(i64),
}

impl Difference {
    /// The row.
    pub fn rowid(self) -> i64 {
        let (Self::Row(rowid) | Self::Ghost(rowid)) = self;
        rowid
    }
}

/// Where the codes of a row are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowSlot {
    /// The row.
    pub rowid: i64,
    pub(super) block: u32,
    pub(super) slot: u32,
}

/// A row that the index knows: of a stray, neither a fingerprint nor a slot.
struct KnownRow {
    rowid: i64,
    code: Option<(u32, RowSlot)>,
}

impl Index {
    /// Where the index and the rows of a stretch differ. Adds to `slots` those of rows that differ and of rows in `noted`,
    /// which ascend, wherever they are: a merge needs them, and all codes are read only once.
    pub fn differing<S: Store>(
        &self,
        store: &mut S,
        stretch: &Stretch,
        noted: &[i64],
        slots: &mut Vec<RowSlot>,
    ) -> Result<Vec<Difference>> {
        let is_noted = |rowid: i64| noted.binary_search(&rowid).is_ok();
        let known = self.known(store, stretch, noted, slots)?;
        let mut known = known.chunk_by(|one, other| one.rowid == other.rowid).peekable();
        let mut differing = Vec::new();
        let mut differs = |difference: Difference, codes: &[KnownRow]| {
            differing.push(difference);
            if !is_noted(difference.rowid()) {
                slots.extend(codes.iter().filter_map(|known| Some(known.code?.1)));
            }
        };
        for (rowid, fingerprint) in &stretch.rows {
            while let Some(ghost) = known.next_if(|codes| codes.iter().any(|known| known.rowid < *rowid)) {
                ghost.first().into_iter().for_each(|known| differs(Difference::Ghost(known.rowid), ghost));
            }
            let codes = known.next_if(|codes| codes.iter().any(|known| known.rowid == *rowid)).unwrap_or_default();
            let is_same = |known: &KnownRow| known.code.map(|(code, _)| code) == *fingerprint;
            if !matches!(codes, [only] if is_same(only)) {
                differs(Difference::Row(*rowid), codes);
            }
        }
        for ghost in known {
            ghost.first().into_iter().for_each(|known| differs(Difference::Ghost(known.rowid), ghost));
        }
        Ok(differing)
    }

    /// The rows of a stretch that have codes, and the strays of it; in order. Adds to `slots` those of noted rows.
    fn known<S: Store>(
        &self,
        store: &mut S,
        stretch: &Stretch,
        noted: &[i64],
        slots: &mut Vec<RowSlot>,
    ) -> Result<Vec<KnownRow>> {
        let is_noted = |rowid: i64| noted.binary_search(&rowid).is_ok();
        let is_within = |rowid: i64| (stretch.first..=stretch.last).contains(&rowid);
        let strays = self.directory().strays.iter().copied().filter(|rowid| is_within(*rowid));
        let mut known: Vec<KnownRow> = strays.map(|rowid| KnownRow { rowid, code: None }).collect();
        for ((block, entry), range) in self.blocks().zip(self.ranges(store)?) {
            if !range.meets(stretch.first, stretch.last) && !range.meets_any(noted) {
                continue;
            }
            let codes = Codes::read(store, self.header.dimensions, block, entry)?;
            for slot in 0..codes.slots() {
                let rowid = codes.rowid(slot);
                let (is_within, is_noted) = (is_within(rowid), is_noted(rowid));
                if !(is_within || is_noted) {
                    continue;
                }
                let Some(row) = codes.slot(slot) else { continue };
                let at = RowSlot { rowid, block, slot: slot as u32 };
                slots.extend(is_noted.then_some(at));
                known.extend(is_within.then_some(KnownRow { rowid, code: Some((row.fingerprint, at)) }));
            }
        }
        known.sort_unstable_by_key(|known| known.rowid);
        Ok(known)
    }
}
