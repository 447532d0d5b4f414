//! A query, prepared for the codes of one space: look-up tables, and the formula from sums to scores with their errors.

use super::one_bit;
use super::space::{Space, dot};
use crate::kernels::codes::{Bounds, CodeKernels, Factors, Formula, GROUP, TELLABLE, Weights};
use crate::kernels::{self, F32Le};
use crate::metric::{Metric, Shape};

/// How many standard deviations an estimate may be off before a row is missed. Four: on one side of a Gaussian, one
/// estimate in 30,000 is off by more.
pub const SIGMAS: f64 = 4.0;

/// How finely a query is rounded for 1-bit codes: the greatest coordinate becomes so many steps.
#[derive(Debug, Clone, Copy)]
pub(super) enum Steps {
    /// Four coordinates fit into a table's entry, and the rounding adds a thousandth to the error.
    Many = 31,
    /// Four coordinates fit into a small entry, and the rounding adds a fiftieth to the error.
    Few = 7,
}

pub(super) const FOUR_BIT_STEPS: f32 = 127.0;

/// Where all lengths are below 1e-11, squares of products of two lengths are below the range of f32, and with them up to 2⁻⁷⁴ of an
/// error is lost. A distance counts as at least so large, so that the allowance for rounding, 2⁻¹⁸ of it, is more than that.
const LEAST_SIZE: f64 = 1.0 / (1u64 << 55) as f64;

/// What rounding in f32 can change in a score, relative to its largest term: here, in the rotation, and in the true
/// score. The sum of up to 65,536 products in the true score counts most.
const SLACK: f64 = 1.0 / (1 << 18) as f64;

/// A query, prepared for codes.
///
/// *Keys* stand for scores here. A larger score has a larger key, but keys are cheaper to estimate. For dot a key is
/// the product divided by the length of the query, for cosine it is the cosine itself, and for l2 the negative squared
/// distance.
#[derive(Debug, Clone)]
pub struct Query {
    shape: Shape,
    /// The length of the query as it was given.
    length: f64,
    formula: Formula,
    tables: Vec<[u8; 16]>,
    fine: FourBitQuery,
    codes: &'static CodeKernels,
}

#[derive(Debug, Clone)]
struct FourBitQuery {
    /// The coordinates of the rotated query at even and at odd positions, in steps.
    even: Vec<i8>,
    odd: Vec<i8>,
    step: f64,
    /// What the middle of the code's range, 7.5 in every coordinate, adds to the product.
    middle: f64,
    /// As `rounding` in the formula, for this rounding of the query.
    rounding: f64,
}

/// What a query loses by rounding.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Doubts {
    /// By its few steps for 1-bit codes: a share of the length of a scaled code, in units of a vector's error.
    pub coarse: f32,
    /// The same for 4-bit codes.
    pub fine: f32,
    /// In f32: a constant, a share of the length of the scaled code of a vector, and a share of the square of that
    /// length.
    pub constant: f32,
    pub length: f32,
    pub square: f32,
}

impl Doubts {
    /// The greater of both, for each number.
    pub fn max(self, other: Self) -> Self {
        Self {
            coarse: self.coarse.max(other.coarse),
            fine: self.fine.max(other.fine),
            constant: self.constant.max(other.constant),
            length: self.length.max(other.length),
            square: self.square.max(other.square),
        }
    }
}

/// Where a key lies: not below `lower` and not above `upper`, except with the small chance that [`SIGMAS`] leaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The estimate minus its error.
    pub lower: f32,
    /// The estimate plus its error.
    pub upper: f32,
}

impl Interval {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { lower: f32::NEG_INFINITY, upper: f32::INFINITY };

    /// Around an estimate. If an end is not finite, nothing is known.
    pub fn around(estimate: f32, error: f32) -> Self {
        let (lower, upper) = (estimate - error, estimate + error);
        if lower.is_finite() && upper.is_finite() { Self { lower, upper } } else { Self::UNKNOWN }
    }
}

