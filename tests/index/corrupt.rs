//! Every BLOB of an index cut at every length, every byte of it flipped, with and without a checksum that fits: an error
//! or an answer, never a panic; and without a fitting checksum never a wrong answer.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::table_in_memory::{Random, Table, indexed, request, scope, scorer};
use fafcas::error::Error;
use fafcas::index::{Index, MemoryStore, Opened, Outcome, Stats, check_blocks, open};
use fafcas::kernels;
use fafcas::parts::{Metric, Place, Rules};
use std::sync::Arc;

const DIMENSIONS: usize = 10;

struct Case {
    store: MemoryStore,
    table: Table,
    expected: Vec<Place>,
}

impl Case {
    fn new() -> Self {
        let mut random = Random(3);
        let mut table = Table::of((0..90).map(|_| random.vector(DIMENSIONS)));
        table.set(1000, &[1.0]);
        let (store, _) = indexed(&table, 1);
        table.rows.remove(&1000);
        let expected = table.scan(&Self::scorer(), 4, &Rules::default());
        Self { store, table, expected }
    }

    fn scorer() -> fafcas::parts::Scorer {
        scorer(Metric::L2, &Random(4).vector(DIMENSIONS))
    }

    /// What a search says, `None` where it says that a scan should answer.
    fn search(&mut self, store: &mut MemoryStore) -> Result<Option<Vec<Place>>, Error> {
        let index: Index = match open(store, scope(), &Arc::default())? {
            Opened::Index(index) => index,
            Opened::Absent | Opened::Unfinished | Opened::Future(_) => return Ok(None),
        };
        if index.header.dimensions != DIMENSIONS {
            return Ok(None);
        }
        let rules = Rules { skip_bad: true, ..Rules::default() };
        match index.search(store, &request(&Self::scorer(), 4, &rules), &mut self.table, &mut Stats::default())? {
            Outcome::Found(places) => Ok(Some(places)),
            Outcome::Unfit | Outcome::GivenUp | Outcome::Stale(_) => Ok(None),
        }
    }

    /// Searches and checks a store whose BLOB `id` is this one.
    fn with(&mut self, id: i64, blob: Vec<u8>, honest: bool) {
        let mut store = self.store.clone();
        let length = blob.len();
        store.blobs.insert(id, blob);
        match self.search(&mut store) {
            Ok(Some(places)) if honest => assert_eq!(places, self.expected, "BLOB {id}, {length} bytes"),
            Ok(_) => {}
            Err(error) => assert_says_where(&error),
        }
        match check_blocks(&mut store) {
            Err(error) => assert_says_where(&error),
            Ok(index) => {
                assert!(!honest, "damage to BLOB {id} passes the check");
                let blocks = index.by_rowid(&mut store).unwrap();
                let coded = blocks.coded(&mut store, i64::MIN, 1000).unwrap();
                let _ = blocks.check_rows(&mut store, &mut self.table, &coded.rowids, &mut |_, _| Ok(()));
            }
        }
    }
}

fn assert_says_where(error: &Error) {
    let message = error.to_string();
    let future = message.starts_with("expected an index of format 3");
    assert!(future || message.contains("index") && message.contains("'rebuild' mends it"), "{message}");
}

/// Puts the checksum that fits into a BLOB.
fn reseal(blob: &mut [u8]) {
    if blob.len() >= 16 {
        let crc32c = kernels::table().codes.crc32c;
        let crc = crc32c(crc32c(0, &blob[..12]), &blob[16..]);
        blob[12..16].copy_from_slice(&crc.to_le_bytes());
    }
}

#[test]
fn a_blob_cut_anywhere() {
    let mut case = Case::new();
    for (id, blob) in case.store.blobs.clone() {
        for length in 0..blob.len() {
            let mut cut = blob[..length].to_vec();
            case.with(id, cut.clone(), true);
            reseal(&mut cut);
            case.with(id, cut, true);
        }
        let mut longer = blob.clone();
        longer.push(0);
        reseal(&mut longer);
        case.with(id, longer, true);
    }
}

