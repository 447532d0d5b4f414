//! Four bits for each coordinate: for a second look at the vectors that the 1-bit codes could not rule out.
//!
//! A coordinate becomes one of sixteen steps, `u - 7.5` with `u` from 0 to 15. The vector of steps is called `v`. As
//! with one bit, it is scaled, here by `|r|²/(v·r)`. The result is the residual `r` plus an error at a right angle to
//! `r`, about a tenth as long as `r`.

use super::space::{Residual, dot};

/// The step, in standard deviations, that loses least of a Gaussian coordinate.
const STEP: f64 = 0.3352;
/// How many steps there are on each side of 0.
const HALF: f32 = 8.0;

/// A 4-bit code with its factors.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FourBitCode {
    /// Two coordinates in each byte, the even one in the lower half.
    pub nibbles: Vec<u8>,
    /// The factor that `v` is scaled by.
    pub scale: f32,
    /// The length of the error.
    pub error: f32,
}

/// How many bytes a code has.
pub const fn bytes(dimensions: usize) -> usize {
    dimensions.div_ceil(2)
}

impl FourBitCode {
    /// `values` is a buffer for the vector of steps.
    pub(super) fn take(&mut self, residual: &Residual, values: &mut Vec<f32>) {
        let step = step(residual);
        let inverse = if step > 0.0 { 1.0 / step } else { 0.0 };
        values.clear();
        // Clamped before the cast. As the number is not negative, the cast rounds down.
        let level = |x: &f32| ((x * inverse + HALF).clamp(0.0, 2.0 * HALF - 1.0) as u8) as f32;
        values.extend(residual.vector.iter().map(level));
        self.nibbles.clear();
        self.nibbles.extend(values.chunks(2).map(pack));
        values.iter_mut().for_each(|level| *level -= HALF - 0.5);
        self.set_factors(residual, values);
    }

    fn set_factors(&mut self, residual: &Residual, values: &[f32]) {
        let reach = dot(values, &residual.vector);
        let scale = if reach > 0.0 { residual.square / reach } else { 0.0 };
        let error = (scale * scale * dot(values, values) - residual.square).max(0.0).sqrt();
        (self.scale, self.error) = (scale as f32, error as f32);
    }
}

/// The best step for a Gaussian residual, or a smaller step if that still reaches every coordinate.
fn step(residual: &Residual) -> f32 {
    let largest = residual.vector.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
    let deviation = (residual.square / residual.vector.len().max(1) as f64).sqrt();
    (largest / (HALF - 0.5)).min((STEP * deviation) as f32)
}

fn pack(levels: &[f32]) -> u8 {
    let level = |at: usize| levels.get(at).map_or(0, |level| *level as u8);
    level(0) | (level(1) << 4)
}
