//! From the sums of a group to estimates of its scores, and the errors of these estimates.

use super::{GROUP, reaching};
use crate::kernels::F32Le;

/// The numbers that are stored for each vector of a group beside its code. `codec::one_bit` says what they mean.
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Factors {
    /// The length of one step of the code.
    pub scale: [F32Le; GROUP],
    /// The length of the part of the scaled code that does not belong to the vector.
    pub error: [F32Le; GROUP],
    /// What the centre adds to the product. Minus infinity if the slot is empty.
    pub offset: [F32Le; GROUP],
}

/// How sums and factors give a score. It is the same for all vectors of a search.
///
/// ```text
/// square   = dimensions · scale² - error²
/// product  = scale · (step · sum + base)
/// doubt    = chance · error² / square
/// estimate = constant + offset_weight · offset - square_weight · square + product / (1 + doubt)
/// error    = √((error · spread)² · (1 + doubt) - doubt · product² + (scale · rounding)²) / (1 + doubt) + slack · size
/// size     = constant_size + |offset_weight · offset| + square_weight · dimensions · scale² + scale · reach
/// ```
/// If `centre` is set, estimate and error are divided by the length of the vector, √(centre + 2 · offset + square).
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "the formula above is what they mean")]
pub struct Formula {
    pub dimensions: f32,
    pub constant: f32,
    pub constant_size: f32,
    pub offset_weight: f32,
    pub square_weight: f32,
    pub step: f32,
    pub base: f32,
    pub spread: f32,
    pub chance: f32,
    pub rounding: f32,
    pub reach: f32,
    pub slack: f32,
    pub centre: Option<f32>,
}

/// Estimates and errors of a group of vectors.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Bounds {
    pub estimate: [f32; GROUP],
    pub error: [f32; GROUP],
}

impl Default for Bounds {
    fn default() -> Self {
        Self { estimate: [0.0; GROUP], error: [0.0; GROUP] }
    }
}

/// A squared length is computed as a sum. If it is below this share of the terms of the sum, rounding may be all that
/// is left of it, so nothing is known. If it is above, a cosine is off by at most a quarter of this share.
pub const TELLABLE: f32 = 1.0 / 1024.0;

/// Always inlined: the compiler then uses the vectors that the calling function has enabled.
#[inline(always)]
#[allow(clippy::needless_range_loop, clippy::neg_cmp_op_on_partial_ord, reason = "five arrays; NaN must pass")]
pub(super) fn estimate(
    formula: &Formula,
    sums: &[u32; GROUP],
    factors: &Factors,
    threshold: f32,
    bounds: &mut Bounds,
) -> u64 {
    let f = formula;
    if f.centre.is_none() && !any_might_reach(f, sums, factors, threshold) {
        return 0;
    }
    for i in 0..GROUP {
        let (scale, error, offset) = (factors.scale[i].get(), factors.error[i].get(), factors.offset[i].get());
        let largest = f.dimensions * scale * scale;
        let square = largest - error * error;
        let product = scale * (f.step * sums[i] as i32 as f32 + f.base);
        let doubt = f.chance * error * error / square.max(f32::MIN_POSITIVE);
        let share = 1.0 / (1.0 + doubt);
        let (spread, rounding) = (error * f.spread, scale * f.rounding);
        let variance = spread * spread * (1.0 + doubt) - doubt * product * product;
        let size = f.constant_size + (f.offset_weight * offset).abs() + f.square_weight * largest + scale * f.reach;
        bounds.estimate[i] = f.constant + f.offset_weight * offset - f.square_weight * square + product * share;
        // Not `max`, which takes what is no number for 0: squares beyond f32's range say nothing, and must pass.
        let variance = if variance < 0.0 { 0.0 } else { variance };
        bounds.error[i] = (variance + rounding * rounding).sqrt() * share + f.slack * size;
    }
    if let Some(centre) = f.centre {
        divide_by_length(f.dimensions, centre, factors, bounds);
    }
    reaching(|i| {
        let upper = bounds.estimate[i] + bounds.error[i];
        (factors.offset[i].get() > f32::NEG_INFINITY) & !(upper < threshold)
    })
}

/// A wider bound: it counts errors in full and needs no roots and no divisions. It rules out most groups.
#[inline(always)]
#[allow(clippy::neg_cmp_op_on_partial_ord, reason = "NaN must pass")]
fn any_might_reach(f: &Formula, sums: &[u32; GROUP], factors: &Factors, threshold: f32) -> bool {
    (0..GROUP).fold(false, |any, i| {
        let (scale, error, offset) = (factors.scale[i].get(), factors.error[i].get(), factors.offset[i].get());
        let largest = f.dimensions * scale * scale;
        let product = scale * (f.step * sums[i] as i32 as f32 + f.base);
        let size = f.constant_size + (f.offset_weight * offset).abs() + f.square_weight * largest + scale * f.reach;
        let estimate = f.constant + f.offset_weight * offset - f.square_weight * (largest - error * error) + product;
        let upper = estimate + error * f.spread + scale * f.rounding + f.slack * size;
        any | !(upper < threshold)
    })
}

#[inline(always)]
fn divide_by_length(dimensions: f32, centre: f32, factors: &Factors, bounds: &mut Bounds) {
    for i in 0..GROUP {
        let (scale, error, offset) = (factors.scale[i].get(), factors.error[i].get(), factors.offset[i].get());
        let square = dimensions * scale * scale - error * error;
        let length = centre + 2.0 * offset + square;
        let told = length > TELLABLE * (centre + square);
        let inverse = 1.0 / length.sqrt();
        bounds.estimate[i] *= inverse;
        bounds.error[i] = if told { bounds.error[i] * inverse + TELLABLE / 4.0 } else { f32::INFINITY };
    }
}
