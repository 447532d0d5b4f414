//! Limits of scores that 4-bit codes leave for certain, whatever the chance: for searches that must not miss a row, and for
//! many queries at once.
//!
//! A code's error is at a right angle to its vector, and no longer than it is; so much of a query's length is all that
//! an estimate can be off. Everything that rounds on the way, from the first subtraction to the true score itself, is in
//! the limit too. `README.md` counts it.

use super::query::{FOUR_BIT_STEPS, Rounded, Seen, key};
use super::rotation::ROUNDING;
use super::space::{Space, dot};
use crate::kernels::codes::{Factors, GROUP, Known, Limits};
use crate::kernels::{self, F32Le};
use crate::metric::Metric;

/// Longer residuals, of vectors or of a query by distance, have squares too near the end of f32's range.
const LONGEST: f64 = (1u64 << 60) as f64;
/// Of how many operations on f32 rounding is counted where a formula has a few of them.
const FEW: f64 = 32.0;
/// Twice the smallest step between numbers of f32.
const SUBNORMAL: f64 = 1.0 / (1u128 << 127) as f64 / (1u64 << 21) as f64;
/// Of squares, whose roots are scores: far more than what is lost of them at the small end of the range.
const LEAST: f64 = 1.0 / (1u128 << 120) as f64;
/// Where more than this share of a vector's length cannot be told, nothing is said of its cosine.
const DOUBTFUL: f64 = 1.0 / 16.0;

/// What rounding does in a space, relative to the numbers that are rounded.
#[derive(Debug, Clone, Copy)]
pub struct Margins {
    metric: Metric,
    dimensions: f64,
    centre: f64,
    /// In the rotations of a vector and of a query, and in what is made of them.
    codes: f64,
    /// In the true score: the kernels add at least eight sums side by side.
    score: f64,
}

impl Margins {
    /// For vectors of the space and one metric.
    pub fn new(space: &Space, metric: Metric) -> Self {
        let dimensions = space.dimensions() as f64;
        Self {
            metric,
            dimensions,
            centre: dot(space.centre(), space.centre()),
            // The length of a code's error comes from a difference of nearly equal sums in f64.
            codes: 3.0 * space.rounding() + FEW * ROUNDING + dimensions.sqrt() / (1u64 << 26) as f64,
            score: (dimensions / 8.0 + FEW) * ROUNDING,
        }
    }

    /// Notes what is known of a vector: by its 1-bit code scale, error and offset, by its 4-bit code scale and error.
    pub fn know(&self, known: &mut Known, at: usize, factors: &Factors, fine: [f32; 2]) {
        let coarse = [&factors.scale, &factors.error, &factors.offset].map(|array| f64::from(array[at].get()));
        let [scale, error, offset] = coarse;
        let largest = self.dimensions * scale * scale;
        let square = (largest - error * error).max(0.0);
        let (inverse, doubt) =
            if self.metric == Metric::Cosine { self.over_length(offset, square, largest) } else { (1.0, 0.0) };
        let is_told = error.is_finite() && largest <= LONGEST * LONGEST && doubt <= DOUBTFUL;
        known.offset[at] = if is_told || offset == f64::NEG_INFINITY { offset as f32 } else { 0.0 };
        [known.scale[at], known.error[at]] = if is_told { fine } else { [0.0; 2] };
        known.length[at] = if is_told { (largest.sqrt() * (1.0 + FEW * ROUNDING)) as f32 } else { f32::INFINITY };
        known.square[at] = if is_told { square as f32 } else { 0.0 };
        (known.inverse[at], known.doubt[at]) = if is_told { (inverse as f32, doubt as f32) } else { (1.0, 0.0) };
    }

    /// One over the vector's length, and how far a cosine may be off by that.
    fn over_length(&self, offset: f64, square: f64, largest: f64) -> (f64, f64) {
        let length = self.centre + 2.0 * offset + square;
        let share = (self.centre + 2.0 * offset.abs() + 2.0 * largest) / length;
        let doubt = share * self.codes + self.score + FEW * ROUNDING;
        if length > 0.0 && doubt <= DOUBTFUL { (1.0 / length.sqrt(), doubt) } else { (1.0, f64::INFINITY) }
    }
}

