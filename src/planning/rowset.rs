//! A set of rows by their rowids: a range, and perhaps a list. The innermost loop of a search asks it about many rows.

use crate::error::Result;
use crate::planning::plan::Comparison;
use crate::resources::reserve;

/// A number that a rowid is compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole number.
    Integer(i64),
    /// Any number except NaN.
    Real(f64),
}

/// Which rows take part.
#[derive(Debug, Clone, PartialEq)]
pub struct RowSet {
    /// The lowest and the highest rowid of the range. The type is wider than a rowid, so that the numbers just outside
    /// of all rowids fit too.
    low: i128,
    high: i128,
    members: Option<Members>,
}

#[derive(Debug, Clone, PartialEq)]
enum Members {
    /// One bit for each rowid, beginning with `first`.
    Bits { first: i64, words: Vec<u64>, count: usize },
    /// If the rowids lie far apart: in ascending order, each once.
    Sorted(Vec<i64>),
}

/// A list becomes bits if there are at most so many bits for each rowid. This is twice the memory of a sorted list.
const DENSE: i128 = 128;

impl RowSet {
    /// Every row.
    pub fn all() -> Self {
        Self { low: i128::from(i64::MIN), high: i128::from(i64::MAX), members: None }
    }

    /// Keeps only the rows whose rowid compares with the number like this.
    pub fn compare(&mut self, comparison: Comparison, number: Number) {
        let (floor, ceil) = match number {
            Number::Integer(x) => (i128::from(x), i128::from(x)),
            Number::Real(x) => (x.floor() as i128, x.ceil() as i128),
        };
        match comparison {
            Comparison::Below => self.high = self.high.min(ceil.saturating_sub(1)),
            Comparison::To => self.high = self.high.min(floor),
            Comparison::Above => self.low = self.low.max(floor.saturating_add(1)),
            Comparison::From => self.low = self.low.max(ceil),
            Comparison::Is => (self.low, self.high) = (self.low.max(ceil), self.high.min(floor)),
        }
    }

    /// Keeps only the rows in this list. Call it once, after all comparisons.
    pub fn list(&mut self, mut rowids: Vec<i64>) -> Result<()> {
        let (low, high) = (self.low, self.high);
        rowids.retain(|rowid| (low..=high).contains(&i128::from(*rowid)));
        if !rowids.is_sorted() {
            rowids.sort_unstable();
        }
        rowids.dedup();
        (self.low, self.high) = match rowids.as_slice() {
            [] => (1, 0),
            [first, .., last] => (i128::from(*first), i128::from(*last)),
            [only] => (i128::from(*only), i128::from(*only)),
        };
        self.members = Some(Members::new(rowids)?);
        Ok(())
    }

    /// The lowest and the highest rowid that may be in the set. `None` if the set is empty.
    pub fn range(&self) -> Option<(i64, i64)> {
        let range = (i64::try_from(self.low).ok()?, i64::try_from(self.high).ok()?);
        (range.0 <= range.1).then_some(range)
    }

    /// How many rows the list has, if there is one. The set cannot have more rows.
    pub fn listed(&self) -> Option<usize> {
        self.members.as_ref().map(|members| match members {
            Members::Bits { count, .. } => *count,
            Members::Sorted(rowids) => rowids.len(),
        })
    }

    /// Whether a row is in the set.
    #[inline]
    pub fn contains(&self, rowid: i64) -> bool {
        // A list has already been cut to the range.
        match &self.members {
            None => (self.low..=self.high).contains(&i128::from(rowid)),
            Some(Members::Sorted(rowids)) => rowids.binary_search(&rowid).is_ok(),
            Some(Members::Bits { first, words, .. }) => {
                let at = rowid.wrapping_sub(*first) as u64;
                words.get((at / 64) as usize).is_some_and(|word| word >> (at % 64) & 1 == 1)
            }
        }
    }
}

