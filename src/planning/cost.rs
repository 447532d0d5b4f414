//! What each way to the best rows costs, and which is cheapest. A choice here never changes an answer.
//!
//! The unit is a row that a scan steps over and scores. Measured with 384 dimensions, pages of 4096 bytes and SQLite's
//! default cache, all of the file in the system's; other tables move all of it together.

/// A row found by its rowid, in the order of rowids: the way down the tree, and a page for few rows.
const LOOKUP: f64 = 3.0;
/// What a search by codes costs before it looks at any.
const OPEN: f64 = 500.0;
/// A code that is looked at.
const CODE: f64 = 1.0 / 150.0;
/// A rowid found by its key, in the key's own index.
const KEY: f64 = 0.45;
/// A row that an index proposes in vain, as its key is not in a list.
const MISS: f64 = 10.0;

/// What a search is about, in rows.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// With vectors.
    pub rows: u64,
    /// That meet the conditions; no fewer than there are.
    pub matching: u64,
    /// Wanted.
    pub limit: u64,
    /// Of the vectors.
    pub dimensions: usize,
}

/// How the table itself would be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// From one end of a range of rowids to the other.
    Range,
    /// Row by row, from a list.
    List,
}

/// Whether an index is the cheaper way than reading the rows that match.
pub fn prefers_codes(sizes: Sizes, read: Read) -> bool {
    codes(sizes) < table(sizes.rows, sizes.matching, read)
}

fn codes(sizes: Sizes) -> f64 {
    // For each row that is wanted the codes leave about one and a half.
    let fetched = sizes.limit.saturating_add(sizes.limit / 2).saturating_add(8).min(sizes.matching);
    OPEN + sizes.rows as f64 * CODE + fetched as f64 * fetch(sizes.dimensions)
}

/// The way to the rows whose keys are in a list, where rowids alone do not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByKey {
    /// Each is read from the table.
    Table,
    /// The rowid of each is looked up, then an index is asked for the best of these.
    Rowids,
    /// An index is asked for the best of all, and each of them for its key.
    Keys,
}

/// The cheapest way to rows by a list of keys; of those of an index where the table is out of the question.
pub fn by_key(sizes: Sizes, never_table: bool) -> ByKey {
    let listed = sizes.matching as f64;
    let (rowids, keys) = (listed * KEY, expected(sizes) as f64 * MISS);
    match codes(sizes) + rowids.min(keys) {
        cost if cost >= table(sizes.rows, sizes.matching, Read::List) && !never_table => ByKey::Table,
        _ if rowids < keys => ByKey::Rowids,
        _ => ByKey::Keys,
    }
}

/// How many rows it takes to meet as many as are wanted, where all of a list's keys exist and lie as all others do.
fn expected(sizes: Sizes) -> u64 {
    sizes.limit.saturating_mul(sizes.rows) / sizes.matching.clamp(1, sizes.rows.max(1))
}

/// How many of the best rows to look for, so that those wanted are mostly among them.
pub fn reach(sizes: Sizes) -> u64 {
    let expected = expected(sizes);
    expected.saturating_add(expected / 4).saturating_add(16)
}

/// With so many rows met in vain, their rowids are better looked up after all: then both together cost twice the better.
pub fn patience(sizes: Sizes) -> u64 {
    let fetched = sizes.limit.saturating_mul(2).saturating_add(64);
    fetched
        .saturating_add((sizes.matching as f64 * KEY / MISS) as u64)
        .saturating_add(expected(sizes).saturating_mul(2))
}

/// A row that an index proposes, with the codes that are looked at to find it: the fewer the dimensions, the more of these,
/// while a scan gets cheaper. Up to 17 dimensions errors count in full. From the sizes at which index and scan took the
/// same time, `benches/record/index.md`.
fn fetch(dimensions: usize) -> f64 {
    match dimensions {
        ..=4 => 60.0,
        5..=8 => 100.0,
        9..=17 => 400.0,
        18..=63 => 60.0,
        64..=127 => 40.0,
        128..=383 => 20.0,
        _ => 14.0,
    }
}

fn table(rows: u64, matching: u64, read: Read) -> f64 {
    match read {
        Read::Range => matching as f64,
        Read::List => (matching as f64 * LOOKUP).min(rows as f64),
    }
}

/// Whether a table is read faster from end to end than by look-ups of so many rows.
pub fn prefers_scan(rows: u64, listed: u64) -> bool {
    listed as f64 * LOOKUP > rows as f64
}

/// So many rows of a condition on the key are worth being turned into rowids for the codes; one that lets more through is
/// better left to SQLite, which then meets a row that passes among every few.
pub fn most_keys(rows: u64) -> u64 {
    rows / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_rows_are_looked_up_and_many_come_by_their_codes() {
        let sizes = |matching| Sizes { rows: 60_000, matching, limit: 10, dimensions: 384 };
        for (matching, codes) in [(0, false), (60, false), (600, true), (6_000, true), (60_000, true)] {
            assert_eq!(prefers_codes(sizes(matching), Read::List), codes, "{matching}");
        }
        assert!(!prefers_codes(sizes(300), Read::Range));
        assert!(prefers_codes(sizes(3_000), Read::Range));
    }

    #[test]
    fn few_keys_are_looked_up_and_rows_are_asked_for_theirs_where_many_pass() {
        let sizes = |matching, limit| Sizes { rows: 60_000, matching, limit, dimensions: 384 };
        let ways =
            [(60, 10, ByKey::Table), (600, 10, ByKey::Rowids), (6_000, 10, ByKey::Keys), (30_000, 10, ByKey::Keys)];
        for (matching, limit, way) in ways {
            assert_eq!(by_key(sizes(matching, limit), false), way, "{matching}");
        }
        assert_eq!(by_key(sizes(60, 10), true), ByKey::Rowids);
        // Whoever wants all of them reads them all.
        assert_eq!(by_key(sizes(600, 600), false), ByKey::Table);
        assert_eq!(by_key(sizes(30_000, 30_000), false), ByKey::Table);
        // A list may be longer than the table.
        assert_eq!(by_key(sizes(1 << 40, 10), false), ByKey::Keys);
    }

    #[test]
    fn whoever_wants_most_rows_reads_the_table() {
        let all = |limit| Sizes { rows: 1_000_000, matching: 1_000_000, limit, dimensions: 384 };
        assert!(prefers_codes(all(10_000), Read::Range));
        assert!(!prefers_codes(all(200_000), Read::Range));
        assert!(!prefers_codes(all(u64::MAX), Read::Range));
    }

    /// Each pair of sizes is from measurements: the scan is faster at the first, the index at the second.
    #[test]
    fn the_fewer_the_dimensions_the_more_rows_it_takes() {
        let measured = [
            (3, 10, 900, 5000),
            (16, 1, 2000, 20_000),
            (16, 10, 5000, 20_000),
            (16, 1000, 60_000, 1_000_000),
            (24, 10, 1000, 2000),
            (64, 100, 2000, 20_000),
            (128, 100, 2000, 5000),
            (384, 100, 2000, 5000),
            (384, 1000, 5000, 60_000),
            (1536, 1000, 5000, 60_000),
        ];
        for (dimensions, limit, few, many) in measured {
            for (rows, codes) in [(few, false), (many, true)] {
                let sizes = Sizes { rows, matching: rows, limit, dimensions };
                assert_eq!(prefers_codes(sizes, Read::Range), codes, "{sizes:?}");
            }
        }
    }
}
