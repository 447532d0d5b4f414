//! What "near" means: the metrics, and a query that is ready to score rows by one of them.

pub mod pairs;

use crate::error::{Error, Result};
use crate::kernels::{self, F32Le, Table};
use crate::vector::{ElementType, UNIT_TOLERANCE, check_finite, packed_bits, read_into};

/// How two vectors are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// The dot product. For vectors of length 1 it is the cosine similarity.
    Dot,
    /// The cosine: the dot product of the two directions. A vector of zeros has no direction and scores 0.
    Cosine,
    /// The Euclidean distance.
    L2,
    /// The Manhattan distance.
    L1,
    /// In how many places two vectors of bits differ.
    Hamming,
}

impl Metric {
    const NAMES: [(&'static str, Self); 5] =
        [("dot", Self::Dot), ("cosine", Self::Cosine), ("l2", Self::L2), ("l1", Self::L1), ("hamming", Self::Hamming)];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    /// The metric of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, metric)| *metric)
    }

    /// The distance (smaller is nearer) for a score (larger is nearer).
    #[inline]
    pub fn distance(self, score: f64) -> f64 {
        match self {
            Self::Dot | Self::Cosine => 1.0 - score,
            Self::L2 | Self::L1 | Self::Hamming => 0.0 - score,
        }
    }

    /// The score for a distance: the inverse of [`Metric::distance`].
    pub fn score(self, distance: f64) -> f64 {
        // Each of the two formulas is its own inverse.
        self.distance(distance)
    }

    /// How codes can bound the scores of this metric; `None` if they cannot. Then searches scan.
    pub fn shape(self) -> Option<Shape> {
        match self {
            Self::Dot => Some(Shape::Dot),
            Self::Cosine => Some(Shape::Cosine),
            Self::L2 => Some(Shape::SquaredDistance),
            Self::L1 | Self::Hamming => None,
        }
    }

    /// Whether an index can answer searches by this metric.
    pub fn has_codes(self) -> bool {
        self.shape().is_some()
    }
}

/// What codes can bound. The codec knows only the shape of a metric, so a metric that is only scanned does not concern it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The dot product.
    Dot,
    /// The dot product over the lengths of both vectors.
    Cosine,
    /// The square of the Euclidean distance.
    SquaredDistance,
}

/// A sum of squares below this is computed again in f64. In f32 the squares of such small numbers lose digits or become 0.
const LEAST_SQUARE: f32 = 1.0 / (1u128 << 100) as f32;

/// A query that is ready to score rows.
#[derive(Debug, Clone)]
pub struct Scorer {
    metric: Metric,
    query: Vec<F32Le>,
    /// The query as it is stored, for hamming.
    bits: Vec<u8>,
    /// The Euclidean length of the query.
    norm: f64,
    kernels: &'static Table,
}

impl Scorer {
    /// Refuses a query without dimensions, or with NaN or an infinity.
    pub fn new(metric: Metric, query: Vec<F32Le>) -> Result<Self> {
        if query.is_empty() {
            return Err(Error::expected("at least 1 dimension", 0));
        }
        check_finite(&query)?;
        let query = if metric == Metric::Cosine { near_unit_length(query) } else { query };
        let bits = if metric == Metric::Hamming { packed_bits(&query)? } else { Vec::new() };
        let norm = length(&query);
        Ok(Self { metric, query, bits, norm, kernels: kernels::table() })
    }

    /// The metric of the scores.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// The query as it was given. For the cosine, only the direction matters, and the length may be another one.
    pub fn query(&self) -> &[F32Le] {
        &self.query
    }

    /// Whether a score is one that no vector of length 1 can reach by the dot product.
    pub fn is_out_of_reach(&self, score: f64) -> bool {
        self.metric == Metric::Dot && score > self.norm * (1.0 + UNIT_TOLERANCE)
    }

