//! Parts of all rowids, for work that has to keep a list of rows. It does one part after the other, so that its memory does
//! not grow with the index.

/// Some of all rowids. Each rowid is in exactly one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowidPart {
    number: i64,
    parts: i64,
}

impl RowidPart {
    /// About how many rows a part has. Their rowids take 8 MiB.
    pub const ROWS: u64 = 1 << 20;

    /// The parts for so many rows.
    pub fn of_rows(rows: u64) -> impl Iterator<Item = Self> {
        Self::split(rows.div_ceil(Self::ROWS).max(1) as i64)
    }

    /// Whether so many rows are one part.
    pub fn is_one(rows: u64) -> bool {
        rows <= Self::ROWS
    }

    /// All rowids, in so many parts.
    pub fn split(parts: i64) -> impl Iterator<Item = Self> {
        (0..parts).map(move |number| Self { number, parts })
    }

    /// Whether a row is in this part.
    pub fn has(self, rowid: i64) -> bool {
        rowid.rem_euclid(self.parts) == self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_part() {
        for rowid in [i64::MIN, -7, -1, 0, 1, 5, 1 << 40, i64::MAX] {
            for parts in 1..9 {
                assert_eq!(RowidPart::split(parts).filter(|part| part.has(rowid)).count(), 1, "{rowid}, {parts}");
            }
        }
        for (rows, parts) in [(0, 1), (1, 1), (1 << 20, 1), ((1 << 20) + 1, 2)] {
            assert_eq!((RowidPart::of_rows(rows).count(), RowidPart::is_one(rows)), (parts, parts == 1));
        }
    }
}
