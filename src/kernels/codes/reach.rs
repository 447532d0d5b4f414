//! From sums of 1-bit codes to the rows that could reach a threshold, for many queries at once.

use super::GROUP;

/// The part of the bound that belongs to each vector of a group. `codec::likely` says what the numbers mean.
#[derive(Debug, Clone)]
#[repr(align(64))]
#[allow(missing_docs)]
pub struct Terms {
    pub unit: [f32; GROUP],
    pub offset: [f32; GROUP],
    pub scale: [f32; GROUP],
    pub error: [f32; GROUP],
    /// Minus infinity if the slot is empty.
    pub rest: [f32; GROUP],
}

impl Default for Terms {
    fn default() -> Self {
        let [unit, offset, scale, error, rest] = [[0.0; GROUP]; 5];
        Self { unit, offset, scale, error, rest }
    }
}

/// The part of the bound that belongs to a query: how much each term counts.
///
/// ```text
/// bound = unit · unit + offset · offset + scale · (step · sum + base) + error · error + rest
/// ```
/// In each product, one factor is the term of the vector, the other the weight of the query with the same name.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "the formula above is what they mean")]
pub struct Weights {
    pub unit: f32,
    pub offset: f32,
    pub step: f32,
    pub base: f32,
    pub error: f32,
}

impl Weights {
    /// The bound of one vector.
    #[inline(always)]
    pub fn bound(&self, terms: &Terms, at: usize, sum: u32) -> f32 {
        let product = terms.scale[at] * (self.step * sum as i32 as f32 + self.base);
        let known = self.unit * terms.unit[at] + self.offset * terms.offset[at] + product;
        known + self.error * terms.error[at] + terms.rest[at]
    }
}

/// Always inlined: the compiler then uses the vectors that the calling function has enabled.
#[inline(always)]
#[allow(clippy::neg_cmp_op_on_partial_ord, reason = "NaN must pass")]
pub(super) fn reach(weights: &Weights, sums: &[u32; GROUP], terms: &Terms, threshold: f32) -> u64 {
    let mut bounds = [0.0; GROUP];
    for at in 0..GROUP {
        bounds[at] = weights.bound(terms, at, sums[at]);
    }
    // As `reaching` asks, which the compiler makes 2 % more instructions of here.
    if bounds.iter().fold(false, |any, bound| any | !(*bound < threshold)) {
        (0..GROUP).fold(0, |bits, at| bits | (u64::from(!(bounds[at] < threshold)) << at))
    } else {
        0
    }
}
