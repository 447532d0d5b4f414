//! BM25 as FTS5 computes it, and the most that a row could reach with all words of a query.
//!
//! A phrase's weight (idf) is `ln((rows - with + 0.5) / (with + 0.5))`, but at least 1e-6. A row's score is the sum
//! over the phrases of `idf * frequency * (K1 + 1) / (frequency + K1 * (1 - B + B * length / mean length))`. However often
//! a phrase stands in a row, its part stays below `idf * (K1 + 1)`, so the sum of these is the bound. Weights of
//! columns change a frequency before it saturates, and so they do not change the bound.

/// How soon more occurrences of the same phrase stop counting. The value is that of FTS5.
const K1: f64 = 1.2;
/// How much the length of a row counts. The value is that of FTS5.
const B: f64 = 0.75;
/// The idf of a phrase that is in half of the rows or more, as in FTS5.
const LEAST_IDF: f64 = 1e-6;

/// The weights of a query in one table.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryWeights {
    /// The idf of each phrase; 0 for a phrase without words.
    idf: Vec<f64>,
    mean_length: f64,
    bound: f64,
    /// The most that a word can add which no row has.
    absent: f64,
}

impl QueryWeights {
    /// For a table with so many rows, and so many words in all rows. `with` says for each phrase how many rows have it. It is
    /// `None` for a phrase without words, which no row can have.
    pub fn new(rows: i64, words: i64, with: &[Option<i64>]) -> Self {
        let (rows, words) = (rows.max(0) as f64, words.max(0) as f64);
        let idf = |with: &Option<i64>| match with {
            None => 0.0,
            Some(with) => {
                let with = *with as f64;
                let idf = ((rows - with + 0.5) / (with + 0.5)).ln();
                // A damaged index may count more rows with the phrase than there are rows.
                if idf > 0.0 { idf } else { LEAST_IDF }
            }
        };
        let mean_length = if rows > 0.0 && words > 0.0 { words / rows } else { 1.0 };
        let absent = (K1 + 1.0) * idf(&Some(0));
        let idf: Vec<f64> = with.iter().map(idf).collect();
        let bound = (K1 + 1.0) * idf.iter().sum::<f64>();
        Self { idf, mean_length, bound, absent }
    }

    /// How many phrases there are.
    pub fn phrases(&self) -> usize {
        self.idf.len()
    }

    /// The most that any row can score, with so many words more that no row has.
    pub fn bound_with(&self, absent: f64) -> f64 {
        self.bound + absent * self.absent
    }

    /// The score of a row of this length, from the weighed frequency of each phrase. A table that does not store the lengths
    /// of its rows gives a negative length. The mean is used then.
    pub fn score(&self, frequencies: &[f64], length: i64) -> f64 {
        let length = if length < 0 { self.mean_length } else { length as f64 };
        let norm = K1 * (1.0 - B + B * length / self.mean_length);
        let part = |(idf, frequency): (&f64, &f64)| idf * (frequency * (K1 + 1.0)) / (frequency + norm);
        self.idf.iter().zip(frequencies).map(part).sum()
    }

    /// The score as a share of the bound, 0 to 1; 0 for a query without words.
    pub fn share(&self, frequencies: &[f64], length: i64) -> f64 {
        if self.bound > 0.0 { (self.score(frequencies, length) / self.bound).clamp(0.0, 1.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_with_all_words_comes_near_to_the_bound_and_never_over_it() {
        let weights = QueryWeights::new(1000, 20_000, &[Some(3), Some(700)]);
        let shares = [1.0, 2.0, 10.0, 1e9].map(|times| weights.share(&[times, times], 20));
        assert!(shares.is_sorted() && shares[0] > 0.4 && shares[3] > 0.999_999 && shares[3] <= 1.0, "{shares:?}");
    }

    #[test]
    fn words_of_most_rows_hardly_count() {
        let weights = QueryWeights::new(1000, 20_000, &[Some(3), Some(700)]);
        assert!(weights.share(&[0.0, 5.0], 20) < 1e-6);
        assert!(weights.share(&[1.0, 0.0], 20) > 0.4);
    }

    #[test]
    fn phrases_without_words_and_tables_without_rows_give_no_share() {
        let weights = QueryWeights::new(10, 100, &[None]);
        assert_eq!((weights.bound_with(0.0), weights.share(&[0.0], 10)), (0.0, 0.0));
        assert_eq!(QueryWeights::new(0, 0, &[]).share(&[], 0), 0.0);
    }

    #[test]
    fn an_unknown_length_is_the_mean() {
        let weights = QueryWeights::new(1000, 20_000, &[Some(3)]);
        assert_eq!(weights.score(&[1.0], -3), weights.score(&[1.0], 20));
    }

    #[test]
    fn more_rows_with_a_phrase_than_rows_is_no_nan() {
        let weights = QueryWeights::new(2, 20, &[Some(5)]);
        assert!(weights.share(&[1.0], 5).is_finite());
    }
}
