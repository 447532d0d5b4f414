//! One score from two: how near a row is, and how well it fits the words.
//!
//! The score of a row is `cosine + weight * spread * (1 - certainty)^2 * bm25 * (bound / (bound + SHORT) + WHOLE * share^3) / DAMPING`.
//! For a row without any of the words it is the cosine alone. The formula and its numbers were chosen on the tasks of `make quality`:
//!
//! - Scores are added, not ranks: a row that shares only common words with a question has a low BM25, but may have a high rank.
//! - BM25 counts in units of `spread`, how far the cosines of a model lie apart: one model gives all texts between 0.77 and
//!   0.87, another between -0.1 and 0.7.
//! - Words count less where one row is much nearer than all others (`certainty`): then the vectors know the answer. The square of
//!   the rest parts those questions from the others better than the rest itself. It was measured with all-MiniLM-L6-v2 and
//!   multilingual-e5-small.
//! - A row that is nearer than all others and yet not near may be the first by chance. So an imaginary row, `NEAR` spreads from
//!   a cosine of 0, counts among the nearest. Without it, words were too weak where the vectors had nothing to offer: example
//!   sentences of WordNet with E5.
//! - One of two words says less than five of ten, whatever their BM25: words of a short question (of a low `bound`, that of
//!   [`super::bm25`]) count less.
//! - A row with most of what the words can give (`share`, of the bound) has the name or the code that was asked for.
//! - A word that no row has may be misspelt. A row of a table of trigrams that has its pieces gets a part of what the word could give.

use std::collections::HashSet;

/// How much BM25 counts: so many points of it, of a question of many words, weigh as much as one standard deviation of the cosines.
/// With less, example sentences find their words more often, and titles their texts less often.
const DAMPING: f64 = 3.0;
/// The bound at which words of a part of the question count half: about twelve rare words.
const SHORT: f64 = 140.0;
/// How much more BM25 counts in a row that has all of the words. The third power parts names from half of a title better than the
/// second: with it and 30, names come first in all but one of the questions of the sample.
const WHOLE: f64 = 30.0;
/// What a row with all pieces of a misspelt word gets of what the word could give. Few pieces of a misspelt word are right.
const MISSPELT: f64 = 1.2;
/// Rows with a smaller share of the pieces do not count: they only have some letters of the word.
const FEW_PIECES: f64 = 0.2;
/// Shorter words have too few pieces to be known by them.
const SHORTEST: usize = 4;
/// How little farther rows count against the certainty: less by the factor e for every 1 / 2.5 of a spread that their cosine is
/// below that of the nearest row.
const SHARPNESS: f64 = 2.5;
/// How near a row must be to count as near: so many spreads. From 4.4 to 5.2 questions find nearly the same.
const NEAR: f64 = 4.8;
/// As `SHARPNESS`, for the nearness of the imaginary row.
const NEAR_SHARPNESS: f64 = 5.0;
/// The spread of the cosines of a question with rows, divided by that of rows with each other. It was 0.77 for long texts, and
/// 1.04 for short ones.
const OF_ROWS: f64 = 0.85;
/// The spread of all-MiniLM-L6-v2. It is used if the spread of the vectors is not known.
pub const USUAL_SPREAD: f64 = 0.08;
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
    any(words(text))
}

/// The words of a text that may be misspelt, without the signs around them.
pub fn long_words(text: &str) -> impl Iterator<Item = &str> {
    let trimmed = words(text).map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    trimmed.filter(|word| word.chars().count() >= SHORTEST)
}

/// The FTS5 expression for any of the pieces of three characters that a word has.
pub fn any_piece(word: &str) -> Option<String> {
    let starts: Vec<usize> = word.char_indices().map(|(at, _)| at).chain([word.len()]).collect();
    let pieces = starts.iter().zip(starts.iter().skip(3)).filter_map(|(start, end)| word.get(*start..*end));
    let mut seen = HashSet::new();
    any(pieces.filter(|piece| seen.insert(*piece)))
}