    /// The score of a row; larger is nearer. Refuses a row of another length, or with NaN or an infinity.
    #[inline]
    pub fn score(&self, row: &[F32Le]) -> Result<f64> {
        self.check_length(row)?;
        let score = self.fast(row);
        // Adding zero turns -0 into 0, so that both have the same place.
        if score.is_finite() { Ok(score + 0.0) } else { self.careful(row).map(|score| score + 0.0) }
    }

    /// The score of a row of a smaller type as it is stored: the same bits as the score of the widened row. `memory` is for rows that
    /// must be widened first.
    #[inline]
    pub fn score_stored(&self, row: &[u8], element: ElementType, memory: &mut Vec<F32Le>) -> Result<f64> {
        match self.fast_stored(row, element) {
            Some(score) if score.is_finite() => Ok(score + 0.0),
            _ => self.score(read_into(row, element, memory)?),
        }
    }

    /// `None` without a kernel for it, or if the row has another length. NaN if f32 sums are not reliable.
    #[inline]
    fn fast_stored(&self, row: &[u8], element: ElementType) -> Option<f64> {
        let mixed = self.kernels.typed.mixed.as_ref()?;
        let sums = match element {
            ElementType::F16 => &mixed.f16,
            ElementType::Bf16 => &mixed.bf16,
            ElementType::Int8 => &mixed.int8,
            ElementType::F32 | ElementType::Bit => return None,
        };
        if element.dimensions(row.len()) != Some(self.query.len()) {
            return None;
        }
        match self.metric {
            Metric::Dot => Some(f64::from((sums.dot)(&self.query, row))),
            Metric::L2 => Some(distance_of((sums.l2_squared)(&self.query, row))),
            Metric::L1 => Some(0.0 - f64::from((sums.l1)(&self.query, row))),
            Metric::Cosine => Some(self.cosine((sums.square)(row), || (sums.dot)(&self.query, row))),
            Metric::Hamming => None,
        }
    }

    /// The score of a row of bits as they are stored, for hamming. Refuses a row of another length.
    #[inline]
    pub fn score_bits(&self, row: &[u8]) -> Result<f64> {
        if row.len() != self.bits.len() {
            return Err(Error::dimensions(self.query.len(), "query", 8 * row.len()));
        }
        Ok(0.0 - f64::from((self.kernels.hamming)(&self.bits, row)))
    }

    /// Scores rows that lie one after the other, each as long as the query. The scores are those of [`Scorer::score`], or
    /// NaN for a row that it would refuse. `sums` is memory to work with.
    pub fn score_rows(&self, rows: &[F32Le], sums: &mut Vec<f32>, mut with: impl FnMut(usize, f64)) {
        let length = self.query.len();
        sums.clear();
        sums.resize(rows.len() / length, 0.0);
        let each: fn(&Self, &[F32Le], f32) -> f64 = match self.metric {
            Metric::Dot => {
                (self.kernels.dot_f32_rows)(&self.query, rows, sums);
                |_, _, sum| f64::from(sum)
            }
            Metric::L2 => {
                (self.kernels.l2_squared_f32_rows)(&self.query, rows, sums);
                |_, _, sum| distance_of(sum)
            }
            // Between zeros and ones, both are the same sum.
            Metric::L1 | Metric::Hamming => {
                (self.kernels.l1_f32_rows)(&self.query, rows, sums);
                |_, _, sum| 0.0 - f64::from(sum)
            }
            Metric::Cosine => |scorer, row, _| scorer.fast(row),
        };
        for ((at, sum), row) in sums.iter().enumerate().zip(rows.chunks_exact(length)) {
            let score = each(self, row, *sum);
            with(
                at,
                if score.is_finite() { score + 0.0 } else { self.careful(row).map_or(f64::NAN, |score| score + 0.0) },
            );
        }
    }

    /// Refuses rows of another length.
    #[inline]
    pub fn check_length(&self, row: &[F32Le]) -> Result<()> {
        if row.len() == self.query.len() {
            return Ok(());
        }
        Err(Error::dimensions(self.query.len(), "query", row.len()))
    }

