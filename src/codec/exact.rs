//! Limits that a score certainly does not exceed, computed from 4-bit codes: for searches that must not miss a row, of
//! one query or of many.
//!
//! The error of a code is at a right angle to its vector, and its length is known. So an estimate is off by at most
//! that length times the length of the query. All that rounds on the way, from the first subtraction to the true score
//! itself, is counted in the limit too. `README.md` shows how much.

use super::query::{CentredQuery, FOUR_BIT_STEPS, Rounded, key};
use super::rotation::ROUNDING;
use super::space::{Space, dot};
use crate::kernels::codes::{Factors, GROUP, LimitTerms, Limits};
use crate::kernels::{self, F32Le};
use crate::metric::{Metric, Shape};

/// The squares of longer residuals come too near the end of f32's range. This holds for vectors, and for a query of the
/// metric l2.
const LONGEST: f64 = (1u64 << 60) as f64;
/// A formula of a few operations counts as so many roundings of f32.
const FEW: f64 = 32.0;
/// Twice the smallest step between numbers of f32.
const SUBNORMAL: f64 = 1.0 / (1u128 << 127) as f64 / (1u64 << 21) as f64;
/// For squares whose roots are scores: far more than the small end of f32's range can lose of them.
const LEAST: f64 = 1.0 / (1u128 << 120) as f64;
/// If more than this share of a cosine may be wrong, the vector has no limit.
const DOUBTFUL: f64 = 1.0 / 16.0;

/// What rounding can change in a space, relative to the numbers that are rounded.
#[derive(Debug, Clone, Copy)]
pub struct Margins {
    shape: Option<Shape>,
    dimensions: f64,
    centre: f64,
    /// By the rotations of a vector and of a query, and by what is computed from them.
    codes: f64,
    /// In the true score. The kernels keep at least eight sums side by side.
    score: f64,
}

impl Margins {
    /// For one metric in this space.
    pub fn new(space: &Space, metric: Metric) -> Self {
        let dimensions = space.dimensions() as f64;
        Self {
            shape: metric.shape(),
            dimensions,
            centre: dot(space.centre(), space.centre()),
            // The length of a code's error is computed as a difference of nearly equal sums in f64.
            codes: 3.0 * space.rounding() + FEW * ROUNDING + dimensions.sqrt() / (1u64 << 26) as f64,
            score: (dimensions / 8.0 + FEW) * ROUNDING,
        }
    }

    /// Writes to `known` what is known about a vector: by `factors`, the scale, error and offset of its 1-bit code, and
    /// by `fine`, the scale and error of its 4-bit code.
    pub fn know(&self, known: &mut LimitTerms, at: usize, factors: &Factors, fine: [f32; 2]) {
        let coarse = [&factors.scale, &factors.error, &factors.offset].map(|array| f64::from(array[at].get()));
        let [scale, error, offset] = coarse;
        let largest = self.dimensions * scale * scale;
        let square = (largest - error * error).max(0.0);
        let (inverse, doubt) =
            if self.shape == Some(Shape::Cosine) { self.over_length(offset, square, largest) } else { (1.0, 0.0) };
        let is_told = error.is_finite() && largest <= LONGEST * LONGEST && doubt <= DOUBTFUL;
        known.offset[at] = if is_told || offset == f64::NEG_INFINITY { offset as f32 } else { 0.0 };
        [known.scale[at], known.error[at]] = if is_told { fine } else { [0.0; 2] };
        known.length[at] = if is_told { (largest.sqrt() * (1.0 + FEW * ROUNDING)) as f32 } else { f32::INFINITY };
        known.square[at] = if is_told { square as f32 } else { 0.0 };
        (known.inverse[at], known.doubt[at]) = if is_told { (inverse as f32, doubt as f32) } else { (1.0, 0.0) };
    }

    /// One over the length of the vector, and how far a cosine may be off because of rounding.
    fn over_length(&self, offset: f64, square: f64, largest: f64) -> (f64, f64) {
        let length = self.centre + 2.0 * offset + square;
        let share = (self.centre + 2.0 * offset.abs() + 2.0 * largest) / length;
        let doubt = share * self.codes + self.score + FEW * ROUNDING;
        if length > 0.0 && doubt <= DOUBTFUL { (1.0 / length.sqrt(), doubt) } else { (1.0, f64::INFINITY) }
    }
}

