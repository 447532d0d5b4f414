//! The distance between two vectors of one type: what `vec_distance_*` and `vec_dot` give.
//!
//! Floats are computed in f32 by the kernels, and again in f64 where the sums leave the range of f32. int8 and bit are computed in
//! whole numbers, as they are stored. Nothing is allocated for vectors that lie in BLOBs.

use super::is_well_within;
use crate::error::{Error, Result};
use crate::kernels::{self, F32Le, PairKernel};
use crate::vector::typed::{ElementValue, TypedVector};
use crate::vector::{ElementType, widen};

/// What is measured between two vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairMeasure {
    /// The dot product.
    Dot,
    /// 1 minus the cosine. A vector of zeros has no direction; its cosine with any other is 0.
    Cosine,
    /// The Euclidean distance.
    L2,
    /// The Manhattan distance. A whole number for int8.
    L1,
    /// In how many places two bit vectors differ.
    Hamming,
}

impl PairMeasure {
    /// Measures two vectors of the same type and length. Refuses numbers that are not finite.
    #[inline]
    pub fn between(self, a: &TypedVector<'_>, b: &TypedVector<'_>) -> Result<ElementValue> {
        a.check_alike(b)?;
        match (a.element(), self) {
            (ElementType::Bit, Self::Hamming) => {
                Ok(ElementValue::Real((kernels::table().hamming)(a.bytes(), b.bytes()).into()))
            }
            (ElementType::Bit, Self::Dot) => Ok(ElementValue::Real(common_bits(a.bytes(), b.bytes()).into())),
            (element @ ElementType::Bit, _) => Err(Error::expected("vectors of numbers", element.name())),
            (element, Self::Hamming) => Err(Error::expected("vectors of bits", element.name())),
            (ElementType::Int8, _) => Ok(self.of_int8(a.bytes(), b.bytes())),
            _ => self.of_floats(a, b).map(|real| ElementValue::Real(real + 0.0)),
        }
    }

    fn of_floats(self, a: &TypedVector<'_>, b: &TypedVector<'_>) -> Result<f64> {
        let kernels = kernels::table();
        let fast = match self {
            Self::L2 => {
                let square = sum(kernels.l2_squared_f32, a, b);
                if is_well_within(square as f32) { square.sqrt() } else { f64::NAN }
            }
            Self::L1 => sum(kernels.l1_f32, a, b),
            Self::Cosine => {
                let squares = [sum(kernels.dot_f32, a, a), sum(kernels.dot_f32, b, b)];
                let product = sum(kernels.dot_f32, a, b);
                if squares.iter().all(|&square| is_well_within(square as f32)) {
                    1.0 - (product / (squares[0].sqrt() * squares[1].sqrt())).clamp(-1.0, 1.0)
                } else {
                    f64::NAN
                }
            }
            Self::Dot | Self::Hamming => sum(kernels.dot_f32, a, b),
        };
        if fast.is_finite() { Ok(fast) } else { self.careful(a, b) }
    }

    /// The same in f64. NaN and infinities are found here.
    #[cold]
    fn careful(self, a: &TypedVector<'_>, b: &TypedVector<'_>) -> Result<f64> {
        let a = a.floats().map_err(|error| error.within("first vector"))?;
        let b = b.floats().map_err(|error| error.within("second vector"))?;
        let pairs = || a.iter().zip(&*b).map(|(a, b)| (f64::from(a.get()), f64::from(b.get())));
        let total = |term: fn((f64, f64)) -> f64| pairs().map(term).sum::<f64>();
        Ok(match self {
            Self::L2 => total(|(a, b)| (a - b) * (a - b)).sqrt(),
            Self::L1 => total(|(a, b)| (a - b).abs()),
            Self::Cosine => cosine_distance(total(|(a, b)| a * b), total(|(a, _)| a * a), total(|(_, b)| b * b)),
            Self::Dot | Self::Hamming => total(|(a, b)| a * b),
        })
    }

    fn of_int8(self, a: &[u8], b: &[u8]) -> ElementValue {
        match self {
            Self::L1 => ElementValue::Integer(int8_sum(a, b, |a, b| (a - b).abs())),
            Self::L2 => ElementValue::Real((int8_sum(a, b, |a, b| (a - b) * (a - b)) as f64).sqrt()),
            Self::Cosine => {
                let product = |a, b| int8_sum(a, b, |a, b| a * b) as f64;
                ElementValue::Real(cosine_distance(product(a, b), product(a, a), product(b, b)))
            }
            Self::Dot | Self::Hamming => ElementValue::Real(int8_sum(a, b, |a, b| a * b) as f64),
        }
    }
}

/// The cosine distance for a product and two squares.
fn cosine_distance(product: f64, a: f64, b: f64) -> f64 {
    let lengths = a.sqrt() * b.sqrt();
    if lengths > 0.0 { 1.0 - (product / lengths).clamp(-1.0, 1.0) } else { 1.0 }
}

