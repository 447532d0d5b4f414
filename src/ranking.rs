//! Ranks made from ranks: several orders of the same rows fused into one.
//!
//! Reciprocal rank fusion is after Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and
//! individual rank learning methods", SIGIR 2009.

/// Damps the lead of the first places: with 60, the paper's choice, two tenth places beat one first.
const DAMPING: f64 = 60.0;

/// The sum of `1 / (60 + rank)` over the lists a row is in; 0 for a row that is in none.
///
/// Added from the least part to the greatest, so that the order of the lists never decides between two rows.
pub fn rrf(mut ranks: Vec<u64>) -> f64 {
    ranks.sort_unstable_by(|a, b| b.cmp(a));
    ranks.iter().map(|&rank| 1.0 / (DAMPING + rank as f64)).sum::<f64>() + 0.0
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
}
