//! Ranks made from ranks: several rankings of the same rows are combined into one; and rows that repeat others are left
//! out of a ranking.
//!
//! Reciprocal rank fusion is after Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and
//! individual rank learning methods", SIGIR 2009. Maximal marginal relevance is after Carbonell and Goldstein, "The use
//! of MMR, diversity-based reranking for reordering documents and producing summaries", SIGIR 1998.

use crate::error::Result;
use crate::resources::reserve;

/// This makes the first places count less. With 60, as in the paper, two tenth places are better than one first place.
const DAMPING: f64 = 60.0;

/// The sum of `1 / (60 + rank)` over the lists that contain the row; 0 if no list does.
///
/// The terms are added from the smallest to the greatest, so that the order of the lists never decides between two
/// rows.
pub fn rrf(mut ranks: Vec<u64>) -> f64 {
    ranks.sort_unstable_by(|a, b| b.cmp(a));
    ranks.iter().map(|&rank| 1.0 / (DAMPING + rank as f64)).sum::<f64>() + 0.0
}

/// How many of the nearest rows are looked at to choose `k` different ones: ten times as many, but at most 10,000, or
/// `k` if that is more.
pub fn candidates(k: usize) -> usize {
    const FACTOR: usize = 10;
    const MOST: usize = 10_000;
    k.saturating_mul(FACTOR).min(MOST).max(k)
}

/// Chooses up to `k` of the candidates, one after the other. Each time it takes the one with the greatest
/// `lambda * score - (1 - lambda) * (its greatest similarity to one chosen before)`. If several are equal, it takes the
/// first.
///
/// `scores` must be sorted, best first. The first candidate is always chosen first, because nothing was chosen before
/// it. `similarities` gives the similarities of one candidate to some others.
pub fn mmr(
    scores: &[f64],
    k: usize,
    lambda: f64,
    mut similarities: impl FnMut(usize, &[usize]) -> Result<Vec<f64>>,
) -> Result<Vec<usize>> {
    let mut left = reserve::collect(0..scores.len())?;
    let mut nearest = reserve::collect(scores.iter().map(|_| f64::NEG_INFINITY))?;
    let mut chosen = Vec::new();
    let mut next = 0;
    while chosen.len() < k && next < left.len() {
        let newest = left.remove(next);
        reserve::push(&mut chosen, newest)?;
        if chosen.len() < k {
            for (&at, similarity) in left.iter().zip(similarities(newest, &left)?) {
                nearest[at] = similarity.max(nearest[at]);
            }
        }
        let merit = |at: usize| lambda * scores[at] - (1.0 - lambda) * nearest[at];
        let better = |best: usize, place: usize| if merit(left[place]) > merit(left[best]) { place } else { best };
        next = (1..left.len()).fold(0, better);
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_middling_places_beat_one_first() {
        assert_eq!(rrf(vec![1]), 1.0 / 61.0);
        assert!(rrf(vec![10, 10]) > rrf(vec![1]));
        assert!(rrf(vec![63, 63]) < rrf(vec![1]));
    }

    #[test]
    fn no_list_is_no_score() {
        let none = rrf(Vec::new());
        assert!(none == 0.0 && none.is_sign_positive());
    }

    #[test]
    fn the_order_of_the_lists_is_of_no_matter() {
        for (a, b, c) in [(1, 2, 4), (3, 1000, 7), (u64::MAX, 1, 5), (6, 11, 13)] {
            let orders = [[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]];
            let scores = orders.map(|ranks| rrf(ranks.to_vec()).to_bits());
            assert_eq!(scores, [scores[0]; 6]);
        }
    }

    #[test]
    fn ten_times_as_many_are_looked_at_within_bounds() {
        let seen = [0, 1, 25, 1_000, 1_001, 10_000, 10_001, usize::MAX].map(candidates);
        assert_eq!(seen, [0, 10, 250, 10_000, 10_000, 10_000, 10_001, usize::MAX]);
    }

    #[test]
    fn what_is_like_the_chosen_waits() {
        // Row 1 says the same as row 0. Row 2 scores a little worse and is different.
        let similar = [[1.0, 0.99, 0.1], [0.99, 1.0, 0.1], [0.1, 0.1, 1.0]];
        let choose = |k, lambda| {
            mmr(&[0.9, 0.89, 0.7], k, lambda, |from, to| Ok(to.iter().map(|&at| similar[from][at]).collect())).unwrap()
        };
        assert_eq!(choose(3, 0.5), [0, 2, 1]);
        assert_eq!(choose(3, 1.0), [0, 1, 2]);
        assert_eq!(choose(3, 0.0), [0, 2, 1]);
        assert_eq!(choose(1, 0.0), [0]);
        assert!(choose(0, 0.5).is_empty());
        assert_eq!(choose(9, 0.99), [0, 1, 2]);
    }

    #[test]
    fn equals_go_by_their_order() {
        let same = |_, to: &[usize]| Ok(vec![1.0; to.len()]);
        assert_eq!(mmr(&[0.5; 4], 4, 0.3, same).unwrap(), [0, 1, 2, 3]);
        assert!(mmr(&[], 4, 0.3, same).unwrap().is_empty());
    }
}
