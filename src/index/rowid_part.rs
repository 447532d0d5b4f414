//! Parts of all rowids, for work that has to know every row of one by name: what it holds at a time does not grow with the
//! index.

/// Some of all rowids: each is in one part of a division.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowidPart {
    number: i64,
    parts: i64,
}

impl RowidPart {
    /// Rows that a part has, about: their rowids take 8 MiB.
    const ROWS: u64 = 1 << 20;

    /// As many parts as so many rows want.
    pub fn of_rows(rows: u64) -> impl Iterator<Item = Self> {
        Self::split(rows.div_ceil(Self::ROWS).max(1) as i64)
    }

    /// All rowids in so many parts.
    pub fn split(parts: i64) -> impl Iterator<Item = Self> {
        (0..parts).map(move |number| Self { number, parts })
    }

    /// Whether a row is in it.
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
        assert_eq!([0, 1, 1 << 20, (1 << 20) + 1].map(|rows| RowidPart::of_rows(rows).count()), [1, 1, 1, 2]);
    }
}
