//! Which rowids each block may have, so that a merge reads only the blocks that can have a row.
//!
//! The ranges are a BLOB of their own, with the token of the header. Versions that do not know it leave it as it is when they
//! merge. Then it has the token of an earlier header, and the ranges are found by reading all codes once.

use super::block::{Block, Codes};
use super::format::{BlobKind, FRAME, Label, RANGES, Token, seal, token_of, unseal};
use super::open::Index;
use super::store::Store;
use crate::error::Result;
use bytemuck::{Pod, Zeroable};

/// The least and the greatest rowid of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowidRange {
    pub least: i64,
    pub greatest: i64,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct RangeBytes {
    least: [u8; 8],
    greatest: [u8; 8],
}

impl RowidRange {
    /// Of a block without rows.
    const NONE: Self = Self { least: i64::MAX, greatest: i64::MIN };

    /// Of these rows.
    pub fn of(rowids: impl IntoIterator<Item = i64>) -> Self {
        rowids.into_iter().fold(Self::NONE, |range, rowid| Self {
            least: range.least.min(rowid),
            greatest: range.greatest.max(rowid),
        })
    }

    /// Of the rows in a block.
    pub fn of_codes(codes: &Codes) -> Self {
        Self::of(codes.rows().map(|row| row.rowid))
    }

    /// Whether the block has no rows.
    pub fn is_none(&self) -> bool {
        self.least > self.greatest
    }

    /// Whether a row may be in the block.
    pub fn has(&self, rowid: i64) -> bool {
        (self.least..=self.greatest).contains(&rowid)
    }

    /// Whether a row from `first` to `last` may be in the block.
    pub fn meets(&self, first: i64, last: i64) -> bool {
        !self.is_none() && self.least <= last && first <= self.greatest
    }

    /// Whether one of these rows may be in the block. They ascend.
    pub fn meets_any(&self, rowids: &[i64]) -> bool {
        let first = rowids.partition_point(|rowid| *rowid < self.least);
        rowids.get(first).is_some_and(|rowid| *rowid <= self.greatest)
    }
}

fn label(generation: Token) -> Label {
    Label { kind: BlobKind::Ranges, block: 0, token: generation }
}

/// The BLOB of the ranges, block 1 first, to go with the header of this generation.
pub fn encode(ranges: &[RowidRange], generation: Token) -> Vec<u8> {
    let mut blob = vec![0; FRAME];
    for RowidRange { least, greatest } in ranges {
        let range = RangeBytes { least: least.to_le_bytes(), greatest: greatest.to_le_bytes() };
        blob.extend_from_slice(bytemuck::bytes_of(&range));
    }
    seal(label(generation), &mut blob);
    blob
}

/// Reads and checks the ranges of so many blocks. `None` if they belong to another generation.
fn decode(blocks: usize, generation: Token, blob: &[u8]) -> Result<Option<Vec<RowidRange>>> {
    let own = label(token_of(blob));
    unseal(own, blob)?;
    if own.token != generation {
        return Ok(None);
    }
    let (ranges, rest) = blob.get(FRAME..).unwrap_or(&[]).as_chunks::<{ size_of::<RangeBytes>() }>();
    if ranges.len() != blocks || !rest.is_empty() {
        return Err(own.damaged("impossible numbers"));
    }
    let range = |bytes: &[u8; 16]| {
        let RangeBytes { least, greatest } = bytemuck::cast(*bytes);
        RowidRange { least: i64::from_le_bytes(least), greatest: i64::from_le_bytes(greatest) }
    };
    Ok(Some(ranges.iter().map(range).collect()))
}

impl Index {
    /// The ranges of its blocks as they are stored. `None` if they are not.
    pub(super) fn stored_ranges<S: Store>(&self, store: &mut S) -> Result<Option<Vec<RowidRange>>> {
        let (blocks, generation) = (self.directory().blocks.len(), self.header.generation);
        Ok(store.read(RANGES, |blob| decode(blocks, generation, blob))?.flatten())
    }

    /// The ranges of its blocks. If they are not stored, all codes are read.
    pub(super) fn ranges<S: Store>(&self, store: &mut S) -> Result<Vec<RowidRange>> {
        if let Some(ranges) = self.stored_ranges(store)? {
            return Ok(ranges);
        }
        let range = |(block, entry)| {
            Codes::read(store, self.header.dimensions, block, entry).map(|codes| RowidRange::of_codes(&codes))
        };
        self.blocks().map(range).collect()
    }

    /// Checks that a row is where the ranges say.
    pub(super) fn check_range(&self, range: &RowidRange, block: &Block, number: u32) -> Result<()> {
        match block.codes.rows().map(|row| row.rowid).find(|rowid| !range.has(*rowid)) {
            Some(rowid) => Err(label(self.header.generation)
                .damaged(format_args!("row {rowid} is in block {number}, beyond its range"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGES: [i64; 7] = [i64::MIN, -7, 0, 1, 5, 1 << 40, i64::MAX];

    #[test]
    fn a_range_has_its_rows_and_those_between() {
        let none = RowidRange::of([]);
        assert!(none.is_none() && EDGES.iter().all(|rowid| !none.has(*rowid)));
        assert!(!none.meets(i64::MIN, i64::MAX) && !none.meets_any(&EDGES));
        for (at, least) in EDGES.iter().enumerate() {
            for greatest in &EDGES[at..] {
                let range = RowidRange::of([*greatest, *least]);
                assert!(!range.is_none());
                for rowid in EDGES {
                    let has = *least <= rowid && rowid <= *greatest;
                    assert_eq!((range.has(rowid), range.meets(rowid, rowid)), (has, has));
                    assert_eq!(range.meets_any(&[rowid]), has);
                    assert_eq!(range.meets(rowid, i64::MAX), rowid <= *greatest);
                    assert_eq!(range.meets(i64::MIN, rowid), *least <= rowid);
                }
                assert!(range.meets_any(&EDGES) && !range.meets_any(&[]));
            }
        }
        assert!(!RowidRange::of([3, 9]).meets_any(&[-5, 2, 10, 11]));
    }

    #[test]
    fn ranges_are_read_with_their_own_header_alone() {
        let (one, other) = (Token([1; 16]), Token([2; 16]));
        let ranges = [RowidRange::of([3, 9]), RowidRange::NONE, RowidRange::of([i64::MIN, i64::MAX])];
        let blob = encode(&ranges, one);
        assert_eq!(decode(3, one, &blob).unwrap().unwrap(), ranges);
        assert_eq!(decode(3, other, &blob).unwrap(), None, "an older version has merged since");
        assert!(decode(2, one, &blob).is_err() && decode(4, one, &blob).is_err());
        for length in 0..blob.len() {
            assert!(decode(3, one, &blob[..length]).is_err(), "cut at {length}");
        }
        for at in 0..blob.len() {
            let mut flipped = blob.clone();
            flipped[at] ^= 1;
            assert!(decode(3, one, &flipped).is_err(), "flipped at {at}");
        }
    }
}
