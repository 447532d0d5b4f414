//! What "near" means: the metrics, and a query that is ready to score rows by one of them.

use crate::error::{Error, Result};
use crate::kernels::{self, F32Le, Table};
use crate::vector::check_finite;

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
}

impl Metric {
    const NAMES: [(&'static str, Self); 4] =
        [("dot", Self::Dot), ("cosine", Self::Cosine), ("l2", Self::L2), ("l1", Self::L1)];

    /// The metric of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, metric)| *metric)
    }

    /// The distance (smaller is nearer) for a score (larger is nearer).
    #[inline]
    pub fn distance(self, score: f64) -> f64 {
        match self {
            Self::Dot | Self::Cosine => 1.0 - score,
            Self::L2 | Self::L1 => 0.0 - score,
        }
    }
}

/// A query that is ready to score rows.
#[derive(Debug, Clone)]
pub struct Scorer {
    metric: Metric,
    query: Vec<F32Le>,
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
        let norm = query.iter().map(|x| f64::from(x.get()).powi(2)).sum::<f64>().sqrt();
        Ok(Self { metric, query, norm, kernels: kernels::table() })
    }

    /// The metric of the scores.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// The query as it was given.
    pub fn query(&self) -> &[F32Le] {
        &self.query
    }

    /// The score of a row; larger is nearer. Refuses a row of another length, or with NaN or an infinity.
    #[inline]
    pub fn score(&self, row: &[F32Le]) -> Result<f64> {
        self.check_length(row)?;
        let score = self.fast(row);
        // Adding zero turns -0 into 0, so that both have the same place.
        if score.is_finite() { Ok(score + 0.0) } else { self.careful(row).map(|score| score + 0.0) }
    }

    /// Refuses rows of another length.
    #[inline]
    pub fn check_length(&self, row: &[F32Le]) -> Result<()> {
        if row.len() == self.query.len() {
            return Ok(());
        }
        Err(Error::expected(format_args!("{} dimensions as in the query", self.query.len()), row.len()))
    }

    /// NaN if f32 sums are not reliable.
    #[inline]
    fn fast(&self, row: &[F32Le]) -> f64 {
        let kernels = self.kernels;
        match self.metric {
            Metric::Dot => f64::from((kernels.dot_f32)(&self.query, row)),
            Metric::Cosine => {
                let square = (kernels.dot_f32)(row, row);
                if square.is_normal() {
                    let cosine =
                        f64::from((kernels.dot_f32)(&self.query, row)) / (self.norm * f64::from(square).sqrt());
                    cosine.clamp(-1.0, 1.0)
                } else {
                    f64::NAN
                }
            }
            Metric::L2 => 0.0 - f64::from((kernels.l2_squared_f32)(&self.query, row)).sqrt(),
            Metric::L1 => 0.0 - f64::from((kernels.l1_f32)(&self.query, row)),
        }
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
            Metric::L1 => 0.0 - pairs().map(|(a, b)| (a - b).abs()).sum::<f64>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_zero_vector_has_no_direction() {
        assert_eq!(score(Metric::Cosine, &[1.0, 0.0], &[0.0, 0.0]), 0.0);
        assert_eq!(score(Metric::Cosine, &[0.0, 0.0], &[1.0, 0.0]), 0.0);
    }

    #[test]
    fn what_cannot_be_scored_is_refused() {
        let scorer = Scorer::new(Metric::Dot, vector(&[1.0, 2.0])).unwrap();
        let refusal = |row: &[f32]| scorer.score(&vector(row)).unwrap_err().to_string();
        assert_eq!(refusal(&[1.0]), "expected 2 dimensions as in the query, not 1");
        assert_eq!(refusal(&[1.0, f32::NAN]), "expected finite numbers, not NaN at [1]");
        assert!(Scorer::new(Metric::Dot, vector(&[f32::NEG_INFINITY])).is_err());
    }
}