    /// NaN if f32 sums are not reliable.
    #[inline]
    fn fast(&self, row: &[F32Le]) -> f64 {
        let kernels = self.kernels;
        match self.metric {
            Metric::Dot => f64::from((kernels.dot_f32)(&self.query, row)),
            Metric::Cosine => {
                let [product, _, square] = (kernels.products_f32)(&self.query, row);
                self.cosine(square, || product)
            }
            Metric::L2 => distance_of((kernels.l2_squared_f32)(&self.query, row)),
            Metric::L1 | Metric::Hamming => 0.0 - f64::from((kernels.l1_f32)(&self.query, row)),
        }
    }

    /// The cosine of a row by the square of its length and its product with the query; NaN if f32 sums are not reliable.
    #[inline]
    fn cosine(&self, square: f32, product: impl FnOnce() -> f32) -> f64 {
        // With a query of length 1 or 2, the product too is well within f32's range then.
        if !is_well_within(square) {
            return f64::NAN;
        }
        (f64::from(product()) / (self.norm * f64::from(square).sqrt())).clamp(-1.0, 1.0)
    }

    /// The same in f64, for rows whose sums leave the range of f32. NaN and infinities in the row are found here.
    #[cold]
    fn careful(&self, row: &[F32Le]) -> Result<f64> {
        check_finite(row)?;
        let pairs = || self.query.iter().zip(row).map(|(a, b)| (f64::from(a.get()), f64::from(b.get())));
        let dot = || pairs().map(|(a, b)| a * b).sum::<f64>();
        Ok(match self.metric {
            Metric::Dot => dot(),
            Metric::Cosine => {
                let norm = pairs().map(|(_, b)| b * b).sum::<f64>().sqrt();
                if norm * self.norm > 0.0 { (dot() / norm / self.norm).clamp(-1.0, 1.0) } else { 0.0 }
            }
            Metric::L2 => 0.0 - pairs().map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt(),
            Metric::L1 | Metric::Hamming => 0.0 - pairs().map(|(a, b)| (a - b).abs()).sum::<f64>(),
        })
    }
}

/// The score for a squared distance; NaN if f32 lost something of it.
#[inline]
fn distance_of(square: f32) -> f64 {
    if is_well_within(square) { 0.0 - f64::from(square).sqrt() } else { f64::NAN }
}

/// Whether a sum of squares is far enough from both ends of the range of f32. A sum that is NaN is not.
#[inline]
fn is_well_within(square: f32) -> bool {
    (LEAST_SQUARE..=f32::MAX).contains(&square)
}

fn length(vector: &[F32Le]) -> f64 {
    vector.iter().map(|x| f64::from(x.get()).powi(2)).sum::<f64>().sqrt()
}