/// A query, prepared for limits that are certain. Its keys are those of [`super::Query`].
#[derive(Debug, Clone)]
pub struct ExactQuery {
    shape: Shape,
    length: f64,
    limits: Limits,
    /// What rounding adds to the limit of every vector.
    constant_slack: f32,
    steps: Vec<[[i8; 4]; 2]>,
}

impl ExactQuery {
    /// `None` if codes give no limit for this query. `query` must have the dimensions of the space.
    pub fn new(space: &Space, margins: &Margins, query: &[F32Le]) -> Option<Self> {
        let shape = margins.shape?;
        let (seen, length) = CentredQuery::new(space, shape, query)?;
        let rounded = Rounded::new(&seen.residual, FOUR_BIT_STEPS);
        let (limits, constant_slack) = limits(margins, &seen, &rounded, length)?;
        Some(Self { shape, length, limits, constant_slack, steps: words(&rounded.steps) })
    }

    /// The key of a score, rounded down. A vector whose key is certainly less than this has a lower score.
    pub fn key(&self, score: f64) -> f32 {
        key(self.shape, self.length, score)
    }

    /// The query in the form that the kernel for products takes.
    pub fn steps(&self) -> &[[[i8; 4]; 2]] {
        &self.steps
    }

    /// The greatest keys that the vectors of a group can have, and a bit for each vector that may reach `threshold`.
    #[inline]
    pub fn within(&self, sums: &[i32; GROUP], known: &LimitTerms, threshold: f32, upper: &mut [f32; GROUP]) -> u64 {
        (kernels::table().codes.within)(&self.limits, sums, known, threshold, upper)
    }

    /// How far an estimate may be off by the error of the code itself.
    #[inline]
    pub fn error(&self, known: &LimitTerms, at: usize) -> f32 {
        self.limits.reach * known.error[at] * known.inverse[at]
    }

    /// How far a key may be below its limit.
    #[inline]
    pub fn width(&self, known: &LimitTerms, at: usize) -> f32 {
        let (l, length) = (&self.limits, known.length[at]);
        let slack = length * (l.slack + length * l.square_slack) + self.constant_slack;
        2.0 * (self.error(known, at) + slack * known.inverse[at] + known.doubt[at])
            * (1.0 + FEW as f32 * ROUNDING as f32)
    }
}

/// The numbers of the formula, and the share of rounding in the constant. `None` if one of them leaves the range of
/// f32.
fn limits(margins: &Margins, seen: &CentredQuery, rounded: &Rounded, length: f64) -> Option<(Limits, f32)> {
    let Margins { shape, dimensions, centre, codes, score } = *margins;
    let shape = shape?;
    let reach = seen.reach();
    let weight = if shape == Shape::SquaredDistance { 2.0 } else { 1.0 };
    // The length of what the residual of the vector is multiplied with, in codes and in true scores.
    let size = if shape == Shape::SquaredDistance { 2.0 * reach } else { 1.0 };
    let (constant_slack, least) = match shape {
        // The square of a sum of two lengths is at most twice the sum of their squares.
        Shape::SquaredDistance => (reach * reach * (2.0 * score + codes), dimensions * LEAST),
        _ => (centre.sqrt() * (score + codes), (dimensions / length + seen.offset_weight.abs()) * SUBNORMAL),
    };
    let constant_slack = constant_slack + FEW * ROUNDING * seen.constant.abs() + least;
    let more = 1.0 + codes;
    let limits = Limits {
        constant: (seen.constant + constant_slack) as f32,
        offset_weight: seen.offset_weight as f32,
        square_weight: if shape == Shape::SquaredDistance { 1.0 } else { 0.0 },
        step: (weight * rounded.step / 2.0) as f32,
        middle: 15 * rounded.steps.iter().map(|step| i32::from(*step)).sum::<i32>(),
        reach: (weight * (reach + rounded.error) * more) as f32,
        slack: (weight * rounded.error * more + size * (score + codes)) as f32,
        square_slack: if shape == Shape::SquaredDistance { (2.0 * score + codes) as f32 } else { 0.0 },
        is_cosine: shape == Shape::Cosine,
    };
    let is_told = size <= LONGEST && limits.constant.is_finite() && limits.offset_weight.is_finite();
    is_told.then_some((limits, constant_slack as f32))
}

/// The steps in the order of the words of a code: four at even positions, then four at odd positions.
fn words(steps: &[i8]) -> Vec<[[i8; 4]; 2]> {
    let word = |steps: &[i8]| [0, 1].map(|odd| std::array::from_fn(|at| steps.get(2 * at + odd).copied().unwrap_or(0)));
    steps.chunks(8).map(word).collect()
}