/// The key of a score, for a query of this length, rounded down.
pub(super) fn key(shape: Shape, length: f64, score: f64) -> f32 {
    let key = match shape {
        Shape::Dot => score / length,
        // No distance is below 0.
        Shape::SquaredDistance => -score.min(0.0).powi(2),
        Shape::Cosine => score,
    };
    let rounded = key as f32;
    if f64::from(rounded) > key { rounded.next_down() } else { rounded }
}

/// A query, seen from the centre:
/// `product(query, vector) = constant + weight · offset + residual · residual of the vector`.
pub(super) struct CentredQuery {
    pub residual: Vec<f32>,
    pub constant: f64,
    pub constant_size: f64,
    pub offset_weight: f64,
}

impl CentredQuery {
    /// The query as its shape needs it, and its length as given. `None` if codes cannot bound it.
    pub fn new(space: &Space, shape: Shape, query: &[F32Le]) -> Option<(Self, f64)> {
        let query: Vec<f32> = query.iter().map(|x| x.get()).collect();
        let length = dot(&query, &query).sqrt();
        let mut seen = match shape {
            Shape::Dot | Shape::Cosine => from_centre_line(space, &query, length),
            Shape::SquaredDistance => from_centre(space, &query),
        };
        space.rotate(&mut seen.residual);
        let told = (seen.reach() as f32).is_finite() && (seen.constant_size as f32).is_finite();
        (told && (length > 0.0 || shape == Shape::SquaredDistance)).then_some((seen, length))
    }

    /// The length of the residual.
    pub fn reach(&self) -> f64 {
        dot(&self.residual, &self.residual).sqrt()
    }
}

impl Query {
    /// `None` if codes cannot bound the query: with the metric l1, for a query of zeros, or if a sum leaves the range
    /// of f32.
    ///
    /// `query` must have the dimensions of the space.
    pub fn new(space: &Space, metric: Metric, query: &[F32Le]) -> Option<Self> {
        Self::rounded(space, metric.shape()?, query, Steps::Many)
    }

    pub(super) fn rounded(space: &Space, shape: Shape, query: &[F32Le], steps: Steps) -> Option<Self> {
        let (seen, length) = CentredQuery::new(space, shape, query)?;
        let coarse = Rounded::new(&seen.residual, steps as i8 as f32);
        Some(Self::ready(space, shape, length, &seen, &coarse))
    }

    fn ready(space: &Space, shape: Shape, length: f64, seen: &CentredQuery, coarse: &Rounded) -> Self {
        let (dimensions, reach) = (seen.residual.len() as f64, seen.reach());
        let weight = if shape == Shape::SquaredDistance { 2.0 } else { 1.0 };
        let fine = Rounded::new(&seen.residual, FOUR_BIT_STEPS);
        let chance = Chance::new(dimensions);
        let magnitudes: f64 = coarse.steps.iter().map(|step| f64::from(step.abs())).sum();
        let centre = dot(space.centre(), space.centre());
        let formula = Formula {
            dimensions: dimensions as f32,
            constant: seen.constant as f32,
            constant_size: seen.constant_size.max(LEAST_SIZE) as f32,
            offset_weight: seen.offset_weight as f32,
            square_weight: if shape == Shape::SquaredDistance { 1.0 } else { 0.0 },
            step: (weight * 2.0 * coarse.step) as f32,
            base: (weight * -coarse.step * magnitudes) as f32,
            // A little more, because the formula then takes the root of a difference of nearly equal numbers.
            spread: (weight * reach * chance.error * (1.0 + SLACK)) as f32,
            chance: chance.narrowing as f32,
            rounding: (weight * coarse.error * dimensions.sqrt() * chance.error) as f32,
            reach: (weight * reach * dimensions.sqrt()) as f32,
            slack: SLACK as f32,
            centre: (shape == Shape::Cosine).then_some(centre as f32),
        };
        let tables = tables(&coarse.steps);
        let fine = FourBitQuery::new(&fine, weight, chance.error);
        Self { shape, length, formula, tables, fine, codes: &kernels::table().codes }
    }

    /// The key of a score, rounded down. A vector whose key is certainly less than this has a lower score.
    pub fn key(&self, score: f64) -> f32 {
        key(self.shape, self.length, score)
    }