/// The same direction, with a length from 1 to 2. A vector without a direction stays as it is.
///
/// The vector is scaled by a power of two, which changes no digit of a number but of those that become subnormal. These are 1e-38 times as
/// small as the longest, and too small to change a sum with it. So cosines keep every bit.
fn near_unit_length(vector: Vec<F32Le>) -> Vec<F32Le> {
    let length = length(&vector);
    if length == 0.0 {
        return vector;
    }
    let scale = 2f64.powi(-(length.log2().floor() as i32));
    vector.iter().map(|x| F32Le::from((f64::from(x.get()) * scale) as f32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn score_undoes_distance() {
        for (_, metric) in Metric::NAMES {
            for score in [-3.0, -0.25, 0.0, 0.5, 1.0] {
                assert_eq!(metric.score(metric.distance(score)), score, "{metric:?}");
            }
        }
    }

    fn vector(numbers: &[f32]) -> Vec<F32Le> {
        numbers.iter().map(|&x| x.into()).collect()
    }

    fn score(metric: Metric, query: &[f32], row: &[f32]) -> f64 {
        Scorer::new(metric, vector(query)).unwrap().score(&vector(row)).unwrap()
    }

    #[test]
    fn each_metric_scores_by_its_definition() {
        assert_eq!(score(Metric::Dot, &[1.0, 2.0], &[3.0, 4.0]), 11.0);
        assert_eq!(score(Metric::Cosine, &[2.0, 0.0], &[3.0, 0.0]), 1.0);
        assert_eq!(score(Metric::L2, &[0.0, 0.0], &[3.0, 4.0]), -5.0);
        assert_eq!(score(Metric::L1, &[0.0, 0.0], &[3.0, -4.0]), -7.0);
    }

    #[test]
    fn rows_together_score_as_each_alone_to_the_bit() {
        let floats = |numbers: &[f32]| -> Vec<F32Le> { numbers.iter().map(|x| F32Le::from(*x)).collect() };
        let rows = floats(&[1.0, -2.0, 3.0, 0.0, 0.0, 0.0, 3e38, 3e38, -3e38, 1e-30, 2e-30, 0.0, f32::NAN, 1.0, 1.0]);
        for (_, metric) in Metric::NAMES {
            if metric == Metric::Hamming {
                continue;
            }
            let scorer = Scorer::new(metric, floats(&[0.5, 3e38, -1.0])).unwrap();
            let mut together = Vec::new();
            scorer.score_rows(&rows, &mut Vec::new(), |_, score| together.push(score.to_bits()));
            let alone = rows.chunks(3).map(|row| scorer.score(row).unwrap_or(f64::NAN).to_bits());
            assert_eq!(together, alone.collect::<Vec<_>>(), "{metric:?}");
        }
    }

    #[test]
    fn zero_is_never_negative() {
        for metric in [Metric::Dot, Metric::Cosine, Metric::L2, Metric::L1] {
            let zero = score(metric, &[0.0, -0.0], &[0.0, 0.0]);
            assert!(zero == 0.0 && zero.is_sign_positive(), "{metric:?}");
            assert!(metric.distance(zero).is_sign_positive());
        }
        assert!(score(Metric::Dot, &[-1.0], &[0.0]).is_sign_positive());
    }

    #[test]
    fn sums_beyond_f32_are_taken_in_f64() {
        let big = [f32::MAX, f32::MAX];
        assert_eq!(score(Metric::Dot, &big, &big), 2.0 * f64::from(f32::MAX).powi(2));
        assert!((score(Metric::Cosine, &big, &big) - 1.0).abs() < 1e-12);
        assert_eq!(score(Metric::L1, &big, &[-f32::MAX; 2]), -4.0 * f64::from(f32::MAX));
        assert!((score(Metric::Cosine, &[1e-30, 0.0], &[1e-30, 1e-30]) - 0.5f64.sqrt()).abs() < 1e-6);
    }

    /// Issue 12, item 9: products beyond f32's range were taken for a cosine of 1.
    #[test]
    fn cosine_and_distance_are_right_at_any_magnitude() {
        let (query, row) = ([0.5f32, -1.5, 2.0, 0.25], [1.25f32, 1.0, 0.75, -2.0]);
        let times = |vector: [f32; 4], power: i32| vector.map(|x| x * 10f32.powi(power));
        let pairs = |a: &[f32; 4], b: &[f32; 4]| -> Vec<(f64, f64)> {
            a.iter().zip(b).map(|(a, b)| (f64::from(*a), f64::from(*b))).collect()
        };
        for (a, b) in (-38..=37).step_by(3).flat_map(|a| (-38..=37).step_by(3).map(move |b| (a, b))) {
            let (query, row) = (times(query, a), times(row, b));
            let sum = |of: fn(f64, f64) -> f64| pairs(&query, &row).into_iter().map(|(a, b)| of(a, b)).sum::<f64>();
            let cosine = sum(|a, b| a * b) / sum(|a, _| a * a).sqrt() / sum(|_, b| b * b).sqrt();
            let distance = sum(|a, b| (a - b) * (a - b)).sqrt();
            assert!((score(Metric::Cosine, &query, &row) - cosine).abs() < 1e-6, "1e{a}, 1e{b}");
            assert!((score(Metric::L2, &query, &row) + distance).abs() < 1e-6 * distance, "1e{a}, 1e{b}");
        }
    }

    #[test]
    fn a_query_of_another_length_has_the_same_cosines_to_the_bit() {
        let (query, row) = ([0.1f32, -0.7, 0.3], [0.9f32, 0.2, -0.4]);
        let cosine = score(Metric::Cosine, &query, &row);
        for power in [-60, -3, 1, 40, 126] {
            let scaled = query.map(|x| x * 2f32.powi(power));
            assert_eq!(score(Metric::Cosine, &scaled, &row).to_bits(), cosine.to_bits(), "2^{power}");
        }
    }

    #[test]
    fn a_zero_vector_has_no_direction() {
        assert_eq!(score(Metric::Cosine, &[1.0, 0.0], &[0.0, 0.0]), 0.0);
        assert_eq!(score(Metric::Cosine, &[0.0, 0.0], &[1.0, 0.0]), 0.0);
    }

    #[test]
    fn bits_score_alike_packed_and_widened() {
        let (query, row) = ([0xa5u8, 0x0f, 0x80], [0x5au8, 0x0f, 0x81]);
        let wide = |bits: &[u8]| crate::vector::read(bits, ElementType::Bit).unwrap().into_owned();
        let scorer = Scorer::new(Metric::Hamming, wide(&query)).unwrap();
        assert_eq!((scorer.score_bits(&row), scorer.score(&wide(&row))), (Ok(-9.0), Ok(-9.0)));
        assert_eq!(
            scorer.score_bits(&row[1..]).unwrap_err().to_string(),
            "expected 24 dimensions as in the query, not 16"
        );
        let refusal = |query: &[f32]| Scorer::new(Metric::Hamming, vector(query)).unwrap_err().to_string();
        assert_eq!(refusal(&[1.0; 7]), "expected a multiple of 8 dimensions for bits, not 7");
        let mut query = [1.0; 8];
        query[3] = 0.5;
        assert_eq!(refusal(&query), "expected bits as 0 or 1, not 0.5 at [3]");
    }

    #[test]
    fn stored_rows_score_as_their_widened_copies_to_the_bit() {
        // By twos: 1, -2, subnormals, zero, the greatest numbers of bf16, infinity and NaN of both types.
        let rows: [&[u8]; 7] = [
            &[0x00, 0x3c, 0x00, 0xc0],
            &[0x01, 0x00, 0x01, 0x80],
            &[0x00, 0x00, 0x00, 0x00],
            &[0x7f, 0x7f, 0x7f, 0x7f],
            &[0x80, 0x7f, 0x00, 0x3c],
            &[0x00, 0x7c, 0xff, 0xff],
            &[0x00, 0x3c, 0x00],
        ];
        let mut memory = Vec::new();
        for metric in [Metric::Dot, Metric::Cosine, Metric::L2, Metric::L1] {
            for (element, length) in [(ElementType::F16, 2), (ElementType::Bf16, 2), (ElementType::Int8, 4)] {
                let scorer = Scorer::new(metric, vector(&[0.5, -3e38, 0.25, 1.0][..length])).unwrap();
                for row in rows {
                    let widened = crate::vector::read(row, element).and_then(|row| scorer.score(&row));
                    let stored = scorer.score_stored(row, element, &mut memory);
                    let bits = |score: Result<f64>| score.map(f64::to_bits).map_err(|error| error.to_string());
                    assert_eq!(bits(stored), bits(widened), "{metric:?} {element:?} {row:x?}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_scored_is_refused() {
        let scorer = Scorer::new(Metric::Dot, vector(&[1.0, 2.0])).unwrap();
        let refusal = |row: &[f32]| scorer.score(&vector(row)).unwrap_err().to_string();
        assert_eq!(refusal(&[1.0]), "expected 2 dimensions as in the query, not 1");
        assert_eq!(refusal(&[1.0; 4]), "expected 2 dimensions as in the query, not 4");
        assert_eq!(refusal(&[1.0, f32::NAN]), "expected finite numbers, not NaN at [1]");
        assert!(Scorer::new(Metric::Dot, vector(&[f32::NEG_INFINITY])).is_err());
    }
}