/// A query, ready for certain limits. Keys are those of [`super::Query`].
#[derive(Debug, Clone)]
pub struct Query {
    metric: Metric,
    length: f64,
    limits: Limits,
    /// What rounding adds to a limit of any vector.
    constant_slack: f32,
    steps: Vec<[[i8; 4]; 2]>,
}

impl Query {
    /// `None` for a query that codes cannot limit. `query` has the dimensions of the space.
    pub fn new(space: &Space, margins: &Margins, query: &[F32Le]) -> Option<Self> {
        let metric = margins.metric;
        let (seen, length) = Seen::new(space, metric, query)?;
        let rounded = Rounded::new(&seen.residual, FOUR_BIT_STEPS);
        let (limits, constant_slack) = limits(margins, &seen, &rounded, length)?;
        Some(Self { metric, length, limits, constant_slack, steps: words(&rounded.steps) })
    }

    /// The key of a score, rounded down: a vector whose key is certainly less has a lesser score.
    pub fn key(&self, score: f64) -> f32 {
        key(self.metric, self.length, score)
    }

    /// What the kernel for products wants.
    pub fn steps(&self) -> &[[[i8; 4]; 2]] {
        &self.steps
    }

    /// The greatest keys that the vectors of a group can have, and a bit for each that may reach `threshold`.
    #[inline]
    pub fn within(&self, sums: &[i32; GROUP], known: &Known, threshold: f32, upper: &mut [f32; GROUP]) -> u64 {
        (kernels::table().codes.within)(&self.limits, sums, known, threshold, upper)
    }

    /// How far an estimate is off at most by the code's own error.
    #[inline]
    pub fn error(&self, known: &Known, at: usize) -> f32 {
        self.limits.reach * known.error[at] * known.inverse[at]
    }

    /// How far below its limit a key is at most.
    #[inline]
    pub fn width(&self, known: &Known, at: usize) -> f32 {
        let (l, length) = (&self.limits, known.length[at]);
        let slack = length * (l.slack + length * l.square_slack) + self.constant_slack;
        2.0 * (self.error(known, at) + slack * known.inverse[at] + known.doubt[at])
            * (1.0 + FEW as f32 * ROUNDING as f32)
    }
}

/// The numbers of the formula, and what the constant has of rounding; `None` where they leave f32's range.
fn limits(margins: &Margins, seen: &Seen, rounded: &Rounded, length: f64) -> Option<(Limits, f32)> {
    let Margins { metric, dimensions, centre, codes, score } = *margins;
    let reach = seen.reach();
    let weight = if metric == Metric::L2 { 2.0 } else { 1.0 };
    // The length of what the vector's residual is multiplied with, in codes and in true scores.
    let size = if metric == Metric::L2 { 2.0 * reach } else { 1.0 };
    let (constant_slack, least) = match metric {
        // The square of a sum of two lengths is at most twice the sum of their squares.
        Metric::L2 => (reach * reach * (2.0 * score + codes), dimensions * LEAST),
        _ => (centre.sqrt() * (score + codes), (dimensions / length + seen.offset_weight.abs()) * SUBNORMAL),
    };
    let constant_slack = constant_slack + FEW * ROUNDING * seen.constant.abs() + least;
    let more = 1.0 + codes;
    let limits = Limits {
        constant: (seen.constant + constant_slack) as f32,
        offset_weight: seen.offset_weight as f32,
        square_weight: if metric == Metric::L2 { 1.0 } else { 0.0 },
        step: (weight * rounded.step / 2.0) as f32,
        middle: 15 * rounded.steps.iter().map(|step| i32::from(*step)).sum::<i32>(),
        reach: (weight * (reach + rounded.error) * more) as f32,
        slack: (weight * rounded.error * more + size * (score + codes)) as f32,
        square_slack: if metric == Metric::L2 { (2.0 * score + codes) as f32 } else { 0.0 },
        is_cosine: metric == Metric::Cosine,
    };
    let is_told = size <= LONGEST && limits.constant.is_finite() && limits.offset_weight.is_finite();
    is_told.then_some((limits, constant_slack as f32))
}

/// Steps in the order of the codes' words: four at even positions, four at odd ones.
fn words(steps: &[i8]) -> Vec<[[i8; 4]; 2]> {
    let word = |steps: &[i8]| [0, 1].map(|odd| std::array::from_fn(|at| steps.get(2 * at + odd).copied().unwrap_or(0)));
    steps.chunks(8).map(word).collect()
}