impl Members {
    /// `rowids` must be in ascending order, each once.
    fn new(rowids: Vec<i64>) -> Result<Self> {
        let ends = rowids.first().copied().zip(rowids.last());
        let Some((first, last)) = ends else { return Ok(Self::Sorted(rowids)) };
        let span = i128::from(*last) - i128::from(first) + 1;
        if span > DENSE * rowids.len() as i128 {
            return Ok(Self::Sorted(rowids));
        }
        let mut words = reserve::collect(std::iter::repeat_n(0, (span as usize).div_ceil(64)))?;
        for rowid in &rowids {
            let at = (rowid - first) as usize;
            words[at / 64] |= 1 << (at % 64);
        }
        Ok(Self::Bits { first, words, count: rowids.len() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::cmp::Ordering;

    const ROWIDS: [i64; 13] =
        [i64::MIN, i64::MIN + 1, -(1 << 53) - 1, -2, -1, 0, 1, 2, 3, 70, 1 << 53, i64::MAX - 1, i64::MAX];

    type Holds = fn(Ordering) -> bool;

    fn compared(comparison: Comparison, number: Number) -> Vec<i64> {
        let mut set = RowSet::all();
        set.compare(comparison, number);
        let inside: Vec<i64> = ROWIDS.into_iter().filter(|rowid| set.contains(*rowid)).collect();
        assert!(inside.is_empty() || set.range().is_some());
        inside
    }

    #[test]
    fn comparisons_are_exact_however_large_the_number() {
        let orders: [(Comparison, Holds); 5] = [
            (Comparison::Below, Ordering::is_lt),
            (Comparison::To, Ordering::is_le),
            (Comparison::Is, Ordering::is_eq),
            (Comparison::From, Ordering::is_ge),
            (Comparison::Above, Ordering::is_gt),
        ];
        for (comparison, holds) in orders {
            for other in ROWIDS {
                let expected: Vec<i64> = ROWIDS.into_iter().filter(|rowid| holds(rowid.cmp(&other))).collect();
                assert_eq!(compared(comparison, Number::Integer(other)), expected, "{comparison:?} {other}");
            }
            for real in [-1e300, -9.3e18, -1.5, -0.0, 0.5, 2.0, 2.5, 9_223_372_036_854_775_807.0, f64::INFINITY] {
                // First the whole part is compared, then the rest. This is how SQLite compares them.
                let order = |rowid: i64| {
                    let whole = real.floor() as i128;
                    i128::from(rowid).cmp(&whole).then(if real > real.floor() {
                        Ordering::Less
                    } else {
                        Ordering::Equal
                    })
                };
                let expected: Vec<i64> = ROWIDS.into_iter().filter(|rowid| holds(order(*rowid))).collect();
                assert_eq!(compared(comparison, Number::Real(real)), expected, "{comparison:?} {real}");
            }
        }
    }

    #[test]
    fn a_list_holds_its_rows_near_together_or_far_apart() {
        for spread in [1, 2, 127, 129, 1 << 40] {
            let rowids: Vec<i64> = (-30..30).map(|i| i * spread).collect();
            let mut set = RowSet::all();
            set.compare(Comparison::From, Number::Integer(rowids[2]));
            set.list(rowids.iter().rev().chain(&rowids).copied().collect()).unwrap();
            assert_eq!(set.listed(), Some(58));
            assert_eq!(set.range(), Some((rowids[2], rowids[59])));
            for rowid in rowids.iter().flat_map(|rowid| [rowid - 1, *rowid, rowid + 1]).chain([i64::MIN, i64::MAX]) {
                let expected = rowids[2..].contains(&rowid);
                assert_eq!(set.contains(rowid), expected, "{rowid} of {spread}");
            }
        }
    }

    #[test]
    fn the_ends_of_all_rowids_are_rowids() {
        let mut set = RowSet::all();
        set.list(vec![i64::MAX, i64::MIN]).unwrap();
        assert!(set.contains(i64::MIN) && set.contains(i64::MAX) && !set.contains(0));
        set.list(Vec::new()).unwrap();
        assert_eq!((set.listed(), set.range()), (Some(0), None));
    }
}
