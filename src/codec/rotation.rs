//! A random rotation that needs only a few additions for each coordinate: sign flips and Walsh-Hadamard transforms, in
//! rounds.
//!
//! The transform needs a power of two. For other dimensions, it is applied to the first and to the last coordinates by
//! turns, as many as the largest power of two that fits. At the end of each round, the two halves of the vector are
//! mixed, pair by pair. The result has the same number of coordinates and the same length. All of it is plain f32
//! arithmetic in a fixed order, so every machine gets the same bits.

use crate::random::splitmix64;

/// With four rounds, one coordinate spreads over all others, and no direction stays special.
const ROUNDS: usize = 4;

/// The most that rounding to f32 changes, relative to a number that is not subnormal.
pub(super) const ROUNDING: f64 = 1.0 / (1 << 24) as f64;

/// A rotation for vectors of one length.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotation {
    /// For each round: 1 or -1 for each coordinate.
    signs: Vec<Vec<f32>>,
    /// The largest power of two that is not above the dimensions.
    width: usize,
}

impl Rotation {
    /// The same seed gives the same rotation everywhere and for ever, because stored codes depend on it.
    pub fn new(dimensions: usize, seed: u64) -> Self {
        let mut bits = Bits { state: seed, word: 0, left: 0 };
        let mut signs = || if bits.next() { -1.0 } else { 1.0 };
        Self {
            signs: (0..ROUNDS).map(|_| (0..dimensions).map(|_| signs()).collect()).collect(),
            width: (dimensions + 1).next_power_of_two() / 2,
        }
    }

    /// How far a rotated vector may be from its place without rounding, relative to its length.
    ///
    /// In a round, each coordinate takes part in one addition for each doubling of the transform's width, and in one
    /// more when the halves are mixed. It is multiplied twice, by numbers that are rounded themselves, one of them
    /// twice. No step makes a vector longer.
    pub fn rounding(&self) -> f64 {
        let each = f64::from(self.width.max(1).ilog2()) + 6.0;
        // A little more, for the products of these errors.
        1.01 * (ROUNDS as f64) * each * ROUNDING
    }

    /// Rotates in place. The slice must have the dimensions of the rotation.
    pub fn apply(&self, vector: &mut [f32]) {
        for (round, signs) in self.signs.iter().enumerate() {
            for (x, sign) in vector.iter_mut().zip(signs) {
                *x *= sign;
            }
            let rest = vector.len().saturating_sub(self.width);
            let start = if round.is_multiple_of(2) { 0 } else { rest };
            if let Some(part) = vector.get_mut(start..start + self.width) {
                walsh_hadamard(part);
            }
            if rest > 0 {
                mix_halves(vector);
            }
        }
    }
}

/// Replaces each coordinate of the first half and its partner in the second half by their sum and their difference,
/// divided by √2.
fn mix_halves(vector: &mut [f32]) {
    let (first, second) = vector.split_at_mut(vector.len().div_ceil(2));
    cross(first, second, std::f32::consts::FRAC_1_SQRT_2);
}

/// The transform of coordinates whose number is a power of two, scaled so that lengths stay the same.
fn walsh_hadamard(vector: &mut [f32]) {
    let (eights, rest) = vector.as_chunks_mut::<8>();
    eights.iter_mut().for_each(walsh_hadamard_8);
    if !rest.is_empty() {
        walsh_hadamard_small(rest);
    }
    let mut width = 8;
    while width < vector.len() {
        for pair in vector.chunks_exact_mut(2 * width) {
            let (first, second) = pair.split_at_mut(width);
            cross(first, second, 1.0);
        }
        width *= 2;
    }
    let scale = 1.0 / (vector.len() as f32).sqrt();
    vector.iter_mut().for_each(|x| *x *= scale);
}

fn walsh_hadamard_8(v: &mut [f32; 8]) {
    let [a, b, c, d, e, f, g, h] = *v;
    let [a, b, c, d, e, f, g, h] = [a + e, b + f, c + g, d + h, a - e, b - f, c - g, d - h];
    let [a, b, c, d, e, f, g, h] = [a + c, b + d, a - c, b - d, e + g, f + h, e - g, f - h];
    *v = [a + b, a - b, c + d, c - d, e + f, e - f, g + h, g - h];
}

/// For fewer than eight coordinates.
fn walsh_hadamard_small(vector: &mut [f32]) {
    let mut width = 1;
    while width < vector.len() {
        for pair in vector.chunks_exact_mut(2 * width) {
            let (first, second) = pair.split_at_mut(width);
            cross(first, second, 1.0);
        }
        width *= 2;
    }
}

fn cross(first: &mut [f32], second: &mut [f32], scale: f32) {
    for (a, b) in first.iter_mut().zip(second) {
        (*a, *b) = ((*a + *b) * scale, (*a - *b) * scale);
    }
}

/// Random bits from SplitMix64, which is part of the format.
struct Bits {
    state: u64,
    word: u64,
    left: u32,
}

impl Bits {
    fn next(&mut self) -> bool {
        if self.left == 0 {
            self.word = splitmix64(&mut self.state);
            self.left = u64::BITS;
        }
        self.left -= 1;
        let bit = self.word & 1 == 1;
        self.word >>= 1;
        bit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(vector: &[f32]) -> f64 {
        vector.iter().map(|&x| f64::from(x).powi(2)).sum()
    }

    #[test]
    fn lengths_and_products_are_kept_in_any_dimension() {
        for dimensions in (1..=130).chain([383, 384, 385, 511, 513, 768, 1000, 1536, 65_536]) {
            let rotation = Rotation::new(dimensions, 7);
            let mut a: Vec<f32> = (0..dimensions).map(|i| (i as f32 * 0.7 + 1.0).sin()).collect();
            let mut b: Vec<f32> = (0..dimensions).map(|i| (i as f32 * 1.3).cos() + 0.2).collect();
            let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
            let (size, before) = ((square(&a) * square(&b)).sqrt(), [square(&a), square(&b), product(&a, &b)]);
            rotation.apply(&mut a);
            rotation.apply(&mut b);
            for (before, after) in before.into_iter().zip([square(&a), square(&b), product(&a, &b)]) {
                // There are at most about 80 roundings for a coordinate, and not all of them go the same way.
                assert!((before - after).abs() < 2e-6 * size.max(before), "{dimensions}: {before} became {after}");
            }
        }
    }

    #[test]
    fn one_coordinate_spreads_over_all() {
        for dimensions in [64, 100, 127, 129, 384, 511, 768, 1000, 1536] {
            let rotation = Rotation::new(dimensions, 7);
            for at in [0, 1, dimensions / 2, dimensions - 1] {
                let mut vector = vec![0.0; dimensions];
                vector[at] = 1.0;
                rotation.apply(&mut vector);
                let largest = vector.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
                // Hardly one of so many Gaussian coordinates is more than six times their mean.
                assert!(largest * (dimensions as f32).sqrt() < 6.0, "{dimensions}, {at}: {largest}");
            }
        }
    }

    /// Stored codes depend on these bits.
    #[test]
    fn a_seed_gives_the_same_rotation_for_ever() {
        let mut vector: Vec<f32> = (0..5).map(|i| i as f32).collect();
        Rotation::new(5, 1).apply(&mut vector);
        let shown: Vec<String> = vector.iter().map(|x| format!("{x:.4}")).collect();
        assert_eq!(shown.join(" "), "-3.0348 -3.8839 -0.4760 2.1206 0.9911");
    }
}