    /// The look-up tables. Each has what four coordinates add to the sum.
    pub(super) fn tables(&self) -> &[[u8; 16]] {
        &self.tables
    }

    /// How much each term of a vector counts in an estimate by its 1-bit code, and in the error of that estimate.
    pub(super) fn weights(&self) -> Weights {
        let f = &self.formula;
        Weights { unit: f.constant, offset: f.offset_weight, step: f.step, base: f.base, error: f.spread }
    }

    /// What else an estimate may be off by. `centre` is the length of the centre.
    pub(super) fn doubts(&self, centre: f32) -> Doubts {
        let f = &self.formula;
        let lost = |rounding: f32| if f.spread > 0.0 { rounding / f.spread } else { 0.0 };
        Doubts {
            coarse: lost(f.rounding / f.dimensions.sqrt()),
            fine: lost(self.fine.rounding as f32),
            constant: f.slack * f.constant_size,
            // The offset is no longer than the lengths of centre and residual multiplied, and the residual is no longer
            // than its scaled code.
            length: f.slack * (f.reach / f.dimensions.sqrt() + f.offset_weight.abs() * centre),
            square: f.slack * f.square_weight,
        }
    }

    /// The product with a vector of 4-bit steps. It is still to be multiplied by the scale of that vector.
    #[inline]
    pub(super) fn product(&self, nibbles: &[u8]) -> f64 {
        let sum = (self.codes.dot_u4)(nibbles, &self.fine.even, &self.fine.odd);
        self.fine.step * f64::from(sum) - self.fine.middle
    }

    /// Estimates the keys of a group. Returns a bit for each vector whose key could reach `threshold`.
    #[inline]
    pub fn estimate(&self, group: Group<'_>, threshold: f32, bounds: &mut Bounds) -> u64 {
        let mut sums = [0; GROUP];
        (self.codes.sum_u1)(&self.tables, group.codes, &mut sums);
        (self.codes.estimate)(&self.formula, &sums, group.factors, threshold, bounds)
    }

    /// Where a key lies, by the 4-bit code of a vector. `fine` are the scale and error of that code; `coarse` are the
    /// scale, error and offset of the 1-bit code.
    pub fn look(&self, nibbles: &[u8], fine: [f32; 2], coarse: [f32; 3]) -> Interval {
        let [scale, error] = fine.map(f64::from);
        let [coarse_scale, coarse_error, offset] = coarse.map(f64::from);
        let f = &self.formula;
        let largest = f64::from(f.dimensions) * coarse_scale * coarse_scale;
        let square = largest - coarse_error * coarse_error;
        let product = scale * self.product(nibbles);
        let doubt = f64::from(f.chance) * error * error / square.max(f64::MIN_POSITIVE);
        let (spread, rounding) = (error * f64::from(f.spread), (square + error * error).sqrt() * self.fine.rounding);
        let variance = spread * spread * (1.0 + doubt) - doubt * product * product;
        let (offset, square_weight) = (f64::from(f.offset_weight) * offset, f64::from(f.square_weight));
        let size =
            f64::from(f.constant_size) + offset.abs() + square_weight * largest + coarse_scale * f64::from(f.reach);
        let estimate = f64::from(f.constant) + offset - square_weight * square + product / (1.0 + doubt);
        // Not `max`, which takes what is no number for 0.
        let variance = if variance < 0.0 { 0.0 } else { variance };
        let error = (variance + rounding * rounding).sqrt() / (1.0 + doubt) + SLACK * size;
        match f.centre {
            None => Interval::around(estimate as f32, error as f32),
            Some(centre) => over_length(estimate, error, f64::from(centre), f64::from(coarse[2]), square),
        }
    }
}

/// For cosine: both divided by the length of the vector, unless rounding hides that length because the other numbers
/// are so much larger.
fn over_length(estimate: f64, error: f64, centre: f64, offset: f64, square: f64) -> Interval {
    let length = centre + 2.0 * offset + square;
    if length > f64::from(TELLABLE) * (centre + square) {
        let length = length.sqrt();
        Interval::around((estimate / length) as f32, (error / length) as f32 + TELLABLE / 4.0)
    } else {
        Interval::UNKNOWN
    }
}

