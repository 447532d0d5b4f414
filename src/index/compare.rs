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

impl Index {
    /// Where the index and the rows of a stretch differ.
    pub fn differing<S: Store>(&self, store: &mut S, stretch: &Stretch) -> Result<Vec<Difference>> {
        let mut known = self.known(store, stretch)?.into_iter().peekable();
        let mut differing = Vec::new();
        for (rowid, fingerprint) in &stretch.rows {
            while let Some((ghost, _)) = known.next_if(|(other, _)| other < rowid) {
                differing.push(Difference::Ghost(ghost));
            }
            let mut is_same = false;
            let mut times = 0;
            while let Some((_, code)) = known.next_if(|(other, _)| other == rowid) {
                (is_same, times) = (code == *fingerprint, times + 1);
            }
            if !is_same || times > 1 {
                differing.push(Difference::Row(*rowid));
            }
        }
        differing.extend(known.map(|(ghost, _)| Difference::Ghost(ghost)));
        Ok(differing)
    }

    /// The rows of a stretch that have codes, with their fingerprints, and the strays of it; in order.
    fn known<S: Store>(&self, store: &mut S, stretch: &Stretch) -> Result<Vec<(i64, Option<u32>)>> {
        let is_within = |rowid: i64| (stretch.first..=stretch.last).contains(&rowid);
        let strays = self.directory().strays.iter().copied().filter(|rowid| is_within(*rowid));
        let mut known: Vec<(i64, Option<u32>)> = strays.map(|rowid| (rowid, None)).collect();
        for (block, entry) in self.blocks() {
            let codes = Codes::read(store, self.header.dimensions, block, entry)?;
            let within = (0..codes.slots()).filter(|slot| is_within(codes.rowid(*slot)));
            known.extend(within.filter_map(|slot| codes.slot(slot)).map(|row| (row.rowid, Some(row.fingerprint))));
        }
        known.sort_unstable();
        Ok(known)
    }
}