#[test]
fn a_byte_changed_anywhere() {
    let mut case = Case::new();
    let mut random = Random(9);
    for (id, blob) in case.store.blobs.clone() {
        for at in 0..blob.len() {
            let mut changed = blob.clone();
            changed[at] ^= 1 << random.below(8);
            case.with(id, changed.clone(), true);
            reseal(&mut changed);
            case.with(id, changed.clone(), false);
            changed[at] = 0xFF;
            reseal(&mut changed);
            case.with(id, changed, false);
        }
    }
}

/// With checksums that fit, so that the check itself has to see it.
#[test]
fn what_the_format_rules_out() {
    let case = Case::new();
    let assert_seen = |changes: &[(i64, usize, u8)]| {
        let mut store = case.store.clone();
        for (id, at, byte) in changes {
            let blob = store.blobs.get_mut(id).unwrap();
            blob[*at] = blob[*at].wrapping_add(*byte);
            reseal(blob);
        }
        let error = check_blocks(&mut store).err();
        assert_says_where(&error.unwrap_or_else(|| unreachable!("{changes:?} pass the check")));
    };
    for id in [-1, 0, 1, 2, 3] {
        (36..64).for_each(|reserved| assert_seen(&[(id, reserved, 1)]));
    }
    (108..128).for_each(|reserved| assert_seen(&[(0, reserved, 1)]));
    // One row less than there are, in the header and in the directory's entry of the block.
    assert_seen(&[(0, 88, 0xFF), (1, 64 + 4 * DIMENSIONS + 16, 0xFF)]);
    // Something in the last slot, which is free: of its fingerprint, and of its fine code.
    for id in [2, 3] {
        assert_seen(&[(id, case.store.blobs[&id].len() - 1, 1)]);
    }
    // A range that leaves out the least row of the block.
    assert_seen(&[(-1, 64, 1)]);
    // The rowid of the first slot made that of the second.
    let rowids = case.store.blobs[&2].len() - (8 + 4) * 128;
    assert_seen(&[(2, rowids, 1)]);
}

#[test]
fn a_blob_missing_or_of_another_place_or_time() {
    let mut case = Case::new();
    let blobs = case.store.blobs.clone();
    let (older, _) = indexed(&case.table, 2);
    for id in blobs.keys() {
        for (other, from_elsewhere) in &blobs {
            if id != other {
                case.with(*id, from_elsewhere.clone(), true);
            }
        }
        if *id > 0 {
            case.with(*id, older.blobs[id].clone(), true);
        }
        // Without ranges of rowids, an index is one of an older version.
        if *id < 0 {
            continue;
        }
        let mut store = case.store.clone();
        store.blobs.remove(id);
        assert!(matches!(case.search(&mut store), Ok(None) | Err(_)) || *id == 3, "BLOB {id} is not missed");
        assert!(check_blocks(&mut store).is_err(), "BLOB {id} is not missed");
    }
    case.store.blobs.insert(77, blobs[&2].clone());
    let error = check_blocks(&mut case.store).err().unwrap();
    assert_eq!(error.to_string(), "the index has an entry 77 of no block; 'rebuild' mends it");
}

#[test]
fn a_format_of_the_future_is_told_apart_from_damage() {
    let mut case = Case::new();
    let mut header = case.store.blobs[&0].clone();
    header[8..10].copy_from_slice(&7u16.to_le_bytes());
    case.store.blobs.insert(0, header);
    assert!(matches!(open(&mut case.store, scope(), &Arc::default()), Ok(Opened::Future(7))));
    let error = check_blocks(&mut case.store).err().unwrap();
    assert_eq!(error.to_string(), "expected an index of format 3 at most, not one of format 7");
}

#[test]
fn messages_name_the_block() {
    let mut case = Case::new();
    let mut codes = case.store.blobs[&2].clone();
    codes[100] ^= 1;
    case.store.blobs.insert(2, codes);
    let mut store = case.store.clone();
    let error = case.search(&mut store).unwrap_err();
    let message = "the index's codes of block 1: the checksum does not match; 'rebuild' mends it";
    assert_eq!(error, Error::Damaged(message.into()));
}

/// From how many rows the centre was taken is any number in a file.
#[test]
fn a_centre_of_more_rows_than_can_be_is_no_reason_to_rebuild() {
    let mut case = Case::new();
    let Ok(Opened::Index(mut index)) = open(&mut case.store, scope(), &Arc::default()) else { panic!("no index") };
    index.header.centred_at = u64::MAX;
    assert!(!index.wants_rebuild(1));
}
