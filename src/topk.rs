//! The best so many hits, in memory that grows with their number alone.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Where a row stands in the order of results: best score first, then by source, then by row. No two rows share a place.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Larger is nearer; never NaN.
    pub score: f64,
    /// The number of the source in the list the user gave.
    pub source: u32,
    /// The rowid, or the position in the scan where there is none.
    pub row: i64,
}

impl Ord for Place {
    /// Less is earlier in the results.
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

/// A row that was found, with what the source wants to remember of it.
#[derive(Debug, Clone)]
pub struct Hit<I> {
    /// Its score and identity.
    pub place: Place,
    /// The source's own note, such as a key that could not be looked up again.
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

/// Keeps the best hits of those it is shown.
#[derive(Debug)]
pub struct TopK<I> {
    limit: usize,
    /// The worst kept hit is on top.
    heap: BinaryHeap<Hit<I>>,
    /// All others, for whoever may want more of them later.
    rest: Option<Rest<I>>,
}

/// Hits in no order, and how many there may be.
#[derive(Debug)]
pub struct Rest<I> {
    hits: Vec<Hit<I>>,
    most: usize,
}

impl<I> TopK<I> {
    /// Room for `limit` hits, taken as they come.
    pub fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::new(), rest: None }
    }

    /// The same, with memory for all others too, unless they are more than `most`.
    pub fn remembering(limit: usize, most: usize) -> Self {
        Self { limit, heap: BinaryHeap::new(), rest: Some(Rest { hits: Vec::new(), most }) }
    }

    /// Whether no row with this score would be kept. Cheaper to ask than [`TopK::wants`], and true of nearly every row.
    #[inline]
    pub fn refuses(&self, score: f64) -> bool {
        self.heap.len() >= self.limit
            && self.rest.is_none()
            && self.heap.peek().is_none_or(|worst| score < worst.place.score)
    }

    /// Whether a row at this place would be kept.
    pub fn wants(&self, place: &Place) -> bool {
        self.rest.is_some() || self.is_among_best(place)
    }

    fn is_among_best(&self, place: &Place) -> bool {
        self.heap.len() < self.limit || self.heap.peek().is_some_and(|worst| *place < worst.place)
    }

    /// The place that a row must come before to be kept; `None` while there is room.
    pub fn last(&self) -> Option<Place> {
        let full = self.heap.len() >= self.limit;
        self.heap.peek().filter(|_| full).map(|worst| worst.place)
    }

    /// Keeps the hit if it is among the best.
    pub fn offer(&mut self, hit: Hit<I>) {
        if !self.is_among_best(&hit.place) {
            return self.set_aside(hit);
        }
        if self.heap.len() == self.limit
            && let Some(worst) = self.heap.pop()
        {
            self.set_aside(worst);
        }
        self.heap.push(hit);
    }

    fn set_aside(&mut self, hit: Hit<I>) {
        match &mut self.rest {
            Some(rest) if rest.hits.len() < rest.most => rest.hits.push(hit),
            rest => *rest = None,
        }
    }

    /// All hits that are not among the best, if they were remembered.
    pub fn take_rest(&mut self) -> Option<Rest<I>> {
        self.rest.take()
    }

    /// The hits, best first.
    pub fn into_sorted(self) -> Vec<Hit<I>> {
        self.heap.into_sorted_vec()
    }
}

impl<I> Rest<I> {
    /// The best `limit` of them, in order. They are no longer among the rest.
    pub fn take(&mut self, limit: usize) -> Vec<Hit<I>> {
        let limit = limit.min(self.hits.len());
        let from = self.hits.len() - limit;
        if from > 0 && limit > 0 {
            self.hits.select_nth_unstable_by(from, |a, b| b.cmp(a));
        }
        let mut best = self.hits.split_off(from);
        best.sort_unstable();
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_goes_on_where_the_best_end() {
        let hit = |i: i64| Hit { place: Place { score: (i * 7 % 50 / 3) as f64, source: 0, row: i }, note: () };
        let mut sorted: Vec<_> = (0..50).map(hit).collect();
        sorted.sort_unstable();
        for limit in [0, 1, 7, 50, 60] {
            let mut top = TopK::remembering(limit, 50);
            (0..50).for_each(|i| top.offer(hit(i)));
            let mut rest = top.take_rest().expect("50 are not too many");
            let mut all = top.into_sorted();
            for more in [1, 0, 13, 100, 1] {
                all.extend(rest.take(more));
            }
            assert_eq!(all, sorted, "{limit}");
        }
    }

    #[test]
    fn too_many_are_not_remembered() {
        let mut top = TopK::remembering(3, 10);
        (0..14).for_each(|i| top.offer(Hit { place: Place { score: 0.0, source: 0, row: 14 - i }, note: () }));
        assert!(top.take_rest().is_none());
        assert_eq!(top.into_sorted().iter().map(|hit| hit.place.row).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn keeps_the_best_with_ties_by_source_then_row() {
        let shown = [(0.5, 1, 1), (0.5, 0, 9), (0.9, 1, 7), (0.5, 0, 2), (0.1, 0, 0), (0.9, 0, 8)];
        for limit in 0..8 {
            let mut top = TopK::new(limit);
            for (score, source, row) in shown {
                top.offer(Hit { place: Place { score, source, row }, note: () });
            }
            let rows: Vec<i64> = top.into_sorted().iter().map(|hit| hit.place.row).collect();
            let all = [8, 7, 2, 9, 1, 0];
            assert_eq!(rows, all[..limit.min(6)]);
        }
    }
}
