//! Keeps the best hits. Its memory grows only with the number of hits that are kept.

use crate::error::Result;
use crate::resources::reserve::Reserve;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// The place of a row in the results: the best score first, then by source, then by row. No two rows have the same
/// place.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// A larger score is nearer. It is never NaN.
    pub score: f64,
    /// The position of the source in the user's list.
    pub source: u32,
    /// The rowid. For rows without one, the position in the scan.
    pub row: i64,
}

impl Ord for Place {
    /// The smaller place comes earlier in the results.
    fn cmp(&self, other: &Self) -> Ordering {
        let by_score = other.score.total_cmp(&self.score);
        by_score.then(self.source.cmp(&other.source)).then(self.row.cmp(&other.row))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Place {}

/// A row that was found, with what the source needs to remember about it.
#[derive(Debug, Clone)]
pub struct Hit<I> {
    /// Its score and identity.
    pub place: Place,
    /// A note from the source, such as a key that could not be looked up again.
    pub note: I,
}

impl<I> Ord for Hit<I> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place.cmp(&other.place)
    }
}

impl<I> PartialOrd for Hit<I> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<I> PartialEq for Hit<I> {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl<I> Eq for Hit<I> {}

/// Keeps the best of the hits that are offered.
#[derive(Debug)]
pub struct TopK<I> {
    limit: usize,
    /// The worst hit that is kept is on top.
    heap: BinaryHeap<Hit<I>>,
}

impl<I> TopK<I> {
    /// Keeps at most `limit` hits. Memory is taken when hits come, not before.
    pub fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::new() }
    }

    /// Whether no row with this score would be kept. This is cheaper than [`TopK::wants`], and true for nearly every
    /// row.
    #[inline]
    pub fn refuses(&self, score: f64) -> bool {
        self.heap.len() >= self.limit && self.heap.peek().is_none_or(|worst| score < worst.place.score)
    }

    /// Whether a row at this place would be kept.
    pub fn wants(&self, place: &Place) -> bool {
        self.heap.len() < self.limit || self.heap.peek().is_some_and(|worst| *place < worst.place)
    }

    /// The place of the worst hit, if `limit` hits are kept: a new one must come before it. `None` while there is room.
    pub fn last(&self) -> Option<Place> {
        let full = self.heap.len() >= self.limit;
        self.heap.peek().filter(|_| full).map(|worst| worst.place)
    }

    /// Keeps the hit if it is among the best.
    pub fn offer(&mut self, hit: Hit<I>) -> Result<()> {
        if !self.wants(&hit.place) {
            return Ok(());
        }
        if self.heap.len() == self.limit {
            self.heap.pop();
        }
        self.heap.reserve_room(1)?;
        self.heap.push(hit);
        Ok(())
    }

    /// The hits, best first.
    pub fn into_sorted(self) -> Vec<Hit<I>> {
        self.heap.into_sorted_vec()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_best_with_ties_by_source_then_row() {
        let shown = [(0.5, 1, 1), (0.5, 0, 9), (0.9, 1, 7), (0.5, 0, 2), (0.1, 0, 0), (0.9, 0, 8)];
        for limit in 0..8 {
            let mut top = TopK::new(limit);
            for (score, source, row) in shown {
                top.offer(Hit { place: Place { score, source, row }, note: () }).unwrap();
            }
            let rows: Vec<i64> = top.into_sorted().iter().map(|hit| hit.place.row).collect();
            let all = [8, 7, 2, 9, 1, 0];
            assert_eq!(rows, all[..limit.min(6)]);
        }
    }
}