/// A group of 1-bit codes, as it lies in a block.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    /// Transposed: byte 0 of each of the vectors, then byte 1 of each, and so on.
    pub codes: &'a [[u8; GROUP]],
    /// The factors of these codes.
    pub factors: &'a Factors,
}

/// For products: the query with length 1, without its part along the centre. For that part the offset is exact.
fn from_centre_line(space: &Space, query: &[f32], length: f64) -> CentredQuery {
    let centre = space.centre();
    let square = dot(centre, centre);
    let along = dot(query, centre) / length;
    let share = if square > 0.0 { along / square } else { 0.0 };
    let residual =
        query.iter().zip(centre).map(|(x, centre)| (f64::from(*x) / length - share * f64::from(*centre)) as f32);
    CentredQuery { residual: residual.collect(), constant: along, constant_size: square.sqrt(), offset_weight: share }
}

/// For distances: the centre is subtracted from the query, as from a vector.
fn from_centre(space: &Space, query: &[f32]) -> CentredQuery {
    let residual: Vec<f32> = query.iter().zip(space.centre()).map(|(x, centre)| x - centre).collect();
    let square = dot(&residual, &residual);
    CentredQuery { residual, constant: -square, constant_size: square, offset_weight: 0.0 }
}

/// Which share of the length of an error counts, depending on the number of dimensions.
struct Chance {
    error: f64,
    /// An error is at a right angle to its vector. So the nearer the vector is to the query, the less the error adds.
    narrowing: f64,
}

impl Chance {
    fn new(dimensions: f64) -> Self {
        let error = SIGMAS / (dimensions - 1.0).max(1.0).sqrt();
        if error < 1.0 {
            return Self { error, narrowing: error * error };
        }
        // With few dimensions, four deviations would be more than the whole error, so its full length counts. There are
        // two errors: of the code, and of rounding the query. Their sum is at most √2 times the root of the sum of
        // their squares.
        Self { error: std::f64::consts::SQRT_2, narrowing: 0.0 }
    }
}

/// Coordinates as whole numbers of steps.
pub(super) struct Rounded {
    pub steps: Vec<i8>,
    pub step: f64,
    /// The length of the change by rounding.
    pub error: f64,
}

impl Rounded {
    pub fn new(vector: &[f32], most: f32) -> Self {
        let largest = vector.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
        let step = f64::from(largest / most);
        let inverse = if step > 0.0 { 1.0 / step } else { 0.0 };
        let steps: Vec<i8> = vector.iter().map(|x| (f64::from(*x) * inverse).round() as i8).collect();
        let lost = |(x, steps): (&f32, &i8)| (f64::from(*x) - step * f64::from(*steps)).powi(2);
        let error = vector.iter().zip(&steps).map(lost).sum::<f64>().sqrt();
        Self { steps, step, error }
    }
}

impl FourBitQuery {
    fn new(query: &Rounded, weight: f64, chance: f64) -> Self {
        let half =
            |odd: usize| -> Vec<i8> { query.steps.chunks(2).map(|pair| pair.get(odd).copied().unwrap_or(0)).collect() };
        let sum: f64 = query.steps.iter().map(|step| f64::from(*step)).sum();
        Self {
            even: half(0),
            odd: half(1),
            step: weight * query.step,
            middle: weight * query.step * 7.5 * sum,
            rounding: weight * query.error * chance,
        }
    }
}

/// For each four coordinates, the sum of the magnitudes where the signs of the code agree with those of the query. The
/// product is twice this sum minus all magnitudes.
fn tables(steps: &[i8]) -> Vec<[u8; 16]> {
    let mut tables = vec![[0; 16]; 2 * one_bit::bytes(steps.len())];
    for (table, steps) in tables.iter_mut().zip(steps.chunks(4)) {
        for (code, entry) in table.iter_mut().enumerate() {
            let agrees = |(i, step): (usize, &i8)| ((code >> i) & 1 == 1) == (*step >= 0);
            *entry = steps.iter().enumerate().filter(|at| agrees(*at)).map(|(_, step)| step.unsigned_abs()).sum();
        }
    }
    tables
}
