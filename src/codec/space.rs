//! What codes refer to: the centre of a collection and a rotation, and how a vector becomes a residual.

use super::rotation::Rotation;
use crate::kernels::F32Le;

/// A centre and a rotation. A code has a meaning only in the space that it was made in.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    centre: Vec<f32>,
    rotation: Rotation,
}

/// A vector after the centre was subtracted and the rotation applied.
#[derive(Debug, Clone, Default)]
pub(super) struct Residual {
    pub vector: Vec<f32>,
    /// The squared length of `vector`.
    pub square: f64,
    /// The product of the centre with the difference between the vector and the centre.
    pub offset: f64,
}

impl Space {
    /// The same centre and seed give the same codes on every machine.
    pub fn new(centre: Vec<f32>, seed: u64) -> Self {
        let rotation = Rotation::new(centre.len(), seed);
        Self { centre, rotation }
    }

    /// How many coordinates the vectors of this space have.
    pub fn dimensions(&self) -> usize {
        self.centre.len()
    }

    /// The coordinates of the centre, before the rotation.
    pub fn centre(&self) -> &[f32] {
        &self.centre
    }

    /// Turns a vector of the right length into its residual.
    pub(super) fn enter(&self, vector: &[F32Le], residual: &mut Residual) {
        residual.vector.clear();
        residual.vector.extend(vector.iter().zip(&self.centre).map(|(x, centre)| x.get() - centre));
        residual.offset = dot(&self.centre, &residual.vector);
        self.rotation.apply(&mut residual.vector);
        residual.square = dot(&residual.vector, &residual.vector);
    }

    /// What rounding can change in a rotated vector, relative to its length.
    pub(super) fn rounding(&self) -> f64 {
        self.rotation.rounding()
    }

    pub(super) fn rotate(&self, vector: &mut [f32]) {
        self.rotation.apply(vector);
    }
}

/// The product, as eight sums in an order that is the same on every machine, because stored numbers depend on it.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for i in 0..8 {
            sums[i] += f64::from(a[i]) * f64::from(b[i]);
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(&a, &b)| f64::from(a) * f64::from(b));
    sums.into_iter().chain(rest).sum()
}
