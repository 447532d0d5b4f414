//! From products with 4-bit codes to limits that keys certainly do not exceed.

use super::{GROUP, reaching};

/// What is known about each vector of a group beside its 4-bit code. `codec::exact` says what the numbers mean.
#[derive(Debug, Clone)]
#[repr(align(64))]
#[allow(missing_docs)]
pub struct LimitTerms {
    pub scale: [f32; GROUP],
    pub error: [f32; GROUP],
    /// The length of the residual, or more. Infinite if nothing is known.
    pub length: [f32; GROUP],
    pub square: [f32; GROUP],
    /// Minus infinity if the slot is empty.
    pub offset: [f32; GROUP],
    /// `inverse` is what the key is multiplied by; `doubt` is how far the result may be off.
    pub inverse: [f32; GROUP],
    pub doubt: [f32; GROUP],
}

impl Default for LimitTerms {
    fn default() -> Self {
        let [scale, error, length, square, offset, inverse, doubt] = [[0.0; GROUP]; 7];
        Self { scale, error, length, square, offset, inverse, doubt }
    }
}

/// How products and the known numbers give the limit of a key. It is the same for all vectors of a search.
///
/// ```text
/// product = scale · step · (2 · sum - middle)
/// upper   = constant + offset_weight · offset - square_weight · square + product
///         + error · reach + length · slack + length² · square_slack
/// ```
/// If `is_cosine` is set, the limit is `upper · inverse + doubt`.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "the formula above is what they mean")]
pub struct Limits {
    pub constant: f32,
    pub offset_weight: f32,
    pub square_weight: f32,
    pub step: f32,
    pub middle: i32,
    pub reach: f32,
    pub slack: f32,
    pub square_slack: f32,
    pub is_cosine: bool,
}

/// Always inlined: the compiler then uses the vectors that the calling function has enabled.
#[inline(always)]
#[allow(clippy::needless_range_loop, clippy::neg_cmp_op_on_partial_ord, reason = "many arrays; NaN must pass")]
pub(super) fn within(
    limits: &Limits,
    sums: &[i32; GROUP],
    known: &LimitTerms,
    threshold: f32,
    upper: &mut [f32; GROUP],
) -> u64 {
    let l = limits;
    for i in 0..GROUP {
        let product = known.scale[i] * (l.step * (2 * sums[i] - l.middle) as f32);
        let estimate = l.constant + l.offset_weight * known.offset[i] - l.square_weight * known.square[i] + product;
        let length = known.length[i];
        upper[i] = estimate + known.error[i] * l.reach + length * (l.slack + length * l.square_slack);
    }
    if l.is_cosine {
        for i in 0..GROUP {
            upper[i] = upper[i] * known.inverse[i] + known.doubt[i];
        }
    }
    reaching(|i| (known.offset[i] > f32::NEG_INFINITY) & !(upper[i] < threshold))
}