/// What a kernel gives for two vectors of floats. Those of other types than f32 are widened piece by piece, so that the copy stays
/// in the innermost cache.
#[inline]
fn sum(kernel: PairKernel, a: &TypedVector<'_>, b: &TypedVector<'_>) -> f64 {
    const PIECE: usize = 512;
    if a.element() == ElementType::F32 {
        return f64::from(kernel(in_place(a), in_place(b)));
    }
    let mut wide = [[F32Le::from(0.0); PIECE]; 2];
    let [wide_a, wide_b] = &mut wide;
    let pieces = a.bytes().chunks(2 * PIECE).zip(b.bytes().chunks(2 * PIECE));
    pieces
        .map(|(a_piece, b_piece)| {
            f64::from(kernel(widen(a_piece, a.element(), wide_a), widen(b_piece, b.element(), wide_b)))
        })
        .sum()
}

/// The elements of an f32 vector, which is made of whole ones.
fn in_place<'v>(vector: &'v TypedVector<'_>) -> &'v [F32Le] {
    bytemuck::try_cast_slice(vector.bytes()).unwrap_or_default()
}

/// A sum over pairs of int8 elements. So many terms at a time fit 32 bits, in which the compiler uses wide registers.
fn int8_sum(a: &[u8], b: &[u8], term: impl Fn(i32, i32) -> i32) -> i64 {
    const PIECE: usize = 4096;
    let pieces = a.chunks(PIECE).zip(b.chunks(PIECE));
    let part =
        |(a, b): (&[u8], &[u8])| a.iter().zip(b).map(|(&a, &b)| term((a as i8).into(), (b as i8).into())).sum::<i32>();
    pieces.map(|pair| i64::from(part(pair))).sum()
}

/// How many bits both have.
fn common_bits(a: &[u8], b: &[u8]) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a & b).count_ones()).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ALL: [PairMeasure; 4] = [PairMeasure::Dot, PairMeasure::Cosine, PairMeasure::L2, PairMeasure::L1];

    fn floats(element: ElementType, numbers: &[f32]) -> TypedVector<'static> {
        let numbers: Vec<F32Le> = numbers.iter().map(|&number| number.into()).collect();
        TypedVector::from_floats(element, &numbers).unwrap()
    }

    fn real(number: ElementValue) -> f64 {
        match number {
            ElementValue::Integer(number) => number as f64,
            ElementValue::Real(number) => number,
        }
    }

    #[test]
    fn all_types_measure_by_the_definition() {
        let (a, b): (Vec<f32>, Vec<f32>) = (0..1200).map(|at| ((at % 7) as f32 - 3.0, (at % 5) as f32 - 1.0)).unzip();
        let int8 = |numbers: &[f32]| {
            TypedVector::new(ElementType::Int8, numbers.iter().map(|x| *x as i8 as u8).collect::<Vec<_>>()).unwrap()
        };
        for measure in ALL {
            let (a64, b64) = (floats(ElementType::F32, &a), floats(ElementType::F32, &b));
            let truth = measure.careful(&a64, &b64).unwrap();
            for element in [ElementType::F32, ElementType::F16, ElementType::Bf16] {
                let got = real(measure.between(&floats(element, &a), &floats(element, &b)).unwrap());
                assert!(
                    (got - truth).abs() < 1e-6 * (1.0 + truth.abs()),
                    "{measure:?} {element:?}: {got}, not {truth}"
                );
            }
            assert!((real(measure.between(&int8(&a), &int8(&b)).unwrap()) - truth).abs() < 1e-9, "{measure:?}");
        }
    }

    #[test]
    fn bits_are_counted() {
        let bits = |bytes: &[u8]| TypedVector::new(ElementType::Bit, bytes.to_vec()).unwrap();
        let (a, b) = (bits(&[0xff, 0, 1, 2, 3, 4, 5, 6, 7]), bits(&[0x0f, 0, 1, 2, 3, 4, 5, 6, 1]));
        assert_eq!(PairMeasure::Hamming.between(&a, &b), Ok(ElementValue::Real(6.0)));
        assert_eq!(PairMeasure::Dot.between(&a, &b), Ok(ElementValue::Real(14.0)));
        assert!(PairMeasure::L2.between(&a, &b).is_err());
    }

    #[test]
    fn whole_numbers_of_int8_do_not_overflow() {
        let extreme = TypedVector::new(ElementType::Int8, vec![0x80; 65_536]).unwrap();
        let other = TypedVector::new(ElementType::Int8, vec![0x7f; 65_536]).unwrap();
        assert_eq!(PairMeasure::L1.between(&extreme, &other), Ok(ElementValue::Integer(255 * 65_536)));
        assert_eq!(PairMeasure::L2.between(&extreme, &other), Ok(ElementValue::Real(255.0 * 256.0)));
        assert_eq!(PairMeasure::Cosine.between(&extreme, &other), Ok(ElementValue::Real(2.0)));
    }

    #[test]
    fn sums_beyond_f32_and_below_it_are_right() {
        let two = |x: f32| floats(ElementType::F32, &[x, x]);
        for x in [1e38, 1e-38, 1e-30, 1.0] {
            assert!(real(PairMeasure::Cosine.between(&two(x), &two(x)).unwrap()).abs() < 1e-6, "{x}");
            let length = real(PairMeasure::L2.between(&two(x), &two(0.0)).unwrap());
            assert!((length / f64::from(x) - 2f64.sqrt()).abs() < 1e-6, "{x}");
        }
        assert_eq!(PairMeasure::Cosine.between(&two(0.0), &two(1.0)), Ok(ElementValue::Real(1.0)));
        assert_eq!(PairMeasure::L2.between(&two(0.0), &two(0.0)), Ok(ElementValue::Real(0.0)));
    }
}
