//! One score from two: how near a row is, and how well it fits the words.
//!
//! The score of a row is `cosine + weight * spread * (1 - certainty) * bm25 * (1 + WHOLE * share * share) / DAMPING`. For a
//! row without any of the words it is the cosine alone. The formula and its numbers were chosen on the tasks of
//! `make quality`:
//!
//! - Scores are added, not ranks. A row that shares only common words with a question has a low BM25, but may have a high
//!   rank.
//! - BM25 is multiplied by `spread`, which says how far the cosines of a model lie apart. One model gives all texts cosines
//!   between 0.77 and 0.87, another between -0.1 and 0.7.
//! - Words count less if one row is much nearer than all others (`certainty`). Then the vectors know the answer.
//! - `share` is the BM25 of a row as a share of the bound of [`super::bm25`]. A row with a large share has the name or the
//!   code that was asked for, so its BM25 counts more.

/// So many points of BM25 count as much as one standard deviation of the cosines. With fewer, example sentences find their
/// words more often, and titles find their texts less often.
const DAMPING: f64 = 8.0;
/// How much more BM25 counts for a row that has all of the words. With 3, names come first in 0.94 of the questions of the
/// sample, with 6 in 0.98, and the results of the other tasks do not get worse.
const WHOLE: f64 = 6.0;
/// How little farther rows count against the certainty: less by the factor e for every 1 / 1.7 of a spread that their cosine is
/// below that of the nearest row.
const SHARPNESS: f64 = 1.7;
/// The spread of the cosines of a question with rows, divided by that of rows with each other. It was 0.77 for long texts, and
/// 1.04 for short ones.
const OF_ROWS: f64 = 0.85;
/// The spread of all-MiniLM-L6-v2. It is used if the spread of the vectors is not known.
pub const USUAL_SPREAD: f64 = 0.085;
/// How many of the nearest rows are used to compute how certain the vectors are. A row without a vector is taken to be as near
/// as the last of them.
pub const NEAREST: usize = 100;
/// The most different words of a text that count. Otherwise a question of a whole page would take minutes.
const MOST_WORDS: usize = 1000;

/// How many rows of each list are looked at to choose `k` rows.
pub fn candidates(k: usize) -> usize {
    k.saturating_mul(10).max(NEAREST)
}

/// The FTS5 expression for any of the words of a text. Each different word is there once. It is quoted, so that no character
/// of it has a meaning in the language of FTS5. `None` if the text has no word.
pub fn any_word(text: &str) -> Option<String> {
    let mut seen = std::collections::HashSet::new();
    let is_between = |c: char| c.is_whitespace() || c == '"' || c == '\0';
    let words = text.split(is_between).filter(|word| !word.is_empty() && seen.insert(*word)).take(MOST_WORDS);
    let quoted: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
    (!quoted.is_empty()).then(|| quoted.join(" OR "))
}

/// Computes one score from two, for the rows of one search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HybridFormula {
    /// The difference of cosines that counts as much as one point of BM25.
    point: f64,
    /// The cosine of a row without a vector.
    least: f64,
    /// The greatest BM25 that a row can have.
    bound: f64,
}

impl HybridFormula {
    /// For a search with the cosines of these nearest rows, best first, and words with this bound.
    pub fn new(spread: f64, weight: f64, nearest: &[f64], bound: f64) -> Self {
        let nearest = nearest.get(..NEAREST).unwrap_or(nearest);
        let certainty = nearest.first().map_or(0.0, |first| {
            let part = |cosine: &f64| (SHARPNESS * (cosine - first) / spread).exp();
            1.0 / nearest.iter().map(part).sum::<f64>()
        });
        let point = weight * spread * (1.0 - certainty) / DAMPING;
        Self { point, least: nearest.last().copied().unwrap_or(0.0), bound }
    }

    /// The score of a row.
    pub fn score(&self, cosine: Option<f64>, bm25: Option<f64>) -> f64 {
        let bm25 = bm25.unwrap_or(0.0);
        let share = if self.bound > 0.0 { (bm25 / self.bound).clamp(0.0, 1.0) } else { 0.0 };
        cosine.unwrap_or(self.least) + self.point * bm25 * (1.0 + WHOLE * share * share)
    }
}

/// The spread for questions: the standard deviation of the cosines of rows with each other, times `OF_ROWS`. The usual spread,
/// if there are too few cosines or they are all the same.
pub fn spread(products: &[f64]) -> f64 {
    /// The number of pairs of 32 rows.
    const FEW: usize = 32 * 31 / 2;
    let count = products.len() as f64;
    let mean = products.iter().sum::<f64>() / count;
    let variance = products.iter().map(|product| (product - mean) * (product - mean)).sum::<f64>() / count;
    let spread = variance.sqrt();
    if products.len() >= FEW && spread > 1e-6 && spread.is_finite() { OF_ROWS * spread } else { USUAL_SPREAD }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_a_safe_expression() {
        assert_eq!(any_word("  \t\n\"\"\0"), None);
        assert_eq!(any_word("C++ \"a\"b NOT* C++\0").as_deref(), Some("\"C++\" OR \"a\" OR \"b\" OR \"NOT*\""));
        let long: String = (0..20_000).map(|at| format!("{at} ")).collect();
        assert_eq!(any_word(&long).map(|words| words.matches(" OR ").count()), Some(999));
    }

    #[test]
    fn words_count_less_where_the_vectors_are_certain() {
        let point = |nearest: &[f64]| {
            let formula = HybridFormula::new(0.085, 1.0, nearest, 0.0);
            formula.score(Some(0.5), Some(1.0)) - 0.5
        };
        assert!(point(&[0.9, 0.2, 0.1]) < 1e-5);
        assert!((point(&[0.5; 100]) - 0.99 * 0.085 / 8.0).abs() < 1e-12);
        // Without vectors, words count in full.
        assert!((point(&[]) - 0.085 / 8.0).abs() < 1e-12);
    }

    #[test]
    fn a_row_with_all_words_counts_more() {
        let formula = HybridFormula::new(0.08, 1.0, &[], 10.0);
        let score = |bm25| formula.score(None, Some(bm25));
        assert!((score(10.0) - 0.08 * 10.0 * 7.0 / 8.0).abs() < 1e-12 && score(1.0) < score(10.0) / 60.0);
    }

    #[test]
    fn a_row_without_a_vector_is_as_near_as_the_last() {
        let formula = HybridFormula::new(0.1, 0.0, &[0.9, 0.4], 9.0);
        assert_eq!(formula.score(None, Some(3.0)), 0.4);
    }

    #[test]
    fn few_rows_or_equal_ones_have_the_usual_spread() {
        assert_eq!(spread(&[0.1, 0.9]), USUAL_SPREAD);
        assert_eq!(spread(&[0.5; 1000]), USUAL_SPREAD);
        let products: Vec<f64> = (0..1000).map(|at| f64::from(at % 2)).collect();
        assert!((spread(&products) - 0.425).abs() < 1e-12);
    }
}
