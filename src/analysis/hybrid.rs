//! How nearness and words are joined into one score.
//!
//! The score of a row is `cosine + weight * spread * (1 - certainty) * bm25 * (1 + WHOLE * share * share) / DAMPING`, and so that of
//! the vectors alone where no word matches. All of it was chosen on the tasks of `make quality`:
//!
//! - Scores are added, not ranks: a row that shares only common words with a question has a low BM25, but may have a high rank.
//! - BM25 counts in units of `spread`, how far the cosines of a model lie apart: one model gives all texts between 0.77 and
//!   0.87, another between -0.1 and 0.7.
//! - Words count less where one row is much nearer than all others (`certainty`): then the vectors know the answer.
//! - A row with most of what the words can give (`share`, of the bound of [`super::bm25`]) has the name or the code that was asked for.

/// How much BM25 counts: so many points of it weigh as much as one standard deviation of the cosines. With less, example sentences
/// find their words more often, and titles their texts less often.
const DAMPING: f64 = 8.0;
/// How much more BM25 counts in a row that has all of the words. With 3, names come first in 0.94 of the sample's questions, with 6
/// in 0.98, and the other tasks do not suffer.
const WHOLE: f64 = 6.0;
/// How fast the certainty falls with the lead of the nearest row: by e for 1 / 1.7 of a spread.
const SHARPNESS: f64 = 1.7;
/// What the spread between questions and rows is of that among the rows: 0.77 for long texts, 1.04 for short ones.
const OF_ROWS: f64 = 0.85;
/// The spread of all-MiniLM-L6-v2, for vectors of which it is not known.
pub const USUAL_SPREAD: f64 = 0.085;
/// How many of the nearest rows tell how certain the vectors are, and how near a row without a vector is taken to be.
pub const NEAREST: usize = 100;
/// How many different words of a text count, so that a page of text as a question does not take minutes.
const MOST_WORDS: usize = 1000;

/// How many rows are taken of each list to choose `k` of both.
pub fn candidates(k: usize) -> usize {
    k.saturating_mul(10).max(NEAREST)
}

/// The FTS5 expression for any of the words of a text: each different one once, quoted, so that no character of it is taken for
/// the language of FTS5; `None` where there is none.
pub fn any_word(text: &str) -> Option<String> {
    let mut seen = std::collections::HashSet::new();
    let is_between = |c: char| c.is_whitespace() || c == '"' || c == '\0';
    let words = text.split(is_between).filter(|word| !word.is_empty() && seen.insert(*word)).take(MOST_WORDS);
    let quoted: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
    (!quoted.is_empty()).then(|| quoted.join(" OR "))
}

/// What joins the two scores of the rows of one search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HybridFormula {
    /// What a point of BM25 weighs, as a cosine.
    point: f64,
    /// The cosine of a row without a vector.
    least: f64,
    /// The most BM25 that a row can have.
    bound: f64,
}

impl HybridFormula {
    /// For a search with these nearest rows, best first, and words of this bound.
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

/// The spread for questions, from the cosines of rows with each other: their standard deviation; the usual one where they are too few or all alike.
pub fn spread(products: &[f64]) -> f64 {
    /// Those of 32 rows.
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
        // Where there are no vectors, words count in full.
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
