//! What each way to the best rows costs, and which is cheapest. A choice here never changes an answer.
//!
//! All costs are multiples of one cost: that of a scan for one row, which it reads and scores. They were measured with
//! 384 dimensions, pages of 4096 bytes and SQLite's default cache, with the whole file in the cache of the system.
//! Other tables change all of them alike.

/// To find a row by its rowid, in the order of rowids: the way down the tree, and a page that serves only few rows.
const LOOKUP: f64 = 3.0;
/// To begin a search by codes.
const OPEN: f64 = 500.0;
/// To look at a code.
const CODE: f64 = 1.0 / 150.0;
/// To find a rowid by its key, in the index of the key.
const KEY: f64 = 0.45;
/// To fetch a row that an index proposes, only to learn that its key is not in the list.
const MISS: f64 = 10.0;

/// How many rows a search is about.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Rows with vectors.
    pub rows: u64,
    /// Rows that meet the conditions: so many or fewer.
    pub matching: u64,
    /// Rows that are wanted.
    pub limit: u64,
    /// Dimensions of the vectors.
    pub dimensions: usize,
}

/// How the table itself would be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// From one end of a range of rowids to the other.
    Range,
    /// Row by row, by a list.
    List,
}

/// Whether to ask an index is cheaper than to read all rows that match.
pub fn prefers_codes(sizes: Sizes, read: Read) -> bool {
    codes(sizes) < table(sizes.rows, sizes.matching, read)
}

fn codes(sizes: Sizes) -> f64 {
    // For each row that is wanted, about one and a half remain after the codes.
    let fetched = sizes.limit.saturating_add(sizes.limit / 2).saturating_add(8).min(sizes.matching);
    OPEN + sizes.rows as f64 * CODE + fetched as f64 * fetch(sizes.dimensions)
}

/// How to find rows whose keys are in a list, if rowids cannot be compared with the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByKey {
    /// Read each of them from the table.
    Table,
    /// Look up the rowid of each key, then ask an index for the best of these rows.
    Rowids,
    /// Ask an index for the best of all rows, and look at the key of each.
    Keys,
}

/// The cheapest way to rows by a list of keys. If `never_table` is set, the cheaper of the two ways with an index.
pub fn by_key(sizes: Sizes, never_table: bool) -> ByKey {
    let listed = sizes.matching as f64;
    let (rowids, keys) = (listed * KEY, expected(sizes) as f64 * MISS);
    match codes(sizes) + rowids.min(keys) {
        cost if cost >= table(sizes.rows, sizes.matching, Read::List) && !never_table => ByKey::Table,
        _ if rowids < keys => ByKey::Rowids,
        _ => ByKey::Keys,
    }
}

/// How many of the best rows must be met to find as many as are wanted, if all keys of the list exist and their rows
/// are spread evenly.
fn expected(sizes: Sizes) -> u64 {
    sizes.limit.saturating_mul(sizes.rows) / sizes.matching.clamp(1, sizes.rows.max(1))
}

/// How many of the best rows to look for. Among so many there are nearly always as many as are wanted.
pub fn reach(sizes: Sizes) -> u64 {
    let expected = expected(sizes);
    expected.saturating_add(expected / 4).saturating_add(16)
}

/// When to give up: after so many rows in vain, it is better to look up the rowids. At that point both ways together
/// cost twice the better one.
pub fn patience(sizes: Sizes) -> u64 {
    let fetched = sizes.limit.saturating_mul(2).saturating_add(64);
    fetched
        .saturating_add((sizes.matching as f64 * KEY / MISS) as u64)
        .saturating_add(expected(sizes).saturating_mul(2))
}

/// To fetch a row that an index proposes, with the 4-bit codes that are looked at to find it. With fewer dimensions
/// there are more such codes, while a scan is cheaper. Up to 17 dimensions, errors count in full. The values come from
/// the sizes at which index and scan took the same time; see `benches/record/index.md`.
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

/// Whether it is faster to read a table from end to end than to look up so many rows.
pub fn prefers_scan(rows: u64, listed: u64) -> bool {
    listed as f64 * LOOKUP > rows as f64
}

/// How many rows a condition on the key may let through, if they are to be turned into rowids for the codes. If more
/// pass, it is better to let SQLite check the condition: one in every few rows passes.
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
        // If all of them are wanted, all are read.
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

    /// The sizes come from measurements: with the first number of rows the scan is faster, with the second the index.
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