/// The BM25 that a row gets for a word that no row has, which could give `absent`, by its share of the pieces.
pub fn misspelt(share: f64, absent: f64) -> Option<f64> {
    (share >= FEW_PIECES).then_some(MISSPELT * share * absent)
}

/// The different words of a text, which whitespace and quotes part.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut seen = HashSet::new();
    let is_between = |c: char| c.is_whitespace() || c == '"' || c == '\0';
    text.split(is_between).filter(move |word| !word.is_empty() && seen.insert(*word)).take(MOST_WORDS)
}

fn any<'a>(words: impl Iterator<Item = &'a str>) -> Option<String> {
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
            let imaginary = (NEAR_SHARPNESS * (NEAR - first / spread)).exp();
            1.0 / (imaginary + nearest.iter().map(part).sum::<f64>())
        });
        let point = weight * spread * (1.0 - certainty) * (1.0 - certainty) / DAMPING;
        Self { point, least: nearest.last().copied().unwrap_or(0.0), bound }
    }

    /// The score of a row.
    pub fn score(&self, cosine: Option<f64>, bm25: Option<f64>) -> f64 {
        let bm25 = bm25.unwrap_or(0.0);
        let share = if self.bound > 0.0 { (bm25 / self.bound).clamp(0.0, 1.0) } else { 0.0 };
        let part = if self.bound > 0.0 { self.bound / (self.bound + SHORT) } else { 0.0 };
        cosine.unwrap_or(self.least) + self.point * bm25 * (part + WHOLE * share * share * share)
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
    fn pieces_are_of_three_characters_each_once() {
        assert_eq!(long_words("(Zürich,  the \"tide\" I/O?").collect::<Vec<_>>(), ["Zürich", "tide"]);
        assert_eq!(
            any_piece("Zürürich").as_deref(),
            Some("\"Zür\" OR \"ürü\" OR \"rür\" OR \"üri\" OR \"ric\" OR \"ich\"")
        );
        assert_eq!(any_piece("ab"), None);
    }

    #[test]
    fn a_few_pieces_of_a_word_are_not_the_word() {
        assert_eq!(misspelt(0.19, 10.0), None);
        assert!((misspelt(0.5, 10.0).unwrap_or_default() - 6.0).abs() < 1e-12);
    }

    #[test]
    fn words_count_less_where_the_vectors_are_certain() {
        let point = |nearest: &[f64]| {
            let formula = HybridFormula::new(0.085, 1.0, nearest, SHORT);
            formula.score(Some(0.5), Some(1.0)) - 0.5
        };
        assert!(point(&[0.9, 0.2, 0.1]) < 1e-5);
        let most = 0.085 * (0.5 + 30.0 / 140.0_f64.powi(3)) / 3.0;
        assert!((point(&[0.9; 100]) - 0.99 * 0.99 * most).abs() < 1e-8);
        // Where there are no vectors, words count in full.
        assert!((point(&[]) - most).abs() < 1e-12);
    }

    #[test]
    fn words_count_more_where_no_row_is_near() {
        let point = |first: f64| HybridFormula::new(0.1, 1.0, &[first, first - 0.9], 140.0).score(Some(0.0), Some(1.0));
        let most = point(-1.0);
        // At the imaginary row the two share the certainty.
        assert!((point(0.48) / most - 0.25).abs() < 1e-6, "{}", point(0.48) / most);
        assert!(point(0.3) > 0.99 * most && point(0.7) < 1e-3 * most);
    }

    #[test]
    fn a_row_with_all_words_counts_more_and_words_of_a_short_question_less() {
        let score = |bound: f64, bm25| HybridFormula::new(0.03, 1.0, &[], bound).score(None, Some(bm25));
        assert!((score(20.0, 20.0) - 0.01 * 20.0 * 30.125).abs() < 1e-12);
        assert!((score(20.0, 2.0) - 0.01 * 2.0 * 0.155).abs() < 1e-12);
        assert!(score(160.0, 2.0) > 2.5 * score(20.0, 2.0));
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
