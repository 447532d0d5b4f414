//! From vectors to codes.

use super::space::{Residual, Space};
use super::{four_bit, one_bit};
use crate::kernels::{self, F32Le};

/// Makes codes. It keeps its buffers from one vector to the next.
#[derive(Debug)]
pub struct Encoder<'a> {
    space: &'a Space,
    residual: Residual,
    values: Vec<f32>,
    /// The 1-bit code of the last vector.
    pub coarse: one_bit::OneBitCode,
    /// The 4-bit code of the last vector.
    pub fine: four_bit::FourBitCode,
}

impl<'a> Encoder<'a> {
    /// An encoder for this space.
    pub fn new(space: &'a Space) -> Self {
        let (residual, values, coarse, fine) = Default::default();
        Self { space, residual, values, coarse, fine }
    }

    /// How many coordinates the vectors have.
    pub fn dimensions(&self) -> usize {
        self.space.dimensions()
    }

    /// Encodes a vector into `coarse` and `fine`. It must have the dimensions of the space.
    pub fn encode(&mut self, vector: &[F32Le]) {
        self.space.enter(vector, &mut self.residual);
        self.coarse.take(&self.residual);
        self.fine.take(&self.residual, &mut self.values);
    }
}

/// A number computed from the bits of a vector. Equal vectors have equal fingerprints; different vectors almost never
/// do.
pub fn fingerprint(vector: &[F32Le]) -> u32 {
    (kernels::table().codes.crc32c)(0, bytemuck::cast_slice(vector))
}
