//! One bit for each coordinate: on which side of the centre it is.
//!
//! Let `r` be a residual of `d` coordinates and `b` its signs, each 1 or -1. Scaled by `|r|²/(b·r)`, `b` becomes `r`
//! plus an error `e` at a right angle to `r`. So for a query `q`
//!
//! ```text
//! scale · (b·q) = r·q + e·q      scale = |r|²/(b·r)     |e|² = d·scale² - |r|²
//! ```
//! As the rotation is random, `e·q` is nearly Gaussian around 0, with a deviation of `|e||q|/√(d-1)`.

use super::space::Residual;

/// Residuals that are shorter than this, but not zero, have squares that f32 holds with few digits or none.
const SHORTEST: f64 = 1e-12;

/// A 1-bit code with its factors.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OneBitCode {
    /// Eight coordinates in each byte, the first in the lowest bit. 1 means a coordinate of 0 or more.
    pub bits: Vec<u8>,
    /// The factor that `b` is scaled by.
    pub scale: f32,
    /// `|e|`. Infinite if a number leaves the range of f32: then nothing is known about the vector.
    pub error: f32,
    /// The product of the centre with the difference between the vector and the centre.
    pub offset: f32,
}

/// How many bytes a code has.
pub const fn bytes(dimensions: usize) -> usize {
    dimensions.div_ceil(8)
}

impl OneBitCode {
    pub(super) fn take(&mut self, residual: &Residual) {
        self.bits.clear();
        self.bits.extend(residual.vector.chunks(8).map(pack));
        let reach: f64 = residual.vector.iter().map(|x| f64::from(x.abs())).sum();
        let scale = if reach > 0.0 { residual.square / reach } else { 0.0 };
        let error = (residual.vector.len() as f64 * scale * scale - residual.square).max(0.0).sqrt();
        self.set_factors(residual, scale as f32, error as f32);
    }

    fn set_factors(&mut self, residual: &Residual, scale: f32, error: f32) {
        let offset = residual.offset as f32;
        let length = residual.square.sqrt();
        let told = (scale + error + offset).is_finite() && (length == 0.0 || length >= SHORTEST);
        (self.scale, self.error, self.offset) = if told { (scale, error, offset) } else { (0.0, f32::INFINITY, 0.0) };
    }
}

fn pack(coordinates: &[f32]) -> u8 {
    coordinates.iter().enumerate().fold(0, |byte, (i, x)| byte | (u8::from(*x >= 0.0) << i))
}
